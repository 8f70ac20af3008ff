//! What an object is: an audit event, something that is often taken for one, or neither.

use std::borrow::Cow;

use super::json::{self, Object};

/// The start of a native line.
pub(super) const NATIVE_START: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/"#;

/// Bytes of a name from the log that are kept.
const MAX_NAME_BYTES: usize = 64;

/// Returns whether `object` is one audit event.
///
/// Exports lose `kind` and `apiVersion`, sometimes `auditID` too; an object with another
/// `apiVersion` is some Kubernetes object, whatever else it has.
pub(super) fn is_event(object: &Object<'_>) -> bool {
    let version = object.text("apiVersion");
    if is_list(object) || is_rancher(object) {
        return false;
    }
    if !version.is_empty() {
        return version.starts_with("audit.k8s.io/")
            && matches!(&*object.text("kind"), "" | "Event");
    }
    !object.text("auditID").is_empty() || is_stripped(object)
}

/// Returns whether `object` can only be known as an event by its fields.
pub(super) fn is_stripped(object: &Object<'_>) -> bool {
    object.has_all(&["verb", "requestURI"])
        && object.get("user").is_some_and(|user| user.starts_with('{'))
}

/// Returns whether `object` is an event whose objects a filter has made members of their own, such as `user.username`.
pub(super) fn is_flat(object: &Object<'_>) -> bool {
    object.has_any(&["user.username", "objectRef.resource", "responseStatus.code"])
        && !object.has_any(&["user", "objectRef", "responseStatus"])
}

/// Returns whether `object` is a list of Kubernetes objects.
pub(super) fn is_list(object: &Object<'_>) -> bool {
    object.text("kind").ends_with("List")
        || object
            .get("items")
            .is_some_and(|items| items.starts_with('['))
}

/// Names what is readable, and no audit event, and not to be searched either.
pub(super) fn look_alike(object: &Object<'_>) -> Option<Cow<'static, str>> {
    let kind = object.text("kind");
    let version = object.text("apiVersion");
    if object.has_any(&["involvedObject", "regarding"]) {
        return Some("a core `Event` object".into());
    }
    if !is_list(object) && !kind.is_empty() && !version.is_empty() {
        return Some(format!("a Kubernetes object of kind `{}`", short(&kind)).into());
    }
    if is_rancher(object) {
        return Some("a record of Rancher's own API audit log".into());
    }
    if object.has_all(&["eventSource", "eventName"])
        && object.has_any(&["eventVersion", "userIdentity"])
    {
        return Some("a CloudTrail record".into());
    }
    if object.has_any(&["class_uid", "category_uid"]) {
        return Some("an OCSF record (Security Lake)".into());
    }
    let source = object.text("log_source");
    let kind = object.text("log_type");
    if matches!(&*source, "auditd" | "ovn") {
        return Some(format!("an OpenShift record of `{source}`").into());
    }
    if matches!(&*kind, "application" | "infrastructure")
        && object.has_any(&["openshift", "log_source"])
    {
        return Some(format!("an OpenShift {kind} log record").into());
    }
    None
}

/// Rancher's log has an `auditID` too, and the method instead of the verb.
fn is_rancher(object: &Object<'_>) -> bool {
    object.has_all(&["auditID", "method"])
        && object.get("auditID").is_some_and(|id| id.starts_with('"'))
        && !object.has_any(&["stage", "verb", "level"])
}

/// Names an object that nothing else names.
pub(super) fn unknown_object(object: &Object<'_>) -> Cow<'static, str> {
    let what = match object.text("kind") {
        kind if kind.is_empty() => unread("a JSON object of another kind", object.text),
        kind => unread(
            &format!("a JSON object of kind `{}`", short(&kind)),
            object.text,
        ),
    };
    match unread_member(object) {
        Some(key) => format!("{what}, under `{}`", short(key)).into(),
        None => what,
    }
}

/// Returns the member of an object that nothing names in which an event may stand.
pub(super) fn unread_member<'o>(object: &'o Object<'_>) -> Option<&'o str> {
    let mut members = object.members();
    let (key, _) = members.find(|(_, value)| has_words(value))?;
    Some(key)
}

/// What the name of something ends in that may hold an event in a wrapping that is not known.
pub const UNREAD: &str = "that holds the words of an audit event";

/// Names `text` as `what`, and says so if there may be an event in it.
pub(super) fn unread(what: &str, text: &str) -> Cow<'static, str> {
    if has_words(text) {
        format!("{what} {UNREAD}").into()
    } else {
        what.to_owned().into()
    }
}

/// Returns whether the version and the id of an event stand in `text`, in whatever quotes.
fn has_words(text: &str) -> bool {
    let has = |word: &[u8]| memchr::memmem::find(text.as_bytes(), word).is_some();
    has(b"audit.k8s.io/v1") && has(b"auditID")
}

/// Names a line of text that holds no JSON; the names are of logs that travel with audit logs.
pub(super) fn text_kind(text: &str) -> Option<&'static str> {
    let first = text.split_ascii_whitespace().next()?;
    if is_klog(text) {
        return Some("a klog line");
    }
    if text.starts_with("time=") && text.contains(" level=") {
        return Some("a logfmt line, as of `aws-iam-authenticator`");
    }
    if text == "Permission Check Successful" {
        return Some("the write test of a CloudWatch export task");
    }
    let is_yaml = first == "---"
        || [
            "insertId:",
            "protoPayload:",
            "logName:",
            "apiVersion:",
            "kind:",
            "items:",
        ]
        .contains(&first);
    if is_yaml {
        return Some("YAML; export it as JSON");
    }
    if text.len() < 512
        && text.as_bytes().ends_with(b".log")
        && text.contains("audit")
        && !text.contains('{')
    {
        return Some("a listing of audit log files");
    }
    None
}

fn is_klog(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let (first, second) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    first.len() == 5
        && first.starts_with(['I', 'W', 'E', 'F'])
        && first[1..].bytes().all(|byte| byte.is_ascii_digit())
        && second.contains(':')
}

/// Returns the message of a klog line, whose head is `I1122 04:55:35.000000       1 main.go:12] `.
pub(super) fn behind_klog(text: &str) -> Option<&str> {
    let (head, message) = text.split_once("] ").filter(|_| is_klog(text))?;
    (head.split_ascii_whitespace().count() == 4).then(|| message.trim_start())
}

/// Returns whether `text` is an audit event or a list of them, whole or cut.
pub(super) fn is_of_audit(text: &str) -> bool {
    const LIST_START: &str = r#"{"kind":"EventList","apiVersion":"audit.k8s.io/"#;
    let has_version = |object: Object<'_>| object.text("apiVersion").starts_with("audit.k8s.io/");
    text.starts_with(NATIVE_START)
        || text.starts_with(LIST_START)
        || text.starts_with('{') && Object::parse(text).is_some_and(has_version)
}

/// Cuts a name of the log to what a message bears.
pub(super) fn short(name: &str) -> &str {
    &name[..name.floor_char_boundary(MAX_NAME_BYTES)]
}

/// Returns the audit ID in the remains of an event, also where its quotes are escaped.
pub(super) fn salvaged_id(text: &str) -> Option<&str> {
    let at = memchr::memmem::find(text.as_bytes(), b"auditID")?;
    let rest = text[at + 7..].trim_start_matches(['\\', '"', ' ', ':']);
    let end = rest.find(['"', '\\', ',', '}', ' ']).unwrap_or(rest.len());
    let id = short(&rest[..end]);
    (!id.is_empty()).then_some(id)
}

/// Returns whether `text` shows signs of an audit event, whole or cut.
pub(super) fn smells_of_audit(text: &str) -> bool {
    let has = |sign: &[u8]| memchr::memmem::find(text.as_bytes(), sign).is_some();
    has(b"audit.k8s.io") || has(b"auditID") || has(b"requestReceivedTimestamp")
}

/// Returns the scalar at the end of a path of object keys.
pub(super) fn text_at<'a>(object: &Object<'a>, path: &[&str]) -> Cow<'a, str> {
    let (&last, parents) = path.split_last().expect("a path has a key");
    let mut parents = parents.iter();
    let Some(first) = parents.next() else {
        return object.text(last);
    };
    let mut value = object.get(first);
    for key in parents {
        value = value
            .and_then(Object::parse)
            .and_then(|object| object.get(key));
    }
    let parent = value.and_then(Object::parse);
    parent
        .and_then(|object| object.get(last))
        .map_or(Cow::Borrowed(""), json::scalar)
}
