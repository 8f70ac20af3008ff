//! Lines of text with an event behind a few words, and lines of other logs.
//!
//! Surprise: the first `{` of a damaged line may open an object *within* an event, forged by
//! whoever sent the body. So the words before it must end as compact JSON never does outside of
//! strings (in a blank, a closing bracket, or a colon or dash that no quote stands before), and hold no quote:
//! within strings the quotes of an object would be escaped.

use serde_json::value::RawValue;

use super::context::Context;
use super::join::Joined;
use super::list::damage;
use super::walk::Walk;
use super::{Format, cloudwatch, legacy, recognise};

/// Longest text before an event, in bytes.
const MAX_PREFIX_BYTES: usize = 512;

/// Opens a line that does not start with JSON; false if nothing is known of it.
pub(super) fn open(walk: &mut Walk<'_>, text: &str, context: &Context) -> bool {
    if walk.allows(Format::Fluent, context) && fluent_bit(walk, text, context) {
        return true;
    }
    if walk.allows(Format::Legacy, context) && legacy::open(walk, text, context) {
        return true;
    }
    if walk.allows(Format::Cri, context) && cri(walk, text, context) {
        return true;
    }
    if extension(walk, text, context) {
        return true;
    }
    if walk.allows(Format::Syslog, context) && syslog(walk, text, context) {
        return true;
    }
    if walk.allows(Format::Journald, context) && journal_field(walk, text, context) {
        return true;
    }
    other_log(walk, text, context)
        || dated(walk, text, context)
        || walk.allows(Format::Prefixed, context) && prefixed(walk, text, context)
}

/// Counts a line of another log by its name; false if it is of none. A receiver of audit events may print them with klog.
fn other_log(walk: &mut Walk<'_>, text: &str, context: &Context) -> bool {
    let Some(kind) = recognise::text_kind(text) else {
        return false;
    };
    let event = recognise::behind_klog(text).filter(|text| recognise::is_of_audit(text));
    let opened = event.is_some_and(|event| {
        walk.allows(Format::Prefixed, context) && walk.text(event, &context.enter("klog"))
    });
    if !opened {
        walk.other(recognise::unread(kind, text));
    }
    true
}

/// `TIME stdout|stderr TAGS TEXT`, the CRI logging format.
fn cri(walk: &mut Walk<'_>, text: &str, context: &Context) -> bool {
    let mut words = text.splitn(4, ' ');
    let (Some(time), Some(stream), Some(tags)) = (words.next(), words.next(), words.next()) else {
        return false;
    };
    let tag = tags.split(':').next().unwrap_or("");
    if !is_date(time) || !matches!(stream, "stdout" | "stderr") || !matches!(tag, "F" | "P") {
        return false;
    }
    let line = words.next().unwrap_or("");
    part(walk, stream, line, tag == "F", &context.enter("CRI"));
    true
}

/// Returns what stands behind `[0] `.
fn counted(text: &str) -> Option<&str> {
    let (count, rest) = text.strip_prefix('[')?.split_once("] ")?;
    (!count.is_empty() && is_digits(count)).then_some(rest)
}

/// `[0] TAG: [[TIME, {}], {"log"=>"TEXT"}]`, which Fluent Bit's output `stdout` writes, the quotes of the text escaped or not.
fn fluent_bit(walk: &mut Walk<'_>, text: &str, context: &Context) -> bool {
    let Some(record) = counted(text) else {
        return false;
    };
    let Some(at) = record.find("\"=>\"") else {
        return false;
    };
    let value = &record[at + 3..];
    let mut read = serde_json::Deserializer::from_str(value).into_iter::<String>();
    let escaped = read.next().and_then(Result::ok);
    let escaped = escaped.filter(|text| text.contains('{') && text.ends_with('}'));
    let plain = value[1..].rsplit_once("\"}").map(|(text, _)| text);
    let Some(event) = escaped.as_deref().or(plain) else {
        return false;
    };
    walk.carried(event, &context.enter("Fluent Bit"));
    true
}

/// Joins a part of a container log line to those before and opens the line when it is whole.
pub(super) fn part(walk: &mut Walk<'_>, stream: &str, part: &str, is_last: bool, inner: &Context) {
    match walk.state.joins.push(stream, part, is_last) {
        Joined::Open => walk.other("part of a longer container log line"),
        Joined::Whole(line) => walk.carried(&line, inner),
        Joined::Lost { before, whole } => {
            walk.bad(damage("a container log line without its end", &before));
            walk.carried(whole, inner);
        }
        Joined::TooLong => walk.bad("a container log line that is too long to join"),
    }
}

/// RFC 5424, RFC 3164, and the latter as files have it, without priority.
fn syslog(walk: &mut Walk<'_>, text: &str, context: &Context) -> bool {
    // RFC 6587 puts the length before the message.
    let uncounted = text.trim_start_matches(|char: char| char.is_ascii_digit());
    let text = uncounted
        .strip_prefix(' ')
        .filter(|rest| rest.starts_with('<'))
        .unwrap_or(text);
    let rest = text.strip_prefix('<').and_then(|rest| {
        let (priority, rest) = rest.split_once('>')?;
        let fits = !priority.is_empty() && priority.len() <= 3 && is_digits(priority);
        fits.then_some(rest)
    });
    if let Some(rest) = rest.and_then(|rest| rest.strip_prefix("1 ")) {
        let mut words = rest.splitn(6, ' ');
        let host = words.nth(1).unwrap_or("").trim_start_matches('-');
        let message = words
            .nth(3)
            .map(|rest| behind_structured_data(rest).trim_start());
        let inner = context.enter("syslog").with("", host, "");
        walk.carried(message.unwrap_or(""), &inner);
        return true;
    }
    let header = rest.unwrap_or(text);
    let behind_time = if is_month(header) {
        header.get(16..)
    } else if rest.is_some() {
        header
            .split_once(' ')
            .filter(|(time, _)| is_date(time))
            .map(|(_, rest)| rest)
    } else {
        None
    };
    let (host, message) = match (behind_time, rest) {
        (Some(behind), _) if behind.starts_with('{') => ("", behind),
        (Some(behind), _) => behind.split_once(' ').unwrap_or((behind, "")),
        (None, Some(message)) => ("", message),
        (None, None) => return false,
    };
    let host = if host.ends_with(':') { "" } else { host };
    let message = match message.find('{') {
        Some(brace) if brace == 0 || is_prefix(&message[..brace]) => &message[brace..],
        _ => message
            .split_once(": ")
            .map_or(message, |(_, message)| message),
    };
    walk.carried(message, &context.enter("syslog").with("", host, ""));
    true
}

/// `CEF:0|...|key=value ...` of `ArcSight` and `LEEF:2.0|...|key=value<TAB>...` of `QRadar`, alone or behind the head of a
/// syslog line, with an event in a value.
///
/// Both escape `=` and `\` in values, not all who write them do. So a client may write a field into the value of another one:
/// a line with two fields that look like the event has none.
fn extension(walk: &mut Walk<'_>, text: &str, context: &Context) -> bool {
    let head = &text[..text.floor_char_boundary(MAX_PREFIX_BYTES)];
    let mut names = [
        ("CEF", "CEF:", &[' ', '|'][..]),
        ("LEEF", "LEEF:", &['\t', '^', '|']),
    ]
    .into_iter();
    let found = names.find_map(|(name, sign, before)| Some((name, head.find(sign)?, before)));
    let Some((name, at, before)) = found else {
        return false;
    };
    let is_own = at == 0 || head[..at].ends_with(' ') && !head[..at].contains(['{', '"']);
    let Some(value) = event_value(&text[at..], before).filter(|_| is_own) else {
        return false;
    };
    // Where nothing was escaped again, some backslash stands alone, as that before a quote.
    let unescaped = value.replace("\\=", "=").replace("\\\\", "\\");
    let is_escaped = !value.replace("\\\\", "").replace("\\=", "").contains('\\');
    let [first, second] = if is_escaped {
        [&unescaped, value]
    } else {
        [value, &unescaped]
    };
    let object = first_object(first).or_else(|| first_object(second));
    let only = object.filter(|(_, rest)| event_value(rest, before).is_none());
    only.is_some_and(|(event, _)| walk.text(event, &context.enter(name)))
}

/// Returns what follows the name of the first field that is an object and may be an event; fields stand behind one of `before`.
fn event_value<'t>(text: &'t str, before: &[char]) -> Option<&'t str> {
    let mut fields = text.match_indices("={");
    fields.find_map(|(at, _)| {
        let start = text[..at].rfind(before)? + 1;
        EVENT_FIELDS
            .contains(&&text[start..at])
            .then(|| &text[at + 1..])
    })
}

/// What fields are called that hold an event.
const EVENT_FIELDS: [&str; 13] = [
    "msg",
    "message",
    "rawEvent",
    "raw_event",
    "event",
    "log",
    "payload",
    "cs1",
    "cs2",
    "cs3",
    "cs4",
    "cs5",
    "cs6",
];

/// Returns the object that `text` starts with and what follows, if that is nothing but further fields.
fn first_object(text: &str) -> Option<(&str, &str)> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let object = stream.next()?.ok()?.get();
    let rest = &text[stream.byte_offset()..];
    let is_end = rest.trim().is_empty() || rest.starts_with([' ', '\t']) && rest.contains('=');
    is_end.then_some((object, rest))
}

/// A field of the text that `journalctl -o export` writes, one a line.
fn journal_field(walk: &mut Walk<'_>, text: &str, context: &Context) -> bool {
    const STARTS: [&str; 17] = [
        "_",
        "PRIORITY",
        "SYSLOG_",
        "CODE_",
        "TID",
        "THREAD_",
        "JOB_",
        "INVOCATION_ID",
        "MESSAGE_ID",
        "UNIT",
        "USER_",
        "OBJECT_",
        "N_RESTARTS",
        "ERRNO",
        "CPU_USAGE_",
        // Of the log drivers of Docker and Podman.
        "CONTAINER_",
        "IMAGE_NAME",
    ];
    let Some((name, value)) = text.split_once('=') else {
        return false;
    };
    if name == "MESSAGE" {
        walk.carried(value, &context.enter("journald"));
        return true;
    }
    let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let is_field = name.bytes().all(is_name) && STARTS.iter().any(|it| name.starts_with(it));
    if is_field {
        walk.other("a field of a journal entry");
    }
    is_field
}

/// Skips `-` or `[id name="value" ...]...`, whose values escape `"`, `\` and `]`.
fn behind_structured_data(text: &str) -> &str {
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    while let Some(element) = rest.strip_prefix('[') {
        let (mut is_quoted, mut is_escaped) = (false, false);
        let end = element.find(|char| {
            let ends = char == ']' && !is_quoted;
            is_quoted ^= char == '"' && !is_escaped;
            is_escaped = char == '\\' && !is_escaped;
            ends
        });
        match end {
            Some(end) => rest = &element[end + 1..],
            None => return "",
        }
    }
    rest
}

/// A time, and behind it what the tools of clouds and stores write.
fn dated(walk: &mut Walk<'_>, text: &str, context: &Context) -> bool {
    let Some((date, mut rest)) = text.split_once(' ').filter(|(date, _)| is_date(date)) else {
        return false;
    };
    if let Some((time, behind)) = rest.split_once(' ')
        && date.len() == 10
        && time.as_bytes().get(2) == Some(&b':')
    {
        rest = behind;
    }
    let rest = rest.trim_start();
    let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
    if let Some(component) = cloudwatch::component(word) {
        if !walk.allows(Format::Cloudwatch, context) {
            return false;
        }
        let inner = context.enter("CloudWatch Logs").with("", "", word);
        cloudwatch::message(walk, behind, component, &inner);
        return true;
    }
    if let Some(behind) = behind_labels(rest)
        && walk.allows(Format::Loki, context)
    {
        walk.carried(behind, &context.enter("Loki"));
        return true;
    }
    if rest.starts_with('{') {
        let format = if walk.state.only == Some(Format::Cloudwatch) {
            Format::Cloudwatch
        } else {
            Format::Prefixed
        };
        return walk.allows(format, context) && walk.text(rest, &context.enter("time prefix"));
    }
    if other_log(walk, rest, context) {
        return true;
    }
    // rsyslog's files: a host and a tag.
    let Some(brace) = rest.find('{').filter(|&brace| is_prefix(&rest[..brace])) else {
        return false;
    };
    let is_tagged = rest[..brace].trim_end().ends_with(':');
    let (format, name, host) = if is_tagged && walk.allows(Format::Syslog, context) {
        (Format::Syslog, "syslog", word)
    } else {
        (Format::Prefixed, "prefix", "")
    };
    walk.allows(format, context)
        && walk.text(&rest[brace..], &context.enter(name).with("", host, ""))
}

/// Skips the labels that `logcli` prints before a line, `{app="x", ...}`.
fn behind_labels(text: &str) -> Option<&str> {
    let labels = text.strip_prefix('{')?;
    let name = labels.find(|char: char| !char.is_ascii_alphanumeric() && char != '_')?;
    if name == 0 || !labels[name..].starts_with("=\"") {
        return None;
    }
    let (mut is_quoted, mut is_escaped) = (false, false);
    let end = labels.find(|char| {
        let ends = char == '}' && !is_quoted;
        is_quoted ^= char == '"' && !is_escaped;
        is_escaped = char == '\\' && !is_escaped;
        ends
    })?;
    Some(labels[end + 1..].trim_start())
}

/// A few words, such as the node that `oc adm node-logs` puts before every line.
fn prefixed(walk: &mut Walk<'_>, text: &str, context: &Context) -> bool {
    let Some(brace) = text.find('{').filter(|&brace| is_prefix(&text[..brace])) else {
        let rest = text.split_once(' ').map_or("", |(_, rest)| rest);
        return other_log(walk, rest.trim_start(), context);
    };
    let prefix = text[..brace].trim();
    let is_host = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
    let is_word = text[..brace].ends_with([' ', '\t']) && prefix.chars().all(is_host);
    let (name, node) = if is_word {
        ("node prefix", prefix)
    } else {
        ("prefix", "")
    };
    walk.text(&text[brace..], &context.enter(name).with("", node, ""))
}

/// Returns whether `text` may stand before an event: words, a name and number as `grep` writes them, or what is in brackets.
fn is_prefix(text: &str) -> bool {
    let is_by_grep = text.len() > 1 && text.ends_with([':', '-']);
    let is_in_brackets = text.starts_with('[') && text.ends_with(']');
    text.len() <= MAX_PREFIX_BYTES
        && (is_by_grep || is_in_brackets || text.ends_with([' ', '\t']))
        && !text.contains(['"', '\\', '}'])
}

/// Returns whether a word starts like `2024-05-01`.
pub(super) fn is_date(word: &str) -> bool {
    let word = word.as_bytes();
    word.len() >= 10
        && word[4] == b'-'
        && word[7] == b'-'
        && [0, 1, 2, 3, 5, 6, 8, 9]
            .iter()
            .all(|&at| word[at].is_ascii_digit())
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether `text` starts like `Nov 22 05:10:25 `.
fn is_month(text: &str) -> bool {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let bytes = text.as_bytes();
    bytes.len() > 16
        && MONTHS.iter().any(|month| text.starts_with(month))
        && bytes[3] == b' '
        && bytes[6] == b' '
        && bytes[9] == b':'
        && bytes[12] == b':'
        && bytes[15] == b' '
}
