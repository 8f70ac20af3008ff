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

fn open_bytes(bytes: &[u8]) -> Result<Content, SourceError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    fs::write(&path, bytes).unwrap();
    open_path(path, &ReadOptions::default())
}

fn open_path(path: std::path::PathBuf, options: &ReadOptions) -> Result<Content, SourceError> {
    let file = InputFile {
        path: Some(path),
        name: "x".into(),
        lane: 0,
        from: crate::source::Start::default(),
        is_growing: false,
        piece: None,
    };
    open(&file, options)
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
fn compressed_data_behind_text_is_known_by_its_magic() {
    use crate::decode::text_of;
    use crate::source::unpack::appended;
    let found = |parts: &[&[u8]]| {
        let (text, not_utf8) = text_of(parts.concat());
        appended(&text, &not_utf8)
    };
    for packed in [gzip(b"x\n"), zstd(b"x\n")] {
        for text in [&b"{\"a\":\"(?/?\"}\n"[..], b"{}", b""] {
            assert_eq!(found(&[text, &packed, b"\n{}\n"]), Some(text.len()));
            assert_eq!(found(&[text, &packed[..2]]), None, "cut");
        }
        assert_eq!(found(&[b"{\"a\":\"", &packed, b"\"}\n"]), None, "in a line");
    }
    assert_eq!(found(&[b"{}\n(\xb5/x\n\x1f\x8b\n"]), None);
}

#[test]
fn archives_are_unpacked_into_a_folder() {
    let hint = |bytes: &[u8], name| Format::of(bytes).unwrap().hint(name);
    let tar = "unpack it first: mkdir logs && tar -xf FILE -C logs && kubescry scan logs";
    assert_eq!(hint(b"BZh9", "a.tar.bz2"), tar);
    assert_eq!(hint(b"\xfd7zXZ\0", "a.txz"), tar);
    let bzip2 = "unpack it first: bzip2 -dc FILE | kubescry scan -";
    assert_eq!(hint(b"BZh9", "audit.log.bz2"), bzip2);
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
        for cut in (4..packed.len())
            .step_by(61)
            .chain((64..packed.len()).step_by(64))
        {
            if cut == 64 {
                before = 0;
            }
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

fn check_refused(bytes: &[u8], name: &str) {
    match open_bytes(bytes) {
        Err(error @ SourceError::Format { .. }) => {
            assert!(error.to_string().contains(name), "{error}");
            assert!(error.hint().is_some());
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("`{name}` is not refused"),
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let tar = [&[b'x'; 257][..], b"ustar\x0000"].concat();
    check_refused(b"BZh91AY&SY...", "bzip2 data");
    check_refused(b"\xfd7zXZ\0...", "xz data");
    check_refused(b"PK\x03\x04...", "a zip archive");
    check_refused(b"7z\xbc\xaf\x27\x1c", "a 7z archive");
    check_refused(b"PAR1....", "a Parquet file");
    check_refused(b"ElfFile\0", "a Windows event log");
    check_refused(b"SQLite format 3\0", "a SQLite database");
    check_refused(&tar, "a tar archive");
    check_refused(&gzip(&tar), "a tar archive");
    check_refused(&gzip(&zstd(&gzip(b"x"))), "gzip data inside two");
    check_refused(&gzip(&gzip(&zstd(b"x"))), "zstd data inside two");
    check_refused(b"\xff\xfe\0\0{\0\0\0", "UTF-32 text");
    check_refused(b"%PDF-1.7\n", "a PDF document");
    check_refused(b"-----BEGIN PGP MESSAGE-----\n\nhQEM", "an OpenPGP message");
    for start in [
        &b"\x85\x01\x0c\x03"[..],
        b"\x8c\x0d\x04\x09",
        b"\xc3\x2e\x05\x09",
    ] {
        check_refused(start, "an OpenPGP message");
    }
    check_refused(b"age-encryption.org/v1\n-> X25519", "encrypted with age");
    check_refused(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        "a Git LFS pointer",
    );
    for page in [
        "<!DOCTYPE html>\n<html>",
        "\u{feff}\n<HTML lang=en>",
        "<?xml version='1.0'?>\n<html>",
    ] {
        check_refused(page.as_bytes(), "an HTML page");
    }
    let denied = "<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    check_refused(denied.as_bytes(), "an object store (AccessDenied)");
    check_refused(
        b"<Error><Code>Odd</Code></Error>",
        "an error of an object store,",
    );
    check_refused(b"<?xml version='1.0'?><Events/>", "an XML document");
}

#[test]
fn text_that_a_log_follows_is_read() {
    check("é\n".as_bytes(), "é\n".as_bytes(), None);
    let log = b"<html>\n{\"apiVersion\":\"audit.k8s.io/v1\"}\n";
    check(log, log, None);
}

#[test]
fn two_layers_are_unpacked() {
    let data = noise(100_000);
    check(&gzip(&gzip(&data)), &data, None);
    check(&gzip(&zstd(&data)), &data, None);
    check(&zstd(&gzip(&data)), &data, None);
    let inner = gzip(&data);
    let (content, error) = read(&gzip(&inner[..inner.len() - 9]), 1 << 20);
    assert_eq!(error, Some(io::ErrorKind::UnexpectedEof));
    assert!(data.starts_with(&content) && content.len() > 90_000);
}

#[test]
fn zeros_behind_the_data_are_padding() {
    let data = noise(70_000);
    let zeros = vec![0; 300_000];
    for packed in [gzip(&data), zstd(&data)] {
        check(&[&packed[..], &zeros[..]].concat(), &data, None);
        check(
            &[&packed[..], &zeros, &packed].concat(),
            &data.repeat(2),
            None,
        );
        check(
            &[&packed[..], &zeros, b"x"].concat(),
            &data,
            Some(io::ErrorKind::InvalidData),
        );
    }
}

#[test]
fn limit_on_the_content_is_exact() {
    let data = noise(10_000);
    let limited = |packed: &[u8], limit| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, packed).unwrap();
        let options = ReadOptions {
            max_decompressed_bytes: limit,
            ..ReadOptions::default()
        };
        let mut content = Vec::new();
        let error = open_path(path, &options).unwrap().read_to_end(&mut content);
        let error = error.err().map(|error| error.to_string());
        (content, error)
    };
    for packed in [gzip(&data), zstd(&data), gzip(&gzip(&data))] {
        assert_eq!(limited(&packed, 10_000), (data.clone(), None));
        let error = "more than 9999 bytes when unpacked".to_owned();
        assert_eq!(
            limited(&packed, 9_999),
            (data[..9_999].to_vec(), Some(error))
        );
    }
    assert_eq!(limited(&data, 1), (data.clone(), None), "not compressed");
}

#[test]
fn bomb_costs_time_only_up_to_the_limit() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::copy(&mut io::repeat(0).take(100 << 20), &mut encoder).unwrap();
    let bomb = gzip(&encoder.finish().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    fs::write(&path, bomb).unwrap();
    let options = ReadOptions {
        max_decompressed_bytes: 10 << 20,
        ..ReadOptions::default()
    };
    let mut content = open_path(path, &options).unwrap();
    let mut n = 0;
    let mut buffer = vec![0; 1 << 16];
    let error = loop {
        match content.read(&mut buffer) {
            Ok(0) => panic!("no error"),
            Ok(more) => n += more,
            Err(error) => break error,
        }
    };
    assert_eq!((n, error.kind()), (10 << 20, io::ErrorKind::Other));
}

#[test]
fn dictionary_is_named() {
    // Frame header with a dictionary id of one byte, and an empty last block.
    let frame = b"\x28\xb5\x2f\xfd\x21\x07\x00\x01\x00\x00";
    let mut content = open_bytes(frame).unwrap();
    let error = content.read(&mut [0; 10]).unwrap_err().to_string();
    assert!(error.contains("was made with a dictionary"), "{error}");
}

#[test]
fn utf_16_is_decoded() {
    let text = "{\"user\":\"zoë\"}\n".repeat(10_000);
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for bytes in [
        [b"\xff\xfe", &little[..]].concat(),
        [b"\xfe\xff", &big[..]].concat(),
        gzip(&little),
        big,
    ] {
        check(&bytes, text.as_bytes(), None);
    }
    let packed = gzip(&little);
    let (content, error) = read(&packed[..packed.len() - 1], 1 << 20);
    assert_eq!(
        (content, error),
        (text.into_bytes(), Some(io::ErrorKind::UnexpectedEof))
    );
}

#[test]
fn lines_may_end_at_cr() {
    check(b"a\rb\r", b"a\nb\n", None);
    check(b"a\r\nb\rc", b"a\r\nb\rc", None);
    let long = [&b"x".repeat(70_000)[..], b"\r"].concat();
    check(&long, &long, None);
    let late = [&b"a\r"[..], &long].concat();
    let turned = [&b"a\n"[..], &long[..70_000], b"\n"].concat();
    check(&late, &turned, None);
    // The line end may be cut in two by the end of what is looked at.
    let split = [&b"x".repeat(65_535)[..], b"\r\nb\r\n"].concat();
    check(&split, &split, None);
}

#[test]
fn only_regular_files_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let options = ReadOptions::default();
    for path in [socket, folder.path().into(), "/dev/zero".into()] {
        assert!(
            matches!(
                open_path(path.clone(), &options),
                Err(SourceError::NotAFile { .. })
            ),
            "{path:?}"
        );
    }
    let missing = open_path(folder.path().join("no"), &options);
    assert!(matches!(missing, Err(SourceError::Open { .. })));
}

/// Returns the content of `bytes` and what is said behind it.
fn read_all(bytes: &[u8]) -> (Vec<u8>, Option<String>) {
    let mut content = Vec::new();
    let read = open_bytes(bytes).unwrap().read_to_end(&mut content);
    (content, read.err().map(|error| error.to_string()))
}

#[test]
fn what_stands_whole_behind_a_cut_is_read() {
    let parts: Vec<Vec<u8>> = [300_000, 1_000, 30, 200_000]
        .map(|n| [&noise(n)[..], b"\n"].concat())
        .to_vec();
    for pack in [gzip as fn(&[u8]) -> Vec<u8>, zstd] {
        let packed: Vec<Vec<u8>> = parts.iter().map(|part| pack(part)).collect();
        let behind = packed[1..].concat();
        let text = parts[1..].concat();
        for cut in [
            20,
            30,
            1_000,
            33_333,
            packed[0].len() - 20,
            packed[0].len() - 6,
        ] {
            for glue in [
                &b""[..],
                b"\0\0\0",
                b"garbage \x1f\x8b\x08\0 \x28\xb5\x2f\xfd and more",
            ] {
                let file = [&packed[0][..cut], glue, &behind].concat();
                let (content, error) = read_all(&file);
                let behind = [b"\n", &text[..]].concat();
                assert!(content.ends_with(&behind), "{cut}");
                let before = &content[..content.len() - behind.len()];
                let whole = before.iter().zip(&parts[0]).take_while(|(a, b)| a == b);
                let (intact, _) = read(&packed[0][..cut], 1 << 20);
                assert!(whole.count() >= intact.len(), "{cut}");
                let place = format!("reading went on at byte {}", cut + glue.len());
                let error = error.expect("something is missing");
                assert!(error.ends_with(&place), "{cut}: {error}");
                // Nothing of it depends on how it is read.
                assert!(read(&file, 13).0 == content, "{cut}");
            }
        }
    }
}

#[test]
fn every_damaged_place_is_counted() {
    let part = [&noise(50_000)[..], b"\n"].concat();
    for pack in [gzip as fn(&[u8]) -> Vec<u8>, zstd] {
        let packed = pack(&part);
        let cut = &packed[..packed.len() / 2];
        let twice = [cut, &packed, cut, &packed].concat();
        let (content, error) = read_all(&twice);
        assert!(content.ends_with(&part));
        let (first, n_parts) = (
            cut.len(),
            memchr::memmem::find_iter(&content, &part).count(),
        );
        assert_eq!(n_parts, 2);
        let end = format!("reading went on at byte {first}; another place is damaged, too");
        let error = error.expect("something is missing");
        assert!(error.ends_with(&end), "{error}");
        // The last is still being written.
        let (content, error) = read_all(&[cut, &packed, cut].concat());
        assert!(memchr::memmem::find(&content, &part).is_some());
        let error = error.expect("something is missing");
        assert!(error.starts_with("unexpected end of"), "{error}");
        assert!(error.ends_with("another place is damaged, too"), "{error}");
        // What only looks like a header is none.
        let bait = [cut, b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x28\xb5\x2f\xfd"].concat();
        let bait = bait.repeat(3);
        let (content, error) = read_all(&bait);
        assert!(memchr::memmem::find(&content, &part).is_none());
        assert!(error.is_some());
    }
}

#[test]
fn damage_far_into_a_file_costs_no_memory() {
    // More than is kept stands before the damage, and between it and the next member.
    let part = [&noise(3 << 20)[..], b"\n"].concat();
    let packed = gzip(&part);
    assert!(packed.len() > 1 << 20);
    let mut damaged = packed.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 600_000].fill(0xff);
    let (content, error) = read_all(&[&packed[..], &damaged, &packed].concat());
    assert!(content.starts_with(&part) && content.ends_with(&part));
    let place = format!("reading went on at byte {}", 2 * packed.len());
    assert!(error.is_some_and(|error| error.ends_with(&place)));
}
