//! A few events by themselves, outside a scan: for test events, explanations and tests.

use foldhash::quality::SeedableRandomState;

use crate::decode::record::{Opened, Opener, Record, records};
use crate::decode::{decode, text_of};
use crate::frame::coder::CodedEvent;
use crate::frame::{Coder, EventColumns, EventFrame, Origin, Vocabulary};
use crate::source::Chunk;

/// Returns the events in `text`, one JSON object a line, as a frame of `file`.
///
/// Test events may leave out whatever does not matter, `kind` too.
///
/// Shape: one row per event, in order; column `line` is the line's number, from 1.
///
/// # Errors
/// With the number of the first line that is no event, and the cause.
pub fn frame_of(file: &str, text: &str) -> Result<EventFrame, (u64, String)> {
    let chunk = Chunk {
        line: 1,
        data: text.as_bytes().to_vec(),
        ..Chunk::default()
    };
    build(file, chunk, &|_| true, true)
}

/// Returns the events in those records of a chunk that `takes` takes, opened if they are wrapped.
///
/// # Errors
/// With the line of the first record that is no event, and the cause.
pub fn frame_of_chunk(
    file: &str,
    chunk: Chunk,
    takes: &dyn Fn(&Record<'_>) -> bool,
) -> Result<EventFrame, (u64, String)> {
    build(file, chunk, takes, false)
}

/// `is_test` says that any object without a kind is an event.
fn build(
    file: &str,
    mut chunk: Chunk,
    takes: &dyn Fn(&Record<'_>) -> bool,
    is_test: bool,
) -> Result<EventFrame, (u64, String)> {
    let (text, _) = text_of(std::mem::take(&mut chunk.data));
    let hasher = SeedableRandomState::default();
    let coder = Coder::new(&Vocabulary::new());
    let mut columns = EventColumns::new(&hasher, coder, file, None);
    let mut opener = Opener::new(None, chunk.header.as_deref());
    for record in records(&chunk, &text).filter(|record| takes(record)) {
        let mut wrong = None;
        opener.open(&record, &mut |opened| {
            if let Err(cause) = push(&mut columns, &record, &opened, is_test) {
                wrong.get_or_insert(cause);
            }
        });
        if let Some(cause) = wrong {
            return Err((record.line, cause));
        }
    }
    Ok(columns.finish(text).0)
}

fn push(
    columns: &mut EventColumns<'_>,
    record: &Record<'_>,
    opened: &Opened<'_>,
    is_test: bool,
) -> Result<(), String> {
    let (text, origin) = match opened {
        Opened::Event { found, .. } => (
            found.text,
            Origin {
                cluster: found.cluster.unwrap_or_default(),
                node: found.node.unwrap_or_default(),
                stream: found.stream.unwrap_or_default(),
                envelope: found.envelope,
            },
        ),
        Opened::Other(..) if is_bare(record.text, is_test) => (record.text, Origin::default()),
        Opened::Other(what, _) => return Err(format!("it is {what}")),
        Opened::Bad(cause) => return Err((*cause).to_owned()),
    };
    let mut event = CodedEvent::default();
    decode(text, columns.coder(), &mut event)?;
    let place = record.place(text, origin);
    columns.push(&event, text, &place);
    Ok(())
}

/// Returns whether a text is an event but for `kind` and `apiVersion`.
fn is_bare(text: &str, is_test: bool) -> bool {
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let is_kindless = value.is_object() && value.get("kind").is_none();
    is_kindless && (is_test || value.get("verb").is_some())
}
