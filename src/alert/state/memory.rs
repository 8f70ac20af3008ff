//! What detection remembers of a cluster, as rows of the table of parts.
//!
//! A part of a [`Memory`] is a row. A large one is many: it is cut where its content says so (`FastCDC`, Xia et al., USENIX ATC
//! 2016), so that what changes in one place leaves the other pieces as they are, and is written alone:
//!
//! ```text
//! memory:CLUSTER                   the head
//! memory:CLUSTER \0 PART           a part
//! memory:CLUSTER \0 PART \0        of a part in pieces: their hashes, in order, 8 bytes each
//! memory:CLUSTER \0 PART \0 HASH   one of them, by its XXH3
//! ```
//!
//! The data of all of them is compressed, and has its checksum in the row. The head ends with the cluster, so that programs
//! that know of no other part find it, and see that it is of another form.

use std::collections::BTreeSet;
use std::path::Path;

use fastcdc::v2020::FastCDC;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::{StateError, checksum, damaged, database_error, put_part, verified};
use crate::pipeline::{Memory, Parts};

/// The rows of a cluster, by the name of its head.
const OF_CLUSTER: &str = "name = ?1 OR (name > ?1 || char(0) AND name < ?1 || char(1))";

/// How large pieces are at least, in general and at most, in bytes: there are some hundred of the largest memory.
const PIECE_BYTES: [usize; 3] = [16 << 10, 64 << 10, 256 << 10];

/// How hard data is compressed (zstd): the fastest.
const LEVEL: i32 = 1;

fn head_of(cluster: &str) -> String {
    format!("memory:{cluster}")
}

fn piece_of(row: &str, hash: i64) -> String {
    format!("{row}\0{hash:016x}")
}

/// Reads what is remembered of `cluster` from the state at `path`.
///
/// # Errors
/// When it cannot be read, or is not what was written.
pub(super) fn read(
    path: &Path,
    connection: &Connection,
    cluster: &str,
) -> Result<Option<Parts>, StateError> {
    let wrong = |cause| database_error(path, cause);
    let head = head_of(cluster);
    let sql = format!("SELECT name, data, sum FROM parts WHERE {OF_CLUSTER}");
    let mut statement = connection.prepare(&sql).map_err(wrong)?;
    let mut rows = statement.query([&head]).map_err(wrong)?;
    let (mut parts, mut lists, mut pieces) = (Parts::new(), Parts::new(), Parts::new());
    while let Some(row) = rows.next().map_err(wrong)? {
        let name: String = row.get(0).map_err(wrong)?;
        let is = |what: &str| damaged(path, format!("`{name}` {what}"));
        let ValueRef::Blob(packed) = row.get_ref(1).map_err(wrong)? else {
            return Err(is("holds no bytes"));
        };
        let packed = verified(path, &name, packed, row.get(2).map_err(wrong)?)?;
        let bytes = unpack(packed).ok_or_else(|| is("cannot be unpacked"))?;
        let Some(part) = name[head.len()..].strip_prefix('\0') else {
            parts.insert(Memory::HEAD.to_owned(), bytes);
            continue;
        };
        match part.split_once('\0') {
            None => parts.insert(part.to_owned(), bytes),
            Some((part, "")) => lists.insert(part.to_owned(), bytes),
            Some(_) => pieces.insert(name, bytes),
        };
    }
    for (part, list) in lists {
        let row = format!("{head}\0{part}");
        let mut whole = Vec::new();
        for hash in list.as_chunks().0 {
            let name = piece_of(&row, i64::from_le_bytes(*hash));
            let missing = || damaged(path, format!("`{name}` is not there"));
            whole.extend_from_slice(pieces.get(&name).ok_or_else(missing)?);
        }
        parts.insert(part, whole);
    }
    Ok((!parts.is_empty()).then_some(parts))
}

/// Writes what is remembered of `cluster`, as far as it is not there: `parts` by name, without bytes if they are as before.
pub(super) fn write<'p>(
    connection: &Connection,
    cluster: &str,
    parts: impl Iterator<Item = (&'p str, Option<&'p [u8]>)>,
) -> rusqlite::Result<()> {
    let head = head_of(cluster);
    let mut gone: BTreeSet<String> = connection
        .prepare(&format!("SELECT name FROM parts WHERE {OF_CLUSTER}"))?
        .query_map([&head], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let put = |row: &str, bytes: &[u8]| {
        let packed = zstd::bulk::compress(bytes, LEVEL).expect("nothing fails between buffers");
        put_part(connection, row, &packed)
    };
    for (name, bytes) in parts {
        let row = match name {
            Memory::HEAD => head.clone(),
            name => format!("{head}\0{name}"),
        };
        let Some(bytes) = bytes else {
            // It and its pieces stay; the head never does.
            gone.extract_if(row.clone()..format!("{row}\x01"), |_| true)
                .for_each(drop);
            continue;
        };
        let [least, average, most] = PIECE_BYTES;
        if bytes.len() <= most {
            put(&row, bytes)?;
            gone.remove(&row);
            continue;
        }
        let mut list = Vec::new();
        for cut in FastCDC::new(bytes, least, average, most) {
            let piece = &bytes[cut.offset..][..cut.length];
            let hash = checksum(piece);
            let name = piece_of(&row, hash);
            if !gone.remove(&name) {
                put(&name, piece)?;
            }
            list.extend(hash.to_le_bytes());
        }
        let list_row = format!("{row}\0");
        put(&list_row, &list)?;
        gone.remove(&list_row);
    }
    for row in gone {
        connection.execute("DELETE FROM parts WHERE name = ?1", [row])?;
    }
    Ok(())
}

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let length = zstd::zstd_safe::get_frame_content_size(packed).ok()??;
    zstd::bulk::decompress(packed, usize::try_from(length).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of parts, with the numbers of rows: one that is written again has another.
    struct Table(Connection);

    impl Table {
        fn new() -> Self {
            let connection = Connection::open_in_memory().unwrap();
            let sql = "CREATE TABLE parts (name TEXT PRIMARY KEY, data BLOB, sum INTEGER) STRICT";
            connection.execute_batch(sql).unwrap();
            Self(connection)
        }

        fn write(&self, cluster: &str, parts: &[(&str, Option<&[u8]>)]) {
            write(&self.0, cluster, parts.iter().copied()).unwrap();
        }

        fn read(&self, cluster: &str) -> Parts {
            let parts = read(Path::new("state"), &self.0, cluster);
            parts.unwrap().unwrap_or_default()
        }

        fn rows(&self) -> BTreeSet<(String, i64)> {
            let mut rows = self.0.prepare("SELECT name, rowid FROM parts").unwrap();
            let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
            rows.unwrap().map(Result::unwrap).collect()
        }
    }

    /// Returns bytes that do not repeat.
    fn noise(length: u64) -> Vec<u8> {
        let numbers = (0..length / 8).map(|n| checksum(&n.to_le_bytes()));
        numbers.flat_map(i64::to_le_bytes).collect()
    }

    #[test]
    fn what_changes_in_one_place_is_written_alone() {
        let table = Table::new();
        let (small, mut large) = (noise(1 << 10), noise(4 << 20));
        let of_other: [(&str, Option<&[u8]>); 1] = [("large", Some(&large))];
        table.write("other", &of_other);
        table.write("cc", &of_other);
        let (others, of_others) = (table.rows(), table.read("other"));
        let kept = |parts: &[(&str, &[u8])]| {
            let parts = parts.iter();
            let parts = parts.map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
            parts.collect::<Parts>()
        };
        table.write(
            "c",
            &[
                (Memory::HEAD, Some(b"1")),
                ("large", Some(&large)),
                ("same", Some(&large)),
                ("small", Some(&small)),
            ],
        );
        let mut expected = kept(&[
            (Memory::HEAD, b"1"),
            ("large", &large),
            ("same", &large),
            ("small", &small),
        ]);
        assert_eq!(table.read("c"), expected);
        let before = table.rows();
        assert!(before.len() > 40 + others.len(), "{}", before.len());

        // Bytes come in between, and all behind them move.
        large.splice(2_000_000..2_000_000, *b"more");
        table.write(
            "c",
            &[
                (Memory::HEAD, Some(b"2")),
                ("large", Some(&large)),
                ("same", None),
                ("small", None),
            ],
        );
        expected.extend(kept(&[(Memory::HEAD, b"2"), ("large", &large)]));
        assert_eq!(table.read("c"), expected);
        let after = table.rows();
        let written = after.difference(&before).count();
        assert!(
            (3..6).contains(&written),
            "head, list and pieces: {written}"
        );
        assert!(after.len() <= before.len() + 1, "old pieces go");

        // What is small again is a row again, and what is no part any more goes.
        table.write("c", &[(Memory::HEAD, Some(b"3")), ("large", Some(&small))]);
        let expected = kept(&[(Memory::HEAD, b"3"), ("large", &small)]);
        assert_eq!(table.read("c"), expected);
        let left: BTreeSet<_> = table.rows().difference(&others).cloned().collect();
        assert_eq!(left.len(), 2, "{left:?}");
        assert_eq!(table.read("other"), of_others);
    }

    #[test]
    fn a_piece_that_is_missing_is_said() {
        let table = Table::new();
        table.write("c", &[("large", Some(&noise(1 << 20)))]);
        let delete = "DELETE FROM parts WHERE rowid = (SELECT max(rowid) - 1 FROM parts)";
        assert_eq!(table.0.execute(delete, []).unwrap(), 1);
        let error = read(Path::new("state"), &table.0, "c").unwrap_err();
        assert!(error.to_string().contains("is not there"), "{error}");
    }
}
