//! What a file holds when it is not one audit event a line, in plain words.
//!
//! Comes in: the first bytes of a file, decompressed. Goes out: nothing when there is an audit event on
//! a line of its own among the first lines, so that one damaged line never condemns a good file; else
//! the name of the shape, and a command that brings it into the one that is read. The shapes are those
//! in which audit events really travel: webhook bodies, container logs, cloud exports, log shippers and
//! stores; and what is often taken for an audit log and is none.
//!
//! JSON is only scanned for the names at the top level (RFC 8259, but any damage is tolerated): the
//! first bytes mostly end in the middle of a value.

use std::fmt;

use memchr::memmem;

/// Bytes that are looked at.
const PREFIX_BYTES: usize = 64 * 1024;
/// Lines that are looked at, blank ones aside.
const PREFIX_LINES: usize = 20;

/// A kind of content that is not one audit event a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// Nothing but blanks. Not a problem in itself.
    Empty,
    /// The body of an audit webhook.
    EventList,
    /// Events or anything else in `[ ]`.
    Array,
    /// An audit event over several lines.
    Pretty,
    /// A word or two, then an event.
    Prefixed,
    /// Lines of the container runtime interface (CRI).
    Cri,
    /// Lines of Docker's json-file driver.
    Docker,
    /// A log shipper's object around the event.
    Wrapped {
        /// Who wraps like this.
        by: &'static str,
        /// The top-level field that holds the event, as text or object.
        field: &'static str,
    },
    /// Amazon CloudWatch Logs: API answers, subscriptions, Insights.
    CloudWatch,
    /// Azure Monitor diagnostic records.
    Azure,
    /// Google Cloud Logging entries.
    Gke,
    /// Answers of Loki or `logcli`.
    Loki,
    /// Elasticsearch hits.
    Elastic,
    /// Splunk exports or HTTP collector events.
    Splunk,
    /// OpenTelemetry log records.
    Otlp,
    /// Rancher's own audit log.
    Rancher,
    /// Objects of `kubectl get events`.
    CoreEvents,
    /// The text that `--audit-log-format=legacy` writes.
    LegacyText,
    /// Log lines of a Kubernetes component.
    Klog,
    /// Lines of syslog.
    Syslog,
    /// Text in UTF-16.
    Utf16,
    /// A compression or container format that is not read.
    Packed {
        /// Its name, as a noun phrase.
        name: &'static str,
        /// A command that unpacks to standard output, if there is one.
        command: Option<&'static str>,
    },
    /// JSON objects of some other kind.
    OtherJson,
    /// Some other text.
    UnknownText,
    /// Something that is not text.
    UnknownBinary,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "nothing",
            Self::EventList => "an EventList (the body of an audit webhook)",
            Self::Array => "a JSON array",
            Self::Pretty => "pretty-printed JSON (an event over several lines)",
            Self::Prefixed => "events with text before them on each line",
            Self::Cri => "a container log (CRI format)",
            Self::Docker => "a container log (Docker's json-file format)",
            Self::Wrapped { by, field } => {
                return write!(f, "events wrapped by {by} (in the field `{field}`)");
            }
            Self::CloudWatch => "an Amazon CloudWatch Logs export (EKS)",
            Self::Azure => "Azure diagnostic records (AKS)",
            Self::Gke => "Google Cloud Logging entries (GKE)",
            Self::Loki => "a Loki query result",
            Self::Elastic => "Elasticsearch documents",
            Self::Splunk => "Splunk events",
            Self::Otlp => "OpenTelemetry log records",
            Self::Rancher => "Rancher's own audit log",
            Self::CoreEvents => "Event objects of the cluster (as in `kubectl get events`)",
            Self::LegacyText => "the legacy text format of the audit log",
            Self::Klog => "the log of a Kubernetes component (klog text)",
            Self::Syslog => "syslog lines",
            Self::Utf16 => "UTF-16 text",
            Self::Packed { name, .. } => name,
            Self::OtherJson => "JSON of another kind",
            Self::UnknownText => "text of an unknown kind",
            Self::UnknownBinary => "binary data of an unknown kind",
        })
    }
}

impl Shape {
    /// Returns what the user can do now; nothing for an empty file.
    pub fn hint(&self) -> Option<String> {
        let advice = match self {
            Self::Empty => return None,
            Self::Gke => {
                "its fields differ from those of an audit event; there is no conversion yet"
            }
            Self::Rancher => "it logs calls to Rancher; give the log of kube-apiserver",
            Self::CoreEvents => "give the file that `--audit-log-path` of kube-apiserver names",
            Self::LegacyText => "it lacks most fields of an event; set `--audit-log-format=json`",
            Self::Klog => "give the file that `--audit-log-path` of kube-apiserver names",
            _ => match self.command() {
                Some(command) => {
                    return Some(format!(
                        "convert it first: {command} FILE | kubescry scan -"
                    ));
                }
                None => "give files with one `audit.k8s.io` event on each line, as JSON",
            },
        };
        Some(advice.to_owned())
    }

    /// A command that makes one event a line of it.
    fn command(&self) -> Option<String> {
        let command = match self {
            Self::EventList => {
                r#"jq -c '.items[] | .kind="Event" | .apiVersion="audit.k8s.io/v1"'"#
            }
            Self::Array => "jq -c '.[]'",
            Self::Pretty => "jq -c .",
            Self::Prefixed | Self::Syslog => "sed 's/^[^{]*//'",
            // Long lines come in parts, marked P up to the last.
            Self::Cri => {
                r#"awk '{ tag = $3; sub(/^[^ ]+ [^ ]+ [^ ]+ /, ""); printf "%s", $0 } tag ~ /^F/ { print "" }'"#
            }
            // The text brings its own line end, or none when the line goes on in the next record.
            Self::Docker => "jq -j .log",
            Self::Wrapped { field, .. } => {
                return Some(format!(
                    r#"jq -c '."{field}" | if type == "string" then fromjson? else . end'"#
                ));
            }
            Self::CloudWatch => {
                r#"jq -r '((.events // .logEvents // [])[].message), ((.results // [])[][] | select(.field == "@message").value) | select(startswith("{"))'"#
            }
            Self::Azure => {
                r#"jq -c '(.records // [.])[] | .properties.log? // .log_s | if type == "string" then fromjson? else . end'"#
            }
            Self::Loki => "jq -r '.line // (.data.result[].values[] | .[1])'",
            Self::Elastic => {
                r#"jq -c '(if .hits then .hits.hits[] else . end) | (._source // .) | .kubernetes.audit? // .event.original? // .message | if type == "string" then fromjson? else . end'"#
            }
            Self::Splunk => {
                r#"jq -c '.result._raw? // .event | if type == "string" then fromjson? else . end'"#
            }
            Self::Otlp => {
                "jq -r '.resourceLogs[].scopeLogs[].logRecords[].body.stringValue // empty'"
            }
            Self::Utf16 => "iconv -f UTF-16 -t UTF-8",
            Self::Packed { command, .. } => (*command)?,
            _ => return None,
        };
        Some(command.to_owned())
    }
}

/// Names the shape of a file from its first bytes, or returns `None` when it looks like audit events,
/// one a line.
///
/// `prefix` is decompressed content from the start of a file; up to 64 KiB and 20 lines of it count.
/// One line with an event is enough for `None`, whatever the others hold. A prefix of nothing but
/// NULs says nothing and gives `None` too.
pub fn sniff(prefix: &[u8]) -> Option<Shape> {
    let prefix = &prefix[..prefix.len().min(PREFIX_BYTES)];
    if let Some(shape) = foreign(prefix) {
        return Some(shape);
    }
    let text = trim(prefix.strip_prefix(b"\xef\xbb\xbf").unwrap_or(prefix));
    if text.is_empty() {
        return if prefix.contains(&0) {
            None
        } else {
            Some(Shape::Empty)
        };
    }
    let lines: Vec<&[u8]> = text
        .split(|&byte| byte == b'\n')
        .map(trim)
        .filter(|line| !line.is_empty())
        .take(PREFIX_LINES)
        .collect();
    // In an array with an element a line, only the last one ends like a line of its own.
    let in_array = is_array(text);
    let events = lines
        .iter()
        .filter(|line| is_event(&members(line)) && !(in_array && line.ends_with(b",")))
        .count();
    if events > usize::from(in_array) {
        return None;
    }
    if in_array {
        let element = members(trim(&text[1..]));
        return Some(match envelope(&element) {
            Some(shape @ (Shape::Gke | Shape::CoreEvents | Shape::Rancher)) => shape,
            _ => Shape::Array,
        });
    }
    let whole = members(text);
    if is_event(&whole) {
        return Some(Shape::Pretty);
    }
    if let Some(shape) = envelope(&whole) {
        return Some(shape);
    }
    if let Some(shape) = lines.iter().find_map(|line| line_shape(line)) {
        return Some(shape);
    }
    if memmem::find(text, br#"{"kind":"Event","apiVersion":"audit.k8s.io/"#).is_some() {
        return None; // An event behind a cut one, on the same line: the decoder finds it.
    }
    Some(match text {
        [b'{', ..] if !whole.is_empty() => Shape::OtherJson,
        _ if is_binary(text) => Shape::UnknownBinary,
        _ => Shape::UnknownText,
    })
}

/// Magic numbers: offset, bytes, name, command.
const FORMATS: [(usize, &[u8], &str, Option<&str>); 15] = [
    (0, b"BZh", "bzip2 data", Some("bzip2 -dc")),
    (0, b"\xfd7zXZ\0", "xz data", Some("xz -dc")),
    (0, b"LZIP", "lzip data", Some("lzip -dc")),
    (0, b"\x04\x22\x4d\x18", "lz4 data", Some("lz4 -dc")),
    (0, b"\xff\x06\0\0sNaPpY", "snappy data", None),
    (0, b"\x1f\x9d", "compress (.Z) data", Some("gzip -dc")),
    (0, b"PK\x03\x04", "a zip archive", Some("unzip -p")),
    (0, b"PK\x05\x06", "an empty zip archive", None),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", Some("7z x -so")),
    (257, b"ustar", "a tar archive", Some("tar -xOf")),
    (0, b"PAR1", "a Parquet file", None),
    (0, b"SQLite format 3\0", "a SQLite database", None),
    (0, b"%PDF-", "a PDF document", None),
    (
        0,
        b"\x1f\x8b",
        "gzip data inside other compression",
        Some("gzip -dc"),
    ),
    (
        0,
        b"\x28\xb5\x2f\xfd",
        "zstd data inside other compression",
        Some("zstd -dc"),
    ),
];

/// Names content that its first bytes show to be no text in UTF-8.
///
/// gzip and zstd are among it: content is decompressed once, so what is found here lies deeper.
pub(super) fn foreign(prefix: &[u8]) -> Option<Shape> {
    let packed = FORMATS.iter().find(|(at, magic, ..)| {
        prefix
            .get(*at..)
            .is_some_and(|rest| rest.starts_with(magic))
    });
    if let Some(&(_, _, name, command)) = packed {
        return Some(Shape::Packed { name, command });
    }
    match prefix {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some(Shape::Utf16),
        [b'{' | b'[', 0, _, 0, ..] | [0, b'{' | b'[', 0, _, ..] => Some(Shape::Utf16),
        _ => None,
    }
}

/// Strips blanks, NULs and record separators (RFC 7464) from both ends.
fn trim(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0 | 0x1e);
    let start = text
        .iter()
        .position(|byte| !is_blank(byte))
        .unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|byte| !is_blank(byte))
        .map_or(start, |last| last + 1);
    &text[start..end]
}

type Members<'a> = Vec<(&'a [u8], &'a [u8])>;

/// Returns the top-level members of the object at the start of `text`: name, and value as text.
///
/// Stops without complaint where the object ends or stops being one.
fn members(text: &[u8]) -> Members<'_> {
    let mut members = Vec::new();
    let Some(mut rest) = text.strip_prefix(b"{") else {
        return members;
    };
    loop {
        rest = trim(rest);
        rest = trim(rest.strip_prefix(b",").unwrap_or(rest));
        let Some(end) = string_end(rest) else {
            return members;
        };
        let name = &rest[1..end - 1];
        let Some(value) = trim(&rest[end..]).strip_prefix(b":") else {
            return members;
        };
        let value = trim(value);
        let end = value_end(value);
        members.push((name, &value[..end]));
        rest = &value[end..];
    }
}

/// Returns the length of the string literal at the start of `text`, quotes included.
fn string_end(text: &[u8]) -> Option<usize> {
    if !text.starts_with(b"\"") {
        return None;
    }
    let mut at = 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Returns the length of the value at the start of `text`, or all of it when its end is missing.
fn value_end(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < text.len() {
        match text[at] {
            b'"' => match string_end(&text[at..]) {
                Some(length) => at += length,
                None => return text.len(),
            },
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' | b',' if depth == 0 => return at,
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            _ => at += 1,
        }
        if depth == 0 && matches!(text[at - 1], b'"' | b'}' | b']') {
            return at;
        }
    }
    text.len()
}

fn get<'a>(members: &Members<'a>, name: &str) -> Option<&'a [u8]> {
    members
        .iter()
        .find(|(found, _)| *found == name.as_bytes())
        .map(|&(_, value)| value)
}

fn has_all(members: &Members<'_>, names: &[&str]) -> bool {
    names.iter().all(|name| get(members, name).is_some())
}

fn has_any(members: &Members<'_>, names: &[&str]) -> bool {
    names.iter().any(|name| get(members, name).is_some())
}

fn is_event(event: &Members<'_>) -> bool {
    let version = get(event, "apiVersion").unwrap_or_default();
    let is_audit = version.starts_with(b"\"audit.k8s.io/") || get(event, "auditID").is_some();
    is_audit && !is_list(event) && !is_rancher(event)
}

fn is_list(object: &Members<'_>) -> bool {
    get(object, "kind") == Some(b"\"EventList\"") || get(object, "items").is_some()
}

fn is_rancher(object: &Members<'_>) -> bool {
    has_all(object, &["auditID", "method"]) && !has_any(object, &["stage", "verb", "level"])
}

fn is_array(text: &[u8]) -> bool {
    text.strip_prefix(b"[")
        .is_some_and(|rest| matches!(trim(rest), [b'{' | b'[' | b']', ..] | []))
}

/// Names the wrapping by the names at the top level, and a look into the values where those are
/// everyday words.
fn envelope(object: &Members<'_>) -> Option<Shape> {
    let holds = |name: &str, part: &str| {
        get(object, name).is_some_and(|value| memmem::find(value, part.as_bytes()).is_some())
    };
    let any = |names: &[&str]| has_any(object, names);
    let all = |names: &[&str]| has_all(object, names);
    if is_list(object) {
        if holds("items", "\"involvedObject\"") || holds("items", "\"regarding\"") {
            return Some(Shape::CoreEvents);
        }
        let is_audit = holds("apiVersion", "audit.k8s.io/") || holds("items", "\"auditID\"");
        return Some(if is_audit {
            Shape::EventList
        } else {
            Shape::OtherJson
        });
    }
    if is_rancher(object) {
        return Some(Shape::Rancher);
    }
    if get(object, "kind") == Some(b"\"Event\"") && any(&["involvedObject", "regarding"]) {
        return Some(Shape::CoreEvents);
    }
    let rows = [
        (any(&["protoPayload", "protopayload_auditlog"]), Shape::Gke),
        (all(&["insertId", "logName"]), Shape::Gke),
        (
            any(&["logEvents"]) || all(&["events", "searchedLogStreams"]),
            Shape::CloudWatch,
        ),
        (
            holds("events", "\"ingestionTime\"") || holds("results", "\"@message\""),
            Shape::CloudWatch,
        ),
        (
            holds("records", "\"category\"") || holds("records", "\"properties\""),
            Shape::Azure,
        ),
        (
            any(&["category", "Category"]) && any(&["properties", "log_s"]),
            Shape::Azure,
        ),
        (
            all(&["labels", "line"]) || holds("data", "\"values\""),
            Shape::Loki,
        ),
        (
            any(&["_source"]) || holds("hits", "\"hits\""),
            Shape::Elastic,
        ),
        (holds("kubernetes", "\"audit\""), Shape::Elastic),
        (
            holds("result", "\"_raw\"") || all(&["event", "sourcetype"]),
            Shape::Splunk,
        ),
        (all(&["event", "host", "time"]), Shape::Splunk),
        (any(&["resourceLogs"]), Shape::Otlp),
        (all(&["log", "stream", "time"]), Shape::Docker),
    ];
    if let Some(&(_, shape)) = rows.iter().find(|(fits, _)| *fits) {
        return Some(shape);
    }
    // The rest must show an audit event inside: these names say little.
    let fields = [
        ("MESSAGE", "journald"),
        ("message", "a log shipper (Filebeat, Vector, ...)"),
        ("log", "a log shipper (Fluent Bit, Fluentd, ...)"),
        ("log_processed", "Fluent Bit"),
        ("audit", "Fluent Bit"),
        ("event", "a log shipper"),
        ("line", "a log shipper"),
        ("body", "a log shipper"),
        ("msg", "a log shipper"),
        ("_raw", "Splunk"),
        ("@message", "CloudWatch Insights"),
        ("textPayload", "Google Cloud Logging"),
        ("data", "a log shipper"),
        ("original", "Elastic Agent"),
        ("content", "a log shipper"),
        ("attributes", "Datadog"),
    ];
    fields
        .into_iter()
        .find(|(field, _)| holds(field, "auditID") || holds(field, "audit.k8s.io/"))
        .map(|(field, by)| Shape::Wrapped { by, field })
}

/// Names the shape of which `line` is a whole record.
fn line_shape(line: &[u8]) -> Option<Shape> {
    if line.starts_with(b"{") {
        return envelope(&members(line));
    }
    let head = String::from_utf8_lossy(&line[..line.len().min(512)]);
    let mut words = head.split(' ');
    let (first, second, third) = (words.next()?, words.next()?, words.next().unwrap_or(""));
    let is_date = |word: &str| word.len() > 10 && word.as_bytes()[4] == b'-';
    if is_date(first) && matches!(second, "stdout" | "stderr") && third.starts_with(['F', 'P']) {
        return Some(Shape::Cri);
    }
    if first == "AUDIT:" || head.contains(" AUDIT: id=") {
        return Some(Shape::LegacyText);
    }
    let digits = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    if first.len() == 5 && first.starts_with(['I', 'W', 'E', 'F']) && digits(&first[1..]) {
        return Some(Shape::Klog);
    }
    let priority = head.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    if priority.is_some_and(|(number, _)| !number.is_empty() && number.len() <= 3 && digits(number))
        || (months.contains(&first) && head.len() > 15 && head.as_bytes()[6..].starts_with(b" "))
    {
        return Some(Shape::Syslog);
    }
    // The tail of a cut event has quotes before the next brace; a prefix has not.
    let brace = line.iter().position(|&byte| byte == b'{')?;
    let prefix = &line[..brace];
    let fits =
        prefix.ends_with(b" ") && !prefix.contains(&b'"') && is_event(&members(&line[brace..]));
    fits.then_some(Shape::Prefixed)
}

fn is_binary(text: &[u8]) -> bool {
    let lossy = String::from_utf8_lossy(text);
    let odd =
        |char: &char| *char == '\u{fffd}' || (char.is_control() && !"\t\r\n\x1b".contains(*char));
    lossy.chars().filter(odd).count() * 20 > lossy.len()
}

#[cfg(test)]
mod tests;
