//! A few events by themselves, outside a scan: for test events, explanations and tests.

use foldhash::quality::RandomState;

use crate::decode::decode;
use crate::decode::record::records;
use crate::frame::coder::CodedEvent;
use crate::frame::{Coder, EventColumns, EventFrame, Origin, Vocabulary};
use crate::source::Chunk;

/// Returns the events in `text`, one JSON object a line, as a frame of `file`.
///
/// Shape: one row per line that is not blank, in order; column `line` is the line's number, from 1.
///
/// # Errors
/// With the number of the first line that is no event, and the cause.
pub fn frame_of(file: &str, text: &str) -> Result<EventFrame, (u64, String)> {
    let coder = Coder::new(&Vocabulary::new());
    let hasher = RandomState::default();
    let mut columns = EventColumns::new(&hasher, coder, file, None);
    let chunk = Chunk {
        line: 1,
        ..Chunk::default()
    };
    for record in records(&chunk, text) {
        if record.text.trim().is_empty() {
            continue;
        }
        let mut event = CodedEvent::default();
        decode(record.text, columns.coder(), &mut event).map_err(|cause| (record.line, cause))?;
        let place = record.place(record.text, Origin::default());
        columns.push(&event, record.text, &place);
    }
    Ok(columns.finish(text.as_bytes().to_vec()).0)
}
