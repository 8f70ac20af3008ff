//! `cluster-admin-proven`: a binding that nobody could read, and what it turned out to give.
//!
//! At level Metadata the content of a ClusterRoleBinding is not in the log. The reason of each request that it allows names
//! it, its role and its subject; so once somebody lives off it, it is known whether it gave everything. What programs
//! write is left out: their own rules name them by what they write, which is not there to be read.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{Context, Draft, begins, counted, listed};
use crate::detect::fold::Folded;
use crate::detect::rbac::{Grant, Reasons};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Finding, Severity, Timestamp};
use crate::frame::NULL;
use crate::frame::vocabulary::known;
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct ProvenGrant {
    meta: RuleMeta,
    by_hand: Vec<String>,
    /// By name of the binding.
    written: HashMap<Box<str>, Written>,
    /// The binding that a reason names, if that gives everything.
    reasons: Reasons<Option<Box<str>>>,
}

remembers!(ProvenGrant: [written], anew [meta, by_hand, reasons]);

/// A binding that was written unread.
#[derive(Clone, Serialize, Deserialize)]
struct Written {
    tally: Tally,
    proof: Option<Proof>,
}

/// The first request that it allowed.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Proof {
    reason: u32,
    user: u32,
    ts: i64,
}

/// Bindings that are remembered.
const BINDINGS: usize = 4096;

impl ProvenGrant {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            by_hand: parameters.strings("by_hand")?,
            written: HashMap::new(),
            reasons: Reasons::default(),
        })
    }

    /// Forgets what was written before a time.
    pub fn forget(&mut self, before: i64) {
        self.written
            .retain(|_, written| written.tally.last >= before);
    }

    /// Takes in one request.
    pub fn observe(&mut self, folded: &Folded<'_>, context: &Context<'_>) {
        let request = &folded.request;
        if self.is_unread(folded, context) {
            let name = request.name();
            if self.written.len() < BINDINGS || self.written.contains_key(name) {
                let written = self.written.entry(name.into());
                let written = written.or_insert_with(|| Written {
                    tally: Tally::empty(),
                    proof: None,
                });
                written.tally.add(request, context);
            }
        }
        let reason = request.authz_reason();
        if self.written.is_empty() || reason == NULL {
            return;
        }
        let binding = self.reasons.of(request, context.vocabulary, |grant| {
            grant.is_of_superuser().then(|| grant.binding.into())
        });
        if let Some(binding) = binding
            && let Some(written) = self.written.get_mut(binding)
        {
            written.proof.get_or_insert(Proof {
                reason,
                user: request.username(),
                ts: request.ts,
            });
        }
    }

    /// Returns whether a request wrote a binding by hand, and the log does not say what.
    fn is_unread(&self, folded: &Folded<'_>, context: &Context<'_>) -> bool {
        let request = &folded.request;
        let text = |code| context.vocabulary.text(code);
        let is_write = matches!(request.verb(), known::CREATE | known::UPDATE | known::PATCH);
        is_write
            && request.subresource() == NULL
            && text(request.resource()) == "clusterrolebindings"
            && request.succeeded()
            && !request.name().is_empty()
            && folded.bodies() == ["", ""]
            && !request.is_dry_run(context.vocabulary)
            && self.is_by_hand(request, context)
    }

    fn is_by_hand(&self, request: &Request<'_>, context: &Context<'_>) -> bool {
        let agent = context.vocabulary.text(request.user_agent());
        matches!(
            request.identity_kind(),
            known::USER | known::SERVICE_ACCOUNT
        ) && begins(agent, &self.by_hand)
    }

    /// Draws the findings: one for each binding.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let proven = self.written.iter();
        let proven =
            proven.filter_map(|(name, written)| Some((name, &written.tally, written.proof?)));
        let findings = proven.map(|(name, tally, proof)| {
            let grant = Grant::parse(vocabulary.text(proof.reason)).expect("it was read before");
            let mut draft = Draft::new(&self.meta, vec![name.to_string()], tally);
            draft.summary = format!(
                "`{}` wrote the ClusterRoleBinding `{name}` ({}), and it gives cluster-admin to {}: so requests of `{}` show",
                listed(&tally.usernames(vocabulary)),
                counted(tally.count, "request"),
                grant.subject,
                vocabulary.text(proof.user),
            );
            draft.why = vec![
                format!("reason = {}", vocabulary.text(proof.reason)),
                format!("first request that it allowed = {}", Timestamp(proof.ts)),
                "the content of the binding is not in the log".to_owned(),
            ];
            // Operators are installed so.
            if grant.subject.starts_with("ServiceAccount ") {
                draft.severity = Severity::Medium;
            }
            draft.finish(vocabulary)
        });
        findings.collect()
    }
}
