//! `superuser-group-gained`: a user whose login says from some request on that they are in a group of superusers.
//!
//! With single sign-on the groups of a user come with each token or review (kube-apiserver, `--oidc-groups-claim`), and the
//! cluster believes them: who can change the directory, or its mapping of claims, makes administrators without a binding.
//! A group that a user was not in before, in none of their requests, is gained. That a group may do everything follows from
//! its name (`system:masters`), or from requests that it allowed, whosever they were.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::{Context, Draft, counted, listed};
use crate::detect::rbac::Grant;
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Finding, Severity};
use crate::frame::coder::MASTERS;
use crate::frame::vocabulary::{known, parse_list};
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct GroupGained {
    meta: RuleMeta,
    methods: Vec<u32>,
    members: HashMap<u32, Member>,
    /// By user and group: what was done since.
    gained: BTreeMap<(u32, Box<str>), Tally>,
    /// Groups that may do everything, by requests of the log.
    superusers: HashSet<Box<str>>,
    /// Reasons that were read.
    reasons: HashSet<u32>,
}

remembers!(GroupGained: [members, gained, superusers], anew [meta, methods, reasons]);

/// What is known of a user.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Member {
    /// Lists of groups that the user came with, in order of time.
    lists: Vec<u32>,
    /// Groups that were gained.
    gained: Vec<Box<str>>,
}

/// Lists of groups that are known of one user, and gains that are remembered at once.
const LISTS: usize = 64;
const KEPT: usize = 4096;

impl GroupGained {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(
        (meta, parameters): (&RuleMeta, &Parameters),
        vocabulary: &Vocabulary,
    ) -> Result<Self, RuleError> {
        let methods = parameters.strings("methods")?;
        Ok(Self {
            meta: meta.clone(),
            methods: methods.iter().map(|kind| vocabulary.code(kind)).collect(),
            members: HashMap::new(),
            gained: BTreeMap::new(),
            superusers: HashSet::new(),
            reasons: HashSet::new(),
        })
    }

    /// Forgets what ended before a time.
    pub fn forget(&mut self, before: i64) {
        self.gained.retain(|_, tally| tally.last >= before);
    }

    /// Takes in a request whose credential was accepted.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        if request.identity_kind() != known::USER || request.imp_username() != NULL {
            return;
        }
        let vocabulary = context.vocabulary;
        let reason = request.authz_reason();
        if reason != NULL && self.reasons.insert(reason) {
            let grant = Grant::parse(vocabulary.text(reason)).filter(Grant::is_of_superuser);
            let group = grant.as_ref();
            let group = group.and_then(|grant| grant.subject.strip_prefix("Group "));
            self.superusers.extend(group.map(Box::from));
        }
        if !self.methods.contains(&request.credential_kind()) {
            return;
        }
        let (user, list) = (request.username(), request.user_groups());
        let member = self.members.entry(user).or_default();
        if !member.lists.contains(&list) {
            if member.lists.len() >= LISTS {
                return;
            }
            let groups = |list: u32| parse_list(vocabulary.text(list));
            let before: HashSet<_> = member.lists.iter().flat_map(|&list| groups(list)).collect();
            if !member.lists.is_empty() && self.gained.len() < KEPT {
                let new = groups(list);
                let new = new.into_iter().filter(|group| !before.contains(group));
                member.gained.extend(new.map(|group| Box::from(&*group)));
            }
            member.lists.push(list);
        }
        if member.gained.is_empty() {
            return;
        }
        let groups = parse_list(vocabulary.text(list));
        for group in &member.gained {
            if groups.iter().any(|it| **it == **group) {
                let tally = self.gained.entry((user, group.clone()));
                tally.or_insert_with(Tally::empty).add(request, context);
            }
        }
    }

    /// Draws the findings: one for each user and group.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let is_superuser = |group: &str| group == MASTERS || self.superusers.contains(group);
        let gained = self.gained.iter();
        let gained = gained.filter(|((_, group), _)| is_superuser(group));
        gained
            .map(|((user, group), tally)| self.finding(*user, group, tally, context))
            .collect()
    }

    fn finding(&self, user: u32, group: &str, tally: &Tally, context: &Context<'_>) -> Finding {
        let vocabulary = context.vocabulary;
        let username = vocabulary.text(user);
        let group_of = vec![username.to_owned(), group.to_owned()];
        let mut draft = Draft::new(&self.meta, group_of, tally);
        draft.summary = format!(
            "`{username}` is in the group `{group}` since this request, which may do everything, and was not before: {}, {} of them changes, from {}",
            counted(tally.count, "request"),
            tally.writes,
            listed(&tally.peers(vocabulary)),
        );
        let first = self.members.get(&user);
        let first = first.and_then(|member| member.lists.first());
        draft.why = vec![
            format!("user.groups holds {group}"),
            format!(
                "groups at first = {}",
                first.map_or("", |&list| vocabulary.text(list))
            ),
        ];
        if group == MASTERS {
            draft.severity = Severity::High;
            let why = "system:masters is for certificates of the control plane; no directory should give it";
            draft.why.push(why.to_owned());
        }
        draft.finish(vocabulary)
    }
}
