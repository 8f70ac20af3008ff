//! Exports of selected fields, each by its path: `user.username`, `sourceIPs.0`,
//! `annotations.authorization.k8s.io/decision`.

use std::collections::BTreeMap;

use super::context::Context;
use super::json::{self, Object, Writer};
use super::restore;
use super::time::rfc3339;
use super::walk::Walk;

/// The fields of an event.
const ROOTS: [&str; 16] = [
    "level",
    "auditID",
    "stage",
    "requestURI",
    "verb",
    "user",
    "impersonatedUser",
    "sourceIPs",
    "userAgent",
    "objectRef",
    "responseStatus",
    "requestObject",
    "responseObject",
    "requestReceivedTimestamp",
    "stageTimestamp",
    "annotations",
];
/// What stores put before the path.
const PREFIXES: [&str; 3] = ["kubernetes.audit.", "attributes.", "audit."];
/// Times of envelopes, the best first.
const TIMES: [&str; 5] = ["@timestamp", "TimeGenerated", "_time", "timestamp", "time"];
/// Longest path, in keys.
const MAX_KEYS: usize = 16;

/// One level of the event being built.
#[derive(Default)]
struct Node {
    value: Option<String>,
    inner: BTreeMap<String, Self>,
}

/// Opens a row of selected fields; false if it has no paths of an event.
pub(super) fn open(walk: &mut Walk<'_>, row: &Object<'_>, context: &Context) -> bool {
    let (mut n_known, mut n_paths) = (0, 0);
    let mut root = Node::default();
    for (name, value) in row.members() {
        let path = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
        let path = path.unwrap_or(name);
        let (field, rest) = path.split_once('.').unwrap_or((path, ""));
        if !ROOTS.contains(&field) {
            continue;
        }
        n_known += 1;
        n_paths += usize::from(!rest.is_empty() || path.len() != name.len());
        root.insert(keys(path), value);
    }
    // An event as such has objects where a selection has paths.
    if n_paths == 0
        && (n_known < 2
            || row.has_any(&["user", "objectRef"])
            || row.has_any(&["@message", "kind"]))
    {
        return false;
    }
    if row.members().any(|(name, _)| name.contains('(')) {
        walk.other("a row of sums over events");
        return true;
    }
    let mut event = Writer::event();
    for field in ROOTS {
        if let Some(node) = root.inner.remove(field)
            && let Some(value) = node.finish(field)
        {
            event.raw(field, &value);
        }
    }
    let has_time = |field: &str| row.members().any(|(name, _)| name.ends_with(field));
    if !has_time("requestReceivedTimestamp") && !has_time("stageTimestamp") {
        let time = TIMES.iter().find_map(|name| rfc3339(&row.text(name)));
        let time = time.unwrap_or_default();
        event.text("requestReceivedTimestamp", &time);
        event.text("stageTimestamp", &time);
    }
    walk.event(&event.finish(), context, true);
    true
}

/// Returns a row whose names are paths as an object of objects.
pub(super) fn nested(row: &Object<'_>) -> String {
    let mut root = Node::default();
    for (name, value) in row.members() {
        let keys = name.splitn(MAX_KEYS, '.').map(str::to_owned);
        root.insert(keys.collect(), value);
    }
    root.finish("").unwrap_or_default()
}

/// Splits a path; the keys of annotations and `extra` hold dots of their own.
fn keys(path: &str) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    let mut rest = path;
    while !rest.is_empty() && keys.len() + 1 < MAX_KEYS {
        let is_map = keys
            .last()
            .is_some_and(|key| key == "annotations" || key == "extra");
        if is_map {
            let (map_key, index) = match rest.rsplit_once('.') {
                Some((head, index)) if is_index(index) => (head, Some(index)),
                _ => (rest, None),
            };
            keys.push(restore::key(map_key).unwrap_or_else(|| map_key.to_owned()));
            keys.extend(index.map(str::to_owned));
            return keys;
        }
        let (key, behind) = rest.split_once('.').unwrap_or((rest, ""));
        keys.push(key.to_owned());
        rest = behind;
    }
    if !rest.is_empty() {
        keys.push(rest.to_owned());
    }
    keys
}

fn is_index(key: &str) -> bool {
    !key.is_empty() && key.len() < 5 && key.bytes().all(|byte| byte.is_ascii_digit())
}

impl Node {
    fn insert(&mut self, keys: Vec<String>, value: &str) {
        let mut node = self;
        for key in keys {
            node = node.inner.entry(key).or_default();
        }
        if json::scalar(value).is_empty() && !value.starts_with(['{', '[']) {
            return;
        }
        node.value = Some(value.to_owned());
    }

    /// Returns the JSON text; the depth is bounded by [`MAX_KEYS`].
    fn finish(self, name: &str) -> Option<String> {
        if let Some(value) = self.value {
            return Some(typed(name, &value));
        }
        let inner: Vec<(String, String)> = self
            .inner
            .into_iter()
            .filter_map(|(key, node)| node.finish(&key).map(|value| (key, value)))
            .collect();
        if inner.is_empty() {
            return None;
        }
        if inner.iter().all(|(key, _)| is_index(key)) {
            let mut values = inner;
            values.sort_by_key(|(key, _)| key.parse::<u32>().unwrap_or(0));
            let values: Vec<String> = values.into_iter().map(|(_, value)| value).collect();
            return Some(format!("[{}]", values.join(",")));
        }
        let mut object = Writer::new();
        for (key, value) in inner {
            object.raw(&key, &value);
        }
        Some(object.finish())
    }
}

/// Returns the elements of a list that a table has in one cell, one after the other.
///
/// Names of groups may hold what stands between elements elsewhere (`CN=admins,OU=it`). So a cell is taken apart only where
/// the parts show that it is a list: all are addresses, or one is the group that the API server adds by itself.
pub(in crate::decode) fn listed(cell: &str) -> Vec<&str> {
    const ADDED: [&str; 2] = ["system:authenticated", "system:unauthenticated"];
    let parts = || {
        let parts = cell.split([',', ';', '|', '\n']).map(str::trim);
        parts.filter(|part| !part.is_empty())
    };
    let is_list = parts().any(|part| ADDED.contains(&part))
        || parts().all(|part| part.parse::<std::net::IpAddr>().is_ok());
    if is_list {
        parts().collect()
    } else {
        vec![cell]
    }
}

/// Whether a field of an event is a list or an object.
pub(super) fn is_structure(name: &str) -> bool {
    matches!(
        name,
        "user"
            | "impersonatedUser"
            | "sourceIPs"
            | "objectRef"
            | "responseStatus"
            | "requestObject"
            | "responseObject"
            | "annotations"
            | "groups"
            | "extra"
    )
}

/// Returns the value of a field that is a list or an object where a table or store has made a text of it.
pub(super) fn unquoted(name: &str, value: &str) -> Option<String> {
    if !is_structure(name) {
        return None;
    }
    let text = json::string(value)?;
    let is_json = text.starts_with(['{', '[']) && json::is_valid(&text);
    is_json.then(|| text.into_owned())
}

/// Returns the value as an event has it: tables make text of numbers, lists and objects.
fn typed(name: &str, value: &str) -> String {
    if let Some(json) = unquoted(name, value) {
        return json;
    }
    let text = json::scalar(value);
    if matches!(name, "sourceIPs" | "groups") && !text.is_empty() {
        return serde_json::to_string(&listed(&text)).expect("a list of strings is JSON");
    }
    if name == "code"
        && let Ok(code) = text.parse::<u16>()
    {
        return code.to_string();
    }
    value.to_owned()
}
