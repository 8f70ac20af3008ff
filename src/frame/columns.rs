//! Typed buffers: push events, finish a frame.

use std::borrow::Cow;
use std::hash::BuildHasher;

use foldhash::quality::SeedableRandomState;

use super::coder::{CodedEvent, Coder};
use super::identity::Identity;
use super::template::{Holes, Seen, Template};
use super::{EventFrame, KEPT, RowDetail, TextSpan};
use crate::decode::decode_native;
use crate::decode::event::Span;

/// Buffers for the events of one chunk.
pub struct EventColumns<'a> {
    hasher: &'a SeedableRandomState,
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
    /// Whether it was found behind damage, so that somebody may have forged it.
    pub is_recovered: bool,
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
        hasher: &'a SeedableRandomState,
        mut coder: Coder,
        file: &str,
        recycled: Option<EventFrame>,
    ) -> Self {
        let mut frame = recycled.unwrap_or_else(|| EventFrame::empty(coder.vocabulary()));
        frame.clear();
        frame.file = coder.vocabulary().code(file);
        coder.start_chunk();
        Self {
            hasher,
            coder,
            frame,
        }
    }

    /// Returns the coder that the events of this chunk must be decoded with.
    pub fn coder(&mut self) -> &mut Coder {
        &mut self.coder
    }

    /// Appends the event of `text`, if it is written as the API server writes it and stands in the chunk as it is;
    /// `event` is room to decode it into.
    ///
    /// `false` says nothing of the text, and nothing is appended then.
    pub fn push_native<'t>(
        &mut self,
        text: &'t str,
        place: &Place<'_>,
        event: &mut CodedEvent<'t>,
    ) -> bool {
        let key = match self.repeat(text, place) {
            Repeated::Whole => return true,
            Repeated::Twice(key) => Some(key),
            Repeated::No => None,
        };
        if !decode_native(text, &mut self.coder, event) {
            return false;
        }
        let identity = self.append(event, text, place);
        if let Some(key) = key
            && let Some(holes) = holes(event, text)
        {
            self.learn(key, event, text, holes, identity);
        }
        true
    }

    /// Appends one event that was decoded from `text`.
    pub fn push(&mut self, event: &CodedEvent<'_>, text: &str, place: &Place<'_>) {
        self.append(event, text, place);
    }

    /// Does so, and returns what the event has in common with others of its template.
    fn append(&mut self, event: &CodedEvent<'_>, text: &str, place: &Place<'_>) -> Identity {
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
        let identity = Identity::new(self.hasher, &self.coder.said(event, text));
        let times = [event.received, event.stage_time];
        let request = identity.request(self.hasher, &event.audit_id, event.received);
        let record = identity.record(self.hasher, request, times);
        let frame = &mut self.frame;
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
        let texts = texts.map(|value| match value {
            value if value.is_empty() => TextSpan::default(),
            Cow::Borrowed(part) => TextSpan::of(part, text, start),
            Cow::Owned(owned) => frame.keep(owned),
        });
        let detail = RowDetail {
            record: TextSpan::of(text, text, start),
            request_object: event.request_object,
            response_object: event.response_object,
            annotations: event.annotations_span,
            extra: event.extra_span,
            is_recovered: place.is_recovered,
            template: 0,
            request,
            record_key: record.unwrap_or_else(|| self.hasher.hash_one(text)),
        };
        let times = times.map(Option::unwrap_or_default);
        frame.push(own, pieces, texts, times, place, detail);
        identity
    }

    /// Appends the event of `text` without reading it, if it is of a template.
    fn repeat(&mut self, text: &str, place: &Place<'_>) -> Repeated {
        let EventText::InChunk(start) = place.text else {
            return Repeated::No;
        };
        let origin = self.origin(&place.origin);
        let (template, times, is_new) = match self.coder.seen(text) {
            (Seen::Known(template, times), is_new) => (template, times, is_new),
            (Seen::Twice(key), _) => return Repeated::Twice(key),
            (Seen::Once, _) => return Repeated::No,
        };
        let frame = &mut self.frame;
        if is_new {
            // What stands in no record is kept once for all rows of a chunk.
            for (at, text) in &template.kept {
                template.texts[*at] = frame.keep(text);
            }
        }
        let audit_id = &text[template.texts[0].range()];
        let identity = template.identity;
        let request = identity.request(self.hasher, audit_id, Some(times[0]));
        let record = identity.record(self.hasher, request, times.map(Some));
        let texts = template.texts.map(|span| match span {
            span if span.start & KEPT == 0 && span.length > 0 => TextSpan {
                start: start + span.start,
                ..span
            },
            span => span,
        });
        let [user, impersonated, addresses, object, annotations] = template.pieces.numbers;
        let pieces = [user, impersonated, addresses, object, annotations, origin];
        let detail = RowDetail {
            record: TextSpan::of(text, text, start),
            is_recovered: place.is_recovered,
            template: template.id,
            request,
            record_key: record.unwrap_or_else(|| self.hasher.hash_one(text)),
            ..template.detail
        };
        frame.push(template.own, pieces, texts, times, place, detail);
        Repeated::Whole
    }

    /// Keeps the last row, that of `event`, as a template.
    fn learn(
        &mut self,
        key: u64,
        event: &CodedEvent<'_>,
        text: &str,
        holes: Holes,
        identity: Identity,
    ) {
        let frame = &mut self.frame;
        let row_idx = frame.height() - 1;
        let detail = frame.details[row_idx];
        let mut kept = Vec::new();
        let mut texts = frame.texts.each_ref().map(|spans| spans[row_idx]);
        for (at, span) in texts.iter_mut().enumerate() {
            if span.start & KEPT != 0 {
                kept.push((at, frame.resolve(*span).into()));
            } else if span.length > 0 {
                span.start -= detail.record.start;
            }
        }
        let id = self.coder.vocabulary().number();
        let template = Template {
            id,
            holes,
            identity,
            own: frame.own.each_ref().map(|codes| codes[row_idx]),
            pieces: self.coder.pin(event),
            texts,
            kept: kept.into(),
            detail,
        };
        frame.details[row_idx].template = id;
        self.coder.keep(key, text, template);
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
}

/// How much of a line was there before.
enum Repeated {
    /// All but what never is: its row is appended.
    Whole,
    /// Probably all, and for the second time, so the line is worth being kept under this key.
    Twice(u64),
    /// Nothing is known of it.
    No,
}

/// Returns where the text of an event has what tells it from others like it.
fn holes(event: &CodedEvent<'_>, text: &str) -> Option<Holes> {
    let Cow::Borrowed(audit_id) = event.audit_id else {
        return None;
    };
    let audit_id = Span::within(audit_id, text);
    Holes::of(text, audit_id, event.object_version, event.received_at)
}
