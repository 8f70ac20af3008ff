//! The first side: files to jobs, lanes in step.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use super::{Hold, Horizon, Job};
use crate::decode::peek_time;
use crate::source::chunk::ChunkReader;
use crate::source::open::open;
use crate::source::{Chunk, InputFile, Oversize, ReadOptions, SourceError, Start};

/// How far into a file the look ahead goes.
const PREFIX_BYTES: usize = 64 << 10;

/// Lanes up to which each has threads of its own to decompress.
const LANES_AHEAD: usize = 8;

/// How much all lanes together may read ahead, if they have no more than 256 files open at a time.
const READ_AHEAD_BYTES: usize = 16 << 20;

/// What happened on the way to a chunk.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Files that cannot be read, or not on.
    pub(super) errors: Vec<SourceError>,
    /// Lines that were passed over.
    pub(super) oversize: Vec<Oversize>,
}

/// Reads all files: those of a lane one after the other, lanes in step by the time they have reached.
pub(super) struct Reader<'a> {
    files: &'a [InputFile],
    options: ReadOptions,
    /// What the lanes leave for later.
    hold: Option<Hold>,
    sequence: u64,
    lanes: Vec<Lane>,
    /// Lanes by the time they have reached, the earliest first.
    order: BinaryHeap<Reverse<(i64, usize)>>,
    notes: Notes,
    /// By file: how far it was handed out.
    reached: Vec<Start>,
}

#[derive(Default)]
struct Lane {
    files: VecDeque<u32>,
    open: Option<ChunkReader>,
    /// The file behind it, if that is being decompressed already.
    ahead: Option<ChunkReader>,
    /// The next chunk, read ahead to know its time, and the place behind it.
    next: Option<(Chunk, Start)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(files: &'a [InputFile], options: &ReadOptions, hold: Option<Hold>) -> Self {
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
        let mut options = options.clone();
        // Two files a lane: the one that is read and the next.
        options.ahead_bytes = match lanes.len() {
            count @ 1..=LANES_AHEAD => options.ahead_bytes / (2 * count),
            _ => 0,
        };
        if lanes.len() > 1 {
            options.chunk_bytes = options.chunk_bytes.min(share);
        }
        let mut reader = Self {
            files,
            options,
            hold,
            sequence: 0,
            order: BinaryHeap::new(),
            notes: Notes::default(),
            reached: files.iter().map(|file| file.from).collect(),
            lanes,
        };
        if reader.lanes.len() > 1 {
            let lanes = 0..reader.lanes.len();
            reader.order = lanes
                .map(|lane| Reverse((reader.look_ahead(lane), lane)))
                .collect();
        }
        reader
    }

    /// Returns how far each file was handed out.
    pub(super) fn into_reached(self) -> Vec<Start> {
        self.reached
    }

    /// Returns the next piece of work, its chunk in `buffer`, or `None` at the end of all files.
    pub(super) fn next(&mut self, buffer: Vec<u8>) -> Option<Job> {
        let (lane, chunk, horizon) = if self.lanes.len() == 1 {
            let next = self.next_chunk(0, buffer);
            (0, next.map(|next| self.hand_out(next)), Horizon::END)
        } else {
            self.next_of_lanes(buffer)
        };
        let notes = std::mem::take(&mut self.notes);
        if chunk.is_none() && notes.errors.is_empty() && notes.oversize.is_empty() {
            return None;
        }
        let sequence = self.sequence;
        self.sequence += 1;
        Some(Job {
            sequence,
            lane: number(lane),
            horizon,
            chunk,
            notes,
        })
    }

    /// Returns the next chunk of the lane that is least far, the lane, and how far all have come then.
    fn next_of_lanes(&mut self, mut buffer: Vec<u8>) -> (usize, Option<Chunk>, Horizon) {
        while let Some(Reverse((reached, lane))) = self.order.pop() {
            // Opened only now: a thousand lanes need not be a thousand open files.
            let chunk = match self.lanes[lane].next.take() {
                Some(chunk) => Some(chunk),
                None => self.next_chunk(lane, std::mem::take(&mut buffer)),
            };
            let Some(chunk) = chunk else { continue };
            let chunk = self.hand_out(chunk);
            if self.may_wait(&chunk) {
                // The others go on up to here, and it is asked for more when they have come as far.
                let ts = peek_time(&chunk.data).unwrap_or(reached).max(reached);
                self.order.push(Reverse((ts, lane)));
            } else if let Some(next) = self.next_chunk(lane, buffer) {
                let ts = peek_time(&next.0.data).unwrap_or(reached).max(reached);
                self.lanes[lane].next = Some(next);
                self.order.push(Reverse((ts, lane)));
            }
            return (lane, Some(chunk), self.horizon());
        }
        (0, None, Horizon::END)
    }

    /// Returns how far all lanes have come.
    fn horizon(&self) -> Horizon {
        let Some(&Reverse((ts, lane))) = self.order.peek() else {
            return Horizon::END;
        };
        let others = self.order.iter().filter(|Reverse((_, it))| *it != lane);
        Horizon {
            ts,
            lane: Some(number(lane)),
            of_others: others.map(|Reverse((ts, _))| *ts).min().unwrap_or(i64::MAX),
        }
    }

    /// Whether nobody knows when there will be more behind a chunk.
    fn may_wait(&self, chunk: &Chunk) -> bool {
        self.options.patience.is_some() && self.files[chunk.file as usize].is_pipe()
    }

    /// Notes that a chunk is taken over.
    fn hand_out(&mut self, (chunk, behind): (Chunk, Start)) -> Chunk {
        self.reached[chunk.file as usize] = behind;
        chunk
    }

    /// Returns the first time in a lane, without keeping its file open.
    fn look_ahead(&self, lane: usize) -> i64 {
        let file = self.lanes[lane].files.front();
        let first = file.and_then(|&index| {
            let file = &self.files[index as usize];
            // Standard input can be read once only.
            file.path.as_ref()?;
            let options = ReadOptions {
                chunk_bytes: PREFIX_BYTES,
                read_bytes: Arc::default(),
                ahead_bytes: 0,
                ..self.options.clone()
            };
            let content = open(file, &options).ok()?;
            let reader = ChunkReader::new(index, file.name.clone(), content, &options);
            let mut reader = reader.taking_up(file);
            peek_time(&reader.next(Vec::new()).ok()??.data)
        });
        first.unwrap_or(i64::MIN)
    }

    /// Reads the next chunk of a lane, going on to its next file; `None` at its end.
    ///
    /// All chunks of a file were handed out when the next one is asked for and there is none: it was read to its end.
    fn next_chunk(&mut self, lane: usize, mut buffer: Vec<u8>) -> Option<(Chunk, Start)> {
        loop {
            if self.lanes[lane].open.is_none() && !self.open_next(lane) {
                return None;
            }
            let reader = self.lanes[lane].open.as_mut().expect("just opened");
            let read = reader.next(std::mem::take(&mut buffer));
            self.notes.oversize.extend(reader.take_oversize());
            let (file, place) = (reader.file(), reader.place());
            if let Ok(Some(chunk)) = read {
                let mut next = (chunk, place);
                if !self.hold.is_some_and(|hold| hold.cut(&mut next)) {
                    return Some(next);
                }
                self.lanes[lane] = Lane::default();
                if !next.0.data.is_empty() {
                    return Some(next);
                }
                self.reached[file as usize] = next.1;
                return None;
            }
            self.reached[file as usize] = place;
            self.notes.errors.extend(read.err());
            self.lanes[lane].open = None;
        }
    }

    /// Opens the next file of a lane that can be opened; returns whether there is one.
    fn open_next(&mut self, lane: usize) -> bool {
        let next = self.lanes[lane].ahead.take();
        self.lanes[lane].open = next.or_else(|| self.open_file(lane));
        if self.lanes[lane].open.is_none() {
            return false;
        }
        let next = self.lanes[lane].files.front().copied();
        if let Some(next) = next
            && self.options.ahead_bytes > 0
            && self.is_packed(next)
        {
            self.lanes[lane].ahead = self.open_file(lane);
        }
        true
    }

    fn open_file(&mut self, lane: usize) -> Option<ChunkReader> {
        while let Some(index) = self.lanes[lane].files.pop_front() {
            let file = &self.files[index as usize];
            match open(file, &self.options) {
                Ok(content) => {
                    let name = file.name.clone();
                    let reader = ChunkReader::new(index, name, content, &self.options);
                    return Some(reader.taking_up(file));
                }
                Err(error) => self.notes.errors.push(error),
            }
        }
        None
    }

    /// Returns whether a file seems compressed; by its name, as it is not open yet.
    fn is_packed(&self, file: u32) -> bool {
        let path = self.files[file as usize].path.as_ref();
        let extension = path.and_then(|path| path.extension());
        extension.is_some_and(|extension| extension == "gz" || extension == "zst")
    }
}

fn number(lane: usize) -> u32 {
    u32::try_from(lane).expect("fewer than 2^32 lanes")
}
