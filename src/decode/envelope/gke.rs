//! Google Cloud Logging, through which GKE hands out audit logs: a `LogEntry` with an `AuditLog` as
//! payload.
//!
//! Source: Cloud Logging `LogEntry`, Cloud Audit Logs `AuditLog`, `google.rpc.Code`. Nothing of the
//! original event is kept as it was, so every field is mapped. What an entry does not say stays
//! absent: groups, the query, and the response code where there is neither a status nor a response.

mod status;
mod target;

use std::borrow::Cow;

use super::context::Context;
use super::fields;
use super::json::{self, Object, Writer};
use super::recognise::text_at;
use super::request_info::{self, RequestInfo};
use super::restore;
use super::time::rfc3339;
use super::walk::Walk;
use status::{granted, status};
use target::{is_long, target};

const DECISION: &str = "authorization.k8s.io/decision";
/// Where the words go that stand for an address.
const CALLER: &str = "protoPayload.requestMetadata.callerIp";

/// Opens a log entry; false if the object is none.
pub(super) fn open(walk: &mut Walk<'_>, entry: &Object<'_>, context: &Context) -> bool {
    if let Some(payload) = payload(entry) {
        open_audit(walk, entry, &payload, context, false);
        return true;
    }
    let is_flat = entry
        .members()
        .any(|(name, _)| name.starts_with("protoPayload."));
    let nested = is_flat.then(|| fields::nested(entry));
    let nested = nested.as_deref().and_then(Object::parse);
    let Some((nested, payload)) = nested.and_then(|nested| {
        let payload = payload(&nested)?;
        Some((nested, payload))
    }) else {
        return other_entry(walk, entry, context);
    };
    // Columns were selected: without that of the status nobody knows how a call ended.
    let is_partial = payload.get("status").is_none();
    open_audit(walk, &nested, &payload, context, is_partial);
    true
}

fn payload<'e>(entry: &Object<'e>) -> Option<Object<'e>> {
    ["protoPayload", "protopayload_auditlog"]
        .into_iter()
        .find_map(|key| Object::parse(entry.get_loose(key)?))
}

/// Opens the audit log in an entry.
fn open_audit(
    walk: &mut Walk<'_>,
    entry: &Object<'_>,
    payload: &Object<'_>,
    context: &Context,
    is_partial: bool,
) {
    let service = loose_text(payload, "serviceName");
    let method = loose_text(payload, "methodName");
    match &*service {
        "k8s.io" => {}
        "" if method.starts_with("io.k8s.") => {}
        "container.googleapis.com" => {
            walk.other("a GKE cluster management record (container.googleapis.com)");
            return;
        }
        service => {
            let service = super::recognise::short(service);
            walk.other(format!("a Google Cloud audit record of `{service}`"));
            return;
        }
    }
    let cluster = text_at(entry, &["resource", "labels", "cluster_name"]);
    let inner = context.enter("GKE").with(&cluster, "", "");
    let event = event(entry, payload, &method);
    walk.event(&event, &inner, is_partial);
}

/// Entries of other logs: a text or object that may hold an event of a cluster one runs oneself.
fn other_entry(walk: &mut Walk<'_>, entry: &Object<'_>, context: &Context) -> bool {
    if !entry.has_all(&["insertId", "logName"]) {
        return false;
    }
    let inner = context.enter("Cloud Logging").with(
        &text_at(entry, &["resource", "labels", "cluster_name"]),
        "",
        "",
    );
    match entry
        .get("textPayload")
        .or_else(|| entry.get("jsonPayload"))
    {
        Some(payload) if payload.starts_with('"') => walk.carried_value(payload, &inner),
        Some(payload) if walk.value(payload, &inner) => {}
        _ => walk.other("a Cloud Logging entry that is no audit log"),
    }
    true
}

fn loose_text<'a>(object: &Object<'a>, key: &str) -> Cow<'a, str> {
    object
        .get_loose(key)
        .map_or(Cow::Borrowed(""), json::scalar)
}

fn loose_object<'a>(object: &Object<'a>, key: &str) -> Option<Object<'a>> {
    object.get_loose(key).and_then(Object::parse)
}

fn event(entry: &Object<'_>, payload: &Object<'_>, method: &str) -> String {
    let request = body(payload, "request");
    let response = body(payload, "response");
    let target = target(
        method,
        &loose_text(payload, "resourceName"),
        request.as_deref(),
    );
    let operation = loose_object(entry, "operation").unwrap_or_default();
    let id = match operation.text("id") {
        id if id.is_empty() => loose_text(entry, "insertId"),
        id => id,
    };
    let is_begin = operation.text("first") == "true" && operation.text("last") != "true";
    let is_end = operation.text("last") == "true" && operation.text("first") != "true";
    let is_started =
        !is_end && (request_info::is_session(&target.subresource) || is_begin && is_long(&target));

    let mut event = Writer::event();
    event.text(
        "level",
        match (&response, &request) {
            (Some(_), _) => "RequestResponse",
            (None, Some(_)) => "Request",
            (None, None) => "Metadata",
        },
    );
    event.text("auditID", &id);
    event.text(
        "stage",
        if is_started {
            "ResponseStarted"
        } else {
            "ResponseComplete"
        },
    );
    event.text("requestURI", &target.uri);
    event.text("verb", &target.verb);
    let (user, impersonated) = users(payload);
    event.raw("user", &user.finish());
    event.object("impersonatedUser", impersonated);
    let metadata = loose_object(payload, "requestMetadata").unwrap_or_default();
    let caller = loose_text(&metadata, "callerIp");
    let is_address = caller.parse::<std::net::IpAddr>().is_ok();
    if is_address {
        event.list("sourceIPs", &[&caller]);
    }
    event.text(
        "userAgent",
        &loose_text(&metadata, "callerSuppliedUserAgent"),
    );
    if let Some(object) = RequestInfo::of(&target.path).object_ref() {
        event.object("objectRef", object);
    }

    let labels = loose_object(entry, "labels").unwrap_or_default();
    let mut annotations = restore::annotations(&labels);
    let has_decision = labels.members().any(|(key, _)| {
        key == DECISION
            || restore::key(key).is_some_and(|key| key == DECISION)
            || key == "authorization"
    });
    let mut decision = if has_decision {
        restored_decision(&labels)
    } else {
        String::new()
    };
    let rpc = loose_object(payload, "status");
    if !has_decision {
        granted(payload, rpc.as_ref()).clone_into(&mut decision);
        annotations.text(DECISION, &decision);
    }
    if !is_address {
        annotations.text(CALLER, &caller);
    }
    event.object(
        "responseStatus",
        status(rpc.as_ref(), response.as_deref(), &target.verb, &decision),
    );
    if let Some(request) = &request {
        event.raw("requestObject", request);
    }
    if let Some(response) = &response {
        event.raw("responseObject", response);
    }
    let time = loose_text(entry, "timestamp");
    let time = rfc3339(&time).unwrap_or_else(|| time.into_owned());
    event.text("requestReceivedTimestamp", &time);
    event.text("stageTimestamp", &time);
    event.object("annotations", annotations);
    event.finish()
}

/// Returns a body without its `@type`; `None` if there is nothing else in it.
fn body(payload: &Object<'_>, key: &str) -> Option<String> {
    let raw = payload.get_loose(key);
    // BigQuery has bodies as text, in columns of their own.
    let text = match raw {
        Some(raw) if raw.starts_with('{') => Cow::Borrowed(raw),
        _ => json::scalar(payload.get_loose(&format!("{key}Json"))?),
    };
    let object = Object::parse(&text)?;
    let mut body = Writer::new();
    for (name, value) in object.members().filter(|(name, _)| *name != "@type") {
        body.raw(name, value);
    }
    (!body.is_empty()).then(|| body.finish())
}

/// Returns who asked, and as whom.
fn users(payload: &Object<'_>) -> (Writer, Writer) {
    let info = loose_object(payload, "authenticationInfo").unwrap_or_default();
    let email = loose_text(&info, "principalEmail");
    let subject = loose_text(&info, "principalSubject");
    let mut user = Writer::new();
    user.text("username", if email.is_empty() { &subject } else { &email });
    let mut extra = Writer::new();
    if !email.is_empty() && !subject.is_empty() {
        extra.list("principalSubject", &[&subject]);
    }
    let delegation = info
        .get_loose("serviceAccountDelegationInfo")
        .unwrap_or_default();
    let delegates: Vec<String> = json::elements(delegation)
        .into_iter()
        .filter_map(|step| {
            let step = Object::parse(step)?;
            let first = loose_object(&step, "firstPartyPrincipal").unwrap_or_default();
            let texts = [
                loose_text(&first, "principalEmail"),
                loose_text(&step, "principalSubject"),
            ];
            texts
                .into_iter()
                .find(|text| !text.is_empty())
                .map(Cow::into_owned)
        })
        .collect();
    extra.list("serviceAccountDelegationInfo", &delegates);
    user.object("extra", extra);
    let mut impersonated = Writer::new();
    impersonated.text("username", &loose_text(&info, "authoritySelector"));
    (user, impersonated)
}

fn restored_decision(labels: &Object<'_>) -> String {
    let map = restore::annotations(labels).finish();
    Object::parse(&map).map_or_else(String::new, |map| map.text(DECISION).into_owned())
}
