//! Azure Monitor, through which AKS hands out its control plane's logs.
//!
//! Source: Azure Monitor resource log schema and the table reference of `AzureDiagnostics`,
//! `AKSAudit` and `AKSAuditAdmin`. Surprises: `kube-audit-admin` and `AKSAuditAdmin` lack get and
//! list, so the category is part of the chain; the tables have no impersonated user.

use super::context::Context;
use super::fields::is_structure;
use super::json::{self, Object, Writer};
use super::list::names_of;
use super::recognise;
use super::time::rfc3339;
use super::walk::Walk;

/// Columns of the tables `AKSAudit` and `AKSAuditAdmin`, in the order of an event.
const COLUMNS: [(&str, &str); 13] = [
    ("Level", "level"),
    ("AuditId", "auditID"),
    ("Stage", "stage"),
    ("RequestUri", "requestURI"),
    ("Verb", "verb"),
    ("User", "user"),
    ("SourceIps", "sourceIPs"),
    ("UserAgent", "userAgent"),
    ("ObjectRef", "objectRef"),
    ("ResponseStatus", "responseStatus"),
    ("RequestObject", "requestObject"),
    ("ResponseObject", "responseObject"),
    ("Annotations", "annotations"),
];

/// Opens diagnostic records and rows of Log Analytics.
pub(super) fn open(walk: &mut Walk<'_>, object: &Object<'_>, context: &Context) -> bool {
    if let Some(records) = object.get("records").or_else(|| object.get("Records"))
        && json::first(records)
            .and_then(Object::parse)
            .is_some_and(|first| is_record(&first))
    {
        let inner = context.enter("Azure Monitor");
        walk.list(records, &inner);
        return true;
    }
    if let Some(tables) = object.get("tables")
        && json::first(tables)
            .and_then(Object::parse)
            .is_some_and(|table| table.has_all(&["columns", "rows"]))
    {
        for table in json::elements(tables).into_iter().filter_map(Object::parse) {
            answer(walk, &table, &context.enter("Log Analytics"));
        }
        return true;
    }
    if object.get("AuditId").is_some()
        && object.has_any(&["RequestUri", "Verb", "Stage", "RequestReceivedTime"])
    {
        table_row(walk, object, context);
        return true;
    }
    if is_record(object) {
        record(walk, object, context);
        return true;
    }
    false
}

fn category<'a>(object: &Object<'a>) -> std::borrow::Cow<'a, str> {
    match object.text("category") {
        category if category.is_empty() => object.text("Category"),
        category => category,
    }
}

fn is_record(object: &Object<'_>) -> bool {
    !category(object).is_empty()
        && (object.has_any(&[
            "properties",
            "log_s",
            "resourceId",
            "ResourceId",
            "operationName",
            "OperationName",
        ]) || object.has_any(&["_ResourceId", "TenantId", "PodName"]))
}

fn record(walk: &mut Walk<'_>, record: &Object<'_>, context: &Context) {
    let category = category(record);
    let properties = properties(record);
    let properties = properties
        .as_deref()
        .and_then(Object::parse)
        .unwrap_or_default();
    let is_audit = matches!(&*category, "kube-audit" | "kube-audit-admin");
    if !is_audit {
        let is_cluster = properties.get("log").is_some()
            || record.has_any(&["log_s", "PodName", "pod_s"])
            || record.text("operationName").contains("diagnosticLogs");
        let name = recognise::short(&category);
        return walk.other(if is_cluster {
            format!("an AKS record of category `{name}`")
        } else {
            format!("an Azure activity log record of category `{name}`")
        });
    }
    let text = |object: &Object<'_>, keys: &[&str]| {
        let mut texts = keys.iter().map(|key| object.text(key).into_owned());
        texts.find(|text| !text.is_empty()).unwrap_or_default()
    };
    let id = text(record, &["resourceId", "ResourceId", "_ResourceId"]);
    let pod = text(&properties, &["pod"]) + &text(record, &["pod_s"]);
    let inner = context
        .enter(&format!("AKS {category}"))
        .with(last_part(&id), "", &pod);
    match properties.get("log").or_else(|| record.get("log_s")) {
        Some(log) => walk.carried_value(log, &inner),
        None => walk.bad(format!(
            "an AKS record of category `{category}` without its log"
        )),
    }
}

/// Returns `properties` as JSON text; some exports make a string of it.
fn properties(record: &Object<'_>) -> Option<String> {
    let raw = record.get("properties")?;
    Some(if raw.starts_with('"') {
        json::string(raw)?.into_owned()
    } else {
        raw.to_owned()
    })
}

fn last_part(resource_id: &str) -> &str {
    resource_id
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or("")
}

/// Opens the answer of the Log Analytics API.
fn answer(walk: &mut Walk<'_>, table: &Object<'_>, inner: &Context) {
    let names = names_of(table.get("columns").unwrap_or_default());
    let rows = table.get("rows").unwrap_or_default();
    walk.rows(&names, rows, inner, "Log Analytics");
}

fn table_row(walk: &mut Walk<'_>, row: &Object<'_>, context: &Context) {
    let table = row.text("Type");
    let name = match &*table {
        "AKSAudit" | "AKSAuditAdmin" => &*table,
        _ => "AKSAudit or AKSAuditAdmin",
    };
    let inner = context.enter(name).with(
        last_part(&row.text("_ResourceId")),
        "",
        &row.text("PodName"),
    );
    let mut event = Writer::event();
    for (column, field) in COLUMNS {
        let Some(raw) = row.get(column) else {
            continue;
        };
        let text = json::scalar(raw);
        if !raw.starts_with('"') {
            event.raw(field, raw);
        } else if is_structure(field) && is_json(&text) {
            if text != "null" {
                event.raw(field, &text);
            }
        } else if field == "sourceIPs" {
            event.list(
                field,
                &text
                    .split(',')
                    .map(str::trim)
                    .filter(|ip| !ip.is_empty())
                    .collect::<Vec<_>>(),
            );
        } else {
            event.text(field, &text);
        }
    }
    let time = |column: &str| {
        let text = row.text(column);
        rfc3339(&text).unwrap_or_else(|| text.into_owned())
    };
    let generated = time("TimeGenerated");
    let or_generated = |time: String| {
        if time.is_empty() {
            generated.clone()
        } else {
            time
        }
    };
    event.text(
        "requestReceivedTimestamp",
        &or_generated(time("RequestReceivedTime")),
    );
    event.text("stageTimestamp", &or_generated(time("StageReceivedTime")));
    walk.event(&event.finish(), &inner, false);
}

/// Returns whether a cell of a dynamic column is a JSON structure and no text such as
/// `skipped-too-big-size-object`.
fn is_json(text: &str) -> bool {
    (text.starts_with(['{', '[']) || text == "null") && json::is_valid(text)
}
