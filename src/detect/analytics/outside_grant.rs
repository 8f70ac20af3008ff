//! `superuser-granted-outside`: somebody may do everything by a grant that stands in no cluster, and that is new.
//!
//! EKS (access entries) and Azure RBAC keep grants where no audit log of a cluster sees them made; all that shows one is the
//! authorizer's reason of a request that it let through, which names it. One that nothing used in all the time before was
//! made lately, or taken up lately: colleagues who get what others have come by the grant of these.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Context, Draft, counted, lasting, listed};
use crate::detect::rbac::Reasons;
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::Finding;
use crate::frame::NULL;
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct OutsideGrant {
    meta: RuleMeta,
    least_history_us: i64,
    /// When the log begins, as far as it was read.
    began: i64,
    grants: BTreeMap<Box<str>, Used>,
    /// By reason: the grant that it names, if that is one of these.
    reasons: Reasons<Option<Box<str>>>,
}

remembers!(OutsideGrant: [began, grants], anew [meta, least_history_us, reasons]);

/// The use of a grant.
#[derive(Clone, Serialize, Deserialize)]
struct Used {
    first: i64,
    /// What was done by one that is new.
    tally: Option<Tally>,
}

/// Most grants that are known.
const GRANTS: usize = 4096;

impl OutsideGrant {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            least_history_us: parameters.duration_us("least_history")?,
            began: i64::MAX,
            grants: BTreeMap::new(),
            reasons: Reasons::default(),
        })
    }

    /// Forgets what was done before a time; a grant that was used stays known.
    pub fn forget(&mut self, before: i64) {
        for used in self.grants.values_mut() {
            used.tally.take_if(|tally| tally.last < before);
        }
    }

    /// Takes in a request whose credential was accepted.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        if request.ts == 0 {
            return;
        }
        self.began = self.began.min(request.ts);
        if request.authz_reason() == NULL {
            return;
        }
        let grant = self.reasons.of(request, context.vocabulary, |grant| {
            let is_it = grant.is_of_superuser() && grant.is_outside();
            is_it.then(|| grant.binding.into())
        });
        let Some(grant) = grant else { return };
        if let Some(used) = self.grants.get_mut(grant) {
            if let Some(tally) = &mut used.tally {
                tally.add(request, context);
            }
            return;
        }
        if self.grants.len() >= GRANTS {
            return;
        }
        let is_new = request.ts - self.began >= self.least_history_us;
        let tally = is_new.then(|| {
            let mut tally = Tally::empty();
            tally.add(request, context);
            tally
        });
        let first = request.ts;
        self.grants.insert(grant.clone(), Used { first, tally });
    }

    /// Draws the findings: one for each grant.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let grants = self.grants.iter();
        let new =
            grants.filter_map(|(grant, used)| Some((grant, used.first, used.tally.as_ref()?)));
        new.map(|(grant, first, tally)| self.finding(grant, first, tally, context))
            .collect()
    }

    fn finding(&self, grant: &str, first: i64, tally: &Tally, context: &Context<'_>) -> Finding {
        let vocabulary = context.vocabulary;
        let users = tally.usernames(vocabulary).into_iter();
        let users: Vec<String> = users.map(|user| format!("`{user}`")).collect();
        let mut draft = Draft::new(&self.meta, vec![grant.to_owned()], tally);
        draft.summary = format!(
            "{} may do everything by `{grant}`, a grant outside of the cluster that nothing used before: {}, {} of them changes, from {}",
            listed(&users),
            counted(tally.count, "request"),
            tally.writes,
            listed(&tally.peers(vocabulary)),
        );
        draft.why = vec![
            "annotations.authorization.k8s.io/reason names the grant".to_owned(),
            format!(
                "the log began {} before, without a request by it",
                lasting(first - self.began)
            ),
        ];
        draft.finish(vocabulary)
    }
}
