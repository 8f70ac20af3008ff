//! The verb and the object of a log entry, from the names of its method and resource.

use super::super::json::{self, Object};
use super::super::request_info;

/// The parts of a method and a resource name.
#[derive(Default)]
pub(super) struct Target {
    pub(super) verb: String,
    /// The path as the API server has it.
    pub(super) uri: String,
    /// The path of the object, which a create does not have yet.
    pub(super) path: String,
    pub(super) subresource: String,
}

/// Returns whether requests like this are logged at their start and at their end.
pub(super) fn is_long(target: &Target) -> bool {
    target.verb == "watch" || matches!(&*target.subresource, "log" | "proxy")
}

/// Reads `io.k8s.<group reversed>.<version>.<resource>[.<subresource>].<verb>` and
/// `<group>/<version>/[namespaces/<ns>/]<resource>[/<name>[/<subresource>]]`.
pub(super) fn target(method: &str, name: &str, request: Option<&str>) -> Target {
    let parts: Vec<&str> = method.split('.').collect();
    let verb = (*parts.last().unwrap_or(&"")).to_owned();
    let name = name.trim_start_matches('/');
    let Some(at) = parts.iter().position(|part| is_version(part)) else {
        return Target {
            verb,
            uri: format!("/{name}"),
            ..Target::default()
        };
    };
    let behind = parts
        .get(at + 1..parts.len().saturating_sub(1))
        .unwrap_or_default();
    let resource = behind.first().copied().unwrap_or("");
    let subresource = behind.get(1..).unwrap_or_default().join("/");
    let mut segments: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
    let (group, version);
    if segments.len() > 2 && is_version(segments[1]) {
        (group, version) = (segments[0].to_owned(), segments[1].to_owned());
        segments.drain(..2);
    } else {
        (group, version) = (group_of(&parts[..at]), parts[at].to_owned());
        if segments.is_empty() {
            segments.push(resource);
        }
    }
    let is_core = group.is_empty() || group == "core";
    let prefix = if is_core {
        format!("/api/{version}")
    } else {
        format!("/apis/{group}/{version}")
    };
    // An object is created through its collection; only what lies below it has its name in the
    // path.
    let named_at = if segments[0] == "namespaces" && segments.len() > 2 {
        3
    } else {
        1
    };
    let path = if verb == "create" && subresource.is_empty() && segments.len() == named_at + 1 {
        &segments[..named_at]
    } else {
        &segments[..]
    };
    let mut uri = format!("{prefix}/{}", path.join("/"));
    if request_info::is_session(&subresource) {
        push_command(&mut uri, request);
    }
    Target {
        verb,
        uri,
        path: format!("{prefix}/{}", segments.join("/")),
        subresource,
    }
}

/// Writes the command of an exec where the API server has it, in the query, which the entry has
/// lost.
fn push_command(uri: &mut String, request: Option<&str>) {
    let Some(options) = request.and_then(Object::parse) else {
        return;
    };
    let command = options.get("command").unwrap_or_default();
    for word in json::elements(command) {
        uri.push(if uri.contains('?') { '&' } else { '?' });
        uri.push_str("command=");
        for byte in json::scalar(word).bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    uri.push(char::from(byte));
                }
                b' ' => uri.push('+'),
                other => {
                    const HEX: &[u8; 16] = b"0123456789ABCDEF";
                    uri.push('%');
                    uri.push(char::from(HEX[usize::from(other >> 4)]));
                    uri.push(char::from(HEX[usize::from(other & 15)]));
                }
            }
        }
    }
}

/// `v1`, `v2beta1`, ...
fn is_version(part: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(rest) = part.strip_prefix('v') else {
        return false;
    };
    let minor = ["alpha", "beta"]
        .iter()
        .find_map(|word| rest.split_once(word));
    minor.map_or_else(
        || digits(rest),
        |(major, minor)| digits(major) && digits(minor),
    )
}

/// Returns the API group of a reversed domain: `io.k8s.authorization.rbac` is
/// `rbac.authorization.k8s.io`.
fn group_of(path: &[&str]) -> String {
    match path {
        ["io", "k8s", "core"] | ["io", "k8s"] => String::new(),
        // The groups from before groups were domains.
        [
            "io",
            "k8s",
            group @ ("apps" | "batch" | "autoscaling" | "policy" | "extensions"),
        ] => (*group).to_owned(),
        _ => path.iter().rev().copied().collect::<Vec<_>>().join("."),
    }
}
