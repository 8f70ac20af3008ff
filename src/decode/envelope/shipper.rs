//! Log shippers and the journal: one object a log line, the line in a field of it.

use std::borrow::Cow;

use super::context::Context;
use super::json::{self, Object, Writer};
use super::line;
use super::recognise::{self, text_at};
use super::request_info::{self, RequestInfo};
use super::time::rfc3339;
use super::walk::Walk;

/// Fields that shippers, queues and stores are known to use, the most telling first; in lower case, and letters only.
const FIELDS: [&str; 47] = [
    "logprocessed",
    "structured",
    "audit",
    "auditevent",
    "k8saudit",
    "kubeaudit",
    "message",
    "messagebody",
    "log",
    "logmessage",
    "logline",
    "logevent",
    "logcontent",
    "msg",
    "event",
    "eventdata",
    "eventoriginal",
    "raw",
    "rawlog",
    "rawmessage",
    "rawevent",
    "rawstring",
    "line",
    "body",
    "textpayload",
    "jsonpayload",
    "payload",
    "original",
    "originalmessage",
    "content",
    "fullmessage",
    "shortmessage",
    "record",
    "value",
    "detail",
    "doc",
    "document",
    "text",
    "attributes",
    "json",
    "input",
    "data",
    "properties",
    "kubernetes",
    // Lists of such objects, as answers of interfaces have them.
    "results",
    "messages",
    "logs",
];

/// Returns whether a name is one of [`FIELDS`] but for case, underscores and the like.
fn is_name(name: &str, field: &str) -> bool {
    let letters = name.bytes().filter(u8::is_ascii_alphanumeric);
    letters
        .map(|byte| byte.to_ascii_lowercase())
        .eq(field.bytes())
}

/// Opens a line of Docker's json-file driver, or of the CRI as Fluent Bit parses it.
pub(super) fn docker(walk: &mut Walk<'_>, object: &Object<'_>, context: &Context) -> bool {
    const KEYS: [&str; 4] = ["log", "stream", "time", "attrs"];
    let Some(log) = object.get("log").filter(|log| log.starts_with('"')) else {
        return false;
    };
    if !object.has_all(&["stream", "time"]) || !object.members().all(|(key, _)| KEYS.contains(&key))
    {
        return false;
    }
    let text = json::string(log).unwrap_or_default();
    let stream = object.text("stream");
    // The line end is part of the text; a line without one goes on, unless a copy has lost it.
    let is_last = text.ends_with('\n')
        || (!walk.state.joins.is_open(&stream)
            && (!text.starts_with('{') || json::is_valid(&text)));
    line::part(
        walk,
        &stream,
        text.trim_end_matches(['\n', '\r']),
        is_last,
        &context.enter("docker"),
    );
    true
}

/// Opens a record of Fluent Bit or Fluentd.
pub(super) fn fluent(walk: &mut Walk<'_>, object: &Object<'_>, context: &Context) -> bool {
    let is_fluent = object.has_any(&["log_processed", "logtag", "_p"])
        || object
            .get("audit")
            .is_some_and(|audit| audit.starts_with(['{', '"']))
        || object.has_any(&["log"])
            && object.has_any(&["kubernetes", "date", "stream", "tag", "time", "@timestamp"]);
    if !is_fluent {
        return false;
    }
    let inner = context.enter("Fluent").with("", &node(object), "");
    let tag = object.text("logtag") + object.text("_p");
    let log = object
        .get("log")
        .or_else(|| object.get("message"))
        .filter(|log| log.starts_with('"'));
    if matches!(&*tag, "P" | "F")
        && let Some(log) = log
    {
        let text = json::string(log).unwrap_or_default();
        line::part(walk, &object.text("stream"), &text, tag == "F", &inner);
        return true;
    }
    let fields = ["log_processed", "audit", "log", "message"];
    if fields
        .iter()
        .filter_map(|field| object.get(field))
        .any(|value| opens(walk, value, &inner))
    {
        return true;
    }
    if let Some(log) = log {
        walk.carried_value(log, &inner);
        return true;
    }
    false
}

/// Opens a record of Vector.
pub(super) fn vector(walk: &mut Walk<'_>, object: &Object<'_>, context: &Context) -> bool {
    let Some(message) = object.get("message") else {
        return false;
    };
    if object.get("source_type").is_none() {
        return false;
    }
    walk.carried_value(
        message,
        &context.enter("Vector").with("", &node(object), ""),
    );
    true
}

/// Opens an entry of `journalctl -o json`, whose text is a list of bytes when it is not all
/// printable.
pub(super) fn journald(walk: &mut Walk<'_>, object: &Object<'_>, context: &Context) -> bool {
    let Some(message) = object.get("MESSAGE") else {
        // The journal leaves out long texts unless it is asked for all.
        let is_entry = object.has_any(&["__REALTIME_TIMESTAMP"]);
        if is_entry {
            walk.bad("a journal entry without its text; export with `journalctl --all`");
        }
        return is_entry;
    };
    let inner = context
        .enter("journald")
        .with("", &object.text("_HOSTNAME"), "");
    if !message.starts_with('[') {
        walk.carried_value(message, &inner);
        return true;
    }
    match serde_json::from_str::<Vec<u8>>(message) {
        Ok(bytes) => walk.carried(&String::from_utf8_lossy(&bytes), &inner),
        // A field that was written twice is a list of texts.
        Err(_) => walk.list(message, &inner),
    }
    true
}

/// Opens any other object that has an event in a field of the usual name.
pub(super) fn any(walk: &mut Walk<'_>, object: &Object<'_>, context: &Context) -> bool {
    FIELDS.iter().any(|field| {
        let mut members = object.members();
        let Some((name, value)) = members.find(|(name, _)| is_name(name, field)) else {
            return false;
        };
        let inner = context.enter(name).with("", &node(object), "");
        opens(walk, value, &inner)
            || matches!(*field, "data" | "body")
                && value.starts_with('"')
                && may_be_packed(value)
                && walk.packed(&json::scalar(value), &inner)
    })
}

/// Text is opened only if it shows signs of what it should hold: the names are everyday words.
fn opens(walk: &mut Walk<'_>, value: &str, inner: &Context) -> bool {
    if value.starts_with('"') {
        let text = json::string(value).unwrap_or_default();
        return (text.contains('{')
            || text.contains("AUDIT:")
            || recognise::text_kind(text.trim()).is_some())
            && walk.text(&text, inner);
    }
    value.starts_with(['{', '[']) && value.len() > 2 && walk.value(value, inner)
}

/// A gzip or JSON document in base64 starts with one of a few letters.
fn may_be_packed(value: &str) -> bool {
    ["\"H4sI", "\"eyJ", "\"W3s", "\"ewo"]
        .iter()
        .any(|start| value.starts_with(start))
}

/// Returns the machine that a shipper names.
pub(super) fn node(object: &Object<'_>) -> String {
    let paths: [&[&str]; 9] = [
        &["kubernetes", "host"],
        &["kubernetes", "node_name"],
        &["kubernetes", "node", "name"],
        &["host", "name"],
        &["host"],
        &["hostname"],
        &["_HOSTNAME"],
        &["agent", "hostname"],
        &["beat", "hostname"],
    ];
    let mut texts = paths.into_iter().map(|path| text_at(object, path));
    texts
        .find(|text| !text.is_empty())
        .map_or_else(String::new, Cow::into_owned)
}

/// Opens a record of a Datadog archive; its pipeline moves fields of the event to names of its own.
pub(super) fn datadog(walk: &mut Walk<'_>, object: &Object<'_>, context: &Context) -> bool {
    let Some(attributes) = object.object("attributes") else {
        return false;
    };
    let is_archive = object.has_any(&["_id", "service", "source", "ddsource"])
        || attributes.get("usr").is_some();
    if !is_archive {
        return false;
    }
    let inner = context.enter("Datadog").with("", &object.text("host"), "");
    if recognise::is_stripped(&attributes) && recognise::is_event(&attributes) {
        return walk.object(&attributes, &inner);
    }
    let is_mapped = attributes.has_any(&[
        "auditID",
        "objectRef",
        "requestURI",
        "requestReceivedTimestamp",
    ]) && attributes.has_any(&["http", "usr", "user", "verb"]);
    if !is_mapped {
        if walk.object(&attributes, &inner) {
            return true;
        }
        return match object.get("message") {
            Some(message) => opens(walk, message, &inner),
            None => false,
        };
    }
    let event = datadog_event(&attributes, &object.text("date"));
    walk.event(&event, &inner, false);
    true
}

fn datadog_event(attributes: &Object<'_>, date: &str) -> String {
    /// Fields that the pipeline leaves where they are, if it leaves them at all.
    const KEPT: [&str; 12] = [
        "level",
        "auditID",
        "stage",
        "requestURI",
        "verb",
        "impersonatedUser",
        "userAgent",
        "objectRef",
        "requestObject",
        "responseObject",
        "sourceIPs",
        "annotations",
    ];
    let mut event = Writer::event();
    for name in KEPT {
        if let Some(value) = attributes.get(name) {
            event.raw(name, value);
        }
    }
    let text = |path: &[&str]| text_at(attributes, path);
    let uri = match attributes.text("requestURI") {
        uri if uri.is_empty() => match text(&["http", "url"]) {
            url if url.is_empty() => {
                text(&["http", "url_details", "path"]).into_owned() + &query(attributes)
            }
            url => path_of(&url).to_owned(),
        },
        uri => uri.into_owned(),
    };
    if attributes.get("requestURI").is_none() {
        event.text("requestURI", &uri);
    }
    if attributes.get("verb").is_none() {
        let method = text(&["http", "method"]);
        let verb = if request_info::is_http_method(&method) {
            RequestInfo::of(&uri).verb(&method, &uri)
        } else {
            method.into_owned()
        };
        event.text("verb", &verb);
    }
    let name = match text(&["usr", "id"]) {
        id if id.is_empty() => text(&["usr", "name"]),
        id => id,
    };
    let mut user = Writer::new();
    let own = attributes.object("user").unwrap_or_default();
    if own.get("username").is_none() {
        user.text("username", &name);
    }
    for (key, value) in own.members() {
        user.raw(key, value);
    }
    event.raw("user", &user.finish());
    if attributes.get("userAgent").is_none() {
        event.text("userAgent", &text(&["http", "useragent"]));
    }
    let address = text(&["network", "client", "ip"]);
    if attributes.get("sourceIPs").is_none() && !address.is_empty() {
        event.list("sourceIPs", &[&address]);
    }
    let mut status = Writer::new();
    let own = attributes.object("responseStatus").unwrap_or_default();
    for (key, value) in own.members() {
        status.raw(key, value);
    }
    let code = text(&["http", "status_code"]);
    if own.get("code").is_none()
        && let Ok(code) = code.parse::<u16>()
    {
        status.raw("code", &code.to_string());
    }
    event.object("responseStatus", status);
    let times = ["requestReceivedTimestamp", "stageTimestamp"];
    if attributes.has_any(&times) {
        for name in times {
            event.text(name, &attributes.text(name));
        }
    } else if let Some(time) = rfc3339(date) {
        for name in times {
            event.text(name, &time);
        }
    }
    event.finish()
}

/// Strips scheme and host.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    if rest.len() == url.len() {
        return url;
    }
    rest.find('/').map_or("/", |at| &rest[at..])
}

/// Returns the query that the pipeline has taken apart.
fn query(attributes: &Object<'_>) -> String {
    let details = attributes
        .object("http")
        .and_then(|http| http.object("url_details"));
    let query = details
        .and_then(|details| details.object("queryString"))
        .unwrap_or_default();
    let mut text = String::new();
    for (name, value) in query.members() {
        let values = if value.starts_with('[') {
            json::elements(value)
        } else {
            vec![value]
        };
        for value in values {
            text.push(if text.is_empty() { '?' } else { '&' });
            text.push_str(name);
            text.push('=');
            text.push_str(&json::scalar(value));
        }
    }
    text
}
