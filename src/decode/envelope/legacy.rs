//! The text of `--audit-log-format=legacy`, and of Kubernetes 1.7 and older, to events.
//!
//! Source: kubernetes/apiserver `pkg/audit/format.go` (`EventString`), Go `strconv.Quote`. One line
//! an event: `TIME AUDIT: id="..." stage="..." ip="..." method="..." user="..." groups="..."
//! as="..." asgroups="..." user-agent="..." namespace="..." uri="..." response="..."`. The older
//! form has no stage, the HTTP method, and a second line with id and response only. Surprises: the
//! time is that of the arrival in every stage; the address is the first of `sourceIPs`, which the
//! client may choose; names of objects come from the path.

use std::collections::VecDeque;

use super::context::Context;
use super::json::Writer;
use super::list::damage;
use super::request_info::{self, RequestInfo};
use super::time::rfc3339;
use super::walk::Walk;

const MARK: &str = "AUDIT: id=";
/// Requests of the older form that wait for their response.
const MAX_WAITING: usize = 1024;
/// Longest line that waits, in bytes; the response of a longer one stands alone.
const MAX_WAITING_BYTES: usize = 16 * 1024;

/// Requests of the older form whose response line is still to come.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: VecDeque<Line>,
}

/// One line, `<none>` and the like as the empty text.
#[derive(Debug, Clone, Default)]
struct Line {
    time: String,
    fields: Vec<(String, String)>,
}

impl Line {
    /// Reads the fields; `None` if a quote is missing.
    fn parse(time: &str, mut rest: &str) -> Option<Self> {
        const ABSENT: [&str; 5] = ["<none>", "<self>", "<lookup>", "<deferred>", "<unknown>"];
        let mut fields = Vec::new();
        while let Some((name, behind)) = rest.trim_start().split_once('=') {
            let (value, behind) = quoted(behind)?;
            let value = if ABSENT.contains(&&*value) {
                String::new()
            } else {
                value
            };
            fields.push((name.to_owned(), value));
            rest = behind;
        }
        let time = rfc3339(time).unwrap_or_default();
        rest.trim().is_empty().then_some(Self { time, fields })
    }

    fn get(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(found, _)| found == name);
        found.map_or("", |(_, value)| value)
    }

    fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(found, _)| found == name)
    }

    /// Returns the event of this line.
    fn event(&self, stage: &str, response: &str, response_time: &str) -> String {
        let uri = self.get("uri");
        let info = RequestInfo::of(uri);
        let method = self.get("method");
        let verb = if request_info::is_http_method(method) {
            info.verb(method, uri)
        } else {
            method.to_owned()
        };
        let mut event = Writer::event();
        event.text("auditID", self.get("id"));
        event.text("stage", stage);
        event.text("requestURI", uri);
        event.text("verb", &verb);
        let mut user = Writer::new();
        user.text("username", self.get("user"));
        user.list("groups", &list(self.get("groups")));
        event.raw("user", &user.finish());
        let mut impersonated = Writer::new();
        if !self.get("as").is_empty() {
            impersonated.text("username", self.get("as"));
            impersonated.list("groups", &list(self.get("asgroups")));
        }
        event.object("impersonatedUser", impersonated);
        if !self.get("ip").is_empty() {
            event.list("sourceIPs", &[self.get("ip")]);
        }
        event.text("userAgent", self.get("user-agent"));
        if let Some(object) = info.object_ref() {
            event.object("objectRef", object);
        }
        if let Some(code) = response.parse::<u16>().ok().filter(|&code| code > 0) {
            let status = format!(r#"{{"metadata":{{}},"code":{code}}}"#);
            event.raw("responseStatus", &status);
        }
        event.text("requestReceivedTimestamp", &self.time);
        event.text("stageTimestamp", response_time);
        event.finish()
    }
}

/// Opens a line; false if it is none of this form.
pub(super) fn open(walk: &mut Walk<'_>, text: &str, context: &Context) -> bool {
    let Some(at) = text.find(MARK) else {
        return false;
    };
    let time = text[..at].trim();
    if time.contains(['"', '{', ' ']) || !(time.is_empty() || super::line::is_date(time)) {
        return false;
    }
    let Some(line) = Line::parse(time, &text[at + "AUDIT: ".len()..]) else {
        walk.bad(damage(
            "a cut line of the legacy text",
            &text.replacen("id=", "auditID=", 1),
        ));
        return true;
    };
    let inner = context.enter("legacy text");
    let last = if line.has("stage") || !line.has("method") {
        "response"
    } else {
        "uri"
    };
    if !line.has(last) {
        walk.bad(damage(
            "a cut line of the legacy text",
            &text.replacen("id=", "auditID=", 1),
        ));
    } else if line.has("stage") {
        let event = line.event(line.get("stage"), line.get("response"), &line.time);
        walk.event(&event, &inner, false);
    } else if line.has("method") {
        let event = line.event("RequestReceived", "", &line.time);
        walk.event(&event, &inner, false);
        let waiting = &mut walk.state.legacy.waiting;
        if waiting.len() == MAX_WAITING {
            waiting.pop_front();
        }
        if text.len() <= MAX_WAITING_BYTES {
            waiting.push_back(line);
        }
    } else {
        let waiting = &mut walk.state.legacy.waiting;
        let found = waiting
            .iter()
            .rposition(|request| request.get("id") == line.get("id"));
        let request = found.and_then(|at| waiting.remove(at));
        let is_partial = request.is_none();
        let request = request.unwrap_or_else(|| line.clone());
        let event = request.event("ResponseComplete", line.get("response"), &line.time);
        walk.event(&event, &inner, is_partial);
    }
    true
}

/// Reads a literal of Go's `%q` at the start of `text`; returns it and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut bytes = Vec::new();
    let mut rest = inner;
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest.as_bytes())?;
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let is_end = rest.as_bytes()[at] == b'"';
        rest = &rest[at + 1..];
        if is_end {
            return Some((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        let escape = rest.chars().next()?;
        rest = &rest[escape.len_utf8()..];
        let length = match escape {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        if length > 0 {
            let code = u32::from_str_radix(rest.get(..length)?, 16).ok()?;
            rest = &rest[length..];
            // Bytes that are no UTF-8.
            if let ('x', Ok(byte)) = (escape, u8::try_from(code)) {
                bytes.push(byte);
            } else {
                let char = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            }
            continue;
        }
        let plain = match escape {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            other => other,
        };
        bytes.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

/// Reads a list of literals with commas between; what is none is one value.
fn list(text: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = text;
    while let Some((value, behind)) = quoted(rest) {
        values.push(value);
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
    if values.is_empty() && !text.is_empty() {
        values.push(text.to_owned());
    }
    values
}
