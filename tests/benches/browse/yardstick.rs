//! The same questions asked of Polars, over the same columns in one frame.

use kubescry::frame::Column;
use kubescry::store::field::Derived;
use kubescry::store::filter::Rows;
use kubescry::store::{Field, Lane, Snapshot};
use polars::prelude::{
    Categorical32Type, CategoricalChunked, DataFrame, IntoLazy, IntoSeries, LazyFrame, PlSmallStr,
    SortMultipleOptions, UInt32Chunked, col, len, lit,
};

/// Columns as Polars would keep them.
pub(crate) struct Yardstick(DataFrame);

impl Yardstick {
    /// Copies the columns that are asked for out of `snapshot`; names are coded, as they are there.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let mut codes: Vec<u32> = Vec::new();
        for segment in &*snapshot.segments {
            let lane = segment.lane(Column::Username.into(), &snapshot.vocabulary);
            let Ok(Lane::Codes(of_segment)) = lane else {
                unreachable!("user names are coded, and in memory");
            };
            let events = (0..segment.height()).filter(|&at| segment.is(Rows::Events, at));
            codes.extend(events.map(|at| of_segment[at]));
        }
        let height = codes.len();
        let name = PlSmallStr::from_static(Column::Username.name());
        let usernames = CategoricalChunked::<Categorical32Type>::from_cats_and_dtype(
            UInt32Chunked::from_vec(name, codes),
            snapshot.vocabulary.data_type().clone(),
        );
        let number = 0..u32::try_from(height).expect("rows have 32 bits");
        let rows = UInt32Chunked::from_vec(PlSmallStr::from_static("row"), number.collect());
        let series = |field: Field| {
            snapshot
                .series(field, Rows::Events)
                .expect("it is in memory")
        };
        let columns = vec![
            rows.into_series().into(),
            usernames.into_series().into(),
            series(Column::StageTs.into()),
            series(Column::Name.into()),
            series(Field::Derived(Derived::LatencyMs)),
        ];
        Self(DataFrame::new(height, columns).expect("columns of one height"))
    }

    fn lazy(&self) -> LazyFrame {
        self.0.clone().lazy()
    }

    pub(crate) fn filter(&self, username: &str) -> usize {
        let is_it = col("username").eq(lit(username.to_owned()));
        let rows = self.lazy().filter(is_it).select([col("row")]).collect();
        rows.expect("a plain query").height()
    }

    pub(crate) fn facet(&self, field: &str) -> usize {
        let counts = self.lazy().group_by([col(field)]).agg([len()]);
        let most_first = SortMultipleOptions::default().with_order_descending(true);
        let counts = counts.sort(["len"], most_first).collect();
        counts.expect("a plain query").height()
    }

    pub(crate) fn sort(&self, field: &str) -> usize {
        let order = SortMultipleOptions::default().with_maintain_order(true);
        let rows = self.lazy().sort([field], order).select([col("row")]);
        rows.collect().expect("a plain query").height()
    }
}
