//! A disk in memory, with inodes that are given again, faults at chosen calls, and short reads.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::source::follow::files::{FileId, Files, Kind, Links, Stat};

const DEVICE: u64 = 7;

#[derive(Debug)]
pub(super) struct Node {
    inode: u64,
    kind: Kind,
    target: PathBuf,
    bytes: Vec<u8>,
    mtime_ns: i64,
}

type Shared = Arc<Mutex<Node>>;

/// How often each call was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Calls {
    pub(super) list: u64,
    pub(super) stat: u64,
    pub(super) open: u64,
    pub(super) stat_open: u64,
    pub(super) read: u64,
}

impl Calls {
    pub(super) fn total(self) -> u64 {
        self.list + self.stat + self.open + self.stat_open + self.read
    }
}

#[derive(Default)]
struct State {
    names: BTreeMap<PathBuf, Shared>,
    free: BTreeSet<u64>,
    next_inode: u64,
    now_us: i64,
    calls: Calls,
    fault: Option<(u64, io::ErrorKind)>,
    hook: Option<(u64, Hook)>,
    read_max: Option<usize>,
}

/// What is done to the disk right before a call.
pub(super) type Hook = Box<dyn FnOnce(&SimulatedDisk) + Send>;

/// A disk in memory.
#[derive(Default)]
pub(super) struct SimulatedDisk {
    state: Mutex<State>,
}

impl SimulatedDisk {
    pub(super) fn new() -> Self {
        let disk = Self::default();
        disk.state().now_us = 1_700_000_000_000_000;
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn now_us(&self) -> i64 {
        self.state().now_us
    }

    pub(super) fn wait(&self, us: i64) {
        self.state().now_us += us;
    }

    pub(super) fn calls(&self) -> Calls {
        self.state().calls
    }

    pub(super) fn reset_calls(&self) {
        self.state().calls = Calls::default();
    }

    /// Lets the `n`-th call from now (from 1) fail.
    pub(super) fn fail_at(&self, n: u64, kind: io::ErrorKind) {
        let mut state = self.state();
        state.fault = Some((state.calls.total() + n, kind));
    }

    pub(super) fn no_faults(&self) {
        self.state().fault = None;
    }

    /// Changes the disk right before the `n`-th call from now.
    pub(super) fn before_call(&self, n: u64, hook: Hook) {
        let mut state = self.state();
        state.hook = Some((state.calls.total() + n, hook));
    }

    /// Takes back what no call has come to.
    pub(super) fn take_hook(&self) -> Option<Hook> {
        self.state().hook.take().map(|(_, hook)| hook)
    }

    pub(super) fn short_reads(&self, max: usize) {
        self.state().read_max = Some(max);
    }

    fn create(&self, path: &str, kind: Kind) -> Shared {
        let mut state = self.state();
        let inode = state.free.pop_first().unwrap_or(state.next_inode + 1);
        state.next_inode = state.next_inode.max(inode);
        let node = Arc::new(Mutex::new(Node {
            inode,
            kind,
            target: PathBuf::new(),
            bytes: Vec::new(),
            mtime_ns: state.now_us * 1000,
        }));
        state.names.insert(path.into(), Arc::clone(&node));
        node
    }

    fn node(&self, path: &Path) -> io::Result<Shared> {
        let state = self.state();
        let node = state.names.get(path).cloned();
        node.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn folder(&self, path: &str) {
        self.create(path, Kind::Folder);
    }

    pub(super) fn special(&self, path: &str, what: &'static str) {
        self.create(path, Kind::Other(what));
    }

    pub(super) fn link(&self, path: &str, target: &str) {
        let node = self.create(path, Kind::Link);
        node.lock().unwrap().target = target.into();
    }

    /// Appends to a file, which is made if it is not there.
    pub(super) fn append(&self, path: &str, bytes: &[u8]) {
        let node = self
            .node(path.as_ref())
            .unwrap_or_else(|_| self.create(path, Kind::File));
        let now_ns = self.now_us() * 1000;
        let mut node = node.lock().unwrap();
        node.bytes.extend_from_slice(bytes);
        node.mtime_ns = now_ns;
    }

    pub(super) fn write(&self, path: &str, bytes: &[u8]) {
        if self.exists(path) {
            self.truncate(path, 0);
        }
        self.append(path, bytes);
    }

    pub(super) fn truncate(&self, path: &str, size: usize) {
        let now_ns = self.now_us() * 1000;
        let node = self.node(path.as_ref()).unwrap();
        let mut node = node.lock().unwrap();
        node.bytes.truncate(size);
        node.mtime_ns = now_ns;
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        let replaced = {
            let mut state = self.state();
            let node = state.names.remove(Path::new(from)).unwrap();
            state.names.insert(to.into(), node)
        };
        if let Some(node) = replaced {
            self.release(&node);
        }
    }

    pub(super) fn remove(&self, path: &str) {
        let node = self.state().names.remove(Path::new(path)).unwrap();
        self.release(&node);
    }

    /// Frees the inode; one that is open is in use still.
    fn release(&self, node: &Shared) {
        let inode = node.lock().unwrap().inode;
        if Arc::strong_count(node) == 1 {
            self.state().free.insert(inode);
        }
    }

    pub(super) fn copy(&self, from: &str, to: &str) {
        let bytes = self.bytes(from);
        self.write(to, &bytes);
    }

    /// Writes what a file compresses to, or the first part of it; the file stays.
    pub(super) fn compress(&self, from: &str, to: &str, part: f64) {
        let packed = gzip(&self.bytes(from));
        #[allow(
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "a length"
        )]
        let length = (packed.len() as f64 * part) as usize;
        self.write(to, &packed[..length]);
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.node(path.as_ref()).is_ok()
    }

    pub(super) fn bytes(&self, path: &str) -> Vec<u8> {
        let node = self.node(path.as_ref()).unwrap();
        node.lock().unwrap().bytes.clone()
    }

    /// Returns the content of a file, decompressed as far as it goes.
    pub(super) fn text(&self, path: &str) -> Vec<u8> {
        let bytes = self.bytes(path);
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            return if Path::new(path).extension().is_some_and(|it| it == "gz") {
                Vec::new()
            } else {
                bytes
            };
        }
        let mut text = Vec::new();
        let mut decoder = GzDecoder::new(&bytes[..]);
        let mut byte = [0];
        while let Ok(1) = decoder.read(&mut byte) {
            text.push(byte[0]);
        }
        text
    }

    /// Returns the paths of all files.
    pub(super) fn paths(&self) -> Vec<String> {
        let state = self.state();
        let files = state
            .names
            .iter()
            .filter(|(_, node)| node.lock().unwrap().kind == Kind::File);
        files
            .map(|(path, _)| path.to_str().unwrap().to_owned())
            .collect()
    }

    pub(super) fn inode(&self, path: &str) -> u64 {
        self.node(path.as_ref()).unwrap().lock().unwrap().inode
    }

    fn call(&self, count: impl FnOnce(&mut Calls)) -> io::Result<()> {
        let (hook, result) = {
            let mut state = self.state();
            count(&mut state.calls);
            let n = state.calls.total();
            let hook = state.hook.take_if(|(at, _)| *at <= n);
            let result = match state.fault.take_if(|(at, _)| *at == n) {
                Some((_, kind)) => Err(kind.into()),
                None => Ok(()),
            };
            (hook, result)
        };
        if let Some((_, hook)) = hook {
            hook(self);
        }
        result
    }

    fn resolve(&self, path: &Path, links: Links) -> io::Result<Shared> {
        let mut path = path.to_path_buf();
        for _ in 0..8 {
            let node = self.node(&path)?;
            let target = {
                let node = node.lock().unwrap();
                (node.kind == Kind::Link && links == Links::Follow).then(|| node.target.clone())
            };
            match target {
                Some(target) => path = target,
                None => return Ok(node),
            }
        }
        Err(io::Error::from_raw_os_error(40))
    }
}

impl Files for SimulatedDisk {
    type File = Shared;

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.call(|calls| calls.list += 1)?;
        let state = self.state();
        let names: HashMap<_, _> = state.names.iter().collect();
        let inside = names.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside
            .map(|path| path.file_name().unwrap().to_owned())
            .collect())
    }

    fn stat(&self, path: &Path, links: Links) -> io::Result<Stat> {
        self.call(|calls| calls.stat += 1)?;
        let node = self.resolve(path, links)?;
        let node = node.lock().unwrap();
        Ok(stat(&node))
    }

    fn open(&self, path: &Path, links: Links) -> io::Result<Shared> {
        self.call(|calls| calls.open += 1)?;
        let node = self.resolve(path, links)?;
        if node.lock().unwrap().kind == Kind::Link {
            return Err(io::Error::from_raw_os_error(40));
        }
        Ok(node)
    }

    fn stat_open(&self, file: &Shared) -> io::Result<Stat> {
        self.call(|calls| calls.stat_open += 1)?;
        Ok(stat(&file.lock().unwrap()))
    }

    fn read_at(&self, file: &Shared, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.call(|calls| calls.read += 1)?;
        let most = self.state().read_max.unwrap_or(usize::MAX);
        let node = file.lock().unwrap();
        let Some(rest) = usize::try_from(offset)
            .ok()
            .and_then(|at| node.bytes.get(at..))
        else {
            return Ok(0);
        };
        let n = rest.len().min(buffer.len()).min(most);
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(1));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn stat(node: &Node) -> Stat {
    Stat {
        kind: node.kind,
        size: node.bytes.len() as u64,
        mtime_ns: node.mtime_ns,
        id: Some(FileId {
            device: DEVICE,
            inode: node.inode,
        }),
    }
}
