//! Amazon CloudWatch Logs, through which EKS hands out its control plane's logs.
//!
//! Source: CloudWatch Logs API reference (`FilterLogEvents`, `GetLogEvents`, `GetQueryResults`) and
//! the format of subscriptions. One log group carries all components; only the streams
//! `kube-apiserver-audit-*` hold audit events. The group `/aws/eks/<cluster>/cluster` names the
//! cluster.

use super::context::Context;
use super::fields;
use super::json::{self, Object};
use super::walk::{self, Walk};

const AUDIT: &str = "kube-apiserver-audit";
/// What else shares the log group of an EKS cluster.
const COMPONENTS: [&str; 6] = [
    AUDIT,
    "kube-apiserver",
    "authenticator",
    "kube-controller-manager",
    "kube-scheduler",
    "cloud-controller-manager",
];

/// Opens an answer of the API, a subscription record, a log event or a row of Insights.
pub(super) fn open(walk: &mut Walk<'_>, object: &Object<'_>, context: &Context) -> bool {
    if let Some(inner) = object.object("awslogs") {
        let context = context.enter("CloudWatch subscription");
        if !walk.packed(&inner.text("data"), &context) {
            walk.bad("a CloudWatch subscription whose data cannot be unpacked");
        }
        return true;
    }
    if object.text("messageType") == "CONTROL_MESSAGE" {
        walk.other("a CloudWatch control message");
        return true;
    }
    if let Some(events) = list(object, "logEvents") {
        log_events(
            walk,
            events,
            &named(object, context.enter("CloudWatch Logs")),
        );
        return true;
    }
    if let Some(events) = list(object, "events")
        && is_answer(object, events)
    {
        log_events(
            walk,
            events,
            &named(object, context.enter("CloudWatch Logs")),
        );
        return true;
    }
    if let Some(rows) = list(object, "results")
        && (object.has_any(&["statistics", "queryLanguage"])
            || json::first(rows).is_some_and(|row| row.starts_with('[')))
    {
        insights(
            walk,
            rows,
            &named(object, context.enter("CloudWatch Logs Insights")),
        );
        return true;
    }
    if let Some(message) = object.get("@message") {
        let inner = named(object, context.enter("CloudWatch Logs Insights"));
        carried(walk, message, &object.text("@logStream"), &inner);
        return true;
    }
    if is_log_event(object) {
        log_event(
            walk,
            object,
            &named(object, context.enter("CloudWatch Logs")),
        );
        return true;
    }
    false
}

/// Notes cluster and stream where the envelope names them.
pub(super) fn named(object: &Object<'_>, context: Context) -> Context {
    let text = |keys: &[&str]| {
        let mut texts = keys.iter().map(|key| object.text(key));
        texts.find(|text| !text.is_empty()).unwrap_or_default()
    };
    let group = text(&["logGroup", "logGroupName", "@log"]);
    let stream = text(&["logStream", "logStreamName", "@logStream"]);
    context.with(cluster(&group), "", &stream)
}

/// Returns the component whose stream this is, if it is one of EKS.
///
/// Who copies streams names them anew, so this says what is no audit event, and never what is none.
pub(super) fn component(stream: &str) -> Option<&'static str> {
    if stream.starts_with(AUDIT) {
        return Some(AUDIT);
    }
    let found = COMPONENTS.into_iter().find(|component| {
        let id = stream
            .strip_prefix(component)
            .and_then(|rest| rest.strip_prefix('-'));
        id.is_some_and(|id| id.len() >= 4)
    })?;
    Some(found)
}

/// Opens a message of the stream of `component`.
pub(super) fn message(walk: &mut Walk<'_>, text: &str, component: &'static str, inner: &Context) {
    if component == AUDIT || may_be_event(text) {
        walk.carried(text, inner);
    } else {
        walk.other(format!("an EKS log line of `{component}`"));
    }
}

/// Returns whether a message, written as JSON or not, may be an audit event.
fn may_be_event(message: &str) -> bool {
    message.trim_start_matches(['"', ' ']).starts_with('{') && message.contains("auditID")
}

fn list<'a>(object: &Object<'a>, key: &str) -> Option<&'a str> {
    object.get(key).filter(|list| list.starts_with('['))
}

fn is_answer(object: &Object<'_>, events: &str) -> bool {
    object.has_any(&[
        "searchedLogStreams",
        "nextForwardToken",
        "nextBackwardToken",
    ]) || json::first(events)
        .and_then(Object::parse)
        .is_some_and(|event| is_log_event(&event))
}

fn is_log_event(object: &Object<'_>) -> bool {
    object.get("message").is_some()
        && (object.has_any(&["ingestionTime", "logStreamName", "logStream"])
            || object.has_all(&["eventId", "timestamp"]))
}

fn log_events(walk: &mut Walk<'_>, events: &str, inner: &Context) {
    let before = walk.n_items;
    let read = json::each_element(events, |event| match Object::parse(event) {
        Some(event) => log_event(walk, &event, inner),
        None => walk.bad("a CloudWatch log event that is no object"),
    });
    if read.is_err() {
        walk.bad("damaged CloudWatch log events");
    } else if walk.n_items == before {
        walk.other("an empty CloudWatch answer");
    }
}

fn log_event(walk: &mut Walk<'_>, event: &Object<'_>, inner: &Context) {
    let stream = event.text("logStreamName");
    let own;
    let inner = if stream.is_empty() || inner.stream.is_some() {
        inner
    } else {
        own = inner.clone().with("", "", &stream);
        &own
    };
    match event.get("message") {
        Some(message) => carried(walk, message, "", inner),
        None => walk.bad("a CloudWatch log event without a message"),
    }
}

fn carried(walk: &mut Walk<'_>, raw: &str, stream: &str, inner: &Context) {
    let stream = if stream.is_empty() {
        inner.stream.as_deref().unwrap_or("")
    } else {
        stream
    };
    match component(stream) {
        Some(component) if component != AUDIT && !may_be_event(raw) => {
            message(walk, "", component, inner);
        }
        _ => walk.carried_value(raw, inner),
    }
}

fn insights(walk: &mut Walk<'_>, rows: &str, inner: &Context) {
    let before = walk.n_items;
    let read = json::each_element(rows, |cells| row(walk, cells, inner));
    if read.is_err() {
        walk.bad("damaged Insights results");
    } else if walk.n_items == before {
        walk.other("an empty Insights result");
    }
}

/// Opens a row of Insights that stands alone, as the rows of a long answer do; false if the array is none.
pub(super) fn lone_row(walk: &mut Walk<'_>, cells: &str, context: &Context) -> bool {
    let first = json::first(cells).and_then(Object::parse);
    let is_row = first.is_some_and(|cell| cell.has_all(&["field", "value"]));
    if is_row {
        row(walk, cells, &context.enter("CloudWatch Logs Insights"));
    }
    is_row
}

fn row(walk: &mut Walk<'_>, cells: &str, inner: &Context) {
    let cells = json::elements(cells);
    let cells = cells.into_iter().filter_map(|cell| {
        let cell = Object::parse(cell)?;
        Some((cell.text("field"), cell.text("value")))
    });
    let text = walk::row(cells);
    let Some(row) = Object::parse(&text) else {
        return walk.bad("a damaged Insights row");
    };
    let inner = named(&row, inner.clone());
    if let Some(message) = row.get("@message") {
        carried(walk, message, "", &inner);
    } else if !fields::open(walk, &row, &inner) && !walk.object(&row, &inner) {
        walk.unknown_object(&row);
    }
}

/// Returns the cluster of a log group, with or without an account before it.
fn cluster(group: &str) -> &str {
    let group = group.rsplit_once(':').map_or(group, |(_, group)| group);
    let mut parts = group.trim_start_matches('/').split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("aws"), Some("eks" | "containerinsights"), Some(cluster)) => cluster,
        _ => "",
    }
}
