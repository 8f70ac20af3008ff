//! Lines to frames, chunk by chunk, for tests.

use foldhash::quality::SeedableRandomState;

use super::coder::CodedEvent;
use super::{Coder, EventColumns, EventFrame, EventText, Place, Vocabulary};
use crate::decode::decode;

/// What is kept from chunk to chunk.
pub(crate) struct Reading {
    coder: Option<Coder>,
    hasher: SeedableRandomState,
}

impl Reading {
    pub(crate) fn new(vocabulary: &Vocabulary) -> Self {
        Self {
            coder: Some(Coder::new(vocabulary)),
            hasher: SeedableRandomState::fixed(),
        }
    }

    /// Reads a chunk of lines; `is_native` says whether they may be known by their templates.
    pub(crate) fn chunk<L: AsRef<str>>(&mut self, lines: &[L], is_native: bool) -> EventFrame {
        let lines: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
        let text = lines.join("\n");
        let coder = self.coder.take().unwrap();
        let mut columns = EventColumns::new(&self.hasher, coder, "a.log", None);
        let mut start = 0;
        for line in text.lines() {
            let place = Place {
                length: u32::try_from(line.len()).unwrap(),
                text: EventText::InChunk(start),
                ..Place::default()
            };
            let mut event = CodedEvent::default();
            if is_native {
                columns.push_native(line, &place, &mut event);
            } else if decode(line, columns.coder(), &mut event).is_ok() {
                columns.push(&event, line, &place);
            }
            start += u32::try_from(line.len()).unwrap() + 1;
        }
        let (frame, coder) = columns.finish(text.clone());
        self.coder = Some(coder);
        frame
    }
}
