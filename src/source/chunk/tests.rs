//! What chunks promise.

use std::fmt::Write as _;

use super::*;

/// Hands out `step` bytes at a time, is interrupted now and then, and fails at the end if asked.
struct Dribble {
    data: Vec<u8>,
    at: usize,
    step: usize,
    calls: usize,
    fails: bool,
}

impl Read for Dribble {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let rest = &self.data[self.at..];
        if rest.is_empty() && self.fails {
            return Err(io::Error::other("torn"));
        }
        let n = self.step.min(out.len()).min(rest.len());
        out[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}

fn reader(data: &[u8], step: usize, fails: bool, target: usize, max: usize) -> ChunkReader {
    let dribble = Dribble {
        data: data.to_vec(),
        at: 0,
        step,
        calls: 0,
        fails,
    };
    let options = ReadOptions {
        framing: Some(Framing::Lines),
        ..options(target, max)
    };
    ChunkReader::new(7, "x".into(), Content::new(Box::new(dribble)), &options)
}

fn options(target: usize, max: usize) -> ReadOptions {
    ReadOptions {
        chunk_bytes: target,
        max_line_bytes: max,
        ..ReadOptions::default()
    }
}

type Pieces = Vec<(u64, u64, Vec<u8>)>;

/// All chunks as (offset, line, data), the lines passed over, and the error's offset.
fn read(mut reader: ChunkReader) -> (Pieces, Vec<Oversize>, Option<u64>) {
    let (mut pieces, mut failed, mut buffer) = (Vec::new(), None, b"stale".to_vec());
    loop {
        match reader.next(buffer) {
            Ok(Some(chunk)) => {
                assert_eq!(chunk.file, 7);
                assert!(!chunk.data.is_empty());
                pieces.push((chunk.offset, chunk.line, chunk.data.clone()));
                buffer = chunk.data;
            }
            Ok(None) => break,
            Err(SourceError::Read { offset, .. }) => {
                assert_eq!(failed.replace(offset), None, "one error");
                buffer = Vec::new();
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(matches!(reader.next(Vec::new()), Ok(None)));
    (pieces, reader.take_oversize(), failed)
}

fn check(input: &str, target: usize, max: usize, chunks: &[(u64, u64, &str)], over: &[[u64; 3]]) {
    let chunks: Pieces = chunks
        .iter()
        .map(|&(offset, line, data)| (offset, line, data.into()))
        .collect();
    let over: Vec<Oversize> = over
        .iter()
        .map(|&[line, offset, length]| Oversize {
            file: 7,
            line,
            offset,
            length,
            head: input.as_bytes()[usize::try_from(offset).unwrap()..]
                [..usize::try_from(length).unwrap()]
                .to_vec(),
        })
        .collect();
    for step in [1, 2, 3, 7, 4095, 4096, 4097] {
        for fails in [false, true] {
            let found = read(reader(input.as_bytes(), step, fails, target, max));
            let failed = fails.then_some(input.len() as u64);
            assert_eq!(
                found,
                (chunks.clone(), over.clone(), failed),
                "{input:?} by {step}"
            );
        }
    }
}

#[test]
fn lines_stay_whole() {
    check("", 8, 64, &[], &[]);
    check("\n", 8, 64, &[(0, 1, "\n")], &[]);
    check("ab", 8, 64, &[(0, 1, "ab")], &[]);
    check("ab\ncd\n", 8, 64, &[(0, 1, "ab\ncd\n")], &[]);
    check(
        "ab\ncd\nef\ngh",
        8,
        64,
        &[(0, 1, "ab\ncd\n"), (6, 3, "ef\ngh")],
        &[],
    );
    check(
        "abcdefg\nh\n",
        8,
        64,
        &[(0, 1, "abcdefg\n"), (8, 2, "h\n")],
        &[],
    );
    check(
        "a\r\nb\0\r\n\n\n",
        8,
        64,
        &[(0, 1, "a\r\nb\0\r\n\n"), (8, 4, "\n")],
        &[],
    );
    check("abcdefgh", 8, 64, &[(0, 1, "abcdefgh")], &[]);
}

#[test]
fn long_line_is_a_chunk_of_its_own() {
    check(
        "abcde\nf\n",
        4,
        64,
        &[(0, 1, "abcde\n"), (6, 2, "f\n")],
        &[],
    );
    check(
        "a\nbcdefghijklm\nn\n",
        4,
        64,
        &[(0, 1, "a\n"), (2, 2, "bcdefghijklm\n"), (15, 3, "n\n")],
        &[],
    );
    check("abcdefghi", 4, 64, &[(0, 1, "abcdefghi")], &[]);
    check("abcdefgh\n", 4, 8, &[(0, 1, "abcdefgh\n")], &[]);
}

#[test]
fn line_over_the_limit_is_passed_over() {
    check("abcdefghi\nj\n", 4, 8, &[(10, 2, "j\n")], &[[1, 0, 9]]);
    check("abcdefghi", 4, 8, &[], &[[1, 0, 9]]);
    check(
        "a\nbcdefghijklmnopqrstuvw\nx",
        4,
        8,
        &[(0, 1, "a\n"), (25, 3, "x")],
        &[[2, 2, 22]],
    );
    check(
        "123456789\n123456789\n",
        4,
        8,
        &[],
        &[[1, 0, 9], [2, 10, 9]],
    );
    check("1234\n1\n", 90, 3, &[(5, 2, "1\n")], &[[1, 0, 4]]);
}

#[test]
fn any_target_and_any_step_give_the_same_lines() {
    let mut text = String::new();
    for n in 0..600_usize {
        text.push_str(&"x".repeat(n * n % 97));
        text.push('\n');
    }
    let lines = |target, step| {
        let (pieces, over, _) = read(reader(text.as_bytes(), step, false, target, 80));
        let mut lines = Vec::new();
        for (mut offset, first, data) in pieces {
            for (line, bytes) in (first..).zip(data.split_inclusive(|&byte| byte == b'\n')) {
                lines.push((offset, line, bytes.to_vec()));
                offset += bytes.len() as u64;
            }
        }
        (lines, over)
    };
    let whole = lines(80, 1 << 20);
    assert_eq!(whole.0.len() + whole.1.len(), 600);
    for target in [1, 2, 3, 31, 79, 80, 4096] {
        for step in [1, 7, 4096] {
            assert_eq!(lines(target, step), whole, "target {target}, step {step}");
        }
    }
}

#[test]
fn line_of_gigabytes_costs_no_memory() {
    let long = io::repeat(b'x').take(3 << 30).chain(&b"\nok\n"[..]);
    let mut chunks = open(long, Framing::Lines, 1 << 16, 1 << 20);
    let chunk = chunks.next(Vec::new()).unwrap().unwrap();
    assert_eq!(
        (chunk.offset, chunk.line, &chunk.data[..]),
        ((3 << 30) + 1, 2, &b"ok\n"[..])
    );
    assert!(chunk.data.capacity() < 4 << 20);
    let oversize = &chunks.take_oversize()[0];
    assert_eq!(oversize.length, 3 << 30);
    assert_eq!(oversize.head, [b'x'; OVERSIZE_HEAD_BYTES]);
    assert_eq!(chunks.offset(), (3 << 30) + 4);
}

/// Chunks as (offset, line, text), and how many NULs were passed over.
fn read_holes(
    input: impl Read + Send + 'static,
    target: usize,
    max: usize,
) -> (Vec<(u64, u64, String)>, u64) {
    let mut chunks = open(input, Framing::Lines, target, max);
    let mut found = Vec::new();
    while let Some(chunk) = chunks.next(Vec::new()).unwrap() {
        assert!(chunk.data.capacity() <= 4 * max);
        found.push((
            chunk.offset,
            chunk.line,
            String::from_utf8(chunk.data).unwrap(),
        ));
    }
    (found, chunks.nul_bytes())
}

fn zeros(n: u64) -> io::Take<io::Repeat> {
    io::repeat(0).take(n)
}

#[test]
fn what_stands_around_a_hole_is_kept() {
    let text = |offset, line, text: &str| (offset, line, text.to_owned());
    let at_start = zeros(1_000_003).chain(&b"{}\n{}\n"[..]);
    assert_eq!(
        read_holes(at_start, 1000, 8000),
        (vec![text(1_000_003, 1, "{}\n{}\n")], 1_000_003)
    );
    let inside = (&b"a\nbc"[..])
        .chain(zeros(1_000_000))
        .chain(&b"de\nf\n"[..]);
    assert_eq!(
        read_holes(inside, 1000, 8000),
        (
            vec![
                text(0, 1, "a\n"),
                text(2, 2, "bc"),
                text(1_000_004, 2, "de\nf\n")
            ],
            1_000_000
        )
    );
    // Behind a line over the limit, and at the end.
    let long = io::repeat(b'x')
        .take(9000)
        .chain(zeros(50_000))
        .chain(&b"a"[..])
        .chain(zeros(50_000));
    assert_eq!(
        read_holes(long, 1000, 8000),
        (vec![text(59_000, 1, "a")], 100_000)
    );
    assert_eq!(read_holes(zeros(70_000), 1000, 8000), (vec![], 70_000));
}

#[test]
fn holes_split_the_same_records_whatever_the_chunk() {
    let mut seed = 7;
    let mut input = Vec::new();
    while input.len() < 200_000 {
        let n = random(&mut seed);
        match n % 4 {
            0 => input.resize(input.len() + n / 4 % 9000, 0),
            1 => input.push(b'\n'),
            _ => input.resize(input.len() + n / 4 % 3000, b'x'),
        }
    }
    let records = |target, step| {
        let (pieces, over, _) = read(reader(&input, step, false, target, 5000));
        let mut records = Vec::new();
        for (offset, first, data) in pieces {
            let mut at = offset;
            for (line, text) in (first..).zip(data.split_inclusive(|&byte| byte == b'\n')) {
                let text = std::str::from_utf8(text).unwrap();
                for (start, piece) in crate::source::split_holes(text) {
                    if !crate::source::trim_record(piece).is_empty() {
                        records.push((at + start as u64, line, piece.trim_end().len()));
                    }
                }
                at += text.len() as u64;
            }
        }
        (records, over)
    };
    let expected = records(5000, 1 << 20);
    assert!(expected.0.len() > 10 && !expected.1.is_empty());
    for target in [1, 100, 1000, 4096, 4999] {
        for step in [1, 2, 3, 7, 4095, 4096, 4097] {
            assert!(
                records(target, step) == expected,
                "target {target}, step {step}"
            );
        }
    }
}

#[test]
fn sparse_file_costs_neither_time_nor_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse.log");
    let mut file = std::fs::File::create(&path).unwrap();
    io::Write::write_all(&mut file, b"{\"a\":1").unwrap();
    io::Seek::seek(&mut file, io::SeekFrom::Start(2 << 30)).unwrap();
    io::Write::write_all(&mut file, b"{}\n").unwrap();
    let started = std::time::Instant::now();
    let file = std::fs::File::open(path).unwrap();
    let (found, nul) = read_holes(file, 1 << 20, 64 << 20);
    assert_eq!(found[0].2, "{\"a\":1");
    assert_eq!(found[1], (2 << 30, 1, "{}\n".to_owned()));
    assert_eq!((found.len(), nul), (2, (2 << 30) - 6));
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

#[test]
fn limit_is_exact() {
    for max in [1, 7, 4095, 4096, 4097, 100_000] {
        for target in [1, 64, 1 << 20] {
            let line = |n: usize| [vec![b'x'; n], b"\n".to_vec()].concat();
            let input = [line(max), line(max + 1), line(max)].concat();
            let (pieces, over, _) = read(reader(&input, 4096, false, target, max));
            let bytes: usize = pieces.iter().map(|(.., data)| data.len()).sum();
            assert_eq!(bytes, 2 * max + 2, "max {max}, target {target}");
            assert_eq!(over.len(), 1);
            assert_eq!((over[0].line, over[0].length), (2, max as u64 + 1));
            assert_eq!(over[0].head.len(), OVERSIZE_HEAD_BYTES.min(max + 1));
        }
    }
}

#[test]
fn many_long_lines_cost_no_memory() {
    let input = "xx\n".repeat(10 * OVERSIZE_MAX);
    let mut chunks = open(io::Cursor::new(input), Framing::Lines, 1, 1);
    let mut total = 0;
    while chunks.next(Vec::new()).unwrap().is_some() {
        let over = chunks.take_oversize().len();
        assert!(over <= OVERSIZE_MAX, "{over}");
        total += over;
    }
    assert_eq!(total + chunks.take_oversize().len(), 10 * OVERSIZE_MAX);
}

/// Chunks as text.
fn texts(input: &str, framing: Framing, target: usize, max: usize) -> Vec<String> {
    let mut chunks = open(io::Cursor::new(input.to_owned()), framing, target, max);
    let mut texts = Vec::new();
    while let Some(chunk) = chunks.next(Vec::new()).unwrap() {
        texts.push(String::from_utf8(chunk.data).unwrap());
    }
    texts
}

#[test]
fn chunk_never_ends_between_parts() {
    let mut seed = 3;
    let mut input = String::new();
    for n in 0..2000 {
        let stream = ["stdout", "stderr"][random(&mut seed) % 2];
        let flag = ["P", "P", "F"][random(&mut seed) % 3];
        let text = "x".repeat(random(&mut seed) % 50);
        writeln!(input, "2026-11-22T05:10:25Z {stream} {flag} {n} {text}").unwrap();
    }
    for target in [1, 50, 333, 4000, 1 << 20] {
        let chunks = texts(&input, Framing::Partial, target, 1 << 20);
        assert_eq!(chunks.concat(), input);
        assert!(target > 4000 || chunks.len() > 10);
        for chunk in &chunks[..chunks.len() - 1] {
            for stream in ["stdout", "stderr"] {
                let last = chunk.lines().rev().find(|line| line.contains(stream));
                assert!(
                    last.is_none_or(|line| line.contains(&format!("{stream} F"))),
                    "{chunk}"
                );
            }
        }
    }
}

#[test]
fn parts_over_the_limit_are_cut_where_they_are() {
    let line = |flag: &str| format!("2026-11-22T05:10:25Z stdout {flag} xxxxx\n");
    let n = line("P").len();
    let input = [line("F"), line("P").repeat(5), line("F"), line("F")].concat();
    for target in [1, n, 2 * n - 1] {
        let chunks = texts(&input, Framing::Partial, target, 3 * n - 1);
        assert_eq!(
            chunks
                .iter()
                .map(|chunk| chunk.len() / n)
                .collect::<Vec<_>>(),
            [1, 3, 3, 1],
            "target {target}"
        );
    }
    let docker = [
        r#"{"log":"a","stream":"stdout","time":"x"}"#,
        r#"{"log":"b\n","stream":"stdout","time":"x"}"#,
        r#"{"log":"c\n","stream":"stdout","time":"x"}"#,
        "",
    ]
    .join("\n");
    let chunks = texts(&docker, Framing::Partial, 1, 1000);
    assert_eq!(
        chunks
            .iter()
            .map(|chunk| chunk.lines().count())
            .collect::<Vec<_>>(),
        [2, 1]
    );
}

#[test]
fn header_goes_with_every_chunk() {
    let input = "\n\u{feff}AuditId,RequestUri\r\na,b\nc,d\n";
    let mut chunks = ChunkReader::new(
        0,
        "x".into(),
        Content::new(Box::new(io::Cursor::new(input))),
        &options(4, 100),
    );
    assert_eq!(chunks.framing(), Framing::Csv);
    for (offset, line, text) in [(24, 3, "a,b\n"), (28, 4, "c,d\n")] {
        let chunk = chunks.next(Vec::new()).unwrap().unwrap();
        assert_eq!(chunk.header.as_deref(), Some("AuditId,RequestUri"));
        let found = (chunk.offset, chunk.line, chunk.data);
        assert_eq!(found, (offset, line, text.as_bytes().to_vec()));
    }
    assert!(chunks.next(Vec::new()).unwrap().is_none());
    assert!(texts("AuditId", Framing::Csv, 4, 100).is_empty());
    assert!(texts("", Framing::Csv, 4, 100).is_empty());
    // A row with an object names no columns.
    let rows = "1,\"{}\"\n2,\"{}\"\n";
    assert_eq!(texts(rows, Framing::Csv, 100, 100), [rows]);
}

#[test]
fn errors_say_where() {
    use crate::source::open::open;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gz");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::Write::write_all(&mut encoder, &b"0123456\n".repeat(1000)).unwrap();
    let packed = encoder.finish().unwrap();
    std::fs::write(&path, &packed[..packed.len() - 3]).unwrap();
    let file = crate::source::InputFile {
        path: Some(path),
        name: "x".into(),
        lane: 0,
        from: crate::source::Start::default(),
        is_growing: false,
        piece: None,
    };
    let fail = |options: &ReadOptions| {
        let content = open(&file, options).unwrap();
        let mut chunks = ChunkReader::new(0, "x".into(), content, options);
        let mut bytes = 0;
        loop {
            match chunks.next(Vec::new()) {
                Ok(chunk) => bytes += chunk.expect("an error before the end").data.len(),
                Err(error) => return (bytes, error),
            }
        }
    };
    let (bytes, error) = fail(&options(64, 640));
    assert_eq!(bytes, 8000);
    let at = packed.len() - 3;
    assert_eq!(
        error.to_string(),
        format!(
            "cannot read `x` past byte 8000 of its content: unexpected end of gzip data, at byte {at} of the compressed file"
        )
    );
    assert!(
        matches!(error, SourceError::Read { packed_offset: Some(n), .. } if n == at as u64),
        "{error:?}"
    );
    let (bytes, error) = fail(&ReadOptions {
        max_decompressed_bytes: 100,
        ..options(64, 640)
    });
    assert_eq!(bytes, 100);
    assert_eq!(
        error.to_string(),
        "`x` unpacks to more than 100 bytes; read up to byte 100 of its content"
    );
}

fn random(seed: &mut u64) -> usize {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*seed >> 40).unwrap()
}

fn open(
    input: impl Read + Send + 'static,
    framing: Framing,
    target: usize,
    max: usize,
) -> ChunkReader {
    let options = ReadOptions {
        framing: Some(framing),
        ..options(target, max)
    };
    ChunkReader::new(0, "x".into(), Content::new(Box::new(input)), &options)
}

#[test]
fn buffer_is_used_again() {
    let mut chunks = reader(&b"0123456\n".repeat(100), 4096, false, 64, 640);
    let first = chunks.next(Vec::with_capacity(64)).unwrap().unwrap();
    let place = first.data.as_ptr();
    let second = chunks.next(first.data).unwrap().unwrap();
    assert_eq!((second.data.as_ptr(), second.data.len()), (place, 64));
}

#[test]
fn document_that_breaks_off_comes_before_the_error() {
    let dribble = Dribble {
        data: b"{}\n{\"a\":\n".to_vec(),
        at: 0,
        step: 2,
        calls: 0,
        fails: true,
    };
    let mut chunks = open(dribble, Framing::Documents, 4, 100);
    let mut texts = Vec::new();
    let error = loop {
        match chunks.next(Vec::new()) {
            Ok(chunk) => {
                let chunk = chunk.expect("an error before the end");
                for record in chunk.records.unwrap() {
                    texts.push(chunk.data[record.start..record.end].to_vec());
                }
            }
            Err(error) => break error,
        }
    };
    assert_eq!(texts, [&b"{}"[..], b"{\"a\":"]);
    assert!(matches!(
        error,
        SourceError::Read {
            offset: 9,
            packed_offset: None,
            ..
        }
    ));
    assert!(chunks.next(Vec::new()).unwrap().is_none());
}

#[test]
fn rows_are_the_same_whatever_the_size_of_a_chunk() {
    let rows =
        "a,\"b\nc\n\",d\ne,f,g\nh,5\" i,j\nk,\"l,m\nn,o,p\nq,\"\"\"r\"\"\n\",\"s\nt\"\nu,v,w";
    let data = format!("time,verb,note\n{rows}");
    let records = |target: usize, step: usize| {
        let dribble = Dribble {
            data: data.clone().into_bytes(),
            at: 0,
            step,
            calls: 0,
            fails: false,
        };
        let content = Content::new(Box::new(dribble));
        let mut reader = ChunkReader::new(0, "x".into(), content, &options(target, 1 << 10));
        assert_eq!(reader.framing(), Framing::Csv);
        let mut found = Vec::new();
        while let Some(chunk) = reader.next(Vec::new()).unwrap() {
            let text = String::from_utf8(chunk.data).unwrap();
            if let Some(spans) = chunk.records {
                for span in spans {
                    let place = chunk.offset + span.start as u64;
                    found.push((place, span.line, text[span.start..span.end].to_owned()));
                }
                continue;
            }
            let mut place = chunk.offset;
            for (line, row) in (chunk.line..).zip(text.split_inclusive('\n')) {
                found.push((place, line, row.to_owned()));
                place += row.len() as u64;
            }
        }
        found
    };
    let whole = records(1 << 10, 1 << 10);
    let first_lines = [2, 5, 6, 7, 8, 9, 12];
    assert!(whole.iter().map(|(_, line, _)| *line).eq(first_lines));
    for (target, step) in (1..90).flat_map(|target| [(target, 1), (target, 7), (target, 1000)]) {
        assert_eq!(records(target, step), whole, "{target} {step}");
    }
}
