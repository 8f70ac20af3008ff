//! The file system as `follow` needs it: names, stats, reads at places.
//!
//! Behind a trait, so that tests can simulate rotations, faults at each call, and short reads.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::source::discover::kind_name;

/// A file system that can be read.
///
/// No call changes anything on it.
pub trait Files: Sync {
    /// A file that was opened; it stays the same file whatever becomes of its name.
    type File: Send + Sync;

    /// Returns the names in a folder, in any order, without `.` and `..`.
    ///
    /// # Errors
    /// When it is no folder or cannot be read.
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// Returns what is at `path`; with [`Links::Refuse`], of a link the link itself.
    ///
    /// # Errors
    /// When nothing is there or it cannot be asked.
    fn stat(&self, path: &Path, links: Links) -> io::Result<Stat>;

    /// Opens `path` for reading without waiting for anything, such as the writer of a pipe.
    ///
    /// # Errors
    /// When it cannot be opened; with [`Links::Refuse`], also when it is a link.
    fn open(&self, path: &Path, links: Links) -> io::Result<Self::File>;

    /// Returns what was opened.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn stat_open(&self, file: &Self::File) -> io::Result<Stat>;

    /// Reads from `offset` (bytes as on disk) into `buffer`; returns how many bytes, 0 at the end. May
    /// return less than there is.
    ///
    /// # Errors
    /// When the read fails.
    fn read_at(&self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// What to do about links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Links {
    /// Read what they lead to.
    #[default]
    Follow,
    /// Leave them out. Protects the last part of a path only: folders above it may be links.
    Refuse,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Bytes on disk.
    pub size: u64,
    /// Last change of its bytes, in nanoseconds since the Unix epoch.
    pub mtime_ns: i64,
    /// Which file it is, where the system has such numbers.
    pub id: Option<FileId>,
}

/// What can be at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// What is not read, as a noun phrase.
    Other(&'static str),
}

/// Numbers of a file on this machine. A number is given to another file once the first is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileId {
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
}

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Files for Disk {
    type File = File;

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.file_name()))
            .collect()
    }

    fn stat(&self, path: &Path, links: Links) -> io::Result<Stat> {
        let metadata = match links {
            Links::Follow => fs::metadata(path),
            Links::Refuse => fs::symlink_metadata(path),
        };
        Ok(Stat::of(&metadata?))
    }

    fn open(&self, path: &Path, links: Links) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        {
            let links = match links {
                Links::Follow => 0,
                Links::Refuse => nix::libc::O_NOFOLLOW,
            };
            let flags = links | nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
        }
        #[cfg(not(unix))]
        if links == Links::Refuse && fs::symlink_metadata(path)?.is_symlink() {
            return Err(io::Error::other("is a link"));
        }
        options.open(path)
    }

    fn stat_open(&self, file: &File) -> io::Result<Stat> {
        Ok(Stat::of(&file.metadata()?))
    }

    fn read_at(&self, file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_at(file, buffer, offset);
        #[cfg(windows)]
        return std::os::windows::fs::FileExt::seek_read(file, buffer, offset);
    }
}

impl Stat {
    fn of(metadata: &Metadata) -> Self {
        Self {
            kind: Kind::of(metadata.file_type()),
            size: metadata.len(),
            mtime_ns: metadata.modified().map_or(0, nanoseconds),
            #[cfg(unix)]
            id: Some(FileId {
                device: std::os::unix::fs::MetadataExt::dev(metadata),
                inode: std::os::unix::fs::MetadataExt::ino(metadata),
            }),
            #[cfg(not(unix))]
            id: None,
        }
    }

    /// Whether both are one file as far as numbers tell; `false` where there are none.
    pub(super) fn is_same_file(&self, other: Option<FileId>) -> bool {
        self.id.is_some() && self.id == other
    }
}

impl Kind {
    fn of(kind: fs::FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Folder
        } else if kind.is_symlink() {
            Self::Link
        } else {
            Self::Other(kind_name(kind))
        }
    }
}

fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// Reads until `buffer` is full or the file ends; returns how many bytes. Interrupted calls are repeated.
pub(super) fn read_full<F: Files>(
    files: &F,
    file: &F::File,
    offset: u64,
    buffer: &mut [u8],
) -> io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match files.read_at(file, offset.saturating_add(n as u64), &mut buffer[n..]) {
            Ok(0) => break,
            Ok(read) => n += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n)
}
