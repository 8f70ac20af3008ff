//! Records are read again, or an error says why not.

use std::fs;
use std::io::Write;
use std::path::Path;

use tempfile::TempDir;

use super::*;

static GO: AtomicBool = AtomicBool::new(false);

/// A line that is JSON and told from all others.
fn line(n: usize) -> String {
    format!(r#"{{"auditID":"{n:06}","text":"{}"}}"#, "x".repeat(n % 97))
}

/// The content of a log with `n` lines, and where each stands.
fn log(n: usize) -> (String, Vec<(u64, u32)>) {
    let mut text = String::new();
    let places = (0..n).map(|n| {
        let offset = text.len() as u64;
        text.push_str(&line(n));
        text.push('\n');
        (offset, u32::try_from(line(n).len()).unwrap())
    });
    let places = places.collect();
    (text, places)
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(data, 1).unwrap()
}

/// Puts `pack`ed pieces one after the other.
fn pieces(data: &str, pack: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    // Not where lines end.
    let size = data.len() / 7 + 3;
    data.as_bytes().chunks(size).flat_map(pack).collect()
}

fn input(path: &Path) -> InputFile {
    InputFile {
        path: Some(path.to_path_buf()),
        name: "log".into(),
        lane: 0,
        from: crate::source::Start::default(),
        is_growing: false,
        piece: None,
    }
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> InputFile {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        input(&path)
    }
}

fn reread() -> Reread {
    Reread::new(&ReadOptions::default())
}

fn message(error: &RereadError) -> String {
    format!("{error}; {}", error.hint().unwrap_or_default())
}

#[test]
fn every_kind_of_file_is_read_in_any_order() {
    let (text, places) = log(60_000);
    assert!(text.len() > 4 * BLOCK_BYTES);
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let folder = Folder::new();
    let files = [
        ("plain", text.clone().into_bytes()),
        ("mark", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
        ("cr", text.replace('\n', "\r").into_bytes()),
        ("gz", pieces(&text, gzip)),
        ("zst", pieces(&text, zstd)),
        ("twice.gz", gzip(&zstd(text.as_bytes()))),
        ("utf16", [b"\xff\xfe", &utf16[..]].concat()),
        ("utf16.gz", gzip(&utf16)),
    ]
    .map(|(name, content)| (name, folder.write(name, content)));
    let mut reread = reread();
    for (name, file) in &files {
        let check = |reread: &mut Reread, n: usize| {
            let (offset, length) = places[n];
            let read = reread.record(file, offset, length, &GO);
            let read = read.unwrap_or_else(|error| panic!("{name}, {n}: {error}"));
            assert_eq!(String::from_utf8(read).unwrap(), line(n), "{name}");
        };
        // Next to each other, from the last to the first, far back, and the same again.
        for n in [
            0, 1, 2, 40_000, 39_999, 40_001, 59_999, 3, 59_999, 20_000, 20_001,
        ] {
            check(&mut reread, n);
        }
        let mut seed = 1;
        for _ in 0..12 {
            seed = (seed * 48_271) % 0x7fff_ffff;
            check(&mut reread, seed % places.len());
        }
    }
    assert_eq!(reread.files.len(), FILES_MAX);
    // They were closed in between.
    let (name, file) = &files[3];
    let read = reread.record(file, places[7].0, places[7].1, &GO);
    assert_eq!(read.unwrap(), line(7).into_bytes(), "{name}");
}

#[test]
fn steps_on_do_not_start_over() {
    let (text, places) = log(60_000);
    let folder = Folder::new();
    let file = folder.write("log.gz", gzip(text.as_bytes()));
    let mut reread = reread();
    let mut read = |n: usize| {
        let (offset, length) = places[n];
        reread.record(&file, offset, length, &GO).unwrap();
        reread.options.read_bytes.load(Ordering::Relaxed)
    };
    let whole = read(59_999);
    let near = read(59_000);
    assert_eq!(near, whole, "what is near behind is in hand");
    let again = read(100);
    assert!(again > whole, "far back it starts over");
    let mut last = again;
    for n in (200..59_000).step_by(1000) {
        last = read(n);
    }
    assert!(
        last <= again + whole,
        "one way through: {last} {again} {whole}"
    );
    assert_eq!(read(100), last, "what was read is kept");
}

#[test]
fn holes_and_blanks_keep_their_places() {
    let hole = "\0".repeat(10_000);
    let text = format!("{}\n{hole}\u{feff}{}  \r\n\n{}", line(1), line(2), line(3));
    let folder = Folder::new();
    for file in [
        folder.write("plain", &text),
        folder.write("gz", gzip(text.as_bytes())),
    ] {
        for n in 1..=3 {
            let offset = text.find(&line(n)).unwrap() as u64;
            let length = u32::try_from(line(n).len()).unwrap();
            let read = reread().record(&file, offset, length, &GO).unwrap();
            assert_eq!(read, line(n).into_bytes());
        }
    }
}

#[test]
fn a_row_comes_with_its_header() {
    let text = "AuditId,RequestUri\r\na,b\r\nc,d\r\n";
    let folder = Folder::new();
    for file in [
        folder.write("x.csv", text),
        folder.write("x.csv.gz", gzip(text.as_bytes())),
    ] {
        let mut reread = reread();
        assert_eq!(reread.record(&file, 25, 3, &GO).unwrap(), b"c,d");
        let header = reread.header(&file).unwrap();
        assert_eq!(header.as_deref(), Some("AuditId,RequestUri"));
    }
    let file = folder.write("x.log", line(1));
    assert_eq!(reread().header(&file).unwrap(), None);
}

#[test]
fn an_event_in_parts_comes_with_all_of_them() {
    let part = |stream: &str, flag: &str, text: &str| {
        format!("2026-11-22T05:10:25.0Z {stream} {flag} {text}\n")
    };
    let before = part("stdout", "F", "{}");
    for length in [10, 16 << 10, 100 << 10, 400 << 10] {
        let between = part("stderr", "P", &"y".repeat(length));
        let event = [
            part("stdout", "P", "{\"a\":"),
            between.clone(),
            part("stdout", "P", "\"b"),
            part("stderr", "F", "z"),
        ]
        .concat();
        let last = part("stdout", "F", "\"}");
        let last = last.trim_end();
        for before in ["", &before, &before.repeat(3000)] {
            let text = format!("{before}{event}{last}\n{}", part("stdout", "F", "{}"));
            let offset = (before.len() + event.len()) as u64;
            let folder = Folder::new();
            for file in [
                folder.write("cri", &text),
                folder.write("gz", gzip(text.as_bytes())),
            ] {
                let read = reread().record(&file, offset, u32::try_from(last.len()).unwrap(), &GO);
                assert_eq!(read.unwrap(), format!("{event}{last}").into_bytes());
            }
        }
    }
}

#[test]
fn who_waits_can_stop() {
    let (text, places) = log(60_000);
    let folder = Folder::new();
    let file = folder.write("log.zst", zstd(text.as_bytes()));
    let (offset, length) = places[59_999];
    let mut reread = reread();
    let stopped = AtomicBool::new(true);
    let error = reread.record(&file, offset, length, &stopped).unwrap_err();
    assert!(matches!(error, RereadError::Stopped { .. }), "{error}");
    assert_eq!(error.hint(), None);
    // In the middle of it, and then on from there.
    let log = reread.log(&file, 0).unwrap();
    let Text::Stream(window) = &mut log.text else {
        panic!("compressed files are streams")
    };
    window.fill();
    let stopped = window.read(offset, offset + 1, &stopped);
    assert!(matches!(stopped, Err(Fault::Stopped)));
    assert_eq!(window.end(), BLOCK_BYTES as u64);
    let read = reread.record(&file, offset, length, &GO).unwrap();
    assert_eq!(read, line(59_999).into_bytes());
}

#[test]
fn a_file_that_is_shorter_or_another_is_told() {
    let (text, places) = log(1000);
    let (offset, length) = places[900];
    let folder = Folder::new();
    let check = |content: &[u8], expected: &str| {
        let file = folder.write("log", content);
        let error = reread().record(&file, offset, length, &GO).unwrap_err();
        assert_eq!(message(&error), expected);
    };
    let shorter = |end: usize| {
        format!(
            "cannot read the record at byte {offset} of `log` again: the content ends at byte {end} now; it was rotated, truncated or written anew since the scan; scan again"
        )
    };
    for end in [0, 1, 5000, index(offset), index(offset) + 1] {
        check(&text.as_bytes()[..end], &shorter(end));
        check(&gzip(&text.as_bytes()[..end]), &shorter(end));
    }
    let changed = format!(
        "cannot read the record at byte {offset} of `log` again: no record of {length} bytes stands there now; it was rotated, truncated or written anew since the scan; scan again"
    );
    let moved = format!("{{}}\n{text}");
    let prose = "not quite the same kind of text as before\n".repeat(2000);
    for other in [
        &moved,
        &prose,
        &"\0".repeat(100_000),
        &"\n".repeat(100_000),
        &"x".repeat(100_000),
    ] {
        check(other.as_bytes(), &changed);
        check(&zstd(other.as_bytes()), &changed);
    }
    let packed = gzip(text.as_bytes());
    let file = folder.write("cut.gz", &packed[..packed.len() / 2]);
    let error = reread().record(&file, offset, length, &GO).unwrap_err();
    assert!(
        error.to_string().contains("unexpected end of gzip data"),
        "{error}"
    );
    assert_eq!(
        reread().record(&file, 0, places[0].1, &GO).unwrap(),
        line(0).into_bytes()
    );
}

#[test]
fn a_file_that_is_gone_is_told_unless_it_is_open() {
    let (text, places) = log(1000);
    let (offset, length) = places[900];
    let folder = Folder::new();
    for content in [text.clone().into_bytes(), gzip(text.as_bytes())] {
        let file = folder.write("log", content);
        let mut open = reread();
        open.record(&file, places[950].0, places[950].1, &GO)
            .unwrap();
        fs::remove_file(file.path.as_ref().unwrap()).unwrap();
        let error = reread().record(&file, offset, length, &GO).unwrap_err();
        assert_eq!(
            message(&error),
            format!(
                "cannot read the record at byte {offset} of `log` again: the file is gone; it may have been rotated away; scan the folder again"
            )
        );
        folder.write("log", "something else");
        assert_eq!(
            open.record(&file, offset, length, &GO).unwrap(),
            line(900).into_bytes()
        );
    }
    let stdin = InputFile {
        path: None,
        name: "-".into(),
        lane: 0,
        from: crate::source::Start::default(),
        is_growing: false,
        piece: None,
    };
    let error = reread().record(&stdin, 0, 1, &GO).unwrap_err();
    assert_eq!(
        message(&error),
        "cannot read a record of standard input again; write the log to a file, and scan that"
    );
    let error = reread()
        .record(&input(folder.0.path()), 0, 1, &GO)
        .unwrap_err();
    assert_eq!(error.to_string(), "`log` is a folder, not a regular file");
}

#[test]
fn what_is_kept_is_bounded() {
    let (text, places) = log(2 * RECORDS_MAX);
    let folder = Folder::new();
    let file = folder.write("log", &text);
    let mut reread = reread();
    for &(offset, length) in &places {
        reread.record(&file, offset, length, &GO).unwrap();
    }
    assert_eq!(reread.records.len(), RECORDS_MAX);
    let length = 5 << 20;
    let long = format!("{}\n", "x".repeat(length)).repeat(5);
    let file = folder.write("long", &long);
    for n in 0..5 {
        let offset = n * (length as u64 + 1);
        reread
            .record(&file, offset, u32::try_from(length).unwrap(), &GO)
            .unwrap();
    }
    let bytes: usize = reread.records.iter().map(|known| known.bytes.len()).sum();
    assert_eq!(bytes, reread.records_bytes);
    assert_eq!((reread.records.len(), bytes), (3, 3 * length));
}
