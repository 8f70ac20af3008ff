//! The bytes of a file to its content: bounded, and the same however it is read.

#![no_main]

use std::io::Read;

use kubescry::source::ReadOptions;
use kubescry::source::content::Content;
use kubescry::source::open::unpack;
use libfuzzer_sys::fuzz_target;

/// What a file may unpack to.
const LIMIT: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let open = || {
        let options = ReadOptions {
            max_decompressed_bytes: LIMIT,
            ..ReadOptions::default()
        };
        unpack(
            Box::new(std::io::Cursor::new(data.to_vec())),
            &"fuzz".into(),
            &options,
        )
    };
    let Ok(content) = open() else {
        assert!(open().is_err());
        return;
    };
    let (whole, is_whole) = read(content, 1 << 16);
    // UTF-8 takes half as much again as UTF-16 at most.
    let limit = data.len().max(1 << 20) * 3 / 2 + 8;
    assert!(whole.len() <= limit, "{} bytes", whole.len());
    let pieces = open().expect("it was opened before");
    assert_eq!(read(pieces, 4093), (whole, is_whole));
});

/// Returns what `content` gives out in pieces of `step` bytes, and whether it ends well.
fn read(mut content: Content, step: usize) -> (Vec<u8>, bool) {
    let (mut data, mut buffer) = (Vec::new(), vec![0; step]);
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return (data, true),
            Ok(n) => data.extend_from_slice(&buffer[..n]),
            Err(_) => return (data, false),
        }
    }
}
