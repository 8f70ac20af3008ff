//! A receiver of HTTP requests that fails in every way there is, and remembers the keys it was given.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    Fine,
    /// Closed before a byte is read.
    Dropped,
    Unavailable,
    TooMany,
    /// Taken, but answered too late.
    Slow,
    /// Half a status line.
    Cut,
    /// Taken, and the body of the answer never ends.
    Endless,
    /// Taken, and the body of the answer ends early.
    Short,
    /// Something that is not HTTP.
    Noise,
}

/// A receiver on this machine.
pub(super) struct Receiver {
    pub(super) port: u16,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    calls: AtomicUsize,
    /// How often each key was taken.
    keys: Mutex<BTreeMap<String, usize>>,
    fates: Mutex<BTreeMap<Fate, usize>>,
    bodies: Mutex<Vec<(Vec<String>, String)>>,
}

impl Receiver {
    /// Starts a receiver; `fate` decides over each call by its number.
    pub(super) fn start(fate: impl Fn(usize) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen::default());
        let (shared, fate) = (seen.clone(), Arc::new(fate));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, fate) = (shared.clone(), fate.clone());
                std::thread::spawn(move || serve(stream, &seen, fate.as_ref()));
            }
        });
        Self { port, seen }
    }

    pub(super) fn calls(&self) -> usize {
        self.seen.calls.load(Ordering::SeqCst)
    }

    pub(super) fn keys(&self) -> BTreeMap<String, usize> {
        self.seen.keys.lock().unwrap().clone()
    }

    pub(super) fn fates(&self) -> BTreeMap<Fate, usize> {
        self.seen.fates.lock().unwrap().clone()
    }

    /// Returns head lines and body of each call that was read.
    pub(super) fn requests(&self) -> Vec<(Vec<String>, String)> {
        self.seen.bodies.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, seen: &Seen, fate: &dyn Fn(usize) -> Fate) {
    let fate = fate(seen.calls.fetch_add(1, Ordering::SeqCst));
    *seen.fates.lock().unwrap().entry(fate).or_default() += 1;
    if fate == Fate::Dropped {
        return;
    }
    let Some((head, body)) = read_request(&stream) else {
        return;
    };
    if matches!(fate, Fate::Fine | Fate::Slow | Fate::Endless | Fate::Short) {
        let key = head
            .iter()
            .find_map(|line| line.strip_prefix("idempotency-key: "));
        let key = key.unwrap_or_default().to_owned();
        *seen.keys.lock().unwrap().entry(key).or_default() += 1;
    }
    seen.bodies.lock().unwrap().push((head, body));
    let answer: &[u8] = match fate {
        Fate::Fine => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
        Fate::Unavailable => b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        Fate::TooMany => {
            b"HTTP/1.1 429 Slow\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        }
        Fate::Cut => b"HTTP/1.1 2",
        Fate::Short => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
        Fate::Noise => b"\x16\x03\x01 220 smtp ready\r\n",
        Fate::Slow => {
            std::thread::sleep(Duration::from_millis(400));
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
        }
        Fate::Endless => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
                .ok();
            while stream.write_all(&[b'x'; 8192]).is_ok() {}
            return;
        }
        Fate::Dropped => return,
    };
    stream.write_all(answer).ok();
}

/// Reads head lines, names in lower case, and the body.
fn read_request(stream: &TcpStream) -> Option<(Vec<String>, String)> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        head.push(match line.split_once(": ") {
            Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
            None => line,
        });
    }
    let length = head
        .iter()
        .find_map(|line| line.strip_prefix("content-length: "))?;
    let mut body = vec![0; length.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8(body).ok()?))
}
