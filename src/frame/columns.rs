//! Typed buffers: push events, finish a frame.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use polars::prelude::{
    BooleanChunked, Categorical32Type, CategoricalChunked, Column as Series, DataFrame,
    Int64Chunked, IntoSeries, NewChunkedArray, PlSmallStr, StringChunkedBuilder, TimeUnit,
    TimeZone, UInt32Chunked, UInt64Chunked,
};

use super::schema::{Column, ColumnType};
use super::vocabulary::{Memo, NULL, Vocabulary, parse_list};
use super::{EventFrame, RowDetail};
use crate::decode::Record;
use crate::decode::event::{Event, ObjectRef, User};

/// The group that RBAC never judges.
pub const MASTERS: &str = "system:masters";

/// Buffers for the events of one chunk.
pub struct EventColumns<'a> {
    vocabulary: &'a Vocabulary,
    request_hasher: &'a RandomState,
    file: u32,
    cluster: u32,
    coded: Vec<Vec<u32>>,
    memos: Vec<Memo<'a>>,
    texts: Vec<StringChunkedBuilder>,
    times: [Vec<Option<i64>>; 2],
    lines: Vec<u64>,
    offsets: Vec<u64>,
    codes: Vec<u32>,
    lengths: Vec<u32>,
    masters: Vec<bool>,
    details: Vec<RowDetail>,
    derived: Derived,
}

/// What follows from a code alone, so that it is worked out once per distinct value and chunk.
#[derive(Default)]
struct Derived {
    identity_kinds: HashMap<u32, u32>,
    masters: HashMap<u32, bool>,
    peers: HashMap<u32, (u32, u32)>,
    credentials: HashMap<[u32; 4], u32>,
}

impl<'a> EventColumns<'a> {
    /// Returns empty buffers for a chunk of about `capacity` events of `file`.
    pub fn new(
        vocabulary: &'a Vocabulary,
        request_hasher: &'a RandomState,
        file: &str,
        cluster: &str,
        capacity: usize,
    ) -> Self {
        let texts = Column::ALL
            .iter()
            .filter(|column| column.kind() == ColumnType::Text);
        Self {
            vocabulary,
            request_hasher,
            file: vocabulary.code(file),
            cluster: vocabulary.code(cluster),
            coded: Column::ALL
                .iter()
                .map(|column| match column.kind() {
                    ColumnType::Coded | ColumnType::CodedList => Vec::with_capacity(capacity),
                    _ => Vec::new(),
                })
                .collect(),
            memos: Column::ALL.iter().map(|_| Memo::new()).collect(),
            texts: texts
                .map(|column| StringChunkedBuilder::new(column.name().into(), capacity))
                .collect(),
            times: [Vec::with_capacity(capacity), Vec::with_capacity(capacity)],
            lines: Vec::with_capacity(capacity),
            offsets: Vec::with_capacity(capacity),
            codes: Vec::with_capacity(capacity),
            lengths: Vec::with_capacity(capacity),
            masters: Vec::with_capacity(capacity),
            details: Vec::with_capacity(capacity),
            derived: Derived::default(),
        }
    }

    /// Appends one event; `chunk_start` is where the record's chunk starts in its file.
    pub fn push(&mut self, event: &Event<'a>, record: &Record<'a>, chunk_start: u64) {
        use Column as C;
        let user = &event.user;
        let object = event.object.as_ref();
        let field = |get: for<'e> fn(&'e ObjectRef<'a>) -> &'e Cow<'a, str>| {
            object.map_or(&Cow::Borrowed(""), get)
        };

        self.code(C::Stage, &event.stage);
        self.code(C::Level, &event.level);
        self.code(C::Verb, &event.verb);
        self.code(C::UserAgent, &event.user_agent);
        let username = self.code(C::Username, &user.username);
        let uid = self.code(C::UserUid, &user.uid);
        let groups = self.code(C::UserGroups, &user.groups);
        let nobody = User::default();
        let impersonated = event.impersonated.as_ref().unwrap_or(&nobody);
        let imp_username = self.code(C::ImpUsername, &impersonated.username);
        let imp_groups = self.code(C::ImpGroups, &impersonated.groups);
        let credential_id = self.code(C::CredentialId, &user.credential_id);
        self.code(C::TokenPod, &user.pod_name);
        let pod_uid = self.code(C::TokenPodUid, &user.pod_uid);
        self.code(C::TokenNode, &user.node_name);
        let source_ips = self.code(C::SourceIps, &event.source_ips);
        self.code(C::ApiGroup, field(|object| &object.api_group));
        self.code(C::ApiVersion, field(|object| &object.api_version));
        self.code(C::Resource, field(|object| &object.resource));
        self.code(C::Subresource, field(|object| &object.subresource));
        self.code(C::Namespace, field(|object| &object.namespace));
        self.code(C::Reason, &event.status.reason);
        self.code(C::Decision, &event.annotations.decision);
        self.code(C::AuthzReason, &event.annotations.reason);
        let legacy_token = self.code(C::LegacyToken, &event.annotations.legacy_token);
        let legacy_secret = self.code(C::LegacySecret, &event.annotations.legacy_secret);
        self.code(C::LegacyInvalidated, &event.annotations.legacy_invalidated);

        let identity_kind = self.identity_kind(username);
        self.push_code(C::IdentityKind, identity_kind);
        self.code(C::CredentialKind, &Cow::Borrowed(credential_kind(event)));
        let credential = if credential_id == NULL {
            let legacy = if legacy_secret == NULL {
                legacy_token
            } else {
                legacy_secret
            };
            self.credential(event, [username, uid, pod_uid, legacy])
        } else {
            credential_id
        };
        self.push_code(C::Credential, credential);
        self.push_code(
            C::Actor,
            if imp_username == NULL {
                username
            } else {
                imp_username
            },
        );
        let (client, peer) = self.peers(source_ips);
        self.push_code(C::ClientIp, client);
        self.push_code(C::PeerIp, peer);
        self.code(C::Outcome, &Cow::Borrowed(outcome(event.status.code)));
        self.push_code(C::Cluster, self.cluster);
        self.push_code(C::File, self.file);
        let masters = self.has_masters(groups) || self.has_masters(imp_groups);
        self.masters.push(masters);

        let uid = field(|object| &object.uid);
        let object_uid = if uid.is_empty() {
            &event.status.details_uid
        } else {
            uid
        };
        let texts = [
            &event.audit_id,
            &event.request_uri,
            &event.annotations.issued_credential_id,
            field(|object| &object.name),
            object_uid,
            &event.status.message,
        ];
        for (builder, text) in self.texts.iter_mut().zip(texts) {
            builder.append_option((!text.is_empty()).then_some(&**text));
        }
        self.times[0].push(event.received);
        self.times[1].push(event.stage_time);
        self.codes.push(event.status.code.into());
        self.lines.push(record.line);
        self.offsets.push(record.offset);
        self.lengths
            .push(u32::try_from(record.text.len()).expect("a line is under 4 GiB"));
        self.details.push(RowDetail {
            start: u32::try_from(record.offset - chunk_start).expect("a chunk is under 4 GiB"),
            request_object: event.request_object,
            response_object: event.response_object,
            annotations: event.annotations.span,
            extra: user.extra_span,
            request: self.request_key(event),
            content: record.content_hash(),
        });
    }

    /// Turns the buffers into a frame.
    pub fn finish(mut self) -> EventFrame {
        let height = self.details.len();
        let mut texts = self.texts.into_iter();
        let mut times = self.times.into_iter();
        let columns = Column::ALL.iter().map(|&column| {
            let name = PlSmallStr::from_static(column.name());
            let series = match column.kind() {
                ColumnType::Coded | ColumnType::CodedList => {
                    let codes = std::mem::take(&mut self.coded[column as usize]);
                    debug_assert_eq!(codes.len(), height, "{}", column.name());
                    // Codes outside the dictionary, as `NULL` is, become null here.
                    CategoricalChunked::<Categorical32Type>::from_cats_and_dtype(
                        UInt32Chunked::from_vec(name, codes),
                        self.vocabulary.data_type().clone(),
                    )
                    .into_series()
                }
                ColumnType::Text => texts
                    .next()
                    .expect("a builder per text column")
                    .finish()
                    .into_series(),
                ColumnType::Time => {
                    let time = times.next().expect("a buffer per time column");
                    Int64Chunked::from_slice_options(name, &time)
                        .into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))
                        .into_series()
                }
                ColumnType::Number => {
                    let numbers = match column {
                        Column::Code => &mut self.codes,
                        _ => &mut self.lengths,
                    };
                    UInt32Chunked::from_vec(name, std::mem::take(numbers)).into_series()
                }
                ColumnType::Long => {
                    let numbers = match column {
                        Column::Line => &mut self.lines,
                        _ => &mut self.offsets,
                    };
                    UInt64Chunked::from_vec(name, std::mem::take(numbers)).into_series()
                }
                ColumnType::Flag => BooleanChunked::from_slice(name, &self.masters).into_series(),
            };
            Series::from(series)
        });
        let frame = DataFrame::new(height, columns.collect()).expect("columns of one height");
        EventFrame {
            frame,
            details: self.details,
            vocabulary: self.vocabulary.clone(),
        }
    }

    #[expect(clippy::ptr_arg, reason = "only borrowed text can stay in the memo")]
    fn code(&mut self, column: Column, text: &Cow<'a, str>) -> u32 {
        let code = self.memos[column as usize].code(self.vocabulary, text);
        self.push_code(column, code);
        code
    }

    fn push_code(&mut self, column: Column, code: u32) {
        self.coded[column as usize].push(code);
    }

    fn identity_kind(&mut self, username: u32) -> u32 {
        *self
            .derived
            .identity_kinds
            .entry(username)
            .or_insert_with(|| {
                self.vocabulary
                    .code(identity_kind(self.vocabulary.text(username)))
            })
    }

    fn has_masters(&mut self, groups: u32) -> bool {
        if groups == NULL {
            return false;
        }
        *self.derived.masters.entry(groups).or_insert_with(|| {
            self.vocabulary
                .list(groups)
                .iter()
                .any(|group| group == MASTERS)
        })
    }

    /// Returns the first and the last address.
    fn peers(&mut self, source_ips: u32) -> (u32, u32) {
        *self.derived.peers.entry(source_ips).or_insert_with(|| {
            let addresses = parse_list(self.vocabulary.text(source_ips));
            let code = |address: Option<&Cow<'_, str>>| {
                address.map_or(NULL, |address| self.vocabulary.code(address))
            };
            (code(addresses.first()), code(addresses.last()))
        })
    }

    /// Returns the key of a credential that has no id of its own: the first of cloud access key,
    /// Secret of a legacy token, Pod, user uid and user name that the event offers.
    fn credential(&mut self, event: &Event<'a>, [username, uid, pod_uid, legacy]: [u32; 4]) -> u32 {
        if username == NULL {
            return NULL;
        }
        if !event.user.cloud_key.is_empty() {
            return self
                .vocabulary
                .code(&format!("cloud:{}", event.user.cloud_key));
        }
        let vocabulary = self.vocabulary;
        *self
            .derived
            .credentials
            .entry([username, uid, pod_uid, legacy])
            .or_insert_with(|| {
                let text = |code| vocabulary.text(code);
                let key = if !event.annotations.legacy_secret.is_empty() {
                    let namespace =
                        service_account(text(username)).map_or("", |(namespace, _)| namespace);
                    format!("secret:{namespace}/{}", text(legacy))
                } else if legacy != NULL {
                    format!("legacy:{}#{}", text(username), text(uid))
                } else if pod_uid != NULL {
                    format!("pod:{}", text(pod_uid))
                } else if uid != NULL {
                    format!("user:{}#{}", text(username), text(uid))
                } else {
                    format!("user:{}", text(username))
                };
                vocabulary.code(&key)
            })
    }

    /// Returns the key under which the stages of one request meet.
    ///
    /// Not the audit ID alone: a client may give all its requests the same one. Seeded per run, so
    /// that nobody can craft two requests that meet.
    fn request_key(&self, event: &Event<'a>) -> u64 {
        let mut hasher = self.request_hasher.build_hasher();
        let parts = [
            &event.audit_id,
            &event.verb,
            &event.request_uri,
            &event.user.username,
        ];
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part.as_bytes());
        }
        hasher.write_i64(event.received.unwrap_or(i64::MIN));
        hasher.finish()
    }
}

/// Splits `system:serviceaccount:NAMESPACE:NAME`.
pub fn service_account(username: &str) -> Option<(&str, &str)> {
    username
        .strip_prefix("system:serviceaccount:")?
        .split_once(':')
}

/// Says what kind of identity a user name is, by the prefixes of kubernetes/apiserver
/// `pkg/authentication/user`.
pub fn identity_kind(username: &str) -> &'static str {
    match username {
        "" => "none",
        "system:anonymous" => "anonymous",
        _ if service_account(username).is_some() => "serviceaccount",
        _ if username.starts_with("system:node:") => "node",
        _ if username.starts_with("system:bootstrap:") => "user",
        _ if username.starts_with("system:") => "component",
        _ => "user",
    }
}

/// Says how a request ended; nothing if it has no response yet.
fn outcome(code: u16) -> &'static str {
    match code {
        0 => "",
        1..=399 => "ok",
        401 => "unauthenticated",
        403 => "denied",
        _ => "error",
    }
}

/// Says by which method the user authenticated, as far as the event can tell.
fn credential_kind(event: &Event<'_>) -> &'static str {
    let user = &event.user;
    let is_service_account = service_account(&user.username).is_some();
    if user.username.is_empty() {
        "none"
    } else if user.username == "system:anonymous" {
        "anonymous"
    } else if user.credential_id.starts_with("X509SHA256=") {
        "x509"
    } else if !event.annotations.legacy_token.is_empty() {
        "legacy-token"
    } else if is_service_account && !(user.pod_uid.is_empty() && user.node_name.is_empty()) {
        "bound-token"
    } else if is_service_account {
        "unbound-token"
    } else if user.credential_id.starts_with("JTI=") {
        "oidc"
    } else if user.username.starts_with("system:bootstrap:") {
        "bootstrap-token"
    } else if user.uid.contains("aws-iam-authenticator:") || !user.cloud_key.is_empty() {
        "webhook"
    } else {
        "unknown"
    }
}
