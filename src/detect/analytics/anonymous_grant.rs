//! `anonymous-grant-in-use`: a binding that lets anonymous requests through, named by the authorizer.
//!
//! At level Metadata the creation of a binding shows neither subjects nor role. So the grant is read from
//! its use, in the reason that the authorizer gives, and tied to the request that made or changed the binding, if that is in the log.

use hashbrown::HashMap;

use super::{Context, Draft, counted};
use crate::detect::rbac::Grant;
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Finding, Severity};
use crate::frame::NULL;
use crate::frame::vocabulary::known;
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct AnonymousGrant {
    meta: RuleMeta,
    harmless: Vec<String>,
    harmless_for_paths: Vec<String>,
    /// Per authorizer's reason.
    uses: HashMap<u32, Tally>,
    /// Per binding, as the reason names it.
    writes: HashMap<String, Tally>,
}

remembers!(AnonymousGrant: [uses, writes], anew [meta, harmless, harmless_for_paths]);

impl AnonymousGrant {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(meta: &RuleMeta, parameters: &Parameters) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            harmless: parameters.strings("harmless_bindings")?,
            harmless_for_paths: parameters.strings("harmless_for_paths")?,
            uses: HashMap::new(),
            writes: HashMap::new(),
        })
    }

    /// Takes in one request.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let vocabulary = context.vocabulary;
        let is_binding = matches!(
            request.resource(),
            known::ROLE_BINDINGS | known::CLUSTER_ROLE_BINDINGS
        );
        let is_write = matches!(request.verb(), known::CREATE | known::UPDATE | known::PATCH);
        if is_binding && is_write && request.succeeded() {
            let binding = match vocabulary.text(request.namespace()) {
                "" => request.name().to_owned(),
                namespace => format!("{}/{namespace}", request.name()),
            };
            let new = || Tally::new(request, context);
            match self.writes.get_mut(&binding) {
                Some(tally) => tally.add(request, context),
                None => drop(self.writes.insert(binding, new())),
            }
        }
        if request.identity_kind() == known::ANONYMOUS
            && request.authz_reason() != NULL
            && vocabulary.text(request.decision()) == "allow"
        {
            self.uses
                .entry(request.authz_reason())
                .and_modify(|tally| tally.add(request, context))
                .or_insert_with(|| Tally::new(request, context));
        }
    }

    /// Draws the findings.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut findings = Vec::new();
        for (reason, used) in self.uses {
            let Some(grant) = Grant::parse(vocabulary.text(reason)) else {
                continue;
            };
            // By what it gives as well: anybody may call a binding as he likes.
            let whole = format!("{} {} of {}", grant.kind, grant.binding, grant.role);
            let among = |bindings: &[String]| bindings.contains(&whole);
            let paths_only = used.resources(vocabulary).is_empty();
            if among(&self.harmless) || (paths_only && among(&self.harmless_for_paths)) {
                continue;
            }
            let mut tally = used.clone();
            let written = self.writes.get(grant.binding);
            let made = match written {
                Some(writes) => {
                    tally.merge(writes.clone(), context);
                    format!(
                        ", written by {}",
                        super::listed(&writes.usernames(vocabulary))
                    )
                }
                None => String::new(),
            };
            let mut draft = Draft::new(
                &self.meta,
                vec![grant.kind.to_owned(), grant.binding.to_owned()],
                &tally,
            );
            draft.window_start = used.began;
            draft.summary = format!(
                "{} `{}`{made} gives {} to {}: {} without credentials let through by it",
                grant.kind,
                grant.binding,
                grant.role,
                grant.subject,
                counted(used.count, "request"),
            );
            draft.why = vec![
                format!(
                    "annotations.authorization.k8s.io/reason = {}",
                    vocabulary.text(reason)
                ),
                "user.username = system:anonymous".to_owned(),
            ];
            // By another binding, as for the keys that tokens of ServiceAccounts are checked with elsewhere.
            let gives = format!(" of {}", grant.role);
            if paths_only
                && self
                    .harmless_for_paths
                    .iter()
                    .any(|it| it.ends_with(&gives))
            {
                draft.severity = Severity::Low;
                let doubt = "only paths were asked for, by a role that clusters come with and publish by default";
                draft.why.push(doubt.to_owned());
            }
            if written.is_none() {
                draft.blind_spots.push(
                    "the log does not hold the request that made the binding: it is older than the log"
                        .to_owned(),
                );
            }
            findings.push(draft.finish(vocabulary));
        }
        findings
    }
}
