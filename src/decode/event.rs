//! Borrowed model of the `audit.k8s.io` `Event` (v1 and v1beta1), as far as kubescry reads it.
//!
//! Source: kubernetes/apiserver `pkg/apis/audit/v1/types.go`. Absent, null and empty are all the
//! empty string here: the API server writes none of them apart (`omitempty`). Lists of strings stay
//! JSON text, because they repeat enormously and are worth parsing once per distinct text only.

use std::borrow::Cow;

/// Text of the log: borrowed from the line, unless it had escapes.
pub type Text<'a> = Cow<'a, str>;

/// A piece of the line, as byte offset and length within it; empty if the event lacks it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte in the line.
    pub start: u32,
    /// Bytes.
    pub length: u32,
}

impl Span {
    /// Returns the span of `part`, which must be a slice of `line`.
    pub(crate) fn of(part: &str, line: &str) -> Self {
        let start = part.as_ptr() as usize - line.as_ptr() as usize;
        debug_assert!(start + part.len() <= line.len(), "part of the line");
        Self {
            start: offset(start),
            length: offset(part.len()),
        }
    }

    /// Returns where the text `part` stands in `whole`; the empty span if it does not, as when it is the
    /// empty default of an absent field.
    pub(crate) fn within(part: &str, whole: &str) -> Self {
        if part.is_empty() {
            Self::default()
        } else {
            Self::of(part, whole)
        }
    }

    /// Returns the span moved by `by` bytes; the empty one stays as it is.
    pub(crate) fn shifted(self, by: usize) -> Self {
        if self.is_empty() {
            self
        } else {
            Self {
                start: self.start + offset(by),
                ..self
            }
        }
    }

    /// Returns where it ends.
    pub(crate) fn end(self) -> u32 {
        self.start + self.length
    }

    /// Returns whether the event lacks it.
    pub fn is_empty(self) -> bool {
        self.length == 0
    }

    /// Returns its text within `line`.
    pub fn slice(self, line: &str) -> &str {
        &line[self.start as usize..self.end() as usize]
    }
}

/// Lines are shorter than 4 GiB: `source::chunk` bounds them far below.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a line is shorter than 4 GiB")
}

/// One audit event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event<'a> {
    /// `level`
    pub level: Text<'a>,
    /// `auditID`; the client may choose it.
    pub audit_id: Text<'a>,
    /// `stage`
    pub stage: Text<'a>,
    /// `requestURI`
    pub request_uri: Text<'a>,
    /// `verb`
    pub verb: Text<'a>,
    /// `user`; empty on a failed authentication.
    pub user: User<'a>,
    /// `impersonatedUser`
    pub impersonated: Option<User<'a>>,
    /// `sourceIPs` as JSON text; only the last entry cannot be forged.
    pub source_ips: Text<'a>,
    /// `userAgent`
    pub user_agent: Text<'a>,
    /// `objectRef`; `None` on non-resource requests.
    pub object: Option<ObjectRef<'a>>,
    /// `responseStatus`
    pub status: Status<'a>,
    /// `requestObject`, raw.
    pub request_object: Span,
    /// `responseObject`, raw.
    pub response_object: Span,
    /// `requestReceivedTimestamp` in microseconds since the Unix epoch, UTC.
    pub received: Option<i64>,
    /// `stageTimestamp` likewise.
    pub stage_time: Option<i64>,
    /// `annotations`
    pub annotations: Annotations<'a>,
}

/// `authentication.k8s.io` `UserInfo`, and of `extra` the keys that name a credential.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User<'a> {
    /// `username`
    pub username: Text<'a>,
    /// `uid`
    pub uid: Text<'a>,
    /// `groups` as JSON text.
    pub groups: Text<'a>,
    /// `extra`, raw.
    pub extra_span: Span,
    /// First value of `extra["authentication.kubernetes.io/credential-id"]` (KEP-4193).
    pub credential_id: Text<'a>,
    /// First value of `extra["authentication.kubernetes.io/pod-name"]`.
    pub pod_name: Text<'a>,
    /// First value of `extra["authentication.kubernetes.io/pod-uid"]`.
    pub pod_uid: Text<'a>,
    /// First value of `extra["authentication.kubernetes.io/node-name"]`.
    pub node_name: Text<'a>,
    /// First value of `extra["accessKeyId"]` (aws-iam-authenticator) or `extra["oid"]` (Entra ID).
    pub cloud_key: Text<'a>,
    /// Whether `extra` says what an OAuth token is good for (openshift/api `authorization/v1`, `ScopesKey`).
    pub is_scoped: bool,
}

/// `objectRef`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectRef<'a> {
    /// `resource`
    pub resource: Text<'a>,
    /// `namespace`
    pub namespace: Text<'a>,
    /// `name`
    pub name: Text<'a>,
    /// `uid`
    pub uid: Text<'a>,
    /// `apiGroup`; empty is the core group.
    pub api_group: Text<'a>,
    /// `apiVersion`
    pub api_version: Text<'a>,
    /// `subresource`
    pub subresource: Text<'a>,
    /// `resourceVersion`
    pub resource_version: Text<'a>,
}

/// `responseStatus`, a `metav1.Status`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status<'a> {
    /// `code`; 0 if the event has none.
    pub code: u16,
    /// `reason`
    pub reason: Text<'a>,
    /// `message`
    pub message: Text<'a>,
    /// `details.uid`: the object that a deletion removed.
    pub details_uid: Text<'a>,
}

/// The annotations that are columns or name a credential.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations<'a> {
    /// All of them, raw.
    pub span: Span,
    /// `authorization.k8s.io/decision`
    pub decision: Text<'a>,
    /// `authorization.k8s.io/reason`
    pub reason: Text<'a>,
    /// `authentication.kubernetes.io/issued-credential-id`, on token requests.
    pub issued_credential_id: Text<'a>,
    /// `authentication.k8s.io/legacy-token`: the ServiceAccount's user name.
    pub legacy_token: Text<'a>,
    /// `authentication.k8s.io/legacy-token-manual-secret` or `-autogenerated-secret`: the Secret.
    pub legacy_secret: Text<'a>,
    /// `authentication.k8s.io/legacy-token-invalidated`: a refused token and its Secret.
    pub legacy_invalidated: Text<'a>,
    /// `audit.k8s.io/truncated`: the API server left out the bodies.
    pub truncated: Text<'a>,
    /// Whether there are any under a name that is no column's path.
    pub has_others: bool,
}

impl<'a> User<'a> {
    /// Stores the first value of the `extra` entry `key`, if kubescry reads that key.
    pub(super) fn set_extra(&mut self, key: &str, first: Text<'a>) {
        match key {
            "authentication.kubernetes.io/credential-id" => self.credential_id = first,
            "authentication.kubernetes.io/pod-name" => self.pod_name = first,
            "authentication.kubernetes.io/pod-uid" => self.pod_uid = first,
            "authentication.kubernetes.io/node-name" => self.node_name = first,
            "accessKeyId" | "oid" => self.cloud_key = first,
            "scopes.authorization.openshift.io" => self.is_scoped = true,
            _ => {}
        }
    }
}

impl<'a> Annotations<'a> {
    /// Stores the annotation `key`, if kubescry reads it.
    pub(super) fn set(&mut self, key: &str, value: Text<'a>) {
        match key {
            "authorization.k8s.io/decision" => self.decision = value,
            "authorization.k8s.io/reason" => self.reason = value,
            "authentication.kubernetes.io/issued-credential-id" => {
                self.issued_credential_id = value;
            }
            "authentication.k8s.io/legacy-token" => self.legacy_token = value,
            "authentication.k8s.io/legacy-token-manual-secret" => self.legacy_secret = value,
            "authentication.k8s.io/legacy-token-autogenerated-secret" => {
                self.legacy_secret = value;
                self.has_others = true;
            }
            "authentication.k8s.io/legacy-token-invalidated" => self.legacy_invalidated = value,
            "audit.k8s.io/truncated" => self.truncated = value,
            _ => self.has_others = true,
        }
    }
}
