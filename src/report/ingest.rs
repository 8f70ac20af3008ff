//! What was read, in figures: the part of the report that says what the findings rest on.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::finding::Timestamp;

/// How many names a [`Census`] tells apart.
const NAMES: usize = 64;

/// What the rest is called. A log that calls something so has it counted there.
const REST: &str = "of other names";

/// Counts by name; of a log that makes up names without end, the rest is one sum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    counts: BTreeMap<String, u64>,
    rest: u64,
}

impl Census {
    /// Counts one more of `name`.
    pub fn add(&mut self, name: &str) {
        self.add_n(name, 1);
    }

    /// Counts `n` more of `name`.
    pub fn add_n(&mut self, name: &str, n: u64) {
        if let Some(count) = self.counts.get_mut(name) {
            *count += n;
        } else if self.counts.len() < NAMES && name != REST {
            self.counts.insert(name.to_owned(), n);
        } else {
            self.rest += n;
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (name, count) in &other.counts {
            self.add_n(name, *count);
        }
        self.rest += other.rest;
    }

    /// Returns names and counts, the most frequent first.
    pub fn ranked(&self) -> Vec<(&str, u64)> {
        let rest = (self.rest > 0).then_some((REST, self.rest));
        let counts = self.counts.iter().map(|(name, count)| (&**name, *count));
        let mut ranked: Vec<(&str, u64)> = counts.chain(rest).collect();
        ranked.sort_by_key(|&(name, count)| (std::cmp::Reverse(count), name));
        ranked
    }

    /// Returns how many there are of `name`.
    pub fn get(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// Returns whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.rest == 0
    }
}

impl Serialize for Census {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.ranked())
    }
}

impl<'de> Deserialize<'de> for Census {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let counts = BTreeMap::<String, u64>::deserialize(deserializer)?;
        let mut census = Self::default();
        for (name, count) in counts {
            census.add_n(&name, count);
        }
        Ok(census)
    }
}

/// What the log holds, besides its findings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ingest {
    /// Events by stage.
    pub stages: Census,
    /// Events by audit level.
    pub levels: Census,
    /// Events by verb.
    pub verbs: Census,
    /// Events by what they were wrapped in; bare ones are not among them.
    pub envelopes: Census,
    /// Records of another kind, by what they are.
    pub other_kinds: Census,
    /// Events that hold what no API server writes, by what that is.
    pub oddities: Census,
    /// By resource, its levels: only resources that rules look into.
    pub resource_levels: BTreeMap<String, Census>,
    /// The API servers that wrote the log, as far as files and envelopes tell them apart.
    pub api_servers: Vec<ApiServer>,
    /// Kind of the cluster.
    pub distribution: Option<Guess>,
    /// Version of the API server.
    pub version: Option<Guess>,
    /// Why the logs seem to be of several clusters, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub several_clusters: Option<String>,
    /// Share of events with a credential id, in percent.
    pub credential_id_percent: u8,
    /// Share of events with an authorization decision, in percent.
    pub decision_percent: u8,
    /// Events that the API server stripped of their bodies for their size.
    pub truncated: u64,
    /// Events that hold the body of a Secret or of a token request.
    pub secret_bodies: u64,
    /// Files of folders that were left out.
    pub skipped_files: u64,
    /// The first of them whose names are not those of logs, as [`SKIPPED_NAMES`] says.
    pub skipped_names: Vec<String>,
}

/// One API server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiServer {
    /// Cluster, node and log stream, as far as known, else the first file.
    pub name: String,
    /// Events.
    pub events: u64,
    /// Earliest `stageTimestamp`.
    pub first: Option<Timestamp>,
    /// Latest `stageTimestamp`.
    pub last: Option<Timestamp>,
    /// Longest silences, in order of time; at most [`GAPS`].
    pub gaps: Vec<Gap>,
    /// All silences.
    pub n_gaps: u64,
}

/// How many of the files that were left out are named.
pub const SKIPPED_NAMES: usize = 5;

/// How many silences of one API server are named.
pub const GAPS: usize = 10;

/// A time without any event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Last event before it.
    pub from: Timestamp,
    /// First event behind it.
    pub to: Timestamp,
}

/// Something concluded, and from what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guess {
    /// The conclusion.
    pub name: String,
    /// What it rests on.
    pub evidence: String,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A report whose texts are all `text`.
    pub(in crate::report) fn hostile(text: &str) -> Ingest {
        let mut census = Census::default();
        census.add(text);
        let guess = || {
            Some(Guess {
                name: text.to_owned(),
                evidence: text.to_owned(),
            })
        };
        let (from, to) = (
            Timestamp(1_795_323_327_649_211),
            Timestamp(1_795_338_764_000_000),
        );
        Ingest {
            stages: census.clone(),
            levels: census.clone(),
            verbs: census.clone(),
            envelopes: census.clone(),
            other_kinds: census.clone(),
            oddities: census.clone(),
            resource_levels: BTreeMap::from([(text.to_owned(), census)]),
            api_servers: vec![ApiServer {
                name: text.to_owned(),
                events: 7,
                first: Some(from),
                last: Some(to),
                gaps: vec![Gap { from, to }],
                n_gaps: 1,
            }],
            distribution: guess(),
            version: guess(),
            several_clusters: Some(text.to_owned()),
            credential_id_percent: 90,
            decision_percent: 80,
            truncated: 2,
            secret_bodies: 3,
            skipped_files: 4,
            skipped_names: vec![text.to_owned()],
        }
    }

    #[test]
    fn names_without_end_are_one_sum() {
        let mut census = Census::default();
        for number in 0..1000 {
            census.add(&format!("kind {number}"));
        }
        census.add_n("kind 3", 5);
        let ranked = census.ranked();
        assert_eq!(ranked.len(), NAMES + 1);
        assert_eq!(ranked[..2], [("of other names", 1000 - 64), ("kind 3", 6)]);
        let sum: u64 = ranked.iter().map(|(_, count)| count).sum();
        assert_eq!(sum, 1005);
        let mut twice = census.clone();
        twice.merge(&census);
        assert_eq!(twice.ranked()[1], ("kind 3", 12));
    }

    #[test]
    fn a_census_reads_back() {
        let mut census = Census::default();
        for number in 0..100 {
            census.add(&format!("kind {number}"));
        }
        census.add(REST);
        let text = serde_json::to_string(&census).unwrap();
        assert_eq!(serde_json::from_str::<Census>(&text).unwrap(), census);
        assert_eq!(census.ranked()[0], (REST, 100 - 64 + 1));
    }
}
