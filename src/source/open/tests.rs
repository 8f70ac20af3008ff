//! What opening promises.

use std::io::Write;

use super::*;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    // Small blocks, as a writer that flushes now and then makes them.
    for part in data.chunks(5000) {
        encoder.write_all(part).unwrap();
        encoder.flush().unwrap();
    }
    encoder.finish().unwrap()
}

fn noise(n: u32) -> Vec<u8> {
    let mut seed = 1_u32;
    (0..n)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b"abcdefghijklmnop\n"[(seed >> 24) as usize % 17]
        })
        .collect()
}

fn open_bytes(bytes: &[u8]) -> Result<Box<dyn Read + Send>, SourceError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    fs::write(&path, bytes).unwrap();
    open(&InputFile {
        path: Some(path),
        name: "x".into(),
        lane: 0,
    })
}

/// The content that is delivered, and the kind of error behind it.
fn read(bytes: &[u8], step: usize) -> (Vec<u8>, Option<io::ErrorKind>) {
    let mut reader = open_bytes(bytes).unwrap();
    let (mut content, mut buffer) = (Vec::new(), vec![0; step]);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return (content, None),
            Ok(n) => content.extend_from_slice(&buffer[..n]),
            Err(error) => return (content, Some(error.kind())),
        }
    }
}

fn check(bytes: &[u8], content: &[u8], error: Option<io::ErrorKind>) {
    for step in [1, 7, 4096, 1 << 20] {
        let found = read(bytes, step);
        assert_eq!(found.1, error, "step {step}");
        assert!(
            found.0 == content,
            "step {step}: {} of {}",
            found.0.len(),
            content.len()
        );
    }
}

#[test]
fn content_is_the_same_however_it_is_packed() {
    let data = noise(100_000);
    let (a, b) = data.split_at(33_333);
    let skippable = b"\x51\x2a\x4d\x18\x03\0\0\0abc";
    check(&data, &data, None);
    check(&gzip(&data), &data, None);
    check(&zstd(&data), &data, None);
    check(&zstd::encode_all(&data[..], 19).unwrap(), &data, None);
    check(&[gzip(a), gzip(b""), gzip(b)].concat(), &data, None);
    check(
        &[&skippable[..], &zstd(a), skippable, &zstd(b""), &zstd(b)].concat(),
        &data,
        None,
    );
    check(b"", b"", None);
    check(&gzip(b""), b"", None);
    check(&zstd(b""), b"", None);
}

#[test]
fn byte_order_mark_is_removed_once() {
    check(b"\xef\xbb\xbf{}\n", b"{}\n", None);
    check(&gzip(b"\xef\xbb\xbf{}\n"), b"{}\n", None);
    check(b"\xef\xbb\xbf\xef\xbb\xbf{}", b"\xef\xbb\xbf{}", None);
    check(b"\xef\xbb", b"\xef\xbb", None);
    check(b"\xef\xbb\xbf", b"", None);
}

#[test]
fn trailing_garbage_is_an_error_behind_the_data() {
    let data = noise(70_000);
    check(
        &[&gzip(&data)[..], b"garbage"].concat(),
        &data,
        Some(io::ErrorKind::InvalidData),
    );
    check(
        &[&gzip(&data)[..], b"\x1fgarbage"].concat(),
        &data,
        Some(io::ErrorKind::InvalidData),
    );
    check(
        &[&zstd(&data)[..], b"garbage"].concat(),
        &data,
        Some(io::ErrorKind::InvalidData),
    );
    check(
        &[&gzip(&data)[..], b"\x1f\x8b"].concat(),
        &data,
        Some(io::ErrorKind::UnexpectedEof),
    );
    check(
        &[&zstd(&data)[..], b"\x28"].concat(),
        &data,
        Some(io::ErrorKind::UnexpectedEof),
    );
}

#[test]
fn cut_gives_all_before_it_and_an_error() {
    let data = noise(40_000);
    for packed in [gzip(&data), zstd(&data)] {
        let mut before = 0;
        for cut in (4..packed.len()).step_by(61) {
            let (content, error) = read(&packed[..cut], 1 << 20);
            assert_eq!(error, Some(io::ErrorKind::UnexpectedEof), "cut at {cut}");
            assert!(
                data.starts_with(&content) && content.len() >= before,
                "cut at {cut}"
            );
            before = content.len();
        }
        assert!(before > 34_000, "{before}");
        check(
            &packed[..packed.len() - 1],
            &data,
            Some(io::ErrorKind::UnexpectedEof),
        );
    }
}

#[test]
fn damage_gives_the_same_bytes_whatever_the_read_size() {
    let data = noise(60_000);
    for packed in [gzip(&data), zstd(&data)] {
        for at in (20..packed.len()).step_by(997) {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x10;
            let (content, error) = read(&damaged, 1 << 20);
            assert!(error.is_some(), "flip at {at}");
            assert_eq!(read(&damaged, 13), (content.clone(), error), "flip at {at}");
            // What comes from before the flip is there, but for one block of the encoder.
            let whole = content
                .iter()
                .zip(&data)
                .take_while(|(a, b)| a == b)
                .count();
            let (intact, _) = read(&packed[..at], 1 << 20);
            assert!(
                whole + 5_000 >= intact.len(),
                "flip at {at}: {whole}, {}",
                intact.len()
            );
        }
    }
}

#[test]
fn wrong_checksum_is_an_error_behind_the_data() {
    let data = noise(1000);
    let mut packed = gzip(&data);
    let at = packed.len() - 6;
    packed[at] ^= 1;
    check(&packed, &data, Some(io::ErrorKind::InvalidData));
    let mut packed = zstd(&data);
    let at = packed.len() - 1;
    packed[at] ^= 1;
    check(&packed, &data, Some(io::ErrorKind::InvalidData));
}

#[test]
fn window_over_the_limit_is_refused() {
    // Frame header that asks for a window of 2 GiB, and an empty last block.
    let frame = b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00";
    check(frame, b"", Some(io::ErrorKind::InvalidData));
}

fn check_refused(bytes: &[u8], shape: &str) {
    match open_bytes(bytes) {
        Err(SourceError::Shape { shape: found, .. }) => assert_eq!(found.to_string(), shape),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("`{shape}` is not refused"),
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let tar = [&[b'x'; 257][..], b"ustar\x0000"].concat();
    check_refused(b"BZh91AY&SY...", "bzip2 data");
    check_refused(b"\xfd7zXZ\0...", "xz data");
    check_refused(b"PK\x03\x04...", "a zip archive");
    check_refused(&tar, "a tar archive");
    check_refused(&gzip(&tar), "a tar archive");
    check_refused(&gzip(&gzip(b"x")), "gzip data inside other compression");
    check_refused(&gzip(&zstd(b"x")), "zstd data inside other compression");
    check_refused(b"\xff\xfe{\0}\0", "UTF-16 text");
    check_refused(b"\xfe\xff\0{\0}", "UTF-16 text");
    check_refused(&zstd(b"{\0\"\0k\0"), "UTF-16 text");
}

#[test]
fn only_regular_files_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for path in [socket, folder.path().into(), "/dev/zero".into()] {
        let file = InputFile {
            path: Some(path),
            name: "x".into(),
            lane: 0,
        };
        assert!(
            matches!(open(&file), Err(SourceError::NotAFile { .. })),
            "{file:?}"
        );
    }
    let file = InputFile {
        path: Some(folder.path().join("no")),
        name: "x".into(),
        lane: 0,
    };
    assert!(matches!(open(&file), Err(SourceError::Open { .. })));
}
