//! Answers of log stores: Elasticsearch, Loki, Splunk, and the JSON of OpenTelemetry.

use super::context::Context;
use super::json::{self, Object, Writer};
use super::recognise::text_at;
use super::shipper;
use super::walk::Walk;

/// Deepest OpenTelemetry value that is opened.
const MAX_VALUE_DEPTH: u8 = 64;

/// Opens a search answer, a hit, or a document of Filebeat or Elastic Agent.
pub(super) fn elastic(walk: &mut Walk<'_>, object: &Object<'_>, context: &Context) -> bool {
    if let Some(hits) = object.object("hits")
        && let Some(list) = hits.get("hits")
    {
        walk.list(list, &context.enter("Elasticsearch"));
        return true;
    }
    let fields = object.get("fields").filter(|_| object.has_any(&["_id"]));
    if let Some(source) = object.get("_source").or(fields) {
        let inner = if context.envelope.ends_with("Elasticsearch") {
            context.clone()
        } else {
            context.enter("Elasticsearch")
        };
        if !walk.value(source, &inner) && !walk.value(&firsts(source), &inner) {
            walk.other("an Elasticsearch document that holds no audit event");
        }
        return true;
    }
    let original = text_at(object, &["event", "original"]);
    let original = if original.is_empty() {
        object.text("event.original")
    } else {
        original
    };
    let audit = object
        .object("kubernetes")
        .and_then(|kubernetes| kubernetes.get("audit"));
    let is_beat = object.has_any(&["agent", "ecs", "@metadata", "beat", "data_stream"])
        || !original.is_empty();
    if !is_beat && audit.is_none() {
        return false;
    }
    let inner = context.enter("Elastic").with(
        &text_at(object, &["orchestrator", "cluster", "name"]),
        &shipper::node(object),
        "",
    );
    // The original is whole; the pipeline takes parts of the bodies out of the parsed one.
    let texts = [original, object.text("message")];
    for text in texts
        .iter()
        .filter(|text| text.trim_start().starts_with('{'))
    {
        if walk.text(text, &inner) {
            return true;
        }
    }
    for field in [audit, object.get("json")].into_iter().flatten() {
        if walk.value(field, &inner) {
            return true;
        }
    }
    let [original, message] = texts;
    let text = if original.is_empty() {
        message
    } else {
        original
    };
    if text.is_empty() {
        return shipper::any(walk, object, context);
    }
    walk.carried(&text, &inner);
    true
}

/// Returns an object of lists, as a search for `fields` gives them, with the only element in place of a list of one.
fn firsts(fields: &str) -> String {
    let fields = Object::parse(fields).unwrap_or_default();
    let mut out = Writer::new();
    for (name, list) in fields.members() {
        match json::elements(list)[..] {
            [only] if list.starts_with('[') => out.raw(name, only),
            _ => out.raw(name, list),
        }
    }
    out.finish()
}

/// Opens an answer of Loki's API, a push body, or a line of `logcli`.
pub(super) fn loki(walk: &mut Walk<'_>, object: &Object<'_>, context: &Context) -> bool {
    let streams = object
        .object("data")
        .and_then(|data| data.get("result"))
        .or_else(|| object.get("streams"));
    if let Some(streams) = streams.filter(|streams| streams.starts_with('[')) {
        let before = walk.n_items;
        let inner = context.enter("Loki");
        let read = json::each_element(streams, |stream| {
            let Some(stream) = Object::parse(stream) else {
                return walk.bad("a Loki stream that is no object");
            };
            let labels = stream.object("stream").unwrap_or_default();
            let inner = labelled(&labels, inner.clone());
            let read = json::each_element(stream.get("values").unwrap_or("[]"), |value| {
                match json::elements(value).get(1) {
                    Some(line) => walk.carried_value(line, &inner),
                    None => walk.bad("a Loki entry without a line"),
                }
            });
            if read.is_err() {
                walk.bad("damaged Loki values");
            }
        });
        if read.is_err() {
            walk.bad("damaged Loki streams");
        } else if walk.n_items == before {
            walk.other("an empty Loki answer");
        }
        return true;
    }
    let Some(line) = object.get("line") else {
        return false;
    };
    if !object.has_any(&["labels", "timestamp", "fields"]) {
        return false;
    }
    let labels = object.object("labels").unwrap_or_default();
    walk.carried_value(line, &labelled(&labels, context.enter("Loki")));
    true
}

fn labelled(labels: &Object<'_>, context: Context) -> Context {
    let text = |keys: &[&str]| {
        let mut texts = keys.iter().map(|key| labels.text(key));
        texts.find(|text| !text.is_empty()).unwrap_or_default()
    };
    context.with(
        &text(&["cluster", "k8s_cluster_name"]),
        &text(&["node_name", "node", "host", "hostname", "instance"]),
        "",
    )
}

/// Opens an export row or an HTTP Event Collector event.
pub(super) fn splunk(walk: &mut Walk<'_>, object: &Object<'_>, context: &Context) -> bool {
    let host = object.text("host");
    let inner = || context.enter("Splunk").with("", &host, "");
    if let Some(raw) = object.get("_raw") {
        walk.carried_value(raw, &inner());
        return true;
    }
    if let Some(result) = object
        .object("result")
        .filter(|result| result.get("_raw").is_some())
    {
        return splunk(walk, &result, context);
    }
    if let Some(results) = object.get("results")
        && json::first(results)
            .and_then(Object::parse)
            .is_some_and(|row| row.get("_raw").is_some())
    {
        walk.list(results, &context.list("results"));
        return true;
    }
    if let Some(texts) = raw_column(object) {
        let inner = context.enter("Splunk");
        let read = json::each_element(texts, |text| walk.carried_value(text, &inner));
        if read.is_err() {
            walk.bad("damaged Splunk columns");
        }
        return true;
    }
    let Some(event) = object.get("event") else {
        return false;
    };
    if !object.has_any(&["sourcetype", "index"]) && !object.has_all(&["time", "host"]) {
        return false;
    }
    walk.carried_value(event, &inner());
    true
}

/// Returns the column `_raw` of an answer in the output mode `json_cols`, whose columns stand in the order of `fields`.
fn raw_column<'a>(object: &Object<'a>) -> Option<&'a str> {
    let (fields, columns) = (object.get("fields")?, object.get("columns")?);
    let fields = json::elements(fields);
    let mut names = fields.iter().map(|field| match Object::parse(field) {
        Some(field) => field.text("name"),
        None => json::scalar(field),
    });
    let at = names.position(|name| name == "_raw")?;
    let column = json::elements(columns).into_iter().nth(at)?;
    column.trim_start().starts_with('[').then_some(column)
}

/// Opens OTLP JSON: `resourceLogs[].scopeLogs[].logRecords[].body`, or with the names of the protocol's own definition,
/// as `resource_logs`.
pub(super) fn otlp(walk: &mut Walk<'_>, object: &Object<'_>, context: &Context) -> bool {
    let Some(resources) = object.get_loose("resourceLogs") else {
        return false;
    };
    let before = walk.n_items;
    let mut is_sound = json::each_element(resources, |resource| {
        let Some(resource) = Object::parse(resource) else {
            return walk.bad("an OpenTelemetry resource that is no object");
        };
        let attributes = resource
            .object("resource")
            .and_then(|resource| resource.get("attributes"))
            .unwrap_or("[]");
        let inner = context.enter("OTLP").with(
            &attribute(attributes, "k8s.cluster.name"),
            &match attribute(attributes, "k8s.node.name") {
                node if node.is_empty() => attribute(attributes, "host.name"),
                node => node,
            },
            "",
        );
        let scopes = resource
            .get_loose("scopeLogs")
            .or_else(|| resource.get("instrumentationLibraryLogs"));
        let read = json::each_element(scopes.unwrap_or("[]"), |scope| {
            let records = Object::parse(scope).and_then(|scope| scope.get_loose("logRecords"));
            let read = json::each_element(records.unwrap_or("[]"), |record| {
                match Object::parse(record).and_then(|record| record.object("body")) {
                    Some(body) => otlp_body(walk, &body, &inner),
                    None => walk.other("an OpenTelemetry log record without a body"),
                }
            });
            if read.is_err() {
                walk.bad("damaged OpenTelemetry log records");
            }
        });
        if read.is_err() {
            walk.bad("damaged OpenTelemetry scopes");
        }
    })
    .is_ok();
    if is_sound && walk.n_items == before {
        walk.other("OpenTelemetry logs without records");
        is_sound = true;
    }
    if !is_sound {
        walk.bad("damaged OpenTelemetry resources");
    }
    true
}

fn otlp_body(walk: &mut Walk<'_>, body: &Object<'_>, inner: &Context) {
    if let Some(text) = body.get_loose("stringValue") {
        walk.carried_value(text, inner);
    } else if let Some(bytes) = body.get_loose("bytesValue") {
        if !walk.packed(&json::scalar(bytes), inner) {
            walk.other("an OpenTelemetry log record that is no text");
        }
    } else if body.get_loose("kvlistValue").is_some() {
        let value = otlp_value(body.text, 0);
        walk.carried(&value, inner);
    } else {
        walk.other("an OpenTelemetry log record that is no text");
    }
}

/// Returns an `AnyValue` as plain JSON; what lies too deep becomes null.
fn otlp_value(raw: &str, depth: u8) -> String {
    let null = || "null".to_owned();
    let Some(value) = Object::parse(raw).filter(|_| depth < MAX_VALUE_DEPTH) else {
        return null();
    };
    if let Some(map) = value.get_loose("kvlistValue").and_then(Object::parse) {
        let mut out = Writer::new();
        for pair in json::elements(map.get("values").unwrap_or("[]")) {
            if let Some(pair) = Object::parse(pair) {
                out.raw(
                    &pair.text("key"),
                    &otlp_value(pair.get("value").unwrap_or("{}"), depth + 1),
                );
            }
        }
        return out.finish();
    }
    if let Some(list) = value.get_loose("arrayValue").and_then(Object::parse) {
        let values = json::elements(list.get("values").unwrap_or("[]"));
        let values: Vec<String> = values
            .into_iter()
            .map(|value| otlp_value(value, depth + 1))
            .collect();
        return format!("[{}]", values.join(","));
    }
    if let Some(integer) = value.get_loose("intValue") {
        // 64-bit integers are strings in protobuf's JSON.
        let number = json::scalar(integer).parse::<i64>();
        return number.map_or_else(|_| null(), |number| number.to_string());
    }
    let plain = ["stringValue", "boolValue", "doubleValue", "bytesValue"];
    let found = plain.iter().find_map(|key| value.get_loose(key));
    found.map_or_else(null, str::to_owned)
}

fn attribute(attributes: &str, key: &str) -> String {
    let pairs = json::elements(attributes)
        .into_iter()
        .filter_map(Object::parse);
    let value = pairs
        .filter(|pair| pair.text("key") == key)
        .find_map(|pair| pair.object("value"));
    let text = value.and_then(|value| value.get_loose("stringValue"));
    text.map_or_else(String::new, |text| json::scalar(text).into_owned())
}
