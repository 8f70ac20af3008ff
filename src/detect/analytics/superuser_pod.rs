//! `pod-runs-as-superuser`: Pods under a `ServiceAccount` that may do everything, written by somebody who may not.
//!
//! Whoever writes a Pod may name any `ServiceAccount` of its namespace, and its token is inside. Who is a superuser only the
//! whole log tells, so what is written is kept by writer and account until then. Programs that make Pods for others
//! (pipelines, operators) name accounts on behalf of them; of `ServiceAccounts` only what looks as if it was done by hand counts.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use super::{Context, Draft, counted, listed};
use crate::detect::fold::Folded;
use crate::detect::json::{Json, Keys};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::detect::view;
use crate::detect::workload;
use crate::finding::Finding;
use crate::frame::NULL;
use crate::frame::vocabulary::known;
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct SuperuserPod {
    meta: RuleMeta,
    by_hand: Vec<String>,
    keys: Keys,
    /// By writer and user name of the `ServiceAccount`.
    written: HashMap<(u32, u32), Tally>,
}

remembers!(SuperuserPod: [written], anew [meta, by_hand, keys]);

/// Resources that are Pods or make them.
const WORKLOADS: [&str; 8] = [
    "pods",
    "deployments",
    "daemonsets",
    "statefulsets",
    "replicasets",
    "replicationcontrollers",
    "jobs",
    "cronjobs",
];

/// The keys that name the account of a Pod; the second is the older one (core/v1 `PodSpec`).
const ACCOUNT: [&str; 2] = ["serviceAccountName", "serviceAccount"];

/// Pairs of writer and account that are kept.
const PAIRS: usize = 4096;

impl SuperuserPod {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        let mut keys = view::keys();
        workload::keep_specs(&mut keys);
        for key in ACCOUNT {
            keys.keep(key);
        }
        Ok(Self {
            meta: meta.clone(),
            by_hand: parameters.strings("by_hand")?,
            keys,
            written: HashMap::new(),
        })
    }

    /// Forgets what nobody wrote again since `before`.
    pub fn forget(&mut self, before: i64) {
        self.written.retain(|_, tally| tally.last >= before);
    }

    /// Takes in one request.
    pub fn observe(&mut self, folded: &Folded<'_>, context: &Context<'_>) {
        let request = &folded.request;
        if !self.may_be_rise(request, context) {
            return;
        }
        let verb = context.vocabulary.text(request.verb());
        // Of the body alone: who names no account has got `default` by the answer.
        let object = view::object(verb, folded.bodies()[0], "", &self.keys);
        // A whole object that is applied again says nothing new.
        let is_applied_again = object.get("kind").is_some() && request.code != 201;
        let Some(name) = account(&object).filter(|_| !is_applied_again) else {
            return;
        };
        let namespace = context.vocabulary.text(request.namespace());
        let account = format!("system:serviceaccount:{namespace}:{name}");
        let pair = (request.username(), context.vocabulary.code(&account));
        if self.written.len() < PAIRS || self.written.contains_key(&pair) {
            let tally = self.written.entry(pair).or_insert_with(Tally::empty);
            tally.add(request, context.vocabulary, context.evidence_limit);
        }
    }

    fn may_be_rise(&self, request: &Request<'_>, context: &Context<'_>) -> bool {
        let text = |code| context.vocabulary.text(code);
        let is_write = matches!(request.verb(), known::CREATE | known::PATCH);
        if !is_write || request.subresource() != NULL || !request.succeeded() {
            return false;
        }
        let agent = text(request.user_agent());
        let is_hand = match text(request.identity_kind()) {
            "user" | "anonymous" => true,
            "serviceaccount" => self.by_hand.iter().any(|start| agent.starts_with(start)),
            _ => false,
        };
        is_hand
            && WORKLOADS.contains(&text(request.resource()))
            && !request.is_dry_run(context.vocabulary)
    }

    /// Draws the findings; `superusers` are those who may do everything, by requests of the log.
    pub fn finish(self, context: &Context<'_>, superusers: &HashSet<String>) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let text = |code| vocabulary.text(code);
        let written = self.written.iter();
        let written: BTreeMap<_, _> = written
            .map(|((by, account), tally)| ((text(*by), text(*account)), tally))
            .filter(|((by, account), _)| superusers.contains(*account) && !superusers.contains(*by))
            .collect();
        let findings = written.into_iter().map(|((by, account), tally)| {
            let group = vec![by.to_owned(), account.to_owned()];
            let mut draft = Draft::new(&self.meta, group, tally);
            draft.summary = format!(
                "`{by}` wrote {} under `{account}`, which may do everything in the cluster",
                counted(tally.count, "workload"),
            );
            draft.why = vec![
                format!("{account} = a superuser, by requests of this log"),
                format!("{by} = none, as far as the log shows"),
                format!("userAgent = {}", listed(&tally.agents(vocabulary))),
            ];
            draft.finish(vocabulary)
        });
        findings.collect()
    }
}

/// Returns the name of the `ServiceAccount` that a workload sets.
fn account<'j>(object: &'j Json<'_>) -> Option<&'j str> {
    let mut specs = workload::specs(object);
    specs.find_map(|spec| ACCOUNT.iter().find_map(|key| spec.get(key)?.as_text()))
}
