//! Decompression on a thread of its own, ahead of whoever reads.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;

/// Bytes handed over at a time.
const BLOCK_BYTES: usize = 256 << 10;

/// Reads what a thread has read ahead.
pub(super) struct Ahead {
    blocks: Receiver<io::Result<Vec<u8>>>,
    /// Used up blocks, to be filled again: fresh memory costs more than filling it.
    used: Sender<Vec<u8>>,
    block: Vec<u8>,
    at: usize,
}

impl Ahead {
    /// Starts a thread that reads `reader`, at most `most_bytes` ahead.
    ///
    /// The thread ends at the end of the data, at an error, or when `Ahead` is dropped.
    ///
    /// # Errors
    /// When no thread can be had.
    pub(super) fn start(mut reader: Box<dyn Read + Send>, most_bytes: usize) -> io::Result<Self> {
        let (sender, blocks) = sync_channel((most_bytes / BLOCK_BYTES).max(1));
        let (used, free) = channel::<Vec<u8>>();
        let read = move || {
            loop {
                let mut block = free.try_recv().unwrap_or_default();
                block.resize(BLOCK_BYTES, 0);
                let (filled, error) = fill(&mut reader, &mut block);
                block.truncate(filled);
                let is_end = filled < BLOCK_BYTES;
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
            .name("decompress".to_owned())
            .spawn(read)?;
        Ok(Self {
            blocks,
            used,
            block: Vec::new(),
            at: 0,
        })
    }
}

/// Reads until `block` is full, the data ends or the reader fails.
fn fill(reader: &mut impl Read, block: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < block.len() {
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
            // A thread that is gone has sent all there was.
            let Ok(block) = self.blocks.recv() else {
                return Ok(0);
            };
            let empty = std::mem::replace(&mut self.block, block?);
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
    fn stops_when_nobody_reads() {
        let ahead = Ahead::start(Box::new(io::repeat(1)), 1 << 20).unwrap();
        drop(ahead);
    }
}
