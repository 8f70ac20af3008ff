//! `old-uid-in-use`: the uid of a `ServiceAccount` that was deleted still authenticates.
//!
//! A uid is never given twice (kubernetes/kubernetes `pkg/serviceaccount/claims.go` compares it). A token that was seen
//! before the deletion is the business of `token-reuse-after-deletion`; this is about tokens of the old uid that
//! come up only afterwards, and so were kept back.

use hashbrown::HashMap;

use super::{Context, Draft, counted, lasting};
use crate::credential::Deaths;
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::Finding;
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct OldUid {
    meta: RuleMeta,
    grace_us: i64,
    /// Per uid.
    uses: HashMap<u32, Tally>,
}

remembers!(OldUid: [uses], anew [meta, grace_us]);

impl OldUid {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            grace_us: parameters.duration_us("grace")?,
            uses: HashMap::new(),
        })
    }

    /// Forgets the uses that ended before a time.
    pub fn forget(&mut self, before: i64) {
        self.uses.retain(|_, tally| tally.last >= before);
    }

    /// Takes in a request whose credential was accepted.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>, deaths: &Deaths) {
        let Some((_, death)) = deaths.of_uid(request.user_uid()) else {
            return;
        };
        let late = request.received > death.ts + self.grace_us;
        if !late || deaths.of(request.credential()).is_some() {
            return;
        }
        let tally = self
            .uses
            .entry(request.user_uid())
            .or_insert_with(Tally::empty);
        tally.add(request, context);
    }

    /// Draws the findings.
    pub fn finish(self, context: &Context<'_>, deaths: &Deaths) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut findings = Vec::new();
        for (&uid, tally) in &self.uses {
            let Some((_, death)) = deaths.of_uid(uid) else {
                continue;
            };
            let account = death.object.split_once(' ').map_or("", |(_, name)| name);
            let uid = vocabulary.text(uid);
            let mut draft = Draft::new(&self.meta, vec![uid.to_owned()], tally);
            draft.window_start = death.ts;
            let again = if death.recreated {
                " and made again"
            } else {
                ""
            };
            draft.summary = format!(
                "ServiceAccount {account} was deleted{again}, and a token of its old uid that had not been seen before was accepted: {} up to {} after",
                counted(tally.count, "request"),
                lasting(tally.last - death.ts),
            );
            draft.why = vec![
                format!("user.uid = {uid}, of the ServiceAccount that is gone"),
                format!(
                    "received later than {} after its deletion by `{}`",
                    lasting(self.grace_us),
                    vocabulary.text(death.by)
                ),
            ];
            findings.push(draft.finish(vocabulary));
        }
        findings
    }
}
