//! Coding: a decoded event to the codes of the run's dictionary.
//!
//! The pieces of an event that repeat (the user, the addresses, the object, the annotations) are coded
//! once and then known by their text. What follows from a piece alone, such as the kind of an identity
//! or the last address, is worked out with it.

use std::borrow::Cow;

use hashbrown::HashMap;

use super::memo::Memo;
use super::vocabulary::{NULL, Vocabulary, parse_list};
use crate::decode::event::{Annotations, Event, ObjectRef, Span, Text, User};

/// The group that RBAC never judges.
pub const MASTERS: &str = "system:masters";

/// One audit event whose repeating texts are codes of the run's [`Vocabulary`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodedEvent<'a> {
    pub(crate) level: u32,
    pub(crate) stage: u32,
    pub(crate) verb: u32,
    pub(crate) user_agent: u32,
    pub(crate) audit_id: Text<'a>,
    pub(crate) request_uri: Text<'a>,
    pub(crate) user: UserCodes,
    pub(crate) impersonated: UserCodes,
    pub(crate) addresses: AddressCodes,
    pub(crate) object: ObjectCodes,
    pub(crate) name: Text<'a>,
    pub(crate) object_uid: Text<'a>,
    pub(crate) code: u16,
    pub(crate) reason: u32,
    pub(crate) message: Text<'a>,
    pub(crate) details_uid: Text<'a>,
    pub(crate) request_object: Span,
    pub(crate) response_object: Span,
    pub(crate) received: Option<i64>,
    pub(crate) stage_time: Option<i64>,
    pub(crate) annotations: AnnotationCodes,
    pub(crate) issued_credential_id: Text<'a>,
    /// `annotations` in the record.
    pub(crate) annotations_span: Span,
    /// `user.extra` in the record.
    pub(crate) extra_span: Span,
}

impl Default for CodedEvent<'_> {
    fn default() -> Self {
        Self {
            level: NULL,
            stage: NULL,
            verb: NULL,
            user_agent: NULL,
            audit_id: Text::default(),
            request_uri: Text::default(),
            user: UserCodes::default(),
            impersonated: UserCodes::default(),
            addresses: AddressCodes::default(),
            object: ObjectCodes::default(),
            name: Text::default(),
            object_uid: Text::default(),
            code: 0,
            reason: NULL,
            message: Text::default(),
            details_uid: Text::default(),
            request_object: Span::default(),
            response_object: Span::default(),
            received: None,
            stage_time: None,
            annotations: AnnotationCodes::default(),
            issued_credential_id: Text::default(),
            annotations_span: Span::default(),
            extra_span: Span::default(),
        }
    }
}

/// What a `user` is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserCodes {
    pub(crate) username: u32,
    pub(crate) uid: u32,
    pub(crate) groups: u32,
    pub(crate) credential_id: u32,
    pub(crate) pod_name: u32,
    pub(crate) pod_uid: u32,
    pub(crate) node_name: u32,
    pub(crate) identity_kind: u32,
    pub(crate) credential_kind: u32,
    /// The same if the annotations say that the token is a legacy one.
    pub(crate) legacy_kind: u32,
    /// The best key of the credential that the user alone offers.
    pub(crate) credential: u32,
    /// Whether an annotation cannot offer a better one.
    pub(crate) has_own_key: bool,
    pub(crate) is_masters: bool,
}

/// `sourceIPs`, its first and its last element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressCodes {
    pub(crate) all: u32,
    pub(crate) client: u32,
    pub(crate) peer: u32,
}

/// The parts of `objectRef` that repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObjectCodes {
    pub(crate) resource: u32,
    pub(crate) subresource: u32,
    pub(crate) namespace: u32,
    pub(crate) api_group: u32,
    pub(crate) api_version: u32,
}

/// The annotations that repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AnnotationCodes {
    pub(crate) decision: u32,
    pub(crate) reason: u32,
    pub(crate) legacy_token: u32,
    pub(crate) legacy_secret: u32,
    pub(crate) legacy_invalidated: u32,
}

/// Codes of a piece with the places of its other texts, relative to its start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Piece<T> {
    pub(crate) codes: T,
    pub(crate) spans: [Span; 2],
}

macro_rules! null_default {
    ($($name:ident { $($field:ident)* $(; $flag:ident)* })*) => {
        $(impl Default for $name {
            fn default() -> Self {
                Self { $($field: NULL,)* $($flag: false,)* }
            }
        })*
    };
}

null_default! {
    UserCodes {
        username uid groups credential_id pod_name pod_uid node_name identity_kind credential_kind
        legacy_kind credential; has_own_key; is_masters
    }
    AddressCodes { all client peer }
    ObjectCodes { resource subresource namespace api_group api_version }
    AnnotationCodes { decision reason legacy_token legacy_secret legacy_invalidated }
}

/// The words that stand alone in an event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Word {
    Level,
    Stage,
    Verb,
    UserAgent,
}

/// How an HTTP status is summed up, in the order of [`outcome`].
const OUTCOMES: [&str; 5] = ["", "ok", "unauthenticated", "denied", "error"];

/// Most keys of legacy tokens that are remembered at a time.
const LEGACY_KEYS: usize = 1 << 16;

/// Codes events; one per thread, since it remembers.
pub struct Coder {
    vocabulary: Vocabulary,
    /// By decoded text.
    texts: Memo<u32>,
    /// By JSON text, as all that follow.
    words: [Memo<u32>; 4],
    addresses: Memo<AddressCodes>,
    users: Memo<Piece<UserCodes>>,
    objects: Memo<Piece<ObjectCodes>>,
    annotations: Memo<Piece<AnnotationCodes>>,
    legacy_keys: HashMap<[u32; 4], u32>,
    outcomes: [u32; 5],
}

impl Coder {
    /// Returns a coder into `vocabulary` that remembers nothing yet.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        Self {
            vocabulary: vocabulary.clone(),
            texts: Memo::new(),
            words: [(); 4].map(|()| Memo::new()),
            addresses: Memo::new(),
            users: Memo::new(),
            objects: Memo::new(),
            annotations: Memo::new(),
            legacy_keys: HashMap::new(),
            outcomes: OUTCOMES.map(|outcome| vocabulary.code(outcome)),
        }
    }

    /// Returns the dictionary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Codes a whole event.
    pub fn event<'a>(&mut self, event: &Event<'a>) -> CodedEvent<'a> {
        let nothing = ObjectRef::default();
        let object = event.object.as_ref().unwrap_or(&nothing);
        CodedEvent {
            level: self.code(&event.level),
            stage: self.code(&event.stage),
            verb: self.code(&event.verb),
            user_agent: self.code(&event.user_agent),
            audit_id: event.audit_id.clone(),
            request_uri: event.request_uri.clone(),
            user: self.user_codes(&event.user),
            impersonated: event
                .impersonated
                .as_ref()
                .map_or_else(UserCodes::default, |user| self.user_codes(user)),
            addresses: self.address_codes(&event.source_ips),
            object: self.object_codes(object),
            name: object.name.clone(),
            object_uid: object.uid.clone(),
            code: event.status.code,
            reason: self.code(&event.status.reason),
            message: event.status.message.clone(),
            details_uid: event.status.details_uid.clone(),
            request_object: event.request_object,
            response_object: event.response_object,
            received: event.received,
            stage_time: event.stage_time,
            annotations: self.annotation_codes(&event.annotations),
            issued_credential_id: event.annotations.issued_credential_id.clone(),
            annotations_span: event.annotations.span,
            extra_span: event.user.extra_span,
        }
    }

    /// Returns the code of a word by its JSON text without the quotes, if that is known.
    pub(crate) fn known_word(&self, word: Word, json: &str) -> Option<u32> {
        self.words[word as usize].get(json)
    }

    /// Codes a word, and remembers it unless it was written with escapes.
    pub(crate) fn word(&mut self, word: Word, text: &Text<'_>) -> u32 {
        let code = self.code(text);
        if let Cow::Borrowed(text) = text {
            self.words[word as usize].insert(text, code);
        }
        code
    }

    /// Returns the codes of a list of addresses by its JSON text, if that is known.
    pub(crate) fn known_addresses(&self, json: &str) -> Option<AddressCodes> {
        self.addresses.get(json)
    }

    /// Codes a list of addresses, and remembers it.
    pub(crate) fn addresses(&mut self, json: &str) -> AddressCodes {
        let codes = self.address_codes(json);
        self.addresses.insert(json, codes);
        codes
    }

    /// Returns the codes of a `user` by its JSON text, and where its `extra` stands, if that is known.
    pub(crate) fn known_user(&self, json: &str) -> Option<Piece<UserCodes>> {
        self.users.get(json)
    }

    /// Codes the `user` that `json` spells, and remembers it; `extra` is where its `extra` stands in that.
    pub(crate) fn user(&mut self, json: &str, user: &User<'_>, extra: Span) -> UserCodes {
        let codes = self.user_codes(user);
        let spans = [extra, Span::default()];
        self.users.insert(json, Piece { codes, spans });
        codes
    }

    /// Returns the codes of an `objectRef` by its JSON text, and where `name` and `uid` stand, if that is
    /// known.
    pub(crate) fn known_object(&self, json: &str) -> Option<Piece<ObjectCodes>> {
        self.objects.get(json)
    }

    /// Codes the `objectRef` that `json` spells, and remembers it unless name or uid have escapes.
    pub(crate) fn object(&mut self, json: &str, object: &ObjectRef<'_>) -> ObjectCodes {
        let codes = self.object_codes(object);
        if let (Some(name), Some(uid)) = (as_written(&object.name), as_written(&object.uid)) {
            let spans = [Span::within(name, json), Span::within(uid, json)];
            self.objects.insert(json, Piece { codes, spans });
        }
        codes
    }

    /// Returns the codes of `annotations` by their JSON text, and where the issued credential stands, if
    /// that is known.
    pub(crate) fn known_annotations(&self, json: &str) -> Option<Piece<AnnotationCodes>> {
        self.annotations.get(json)
    }

    /// Codes the `annotations` that `json` spells, and remembers them unless the issued credential has
    /// escapes.
    pub(crate) fn annotations(
        &mut self,
        json: &str,
        annotations: &Annotations<'_>,
    ) -> AnnotationCodes {
        let codes = self.annotation_codes(annotations);
        if let Some(issued) = as_written(&annotations.issued_credential_id) {
            let spans = [Span::within(issued, json), Span::default()];
            self.annotations.insert(json, Piece { codes, spans });
        }
        codes
    }

    /// Returns kind and key of the credential.
    ///
    /// The key is the first that the event offers of: credential id, cloud access key, Secret of a legacy
    /// token, Pod, user uid, user name.
    pub(super) fn credential(&mut self, event: &CodedEvent<'_>) -> (u32, u32) {
        let (user, annotations) = (&event.user, &event.annotations);
        if annotations.legacy_token == NULL && annotations.legacy_secret == NULL {
            return (user.credential_kind, user.credential);
        }
        let kind = if annotations.legacy_token == NULL {
            user.credential_kind
        } else {
            user.legacy_kind
        };
        if user.has_own_key {
            return (kind, user.credential);
        }
        if self.legacy_keys.len() >= LEGACY_KEYS {
            self.legacy_keys.clear();
        }
        let codes = [
            user.username,
            user.uid,
            annotations.legacy_token,
            annotations.legacy_secret,
        ];
        let vocabulary = &self.vocabulary;
        let key = *self.legacy_keys.entry(codes).or_insert_with(|| {
            let [username, uid, _, secret] = codes.map(|code| vocabulary.text(code));
            let key = if secret.is_empty() {
                format!("legacy:{username}#{uid}")
            } else {
                let namespace = service_account(username).map_or("", |(namespace, _)| namespace);
                format!("secret:{namespace}/{secret}")
            };
            vocabulary.code(&key)
        });
        (kind, key)
    }

    /// Returns the code of the outcome that an HTTP status stands for.
    pub(super) fn outcome(&self, code: u16) -> u32 {
        self.outcomes[outcome(code)]
    }

    /// Returns the code of a text, without asking the shared dictionary if it is known.
    pub(crate) fn code(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return NULL;
        }
        if let Some(code) = self.texts.get(text) {
            return code;
        }
        let code = self.vocabulary.code(text);
        self.texts.insert(text, code);
        code
    }

    fn user_codes(&mut self, user: &User<'_>) -> UserCodes {
        let mut code = |text: &str| self.code(text);
        let username = code(&user.username);
        let groups = code(&user.groups);
        let credential_id = code(&user.credential_id);
        let kind = credential_kind(user);
        let legacy_kind = match kind {
            "none" | "anonymous" | "x509" => kind,
            _ => "legacy-token",
        };
        let (name, uid) = (&user.username, &user.uid);
        let credential = if credential_id != NULL {
            credential_id
        } else if name.is_empty() {
            NULL
        } else if !user.cloud_key.is_empty() {
            code(&format!("cloud:{}", user.cloud_key))
        } else if !user.pod_uid.is_empty() {
            code(&format!("pod:{}", user.pod_uid))
        } else if !uid.is_empty() {
            code(&format!("user:{name}#{uid}"))
        } else {
            code(&format!("user:{name}"))
        };
        UserCodes {
            username,
            uid: code(uid),
            groups,
            credential_id,
            pod_name: code(&user.pod_name),
            pod_uid: code(&user.pod_uid),
            node_name: code(&user.node_name),
            identity_kind: code(identity_kind(name)),
            credential_kind: code(kind),
            legacy_kind: code(legacy_kind),
            credential,
            has_own_key: credential_id != NULL || name.is_empty() || !user.cloud_key.is_empty(),
            is_masters: parse_list(&user.groups)
                .iter()
                .any(|group| group == MASTERS),
        }
    }

    fn address_codes(&mut self, json: &str) -> AddressCodes {
        let addresses = parse_list(json);
        let mut code =
            |address: Option<&Text<'_>>| address.map_or(NULL, |address| self.code(address));
        AddressCodes {
            client: code(addresses.first()),
            peer: code(addresses.last()),
            all: self.code(json),
        }
    }

    fn object_codes(&mut self, object: &ObjectRef<'_>) -> ObjectCodes {
        let mut code = |text: &str| self.code(text);
        ObjectCodes {
            resource: code(&object.resource),
            subresource: code(&object.subresource),
            namespace: code(&object.namespace),
            api_group: code(&object.api_group),
            api_version: code(&object.api_version),
        }
    }

    fn annotation_codes(&mut self, annotations: &Annotations<'_>) -> AnnotationCodes {
        let mut code = |text: &str| self.code(text);
        AnnotationCodes {
            decision: code(&annotations.decision),
            reason: code(&annotations.reason),
            legacy_token: code(&annotations.legacy_token),
            legacy_secret: code(&annotations.legacy_secret),
            legacy_invalidated: code(&annotations.legacy_invalidated),
        }
    }
}

/// Returns a text that stands in the record as it is: without escapes, or not at all.
fn as_written<'t>(text: &'t Text<'_>) -> Option<&'t str> {
    match text {
        Cow::Borrowed(text) => Some(text),
        Cow::Owned(text) => text.is_empty().then_some(""),
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

/// Says how a request ended, as an index of [`OUTCOMES`].
fn outcome(code: u16) -> usize {
    match code {
        0 => 0,
        1..=399 => 1,
        401 => 2,
        403 => 3,
        _ => 4,
    }
}

/// Says by which method the user authenticated, as far as `user` can tell.
fn credential_kind(user: &User<'_>) -> &'static str {
    let is_service_account = service_account(&user.username).is_some();
    if user.username.is_empty() {
        "none"
    } else if user.username == "system:anonymous" {
        "anonymous"
    } else if user.credential_id.starts_with("X509SHA256=") {
        "x509"
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
