//! `rights-taken-away`: bindings in use were deleted, and those that lived off them are refused.
//!
//! The reason of a request names the binding that allowed it, so the log shows who lives off which. Somebody deletes
//! such a binding, and the same users are refused from then on: they are locked out. A binding that comes back within
//! minutes was replaced, as `kubectl replace --force` and changes of a `roleRef` do. Programs are refused for a moment too where
//! they are removed together with their rights; of them those count that go on asking.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Context, DAY_US, Draft, HOUR_US, MINUTE_US, counted, listed};
use crate::detect::rbac::Reasons;
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Finding, Severity, Timestamp};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// Bindings that somebody lives off, of which are remembered.
const BINDINGS: usize = 8192;

/// Users of a binding that are remembered.
const USERS: usize = 256;

/// Deleted bindings that are remembered.
const DELETED: usize = 256;

/// Pairs of user and reason that were noted lately, by place; a power of two.
const NOTED: usize = 1024;

/// Who did nothing by a binding for so long does not live off it.
const GONE_US: i64 = 7 * DAY_US;

/// Authorizers answer from memory for some seconds.
const SETTLED_US: i64 = MINUTE_US;

/// State of the analytic.
#[derive(Clone)]
pub struct RightsLost {
    meta: RuleMeta,
    replaced_us: i64,
    lived_us: i64,
    lasting_us: i64,
    times: u32,
    /// By binding: `NAME`, or `NAME/NAMESPACE`, as reasons have it.
    bindings: BTreeMap<Box<str>, Binding>,
    /// Deleted bindings, in order of time.
    deleted: Vec<Deleted>,
    reasons: Reasons<Option<(Box<str>, Binding)>>,
    /// User, reason, and when that was noted.
    noted: Box<[(u32, u32, i64); NOTED]>,
}

remembers!(
    RightsLost: [bindings, deleted],
    anew [meta, replaced_us, lived_us, lasting_us, times, reasons, noted]
);

/// A binding, and who lives off it.
#[derive(Clone, Serialize, Deserialize)]
struct Binding {
    role: String,
    is_of_superuser: bool,
    /// When each user was first and last allowed something by it, to the minute.
    users: BTreeMap<u32, (i64, i64)>,
    /// The latest of all.
    last: i64,
}

/// A binding that was deleted while somebody lived off it.
#[derive(Clone, Serialize, Deserialize)]
struct Deleted {
    binding: String,
    role: String,
    is_of_superuser: bool,
    by: u32,
    at: i64,
    tally: Tally,
    users: BTreeMap<u32, Refused>,
}

/// How often a user that lived off a binding was refused since.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Refused {
    first: i64,
    last: i64,
    count: u64,
}

/// A deletion, and whom it locked out, by name.
type Lockout<'v> = (Deleted, Vec<(&'v str, Refused)>);

impl RightsLost {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            replaced_us: parameters.duration_us("replaced")?,
            lived_us: parameters.duration_us("lived")?,
            lasting_us: parameters.duration_us("lasting")?,
            times: parameters.count("refused")?,
            bindings: BTreeMap::new(),
            deleted: Vec::new(),
            reasons: Reasons::default(),
            noted: Box::new([(NULL, NULL, i64::MIN); NOTED]),
        })
    }

    /// Forgets what was deleted before a time, and who had been gone by then.
    pub fn forget(&mut self, before: i64) {
        self.deleted.retain(|deleted| deleted.at >= before);
        let gone = before.saturating_sub(GONE_US);
        for binding in self.bindings.values_mut() {
            binding.users.retain(|_, (_, last)| *last >= gone);
        }
        self.bindings.retain(|_, binding| binding.last >= gone);
    }

    /// Takes in one request.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        if request.imp_username() == NULL && request.username() != NULL {
            if request.code == 403 {
                self.refused(request);
            } else if request.authz_reason() != NULL {
                self.allowed(request, context.vocabulary);
            }
        }
        let (resource, verb) = (request.resource(), request.verb());
        let is_binding = matches!(
            resource,
            known::CLUSTER_ROLE_BINDINGS | known::ROLE_BINDINGS
        );
        if !is_binding
            || !(verb == known::DELETE || request.made())
            || request.subresource() != NULL
            || !request.succeeded()
            || request.name().is_empty()
            || request.is_dry_run(context.vocabulary)
        {
            return;
        }
        let binding = match context.vocabulary.text(request.namespace()) {
            "" => request.name().to_owned(),
            namespace => format!("{}/{namespace}", request.name()),
        };
        if verb == known::DELETE {
            self.deletion(binding, request, context);
        } else {
            let since = request.ts.saturating_sub(self.replaced_us);
            self.deleted
                .retain(|deleted| deleted.binding != binding || deleted.at < since);
        }
    }

    /// Notes who lives off what.
    fn allowed(&mut self, request: &Request<'_>, vocabulary: &Vocabulary) {
        let (user, reason) = (request.username(), request.authz_reason());
        let place = user.wrapping_mul(31).wrapping_add(reason) as usize % NOTED;
        let (noted_user, noted_reason, noted) = self.noted[place];
        if (noted_user, noted_reason) == (user, reason) && request.ts - noted < MINUTE_US {
            return;
        }
        self.noted[place] = (user, reason, request.ts);
        let known = self.reasons.of(request, vocabulary, |grant| {
            (!grant.is_outside()).then(|| {
                let binding = Binding {
                    role: grant.role.clone(),
                    is_of_superuser: grant.is_of_superuser(),
                    users: BTreeMap::new(),
                    last: 0,
                };
                (grant.binding.into(), binding)
            })
        });
        let Some((name, known)) = known else {
            return;
        };
        if !self.bindings.contains_key(name) {
            if self.bindings.len() >= BINDINGS {
                return;
            }
            self.bindings.insert(name.clone(), known.clone());
        }
        if let Some(binding) = self.bindings.get_mut(name) {
            binding.last = binding.last.max(request.ts);
            if binding.users.len() < USERS || binding.users.contains_key(&user) {
                let (_, last) = binding.users.entry(user).or_insert((request.ts, 0));
                *last = request.ts;
            }
        }
    }

    fn deletion(&mut self, name: String, request: &Request<'_>, context: &Context<'_>) {
        let deleter = context.vocabulary.text(request.username());
        let kind = request.identity_kind();
        if self.deleted.len() >= DELETED
            || deleter.starts_with("system:serviceaccount:kube-system:")
            || !matches!(kind, known::USER | known::SERVICE_ACCOUNT)
        {
            return;
        }
        let Some(binding) = self.bindings.get(&*name) else {
            return;
        };
        // To take back what was just given is how an attack is ended.
        let lives_off = |&(&user, &(first, last)): &(&u32, &(i64, i64))| {
            user != request.username()
                && request.ts - first >= self.lived_us
                && request.ts - last <= GONE_US
        };
        let users = binding.users.iter().filter(lives_off);
        let users: BTreeMap<u32, Refused> =
            users.map(|(&user, _)| (user, Refused::default())).collect();
        if users.is_empty() {
            return;
        }
        self.deleted.push(Deleted {
            binding: name,
            role: binding.role.clone(),
            is_of_superuser: binding.is_of_superuser,
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
            if (0..=3 * DAY_US).contains(&since)
                && let Some(refused) = deleted.users.get_mut(&request.username())
            {
                if refused.count == 0 {
                    refused.first = request.ts;
                }
                refused.last = refused.last.max(request.ts);
                refused.count += 1;
            }
        }
    }

    /// Returns those whom a deletion locked out, by name.
    fn locked_out<'v>(
        &self,
        deleted: &Deleted,
        vocabulary: &'v Vocabulary,
    ) -> Vec<(&'v str, Refused)> {
        // Who is allowed something by it later still has it: the deletion was none, or it is back.
        let settled = deleted.at + SETTLED_US;
        let binding = self.bindings.get(&*deleted.binding);
        if binding.is_some_and(|binding| binding.last > settled) {
            return Vec::new();
        }
        let users = deleted
            .users
            .iter()
            .map(|(&user, refused)| (vocabulary.text(user), *refused));
        let is_out = |(user, refused): &(&str, Refused)| {
            let goes_on = refused.last - deleted.at >= self.lasting_us;
            refused.count >= u64::from(self.times) && (goes_on || !user.starts_with("system:"))
        };
        let mut out: Vec<(&str, Refused)> = users.filter(is_out).collect();
        out.sort_unstable_by_key(|(user, _)| *user);
        out
    }

    /// Draws the findings: one for each who deleted, and spell of deletions.
    pub fn finish(mut self, context: &Context<'_>) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut all = std::mem::take(&mut self.deleted);
        all.sort_by(|a, b| (a.at, &a.binding).cmp(&(b.at, &b.binding)));
        let mut spells: Vec<Vec<Lockout<'_>>> = Vec::new();
        for deleted in all {
            let out = self.locked_out(&deleted, vocabulary);
            if out.is_empty() {
                continue;
            }
            let same = |spell: &&mut Vec<Lockout<'_>>| {
                let (last, _) = &spell[spell.len() - 1];
                last.by == deleted.by && deleted.at - last.at <= HOUR_US
            };
            match spells.iter_mut().find(same) {
                Some(spell) => spell.push((deleted, out)),
                None => spells.push(vec![(deleted, out)]),
            }
        }
        let finding = |spell: Vec<Lockout<'_>>| {
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
                for (user, refused) in out {
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
