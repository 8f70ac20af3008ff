//! Typed buffers: push events, finish a frame.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher};

use foldhash::quality::SeedableRandomState;

use super::coder::{CodedEvent, Coder};
use super::{EventFrame, RowDetail, TextSpan};

/// Buffers for the events of one chunk.
pub struct EventColumns<'a> {
    request_hasher: &'a SeedableRandomState,
    coder: Coder,
    frame: EventFrame,
}

/// Where an event stands in the log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place<'a> {
    /// Line of its record in the file, from 1.
    pub line: u64,
    /// Offset of the record in the decompressed file.
    pub offset: u64,
    /// Bytes of the record.
    pub length: u32,
    /// Where it comes from.
    pub origin: Origin<'a>,
    /// Where the event itself can be read again.
    pub text: EventText,
}

/// Where a record comes from; empty is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Name of the cluster.
    pub cluster: &'a str,
    /// The machine that wrote the log.
    pub node: &'a str,
    /// The log stream, or the pod of the API server.
    pub stream: &'a str,
    /// What the event was wrapped in, from outside in.
    pub envelope: &'a str,
}

/// Where the text of an event is kept.
#[derive(Debug, Clone, Copy, Default)]
pub enum EventText {
    /// It stands in the chunk, from this byte.
    InChunk(u32),
    /// It was unwrapped, and stands nowhere else.
    #[default]
    Unwrapped,
}

impl<'a> EventColumns<'a> {
    /// Returns empty buffers for a chunk of `file`; `recycled` is a frame that nobody needs any more.
    pub fn new(
        request_hasher: &'a SeedableRandomState,
        mut coder: Coder,
        file: &str,
        recycled: Option<EventFrame>,
    ) -> Self {
        let mut frame = recycled.unwrap_or_else(|| EventFrame::empty(coder.vocabulary()));
        frame.clear();
        frame.file = coder.vocabulary().code(file);
        coder.start_chunk();
        Self {
            request_hasher,
            coder,
            frame,
        }
    }

    /// Returns the coder that the events of this chunk must be decoded with.
    pub fn coder(&mut self) -> &mut Coder {
        &mut self.coder
    }

    /// Appends one event that was decoded from `text`.
    pub fn push(&mut self, event: &CodedEvent<'_>, text: &str, place: &Place<'_>) {
        let [credential_kind, credential] = self.coder.credential(event);
        let origin = self.origin(&place.origin);
        // In the order of `OWN`.
        let own = [
            event.stage,
            event.level,
            event.verb,
            event.user_agent,
            event.reason,
            credential_kind,
            credential,
            event.code.into(),
            place.length,
        ];
        let pieces = [
            event.user,
            event.impersonated,
            event.addresses,
            event.object,
            event.annotations,
            origin,
        ];
        let request = self.request_key(event);
        let frame = &mut self.frame;
        for (buffer, code) in frame.own.iter_mut().zip(own) {
            buffer.push(code);
        }
        for (buffer, number) in frame.pieces.iter_mut().zip(pieces) {
            buffer.push(number);
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
        // In the order of `TEXTS`.
        let texts = [
            &event.audit_id,
            &event.request_uri,
            &event.name,
            object_uid,
            &event.message,
            &event.issued_credential_id,
        ];
        for (at, value) in texts.into_iter().enumerate() {
            let span = match value {
                value if value.is_empty() => TextSpan::default(),
                Cow::Borrowed(part) => TextSpan::of(part, text, start),
                Cow::Owned(owned) => frame.keep(owned),
            };
            frame.texts[at].push(span);
        }
        frame.times[0].push(event.received.unwrap_or(0));
        frame.times[1].push(event.stage_time.unwrap_or(0));
        frame.lines.push(place.line);
        frame.offsets.push(place.offset);
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

    /// Returns the number of an origin; records of one chunk mostly have the same.
    fn origin(&mut self, origin: &Origin<'_>) -> u32 {
        if *origin == Origin::default() {
            return 0;
        }
        let Origin {
            cluster,
            node,
            stream,
            envelope,
        } = *origin;
        let codes = [cluster, node, stream, envelope].map(|text| self.coder.code(text));
        self.frame.tables.origins.find_or_add(codes)
    }

    /// Turns the buffers into a frame; `text` is the chunk that the events were decoded from. The coder
    /// serves again.
    pub fn finish(mut self, text: String) -> (EventFrame, Coder) {
        self.frame.text = text;
        self.coder.finish_chunk(&mut self.frame.tables);
        (self.frame, self.coder)
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
        hasher.write_u32(self.coder.username(event));
        hasher.write_i64(event.received.unwrap_or(i64::MIN));
        hasher.finish()
    }
}
