//! Typed buffers: push events, finish a frame.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;

use super::coder::{CodedEvent, Coder};
use super::schema::Column;
use super::vocabulary::NULL;
use super::{EventFrame, RowDetail, TextSpan};

/// Buffers for the events of one chunk.
pub struct EventColumns<'a> {
    request_hasher: &'a RandomState,
    file: u32,
    frame: EventFrame,
}

/// Where an event stands in the log.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Line of its record in the file, from 1.
    pub line: u64,
    /// Offset of the record in the decompressed file.
    pub offset: u64,
    /// Bytes of the record.
    pub length: u32,
    /// Name of the cluster; may be empty.
    pub cluster: &'a str,
    /// Where the event itself can be read again.
    pub text: EventText,
}

/// Where the text of an event is kept.
#[derive(Debug, Clone, Copy)]
pub enum EventText {
    /// It stands in the chunk, from this byte.
    InChunk(u32),
    /// It was unwrapped, and stands nowhere else.
    Unwrapped,
}

impl<'a> EventColumns<'a> {
    /// Returns empty buffers for a chunk of `file`; `recycled` is a frame that nobody needs any more.
    pub fn new(
        request_hasher: &'a RandomState,
        coder: &Coder,
        file: &str,
        recycled: Option<EventFrame>,
    ) -> Self {
        let mut frame = recycled.unwrap_or_else(|| EventFrame::empty(coder.vocabulary()));
        frame.clear();
        Self {
            request_hasher,
            file: coder.vocabulary().code(file),
            frame,
        }
    }

    /// Appends one event that was decoded from `text`.
    pub fn push(
        &mut self,
        event: &CodedEvent<'_>,
        text: &str,
        place: &Place<'_>,
        coder: &mut Coder,
    ) {
        use Column as C;
        let (credential_kind, credential) = coder.credential(event);
        let (user, impersonated) = (&event.user, &event.impersonated);
        let actor = if impersonated.username == NULL {
            user.username
        } else {
            impersonated.username
        };
        let values = [
            (C::Stage, event.stage),
            (C::Level, event.level),
            (C::Verb, event.verb),
            (C::UserAgent, event.user_agent),
            (C::Username, user.username),
            (C::UserUid, user.uid),
            (C::UserGroups, user.groups),
            (C::ImpUsername, impersonated.username),
            (C::ImpGroups, impersonated.groups),
            (C::CredentialId, user.credential_id),
            (C::TokenPod, user.pod_name),
            (C::TokenPodUid, user.pod_uid),
            (C::TokenNode, user.node_name),
            (C::SourceIps, event.addresses.all),
            (C::ClientIp, event.addresses.client),
            (C::PeerIp, event.addresses.peer),
            (C::ApiGroup, event.object.api_group),
            (C::ApiVersion, event.object.api_version),
            (C::Resource, event.object.resource),
            (C::Subresource, event.object.subresource),
            (C::Namespace, event.object.namespace),
            (C::Reason, event.reason),
            (C::Decision, event.annotations.decision),
            (C::AuthzReason, event.annotations.reason),
            (C::LegacyToken, event.annotations.legacy_token),
            (C::LegacySecret, event.annotations.legacy_secret),
            (C::LegacyInvalidated, event.annotations.legacy_invalidated),
            (C::IdentityKind, user.identity_kind),
            (C::CredentialKind, credential_kind),
            (C::Credential, credential),
            (C::Actor, actor),
            (C::Outcome, coder.outcome(event.code)),
            (C::Cluster, coder.vocabulary().code(place.cluster)),
            (C::File, self.file),
            (C::Code, event.code.into()),
            (C::Length, place.length),
        ];
        let request = self.request_key(event);
        let frame = &mut self.frame;
        for (column, value) in values {
            frame.codes[column as usize].push(value);
        }
        let start = match place.text {
            EventText::InChunk(start) => start,
            EventText::Unwrapped => frame.keep(text).start,
        };
        let object_uid = if event.object_uid.is_empty() {
            &event.details_uid
        } else {
            &event.object_uid
        };
        let texts = [
            (C::AuditId, &event.audit_id),
            (C::RequestUri, &event.request_uri),
            (C::IssuedCredentialId, &event.issued_credential_id),
            (C::Name, &event.name),
            (C::ObjectUid, object_uid),
            (C::Message, &event.message),
        ];
        for (column, value) in texts {
            let span = match value {
                value if value.is_empty() => TextSpan::default(),
                Cow::Borrowed(part) => TextSpan::of(part, text, start),
                Cow::Owned(owned) => frame.keep(owned),
            };
            frame.texts[column as usize].push(span);
        }
        frame.times[C::Ts as usize].push(event.received.unwrap_or(0));
        frame.times[C::StageTs as usize].push(event.stage_time.unwrap_or(0));
        frame.lines.push(place.line);
        frame.offsets.push(place.offset);
        frame
            .masters
            .push(user.is_masters || impersonated.is_masters);
        frame.details.push(RowDetail {
            record: TextSpan::of(text, text, start),
            request_object: event.request_object,
            response_object: event.response_object,
            annotations: event.annotations_span,
            extra: event.extra_span,
            request,
            content: xxhash_rust::xxh3::xxh3_64(text.as_bytes()),
        });
    }

    /// Turns the buffers into a frame; `data` is the chunk that the events were decoded from.
    pub fn finish(mut self, data: Vec<u8>) -> EventFrame {
        self.frame.data = data;
        self.frame
    }

    /// Returns the key under which the stages of one request meet.
    ///
    /// Not the audit ID alone: a client may give all its requests the same one. Seeded per run, so
    /// that nobody can craft two requests that meet.
    fn request_key(&self, event: &CodedEvent<'_>) -> u64 {
        let mut hasher = self.request_hasher.build_hasher();
        for part in [&event.audit_id, &event.request_uri] {
            hasher.write_usize(part.len());
            hasher.write(part.as_bytes());
        }
        hasher.write_u32(event.verb);
        hasher.write_u32(event.user.username);
        hasher.write_i64(event.received.unwrap_or(i64::MIN));
        hasher.finish()
    }
}
