//! `pod-runs-as-superuser`: Pods under a `ServiceAccount` that may do everything, written by somebody who may not.
//!
//! Whoever writes a Pod may name any `ServiceAccount` of its namespace, and its token is inside. Who is a superuser only the
//! whole log tells, so what is written is kept by writer and account until then. Programs that make Pods for others
//! (pipelines, operators) name accounts on behalf of them; of `ServiceAccounts` only what looks as if it was done by hand counts.
//! A whole object that is written again (PUT, apply) says something new only if the log shows under which account it was before,
//! which is remembered for that.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::custody::Superusers;
use super::{Context, Draft, begins, counted, listed};
use crate::detect::fold::Folded;
use crate::detect::json::{Json, Keys};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::detect::view;
use crate::detect::workload;
use crate::finding::Finding;
use crate::frame::NULL;
use crate::frame::derived::service_account_user;
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
    /// The user name of each workload's `ServiceAccount` as it was last written, and when.
    accounts: HashMap<Workload, (u32, i64)>,
}

/// Resource, namespace and name.
type Workload = (u32, u32, Box<str>);

remembers!(SuperuserPod: [written, accounts], anew [meta, by_hand, keys]);

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

/// Those of them that live long and are changed. What controllers make by the dozen is none.
const CHANGEABLE: [&str; 4] = ["deployments", "daemonsets", "statefulsets", "cronjobs"];

/// Workloads whose accounts are known.
const KNOWN: usize = 8192;

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
            accounts: HashMap::new(),
        })
    }

    /// Forgets what nobody wrote again since `before`.
    pub fn forget(&mut self, before: i64) {
        self.written.retain(|_, tally| tally.last >= before);
        self.accounts.retain(|_, (_, last)| *last >= before);
    }

    /// Takes in one request.
    pub fn observe(&mut self, folded: &Folded<'_>, context: &Context<'_>) {
        let request = &folded.request;
        let is_write = matches!(request.verb(), known::CREATE | known::UPDATE | known::PATCH);
        if !is_write || request.subresource() != NULL || !request.succeeded() {
            return;
        }
        let text = |code| context.vocabulary.text(code);
        let resource = text(request.resource());
        let is_hand = self.is_hand(request, context);
        let is_changeable = CHANGEABLE.contains(&resource);
        let is_of_use = is_hand && WORKLOADS.contains(&resource) || is_changeable;
        if !is_of_use || request.is_dry_run(context.vocabulary) {
            return;
        }
        // Of the body alone: who names no account has got `default` by the answer.
        let object = view::object(text(request.verb()), folded.bodies()[0], "", &self.keys);
        let is_whole = request.verb() != known::PATCH || object.get("kind").is_some();
        let name = match account(&object) {
            None if is_whole && workload::specs(&object).next().is_some() => "default",
            None => return,
            Some(name) => name,
        };
        let namespace = text(request.namespace());
        let account = service_account_user(namespace, name);
        let account = context.vocabulary.code(&account);
        let before = is_changeable.then(|| self.change(request, account));
        let is_changed = before.flatten().is_some_and(|before| before != account);
        if !is_hand || !(request.made() || is_changed || !is_whole) {
            return;
        }
        let pair = (request.username(), account);
        if self.written.len() < PAIRS || self.written.contains_key(&pair) {
            let tally = self.written.entry(pair).or_insert_with(Tally::empty);
            tally.add(request, context);
        }
    }

    /// Takes in under which account a workload runs; returns that before, if it is known.
    fn change(&mut self, request: &Request<'_>, account: u32) -> Option<u32> {
        let name = request.name();
        if name.is_empty() {
            return None;
        }
        let workload = (request.resource(), request.namespace(), name.into());
        let now = (account, request.ts);
        if let Some(known) = self.accounts.get_mut(&workload) {
            return Some(std::mem::replace(known, now).0);
        }
        if self.accounts.len() < KNOWN {
            self.accounts.insert(workload, now);
        }
        None
    }

    /// Returns whether it looks as if it was done by hand.
    fn is_hand(&self, request: &Request<'_>, context: &Context<'_>) -> bool {
        let text = |code| context.vocabulary.text(code);
        let agent = text(request.user_agent());
        match text(request.identity_kind()) {
            "user" | "anonymous" => true,
            "serviceaccount" => begins(agent, &self.by_hand),
            _ => false,
        }
    }

    /// Draws the findings; `superusers` are those who may do everything, by requests of the log.
    pub fn finish(self, context: &Context<'_>, superusers: &Superusers) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let text = |code| vocabulary.text(code);
        let written = self.written.iter();
        let written: BTreeMap<_, _> = written
            .map(|((by, account), tally)| ((text(*by), text(*account)), tally))
            .filter(|((by, account), tally)| superusers.is_rise(by, account, tally.first))
            .collect();
        let findings = written.into_iter().map(|((by, account), tally)| {
            let group = vec![by.to_owned(), account.to_owned()];
            let mut draft = Draft::new(&self.meta, group, tally);
            draft.summary = format!(
                "`{by}` wrote {} under `{account}`, which may do everything in the cluster",
                counted(tally.count, "workload"),
            );
            draft.why = Superusers::why(by, account);
            let agents = listed(&tally.agents(vocabulary));
            draft.why.push(format!("userAgent = {agents}"));
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
