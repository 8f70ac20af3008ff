//! Files that are written on after they were read.
//!
//! Comes in: the files, and what was read of them. Goes out: news, when that has changed. A thread of its own looks at
//! sizes every few seconds; nothing is read again, since what is on the screen must not change under the reader's hands.

use std::fs::Metadata;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::text::{Cut, fit};
use super::update::{Event, News};
use super::view::bytes;
use crate::report::Summary;
use crate::source::InputFile;

/// How often sizes are looked at.
pub const EVERY: Duration = Duration::from_secs(5);

/// Columns of a name in the status line.
const NAME_COLUMNS: usize = 24;

/// A file that is not what was read any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grown {
    /// The file, as given.
    pub name: String,
    /// Bytes on disk that it has more; `None`: it is another file, or was cut.
    pub bytes: Option<u64>,
}

/// Files whose sizes are looked at.
#[derive(Debug)]
pub struct Watch(Vec<Watched>);

#[derive(Debug)]
struct Watched {
    name: String,
    path: PathBuf,
    was: Identity,
}

/// What tells of a file that it is written on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    /// Device and inode: a log that is rotated leaves its name to another file.
    place: (u64, u64),
    size: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let place = {
            use std::os::unix::fs::MetadataExt as _;
            (metadata.dev(), metadata.ino())
        };
        #[cfg(not(unix))]
        let place = (0, 0);
        let size = metadata.len();
        Self { place, size }
    }
}

impl Watch {
    /// Begins, before the files are read; what is no regular file is left out.
    pub fn of(files: &[InputFile]) -> Self {
        let watched = files.iter().filter_map(|file| {
            let path = file.path.clone()?;
            let metadata = std::fs::metadata(&path).ok();
            let metadata = metadata.filter(Metadata::is_file)?;
            Some(Watched {
                name: file.name.to_string(),
                was: Identity::of(&metadata),
                path,
            })
        });
        Self(watched.collect())
    }

    /// Notes what was read of files that grew in the meantime.
    pub fn was_read(&mut self, summary: &Summary) {
        for watched in &mut self.0 {
            let now = std::fs::metadata(&watched.path).map(|metadata| Identity::of(&metadata));
            let Some(now) = now.ok().filter(|now| now.place == watched.was.place) else {
                continue;
            };
            let was = watched.was.size;
            if now.size > was {
                let mut files = summary.files.iter();
                let file = files.find(|file| *file.path == *watched.name);
                let read = file.map(|file| file.counters.bytes);
                // Of compressed files, other bytes are counted: what cannot be told is not claimed.
                let read = read.filter(|read| (was..=now.size).contains(read));
                watched.was.size = read.unwrap_or(now.size);
            }
        }
    }

    /// Returns which files are not what was read any more; one that is gone has nothing to be read.
    pub fn look(&self) -> Vec<Grown> {
        let grown = self.0.iter().filter_map(|watched| {
            let metadata = std::fs::metadata(&watched.path).ok()?;
            let now = Identity::of(&metadata);
            let is_same = now.place == watched.was.place && now.size >= watched.was.size;
            let more = now.size.saturating_sub(watched.was.size);
            (now != watched.was).then(|| Grown {
                name: watched.name.clone(),
                bytes: is_same.then_some(more),
            })
        });
        grown.collect()
    }

    /// Looks again and again, and tells what is new, until nobody listens.
    pub fn run(&self, every: Duration, events: &Sender<Event>) {
        let mut told = Vec::new();
        while !self.0.is_empty() {
            std::thread::sleep(every);
            let grown = self.look();
            if grown == told {
                continue;
            }
            told.clone_from(&grown);
            if events.send(Event::News(News::Grown(grown))).is_err() {
                return;
            }
        }
    }
}

/// Says in one line what became of the files, and what to do; nothing if they are what was read.
pub fn sentence(grown: &[Grown]) -> Option<String> {
    let first = grown.first()?;
    let more: u64 = grown.iter().filter_map(|file| file.bytes).sum();
    Some(match (grown.len(), first.bytes) {
        (1, Some(more)) => {
            let name = short(&first.name);
            format!(
                "{name} has grown by {}: open it again to read it",
                bytes(more)
            )
        }
        (1, None) => {
            let name = short(&first.name);
            format!("{name} is another file now: open it again to read it")
        }
        (count, _) => format!(
            "{count} files have changed, {} more: open them again",
            bytes(more)
        ),
    })
}

/// Says the same where there is little room.
pub fn words(grown: &[Grown]) -> Option<String> {
    let more: u64 = grown.iter().filter_map(|file| file.bytes).sum();
    let is_growth = grown.iter().all(|file| file.bytes.is_some());
    let words = if is_growth {
        format!("grown by {} (0)", bytes(more))
    } else {
        "files have changed (0)".to_owned()
    };
    (!grown.is_empty()).then_some(words)
}

/// Returns the name without its folders.
fn short(path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    fit(name, NAME_COLUMNS, Cut::Middle)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;
    use std::path::Path;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::report::{Counters, FileStats};
    use crate::source::discover::discover;

    fn watch(path: &Path) -> Watch {
        Watch::of(&discover(&[path.to_owned()]).files)
    }

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn grown(path: &Path, bytes: Option<u64>) -> Vec<Grown> {
        let name = path.display().to_string();
        vec![Grown { name, bytes }]
    }

    #[test]
    fn growth_is_told_once_and_again_when_there_is_more() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.log");
        fs::write(&log, "{}\n").unwrap();
        let watch = watch(&log);
        assert_eq!(watch.look(), []);
        append(&log, "{}\n");
        let (events, inbox) = channel();
        std::thread::spawn(move || watch.run(Duration::from_millis(5), &events));
        let next = || match inbox.recv_timeout(Duration::from_mins(1)) {
            Ok(Event::News(News::Grown(grown))) => grown,
            other => panic!("{other:?}"),
        };
        assert_eq!(next(), grown(&log, Some(3)));
        append(&log, "{}\n");
        assert_eq!(next(), grown(&log, Some(6)));
    }

    #[test]
    fn what_was_read_while_the_file_grew_is_no_news() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.log");
        fs::write(&log, "{}\n").unwrap();
        let mut watch = watch(&log);
        append(&log, "{}\n{}\n");
        let read = FileStats {
            path: log.display().to_string().into(),
            counters: Counters {
                bytes: 6,
                ..Counters::default()
            },
        };
        let summary = Summary {
            files: vec![read],
            ..Summary::default()
        };
        watch.was_read(&summary);
        assert_eq!(watch.look(), grown(&log, Some(3)));
    }

    #[test]
    fn a_log_that_was_rotated_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.log");
        fs::write(&log, "{}\n").unwrap();
        let watch = watch(&log);
        fs::rename(&log, folder.path().join("audit.log.1")).unwrap();
        assert_eq!(watch.look(), []);
        fs::write(&log, "{}\n{}\n").unwrap();
        assert_eq!(watch.look(), grown(&log, None));
    }
}
