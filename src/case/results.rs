//! The results of a scan, kept so that a case opens again without reading logs.
//!
//! The case does not look into them: they are JSON texts, each one zstd frame with a checksum.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::str::FromStr;

use rusqlite::{Transaction, params};

use super::{Case, CaseError, SourceFile, rows, sources, unknown};
use crate::finding::Timestamp;

/// How much JSON text of one kind is read back; more is damage, or not worth waiting for.
pub const RESULT_MAX_BYTES: u64 = 1 << 30;

/// Level of compression: the fastest that still makes JSON about ten times smaller.
const LEVEL: i32 = 3;

/// What a JSON text holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResultName {
    /// The findings.
    Findings,
    /// The incidents they come to.
    Incidents,
    /// What was read.
    Summary,
    /// The credentials seen.
    Credentials,
}

impl ResultName {
    /// All names.
    pub const ALL: [Self; 4] = [
        Self::Findings,
        Self::Incidents,
        Self::Summary,
        Self::Credentials,
    ];

    /// Returns the word used in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Findings => "findings",
            Self::Incidents => "incidents",
            Self::Summary => "summary",
            Self::Credentials => "credentials",
        }
    }
}

impl FromStr for ResultName {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        let mut names = Self::ALL.into_iter();
        names.find(|name| name.as_str() == word).ok_or(())
    }
}

/// The results of one scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Results {
    /// What made them, such as the version of the program and of its rules: a caller that would make
    /// others reads the logs again.
    pub made_by: String,
    /// When they were made.
    pub at: Timestamp,
    /// The JSON texts.
    pub json: BTreeMap<ResultName, String>,
}

impl Case {
    /// Keeps `results` of the files `sources` in place of those before, in one transaction.
    ///
    /// They are not kept in memory: if they cannot be saved, the results and sources before stay.
    ///
    /// # Errors
    /// When they could not be saved.
    pub fn store_results(
        &mut self,
        sources: Vec<SourceFile>,
        results: &Results,
    ) -> Result<(), CaseError> {
        // Compressed before the transaction, which other programs wait for.
        let packed: Vec<(ResultName, Vec<u8>)> = results
            .json
            .iter()
            .map(|(name, json)| (*name, pack(json)))
            .collect();
        self.database.save(|transaction| {
            sources::write(&sources, transaction)?;
            write(results, &packed, transaction)
        })?;
        self.contents.sources = sources;
        Ok(())
    }

    /// Returns the results kept last; `None` if there are none.
    ///
    /// # Errors
    /// When they cannot be read. The rest of the case is not affected: read the logs again.
    pub fn load_results(&self) -> Result<Option<Results>, CaseError> {
        let rows: Vec<(ResultName, String, Timestamp, Vec<u8>)> =
            self.database.read(|connection| {
                let sql = "SELECT name, made_by, at, json FROM results";
                rows(connection, sql, |row| {
                    let name: String = row.get(0)?;
                    let name = name
                        .parse()
                        .map_err(|()| unknown(0, &format!("there are no results `{name}`")))?;
                    Ok((name, row.get(1)?, Timestamp(row.get(2)?), row.get(3)?))
                })
            })?;
        let mut results: Option<Results> = None;
        for (name, made_by, at, packed) in rows {
            let json = unpack(&packed).map_err(|cause| {
                let name = name.as_str();
                self.database
                    .damaged(format!("its `{name}` cannot be unpacked: {cause}"))
            })?;
            results
                .get_or_insert_with(|| Results {
                    made_by,
                    at,
                    json: BTreeMap::new(),
                })
                .json
                .insert(name, json);
        }
        Ok(results)
    }
}

fn write(
    results: &Results,
    packed: &[(ResultName, Vec<u8>)],
    transaction: &Transaction<'_>,
) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM results", [])?;
    let sql = "INSERT INTO results (name, made_by, at, json) VALUES (?, ?, ?, ?)";
    let mut insert = transaction.prepare(sql)?;
    for (name, json) in packed {
        insert.execute(params![name.as_str(), results.made_by, results.at.0, json])?;
    }
    Ok(())
}

fn pack(json: &str) -> Vec<u8> {
    let pack = || -> io::Result<Vec<u8>> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
        encoder.include_checksum(true)?;
        io::Write::write_all(&mut encoder, json.as_bytes())?;
        encoder.finish()
    };
    pack().expect("memory can be written")
}

fn unpack(packed: &[u8]) -> io::Result<String> {
    let mut json = String::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
    decoder
        .take(RESULT_MAX_BYTES + 1)
        .read_to_string(&mut json)?;
    if json.len() as u64 > RESULT_MAX_BYTES {
        return Err(io::Error::other("it is too large"));
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(json: &[(ResultName, &str)]) -> Results {
        Results {
            made_by: "kubescry 0.1.0, 75 rules".to_owned(),
            at: Timestamp(7),
            json: json
                .iter()
                .map(|(name, json)| (*name, (*json).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn results_replace_those_before() {
        let mut case = Case::in_memory().unwrap();
        assert_eq!(case.load_results().unwrap(), None);
        let long = "[1,2,3],".repeat(100_000);
        let first = results(&[(ResultName::Findings, &long), (ResultName::Summary, "{}")]);
        let file = SourceFile::of("a.log", 3, b"abc", &[]);
        case.store_results(vec![file.clone()], &first).unwrap();
        assert_eq!(case.load_results().unwrap(), Some(first));
        assert_eq!(case.sources(), [file]);
        let second = results(&[(ResultName::Credentials, "ключ\0")]);
        case.store_results(Vec::new(), &second).unwrap();
        assert_eq!(case.load_results().unwrap(), Some(second));
        assert_eq!(case.sources(), []);
    }

    #[test]
    fn a_flipped_bit_is_not_a_result() {
        let packed = pack(&"{\"finding_id\":\"9b2c\"}".repeat(50));
        for at in 0..packed.len() {
            for bit in 0..8 {
                let mut damaged = packed.clone();
                damaged[at] ^= 1 << bit;
                if let Ok(json) = unpack(&damaged) {
                    // A few bits of the frame header say nothing about the content.
                    assert_eq!(json, unpack(&packed).unwrap(), "byte {at}, bit {bit}");
                }
            }
        }
        assert!(unpack(&packed[..packed.len() - 1]).is_err());
    }
}
