//! The reader's side: files to jobs, lanes in step.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::mpsc::{Receiver, SyncSender};

use super::{Batch, Job};
use crate::decode::peek_time;
use crate::source::chunk::ChunkReader;
use crate::source::open::open;
use crate::source::shape::{Shape, sniff};
use crate::source::{Chunk, InputFile, Oversize, SourceError};

/// How far into a file the look ahead goes, and the shape is looked for.
const PREFIX_BYTES: usize = 64 << 10;

/// How much all lanes together may read ahead, if they have no more than 256 files open at a time.
const READ_AHEAD_BYTES: usize = 16 << 20;

/// What travels through the pipeline, in one sequence.
pub(super) enum Message {
    /// To decode.
    Job(Job),
    /// Decoded.
    Batch(Box<Batch>),
    /// A file that cannot be read, or not on.
    Error { sequence: u64, error: SourceError },
    /// Lines that were passed over.
    Oversize { sequence: u64, lines: Vec<Oversize> },
}

impl Message {
    pub(super) fn sequence(&self) -> u64 {
        match self {
            Self::Job(job) => job.sequence,
            Self::Batch(batch) => batch.sequence,
            Self::Error { sequence, .. } | Self::Oversize { sequence, .. } => *sequence,
        }
    }
}

/// Reads all files: those of a lane one after the other, lanes in step by the time they have reached.
pub(super) struct Reader<'a> {
    files: &'a [InputFile],
    chunk_bytes: usize,
    max_line_bytes: usize,
    sequence: u64,
    lanes: Vec<Lane>,
}

#[derive(Default)]
struct Lane {
    files: VecDeque<u32>,
    open: Option<ChunkReader>,
    /// The next chunk, read ahead to know its time.
    next: Option<Chunk>,
    reached: i64,
}

/// The consumer is gone: nothing more to do.
struct Gone;

impl<'a> Reader<'a> {
    pub(super) fn new(files: &'a [InputFile], chunk_bytes: usize, max_line_bytes: usize) -> Self {
        let mut lanes: Vec<Lane> = Vec::new();
        for (index, file) in files.iter().enumerate() {
            let lane = file.lane as usize;
            if lanes.len() <= lane {
                lanes.resize_with(lane + 1, Lane::default);
            }
            lanes[lane]
                .files
                .push_back(u32::try_from(index).expect("fewer than 2^32 files"));
        }
        // Every open lane has a chunk read ahead: many lanes have to do with small ones.
        let share = (READ_AHEAD_BYTES / lanes.len().max(1)).max(PREFIX_BYTES);
        let chunk_bytes = if lanes.len() > 1 {
            chunk_bytes.min(share)
        } else {
            chunk_bytes
        };
        Self {
            files,
            chunk_bytes,
            max_line_bytes,
            sequence: 0,
            lanes,
        }
    }

    /// Sends jobs until all is read or the pipeline ends.
    pub(super) fn run(mut self, empty: &Receiver<Vec<u8>>, jobs: &SyncSender<Message>) {
        // An error here means that the other side has ended.
        let _ = if self.lanes.len() == 1 {
            self.one_lane(empty, jobs)
        } else {
            self.many_lanes(empty, jobs)
        };
    }

    fn one_lane(
        &mut self,
        empty: &Receiver<Vec<u8>>,
        jobs: &SyncSender<Message>,
    ) -> Result<(), Gone> {
        loop {
            let buffer = empty.recv().or(Err(Gone))?;
            let Some(chunk) = self.next_chunk(0, buffer, jobs)? else {
                return Ok(());
            };
            self.send(0, chunk, i64::MAX, jobs)?;
        }
    }

    fn many_lanes(
        &mut self,
        empty: &Receiver<Vec<u8>>,
        jobs: &SyncSender<Message>,
    ) -> Result<(), Gone> {
        let mut order = BinaryHeap::new();
        for lane in 0..self.lanes.len() {
            self.lanes[lane].reached = self.look_ahead(lane);
            order.push(Reverse((self.lanes[lane].reached, lane)));
        }
        while let Some(Reverse((reached, lane))) = order.pop() {
            // Opened only now: a thousand lanes need not be a thousand open files.
            let chunk = match self.lanes[lane].next.take() {
                Some(chunk) => Some(chunk),
                None => self.next_chunk(lane, Vec::new(), jobs)?,
            };
            let Some(chunk) = chunk else { continue };
            let buffer = empty.recv().or(Err(Gone))?;
            let next = self.next_chunk(lane, buffer, jobs)?;
            let ts = next
                .as_ref()
                .and_then(|chunk| peek_time(&chunk.data))
                .unwrap_or(reached);
            let more = next.is_some();
            self.lanes[lane].next = next;
            self.lanes[lane].reached = ts.max(reached);
            if more {
                order.push(Reverse((ts.max(reached), lane)));
            }
            let horizon = order.peek().map_or(i64::MAX, |Reverse((ts, _))| *ts);
            self.send(lane, chunk, horizon, jobs)?;
        }
        Ok(())
    }

    /// Returns the first time in a lane, without keeping its file open.
    fn look_ahead(&self, lane: usize) -> i64 {
        let file = self.lanes[lane].files.front();
        let first = file.and_then(|&index| {
            let file = &self.files[index as usize];
            // Standard input can be read once only.
            file.path.as_ref()?;
            let name = file.name.clone();
            let mut reader = ChunkReader::new(
                index,
                name,
                open(file).ok()?,
                PREFIX_BYTES,
                self.max_line_bytes,
            );
            peek_time(&reader.next(Vec::new()).ok()??.data)
        });
        first.unwrap_or(i64::MIN)
    }

    /// Reads the next chunk of a lane, going on to its next file; `None` at its end.
    fn next_chunk(
        &mut self,
        lane: usize,
        mut buffer: Vec<u8>,
        jobs: &SyncSender<Message>,
    ) -> Result<Option<Chunk>, Gone> {
        loop {
            let first = self.lanes[lane].open.is_none();
            if first && !self.open_next(lane, jobs)? {
                return Ok(None);
            }
            let reader = self.lanes[lane].open.as_mut().expect("just opened");
            let read = reader.next(std::mem::take(&mut buffer));
            let lines = reader.take_oversize();
            if !lines.is_empty() {
                self.report(|sequence| Message::Oversize { sequence, lines }, jobs)?;
            }
            match read {
                Ok(Some(chunk)) => {
                    let prefix = &chunk.data[..chunk.data.len().min(PREFIX_BYTES)];
                    let shape = if first { sniff(prefix) } else { None };
                    match shape {
                        None | Some(Shape::Empty) => return Ok(Some(chunk)),
                        Some(shape) => {
                            let name = super::name(self.files, chunk.file);
                            self.fail(SourceError::Shape { name, shape }, jobs)?;
                            self.lanes[lane].open = None;
                            buffer = chunk.data;
                        }
                    }
                }
                Ok(None) => self.lanes[lane].open = None,
                Err(error) => {
                    self.fail(error, jobs)?;
                    self.lanes[lane].open = None;
                }
            }
        }
    }

    fn open_next(&mut self, lane: usize, jobs: &SyncSender<Message>) -> Result<bool, Gone> {
        while let Some(index) = self.lanes[lane].files.pop_front() {
            let file = &self.files[index as usize];
            match open(file) {
                Ok(reader) => {
                    let name = file.name.clone();
                    let (chunk_bytes, max_line) = (self.chunk_bytes, self.max_line_bytes);
                    self.lanes[lane].open =
                        Some(ChunkReader::new(index, name, reader, chunk_bytes, max_line));
                    return Ok(true);
                }
                Err(error) => self.fail(error, jobs)?,
            }
        }
        Ok(false)
    }

    fn fail(&mut self, error: SourceError, jobs: &SyncSender<Message>) -> Result<(), Gone> {
        self.report(|sequence| Message::Error { sequence, error }, jobs)
    }

    fn send(
        &mut self,
        lane: usize,
        chunk: Chunk,
        horizon: i64,
        jobs: &SyncSender<Message>,
    ) -> Result<(), Gone> {
        let lane = u32::try_from(lane).expect("fewer than 2^32 lanes");
        self.report(
            |sequence| {
                Message::Job(Job {
                    sequence,
                    chunk,
                    lane,
                    horizon,
                })
            },
            jobs,
        )
    }

    fn report(
        &mut self,
        message: impl FnOnce(u64) -> Message,
        jobs: &SyncSender<Message>,
    ) -> Result<(), Gone> {
        let message = message(self.sequence);
        self.sequence += 1;
        jobs.send(message).or(Err(Gone))
    }
}
