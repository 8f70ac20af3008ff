//! What chunks promise.

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
    ChunkReader::new(7, "x".into(), Box::new(dribble), target, max)
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
    let mut chunks = ChunkReader::new(0, "x".into(), Box::new(long), 1 << 16, 1 << 20);
    let chunk = chunks.next(Vec::new()).unwrap().unwrap();
    assert_eq!(
        (chunk.offset, chunk.line, &chunk.data[..]),
        ((3 << 30) + 1, 2, &b"ok\n"[..])
    );
    assert!(chunk.data.capacity() < 4 << 20);
    assert_eq!(chunks.take_oversize()[0].length, 3 << 30);
    assert_eq!(chunks.offset(), (3 << 30) + 4);
}

#[test]
fn event_behind_a_hole_is_kept() {
    let hole = io::repeat(0).take(1_000_003).chain(&b"{}\n{}\n"[..]);
    let mut chunks = ChunkReader::new(0, "x".into(), Box::new(hole), 1000, 2000);
    let chunk = chunks.next(Vec::new()).unwrap().unwrap();
    assert_eq!((chunk.offset, chunk.line), (1_000_000, 1));
    assert_eq!(chunk.data, b"\0\0\0{}\n{}\n");
    assert_eq!(
        (chunks.nul_bytes(), chunks.offset()),
        (1_000_000, 1_000_009)
    );
}

#[test]
fn buffer_is_used_again() {
    let mut chunks = reader(&b"0123456\n".repeat(100), 4096, false, 64, 640);
    let first = chunks.next(Vec::with_capacity(64)).unwrap().unwrap();
    let place = first.data.as_ptr();
    let second = chunks.next(first.data).unwrap().unwrap();
    assert_eq!((second.data.as_ptr(), second.data.len()), (place, 64));
}
