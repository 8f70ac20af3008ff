//! Bytes to chunks: nothing is left out unseen, and the size of a chunk changes no record.
//!
//! The first byte chooses the framing, the second and third the sizes of chunks, the fourth the longest
//! record; the rest is the content.

#![no_main]

use std::io::{Cursor, Read};

use kubescry::decode::record::records;
use kubescry::decode::text_of;
use kubescry::source::chunk::ChunkReader;
use kubescry::source::content::Content;
use kubescry::source::{Framing, Integrity, Oversize, ReadOptions, split_holes, trim_record};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [framing, small, large, longest, data @ ..] = input else {
        return;
    };
    let framing = match framing % 5 {
        0 => None,
        1 => Some(Framing::Lines),
        2 => Some(Framing::Partial),
        3 => Some(Framing::Csv),
        _ => Some(Framing::Documents),
    };
    let options = |chunk_bytes| ReadOptions {
        chunk_bytes,
        max_line_bytes: if *longest == 0 {
            1 << 20
        } else {
            usize::from(*longest) * 32
        },
        framing,
        ..ReadOptions::default()
    };
    let once = read(data, &options(1 + usize::from(*small)));
    let again = read(data, &options(64 * (1 + usize::from(*large))));
    assert_eq!(once.0, again.0, "records");
    let places = |passed: &[Oversize]| -> Vec<[u64; 4]> {
        let place = |it: &Oversize| [it.line, it.offset, it.length, it.head.len() as u64];
        passed.iter().map(place).collect()
    };
    assert_eq!(places(&once.1), places(&again.1), "passed over");
    assert!(once.1 == again.1, "what is kept of what was passed over");
});

/// Number of its line, offset, integrity and text of a record.
type Row = (u64, u64, Integrity, String);

fn content(data: &[u8]) -> Content {
    Content::new(Box::new(Cursor::new(data.to_vec())))
}

/// Returns the records and what was passed over.
fn read(data: &[u8], options: &ReadOptions) -> (Vec<Row>, Vec<Oversize>) {
    let mut whole = Vec::new();
    content(data)
        .read_to_end(&mut whole)
        .expect("memory can be read");
    let mut reader = ChunkReader::new(0, "fuzz".into(), content(data), options);
    let framing = reader.framing();
    let (mut rows, mut oversize, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
    let (mut end, mut n_chunks) = (0, 0);
    let mut buffer = Vec::new();
    while let Some(mut chunk) = reader.next(buffer).expect("memory can be read") {
        n_chunks += 1;
        assert!(n_chunks <= whole.len() + 2, "no end");
        oversize.extend(reader.take_oversize());
        let start = usize::try_from(chunk.offset).expect("a place in memory");
        assert!(end <= start, "chunks are in order");
        gaps.push(end..start);
        end = start + chunk.data.len();
        assert_eq!(
            whole[start..end],
            chunk.data,
            "a chunk is a piece of the content"
        );
        let mut last = 0;
        for span in chunk.records.iter().flatten() {
            assert!(last <= span.start && span.start <= span.end && span.end <= chunk.data.len());
            last = span.end;
        }
        let (text, _) = text_of(std::mem::take(&mut chunk.data));
        for record in records(&chunk, &text) {
            // Whether a short hole ends a record already depends on the chunk; see `split_holes`.
            for (at, piece) in split_holes(record.text) {
                let piece = trim_record(piece);
                if !piece.is_empty() {
                    let offset = record.offset + (at as u64);
                    rows.push((record.line, offset, record.integrity, piece.to_owned()));
                }
            }
        }
        buffer = text.into_bytes();
    }
    assert_eq!(reader.offset(), whole.len() as u64, "all was looked at");
    oversize.extend(reader.take_oversize());
    gaps.push(end..whole.len());
    // A header of CSV is passed over too; what is between documents is theirs to judge.
    if !matches!(framing, Framing::Csv | Framing::Documents) {
        for at in gaps.into_iter().flatten() {
            let is_passed =
                |line: &Oversize| (line.offset..=line.offset + line.length).contains(&(at as u64));
            assert!(
                matches!(whole[at], 0 | b'\n') || oversize.iter().any(is_passed),
                "byte {at} was left out in silence"
            );
        }
    }
    (rows, oversize)
}
