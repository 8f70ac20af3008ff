//! Coverage: what this log could have shown, so that silence is not taken for peace.

use super::analytics::Draft;
use super::request::{Request, Stage};
use super::supply::{Portion, Supply};
use super::tally::Tally;
use crate::finding::Finding;
use crate::frame::vocabulary::known;
use crate::frame::{Column, ColumnType, Vocabulary};
use crate::memory::remembers;
use crate::rules::{RuleError, RuleMeta, RuleSet};

/// How far records may stand behind later ones; kube-apiserver itself keeps to fractions of a second.
const DISORDER_US: i64 = 60_000_000;

/// What was seen of the log's abilities.
#[derive(Clone)]
pub struct Coverage {
    blind_meta: RuleMeta,
    /// Per rule: the columns that the log must fill somewhere.
    required: Vec<Vec<Column>>,
    supply: Supply,
    refused: u64,
    first: i64,
    last: i64,
    /// Requests that stand far behind later ones.
    late: u64,
    /// Requests without a time.
    timeless: u64,
    /// Long-running requests that began and ended within the log.
    long_running: u64,
    requests: u64,
    authenticated: u64,
    secrets: u64,
}

remembers!(
    Coverage: [
        supply, refused, first, last, late, timeless, long_running, requests, authenticated, secrets
    ],
    anew [blind_meta, required]
);

impl Coverage {
    /// Starts with nothing seen.
    ///
    /// # Errors
    /// When a rule requires a column that does not exist.
    pub fn new(blind_meta: &RuleMeta, rules: &RuleSet) -> Result<Self, RuleError> {
        let required = |meta: &RuleMeta| {
            let column = |name: &String| {
                Column::by_name(name)
                    .filter(|column| column.kind() == ColumnType::Coded)
                    .ok_or_else(|| {
                        let what = format!("cannot require `{name}`: no such coded column");
                        RuleError::at(&meta.path, &meta.text, name, what)
                    })
            };
            meta.requires
                .iter()
                .map(column)
                .collect::<Result<Vec<_>, _>>()
        };
        let required: Vec<Vec<Column>> = rules
            .rules
            .iter()
            .map(|rule| required(&rule.meta))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            blind_meta: blind_meta.clone(),
            required,
            supply: Supply::default(),
            refused: 0,
            first: i64::MAX,
            last: i64::MIN,
            late: 0,
            timeless: 0,
            long_running: 0,
            requests: 0,
            authenticated: 0,
            secrets: 0,
        })
    }

    /// Takes in what the events of one chunk have to offer.
    pub fn note(&mut self, portion: Portion) {
        self.supply.take(portion);
    }

    /// Returns what the log has to offer.
    pub fn supply(&self) -> &Supply {
        &self.supply
    }

    /// Takes in one request; `in_order` says that it stands at its place in the log.
    pub fn observe(&mut self, request: &Request<'_>, in_order: bool) {
        self.requests += 1;
        if request.ts == 0 {
            self.timeless += 1;
        } else {
            self.first = self.first.min(request.ts);
            if in_order {
                let late = request.ts < self.last.saturating_sub(DISORDER_US);
                self.late += u64::from(late);
            }
            self.last = self.last.max(request.ts);
        }
        self.refused += u64::from(request.code == 401);
        self.authenticated += u64::from(request.authenticated());
        self.secrets += u64::from(request.resource() == known::SECRETS);
        let within = request.received >= self.first;
        self.long_running +=
            u64::from(request.stage == Stage::Complete && within && request.verb() == known::WATCH);
    }

    /// Returns whether the log fills what rule number `rule` needs.
    pub fn can_judge(&self, rule: usize) -> bool {
        self.required[rule]
            .iter()
            .all(|column| self.supply.fills(*column))
    }

    /// Returns whether the policy leaves out the one stage at which a 401 is logged: watches end in
    /// the log that never began in it.
    fn is_blind_to_401(&self, vocabulary: &Vocabulary) -> bool {
        let has_started = self.supply.has_stage("ResponseStarted", vocabulary);
        !has_started && self.refused == 0 && self.long_running > 0
    }

    /// Returns findings about the log itself.
    pub fn findings(&self, vocabulary: &Vocabulary) -> Vec<Finding> {
        if !self.is_blind_to_401(vocabulary) {
            return Vec::new();
        }
        let tally = Tally::spanning(self.first, self.last);
        let mut draft = Draft::new(&self.blind_meta, Vec::new(), &tally);
        let fact = "its policy leaves out the stage ResponseStarted";
        draft.summary = format!("this log cannot hold failed logins: {fact}");
        draft.why = vec![
            format!("watches that end in the log = {}", self.long_running),
            "events at stage ResponseStarted = 0".to_owned(),
        ];
        vec![draft.finish(vocabulary)]
    }

    /// Returns how much of the log is out of order, in words, if it matters.
    pub fn disorder(&self) -> Option<String> {
        (self.late * 100 > self.requests).then(|| {
            format!(
                "{} of {} requests stand more than a minute behind later ones: sort the log by stageTimestamp, or findings that rest on the order of events may be missing or wrong",
                self.late, self.requests
            )
        })
    }

    /// Returns how many requests have no time, in words, if there are any.
    pub fn timeless(&self) -> Option<String> {
        (self.timeless > 0).then(|| {
            format!(
                "{} of {} requests have no time that can be read: they are in no order, no session and no window",
                self.timeless, self.requests
            )
        })
    }

    /// Returns what the log cannot show, in words.
    pub fn blind(&self, vocabulary: &Vocabulary) -> Vec<String> {
        let mut blind = Vec::new();
        if self.requests == 0 {
            return blind;
        }
        if self.is_blind_to_401(vocabulary) {
            blind.push(
                "failed logins (401): the policy omits stage ResponseStarted, where alone they are logged"
                    .to_owned(),
            );
        } else if self.refused == 0 {
            blind.push(
                "perhaps failed logins: there is no 401; a policy whose rules all name users or groups cannot log one"
                    .to_owned(),
            );
        }
        if !self.supply.has_bodies() {
            blind.push(
                "what was written: every event is at level Metadata, without bodies".to_owned(),
            );
        }
        if self.authenticated > 0 && !self.supply.fills(Column::CredentialId) {
            blind.push(
                "which credential was used: no event has a credential-id (Kubernetes before 1.32, or stripped)"
                    .to_owned(),
            );
        }
        if self.secrets == 0 {
            blind.push("secrets: no request on a Secret is in the log".to_owned());
        }
        blind
    }
}
