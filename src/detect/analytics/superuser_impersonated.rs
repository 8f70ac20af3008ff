//! `superuser-impersonated`: who speaks for others begins to speak for superusers.
//!
//! Portals and proxies authenticate people themselves and pass their requests on as theirs (impersonation). What such
//! an account may do is not what it is bound to but whom it may name: who steals it, or can make it name a group of his choice, is
//! an administrator without a binding. Proxies for everybody have administrators among those they speak for from
//! the start. One that is well known, and whose requests no role of a superuser ever allowed, has none: then the first one tells.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{Context, Draft, counted, lasting, listed};
use crate::detect::rbac::{Grant, Reasons};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Confidence, Finding, Severity, Timestamp};
use crate::frame::coder::MASTERS;
use crate::frame::vocabulary::{known, parse_list};
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct SuperuserImpersonated {
    meta: RuleMeta,
    least_requests: u64,
    learning_us: i64,
    /// By user: how they speak for others.
    speakers: HashMap<u32, Speaker>,
    /// Users who may do everything by themselves: to speak for others gives them nothing.
    superusers: BTreeSet<u32>,
    /// By reason of the authorizer, and by list of groups: whether it is a superuser's.
    reasons: Reasons<bool>,
    groups: HashMap<u32, bool>,
}

remembers!(
    SuperuserImpersonated: [speakers, superusers],
    anew [meta, least_requests, learning_us, reasons, groups]
);

/// How one user speaks for others.
#[derive(Clone, Serialize, Deserialize)]
struct Speaker {
    first: i64,
    last: i64,
    /// Requests before the first one as a superuser.
    count: u64,
    is_account: bool,
    /// What was done as a superuser; nothing is kept if that belongs to what it does.
    risen: Option<Box<Tally>>,
    does_always: bool,
}

/// Users who speak for others that are remembered.
const KEPT: usize = 4096;

impl SuperuserImpersonated {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            least_requests: parameters.count("least_requests")?.into(),
            learning_us: parameters.duration_us("learning")?,
            speakers: HashMap::new(),
            superusers: BTreeSet::new(),
            reasons: Reasons::default(),
            groups: HashMap::new(),
        })
    }

    /// Forgets who has not spoken for others since a time.
    pub fn forget(&mut self, before: i64) {
        self.speakers.retain(|_, speaker| speaker.last >= before);
    }

    /// Takes in a request whose credential was accepted.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let vocabulary = context.vocabulary;
        let user = request.username();
        if request.imp_username() == NULL {
            if self.is_by_superuser(request, request.user_groups(), vocabulary) {
                self.superusers.insert(user);
            }
            return;
        }
        if !request.succeeded() || self.superusers.contains(&user) {
            return;
        }
        if self.speakers.len() >= KEPT && !self.speakers.contains_key(&user) {
            return;
        }
        let is_superuser = self.is_by_superuser(request, request.imp_groups(), vocabulary);
        let does_always = self.has_masters(request.user_groups(), vocabulary);
        let speaker = self.speakers.entry(user).or_insert_with(|| Speaker {
            first: request.received,
            last: request.ts,
            count: 0,
            is_account: request.identity_kind() == known::SERVICE_ACCOUNT,
            risen: None,
            does_always,
        });
        speaker.last = speaker.last.max(request.ts);
        let is_known = speaker.count >= self.least_requests
            && request.received >= speaker.first.saturating_add(self.learning_us);
        match &mut speaker.risen {
            _ if speaker.does_always => {}
            Some(risen) if is_superuser => risen.add(request, context),
            Some(_) => {}
            None if !is_superuser => speaker.count += 1,
            None if is_known => speaker.risen = Some(Box::new(Tally::new(request, context))),
            None => speaker.does_always = true,
        }
    }

    /// Returns whether a superuser's role, or group, is why a request is allowed.
    fn is_by_superuser(
        &mut self,
        request: &Request<'_>,
        groups: u32,
        vocabulary: &Vocabulary,
    ) -> bool {
        let is_of_role = self.reasons.of(request, vocabulary, Grant::is_of_superuser);
        *is_of_role && request.succeeded() || self.has_masters(groups, vocabulary)
    }

    fn has_masters(&mut self, groups: u32, vocabulary: &Vocabulary) -> bool {
        *self.groups.entry(groups).or_insert_with(|| {
            let groups = parse_list(vocabulary.text(groups));
            groups.iter().any(|group| **group == *MASTERS)
        })
    }

    /// Draws the findings: one for each user who rose.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let speakers = self.speakers.iter();
        let by_name: BTreeMap<&str, &Speaker> = speakers
            .map(|(&user, speaker)| (vocabulary.text(user), speaker))
            .collect();
        let findings = by_name.into_iter().filter_map(|(user, speaker)| {
            let tally = speaker.risen.as_deref()?;
            Some(self.finding(user, speaker, tally, context))
        });
        findings.collect()
    }

    fn finding(
        &self,
        user: &str,
        speaker: &Speaker,
        tally: &Tally,
        context: &Context<'_>,
    ) -> Finding {
        let vocabulary = context.vocabulary;
        let mut draft = Draft::new(&self.meta, vec![user.to_owned()], tally);
        draft.summary = format!(
            "`{user}` speaks for others, and now for a superuser, which it never did in {}: {} as {}, {} of them changes, from {}",
            lasting(tally.began - speaker.first),
            counted(tally.count, "request"),
            listed(&tally.impersonated(vocabulary)),
            tally.writes,
            listed(&tally.peers(vocabulary)),
        );
        draft.why = vec![format!(
            "{} for others since {}, none of them allowed by cluster-admin or system:masters",
            counted(speaker.count, "request"),
            Timestamp(speaker.first)
        )];
        let reasons = tally.authz_reasons(vocabulary);
        let reasons = reasons.iter().filter(|reason| !reason.is_empty());
        draft
            .why
            .extend(reasons.map(|reason| format!("now: {reason}")));
        if !speaker.is_account {
            draft.severity = Severity::Medium;
            draft.confidence = Confidence::Medium;
        }
        draft.finish(vocabulary)
    }
}
