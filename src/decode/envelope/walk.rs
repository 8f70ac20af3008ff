//! The unwrap loop: from a record inward, through fields that envelopes are known to use, to
//! events.
//!
//! Promised: an event is never searched, nor is what only looks like one, so no body can smuggle in
//! an event of its own. The loop goes [`MAX_DEPTH`] deep and its work is bounded by the record and
//! by [`packed::MAX_UNPACKED_BYTES`](super::packed).

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::context::Context;
use super::json::{self, Object, Writer};
use super::list::{damage, event_list, table};
use super::{
    Format, Found, Item, State, azure, cloudwatch, fields, gke, line, packed, queue, recognise,
    restore, shipper, store,
};
use crate::source::{bracketed, trim_record};

/// Envelopes within envelopes that are opened.
pub(super) const MAX_DEPTH: u8 = 6;
/// Things that one record may hold; more are not read.
const MAX_ITEMS: usize = 1 << 22;

/// How often each byte of a record may be looked at in objects. Three levels of shippers take a
/// dozen; objects made to fit many envelopes at once would take thousands.
const WORK_PER_BYTE: usize = 64;

/// Opens one kind of envelope; false if `object` is none of it.
type Open = fn(&mut Walk<'_>, &Object<'_>, &Context) -> bool;

/// From the most telling to the vaguest.
const ENVELOPES: [(Format, Open); 16] = [
    (Format::EventList, event_list),
    (Format::Gke, gke::open),
    (Format::Azure, azure::open),
    (Format::Cloudwatch, cloudwatch::open),
    (Format::Otlp, store::otlp),
    (Format::Elastic, store::elastic),
    (Format::Loki, store::loki),
    (Format::Splunk, store::splunk),
    (Format::Datadog, shipper::datadog),
    (Format::Queue, queue::open),
    (Format::Journald, shipper::journald),
    (Format::Docker, shipper::docker),
    (Format::Fluent, shipper::fluent),
    (Format::Vector, shipper::vector),
    (Format::Shipper, table),
    (Format::Shipper, shipper::any),
];

fn holds_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

/// One record being opened.
pub(super) struct Walk<'w> {
    item: &'w mut dyn FnMut(Item<'_>),
    /// What spans records.
    pub(super) state: &'w mut State,
    /// Items handed out.
    pub(super) n_items: usize,
    budget: usize,
    /// Bytes of objects that may still be opened.
    work: usize,
    /// Whether what is opened was found by looking for a beginning behind damage.
    pub(super) is_behind_damage: bool,
}

impl<'w> Walk<'w> {
    /// Starts with a record of `length` bytes.
    pub(super) fn new(
        length: usize,
        state: &'w mut State,
        item: &'w mut dyn FnMut(Item<'_>),
    ) -> Self {
        Self {
            item,
            state,
            n_items: 0,
            budget: packed::MAX_UNPACKED_BYTES,
            work: length.saturating_mul(WORK_PER_BYTE).saturating_add(1 << 20),
            is_behind_damage: false,
        }
    }

    /// Hands out an event.
    pub(super) fn event(&mut self, text: &str, context: &Context, partial: bool) {
        let text = restore::event(text);
        self.hand_out(Item::Event(Found {
            text: &text,
            envelope: &context.envelope,
            cluster: context.cluster.as_deref(),
            node: context.node.as_deref(),
            stream: context.stream.as_deref(),
            partial,
            is_recovered: self.is_behind_damage,
        }));
    }

    /// Counts something else by name.
    pub(super) fn other(&mut self, what: impl Into<Cow<'static, str>>) {
        let what = what.into();
        self.hand_out(Item::Other { what, under: None });
    }

    /// Counts an object that nothing names.
    pub(super) fn unknown_object(&mut self, object: &Object<'_>) {
        let what = recognise::unknown_object(object);
        let under = recognise::unread_member(object).filter(|key| recognise::short(key) == *key);
        self.hand_out(Item::Other { what, under });
    }

    /// Reports damage.
    pub(super) fn bad(&mut self, cause: impl Into<String>) {
        self.hand_out(Item::Bad {
            cause: cause.into(),
        });
    }

    fn hand_out(&mut self, item: Item<'_>) {
        self.n_items += 1;
        match self.n_items.cmp(&MAX_ITEMS) {
            std::cmp::Ordering::Less => (self.item)(item),
            std::cmp::Ordering::Equal => (self.item)(Item::Bad {
                cause: format!("more than {MAX_ITEMS} things in one record; the rest was not read"),
            }),
            std::cmp::Ordering::Greater => {}
        }
    }

    /// Returns whether envelopes of `format` may be opened here: the outermost may be given by the
    /// user.
    pub(super) fn allows(&self, format: Format, context: &Context) -> bool {
        context.inside || self.state.only.is_none_or(|only| only == format)
    }

    /// Opens text that should hold JSON documents or a line of a log; false if it holds neither.
    pub(super) fn text(&mut self, text: &str, context: &Context) -> bool {
        let text = trim_record(text);
        match text.as_bytes().first() {
            Some(b'[') if bracketed(text.as_bytes()).is_some() => line::open(self, text, context),
            Some(b'{' | b'[') => self.documents(text, context),
            // A string that holds a record, as jq prints it without `--raw-output`.
            Some(b'"') if json::string(text).is_some_and(|text| holds_json(&text)) => {
                self.value(text, context)
            }
            Some(_) => line::open(self, text, context),
            None => false,
        }
    }

    /// Opens text of a log that is known to be one; what it does not know is still counted.
    pub(super) fn carried(&mut self, text: &str, context: &Context) {
        if self.text(text, context) {
            return;
        }
        let text = text.trim();
        if text.is_empty() {
            self.other("an empty log line");
        } else if let Some(object) = Object::parse(text) {
            self.unknown_object(&object);
        } else if recognise::smells_of_audit(text) {
            self.bad(damage("part of an event", text));
        } else {
            self.other("a log line that is no JSON");
        }
    }

    /// Opens the raw value of a field that is known to hold a log line, as text or as JSON.
    pub(super) fn carried_value(&mut self, raw: &str, context: &Context) {
        if raw.starts_with('"') {
            let text = json::string(raw).unwrap_or_default();
            self.carried(&text, context);
        } else {
            self.carried(raw, context);
        }
    }

    /// Opens one or more JSON documents, with or without blanks between them.
    fn documents(&mut self, text: &str, context: &Context) -> bool {
        // Nearly always there is one document, and its members are all that is needed.
        if let Some(object) = Object::parse(text) {
            return self.object(&object, context);
        }
        let mut rest = text;
        let mut is_first = true;
        while !rest.is_empty() {
            // What separates records is none, as a comma at the end of each line.
            if !is_first && !rest.contains(['"', '{', '}', '[', ']', ':']) {
                if !rest.trim_matches([',', ';', ' ']).is_empty() {
                    self.other("words behind a JSON document");
                }
                return true;
            }
            let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
            let Some(Ok(raw)) = stream.next() else {
                // What follows a sound document is damage, whatever it looks like; a list may have ended too early by it.
                // A list without its brackets: so to the end, or it may be one in a body that lacks its beginning.
                let listed = rest.strip_prefix([',', ';']).and_then(json::objects_to_end);
                if let Some(objects) = listed.filter(|_| !is_first) {
                    for object in objects {
                        self.element(object, context);
                    }
                    return true;
                }
                let inner = context.list("array");
                let what = "text behind a JSON document";
                return !is_first
                    && (self.go_on_behind(rest, 0..=1, what, &inner)
                        || self.objects_behind(rest, what, context))
                    || self.cut(rest, context)
                    || !is_first && {
                        self.bad(damage(what, rest));
                        true
                    };
            };
            rest = rest[stream.byte_offset()..].trim_start();
            let opened = self.value(raw.get(), context);
            if is_first && rest.is_empty() {
                return opened;
            }
            if !opened {
                self.unknown(raw.get());
            }
            is_first = false;
        }
        true
    }

    /// Counts a value that no envelope explains.
    pub(super) fn unknown(&mut self, raw: &str) {
        match Object::parse(raw) {
            Some(object) => self.unknown_object(&object),
            None => self.other(recognise::unread("a JSON value that is no object", raw)),
        }
    }

    /// Opens one JSON value; false if nothing is known of it.
    pub(super) fn value(&mut self, raw: &str, context: &Context) -> bool {
        if context.depth > MAX_DEPTH {
            self.bad(format!("wrapped more than {MAX_DEPTH} times"));
            return true;
        }
        match raw.as_bytes().first() {
            Some(b'{') => Object::parse(raw).is_some_and(|object| self.object(&object, context)),
            Some(b'[') => {
                self.allows(Format::Cloudwatch, context) && cloudwatch::lone_row(self, raw, context)
                    || self.array(raw, &context.list("array"))
            }
            Some(b'"') => {
                let text = json::string(raw).unwrap_or_default();
                self.text(&text, &context.list("string"))
            }
            _ => false,
        }
    }

    /// Opens each element of an array; false if the first one is nothing known.
    fn array(&mut self, raw: &str, context: &Context) -> bool {
        let mut is_known = None;
        let read = json::each_element(raw, |element| {
            if is_known == Some(false) {
                return;
            }
            let opened = self.value(element, context);
            if !opened && (is_known.is_some() || element.starts_with('{')) {
                self.unknown(element);
                is_known = Some(true);
            } else {
                is_known.get_or_insert(opened);
            }
        });
        if is_known.is_none() && read.is_ok() {
            self.other("an empty array");
        }
        is_known != Some(false)
    }

    /// Opens each element of a list that is known to hold log records.
    pub(super) fn list(&mut self, raw: &str, context: &Context) {
        let before = self.n_items;
        let read = json::each_element(raw, |element| {
            if !self.value(element, context) {
                self.unknown(element);
            }
        });
        if read.is_err() {
            self.bad("a list of records that is no list");
        } else if self.n_items == before {
            self.other(format!("an empty list ({})", context.envelope));
        }
    }

    /// Opens an object; false if nothing is known of it.
    pub(super) fn object(&mut self, object: &Object<'_>, context: &Context) -> bool {
        if context.depth > MAX_DEPTH {
            self.bad(format!("wrapped more than {MAX_DEPTH} times"));
            return true;
        }
        let Some(work) = self.work.checked_sub(object.text.len()) else {
            self.bad("an object that fits too many envelopes");
            return true;
        };
        self.work = work;
        if recognise::is_flat(object) && fields::open(self, object, &context.enter("flattened")) {
            return true;
        }
        if recognise::is_event(object) {
            self.bare(object, context);
            return true;
        }
        if let Some(what) = recognise::look_alike(object) {
            self.other(what);
            return true;
        }
        ENVELOPES
            .into_iter()
            .any(|(format, open)| self.allows(format, context) && open(self, object, context))
    }

    /// Hands out an event as it stands, its kind and version written before it where an export lost
    /// them.
    ///
    /// The API server leaves them out of the items of a list. With them the text is that of its log
    /// file.
    pub(super) fn bare(&mut self, object: &Object<'_>, context: &Context) {
        let version = context.version.as_deref().unwrap_or("audit.k8s.io/v1");
        let has_kind = object.get("kind").is_some();
        let has_identity =
            object.get("apiVersion").is_some() || has_kind && object.get("auditID").is_some();
        if has_identity {
            return self.event(object.text, context, false);
        }
        let members = object.text[1..].trim_start();
        let mut text = String::with_capacity(object.text.len() + 64);
        text.push_str(if has_kind { "{" } else { r#"{"kind":"Event","# });
        text.push_str(r#""apiVersion":"#);
        json::push_string(&mut text, version);
        text.push(',');
        text.push_str(members);
        self.event(&text, context, false);
    }

    /// Opens base64, gzip below it, and the documents or lines below that.
    pub(super) fn packed(&mut self, text: &str, context: &Context) -> bool {
        let mut budget = self.budget;
        let unpacked = packed::unpack(text, &mut budget);
        self.budget = budget;
        let (text, damage) = match unpacked {
            packed::Unpacked::Text(text, damage) => (text, damage),
            packed::Unpacked::Nothing => return false,
        };
        self.work = self
            .work
            .saturating_add(text.len().saturating_mul(WORK_PER_BYTE));
        let is_json = text.trim_start().starts_with(['{', '[']);
        if is_json || damage.is_none() && text.lines().count() < 2 {
            self.carried(&text, context);
        } else {
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                self.carried(line, context);
            }
        }
        if let Some(damage) = damage {
            self.bad(damage);
        }
        true
    }
}

/// Columns whose cells are JSON where a table has the fields of events, or of entries of Cloud Logging, as they are.
const JSON_COLUMNS: [&str; 15] = [
    "user",
    "impersonatedUser",
    "sourceIPs",
    "objectRef",
    "responseStatus",
    "requestObject",
    "responseObject",
    "annotations",
    "protoPayload",
    "protopayload_auditlog",
    "protoPayload.status",
    "jsonPayload",
    "resource",
    "labels",
    "operation",
];

/// Returns whether a cell should be JSON, by its column and by how it begins; [`row`] takes it as it stands if it is.
pub(super) fn is_json_cell(name: &str, value: &str) -> bool {
    JSON_COLUMNS.contains(&name) && value.starts_with(['{', '['])
}

/// Returns the members of a row as an object, so that tables take the way of documents.
pub(super) fn row<'r>(cells: impl Iterator<Item = (Cow<'r, str>, Cow<'r, str>)>) -> String {
    let mut row = Writer::new();
    for (name, value) in cells {
        // More than one value would be members that the row does not have.
        if is_json_cell(&name, &value) && json::is_valid(&value) {
            row.raw(&name, &value);
            continue;
        }
        // Azure's portal adds the zone to the names of its time columns.
        row.text(name.trim_end_matches(" [UTC]"), &value);
    }
    row.finish()
}
