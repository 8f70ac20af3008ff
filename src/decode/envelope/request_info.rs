//! What a request path means, as the API server's request info resolver reads it.
//!
//! Source: kubernetes/apiserver `pkg/endpoints/request/requestinfo.go`. Needed where an envelope or
//! the legacy text has the path but no object reference.

use super::json::Writer;

/// The parts of a request, borrowed from its path; empty where it has none.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RequestInfo<'a> {
    /// Whether the path names a resource.
    pub(super) is_resource: bool,
    /// API group; empty is the core group.
    pub(super) group: &'a str,
    /// API version.
    pub(super) version: &'a str,
    /// Namespace.
    pub(super) namespace: &'a str,
    /// Resource.
    pub(super) resource: &'a str,
    /// Name of the object.
    pub(super) name: &'a str,
    /// Subresource; of a proxied request only the word `proxy`.
    pub(super) subresource: &'a str,
    /// Whether the path begins with `watch` or `proxy` behind the version.
    pub(super) special: &'a str,
}

impl<'a> RequestInfo<'a> {
    /// Reads a path, with or without a query.
    pub(super) fn of(uri: &'a str) -> Self {
        let path = uri.split(['?', '#']).next().unwrap_or("");
        let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
        let mut info = Self::default();
        let is_core = match parts.next() {
            Some("api") => true,
            Some("apis") => false,
            _ => return info,
        };
        if !is_core {
            info.group = parts.next().unwrap_or("");
        }
        info.version = parts.next().unwrap_or("");
        if let Some(word @ ("watch" | "proxy")) = parts.peek().copied() {
            info.special = word;
            parts.next();
        }
        let Some(mut first) = parts.next() else {
            return Self::default();
        };
        info.is_resource = true;
        if first == "namespaces"
            && let Some(namespace) = parts.next()
        {
            info.namespace = namespace;
            match parts.peek() {
                Some(&next) if !matches!(next, "status" | "finalize") => {
                    first = next;
                    parts.next();
                }
                _ => info.name = namespace,
            }
        }
        info.resource = first;
        if info.name.is_empty() {
            info.name = parts.next().unwrap_or("");
        }
        if info.special.is_empty() {
            info.subresource = parts.next().unwrap_or("");
        }
        info
    }

    /// Returns the object reference; `None` for a path that names no resource.
    pub(super) fn object_ref(&self) -> Option<Writer> {
        self.is_resource.then(|| {
            let mut object = Writer::new();
            object.text("resource", self.resource);
            object.text("namespace", self.namespace);
            object.text("name", self.name);
            object.text("apiGroup", self.group);
            object.text("apiVersion", self.version);
            object.text("subresource", self.subresource);
            object
        })
    }

    /// Returns the verb of an HTTP method on this path.
    pub(super) fn verb(&self, method: &str, uri: &str) -> String {
        let method = method.to_ascii_lowercase();
        if !self.is_resource {
            return method;
        }
        if !self.special.is_empty() {
            return self.special.to_owned();
        }
        let is_watch = ["watch=true", "watch=1"].iter().any(|word| {
            uri.split_once('?')
                .is_some_and(|(_, query)| query.split('&').any(|part| part == *word))
        });
        match method.as_str() {
            "post" => "create",
            "put" => "update",
            "patch" => "patch",
            "delete" if self.name.is_empty() => "deletecollection",
            "delete" => "delete",
            "get" | "head" if is_watch => "watch",
            "get" | "head" if self.name.is_empty() => "list",
            "get" | "head" => "get",
            _ => "",
        }
        .to_owned()
    }
}

/// Returns whether `method` is an HTTP method and no verb: those are written in capitals.
pub(super) fn is_http_method(method: &str) -> bool {
    !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Returns whether a request on this subresource lasts, and is logged at `ResponseStarted`.
pub(super) fn is_session(subresource: &str) -> bool {
    matches!(subresource, "exec" | "attach" | "portforward")
}
