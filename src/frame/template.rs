//! Templates: what lines have in common that differ in their audit ID, their two times and the version of their object only.
//!
//! Components ask the same again and again, so most lines of a log at level Metadata are such a repetition. One that is
//! is recognised by comparing bytes, which is much cheaper than reading it, and its row is that of the line before but
//! for audit ID and times; the `resourceVersion` of an object, which each update raises, is in no column. What follows from
//! all of a row but these values, others keep by [`Template::id`].

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::SeedableRandomState;
use memchr::memmem::Finder;

use super::coder::Pinned;
use super::derived::is_uuid;
use super::identity::Identity;
use super::pieces::OWN;
use super::{RowDetail, TEXTS, TextSpan};
use crate::decode::event::Span;
use crate::decode::time::Clock;

/// Templates that a coder keeps, in sets of which each key has one; powers of two.
const SETS: usize = if cfg!(test) { 16 } else { 4096 };
const WAYS: usize = 4;

/// Longest line that is kept.
const LONGEST: usize = 4096;

/// What the lines that are kept may take up together; those that follow begin anew.
const MOST_BYTES: usize = 32 << 20;

/// Where the audit ID has ended in every line, however its level is called.
const HEAD: usize = 120;

/// How much of a line behind that is hashed, and how much at its end, where annotations are.
const HASHED: usize = 256;
const HASHED_END: usize = 80;

/// What the times take up in a line without annotations, and more: so far from the end nothing is hashed with the
/// beginning.
const TAIL: usize = 160;

/// What stands between the values of the two times.
const BETWEEN: &[u8; 20] = b"\",\"stageTimestamp\":\"";

const TIME: usize = "2026-11-22T05:01:02.123456Z".len();
const ID: usize = 36;

/// Longest version: digits of a number of 64 bits (kubernetes/kubernetes `storage/api_object_versioner.go`).
const VERSION_MAX: usize = 20;

/// How many lines may have the hash of another in vain, of which one that is the same makes up for one, before all with that
/// hash are hashed as a whole.
const STRIKES: u8 = 8;

/// Where a line has the values that may differ.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Holes {
    id_at: usize,
    /// Where `resourceVersion` of the object stands, before the times and maybe empty, and where it ends.
    version_at: usize,
    version_end: usize,
    received_at: usize,
}

impl Holes {
    /// Finds them in a line as the API server writes it, with `requestReceivedTimestamp` at `received_at` and `version`, if
    /// it has one, before that; `None` if one of the others does not look as usual.
    pub(super) fn of(
        line: &str,
        audit_id: Span,
        version: Span,
        received_at: usize,
    ) -> Option<Self> {
        let id_at = audit_id.start as usize;
        let line = line.as_bytes();
        let is_usual = (1..=HEAD - ID).contains(&id_at)
            && audit_id.length as usize == ID
            && received_at > HEAD
            && is_uuid(&line[id_at..id_at + ID]);
        let (at, end) = (version.start as usize, version.end() as usize);
        let has_version = (HEAD..received_at).contains(&at)
            && (at + 1..=at + VERSION_MAX).contains(&end)
            && line[at..end].iter().all(u8::is_ascii_digit);
        let (version_at, version_end) = if has_version {
            (at, end)
        } else {
            (received_at, received_at)
        };
        let holes = Self {
            id_at,
            version_at,
            version_end,
            received_at,
        };
        let is_usual = is_usual
            && line.get(received_at + TIME..holes.staged_at())? == BETWEEN
            && line.get(holes.staged_at() + TIME)? == &b'"';
        let mut clock = Clock::default();
        (is_usual && holes.times(line, &mut clock).is_some()).then_some(holes)
    }

    fn staged_at(self) -> usize {
        self.received_at + TIME + BETWEEN.len()
    }

    /// Returns what stands around them.
    fn fixed(self, line: &[u8]) -> [&[u8]; 4] {
        [
            &line[..self.id_at],
            &line[self.id_at + ID..self.version_at],
            &line[self.version_end..self.received_at],
            &line[self.staged_at() + TIME..],
        ]
    }

    fn version(self, line: &[u8]) -> &[u8] {
        &line[self.version_at..self.version_end]
    }

    fn times(self, line: &[u8], clock: &mut Clock) -> Option<[i64; 2]> {
        let mut time = |at: usize| clock.parse(line[at..].first_chunk()?);
        Some([time(self.received_at)?, time(self.staged_at())?])
    }
}

/// What the rows of a line have in common.
pub(super) struct Template {
    /// No other template of the run has it; counts from 1.
    pub(super) id: u64,
    pub(super) holes: Holes,
    pub(super) identity: Identity,
    pub(super) own: [u32; OWN.len()],
    pub(super) pieces: Pinned,
    /// By [`TEXTS`]: those that stand in the record, relative to it, and those that the frame of the chunk at hand keeps.
    pub(super) texts: [TextSpan; TEXTS.len()],
    /// Texts that were written with escapes, so that a frame has to keep them, with their places in `texts`.
    pub(super) kept: Box<[(usize, Box<str>)]>,
    pub(super) detail: RowDetail,
}

/// What is known of a line.
pub(super) enum Seen<'t> {
    /// It is of a template, and has these times, received and stage time.
    Known(&'t mut Template, [i64; 2]),
    /// One like it was there before: it is worth being kept, under this key.
    Twice(u64),
    /// It was not, or is not worth it.
    Once,
}

/// The templates of one thread: a set-associative cache.
pub(super) struct Templates {
    /// By set, what is compared first.
    keys: Box<[[u64; WAYS]]>,
    /// By set, the youngest first.
    slots: Box<[[Slot; WAYS]]>,
    /// By set: the key of the last line that was of no template, for a line that never comes again costs no template.
    doors: Box<[u64]>,
    n_bytes: usize,
    hasher: SeedableRandomState,
    /// What stands before the first of the times, and before the version of an object.
    before_times: Finder<'static>,
    before_version: Finder<'static>,
}

/// What is compared then stands here, so that nothing has to wait for the template itself.
#[derive(Default)]
struct Slot {
    strikes: u8,
    holes: Holes,
    line: Box<[u8]>,
    template: Option<Box<Template>>,
}

impl Slot {
    /// Returns the two times of a line, if it is of the template here.
    fn times(&self, line: &[u8], clock: &mut Clock) -> Option<[i64; 2]> {
        let Holes {
            id_at, received_at, ..
        } = self.holes;
        let is_it = line.len() == self.line.len()
            && self.holes.fixed(line) == self.holes.fixed(&self.line)
            && line[received_at + TIME..self.holes.staged_at()] == *BETWEEN
            && is_uuid(&line[id_at..id_at + ID])
            && self.holes.version(line).iter().all(u8::is_ascii_digit);
        is_it.then(|| self.holes.times(line, clock))?
    }
}

/// What a set has for a line.
enum Look {
    /// Its template, and its times.
    Found(usize, [i64; 2]),
    /// Others with its key, which have so many strikes.
    Others(u8),
    Nothing,
}

impl Templates {
    pub(super) fn new() -> Self {
        Self {
            keys: vec![[0; WAYS]; SETS].into(),
            slots: (0..SETS).map(|_| Default::default()).collect(),
            doors: vec![0; SETS].into(),
            n_bytes: 0,
            // Random, so that nobody can write lines that push each other out.
            hasher: if cfg!(test) {
                SeedableRandomState::fixed()
            } else {
                SeedableRandomState::random()
            },
            before_times: Finder::new(b"\"requestReceivedTimestamp\":"),
            before_version: Finder::new(b"\"resourceVersion\":\""),
        }
    }

    /// Says what is known of a line.
    pub(super) fn find(&mut self, line: &[u8], clock: &mut Clock) -> Seen<'_> {
        if !(HEAD + TAIL..=LONGEST).contains(&line.len()) {
            return Seen::Once;
        }
        let mut key = self.key(line);
        let mut look = self.look(key, line, clock);
        if let Look::Others(STRIKES..) = look {
            key = self.whole_key(line);
            look = self.look(key, line, clock);
        }
        let set = set_of(key);
        let was_there = match look {
            Look::Found(way, times) => {
                let template = self.slots[set][way].template.as_mut();
                return Seen::Known(template.expect("it was just found"), times);
            }
            Look::Others(strikes) => strikes < STRIKES,
            Look::Nothing => std::mem::replace(&mut self.doors[set], key) == key,
        };
        if was_there {
            Seen::Twice(key)
        } else {
            Seen::Once
        }
    }

    fn look(&mut self, key: u64, line: &[u8], clock: &mut Clock) -> Look {
        let set = set_of(key);
        let mut look = Look::Nothing;
        for way in (0..WAYS).filter(|&way| self.keys[set][way] == key) {
            let slot = &mut self.slots[set][way];
            let has_struck_out = slot.strikes >= STRIKES;
            if let Some(times) = slot.times(line, clock) {
                if !has_struck_out {
                    slot.strikes = slot.strikes.saturating_sub(1);
                }
                return Look::Found(way, times);
            }
            if !has_struck_out {
                slot.strikes += 1;
            }
            look = match look {
                Look::Others(strikes) => Look::Others(strikes.max(slot.strikes)),
                _ => Look::Others(slot.strikes),
            };
        }
        look
    }

    /// Keeps the template of a line with that key.
    pub(super) fn insert(&mut self, key: u64, line: &str, template: Template) {
        self.n_bytes += line.len();
        if self.n_bytes > MOST_BYTES {
            let hasher = self.hasher.clone();
            *self = Self {
                n_bytes: line.len(),
                hasher,
                ..Self::new()
            };
        }
        let set = set_of(key);
        let (keys, slots) = (&mut self.keys[set], &mut self.slots[set]);
        let of_key = keys.iter().zip(&*slots).filter(|(known, _)| **known == key);
        let strikes = of_key.map(|(_, slot)| slot.strikes).max();
        keys.rotate_right(1);
        slots.rotate_right(1);
        keys[0] = key;
        self.n_bytes -= slots[0].line.len();
        slots[0] = Slot {
            strikes: strikes.unwrap_or_default(),
            holes: template.holes,
            line: line.as_bytes().into(),
            template: Some(Box::new(template)),
        };
    }

    /// Hashes what most kinds of lines have to themselves.
    fn key(&self, line: &[u8]) -> u64 {
        self.hash(line, &[&line[HEAD..(HEAD + HASHED).min(line.len() - TAIL)]])
    }

    /// Hashes about all that the lines of a template have in common.
    fn whole_key(&self, line: &[u8]) -> u64 {
        let rest = &line[HEAD..];
        let rest = &rest[..self.before_times.find(rest).unwrap_or(0)];
        let Some(at) = self.before_version.find(rest) else {
            return self.hash(line, &[rest]);
        };
        let (before, version) = rest.split_at(at + self.before_version.needle().len());
        let digits = version.iter().take_while(|byte| byte.is_ascii_digit());
        self.hash(line, &[before, &version[digits.count()..]])
    }

    fn hash(&self, line: &[u8], parts: &[&[u8]]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_usize(line.len());
        for part in parts {
            hasher.write(part);
        }
        // What ends with a time has no annotations.
        if !line.ends_with(b"Z\"}") {
            hasher.write(&line[line.len() - HASHED_END..]);
        }
        hasher.finish()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
fn set_of(key: u64) -> usize {
    key as usize % SETS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::coder::CodedEvent;
    use crate::frame::reading::Reading;
    use crate::frame::{Coder, Column, EventFrame, Vocabulary};

    /// A watch with escapes in its URI, a refused login, which has no annotations, a deletion by somebody else's name, and an
    /// update, which says the version of its object, as kube-apiserver 1.36 wrote them.
    const LINES: [&str; 4] = [
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"5d0c6a1e-07a4-4a1c-9d6e-0b6c1f3a2b4d","stage":"ResponseComplete","requestURI":"/api/v1/secrets?limit=500\u0026watch=1","verb":"watch","user":{"username":"system:node:a","groups":["system:nodes"],"extra":{"authentication.kubernetes.io/credential-id":["X509SHA256=ab"]}},"sourceIPs":["203.0.113.7","127.0.66.10"],"userAgent":"curl/7.88.1","objectRef":{"resource":"secrets","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-11-22T04:55:27.649211Z","stageTimestamp":"2026-11-22T04:55:27.650970Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"b\""}}"#,
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"0d6cba12-30b5-4ff6-8a4f-5a2c93d1e0f7","stage":"ResponseStarted","requestURI":"/api/v1/namespaces/default/secrets","verb":"list","user":{},"sourceIPs":["203.0.113.7"],"userAgent":"curl/7.88.1","objectRef":{"resource":"secrets","namespace":"default","apiVersion":"v1"},"responseStatus":{"metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401},"requestReceivedTimestamp":"2026-11-22T04:55:28.649211Z","stageTimestamp":"2026-11-22T04:55:28.650970Z"}"#,
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"9f3e5a70-6d0f-4b38-8f3a-7e1f0c4b2a19","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/dev/serviceaccounts/a","verb":"delete","user":{"username":"bob","groups":["dev","system:authenticated"]},"impersonatedUser":{"username":"x"},"sourceIPs":["127.0.2.12"],"userAgent":"kubectl","objectRef":{"resource":"serviceaccounts","namespace":"dev","name":"a","apiVersion":"v1"},"responseStatus":{"metadata":{},"status":"Success","details":{"name":"a","kind":"serviceaccounts","uid":"u-1"},"code":200},"requestObject":{"kind":"DeleteOptions","a":[1,{"b":"}\""}]},"responseObject":{},"requestReceivedTimestamp":"2026-11-22T04:55:29.649211Z","stageTimestamp":"2026-11-22T04:55:29.650970Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"b\""}}"#,
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"2b1d7f8e-9c40-4d0a-8d15-6a0e4c7b9f31","stage":"ResponseComplete","requestURI":"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-1?timeout=10s","verb":"update","user":{"username":"system:node:node-1","groups":["system:nodes","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["X509SHA256=cd"]}},"sourceIPs":["203.0.113.8"],"userAgent":"kubelet/v1.36.2 (linux/amd64) kubernetes/8e16b12","objectRef":{"resource":"leases","namespace":"kube-node-lease","name":"node-1","uid":"6a0b1c44-3d55-4b7e-9a50-0c1d2e3f4a5b","apiGroup":"coordination.k8s.io","apiVersion":"v1","resourceVersion":"915410"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-11-22T04:55:28.649211Z","stageTimestamp":"2026-11-22T04:55:28.650970Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}"#,
    ];

    /// Returns a line with other values where those of one template differ.
    fn later(line: &str, round: usize) -> String {
        let hole = line.find("auditID\":\"").unwrap() + 10;
        let id = format!("{round:08x}{}", &line[hole + 8..hole + ID]);
        let line = format!("{}{id}{}", &line[..hole], &line[hole + ID..]);
        let line = line.replace(":\"915410\"", &format!(":\"{}\"", 915_410 + round));
        let seconds = |second: usize| format!("T04:55:{second:02}.");
        (27..30).fold(line, |line, second| {
            line.replace(&seconds(second), &seconds(second + round))
        })
    }

    fn templates(frame: &EventFrame) -> Vec<u64> {
        let rows = 0..frame.height();
        rows.map(|row_idx| frame.detail(row_idx).template).collect()
    }

    fn assert_same(one: &EventFrame, other: &EventFrame) {
        let polars = |frame: &EventFrame| frame.to_polars(Column::ALL);
        assert!(
            polars(one).equals_missing(&polars(other)),
            "{:?}\n{:?}",
            polars(one),
            polars(other)
        );
        for row_idx in 0..one.height() {
            let details = [one, other].map(|frame| {
                let detail = frame.detail(row_idx);
                (
                    frame.record(row_idx).to_owned(),
                    [detail.request_object, detail.response_object],
                    [detail.annotations, detail.extra],
                    [detail.request, detail.record_key],
                    frame.has_other_annotations(row_idx),
                )
            });
            assert_eq!(details[0], details[1]);
        }
    }

    #[test]
    fn lines_of_a_template_are_read_as_all_others() {
        let vocabulary = Vocabulary::new();
        let [mut known, mut read] = [(); 2].map(|()| Reading::new(&vocabulary));
        let mut seen = Vec::new();
        // Chunk after chunk, with one in which nothing of it stands.
        for chunk in [0..3, 3..7, 7..7, 7..9] {
            let rounds = chunk.flat_map(|round| LINES.map(|line| later(line, round)));
            let lines: Vec<String> = rounds.collect();
            let frame = known.chunk(&lines, true);
            assert_eq!(frame.height(), lines.len());
            assert_same(&frame, &read.chunk(&lines, false));
            seen.extend(templates(&frame));
        }
        let (first, rest) = seen.split_at(LINES.len());
        assert_eq!(first, [0; LINES.len()], "once is no repetition");
        let ids = &rest[..LINES.len()];
        assert!(
            rest.chunks(LINES.len()).all(|chunk| chunk == ids),
            "{rest:?}"
        );
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    }

    #[test]
    fn no_line_is_of_a_template_that_differs_in_anything_else() {
        let vocabulary = Vocabulary::new();
        let [mut known, mut read] = [(); 2].map(|()| Reading::new(&vocabulary));
        for line in LINES {
            let first: Vec<String> = (0..3).map(|round| later(line, round)).collect();
            let frame = known.chunk(&first, true);
            assert_ne!(templates(&frame)[2], 0);
            for at in 0..line.len() {
                let flips = b"\"\\{}[],:0 fZ".iter().map(|&byte| {
                    let mut bytes = line.as_bytes().to_vec();
                    bytes[at] = byte;
                    String::from_utf8(bytes).unwrap()
                });
                let lines: Vec<String> = flips.collect();
                // What is no event any more is in neither frame.
                let native = known.chunk(&lines, true);
                let general = read.chunk(&lines, false);
                let kept: Vec<&str> = (0..native.height()).map(|at| native.record(at)).collect();
                let taken = lines.iter().filter(|line| kept.contains(&line.as_str()));
                let taken: Vec<&String> = taken.collect();
                assert!(native.height() <= general.height());
                assert_same(&native, &read.chunk(&taken, false));
            }
        }
    }

    #[test]
    fn lines_of_one_hash_are_each_kept_once() {
        let mut templates = Templates::new();
        let mut clock = Clock::default();
        let line = |user: usize, round: usize| {
            let line = later(LINES[3], round % 30);
            line.replace("203.0.113.8\"", &format!("203.0.113.{user:02}\""))
                .replace("/apis/", &format!("/apis/{}", "x".repeat(300)))
        };
        let (mut n_kept, mut n_known) = (0, 0);
        for round in 0..100 {
            for user in 0..8 {
                let line = line(user, round);
                let key = match templates.find(line.as_bytes(), &mut clock) {
                    Seen::Twice(key) => key,
                    Seen::Known(..) => {
                        n_known += 1;
                        continue;
                    }
                    Seen::Once => continue,
                };
                n_kept += 1;
                let place = |text: &str| line.find(text).unwrap() + text.len();
                let span = |start: usize, length| Span {
                    start: u32::try_from(start).unwrap(),
                    length,
                };
                let holes = Holes::of(
                    &line,
                    span(place("auditID\":\""), 36),
                    span(place("resourceVersion\":\""), 6),
                    place("requestReceivedTimestamp\":\""),
                );
                let template = Template {
                    id: 1,
                    holes: holes.unwrap(),
                    identity: Identity::default(),
                    own: [0; OWN.len()],
                    pieces: Coder::new(&Vocabulary::new()).pin(&CodedEvent::default()),
                    texts: [TextSpan::default(); TEXTS.len()],
                    kept: Box::default(),
                    detail: RowDetail::default(),
                };
                templates.insert(key, &line, template);
            }
        }
        // Eight sets of as many keys; some share the place where a line is looked for that was seen once.
        assert!((5..20).contains(&n_kept), "{n_kept}");
        assert!(n_known > 500, "{n_known}");
    }
}
