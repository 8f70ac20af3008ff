//! `machine-group-newcomer`: a new member of a group of machines that does what none of them did.
//!
//! The API server takes a pipeline's word for who it is (`--oidc-username-claim`, `--oidc-groups-claim`): each branch, fork or
//! repository is a user of its own, so a stranger has no past to be compared with. What they share is the grant that
//! lets them in, which RBAC's reason names, and machines do the same with the same program day by day. A group is one
//! of machines as long as nobody in it works by hand; its members' names begin alike.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::{Context, Draft, begins, counted, listed, program_name};
use crate::detect::rbac::{Grant, Reasons};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::Finding;
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct Newcomer {
    meta: RuleMeta,
    least_requests: u64,
    least_history_us: i64,
    fresh_us: i64,
    by_hand: Vec<String>,
    /// By reason, which names binding and group.
    groups: HashMap<u32, Group>,
    /// By reason and user: what new members did that nobody had done.
    strange: BTreeMap<(u32, u32), Tally>,
    /// Whether a reason names a group of users.
    reasons: Reasons<bool>,
    /// The name of a program without its version, and whether people work with it.
    programs: HashMap<u32, (u32, bool)>,
}

remembers!(
    Newcomer: [groups, strange],
    anew [meta, least_requests, least_history_us, fresh_us, by_hand, reasons, programs]
);

/// What is known of those whom one binding lets in as a group.
#[derive(Clone, Serialize, Deserialize)]
struct Group {
    first: i64,
    last: i64,
    requests: u64,
    /// Since when each member is known.
    members: HashMap<u32, i64>,
    /// Programs of the members.
    programs: HashSet<u32>,
    /// Whether somebody in it worked by hand, but for new members while they are new.
    of_people: bool,
}

/// Members of a group that are known, programs of machines, and groups.
const MEMBERS: usize = 1024;
const PROGRAMS: usize = 4;
const GROUPS: usize = 1024;

/// What the names of members have in common at least, in bytes.
const PREFIX: usize = 6;

/// What a stranger comes for, besides Secrets: what makes Pods.
const MAKERS: [&str; 6] = [
    "pods",
    "deployments",
    "daemonsets",
    "statefulsets",
    "jobs",
    "cronjobs",
];

impl Newcomer {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            least_requests: parameters.count("least_requests")?.into(),
            least_history_us: parameters.duration_us("least_history")?,
            fresh_us: parameters.duration_us("fresh")?,
            by_hand: parameters.strings("by_hand")?,
            groups: HashMap::new(),
            strange: BTreeMap::new(),
            reasons: Reasons::default(),
            programs: HashMap::new(),
        })
    }

    /// Forgets what ended before a time.
    pub fn forget(&mut self, before: i64) {
        self.groups.retain(|_, group| group.last >= before);
        self.strange.retain(|_, tally| tally.last >= before);
    }

    /// Takes in a request whose credential was accepted, in order of time.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let reason = request.authz_reason();
        if request.identity_kind() != known::USER
            || reason == NULL
            || request.resource() == NULL
            || request.imp_username() != NULL
            || request.ts == 0
        {
            return;
        }
        let vocabulary = context.vocabulary;
        let names_group = self.reasons.of(request, vocabulary, |grant| {
            let group = grant.subject.strip_prefix("Group ");
            group.is_some_and(|group| !group.starts_with("system:"))
        });
        if !*names_group || self.groups.len() >= GROUPS && !self.groups.contains_key(&reason) {
            return;
        }
        let by_hand = &self.by_hand;
        let program = self.programs.entry(request.user_agent());
        let (program, is_by_hand) = *program.or_insert_with_key(|&agent| {
            let agent = vocabulary.text(agent);
            let name = vocabulary.code(program_name(agent));
            (name, begins(agent, by_hand))
        });
        let (user, ts) = (request.username(), request.ts);
        let group = self.groups.entry(reason).or_insert_with(|| Group {
            first: ts,
            last: ts,
            requests: 0,
            members: HashMap::new(),
            programs: HashSet::new(),
            of_people: false,
        });
        if group.of_people {
            group.last = ts;
            return;
        }
        let is_settled =
            group.requests >= self.least_requests && ts - group.first >= self.least_history_us;
        let since = match group.members.get(&user) {
            Some(&since) => since,
            None if group.members.len() >= MEMBERS => return,
            // Who was there before the group had a history is as old as it.
            None => {
                let since = if is_settled { ts } else { i64::MIN };
                group.members.insert(user, since);
                since
            }
        };
        group.last = ts;
        let is_new = since > i64::MIN && ts - since <= self.fresh_us;
        if is_new && !group.programs.contains(&program) {
            if request.succeeded()
                && matters(request, vocabulary)
                && group.is_named_alike(user, vocabulary)
            {
                let tally = self.strange.entry((reason, user));
                tally.or_insert_with(Tally::empty).add(request, context);
            }
            return;
        }
        group.requests += 1;
        group.programs.insert(program);
        group.of_people = is_by_hand || group.programs.len() > PROGRAMS;
    }

    /// Draws the findings: one for each new member.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let strange = self.strange.iter();
        strange
            .map(|(&(reason, user), tally)| self.finding(reason, user, tally, context.vocabulary))
            .collect()
    }

    fn finding(&self, reason: u32, user: u32, tally: &Tally, vocabulary: &Vocabulary) -> Finding {
        let grant = Grant::parse(vocabulary.text(reason)).expect("it was read before");
        let name = vocabulary.text(user);
        let mut draft = Draft::new(
            &self.meta,
            vec![
                grant.binding.to_owned(),
                grant.subject.clone(),
                name.to_owned(),
            ],
            tally,
        );
        draft.summary = format!(
            "`{name}`, never seen before, came in by {} `{}` as one of {}, and did with {} what none of them did: {} {} ({})",
            grant.kind,
            grant.binding,
            grant.subject,
            listed(&tally.agents(vocabulary)),
            listed(&tally.verbs(vocabulary)),
            listed(&tally.resources(vocabulary)),
            counted(tally.count, "request"),
        );
        if let Some(group) = self.groups.get(&reason) {
            let mut programs: Vec<String> = group
                .programs
                .iter()
                .map(|&code| vocabulary.text(code).to_owned())
                .collect();
            programs.sort_unstable();
            draft.why = vec![
                format!("programs of the others = {}", listed(&programs)),
                format!(
                    "history of the others = {}",
                    counted(group.requests, "request")
                ),
                format!("reason = {}", vocabulary.text(reason)),
            ];
        }
        draft.finish(vocabulary)
    }
}

impl Group {
    /// Returns whether a name begins as that of another member does, as the subjects of one issuer do.
    fn is_named_alike(&self, user: u32, vocabulary: &Vocabulary) -> bool {
        let name = vocabulary.text(user);
        let Some(start) = name.get(..PREFIX) else {
            return false;
        };
        let mut others = self.members.keys().filter(|&&other| other != user);
        others.any(|&other| vocabulary.text(other).starts_with(start))
    }
}

/// Returns whether a request is what a stranger comes for.
fn matters(request: &Request<'_>, vocabulary: &Vocabulary) -> bool {
    let (resource, subresource) = (request.resource(), request.subresource());
    match vocabulary.text(subresource) {
        "" => {
            let text = vocabulary.text(resource);
            resource == known::SECRETS
                || request.verb() == known::CREATE && MAKERS.contains(&text)
                || request.verb() != known::WATCH && text.ends_with("rolebindings")
        }
        "exec" | "attach" | "portforward" | "proxy" => true,
        "token" => resource == known::SERVICE_ACCOUNTS,
        _ => false,
    }
}
