//! `certificate-lifecycle`: client certificates from request over approval to first use.
//!
//! A certificate signing request is made, approved, signed, and often deleted; the certificate stays, and
//! nothing revokes it. Whom it is for stands in the request's body; at level Metadata only who asked is known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::custody::Sum;
use super::{Context, Draft, counted, lasting};
use crate::credential::{Entry, Ledger};
use crate::detect::json::Json;
use crate::detect::request::{Request, Sighting};
use crate::detect::view;
use crate::finding::{Finding, Severity, Timestamp};
use crate::frame::Vocabulary;
use crate::frame::vocabulary::known;
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct Certificate {
    meta: RuleMeta,
    long_lived_us: i64,
    requests: BTreeMap<String, Signing>,
    /// Requests beyond those that are kept.
    more: u64,
}

remembers!(Certificate: [requests, more], anew [meta, long_lived_us]);

/// One signing request and what became of it.
#[derive(Clone, Serialize, Deserialize)]
struct Signing {
    by: u32,
    made: Sighting,
    /// Common name of the certificate, if the log has the body.
    name: Option<String>,
    seconds: Option<i64>,
    approved: Option<(u32, Sighting)>,
    signed: Option<i64>,
    deleted: Option<(u32, i64)>,
}

/// How many signing requests are kept; a mesh that has each Pod signed makes more.
const KEPT: usize = 1024;

const LINES: usize = 20;

/// The signer of certificates that the API server takes from clients.
const SIGNER: &str = "kubernetes.io/kube-apiserver-client";

impl Certificate {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            long_lived_us: parameters.duration_us("long_lived")?,
            requests: BTreeMap::new(),
            more: 0,
        })
    }

    /// Takes in a request on a certificate signing request; `bodies` are asked for what was sent and
    /// answered.
    pub fn observe<'b>(
        &mut self,
        request: &Request<'_>,
        bodies: impl FnOnce() -> [&'b str; 2],
        vocabulary: &Vocabulary,
    ) {
        let verb = request.verb();
        let writes = [known::CREATE, known::UPDATE, known::PATCH, known::DELETE].contains(&verb);
        if !writes || !request.succeeded() {
            return;
        }
        let by = request.username();
        if verb == known::CREATE {
            self.make(request, bodies(), vocabulary);
            return;
        }
        let Some(signing) = self.requests.get_mut(request.name()) else {
            return;
        };
        match vocabulary.text(request.subresource()) {
            "approval" => signing.approved = Some((by, request.sighting())),
            "status" => signing.signed = Some(request.ts),
            "" if verb == known::DELETE => signing.deleted = Some((by, request.ts)),
            _ => {}
        }
    }

    fn make(&mut self, request: &Request<'_>, bodies: [&str; 2], vocabulary: &Vocabulary) {
        let user = vocabulary.text(request.username());
        // Kubelets have theirs signed by the control plane itself.
        let by_kubelet =
            request.identity_kind() == known::NODE || user.starts_with("system:bootstrap:");
        // A review of one's own rights is a create without a name.
        let [sent, answer] = bodies.map(|body| serde_json::from_str(body).unwrap_or(Value::Null));
        let name = match request.name() {
            "" => answer["metadata"]["name"].as_str().unwrap_or_default(),
            name => name,
        };
        let signer = sent["spec"]["signerName"].as_str().unwrap_or(SIGNER);
        if by_kubelet || name.is_empty() || signer != SIGNER {
            return;
        }
        if self.requests.len() >= KEPT {
            self.more += 1;
            return;
        }
        let signing = Signing {
            by: request.username(),
            made: request.sighting(),
            name: common_name(bodies[0]),
            seconds: sent["spec"]["expirationSeconds"].as_i64(),
            approved: None,
            signed: None,
            deleted: None,
        };
        self.requests.insert(name.to_owned(), signing);
    }

    /// Draws the finding, if anybody asked for a certificate.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger) -> Option<Finding> {
        if self.requests.is_empty() {
            return None;
        }
        let vocabulary = context.vocabulary;
        let mut sum = Sum::default();
        let mut is_long = false;
        let mut is_own = false;
        let mut used = 0;
        let mut lines = Vec::new();
        for (name, signing) in &self.requests {
            sum.add_sighting(&signing.made);
            if let Some((by, sighting)) = &signing.approved {
                sum.add_sighting(sighting);
                is_own |= *by == signing.by;
            }
            let lifetime = signing
                .seconds
                .map(|seconds| seconds.saturating_mul(1_000_000));
            is_long |= lifetime.is_some_and(|lifetime| lifetime > self.long_lived_us);
            let first = signing.first_use(ledger, vocabulary);
            if let Some(used) = first.and_then(|entry| entry.uses.first()) {
                sum.add_sighting(&used.sighting);
            }
            used += usize::from(first.is_some());
            if lines.len() < LINES {
                lines.push(signing.line(name, first, vocabulary));
            }
        }
        let tally = sum.tally(context);
        let mut draft = Draft::new(&self.meta, Vec::new(), &tally);
        let approved = self
            .requests
            .values()
            .filter(|signing| signing.approved.is_some())
            .count();
        let is_unnamed = self.requests.values().all(|signing| signing.name.is_none());
        let used = if is_unnamed && used == 0 {
            "not known to be used".to_owned()
        } else {
            format!("{used} seen in use")
        };
        draft.summary = format!(
            "{} asked for, {approved} approved, {used}",
            counted(self.requests.len() as u64 + self.more, "client certificate"),
        );
        draft.why = lines;
        let more = self.requests.len().saturating_sub(LINES) as u64 + self.more;
        if more > 0 {
            draft.why.push(format!("and {more} more"));
        }
        if is_own {
            draft.severity = Severity::Low;
            draft
                .why
                .push("somebody approved what they asked for themselves".to_owned());
        }
        if is_long {
            draft.severity = Severity::Low;
            draft.why.push(format!(
                "asked for longer than {}",
                lasting(self.long_lived_us)
            ));
        }
        if is_unnamed {
            draft.blind_spots.push(
                "whom the certificates are for, and how long: the log has no bodies of signing requests"
                    .to_owned(),
            );
        }
        Some(sum.finish(draft, vocabulary))
    }
}

impl Signing {
    /// Returns the certificate that came into use after the approval, under the name it was made for.
    fn first_use<'l>(&self, ledger: &'l Ledger, vocabulary: &Vocabulary) -> Option<&'l Entry> {
        let approved = self.approved.as_ref().map(|(_, sighting)| sighting.ts)?;
        let name = self
            .name
            .as_deref()
            .unwrap_or_else(|| vocabulary.text(self.by));
        let entries = ledger.of_username(vocabulary.find(name)?);
        entries
            .filter(|entry| vocabulary.text(entry.credential).starts_with("X509SHA256="))
            .filter(|entry| entry.first >= approved)
            .min_by_key(|entry| (entry.first, vocabulary.text(entry.credential)))
    }

    fn line(&self, name: &str, first: Option<&Entry>, vocabulary: &Vocabulary) -> String {
        let text = |code: u32| vocabulary.text(code);
        let mut parts = vec![format!(
            "asked for by {} at {}",
            text(self.by),
            Timestamp(self.made.ts)
        )];
        if let Some(subject) = &self.name {
            parts.push(format!("for user {subject}"));
        }
        if let Some(seconds) = self.seconds {
            parts.push(format!(
                "for {}",
                lasting(seconds.saturating_mul(1_000_000))
            ));
        }
        match &self.approved {
            Some((by, sighting)) => {
                let after = lasting(sighting.ts - self.made.ts);
                parts.push(format!("approved by {} after {after}", text(*by)));
            }
            None => parts.push("not approved".to_owned()),
        }
        if self.approved.is_some() && self.signed.is_none() {
            parts.push("not signed".to_owned());
        }
        if let Some((by, ts)) = self.deleted {
            parts.push(format!(
                "request deleted by {} at {}",
                text(by),
                Timestamp(ts)
            ));
        }
        if let Some(entry) = first {
            let at = entry.uses.first().map_or("", |used| text(used.peer));
            parts.push(format!(
                "first used at {} from {at}",
                Timestamp(entry.first)
            ));
        }
        format!("{name}: {}", parts.join("; "))
    }
}

/// Returns whom a certificate is asked for, of the body of its signing request.
fn common_name(body: &str) -> Option<String> {
    let subject = view::csr(&Json::parse(body, &view::keys()));
    let names = subject.get("common_name")?.as_list()?;
    names.first()?.as_text().map(str::to_owned)
}
