//! A log that comes slowly, through a pipe: what has come is told while the pipe is open, and how it comes changes
//! nothing.

use std::io::{PipeWriter, Write, pipe};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use flate2::write::GzEncoder;
use kubescry::frame::Vocabulary;
use kubescry::pipeline::{Options, Preview, Session};
use kubescry::source::discover::discover;
use kubescry::source::{InputFile, Piece, ReadOptions, Start};
use tempfile::TempDir;

use crate::support::{RULES, json, options, read, root};

const PATIENCE: Duration = Duration::from_millis(20);

/// How long the slowest machine may take for anything.
const MINUTE: Duration = Duration::from_mins(1);

fn file(lane: u32, path: &Path) -> InputFile {
    InputFile {
        path: Some(path.to_owned()),
        name: format!("log {lane}").into(),
        lane,
        from: Start::default(),
        is_growing: false,
        piece: None,
    }
}

/// Returns a file that is a pipe, and its other end.
fn slow(lane: u32) -> (InputFile, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    let piece = Piece::new(move || Ok(Box::new(reader.try_clone()?)));
    let file = InputFile {
        path: None,
        piece: Some(piece),
        ..file(lane, Path::new(""))
    };
    (file, writer)
}

/// Reads files; returns what is found, and the number of events. `told` gets that of each preview.
fn found(files: Vec<InputFile>, preview: Option<Preview>) -> (String, u64) {
    let (rules, compiled) = &*RULES;
    let options = Options {
        read: ReadOptions {
            patience: Some(PATIENCE),
            ..ReadOptions::default()
        },
        preview,
        ..options(&[])
    };
    let vocabulary = Vocabulary::new();
    let mut session = Session::new(&options, rules, compiled, &vocabulary).unwrap();
    let mut discovery = discover(&[]);
    discovery.files = files;
    session.run(discovery).unwrap();
    let (outcome, summary) = session.outcome();
    assert!(summary.totals.adds_up() && summary.problems.is_empty());
    (json(&outcome.findings), summary.totals.events)
}

/// Returns a preview that sends the number of events, and what it sends.
fn previews() -> (Preview, Receiver<u64>) {
    let (sender, told) = channel();
    let preview = Preview::new(move |_, summary| {
        sender.send(summary.totals.events).unwrap_or_default();
    });
    (preview, told)
}

/// Waits until a preview has told of so many events.
#[track_caller]
fn wait_for(told: &Receiver<u64>, events: u64) {
    while told.recv_timeout(MINUTE).unwrap() != events {}
}

fn log() -> Vec<u8> {
    read(&root().join("sample-logs/v1.36/token-reuse.log.gz"))
}

fn lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

/// Packs pieces, each so that all of it can be unpacked before the next one is there.
fn pack<W: Write>(
    mut encoder: W,
    pieces: &[&[u8]],
    take: impl Fn(&mut W) -> &mut Vec<u8>,
    finish: impl Fn(W) -> Vec<u8>,
) -> Vec<Vec<u8>> {
    let mut packed: Vec<Vec<u8>> = Vec::new();
    for piece in pieces {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
        packed.push(std::mem::take(take(&mut encoder)));
    }
    packed.push(finish(encoder));
    packed
}

#[test]
fn what_has_come_is_told_while_the_pipe_is_open() {
    let text = log();
    let folder = TempDir::new().unwrap();
    let whole = folder.path().join("whole.log");
    std::fs::write(&whole, &text).unwrap();
    let expected = found(vec![file(0, &whole)], None);
    // Pieces end in the middle of lines.
    let pieces: Vec<&[u8]> = text.chunks(text.len() / 4 + 1).collect();
    let plain: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    let gzip = pack(
        GzEncoder::new(Vec::new(), flate2::Compression::fast()),
        &pieces,
        GzEncoder::get_mut,
        |encoder| encoder.finish().unwrap(),
    );
    let zstd = pack(
        zstd::Encoder::new(Vec::new(), 1).unwrap(),
        &pieces,
        zstd::Encoder::get_mut,
        |encoder| encoder.finish().unwrap(),
    );
    for packed in [plain, gzip, zstd] {
        let (file, mut writer) = slow(0);
        let (preview, told) = previews();
        let reading = thread::spawn(move || found(vec![file], Some(preview)));
        let mut n_lines = 0;
        let mut written = 0;
        for (n, bytes) in packed.iter().enumerate() {
            writer.write_all(bytes).unwrap();
            let Some(piece) = pieces.get(n) else { continue };
            n_lines += lines(piece);
            written += piece.len();
            assert!(written == text.len() || text[written - 1] != b'\n');
            wait_for(&told, n_lines);
        }
        drop(writer);
        assert_eq!(reading.join().unwrap(), expected);
    }
}

#[test]
fn a_pipe_is_told_of_beside_an_older_log() {
    let text = log();
    let cut = memchr::memrchr(b'\n', &text[..text.len() / 3]).unwrap() + 1;
    let folder = TempDir::new().unwrap();
    let (older, newer) = (folder.path().join("older"), folder.path().join("newer"));
    std::fs::write(&older, &text[..cut]).unwrap();
    std::fs::write(&newer, &text[cut..]).unwrap();
    let expected = found(vec![file(0, &older), file(1, &newer)], None);
    for pipe_lane in [0, 1] {
        let (pipe, mut writer) = slow(pipe_lane);
        let mut files = vec![pipe, file(1 - pipe_lane, &older)];
        files.sort_by_key(|file| file.lane);
        let (preview, told) = previews();
        let reading = thread::spawn(move || found(files, Some(preview)));
        let mut n_lines = lines(&text[..cut]);
        for piece in text[cut..].chunks(text.len() / 4) {
            writer.write_all(piece).unwrap();
            n_lines += lines(piece);
            wait_for(&told, n_lines);
        }
        drop(writer);
        assert_eq!(reading.join().unwrap(), expected);
    }
}

#[test]
fn a_slow_lane_changes_no_order() {
    // Every second request in the log of another API server.
    let text = log();
    let half = |parity: u8| -> Vec<u8> {
        let of = |line: &&[u8]| {
            let at = memchr::memmem::find(line, b"\"auditID\":\"").unwrap();
            line[at + 11] % 2 == parity
        };
        let lines = text.split_inclusive(|&byte| byte == b'\n');
        lines.filter(of).flatten().copied().collect()
    };
    let folder = TempDir::new().unwrap();
    let paths = [0, 1].map(|parity| {
        let path = folder.path().join(parity.to_string());
        std::fs::write(&path, half(parity)).unwrap();
        path
    });
    let expected = found(vec![file(0, &paths[0]), file(1, &paths[1])], None);
    for pipe_lane in [0, 1] {
        let (pipe, mut writer) = slow(pipe_lane);
        let other = 1 - pipe_lane;
        let mut files = vec![pipe, file(other, &paths[other as usize])];
        files.sort_by_key(|file| file.lane);
        let text = read(&paths[pipe_lane as usize]);
        let reading = thread::spawn(move || found(files, None));
        for piece in text.chunks(text.len() / 5) {
            writer.write_all(piece).unwrap();
            // So that chunks are cut here. If the machine is slow and they are not, this says less, and nothing wrong.
            thread::sleep(PATIENCE * 3);
        }
        drop(writer);
        assert_eq!(reading.join().unwrap(), expected);
    }
}
