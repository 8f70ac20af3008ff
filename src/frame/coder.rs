//! Coding: a decoded event to the codes of the run's dictionary.
//!
//! The pieces of an event that repeat (the user, the addresses, the object, the annotations) are coded
//! once and then known by their text. What follows from a piece alone, such as the kind of an identity
//! or the last address, is worked out with it.

mod repeats;
mod version;

use std::borrow::Cow;

use hashbrown::HashMap;

use super::derived::{credential_kind, identity_kind, service_account};
use super::identity::Said;
use super::memo::Memo;
use super::pieces::{ADDRESSES, ANNOTATION_CODES, OBJECT, ORIGIN, Table, USER};
use super::template::{Seen, Template, Templates};
use super::vocabulary::{NULL, Vocabulary, cut, known, parse_list};
use crate::decode::bodies::Bodies;
use crate::decode::event::{Annotations, Event, ObjectRef, Span, Text, User};
use crate::decode::time::Clock;
use repeats::{Pieces, Pin, Spans};
use version::Unversioned;

/// The group that RBAC never judges.
pub const MASTERS: &str = "system:masters";

/// One audit event whose repeating texts are codes, and whose repeating pieces are numbers in the tables
/// of the [`Coder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodedEvent<'a> {
    pub(crate) level: u32,
    pub(crate) stage: u32,
    pub(crate) verb: u32,
    pub(crate) user_agent: u32,
    pub(crate) reason: u32,
    pub(crate) user: u32,
    pub(crate) impersonated: u32,
    pub(crate) addresses: u32,
    pub(crate) object: u32,
    pub(crate) annotations: u32,
    pub(crate) code: u16,
    pub(crate) audit_id: Text<'a>,
    pub(crate) request_uri: Text<'a>,
    pub(crate) name: Text<'a>,
    pub(crate) object_uid: Text<'a>,
    pub(crate) message: Text<'a>,
    pub(crate) details_uid: Text<'a>,
    pub(crate) issued_credential_id: Text<'a>,
    pub(crate) request_object: Span,
    pub(crate) response_object: Span,
    /// `annotations` in the record.
    pub(crate) annotations_span: Span,
    /// `user.extra` in the record.
    pub(crate) extra_span: Span,
    pub(crate) received: Option<i64>,
    pub(crate) stage_time: Option<i64>,
    /// Where the first of them stands in the record, of what the API server wrote.
    pub(crate) received_at: usize,
    /// `objectRef.resourceVersion` in the record, likewise.
    pub(crate) object_version: Span,
}

impl Default for CodedEvent<'_> {
    fn default() -> Self {
        const NONE: Text<'static> = Cow::Borrowed("");
        Self {
            level: NULL,
            stage: NULL,
            verb: NULL,
            user_agent: NULL,
            reason: NULL,
            user: 0,
            impersonated: 0,
            addresses: 0,
            object: 0,
            annotations: 0,
            code: 0,
            audit_id: NONE,
            request_uri: NONE,
            name: NONE,
            object_uid: NONE,
            message: NONE,
            details_uid: NONE,
            issued_credential_id: NONE,
            request_object: Span::default(),
            response_object: Span::default(),
            annotations_span: Span::default(),
            extra_span: Span::default(),
            received: None,
            stage_time: None,
            received_at: 0,
            object_version: Span::default(),
        }
    }
}

/// What the key of a cloud provider's credential starts with.
const CLOUD_KEY: &str = "cloud:";

/// Most keys of legacy tokens that are remembered at a time.
const LEGACY_KEYS: usize = 1 << 16;

/// The words that stand alone in an event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Word {
    Level,
    Stage,
    Verb,
    UserAgent,
}

/// Codes events; one per thread, since it remembers.
pub struct Coder {
    vocabulary: Vocabulary,
    /// By decoded text.
    texts: Memo<u32>,
    /// By JSON text, as all that follow. Agents of strangers stand behind the others.
    words: [Memo<u32>; 5],
    /// Of each kind of word the last one, in its quotes.
    last_words: [(String, u32); 5],
    /// Whether all users of the line at hand so far are strangers.
    of_stranger: Option<bool>,
    addresses: Pieces<{ ADDRESSES.len() }>,
    users: Pieces<{ USER.len() }>,
    objects: Pieces<{ OBJECT.len() }>,
    unversioned: Unversioned,
    annotations: Pieces<ANNOTATION_CODES>,
    legacy_keys: HashMap<[u32; 4], u32>,
    templates: Templates,
    pub(crate) bodies: Bodies,
    pub(crate) clock: Clock,
    /// The chunk that the tables are of.
    chunk: u32,
}

/// The pieces of an event, to be found again in later chunks.
pub(super) struct Pinned {
    /// Their numbers in the chunk that they were last seen in, in the order of [`Piece`](super::Piece).
    pub(super) numbers: [u32; 5],
    chunk: u32,
    pins: Box<Pins>,
}

struct Pins {
    user: Option<Pin<{ USER.len() }>>,
    impersonated: Option<Pin<{ USER.len() }>>,
    addresses: Option<Pin<{ ADDRESSES.len() }>>,
    object: Option<Pin<{ OBJECT.len() }>>,
    annotations: Option<Pin<ANNOTATION_CODES>>,
}

/// The pieces of a chunk.
#[derive(Clone)]
pub(super) struct Tables {
    pub(super) users: Table<{ USER.len() }>,
    pub(super) addresses: Table<{ ADDRESSES.len() }>,
    pub(super) objects: Table<{ OBJECT.len() }>,
    pub(super) annotations: Table<ANNOTATION_CODES>,
    pub(super) origins: Table<{ ORIGIN.len() }>,
}

impl Tables {
    pub(super) fn new() -> Self {
        Self {
            users: Table::new(),
            addresses: Table::new(),
            objects: Table::new(),
            annotations: Table::new(),
            origins: Table::new(),
        }
    }

    /// Returns how many bytes of memory they take, about.
    pub(super) fn bytes(&self) -> usize {
        self.users.bytes()
            + self.addresses.bytes()
            + self.objects.bytes()
            + self.annotations.bytes()
            + self.origins.bytes()
    }
}

impl Coder {
    /// Returns a coder into `vocabulary` that remembers nothing yet.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        Self {
            vocabulary: vocabulary.clone(),
            texts: Memo::new(),
            words: [(); 5].map(|()| Memo::new()),
            last_words: Default::default(),
            of_stranger: None,
            addresses: Pieces::new(),
            users: Pieces::new(),
            objects: Pieces::new(),
            unversioned: Unversioned::new(),
            annotations: Pieces::new(),
            legacy_keys: HashMap::new(),
            templates: Templates::new(),
            bodies: Bodies::new(),
            clock: Clock::default(),
            chunk: 0,
        }
    }

    /// Returns the dictionary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Starts a chunk: the tables are empty then.
    pub(super) fn start_chunk(&mut self) {
        self.users.clear();
        self.addresses.clear();
        self.objects.clear();
        self.annotations.clear();
        // A number that comes round again after 2^32 chunks is no concern; 0 is what nothing was seen in.
        self.chunk = self.chunk.wrapping_add(1).max(1);
    }

    /// Gives the pieces of the chunk, in exchange for tables that serve again.
    pub(super) fn finish_chunk(&mut self, tables: &mut Tables) {
        std::mem::swap(&mut self.users.table, &mut tables.users);
        std::mem::swap(&mut self.addresses.table, &mut tables.addresses);
        std::mem::swap(&mut self.objects.table, &mut tables.objects);
        std::mem::swap(&mut self.annotations.table, &mut tables.annotations);
    }

    /// Says what is known of a line; of one that is of a template, also whether that is new in this chunk.
    pub(super) fn seen(&mut self, line: &str) -> (Seen<'_>, bool) {
        let chunk = self.chunk;
        let mut seen = self.templates.find(line.as_bytes(), &mut self.clock);
        let mut is_new = false;
        if let Seen::Known(template, _) = &mut seen {
            let pieces = &mut template.pieces;
            is_new = pieces.chunk != chunk;
            if is_new {
                let pins = &pieces.pins;
                pieces.chunk = chunk;
                pieces.numbers = [
                    self.users.number(pins.user.as_ref(), chunk),
                    self.users.number(pins.impersonated.as_ref(), chunk),
                    self.addresses.number(pins.addresses.as_ref(), chunk),
                    self.objects.number(pins.object.as_ref(), chunk),
                    self.annotations.number(pins.annotations.as_ref(), chunk),
                ];
            }
        }
        (seen, is_new)
    }

    /// Returns what finds the pieces of an event of this chunk again.
    pub(super) fn pin(&self, event: &CodedEvent<'_>) -> Pinned {
        let pins = Pins {
            user: self.users.pin(event.user),
            impersonated: self.users.pin(event.impersonated),
            addresses: self.addresses.pin(event.addresses),
            object: self.objects.pin(event.object),
            annotations: self.annotations.pin(event.annotations),
        };
        Pinned {
            // In none: what a frame has to keep is not kept for it yet.
            chunk: 0,
            numbers: [0; 5],
            pins: Box::new(pins),
        }
    }

    /// Keeps the template of a line with that key.
    pub(super) fn keep(&mut self, key: u64, line: &str, template: Template) {
        self.templates.insert(key, line, template);
    }

    /// Codes a whole event into `target`.
    pub fn event<'a>(&mut self, event: Event<'a>, target: &mut CodedEvent<'a>) {
        target.level = self.code(&cut(&event.level));
        target.stage = self.code(&cut(&event.stage));
        target.verb = self.code(&cut(&event.verb));
        target.reason = self.code(&event.status.reason);
        let row = self.user_codes(&event.user);
        target.user = self.users.add(row);
        let mut of_stranger = is_stranger(&row);
        if let Some(user) = &event.impersonated {
            let row = self.user_codes(user);
            target.impersonated = self.users.add(row);
            of_stranger &= is_stranger(&row);
        }
        target.user_agent = if of_stranger {
            self.code(&cut(&event.user_agent))
        } else {
            self.code(&event.user_agent)
        };
        if !event.source_ips.is_empty() {
            let row = self.address_codes(&event.source_ips);
            target.addresses = self.addresses.add(row);
        }
        if let Some(object) = event.object {
            let row = self.object_codes(&object);
            target.object = self.objects.add(row);
            (target.name, target.object_uid) = (object.name, object.uid);
        }
        if !event.annotations.span.is_empty() {
            let row = self.annotation_codes(&event.annotations);
            target.annotations = self.annotations.add(row);
        }
        target.code = event.status.code;
        target.audit_id = event.audit_id;
        target.request_uri = event.request_uri;
        target.message = event.status.message;
        target.details_uid = event.status.details_uid;
        target.issued_credential_id = event.annotations.issued_credential_id;
        target.request_object = event.request_object;
        target.response_object = event.response_object;
        target.annotations_span = event.annotations.span;
        target.extra_span = event.user.extra_span;
        target.received = event.received;
        target.stage_time = event.stage_time;
    }

    /// Returns length and code of the last word of its kind, if `json` starts with the same one, quotes and all.
    ///
    /// The verb of a line is asked for before its users, and the agent behind them.
    #[inline]
    pub(crate) fn last_word(&mut self, word: Word, json: &str) -> Option<(usize, u32)> {
        if let Word::Verb = word {
            self.of_stranger = None;
        }
        let (last, code) = &self.last_words[self.place(word)];
        let is_same = !last.is_empty() && json.starts_with(last.as_str());
        is_same.then_some((last.len(), *code))
    }

    /// Returns the code of a word by its JSON text without the quotes, if that is known.
    pub(crate) fn known_word(&mut self, word: Word, json: &str) -> Option<u32> {
        let place = self.place(word);
        let (_, &mut code) = self.words[place].get(json)?;
        let (last, last_code) = &mut self.last_words[place];
        last.clear();
        last.extend(["\"", json, "\""]);
        *last_code = code;
        Some(code)
    }

    /// Codes a word, and remembers it unless it was written with escapes.
    pub(crate) fn word(&mut self, word: Word, text: &Text<'_>) -> u32 {
        let place = self.place(word);
        let code = if place == Word::UserAgent as usize {
            self.code(text)
        } else {
            self.code(&cut(text))
        };
        if let Cow::Borrowed(text) = text {
            self.words[place].insert(text, code);
        }
        code
    }

    /// Returns where a word of the line at hand is remembered.
    fn place(&self, word: Word) -> usize {
        let is_theirs = matches!(word, Word::UserAgent) && self.of_stranger == Some(true);
        word as usize + usize::from(is_theirs)
    }

    /// Notes a user of the line at hand.
    fn meet(&mut self, number: u32) {
        let is_stranger = is_stranger(self.users.table.get(number));
        self.of_stranger = Some(self.of_stranger.unwrap_or(true) && is_stranger);
    }

    /// Returns the number of a list of addresses by its JSON text, if that is known.
    pub(crate) fn known_addresses(&mut self, json: &str) -> Option<u32> {
        let (number, _) = self.addresses.find(json, self.chunk)?;
        Some(number)
    }

    /// Codes a list of addresses, and remembers it.
    pub(crate) fn addresses(&mut self, json: &str) -> u32 {
        let codes = self.address_codes(json);
        self.addresses
            .learn(json, codes, Spans::default(), self.chunk)
    }

    /// Returns the number of a `user` by its JSON text, and where its `extra` stands in that, if it is known.
    pub(crate) fn known_user(&mut self, json: &str) -> Option<(u32, Span)> {
        let (number, [extra, ..]) = self.users.find(json, self.chunk)?;
        self.meet(number);
        Some((number, extra))
    }

    /// Codes the `user` that `json` spells, and remembers it; `extra` is where its `extra` stands in that.
    pub(crate) fn user(&mut self, json: &str, user: &User<'_>, extra: Span) -> u32 {
        let codes = self.user_codes(user);
        let spans = [extra, Span::default(), Span::default()];
        let number = self.users.learn(json, codes, spans, self.chunk);
        self.meet(number);
        number
    }

    /// Returns the number of an `objectRef` by its JSON text, and where `name`, `uid` and `resourceVersion` stand, if it is
    /// known.
    pub(crate) fn known_object(&mut self, json: &str) -> Option<(u32, Spans)> {
        let Some((text, version)) = self.unversioned.of(json) else {
            return self.objects.find(json, self.chunk);
        };
        let (number, [name, uid, _]) = self.objects.find(text, self.chunk)?;
        // One whose version is empty, and stands before them, has the same text.
        stand_before([name, uid], version).then_some((number, [name, uid, version]))
    }

    /// Codes the `objectRef` that `json` spells, and remembers it unless one of these texts has escapes.
    pub(crate) fn object(&mut self, json: &str, object: &ObjectRef<'_>) -> u32 {
        let codes = self.object_codes(object);
        let texts = [&object.name, &object.uid, &object.resource_version].map(as_written);
        match texts {
            [Some(name), Some(uid), Some(version)] => {
                let [name, uid, version] =
                    [name, uid, version].map(|text| Span::within(text, json));
                let (text, version) = match self.unversioned.of(json) {
                    Some((text, version)) if stand_before([name, uid], version) => {
                        (text, Span::default())
                    }
                    _ => (json, version),
                };
                self.objects
                    .learn(text, codes, [name, uid, version], self.chunk)
            }
            _ => self.objects.add(codes),
        }
    }

    /// Returns the number of `annotations` by their JSON text, and where the issued credential stands, if
    /// they are known.
    pub(crate) fn known_annotations(&mut self, json: &str) -> Option<(u32, Span)> {
        let (number, [issued, ..]) = self.annotations.find(json, self.chunk)?;
        Some((number, issued))
    }

    /// Codes the `annotations` that `json` spells, and remembers them unless the issued credential has
    /// escapes.
    pub(crate) fn annotations(&mut self, json: &str, annotations: &Annotations<'_>) -> u32 {
        let codes = self.annotation_codes(annotations);
        match as_written(&annotations.issued_credential_id) {
            Some(issued) => {
                let spans = [Span::within(issued, json), Span::default(), Span::default()];
                self.annotations.learn(json, codes, spans, self.chunk)
            }
            None => self.annotations.add(codes),
        }
    }

    /// Takes the numbers of the pieces out of `event`; returns the codes of the pieces instead.
    #[cfg(test)]
    pub(crate) fn take_pieces(&self, event: &mut CodedEvent<'_>) -> Vec<Vec<u32>> {
        let take = std::mem::take::<u32>;
        vec![
            self.users.table.get(take(&mut event.user)).to_vec(),
            self.users.table.get(take(&mut event.impersonated)).to_vec(),
            self.addresses
                .table
                .get(take(&mut event.addresses))
                .to_vec(),
            self.objects.table.get(take(&mut event.object)).to_vec(),
            self.annotations
                .table
                .get(take(&mut event.annotations))
                .to_vec(),
        ]
    }

    /// Returns kind and key of the credential.
    ///
    /// The key is the first that the event offers of: credential id, cloud access key, Secret of a legacy
    /// token, Pod, user uid, user name.
    pub(super) fn credential(&mut self, event: &CodedEvent<'_>) -> [u32; 2] {
        let [username, uid, _, id, .., kind, key, _] = *self.users.table.get(event.user);
        let [_, _, legacy_token, legacy_secret, ..] =
            *self.annotations.table.get(event.annotations);
        let vocabulary = &self.vocabulary;
        if (legacy_token == NULL && legacy_secret == NULL) || username == NULL || id != NULL {
            return [kind, key];
        }
        let text = |code: u32| vocabulary.text(code);
        let kind = match text(kind) {
            "none" | "anonymous" | "x509" => kind,
            _ if legacy_token == NULL => kind,
            _ => known::LEGACY_TOKEN,
        };
        if text(key).starts_with(CLOUD_KEY) {
            return [kind, key];
        }
        if self.legacy_keys.len() >= LEGACY_KEYS {
            self.legacy_keys.clear();
        }
        let codes = [username, uid, legacy_token, legacy_secret];
        let key = *self.legacy_keys.entry(codes).or_insert_with(|| {
            let [username, uid, _, secret] = codes.map(text);
            let key = if secret.is_empty() {
                format!("legacy:{username}#{uid}")
            } else {
                let namespace = service_account(username).map_or("", |(namespace, _)| namespace);
                format!("secret:{namespace}/{secret}")
            };
            vocabulary.code(&key)
        });
        [kind, key]
    }

    /// Returns what the event of `record` is known by.
    pub(super) fn said<'t>(&'t self, event: &'t CodedEvent<'_>, record: &str) -> Said<'t> {
        let [username, _, groups, credential_id, .., is_masters] =
            *self.users.table.get(event.user);
        let [impersonated, ..] = *self.users.table.get(event.impersonated);
        let [_, client, peer] = *self.addresses.table.get(event.addresses);
        let [decision, ..] = *self.annotations.table.get(event.annotations);
        let text = |code: u32| self.vocabulary.text(code);
        let is_json = |body: Span| body.slice(record).starts_with(['{', '[']);
        Said {
            request: [text(event.verb), &event.request_uri, text(username)],
            event: [
                text(event.stage),
                text(event.level),
                text(event.user_agent),
                &event.name,
                text(impersonated),
                text(credential_id),
                text(client),
                text(peer),
                text(decision),
            ],
            code: event.code,
            has: [
                groups != NULL,
                is_masters != 0,
                !event.extra_span.is_empty(),
                is_json(event.request_object),
                is_json(event.response_object),
            ],
            is_arrival: event.stage == known::REQUEST_RECEIVED,
        }
    }

    /// Returns the code of a text, without asking the shared dictionary if it is known.
    pub(crate) fn code(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return NULL;
        }
        if let Some((_, code)) = self.texts.get(text) {
            return *code;
        }
        let code = self.vocabulary.code(text);
        self.texts.insert(text, code);
        code
    }

    fn user_codes(&mut self, user: &User<'_>) -> [u32; USER.len()] {
        let (name, uid) = (&user.username, &user.uid);
        let is_masters = parse_list(&user.groups)
            .iter()
            .any(|group| group == MASTERS);
        let key = if !user.credential_id.is_empty() {
            user.credential_id.clone()
        } else if name.is_empty() {
            Text::default()
        } else if !user.cloud_key.is_empty() {
            format!("{CLOUD_KEY}{}", user.cloud_key).into()
        } else if !user.pod_uid.is_empty() {
            format!("pod:{}", user.pod_uid).into()
        } else if !uid.is_empty() {
            format!("user:{name}#{uid}").into()
        } else {
            format!("user:{name}").into()
        };
        [
            self.code(name),
            self.code(uid),
            self.code(&user.groups),
            self.code(&user.credential_id),
            self.code(&user.pod_name),
            self.code(&user.pod_uid),
            self.code(&user.node_name),
            self.code(identity_kind(name)),
            self.code(credential_kind(user)),
            self.code(&key),
            u32::from(is_masters),
        ]
    }

    fn address_codes(&mut self, json: &str) -> [u32; ADDRESSES.len()] {
        let addresses = parse_list(json);
        let mut code =
            |address: Option<&Text<'_>>| address.map_or(NULL, |address| self.code(address));
        let (client, peer) = (code(addresses.first()), code(addresses.last()));
        [self.code(json), client, peer]
    }

    fn object_codes(&mut self, object: &ObjectRef<'_>) -> [u32; OBJECT.len()] {
        [
            &object.resource,
            &object.subresource,
            &object.namespace,
            &object.api_group,
            &object.api_version,
        ]
        .map(|text| self.code(&cut(text)))
    }

    fn annotation_codes(&mut self, annotations: &Annotations<'_>) -> [u32; ANNOTATION_CODES] {
        [
            self.code(&annotations.decision),
            self.code(&annotations.reason),
            self.code(&annotations.legacy_token),
            self.code(&annotations.legacy_secret),
            self.code(&annotations.legacy_invalidated),
            self.code(&annotations.truncated),
            annotations.has_others.into(),
        ]
    }
}

/// Returns whether anybody can be that user, for it takes no credential.
fn is_stranger(&[name, .., kind, _, _, _]: &[u32; USER.len()]) -> bool {
    name == NULL || kind == known::ANONYMOUS
}

/// Returns whether the texts of an object stand before its version, so that they do not move with the length of that.
fn stand_before(texts: [Span; 2], version: Span) -> bool {
    texts.iter().all(|text| text.end() <= version.start)
}

/// Returns a text that stands in the record as it is: without escapes, or not at all.
fn as_written<'t>(text: &'t Text<'_>) -> Option<&'t str> {
    match text {
        Cow::Borrowed(text) => Some(text),
        Cow::Owned(text) => text.is_empty().then_some(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Column;
    use crate::frame::reading::Reading;
    use crate::frame::vocabulary::is_cut;

    #[test]
    fn only_strangers_have_their_agents_cut() {
        let agent = format!("scanner/{}", "x".repeat(1000));
        let line = |user: &str| {
            format!(
                r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","requestURI":"/","verb":"get","user":{user},"sourceIPs":["203.0.113.7"],"userAgent":"{agent}","requestReceivedTimestamp":"2026-11-22T04:55:27.649211Z","stageTimestamp":"2026-11-22T04:55:27.650970Z"}}"#
            )
        };
        let anonymous = r#"{"username":"system:anonymous","groups":["system:unauthenticated"]}"#;
        let bob = r#"{"username":"bob"}"#;
        let as_anonymous = &format!(r#"{bob},"impersonatedUser":{anonymous}"#);
        let users = [
            bob,
            anonymous,
            bob,
            anonymous,
            "{}",
            as_anonymous,
            anonymous,
            bob,
            "{}",
        ];
        let lines = users.map(line);
        // By the fast path, and by the general one.
        for is_native in [true, false] {
            let vocabulary = Vocabulary::new();
            let frame = Reading::new(&vocabulary).chunk(&lines, is_native);
            assert_eq!(frame.height(), users.len());
            for (row_idx, user) in users.iter().enumerate() {
                let kept = vocabulary.text(frame.code(Column::UserAgent, row_idx));
                let is_theirs = !user.contains("bob");
                assert_eq!(is_cut(kept), is_theirs, "{user}");
                assert!(is_theirs || kept == agent, "{user}");
            }
        }
    }
}
