//! `account-remade`: a `ServiceAccount` that was deleted and made anew, and lives off what was bound to the old one.
//!
//! A binding names its subject, and no uid (kubernetes/kubernetes `staging/src/k8s.io/api/rbac/v1/types.go`, `Subject`): whoever
//! makes an account under a name that has bindings gets what they give, without a right to bind it. That somebody did
//! is told by the uid of the tokens (`pkg/serviceaccount/claims.go`), which a new account has a new one of. Bindings that were
//! written after the old account was gone are no heirloom. Who may do everything gains nothing, and programs that
//! deploy make accounts anew every day, so both are left out.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{Context, Draft, begins, counted, listed, program_name};
use crate::credential::Ledger;
use crate::detect::rbac::Grant;
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Finding, Severity};
use crate::frame::derived::{service_account, service_account_user};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct AccountRemade {
    meta: RuleMeta,
    by_hand: Vec<String>,
    window_us: i64,
    /// By user name of the account: when it was deleted.
    deleted: HashMap<u32, i64>,
    /// By user name of the account.
    remade: HashMap<u32, Remade>,
    /// When bindings were last written, as the authorizer names them: `ClusterRoleBinding NAME`.
    bindings: HashMap<Box<str>, i64>,
}

remembers!(AccountRemade: [deleted, remade, bindings], anew [meta, by_hand, window_us]);

/// An account that was made anew by hand.
#[derive(Clone, Serialize, Deserialize)]
struct Remade {
    maker: u32,
    /// Before it the old account was gone, as far as the log shows.
    since: i64,
    made: Tally,
    /// Uids of the accounts that had the name before.
    former: BTreeSet<u32>,
    /// Whether the maker asked for its token.
    is_minted: bool,
    /// What the new account did by bindings of the old one.
    uses: Tally,
}

/// Accounts that are remembered, and bindings.
const KEPT: usize = 4096;

impl AccountRemade {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            by_hand: parameters.strings("by_hand")?,
            window_us: parameters.duration_us("window")?,
            deleted: HashMap::new(),
            remade: HashMap::new(),
            bindings: HashMap::new(),
        })
    }

    /// Forgets what ended before a time.
    pub fn forget(&mut self, before: i64) {
        self.deleted.retain(|_, ts| *ts >= before);
        self.bindings.retain(|_, ts| *ts >= before);
        self.remade
            .retain(|_, remade| remade.made.last.max(remade.uses.last) >= before);
    }

    /// Takes in a request whose credential was accepted; the ledger holds it already.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>, ledger: &Ledger) {
        match request.resource() {
            known::SERVICE_ACCOUNTS => self.note_account(request, context, ledger),
            known::ROLE_BINDINGS | known::CLUSTER_ROLE_BINDINGS => {
                self.note_binding(request, context.vocabulary);
            }
            _ => {}
        }
        if request.identity_kind() == known::SERVICE_ACCOUNT && !self.remade.is_empty() {
            self.note_use(request, context);
        }
    }

    fn note_account(&mut self, request: &Request<'_>, context: &Context<'_>, ledger: &Ledger) {
        let vocabulary = context.vocabulary;
        if !request.succeeded() || request.name().is_empty() || request.is_dry_run(vocabulary) {
            return;
        }
        let account = service_account_user(vocabulary.text(request.namespace()), request.name());
        match (request.subresource(), request.verb()) {
            (known::TOKEN, _) => {
                let remade = vocabulary.find(&account);
                let remade = remade.and_then(|account| self.remade.get_mut(&account));
                if let Some(remade) = remade.filter(|remade| remade.maker == request.username()) {
                    remade.is_minted = true;
                    remade.made.add(request, context);
                }
            }
            (NULL, known::DELETE) if self.deleted.len() < KEPT => {
                self.deleted.insert(vocabulary.code(&account), request.ts);
            }
            (NULL, _) if request.made() && self.is_by_hand(request, vocabulary) => {
                self.note_remade(&account, request, context, ledger);
            }
            _ => {}
        }
    }

    fn note_remade(
        &mut self,
        account: &str,
        request: &Request<'_>,
        context: &Context<'_>,
        ledger: &Ledger,
    ) {
        let Some(account) = context.vocabulary.find(account) else {
            return;
        };
        let former = ledger.of_username(account);
        let former: BTreeSet<u32> = former.map(|entry| entry.user_uid).collect();
        let deleted = self.deleted.get(&account).copied();
        if (deleted.is_none() && former.is_empty()) || self.remade.len() >= KEPT {
            return;
        }
        let remade = Remade {
            maker: request.username(),
            since: deleted.unwrap_or(request.ts),
            made: Tally::new(request, context),
            former,
            is_minted: false,
            uses: Tally::empty(),
        };
        self.remade.insert(account, remade);
    }

    /// Returns whether somebody made something who is no program that deploys, and may not do everything anyhow.
    fn is_by_hand(&self, request: &Request<'_>, vocabulary: &Vocabulary) -> bool {
        let is_person = match request.identity_kind() {
            known::USER => true,
            known::SERVICE_ACCOUNT => begins(vocabulary.text(request.user_agent()), &self.by_hand),
            _ => false,
        };
        let grant = Grant::parse(vocabulary.text(request.authz_reason()));
        is_person && !request.is_masters && !grant.is_some_and(|grant| grant.is_of_superuser())
    }

    fn note_binding(&mut self, request: &Request<'_>, vocabulary: &Vocabulary) {
        let is_write = matches!(request.verb(), known::CREATE | known::UPDATE | known::PATCH);
        let is_of_interest = !(self.deleted.is_empty() && self.remade.is_empty());
        if !is_write || !is_of_interest || !request.succeeded() || self.bindings.len() >= KEPT {
            return;
        }
        let name = request.name();
        let binding = match vocabulary.text(request.namespace()) {
            "" => format!("ClusterRoleBinding {name}"),
            namespace => format!("RoleBinding {name}/{namespace}"),
        };
        self.bindings.insert(binding.into(), request.ts);
    }

    fn note_use(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let Some(remade) = self.remade.get_mut(&request.username()) else {
            return;
        };
        let uid = request.user_uid();
        let is_new = uid != NULL && !remade.former.contains(&uid);
        if !is_new || !request.succeeded() || request.ts > remade.made.last + self.window_us {
            return;
        }
        let Some(grant) = Grant::parse(context.vocabulary.text(request.authz_reason())) else {
            return;
        };
        let binding = format!("{} {}", grant.kind, grant.binding);
        let written = self.bindings.get(&*binding);
        let is_old = written.is_none_or(|&ts| ts < remade.since);
        if is_old && grant.subject.starts_with("ServiceAccount ") {
            remade.uses.add(request, context);
        }
    }

    /// Draws the findings: one for each account.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger) -> Vec<Finding> {
        let remade = self.remade.iter();
        let used = remade.filter(|(_, remade)| remade.uses.count > 0);
        used.filter_map(|(&account, remade)| self.finding(account, remade, context, ledger))
            .collect()
    }

    fn finding(
        &self,
        account: u32,
        remade: &Remade,
        context: &Context<'_>,
        ledger: &Ledger,
    ) -> Option<Finding> {
        let vocabulary = context.vocabulary;
        let (namespace, name) = service_account(vocabulary.text(account))?;
        let reasons = remade.uses.authz_reasons(vocabulary);
        let grants: Vec<Grant<'_>> = reasons.iter().filter_map(|it| Grant::parse(it)).collect();
        let home = format!("/{namespace}");
        let is_wide = grants.iter().any(|grant| !grant.binding.ends_with(&home));
        let at_maker = remade.made.peers(vocabulary);
        let is_at_maker =
            (remade.uses.peers(vocabulary).iter()).any(|peer| at_maker.contains(peer));
        let is_taken = remade.is_minted || is_at_maker;
        let is_as_before = {
            let former = ledger.of_username(account);
            let former = former.filter(|entry| remade.former.contains(&entry.user_uid));
            let uses = former.flat_map(|entry| &entry.uses);
            let programs: BTreeSet<&str> = uses
                .map(|used| program_name(vocabulary.text(used.agent)))
                .collect();
            let agents = remade.uses.agents(vocabulary);
            agents
                .iter()
                .all(|agent| programs.contains(program_name(agent)))
        };
        let mut all = remade.made.clone();
        all.merge(remade.uses.clone(), context);
        let maker = vocabulary.text(remade.maker);
        let called = format!("{namespace}/{name}");
        let mut draft = Draft::new(&self.meta, vec![called.clone(), maker.to_owned()], &all);
        draft.window_start = remade.made.first;
        let mut gives: Vec<String> = grants
            .iter()
            .map(|grant| format!("{} by {} {}", grant.role, grant.kind, grant.binding))
            .collect();
        gives.dedup();
        draft.summary = format!(
            "`{maker}` made ServiceAccount {called} anew, and what was bound to the old one gave it {}: {} from {}",
            listed(&gives),
            counted(remade.uses.count, "request"),
            listed(&remade.uses.peers(vocabulary)),
        );
        draft.why = reasons.iter().map(|it| format!("reason = {it}")).collect();
        draft
            .why
            .push("user.uid is not that of the account before".to_owned());
        if remade.is_minted {
            draft.why.push("who made it asked for its token".to_owned());
        } else if is_at_maker {
            draft.why.push("it was used where its maker was".to_owned());
        }
        if is_as_before && !is_taken {
            draft.severity = Severity::Low;
            draft
                .why
                .push("the same program goes on as before".to_owned());
        } else if !is_wide {
            draft.severity = Severity::Low;
            draft
                .why
                .push("its rights end at its own namespace".to_owned());
        } else if is_taken && grants.iter().any(Grant::is_of_superuser) {
            draft.severity = Severity::High;
        }
        let mut finding = draft.finish(vocabulary);
        finding.actor.username = Some(maker.to_owned());
        Some(finding)
    }
}
