//! What envelopes say of the events inside, handed inward.

/// What envelopes say of the events inside.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    /// The chain of envelopes, from outside in.
    pub(super) envelope: String,
    /// The cluster.
    pub(super) cluster: Option<String>,
    /// The machine that wrote the log.
    pub(super) node: Option<String>,
    /// The log stream, or the pod of the API server.
    pub(super) stream: Option<String>,
    /// The version that a list gives for its items.
    pub(super) version: Option<String>,
    /// Envelopes opened so far.
    pub(super) depth: u8,
    /// An envelope with a family of its own has been opened.
    pub(super) inside: bool,
}

impl Context {
    /// Returns the context within an envelope called `name`.
    pub(super) fn enter(&self, name: &str) -> Self {
        Self {
            inside: true,
            ..self.list(name)
        }
    }

    /// Returns the context within a list, which is of no family.
    pub(super) fn list(&self, name: &str) -> Self {
        let mut inner = self.clone();
        inner.depth += 1;
        if !inner.envelope.is_empty() {
            inner.envelope.push_str(" > ");
        }
        inner.envelope.push_str(name);
        inner
    }

    /// Notes what the envelope says, unless an outer one has said it; empty says nothing.
    pub(super) fn with(mut self, cluster: &str, node: &str, stream: &str) -> Self {
        let mut set = |place: fn(&mut Self) -> &mut Option<String>, text: &str| {
            let place = place(&mut self);
            if place.is_none() && !text.is_empty() {
                *place = Some(text.to_owned());
            }
        };
        set(|context| &mut context.cluster, cluster);
        set(|context| &mut context.node, node);
        set(|context| &mut context.stream, stream);
        self
    }

    /// Notes the version that a list gives for its items.
    pub(super) fn with_version(mut self, version: &str) -> Self {
        if version.starts_with("audit.k8s.io/") {
            self.version = Some(version.to_owned());
        }
        self
    }
}
