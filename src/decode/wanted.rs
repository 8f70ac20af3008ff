//! One event out of the bytes of one record.

use super::envelope::Format;
use super::record::{Opened, Opener, records};
use super::{lenient, text_of};
use crate::source::{Chunk, Integrity, RecordSpan};

/// Which event of a record is meant, and how the record is to be read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// Its `auditID`.
    pub audit_id: &'a str,
    /// Its stage; empty if any will do.
    pub stage: &'a str,
    /// The line with the column names, for a row of CSV.
    pub header: Option<&'a str>,
    /// The family of the outermost envelope, if it was given.
    pub format: Option<Format>,
}

/// Returns the JSON text of the event that is meant, out of the envelopes that the record may be.
///
/// If no event of the record has the audit ID and the stage, it is the first one with the audit ID; if
/// there is none either, the record as it stands.
pub fn unwrap(record: &[u8], wanted: &Wanted<'_>) -> String {
    let (text, _) = &text_of(record.to_vec());
    let mut best = Best::default();
    // As one record it may be a document of many lines; as lines, the parts of one.
    let whole = RecordSpan {
        start: 0,
        end: text.len(),
        line: 1,
        integrity: Integrity::Whole,
        parent: None,
    };
    for spans in [Some(vec![whole]), None] {
        let chunk = Chunk {
            line: 1,
            records: spans,
            ..Chunk::default()
        };
        let mut opener = Opener::new(wanted.format, wanted.header);
        let mut take = |opened: Opened<'_>| best.look(&opened, wanted);
        for record in records(&chunk, text) {
            opener.open(&record, &mut take);
        }
        opener.finish(&mut take);
        if best.rank > 0 {
            break;
        }
    }
    if best.rank > 0 {
        best.text
    } else {
        text.to_owned()
    }
}

/// The best event so far.
#[derive(Default)]
struct Best {
    text: String,
    /// 1 with the audit ID, 2 with the stage as well.
    rank: u8,
}

impl Best {
    fn look(&mut self, opened: &Opened<'_>, wanted: &Wanted<'_>) {
        let Opened::Event { found, .. } = opened else {
            return;
        };
        let Ok((event, _)) = lenient::decode(found.text) else {
            return;
        };
        if event.audit_id != wanted.audit_id {
            return;
        }
        let has_stage = wanted.stage.is_empty() || event.stage == wanted.stage;
        let rank = 1 + u8::from(has_stage);
        if rank > self.rank {
            (self.text, self.rank) = (found.text.to_owned(), rank);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, stage: &str) -> String {
        format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"{id}","stage":"{stage}"}}"#
        )
    }

    fn check(record: &str, wanted: &Wanted<'_>, expected: &str) {
        assert_eq!(unwrap(record.as_bytes(), wanted), expected, "{record}");
    }

    #[test]
    fn the_event_is_chosen_by_audit_id_and_stage() {
        let (early, late) = (
            event("a", "RequestReceived"),
            event("a", "ResponseComplete"),
        );
        let list = format!(
            r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{},{early},{late}]}}"#,
            event("b", "ResponseComplete")
        );
        let wanted = |audit_id, stage| Wanted {
            audit_id,
            stage,
            ..Wanted::default()
        };
        check(&list, &wanted("a", "ResponseComplete"), &late);
        check(&list, &wanted("a", "RequestReceived"), &early);
        check(&list, &wanted("a", ""), &early);
        check(&list, &wanted("a", "Panic"), &early);
        check(&list, &wanted("c", ""), &list);
        check(&early, &wanted("a", ""), &early);
        check("no event", &wanted("a", ""), "no event");
        check("", &wanted("a", ""), "");
    }

    #[test]
    fn parts_of_a_line_are_joined() {
        let event = event("a", "ResponseComplete");
        let (head, tail) = event.split_at(40);
        let record = format!(
            "2026-11-22T05:10:25.0Z stdout P {head}\n2026-11-22T05:10:25.0Z stderr F I1122 x\n2026-11-22T05:10:25.0Z stdout F {tail}"
        );
        let wanted = Wanted {
            audit_id: "a",
            ..Wanted::default()
        };
        check(&record, &wanted, &event);
    }
}
