//! Compressed bytes of which the last stay in hand, so that reading can go back behind damage.

use std::io::{self, Read};

use memchr::memmem;

/// Compressed bytes read at a time.
const INPUT_BYTES: usize = 128 << 10;
/// Bytes that stay in hand behind the place of reading. Deflate data that breaks off takes what follows for its own, up
/// to the end of a block: some 32 KiB in the mean where its code has the rarest end (RFC 1951, section 3.2.7).
const KEPT_BYTES: usize = 256 << 10;
/// Bytes that a trial gets, if there are as many: more than a header and a block of either format.
const TRIAL_BYTES: usize = 192 << 10;
/// Trials that may fail in one file, so that time stays linear.
const TRIALS_MAX: u32 = 1000;

/// A reader of compressed bytes.
pub(super) struct Input<R> {
    inner: R,
    data: Vec<u8>,
    /// Index of the next byte.
    at: usize,
    /// Place of the first byte in hand.
    base: u64,
    n_failed: u32,
}

impl<R: Read> Input<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            data: Vec::new(),
            at: 0,
            base: 0,
            n_failed: 0,
        }
    }

    /// Returns how many bytes stand before the next one.
    pub(super) fn place(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Returns the next bytes; none at the end.
    pub(super) fn fill(&mut self) -> io::Result<&[u8]> {
        if self.at == self.data.len() {
            self.more()?;
        }
        Ok(&self.data[self.at..])
    }

    /// Uses up bytes that [`Self::fill`] returned.
    pub(super) fn consume(&mut self, n: usize) {
        self.at += n;
    }

    /// Uses up zeros: what fills the last block of a tape or a disk is no damage.
    pub(super) fn skip_zeros(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.fill()?;
            let zeros = crate::source::text::hole_length(buffer);
            let is_end = zeros < buffer.len() || zeros == 0;
            self.consume(zeros);
            if is_end {
                return Ok(());
            }
        }
    }

    /// Goes to the first place from `from` on, or from the first byte in hand, that begins with `magic` and where the
    /// bytes are `good`; returns the place, or `None` if there is none up to the end.
    pub(super) fn seek(
        &mut self,
        magic: &[u8],
        from: u64,
        good: impl Fn(&[u8]) -> bool,
    ) -> Option<u64> {
        let finder = memmem::Finder::new(magic);
        let from = from.saturating_sub(self.base);
        self.at = usize::try_from(from).map_or(self.data.len(), |at| at.min(self.data.len()));
        while self.n_failed < TRIALS_MAX {
            if let Some(found) = finder.find(&self.data[self.at..]) {
                self.at += found;
                while self.data.len() - self.at < TRIAL_BYTES && self.more().ok()? {}
                let end = self.data.len().min(self.at + TRIAL_BYTES);
                if good(&self.data[self.at..end]) {
                    return Some(self.place());
                }
                self.n_failed += 1;
                self.at += 1;
            } else {
                let tail = self.data.len().saturating_sub(magic.len() - 1);
                self.at = self.at.max(tail);
                if !self.more().ok()? {
                    return None;
                }
            }
        }
        None
    }

    /// Reads on behind what is in hand, and lets go of what is far behind; returns whether there was more.
    fn more(&mut self) -> io::Result<bool> {
        if self.at >= 2 * KEPT_BYTES {
            let gone = self.at - KEPT_BYTES;
            self.data.drain(..gone);
            self.at = KEPT_BYTES;
            self.base += gone as u64;
        }
        let filled = self.data.len();
        self.data.resize(filled + INPUT_BYTES, 0);
        let read = loop {
            match self.inner.read(&mut self.data[filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.data
            .truncate(filled + read.as_ref().map_or(0, |n_read| *n_read));
        Ok(read? > 0)
    }
}
