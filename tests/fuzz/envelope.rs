//! Records to what is in them: something, whatever they are, and events that decode or are damage.
//!
//! The first byte chooses a format, or none; the rest is a run of lines.

#![no_main]

use kubescry::decode::envelope::Format;
use kubescry::decode::record::{Opened, Opener, records};
use kubescry::decode::{decode, text_of};
use kubescry::frame::coder::CodedEvent;
use kubescry::frame::{Coder, Vocabulary};
use kubescry::source::Chunk;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [choice, data @ ..] = input else {
        return;
    };
    let only = Format::ALL.get(usize::from(*choice)).copied();
    let text = &*text_of(data.to_vec()).0;
    // For tables, the first line names the columns.
    let (header, text) = match text.split_once('\n') {
        Some((header, rest)) if only == Some(Format::Csv) => (Some(header), rest),
        _ => (None, text),
    };
    let chunk = Chunk {
        line: 1,
        ..Chunk::default()
    };
    let mut coder = Coder::new(&Vocabulary::new());
    let mut opener = Opener::new(only, header);
    let (mut n_records, mut n_found) = (0, 0);
    let mut take = |opened: Opened<'_>| {
        n_found += 1;
        match opened {
            Opened::Event { found, .. } => {
                let mut event = CodedEvent::default();
                // An error is counted as damage by the pipeline; a panic is what must not be.
                let _ = decode(found.text, &mut coder, &mut event);
            }
            Opened::Other(what, _) => assert!(!what.is_empty()),
            Opened::Bad(cause) => assert!(!cause.is_empty()),
        }
    };
    for record in records(&chunk, text) {
        n_records += 1;
        opener.open(&record, &mut take);
    }
    if n_records > 0 {
        opener.finish(&mut take);
        // Lines in parts are one thing together.
        assert!(n_found > 0, "{n_records} records were lost");
    }
});
