//! Frames for what works with Polars: SQL, exports.

use polars::prelude::{
    BooleanChunked, Categorical32Type, CategoricalChunked, Column as Series, DataFrame,
    Int64Chunked, IntoSeries, NewChunkedArray, PlSmallStr, StringChunked, TimeUnit, TimeZone,
    UInt32Chunked, UInt64Chunked,
};

use super::EventFrame;
use super::schema::{Column, ColumnType};

impl EventFrame {
    /// Returns `columns` as a Polars frame, in that order.
    ///
    /// Shape: one row per event in file order; types as [`Column::data_type`] says; what is absent or
    /// empty in the event is null. The texts are copied.
    pub fn to_polars(&self, columns: &[Column]) -> DataFrame {
        let series = columns.iter().map(|&column| self.series(column)).collect();
        DataFrame::new(self.height(), series).expect("columns of one height with their own names")
    }

    fn series(&self, column: Column) -> Series {
        let name = PlSmallStr::from_static(column.name());
        let rows = 0..self.height();
        let series = match column.kind() {
            // Codes outside the dictionary, as `NULL` is, become null here.
            ColumnType::Coded | ColumnType::CodedList => {
                CategoricalChunked::<Categorical32Type>::from_cats_and_dtype(
                    UInt32Chunked::from_slice(name, &self.codes(column)),
                    self.vocabulary().data_type().clone(),
                )
                .into_series()
            }
            ColumnType::Text => {
                let texts = rows.map(|row_idx| Some(self.text(column, row_idx)));
                let texts = texts.map(|text| text.filter(|text| !text.is_empty()));
                StringChunked::from_iter_options(name, texts).into_series()
            }
            ColumnType::Time => {
                let times = self.times(column).iter();
                let times = times.map(|&time| (time != 0).then_some(time));
                Int64Chunked::from_iter_options(name, times)
                    .into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))
                    .into_series()
            }
            ColumnType::Number => {
                UInt32Chunked::from_slice(name, &self.codes(column)).into_series()
            }
            ColumnType::Long => UInt64Chunked::from_slice(name, self.longs(column)).into_series(),
            ColumnType::Flag => {
                let flags: Vec<bool> = rows.map(|row_idx| self.is_masters(row_idx)).collect();
                BooleanChunked::from_slice(name, &flags).into_series()
            }
        };
        Series::from(series)
    }
}

#[cfg(test)]
mod tests {
    use foldhash::quality::SeedableRandomState;

    use super::super::coder::CodedEvent;
    use super::super::{Coder, EventColumns, EventText, Origin, Place, Vocabulary};
    use super::*;
    use crate::decode::decode;

    /// An event with escapes in its URI and an empty user, as a refused login has, and a served one.
    const EVENTS: [&str; 2] = [
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","stage":"ResponseStarted","requestURI":"/api?a=1\u0026b=2","verb":"get","user":{},"sourceIPs":["203.0.113.7","10.0.0.1"],"responseStatus":{"code":401},"stageTimestamp":"2026-11-22T04:55:27.650970Z"}"#,
        r#"{"auditID":"b","user":{"username":"eve","groups":["system:masters"]},"objectRef":{"resource":"pods","name":"p"},"responseStatus":{"code":200}}"#,
    ];

    #[test]
    fn columns_hold_the_events_and_null_what_they_lack() {
        let vocabulary = Vocabulary::new();
        let hasher = SeedableRandomState::default();
        let mut columns = EventColumns::new(&hasher, Coder::new(&vocabulary), "audit.log", None);
        for (line, text) in (1..).zip(EVENTS) {
            let mut event = CodedEvent::default();
            decode(text, columns.coder(), &mut event).unwrap();
            let place = Place {
                line,
                offset: 0,
                length: 7,
                origin: Origin {
                    cluster: "c",
                    ..Origin::default()
                },
                text: EventText::Unwrapped,
                is_recovered: false,
            };
            columns.push(&event, text, &place);
        }
        let (frame, _) = columns.finish(String::new());
        assert_eq!([frame.record(0), frame.record(1)], EVENTS);
        let data = frame.to_polars(Column::ALL);
        let data_type = vocabulary.data_type();
        for (column, series) in Column::ALL.iter().zip(data.columns()) {
            assert_eq!(series.name(), column.name());
            assert_eq!(
                *series.dtype(),
                column.data_type(data_type),
                "{}",
                column.name()
            );
        }
        let cells = |column: Column| {
            let series = data.column(column.name()).unwrap();
            [0, 1].map(|row_idx| series.get(row_idx).unwrap().to_string())
        };
        assert_eq!(cells(Column::RequestUri), ["\"/api?a=1&b=2\"", "null"]);
        assert_eq!(cells(Column::Username), ["null", "\"eve\""]);
        assert_eq!(cells(Column::PeerIp), ["\"10.0.0.1\"", "null"]);
        assert_eq!(cells(Column::Name), ["null", "\"p\""]);
        assert_eq!(cells(Column::Code), ["401", "200"]);
        assert_eq!(cells(Column::IsMasters), ["false", "true"]);
        assert_eq!(cells(Column::Line), ["1", "2"]);
        assert_eq!(cells(Column::Cluster), ["\"c\"", "\"c\""]);
        let times = data.column(Column::StageTs.name()).unwrap().is_null();
        assert_eq!(times.iter().collect::<Vec<_>>(), [Some(false), Some(true)]);
    }
}
