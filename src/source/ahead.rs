//! Reading on a thread of its own, ahead of whoever reads: to decompress meanwhile, or to wait for a pipe.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes handed over at a time.
const BLOCK_BYTES: usize = 256 << 10;

/// Blocks that are read ahead of a pipe, which holds less than one of them (pipe(7)).
const PIPE_BLOCKS: usize = 16;

/// It is time to go on with what was read: more may come, but not soon.
///
/// Not [`io::ErrorKind::WouldBlock`], which a pipe gives that somebody else has set so, and for which nobody waits.
#[derive(Debug, thiserror::Error)]
#[error("nothing more for now")]
pub(super) struct Pause;

impl Pause {
    /// Whether a reader's error is this one.
    pub(super) fn is(error: &io::Error) -> bool {
        let inner = error.get_ref();
        inner
            .and_then(|inner| inner.downcast_ref::<Self>())
            .is_some()
    }
}

/// Reads what a thread has read ahead.
pub(super) struct Ahead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    /// Used up blocks, to be filled again: fresh memory costs more than filling it.
    used: Sender<Vec<u8>>,
    block: Vec<u8>,
    at: usize,
    patience: Option<Patience>,
}

/// How long who has got something waits for more.
struct Patience {
    most: Duration,
    /// When the first was handed out of what nobody was told to go on with.
    since: Option<Instant>,
}

impl Ahead {
    /// Starts a thread that reads `reader`, at most `most_bytes` ahead.
    ///
    /// The thread ends at the end of the data, at an error, or when `Ahead` is dropped.
    ///
    /// # Errors
    /// When no thread can be had.
    pub(super) fn start(reader: Box<dyn Read + Send>, most_bytes: usize) -> io::Result<Self> {
        Self::spawn(reader, (most_bytes / BLOCK_BYTES).max(1), BLOCK_BYTES, None)
    }

    /// Starts a thread that reads what may be written slowly, and hands out what has come.
    ///
    /// Once this has gone on for as long as `most`, reading gives [`Pause`] as an error: it is time to go on with what
    /// there is. Who reads nevertheless waits for more, however long it takes.
    ///
    /// # Errors
    /// When no thread can be had.
    pub(super) fn of_pipe(reader: Box<dyn Read + Send>, most: Duration) -> io::Result<Self> {
        let patience = Patience { most, since: None };
        Self::spawn(reader, PIPE_BLOCKS, 1, Some(patience))
    }

    /// Starts the thread; a block is handed over when it holds `enough` bytes.
    fn spawn(
        mut reader: Box<dyn Read + Send>,
        n_blocks: usize,
        enough: usize,
        patience: Option<Patience>,
    ) -> io::Result<Self> {
        let (sender, blocks) = sync_channel(n_blocks);
        let (used, free) = channel::<Vec<u8>>();
        let read = move || {
            loop {
                let mut block = free.try_recv().unwrap_or_default();
                block.resize(BLOCK_BYTES, 0);
                let (filled, error) = fill(&mut reader, &mut block, enough);
                block.truncate(filled);
                let is_end = filled < enough;
                // Who reads may have had enough.
                let is_gone = filled > 0 && sender.send(Ok(block)).is_err();
                if is_gone || is_end {
                    if let Some(error) = error {
                        let _ = sender.send(Err(error));
                    }
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("read ahead".to_owned())
            .spawn(read)?;
        Ok(Self {
            blocks,
            used,
            block: Vec::new(),
            at: 0,
            patience,
        })
    }

    /// Returns the next block, or `None` at the end.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let since = self.patience.as_ref().and_then(|patience| {
            let since = patience.since?;
            Some(patience.most.saturating_sub(since.elapsed()))
        });
        let next = match since {
            None => (self.blocks.recv()).map_err(|_gone| RecvTimeoutError::Disconnected),
            // It would still give what is there.
            Some(Duration::ZERO) => Err(RecvTimeoutError::Timeout),
            Some(left) => self.blocks.recv_timeout(left),
        };
        let (next, since) = match next {
            Ok(block) => (block.map(Some), Some(Instant::now())),
            // A thread that is gone has sent all there was.
            Err(RecvTimeoutError::Disconnected) => (Ok(None), None),
            Err(RecvTimeoutError::Timeout) => (Err(io::Error::other(Pause)), None),
        };
        if let Some(patience) = &mut self.patience {
            patience.since = since.map(|now| patience.since.unwrap_or(now));
        }
        next
    }
}

/// Reads until `block` holds `enough` bytes, the data ends or the reader fails.
fn fill(reader: &mut impl Read, block: &mut [u8], enough: usize) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < enough {
        match reader.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(n_read) => filled += n_read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            let Some(block) = self.next()? else {
                return Ok(0);
            };
            let empty = std::mem::replace(&mut self.block, block);
            // The thread may be at its end.
            let _ = self.used.send(empty);
            self.at = 0;
        }
        let n_read = (&self.block[self.at..]).read(buffer)?;
        self.at += n_read;
        Ok(n_read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Gives `data`, then fails.
    struct Failing<'a>(&'a [u8]);

    impl Read for Failing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.0.read(buffer)
        }
    }

    #[test]
    fn gives_all_data_before_an_error() {
        for length in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 7] {
            let data: &'static [u8] = vec![7; length].leak();
            let mut ahead = Ahead::start(Box::new(Failing(data)), 1).unwrap();
            let mut read = Vec::new();
            let error = ahead.read_to_end(&mut read).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert_eq!(read, data, "{length}");
            let mut ahead = Ahead::start(Box::new(data), 1 << 30).unwrap();
            read.clear();
            ahead.read_to_end(&mut read).unwrap();
            assert_eq!(read, data, "{length}");
        }
    }

    #[test]
    fn a_pipe_is_read_as_it_is_written() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        let patience = Duration::from_millis(50);
        let mut ahead = Ahead::of_pipe(Box::new(reader.try_clone().unwrap()), patience).unwrap();
        let mut buffer = [0; 100];
        for text in ["one", "another"] {
            writer.write_all(text.as_bytes()).unwrap();
            // Who has nothing waits for as long as it takes.
            let length = ahead.read(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], text.as_bytes());
            assert!(Pause::is(&ahead.read(&mut buffer).unwrap_err()));
        }
        // Who is never quiet does not keep what has come for himself.
        let noise = std::thread::spawn(move || while writer.write_all(b"noise").is_ok() {});
        let error = loop {
            match ahead.read(&mut buffer) {
                Ok(length) => assert_ne!(length, 0),
                Err(error) => break error,
            }
        };
        assert!(Pause::is(&error));
        drop(ahead);
        // The thread may be at a block that it cannot hand over.
        let _ = reader.read(&mut buffer);
        drop(reader);
        noise.join().unwrap();
    }

    #[test]
    fn stops_when_nobody_reads() {
        let ahead = Ahead::start(Box::new(io::repeat(1)), 1 << 20).unwrap();
        drop(ahead);
    }
}
