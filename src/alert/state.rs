//! The state of `alert`: what earlier runs read, decided and have yet to send, in one SQLite file.
//!
//! Comes in: at the end of a run, everything at once ([`Commit`]). Goes out: the same at the start of the next. Promised:
//!
//! - Cursors, memory, findings and outbox move in one transaction, so a run that is killed has happened or has not.
//! - One run works at a time: a lock of the system, which dies with the process.
//! - Every row has a checksum. What is damaged is renamed and never deleted; the generation before takes its place, which
//!   is older, so what was read since is read again, and alerts keep their keys. If that is damaged, too, everything is
//!   read from the start.
//! - A file of a newer version is left untouched.
//!
//! The folder is for the owner alone (0700, files 0600), since the memory holds user names and addresses.

mod entries;
mod memory;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, params};
use serde::de::DeserializeOwned;

use super::decide::Decided;
use super::figures::Totals;
use super::stale::Sources;
use crate::pipeline::{Memory, Parts};
use crate::private;
use crate::source::follow::Cursor;
pub use entries::{Entry, Settled};

/// Name of the state.
pub const STATE: &str = "state.sqlite";

/// Name of the generation before.
pub const PREVIOUS: &str = "state.prev.sqlite";

/// Name of what will be the state or the generation before once it is whole.
const NEXT: &str = "state.next.sqlite";

/// Name of the lock.
pub const LOCK: &str = "state.lock";

/// Version of the tables (`PRAGMA user_version`).
const VERSION: i64 = 1;

/// Identity of the file (`PRAGMA application_id`): `kscy`.
const APPLICATION: i64 = 0x6b73_6379;

/// How old the generation before may become, in microseconds: an hour, so that keeping it costs little.
const GENERATION_US: i64 = 3_600_000_000;

/// How often a lock that is waited for is tried.
const STEP: Duration = Duration::from_millis(100);

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another run has it.
    #[error("another run is at work on `{}`", dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// A newer program made it.
    #[error("`{}` is of version {found}, and this program knows {VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// The folder is not safe.
    #[error("`{}` cannot hold the state: {what}", dir.display())]
    Unsafe {
        /// The folder.
        dir: PathBuf,
        /// Why.
        what: &'static str,
    },
    /// A file or folder.
    #[error("cannot use `{}`: {cause}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The database.
    #[error("cannot use `{}`: {cause}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        cause: rusqlite::Error,
    },
    /// A row is not what was written.
    #[error("`{}` is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        what: String,
    },
}

impl StateError {
    /// Returns what to try.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "`--wait` waits for it",
            Self::Newer { .. } => "use the newer program, or another `[state] dir`",
            Self::Unsafe { .. } => {
                "give it a folder of its own, such as /var/lib/kubescry, that the user of this program alone may write"
            }
            Self::Io { .. } | Self::Database { .. } => {
                "is there room on the disk, and may this user write there?"
            }
            Self::Damaged { .. } => "`kubescry alert state reset` starts anew",
        }
    }
}

/// What a run starts with.
#[derive(Debug, Default)]
pub struct Loaded {
    /// How far the files of each cluster were read.
    pub(super) cursors: BTreeMap<String, Vec<Cursor>>,
    /// Findings that were decided, by id: JSON each, which is read where there is something to decide.
    pub findings: Vec<(String, String)>,
    /// The figures of all runs.
    pub(super) totals: Totals,
    /// What was heard of each source.
    pub(super) heard: Sources,
    /// Runs so far.
    pub runs: u64,
    /// Where it was read from.
    path: PathBuf,
}

impl Loaded {
    /// Returns what was decided, by cluster and id of the finding.
    ///
    /// # Errors
    /// When a finding is not what a run writes.
    pub(super) fn known(&self) -> Result<BTreeMap<String, BTreeMap<String, Decided>>, StateError> {
        let mut known: BTreeMap<String, BTreeMap<String, Decided>> = BTreeMap::new();
        for (key, json) in &self.findings {
            let (cluster, id) = self.split(key)?;
            let decided = parsed(&self.path, key, json)?;
            let of_cluster = known.entry(cluster.to_owned()).or_default();
            of_cluster.insert(id.to_owned(), decided);
        }
        Ok(known)
    }

    /// Returns what was decided of one cluster, by id of the finding.
    ///
    /// # Errors
    /// As of [`Self::known`].
    pub(super) fn known_of(&self, cluster: &str) -> Result<BTreeMap<String, Decided>, StateError> {
        let mut known = BTreeMap::new();
        for (key, json) in &self.findings {
            let (of, id) = self.split(key)?;
            if of == cluster {
                known.insert(id.to_owned(), parsed(&self.path, key, json)?);
            }
        }
        Ok(known)
    }

    fn split<'k>(&self, key: &'k str) -> Result<(&'k str, &'k str), StateError> {
        let split = key.split_once('\0');
        split.ok_or_else(|| damaged(&self.path, "a finding has no cluster".to_owned()))
    }
}

/// Returns the key of a finding in the state.
pub(super) fn finding_key(cluster: &str, finding_id: &str) -> String {
    format!("{cluster}\0{finding_id}")
}

/// Returns what `json`, which stands under `name`, says; it was written, so if it says nothing it is damaged.
fn parsed<T: DeserializeOwned>(path: &Path, name: &str, json: &str) -> Result<T, StateError> {
    serde_json::from_str(json)
        .map_err(|cause| damaged(path, format!("`{}`: {cause}", name.replace('\0', "/"))))
}

/// What a run ends with.
#[derive(Debug, Default)]
pub struct Commit {
    /// Where files were read to, as JSON.
    pub cursors: String,
    /// What detection remembers, by cluster; those that are not named are as before.
    pub memory: Vec<(String, Memory)>,
    /// Figures that never fall, as JSON.
    pub totals: String,
    /// What was heard of each source, as JSON.
    pub heard: String,
    /// Findings that are new or others now.
    pub changed: Vec<(String, String)>,
    /// Ids of findings that are forgotten.
    pub forgotten: Vec<String>,
    /// What is to be sent.
    pub outbox: Vec<Entry>,
}

/// The state, locked for this process.
pub struct State {
    connection: Connection,
    dir: PathBuf,
    /// What was wrong with the state that was there.
    pub warnings: Vec<String>,
    /// Behind the connection, so that it goes last.
    _lock: File,
}

impl State {
    /// Opens the state in `dir`, which is made if it is not there, and returns what earlier runs left; waits for another
    /// run if `wait` says how long.
    ///
    /// # Errors
    /// When another run has it, the folder is not safe or cannot be written, or a newer program made it.
    pub fn open(dir: &Path, wait: Option<Duration>) -> Result<(Self, Loaded), StateError> {
        prepare(dir)?;
        let lock = lock(dir, wait)?;
        // What a run that was cut short has left.
        clear(&dir.join(NEXT))?;
        let mut warnings = Vec::new();
        for name in [STATE, PREVIOUS] {
            let path = dir.join(name);
            if !path.exists() {
                continue;
            }
            let opened = connect(&path).and_then(|connection| {
                check(&path, &connection)?;
                let loaded = load(&path, &connection)?;
                Ok((connection, loaded))
            });
            match opened {
                Ok((connection, loaded)) if name == STATE => {
                    return Ok((Self::new(connection, dir, warnings, lock), loaded));
                }
                Ok((connection, loaded)) => {
                    drop(connection);
                    let connection = place(dir, |next| copy(&path, next))?;
                    warnings.push("went on with the state of an earlier run: what was read since is read again".to_owned());
                    return Ok((Self::new(connection, dir, warnings, lock), loaded));
                }
                Err(error @ StateError::Damaged { .. }) => {
                    let aside = set_aside(&path)?;
                    warnings.push(format!("{error}; it is kept as `{}`", aside.display()));
                }
                Err(error) => return Err(error),
            }
        }
        if !warnings.is_empty() {
            warnings.push("everything that is there is read from the start".to_owned());
        }
        let connection = place(dir, create)?;
        Ok((
            Self::new(connection, dir, warnings, lock),
            Loaded::default(),
        ))
    }

    /// Looks whether [`Self::open`] can use `dir`, and leaves it as it is.
    ///
    /// # Errors
    /// When it is not safe, or this user cannot write there.
    pub fn check_folder(dir: &Path) -> Result<(), StateError> {
        match fs::symlink_metadata(dir) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                // It will be made in the nearest folder that is there.
                let nearest = dir.ancestors().find(|it| fs::symlink_metadata(it).is_ok());
                private::try_folder(nearest.unwrap_or(Path::new(".")))
                    .map_err(|cause| io_error(dir, cause))
            }
            _ => {
                check_folder(dir)?;
                private::try_folder(dir).map_err(|cause| io_error(dir, cause))?;
                for name in [STATE, LOCK] {
                    let path = dir.join(name);
                    match OpenOptions::new().append(true).open(&path) {
                        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                            return Err(io_error(&path, cause));
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
        }
    }

    /// Returns whether there is one in `dir`.
    ///
    /// # Errors
    /// When that cannot be seen, as for lack of permission.
    pub fn is_in(dir: &Path) -> Result<bool, StateError> {
        for name in [STATE, PREVIOUS] {
            let path = dir.join(name);
            if path.try_exists().map_err(|cause| io_error(&path, cause))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn new(connection: Connection, dir: &Path, warnings: Vec<String>, lock: File) -> Self {
        Self {
            connection,
            dir: dir.to_owned(),
            warnings,
            _lock: lock,
        }
    }

    /// Returns the bytes of the file.
    pub fn size_bytes(&self) -> u64 {
        fs::metadata(self.path()).map_or(0, |metadata| metadata.len())
    }

    /// Returns where the file is.
    pub fn path(&self) -> PathBuf {
        self.dir.join(STATE)
    }

    fn error(&self, cause: rusqlite::Error) -> StateError {
        database_error(&self.path(), cause)
    }

    /// Writes what a run came to, all of it or nothing; now and then the generation before is renewed first.
    ///
    /// # Errors
    /// When it cannot be written; the state is as before then.
    pub fn commit(&mut self, commit: &Commit, runs: u64, now: i64) -> Result<(), StateError> {
        self.keep_previous(now)?;
        let path = self.path();
        let transaction = self
            .connection
            .transaction()
            .map_err(|cause| database_error(&path, cause))?;
        write(&transaction, commit, runs).map_err(|cause| database_error(&path, cause))?;
        transaction
            .commit()
            .map_err(|cause| database_error(&path, cause))
    }

    /// Writes figures anew.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep_totals(&mut self, totals: &str) -> Result<(), StateError> {
        put_part(&self.connection, "totals", totals.as_bytes()).map_err(|cause| self.error(cause))
    }

    /// Copies the state as it is now to the generation before, if that has become old.
    fn keep_previous(&self, now: i64) -> Result<(), StateError> {
        let kept: Option<i64> = self
            .connection
            .query_row("SELECT at FROM generation", [], |row| row.get(0))
            .optional()
            .map_err(|cause| self.error(cause))?;
        let previous = self.dir.join(PREVIOUS);
        let is_young = kept.is_some_and(|kept| (0..GENERATION_US).contains(&(now - kept)));
        if is_young && previous.exists() {
            return Ok(());
        }
        let fresh = self.dir.join(NEXT);
        create_private(&fresh)?;
        let generation = "DELETE FROM generation; INSERT INTO generation (at) VALUES (";
        self.connection
            .execute_batch(&format!("{generation}{now})"))
            .and_then(|()| {
                self.connection
                    .execute("VACUUM INTO ?1", [fresh.to_string_lossy()])
            })
            .map_err(|cause| self.error(cause))?;
        fs::rename(&fresh, &previous).map_err(|cause| io_error(&previous, cause))
    }

    /// Returns what detection remembers of `cluster`: large, and of use only where there is something new.
    ///
    /// # Errors
    /// When it cannot be read, or is not what was written.
    pub fn memory(&self, cluster: &str) -> Result<Option<Parts>, StateError> {
        memory::read(&self.path(), &self.connection, cluster)
    }

    /// Renames a state of which damage showed while it was in use, and if `with_previous` the one before, too; says what
    /// they are called now.
    ///
    /// # Errors
    /// When another run has it, or it cannot be renamed.
    pub fn put_aside(dir: &Path, with_previous: bool) -> Result<String, StateError> {
        let _lock = lock(dir, None)?;
        let names: &[&str] = if with_previous {
            &[STATE, PREVIOUS]
        } else {
            &[STATE]
        };
        let mut aside = Vec::new();
        for path in names.iter().map(|name| dir.join(name)) {
            if path.exists() {
                aside.push(format!("`{}`", set_aside(&path)?.display()));
            }
        }
        Ok(aside.join(" and "))
    }

    /// Forgets everything but the lock, so that the next run is a first one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn reset(self) -> Result<(), StateError> {
        let Self {
            connection, dir, ..
        } = self;
        drop(connection);
        for name in [STATE, PREVIOUS] {
            clear(&dir.join(name))?;
        }
        Ok(())
    }
}

/// Reads what earlier runs left.
fn load(path: &Path, connection: &Connection) -> Result<Loaded, StateError> {
    let wrong = |cause| database_error(path, cause);
    let utf8 = |name: &str, data: Vec<u8>| {
        String::from_utf8(data).map_err(|_cause| damaged(path, format!("`{name}` is no text")))
    };
    let text = |name: &str| {
        let data = part(path, connection, name)?;
        data.map(|data| utf8(name, data)).transpose()
    };
    let mut statement = connection
        .prepare("SELECT id, data, sum FROM findings ORDER BY id")
        .map_err(wrong)?;
    let rows = statement
        .query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
        })
        .map_err(wrong)?;
    let mut findings = Vec::new();
    for row in rows {
        let (id, data, sum) = row.map_err(wrong)?;
        let data = utf8(&id, verified(path, &id, data, sum)?)?;
        findings.push((id, data));
    }
    // All of them are written by every run.
    let parts = ["cursors", "totals", "heard", "runs"].map(|name| (name, text(name)));
    let mut there = Vec::new();
    for (name, part) in parts {
        there.extend(part?.map(|part| (name, part)));
    }
    let [(_, cursors), (_, totals), (_, heard), (_, runs)] = match <[_; 4]>::try_from(there) {
        Ok(all) => all,
        Err(none) if none.is_empty() && findings.is_empty() => return Ok(Loaded::default()),
        Err(some) => {
            let names: Vec<&str> = some.iter().map(|(name, _)| *name).collect();
            let what = format!("of what a run writes there is only: {}", names.join(", "));
            return Err(damaged(path, what));
        }
    };
    Ok(Loaded {
        cursors: parsed(path, "cursors", &cursors)?,
        totals: parsed(path, "totals", &totals)?,
        heard: parsed(path, "heard", &heard)?,
        findings,
        runs: parsed(path, "runs", &runs)?,
        path: path.to_owned(),
    })
}

fn damaged(path: &Path, what: String) -> StateError {
    StateError::Damaged {
        path: path.to_owned(),
        what,
    }
}

/// Returns `data` if it is what was written under `name`.
fn verified<D: AsRef<[u8]>>(path: &Path, name: &str, data: D, sum: i64) -> Result<D, StateError> {
    if checksum(data.as_ref()) == sum {
        Ok(data)
    } else {
        Err(damaged(path, format!("`{name}` has another checksum")))
    }
}

fn part(path: &Path, connection: &Connection, name: &str) -> Result<Option<Vec<u8>>, StateError> {
    let row = connection
        .query_row(
            "SELECT data, sum FROM parts WHERE name = ?1",
            [name],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(|cause| database_error(path, cause))?;
    row.map(|(data, sum)| verified(path, name, data, sum))
        .transpose()
}

fn put_part(connection: &Connection, name: &str, data: &[u8]) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO parts (name, data, sum) VALUES (?1, ?2, ?3)";
    connection.execute(sql, params![name, data, checksum(data)])?;
    Ok(())
}

fn write(transaction: &Transaction<'_>, commit: &Commit, runs: u64) -> rusqlite::Result<()> {
    put_part(transaction, "cursors", commit.cursors.as_bytes())?;
    put_part(transaction, "runs", runs.to_string().as_bytes())?;
    put_part(transaction, "totals", commit.totals.as_bytes())?;
    put_part(transaction, "heard", commit.heard.as_bytes())?;
    for (cluster, memory) in &commit.memory {
        memory::write(transaction, cluster, memory.parts())?;
    }
    for (id, json) in &commit.changed {
        transaction.execute(
            "INSERT OR REPLACE INTO findings (id, data, sum) VALUES (?1, ?2, ?3)",
            params![id, json.as_bytes(), checksum(json.as_bytes())],
        )?;
    }
    for id in &commit.forgotten {
        transaction.execute("DELETE FROM findings WHERE id = ?1", [id])?;
    }
    entries::put(transaction, &commit.outbox)
}

/// Puts a state in its place that `make` makes under another name, so that it is whole or not there.
fn place(
    dir: &Path,
    make: impl FnOnce(&Path) -> Result<(), StateError>,
) -> Result<Connection, StateError> {
    let (next, state) = (dir.join(NEXT), dir.join(STATE));
    make(&next)?;
    // A journal of a state that somebody took away would be played into this one.
    clear(&state)?;
    fs::rename(&next, &state).map_err(|cause| io_error(&state, cause))?;
    connect(&state)
}

fn copy(from: &Path, to: &Path) -> Result<(), StateError> {
    create_private(to)?;
    fs::copy(from, to)
        .and_then(|_| OpenOptions::new().write(true).open(to)?.sync_all())
        .map_err(|cause| io_error(to, cause))
}

/// Removes a database, if it is there, and what SQLite keeps beside it.
fn clear(path: &Path) -> Result<(), StateError> {
    for path in [path.to_owned(), private::beside(path, "-journal")] {
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(&path, cause));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Makes an empty file for the owner alone: SQLite would give it to all who may come into the folder, with a journal of the
/// same mode, until somebody changes that.
fn create_private(path: &Path) -> Result<(), StateError> {
    clear(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let made = private::file(&mut options).open(path);
    made.map(drop).map_err(|cause| io_error(path, cause))
}

fn create(path: &Path) -> Result<(), StateError> {
    create_private(path)?;
    let tables = connect(path)?.execute_batch(&format!(
        "PRAGMA application_id = {APPLICATION};
         BEGIN;
         CREATE TABLE parts (name TEXT PRIMARY KEY, data BLOB NOT NULL, sum INTEGER NOT NULL) STRICT;
         CREATE TABLE findings (id TEXT PRIMARY KEY, data BLOB NOT NULL, sum INTEGER NOT NULL) STRICT;
         CREATE TABLE outbox (
             key TEXT NOT NULL, sink TEXT NOT NULL, alert TEXT NOT NULL, attempts INTEGER NOT NULL,
             next_at INTEGER NOT NULL, why TEXT, dead TEXT, PRIMARY KEY (key, sink)) STRICT;
         CREATE TABLE generation (at INTEGER NOT NULL) STRICT;
         PRAGMA user_version = {VERSION};
         COMMIT;"
    ));
    tables.map_err(|cause| database_error(path, cause))
}

/// Opens a database for this process alone, its writes synced.
fn connect(path: &Path) -> Result<Connection, StateError> {
    let wrong = |cause| database_error(path, cause);
    let connection = Connection::open(path).map_err(wrong)?;
    restrict(path)?;
    connection
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;")
        .map_err(wrong)?;
    Ok(connection)
}

/// Looks whether a database is a state of this version.
fn check(path: &Path, connection: &Connection) -> Result<(), StateError> {
    let wrong = |cause| database_error(path, cause);
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let version = number("user_version").map_err(wrong)?;
    if version > VERSION {
        return Err(StateError::Newer {
            path: path.to_owned(),
            found: version,
        });
    }
    let application = number("application_id").map_err(wrong)?;
    let tables = "SELECT COUNT(*) FROM sqlite_schema WHERE name IN ('parts', 'findings', 'outbox', 'generation')";
    let tables: i64 = connection
        .query_row(tables, [], |row| row.get(0))
        .map_err(wrong)?;
    if version != VERSION || application != APPLICATION || tables != 4 {
        return Err(StateError::Damaged {
            path: path.to_owned(),
            what: "it is no state of this program".to_owned(),
        });
    }
    Ok(())
}

/// Makes the folder, and looks whether it is safe to keep secrets in.
fn prepare(dir: &Path) -> Result<(), StateError> {
    if !dir.exists() {
        private::create_folder(dir).map_err(|cause| io_error(dir, cause))?;
    }
    check_folder(dir)
}

/// Looks whether a folder that is there is safe: nobody but its owner may put files there, a sticky bit or not, and the
/// owner is this user, or root, who may do as he likes anyway.
fn check_folder(dir: &Path) -> Result<(), StateError> {
    let wrong = |cause| io_error(dir, cause);
    let metadata = fs::symlink_metadata(dir).map_err(wrong)?;
    let not_safe = |what| StateError::Unsafe {
        dir: dir.to_owned(),
        what,
    };
    if !metadata.is_dir() {
        return Err(not_safe("it is no folder"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        if metadata.mode() & 0o002 != 0 {
            return Err(not_safe("everybody may write there"));
        }
        if metadata.mode() & 0o020 != 0 {
            return Err(not_safe("its group may write there"));
        }
        if is_foreign(&metadata) {
            return Err(not_safe("it belongs to another user"));
        }
    }
    for name in [STATE, PREVIOUS, LOCK] {
        match fs::symlink_metadata(dir.join(name)) {
            Ok(metadata) if !metadata.is_file() => {
                return Err(not_safe("a file of it is a link or no file"));
            }
            #[cfg(unix)]
            Ok(metadata) if is_foreign(&metadata) => {
                return Err(not_safe("a file of it belongs to another user"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns whether something belongs to somebody else than this user and root.
#[cfg(unix)]
fn is_foreign(metadata: &fs::Metadata) -> bool {
    let owner = std::os::unix::fs::MetadataExt::uid(metadata);
    owner != 0 && owner != nix::unistd::geteuid().as_raw()
}

fn lock(dir: &Path, wait: Option<Duration>) -> Result<File, StateError> {
    let path = dir.join(LOCK);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let file = private::file(&mut options)
        .open(&path)
        .map_err(|cause| io_error(&path, cause))?;
    restrict(&path)?;
    let until = wait.map(|wait| Instant::now() + wait);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock)
                if until.is_some_and(|until| Instant::now() < until) =>
            {
                std::thread::sleep(STEP);
            }
            Err(fs::TryLockError::WouldBlock) => {
                return Err(StateError::Locked {
                    dir: dir.to_owned(),
                });
            }
            Err(fs::TryLockError::Error(cause)) => return Err(io_error(&path, cause)),
        }
    }
}

/// Makes a file the owner's alone.
fn restrict(path: &Path) -> Result<(), StateError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .map_err(|cause| io_error(path, cause))?;
    }
    Ok(())
}

/// Renames a damaged file; returns the new name.
fn set_aside(path: &Path) -> Result<PathBuf, StateError> {
    private::set_aside(path).map_err(|cause| io_error(path, cause))
}

fn checksum(data: &[u8]) -> i64 {
    xxhash_rust::xxh3::xxh3_64(data).cast_signed()
}

fn io_error(path: &Path, cause: io::Error) -> StateError {
    StateError::Io {
        path: path.to_owned(),
        cause,
    }
}

fn database_error(path: &Path, cause: rusqlite::Error) -> StateError {
    let path = path.to_owned();
    match cause.sqlite_error_code() {
        // Others, such as a full disk, say nothing against what is there.
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StateError::Damaged {
            path,
            what: cause.to_string(),
        },
        _ => StateError::Database { path, cause },
    }
}
