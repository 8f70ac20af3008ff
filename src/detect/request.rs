//! Requests: the stages of one request folded into one, the final stage winning.
//!
//! A request logs up to three events (kubernetes/apiserver `pkg/apis/audit/v1`, `Stage`), a failed
//! authentication only one, at `ResponseStarted`. What is counted and judged is the request.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::view;
use crate::finding::{Evidence, Timestamp};
use crate::frame::vocabulary::known;
use crate::frame::{Column, EventFrame, NULL, TEXTS, Vocabulary, place_in_time};
use crate::redact::redact;

/// How far a request got; later is more final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// `RequestReceived`, or a stage that Kubernetes does not know.
    Received,
    /// `ResponseStarted`
    Started,
    /// `ResponseComplete`
    Complete,
    /// `Panic`
    Panic,
}

impl Stage {
    /// Returns the stage of that code in any vocabulary.
    pub fn of(code: u32) -> Self {
        match code {
            known::RESPONSE_STARTED => Self::Started,
            known::RESPONSE_COMPLETE => Self::Complete,
            known::PANIC => Self::Panic,
            _ => Self::Received,
        }
    }
}

/// One request, read from the row of its final stage.
///
/// Codes belong to the run's [`Vocabulary`]; times are microseconds since the Unix epoch, UTC.
#[derive(Clone)]
pub struct Request<'a> {
    /// Key under which the stages of this request meet.
    pub key: u64,
    /// How far it got.
    pub stage: Stage,
    /// `stageTimestamp`, else `requestReceivedTimestamp`.
    pub ts: i64,
    /// `requestReceivedTimestamp`, else `ts`.
    pub received: i64,
    /// HTTP status; 0 if there is none.
    pub code: u32,
    /// Whether `system:masters` is among the groups of the user or the impersonated one.
    pub is_masters: bool,
    /// Whether its event was found behind damage: who can cut the log could have forged it.
    pub is_recovered: bool,
    /// What other requests have in common with it that differ in audit ID, times and version of the object only; 0 is unknown.
    pub template: u64,
    /// By [`NAMED`].
    named: [u32; NAMED.len()],
    row: Row<'a>,
}

/// Where the log shows a request, kept small: what a memory of many requests holds of each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Stage time.
    pub ts: i64,
    #[serde(serialize_with = "redacted")]
    pub(super) audit_id: Arc<str>,
    stage: u32,
    file: u32,
    place: (u64, u64, u32),
}

impl Sighting {
    /// Returns places in the form of findings.
    pub fn evidence(sightings: &[Self], vocabulary: &Vocabulary) -> Vec<Evidence> {
        // Most are of one stage and in one file.
        let mut last = [(NULL, Arc::from("")), (NULL, Arc::from(""))];
        let mut text = |which: usize, code: u32| {
            let (known, text) = &mut last[which];
            if *known != code {
                (*known, *text) = (code, vocabulary.text(code).into());
            }
            Arc::clone(text)
        };
        let one = |sighting: &Self| {
            let (line, offset, length) = sighting.place;
            Evidence {
                audit_id: Arc::clone(&sighting.audit_id),
                stage: text(0, sighting.stage),
                ts: Timestamp(sighting.ts),
                file: text(1, sighting.file),
                line,
                offset,
                length,
            }
        };
        sightings.iter().map(one).collect()
    }
}

/// What is remembered is written to disk: secrets go first.
pub(super) fn redacted<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    redact(text).serialize(serializer)
}

/// Returns whether nothing follows a stage: a request is complete, panicked, or was refused for want of authentication.
fn is_final(stage: Stage, code: u32) -> bool {
    stage >= Stage::Complete || (stage == Stage::Started && code == 401)
}

/// Returns whether a status says that the server did what it was asked.
pub(super) fn is_success(code: u32) -> bool {
    (100..400).contains(&code)
}

/// The coded columns: requests carry all of them.
const CODED: [Column; 38] = [
    Column::Username,
    Column::UserUid,
    Column::ImpUsername,
    Column::Credential,
    Column::CredentialKind,
    Column::IdentityKind,
    Column::TokenPod,
    Column::TokenPodUid,
    Column::PeerIp,
    Column::UserAgent,
    Column::Verb,
    Column::Resource,
    Column::Subresource,
    Column::Namespace,
    Column::Decision,
    Column::AuthzReason,
    Column::LegacyToken,
    Column::Stage,
    Column::File,
    Column::Level,
    Column::UserGroups,
    Column::ImpGroups,
    Column::CredentialId,
    Column::TokenNode,
    Column::SourceIps,
    Column::ClientIp,
    Column::ApiGroup,
    Column::ApiVersion,
    Column::Reason,
    Column::LegacySecret,
    Column::LegacyInvalidated,
    Column::Truncated,
    Column::Actor,
    Column::Outcome,
    Column::Cluster,
    Column::LogNode,
    Column::LogStream,
    Column::Envelope,
];

/// The rest: read from the frame while there is one, owned when the request outlives it.
#[derive(Clone)]
enum Row<'a> {
    At(&'a EventFrame, usize),
    Owned(Box<OwnedRow>),
}

#[derive(Clone, Serialize, Deserialize)]
struct OwnedRow {
    #[serde(with = "crate::memory::array")]
    codes: [u32; CODED.len()],
    /// All texts, one after the other.
    texts: Box<str>,
    /// Where each of them ends.
    ends: [u32; TEXTS.len()],
    place: (u64, u64, u32),
}

impl OwnedRow {
    /// Returns whether the ends are those of texts.
    fn is_sound(&self) -> bool {
        let ends = self.ends.map(|end| end as usize);
        ends.is_sorted() && ends.iter().all(|&end| self.texts.is_char_boundary(end))
    }
}

/// What a request is written as: free of its frame.
#[derive(Serialize, Deserialize)]
struct Written<R> {
    key: u64,
    stage: Stage,
    ts: i64,
    received: i64,
    code: u32,
    is_masters: bool,
    is_recovered: bool,
    row: R,
}

/// Writes a request without secrets: what is written is kept on disk.
impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = self.row_of_texts(|index| redact(self.text(index)));
        let written = Written {
            key: self.key,
            stage: self.stage,
            ts: self.ts,
            received: self.received,
            code: self.code,
            is_masters: self.is_masters,
            is_recovered: self.is_recovered,
            row,
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Request<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::<Box<OwnedRow>>::deserialize(deserializer)?;
        if !written.row.is_sound() {
            return Err(D::Error::custom("the texts of a request end elsewhere"));
        }
        let row = written.row;
        Ok(Self {
            key: written.key,
            stage: written.stage,
            ts: written.ts,
            received: written.received,
            code: written.code,
            is_masters: written.is_masters,
            is_recovered: written.is_recovered,
            template: 0,
            named: std::array::from_fn(|at| row.codes[position(&CODED, NAMED[at])]),
            row: Row::Owned(row),
        })
    }
}

/// The columns of one frame that requests are read from.
pub struct RequestColumns<'a> {
    frame: &'a EventFrame,
    stage_times: &'a [i64],
    received: &'a [i64],
}

impl<'a> RequestColumns<'a> {
    /// Looks up the columns of `frame`.
    pub fn new(frame: &'a EventFrame) -> Self {
        Self {
            frame,
            stage_times: frame.times(Column::StageTs),
            received: frame.times(Column::Ts),
        }
    }

    /// Returns the time by which row `row_idx` has its place in the log.
    pub fn ts(&self, row_idx: usize) -> i64 {
        place_in_time(self.stage_times[row_idx], self.received[row_idx])
    }

    /// Returns whether nothing more can follow row `row_idx`.
    pub fn is_final(&self, row_idx: usize) -> bool {
        let code = |column| self.frame.code(column, row_idx);
        is_final(Stage::of(code(Column::Stage)), code(Column::Code))
    }

    /// Returns whether row `row_idx` is of the first stage.
    pub fn is_first(&self, row_idx: usize) -> bool {
        self.frame.code(Column::Stage, row_idx) == known::REQUEST_RECEIVED
    }

    /// Reads row `row_idx` as the request it stands for, as far as that row tells.
    pub fn request(&self, row_idx: usize) -> Request<'a> {
        let frame = self.frame;
        let ts = self.ts(row_idx);
        let received = match self.received[row_idx] {
            0 => ts,
            received => received,
        };
        let detail = frame.detail(row_idx);
        Request {
            key: detail.request,
            stage: Stage::of(frame.code(Column::Stage, row_idx)),
            ts,
            received,
            code: frame.code(Column::Code, row_idx),
            is_masters: frame.is_masters(row_idx),
            is_recovered: detail.is_recovered,
            template: detail.template,
            named: named(frame, row_idx),
            row: Row::At(frame, row_idx),
        }
    }
}

/// Returns where `column` stands among `columns`.
const fn position(columns: &[Column], column: Column) -> usize {
    let mut at = 0;
    while at < columns.len() {
        if columns[at] as usize == column as usize {
            return at;
        }
        at += 1;
    }
    panic!("requests carry this column")
}

macro_rules! named {
    ($($name:ident $column:ident;)*) => {
        /// The columns that most requests are asked for: taken out of the frame once.
        const NAMED: &[Column] = &[$(Column::$column,)*];

        /// Takes their codes out of a frame.
        fn named(frame: &EventFrame, row_idx: usize) -> [u32; NAMED.len()] {
            [$(frame.code(Column::$column, row_idx),)*]
        }

        impl Request<'_> {
            $(
                #[doc = concat!("Returns the code of column `", stringify!($name), "`.")]
                #[inline]
                pub fn $name(&self) -> u32 {
                    const AT: usize = position(NAMED, Column::$column);
                    self.named[AT]
                }
            )*
        }
    };
}

// First those that tallies take: see `Request::tallied`.
named! {
    username Username;
    imp_username ImpUsername;
    credential Credential;
    identity_kind IdentityKind;
    peer_ip PeerIp;
    user_agent UserAgent;
    verb Verb;
    resource Resource;
    subresource Subresource;
    namespace Namespace;
    authz_reason AuthzReason;
    user_uid UserUid;
    credential_kind CredentialKind;
    token_pod TokenPod;
    token_pod_uid TokenPodUid;
    token_node TokenNode;
    client_ip ClientIp;
    api_group ApiGroup;
    decision Decision;
    legacy_token LegacyToken;
    stage_code Stage;
    file File;
    user_groups UserGroups;
    imp_groups ImpGroups;
}

impl Request<'_> {
    /// Returns the codes that tallies take, in their order.
    pub(super) fn tallied<const N: usize>(&self) -> &[u32; N] {
        let codes = self.named.first_chunk();
        codes.expect("they are named first")
    }

    /// Returns the audit ID.
    pub fn audit_id(&self) -> &str {
        self.text(0)
    }

    /// Returns path and query.
    pub fn request_uri(&self) -> &str {
        self.text(1)
    }

    /// Returns the path without the query.
    pub fn path(&self) -> &str {
        let uri = self.request_uri();
        uri.split_once('?').map_or(uri, |(path, _)| path)
    }

    /// Returns the name of the object, the one that the server made up included (`generateName`), if answers are logged.
    pub fn name(&self) -> &str {
        self.text(2)
    }

    /// Returns the uid of the object.
    pub fn object_uid(&self) -> &str {
        self.text(3)
    }

    /// Returns the message of the response.
    pub fn message(&self) -> &str {
        self.text(4)
    }

    /// Returns the id of the credential that this token request issued.
    pub fn issued_credential_id(&self) -> &str {
        self.text(5)
    }

    /// Returns the code of the value in `column`; what is not coded yet, is then.
    ///
    /// # Panics
    /// If requests do not carry the column; [`Self::carries`] tells.
    pub fn code_of(&self, column: Column, vocabulary: &Vocabulary) -> u32 {
        if let Some(position) = CODED.iter().position(|coded| *coded == column) {
            return self.coded(position);
        }
        let text = TEXTS.iter().position(|text| *text == column);
        vocabulary.code(self.text(text.expect("requests carry this column")))
    }

    /// Returns the bytes of the value in `column`; of a request URI, its path.
    ///
    /// # Panics
    /// If requests do not carry the column; [`Self::carries`] tells.
    pub fn value_of<'s>(&'s self, column: Column, vocabulary: &'s Vocabulary) -> &'s [u8] {
        if let Some(position) = CODED.iter().position(|coded| *coded == column) {
            return vocabulary.text(self.coded(position)).as_bytes();
        }
        if column == Column::RequestUri {
            return self.path().as_bytes();
        }
        let text = TEXTS.iter().position(|text| *text == column);
        self.text(text.expect("requests carry this column"))
            .as_bytes()
    }

    /// Returns whether requests carry `column`.
    pub fn carries(column: Column) -> bool {
        CODED.contains(&column) || TEXTS.contains(&column)
    }

    /// Returns whether nothing more can follow.
    pub fn is_final(&self) -> bool {
        is_final(self.stage, self.code)
    }

    /// Returns when it began: received, however little the log tells of that.
    pub fn began(&self) -> i64 {
        self.received.min(self.ts)
    }

    /// Returns whether the server did what it was asked.
    pub fn succeeded(&self) -> bool {
        is_success(self.code)
    }

    /// Returns whether it made the object: a server-side apply of one that is not there does (201).
    pub fn made(&self) -> bool {
        self.verb() == known::CREATE || self.code == 201
    }

    /// Returns whether a credential was presented and accepted, whatever came after; anonymous requests
    /// have none.
    pub fn authenticated(&self) -> bool {
        self.username() != NULL && self.code != 401 && self.identity_kind() != known::ANONYMOUS
    }

    /// Returns whether nothing was to be changed in earnest, as far as the log tells; see [`view::is_dry_run`].
    pub fn is_dry_run(&self, vocabulary: &Vocabulary) -> bool {
        let body = match &self.row {
            Row::At(frame, row) => view::request_body(frame, *row),
            Row::Owned(_) => None,
        };
        view::is_dry_run(vocabulary.text(self.verb()), self.request_uri(), body)
    }

    /// Returns where the log says so.
    pub fn sighting(&self) -> Sighting {
        Sighting {
            ts: self.ts,
            audit_id: self.audit_id().into(),
            stage: self.stage_code(),
            file: self.file(),
            place: self.place(),
        }
    }

    /// Returns line, offset and length of the record in its file.
    pub fn place(&self) -> (u64, u64, u32) {
        match &self.row {
            Row::At(frame, row) => (
                frame.longs(Column::Line)[*row],
                frame.longs(Column::Offset)[*row],
                frame.code(Column::Length, *row),
            ),
            Row::Owned(owned) => owned.place,
        }
    }

    /// Returns the request on its own, free of its frame.
    pub fn to_owned(&self) -> Request<'static> {
        Request {
            row: Row::Owned(self.to_owned_row()),
            ..*self
        }
    }

    fn to_owned_row(&self) -> Box<OwnedRow> {
        match &self.row {
            Row::At(..) => Box::new(self.row_of_texts(|index| self.text(index).into())),
            Row::Owned(owned) => owned.clone(),
        }
    }

    fn row_of_texts<'t>(&self, text: impl Fn(usize) -> Cow<'t, str>) -> OwnedRow {
        let parts: [Cow<'t, str>; TEXTS.len()] = std::array::from_fn(text);
        let mut texts = String::with_capacity(parts.iter().map(|part| part.len()).sum());
        let ends = parts.map(|part| {
            texts.push_str(&part);
            u32::try_from(texts.len()).expect("a record is shorter than 4 GiB")
        });
        OwnedRow {
            codes: std::array::from_fn(|position| self.coded(position)),
            texts: texts.into(),
            ends,
            place: self.place(),
        }
    }

    fn coded(&self, position: usize) -> u32 {
        match &self.row {
            Row::At(frame, row) => frame.code(CODED[position], *row),
            Row::Owned(owned) => owned.codes[position],
        }
    }

    fn text(&self, index: usize) -> &str {
        match &self.row {
            Row::At(frame, row) => {
                let text = frame.text(TEXTS[index], *row);
                let is_unnamed = text.is_empty() && TEXTS[index] == Column::Name;
                if is_unnamed && self.verb() == known::CREATE {
                    view::generated_name(frame, *row).unwrap_or_default()
                } else {
                    text
                }
            }
            Row::Owned(owned) => {
                let end = |index: usize| owned.ends[index] as usize;
                let start = index.checked_sub(1).map_or(0, end);
                &owned.texts[start..end(index)]
            }
        }
    }
}
