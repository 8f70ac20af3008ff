//! Folders and files for their owner alone, and where damaged ones go.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// What SQLite may keep beside a database.
const SIDECARS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// Makes files that `options` creates readable and writable by the owner alone.
pub(crate) fn file(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Makes `dir`, and what is above it, for the owner alone; one that is there is left as it is.
pub(crate) fn create_folder(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Looks whether files can be made in `dir`, and leaves none.
pub(crate) fn try_folder(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    tempfile::tempfile_in(dir).map(drop)
}

/// Returns `path` with `suffix` behind its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Renames a damaged database, and what SQLite keeps beside it, to the first free name; returns that.
pub(crate) fn set_aside(database: &Path) -> io::Result<PathBuf> {
    let names = (1_u32..).map(|n| match n {
        1 => beside(database, ".damaged"),
        n => beside(database, &format!(".damaged.{n}")),
    });
    let mut free = names.filter(|name| fs::symlink_metadata(name).is_err());
    let to = free.next().expect("a folder has finitely many files");
    let rename = |from: &Path, to: &Path| match fs::rename(from, to) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    };
    // A journal left behind would be played into the fresh database.
    for suffix in SIDECARS {
        rename(&beside(database, suffix), &beside(&to, suffix))?;
    }
    rename(database, &to)?;
    Ok(to)
}
