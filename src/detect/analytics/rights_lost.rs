//! `rights-taken-away`: bindings in use were deleted, and those that lived off them are refused.
//!
//! The reason of a request names the binding that allowed it, so the log shows who lives off which. Somebody deletes
//! such a binding, and the same users are refused from then on: they are locked out. A binding that comes back within
//! minutes was replaced, as `kubectl replace --force` and changes of a `roleRef` do. Programs are refused for a moment too where
//! they are removed together with their rights; of them those count that go on asking.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{Context, DAY_US, Draft, HOUR_US, MINUTE_US, counted, listed};
use crate::detect::rbac::Grant;
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Finding, Severity, Timestamp};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// Pairs of users and reasons that are remembered.
const PAIRS: usize = 65536;

/// Deleted bindings that are remembered.
const BINDINGS: usize = 4096;

/// Users of a binding that are remembered.
const USERS: usize = 256;

/// Authorizers answer from memory for some seconds.
const SETTLED_US: i64 = MINUTE_US;

/// State of the analytic.
#[derive(Clone)]
pub struct RightsLost {
    meta: RuleMeta,
    replaced_us: i64,
    lasting_us: i64,
    times: u32,
    /// When a user was last allowed something for a reason.
    allowed: HashMap<(u32, u32), i64>,
    /// Deleted bindings, in order of time.
    deleted: Vec<Deleted>,
}

remembers!(RightsLost: [allowed, deleted], anew [meta, replaced_us, lasting_us, times]);

/// A binding that was deleted while somebody lived off it.
#[derive(Clone, Serialize, Deserialize)]
struct Deleted {
    /// `NAME`, or `NAME/NAMESPACE`, as reasons have it.
    binding: String,
    role: String,
    is_of_superuser: bool,
    by: u32,
    at: i64,
    tally: Tally,
    users: Vec<Refused>,
}

/// A user that lived off a binding, and how often it was refused since.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Refused {
    user: u32,
    is_person: bool,
    first: i64,
    last: i64,
    count: u64,
}

impl RightsLost {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            replaced_us: parameters.duration_us("replaced")?,
            lasting_us: parameters.duration_us("lasting")?,
            times: parameters.count("refused")?,
            allowed: HashMap::new(),
            deleted: Vec::new(),
        })
    }

    /// Forgets what was deleted before a time.
    pub fn forget(&mut self, before: i64) {
        self.deleted.retain(|deleted| deleted.at >= before);
    }

    /// Takes in one request.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let vocabulary = context.vocabulary;
        if request.imp_username() == NULL && request.username() != NULL {
            if request.code == 403 {
                self.refused(request);
            } else if request.authz_reason() != NULL && self.allowed.len() < PAIRS {
                let key = (request.username(), request.authz_reason());
                self.allowed.insert(key, request.ts);
            } else if let Some(last) =
                (self.allowed).get_mut(&(request.username(), request.authz_reason()))
            {
                *last = request.ts;
            }
        }
        let resource = vocabulary.text(request.resource());
        if !matches!(resource, "clusterrolebindings" | "rolebindings")
            || request.subresource() != NULL
            || !request.succeeded()
            || request.name().is_empty()
        {
            return;
        }
        let binding = match vocabulary.text(request.namespace()) {
            "" => request.name().to_owned(),
            namespace => format!("{}/{namespace}", request.name()),
        };
        if vocabulary.text(request.verb()) == "delete" {
            self.deletion(binding, request, context);
        } else if request.made() && !request.is_dry_run(vocabulary) {
            let since = request.ts.saturating_sub(self.replaced_us);
            self.deleted
                .retain(|deleted| deleted.binding != binding || deleted.at < since);
        }
    }

    fn deletion(&mut self, binding: String, request: &Request<'_>, context: &Context<'_>) {
        let vocabulary = context.vocabulary;
        let is_program = vocabulary
            .text(request.username())
            .starts_with("system:serviceaccount:kube-system:");
        let kind = request.identity_kind();
        if self.deleted.len() >= BINDINGS
            || is_program
            || !matches!(kind, known::USER | known::SERVICE_ACCOUNT)
            || request.is_dry_run(vocabulary)
        {
            return;
        }
        let mut found: Option<(String, bool)> = None;
        let mut users = Vec::new();
        for (&(user, reason), &last) in &self.allowed {
            let Some(grant) = Grant::parse(vocabulary.text(reason)) else {
                continue;
            };
            if grant.binding != binding || grant.is_outside() || user == request.username() {
                continue;
            }
            if request.ts - last > DAY_US * 7 {
                continue;
            }
            let is_of_superuser = grant.is_of_superuser();
            found.get_or_insert((grant.role, is_of_superuser));
            let name = vocabulary.text(user);
            users.push(Refused {
                user,
                is_person: !name.starts_with("system:"),
                first: 0,
                last: 0,
                count: 0,
            });
        }
        let Some((role, is_of_superuser)) = found else {
            return;
        };
        // The order of a map differs from run to run.
        users.sort_by_key(|refused| vocabulary.text(refused.user).to_owned());
        users.dedup_by_key(|refused| refused.user);
        users.truncate(USERS);
        self.deleted.push(Deleted {
            binding,
            role,
            is_of_superuser,
            by: request.username(),
            at: request.ts,
            tally: Tally::new(request, context),
            users,
        });
    }

    /// Counts a refusal for the bindings that the user had lived off.
    fn refused(&mut self, request: &Request<'_>) {
        for deleted in &mut self.deleted {
            let since = request.ts - deleted.at;
            if !(0..=3 * DAY_US).contains(&since) {
                continue;
            }
            let users = deleted.users.iter_mut();
            for refused in users.filter(|refused| refused.user == request.username()) {
                if refused.count == 0 {
                    refused.first = request.ts;
                }
                refused.last = refused.last.max(request.ts);
                refused.count += 1;
            }
        }
    }

    /// Returns those whom a deletion locked out.
    fn locked_out<'d>(&self, deleted: &'d Deleted, vocabulary: &Vocabulary) -> Vec<&'d Refused> {
        // Who is allowed something by it later still has it: the deletion was none, or it is back.
        let is_back = self.allowed.iter().any(|(&(_, reason), &last)| {
            last > deleted.at + SETTLED_US
                && Grant::parse(vocabulary.text(reason))
                    .is_some_and(|grant| grant.binding == deleted.binding)
        });
        let is_out = |refused: &&Refused| {
            let goes_on = refused.last - deleted.at >= self.lasting_us;
            refused.count >= u64::from(self.times) && (refused.is_person || goes_on)
        };
        if is_back {
            return Vec::new();
        }
        deleted.users.iter().filter(is_out).collect()
    }

    /// Draws the findings: one for each who deleted, and spell of deletions.
    pub fn finish(mut self, context: &Context<'_>) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut all = std::mem::take(&mut self.deleted);
        all.sort_by(|a, b| (a.at, &a.binding).cmp(&(b.at, &b.binding)));
        let mut spells: Vec<Vec<(Deleted, Vec<Refused>)>> = Vec::new();
        for deleted in all {
            let out: Vec<Refused> = self
                .locked_out(&deleted, vocabulary)
                .into_iter()
                .copied()
                .collect();
            if out.is_empty() {
                continue;
            }
            let same = |spell: &&mut Vec<(Deleted, Vec<Refused>)>| {
                let (last, _) = &spell[spell.len() - 1];
                last.by == deleted.by && deleted.at - last.at <= HOUR_US
            };
            match spells.iter_mut().find(same) {
                Some(spell) => spell.push((deleted, out)),
                None => spells.push(vec![(deleted, out)]),
            }
        }
        let finding = |spell: Vec<(Deleted, Vec<Refused>)>| {
            let mut tally = Tally::empty();
            let (mut bindings, mut users, mut why) = (Vec::new(), Vec::new(), Vec::new());
            let is_of_superuser = spell.iter().any(|(deleted, _)| deleted.is_of_superuser);
            let by = spell[0].0.by;
            for (deleted, out) in spell {
                why.push(format!(
                    "{} (of {}) was in use and deleted at {}",
                    deleted.binding,
                    deleted.role,
                    Timestamp(deleted.at)
                ));
                for refused in out {
                    let user = vocabulary.text(refused.user);
                    why.push(format!(
                        "`{user}` had been allowed by it and was refused {} since, first at {}",
                        super::times(refused.count),
                        Timestamp(refused.first)
                    ));
                    users.push(user.to_owned());
                }
                bindings.push(deleted.binding);
                tally.merge(deleted.tally, context);
            }
            users.sort_unstable();
            users.dedup();
            let group = vec![vocabulary.text(by).to_owned()];
            let mut draft = Draft::new(&self.meta, group, &tally);
            draft.summary = format!(
                "`{}` deleted {} in use ({}), and {} that had lived off them {} refused since: {}",
                vocabulary.text(by),
                counted(bindings.len() as u64, "binding"),
                listed(&bindings),
                counted(users.len() as u64, "user"),
                if users.len() == 1 { "is" } else { "are" },
                listed(&users),
            );
            if is_of_superuser {
                draft.severity = Severity::High;
            }
            draft.why = why;
            draft.finish(vocabulary)
        };
        spells.into_iter().map(finding).collect()
    }
}
