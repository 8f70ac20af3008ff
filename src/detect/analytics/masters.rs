//! `masters-credential`, `masters-second-credential`, `masters-new-source`: who carries `system:masters`;
//! `superuser-new-source`: who may as much by a `ClusterRoleBinding`.
//!
//! RBAC never judges members of this group, and nothing revokes a certificate that names it but a new
//! CA. So the log is read as an inventory: one finding per credential that carries the group, one more
//! for each that is not the first, and one for each further address a credential comes from. The API
//! server's own loopback client carries it too (kubernetes/apiserver `pkg/server/config.go`) and is
//! known by name and address together.
//!
//! Since 1.29 kubeadm's `admin.conf` is of a group that is bound to `cluster-admin`. Such a certificate is no less worth, but
//! administrators move, so that a new address is bad only where it is one of the internet.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::address::{are_neighbours, is_public};
use super::{Context, Draft, counted, listed};
use crate::credential::Ledger;
use crate::detect::rbac::{Grant, Reasons};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Finding, Severity};
use crate::frame::derived::identity_kind;
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytics.
#[derive(Clone)]
pub struct Masters {
    inventory: RuleMeta,
    second: RuleMeta,
    new_source: RuleMeta,
    superuser_source: RuleMeta,
    shared_peer_users: usize,
    managed: Vec<String>,
    local: Vec<String>,
    /// Per credential that carries the group.
    carriers: HashMap<u32, Carrier>,
    /// Per certificate that `cluster-admin` is bound to.
    superusers: HashMap<u32, Carrier>,
    /// Whether a reason is that `cluster-admin` is bound to somebody everywhere.
    reasons: Reasons<bool>,
}

remembers!(
    Masters: [carriers, superusers],
    anew [inventory, second, new_source, superuser_source, shared_peer_users, managed, local, reasons]
);

/// What a credential did: all, and per address in order of first use.
#[derive(Clone, Serialize, Deserialize)]
struct Carrier {
    all: Tally,
    by_peer: Vec<(u32, Tally)>,
}

impl Carrier {
    fn new() -> Self {
        Self {
            all: Tally::empty(),
            by_peer: Vec::new(),
        }
    }

    fn add(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let peer = request.peer_ip();
        self.all.add(request, context);
        match self.by_peer.iter_mut().find(|(known, _)| *known == peer) {
            Some((_, tally)) => tally.add(request, context),
            None => self.by_peer.push((peer, Tally::new(request, context))),
        }
    }

    fn is_at_loopback(&self, vocabulary: &Vocabulary) -> bool {
        let mut peers = self.by_peer.iter();
        peers.all(|(peer, _)| LOOPBACK.contains(&vocabulary.text(*peer)))
    }
}

/// What makes a credential all-powerful.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rank {
    Masters,
    ClusterAdmin,
}

/// The addresses of the API server's loopback client.
const LOOPBACK: [&str; 2] = ["::1", "127.0.0.1"];

impl Masters {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(
        inventory: &RuleMeta,
        second: &RuleMeta,
        (new_source, parameters): (&RuleMeta, &Parameters),
        superuser_source: &RuleMeta,
    ) -> Result<Self, RuleError> {
        Ok(Self {
            inventory: inventory.clone(),
            second: second.clone(),
            new_source: new_source.clone(),
            superuser_source: superuser_source.clone(),
            shared_peer_users: parameters.count("shared_peer_users")? as usize,
            managed: parameters.strings("managed_control_planes")?,
            local: parameters.strings("local_control_planes")?,
            carriers: HashMap::new(),
            superusers: HashMap::new(),
            reasons: Reasons::default(),
        })
    }

    /// Takes in one request.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        // With impersonation the flag may stem from the impersonated groups: another rule's business.
        if request.imp_username() != NULL || request.peer_ip() == NULL {
            return;
        }
        let credential = request.credential();
        let carriers = if request.is_masters {
            if Self::is_api_server(request, context.vocabulary) {
                return;
            }
            &mut self.carriers
        } else if self.is_superuser(request, context.vocabulary) {
            &mut self.superusers
        } else {
            return;
        };
        let carrier = carriers.entry(credential).or_insert_with(Carrier::new);
        carrier.add(request, context);
    }

    /// Returns whether it is a person's certificate, and may do this since `cluster-admin` is bound to it everywhere.
    fn is_superuser(&mut self, request: &Request<'_>, vocabulary: &Vocabulary) -> bool {
        if request.authz_reason() == NULL
            || request.credential_kind() != known::X509
            || request.identity_kind() != known::USER
        {
            return false;
        }
        *self.reasons.of(request, vocabulary, Grant::is_of_superuser)
    }

    /// Tells the API server's client to itself: by name and address, or, where the server listens on
    /// another address than loopback, by name, its own program, a uid, and no credential of its own.
    fn is_api_server(request: &Request<'_>, vocabulary: &Vocabulary) -> bool {
        let credential = vocabulary.text(request.credential());
        vocabulary.text(request.username()) == "system:apiserver"
            && (LOOPBACK.contains(&vocabulary.text(request.peer_ip()))
                || (request.user_uid() != NULL
                    && credential.starts_with("user:")
                    && vocabulary
                        .text(request.user_agent())
                        .starts_with("kube-apiserver/")))
    }

    /// Draws the findings.
    pub fn finish(self, context: &Context<'_>, ledger: &Ledger) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let in_order = |carriers: &HashMap<u32, Carrier>| {
            let mut carriers: Vec<(String, Carrier)> = carriers
                .iter()
                .map(|(&key, carrier)| (vocabulary.text(key).to_owned(), carrier.clone()))
                .collect();
            carriers.sort_by(|a, b| (a.1.all.first, &a.0).cmp(&(b.1.all.first, &b.0)));
            carriers
        };
        let carriers = in_order(&self.carriers);
        let users_of = |(_, carrier): &(String, Carrier)| carrier.all.usernames(vocabulary);
        let users: Vec<Vec<String>> = carriers.iter().map(users_of).collect();
        let n_servers = carriers
            .iter()
            .zip(&users)
            .filter(|((_, carrier), users)| self.is_local(users, carrier, vocabulary))
            .count();
        let mut findings = Vec::new();
        let mut before: Vec<&(String, Carrier)> = Vec::new();
        for (carrier, users) in carriers.iter().zip(&users) {
            let managed = self.is_managed(users, &carrier.1, vocabulary);
            let known = if managed { &[][..] } else { &before[..] };
            let carrier_of = (carrier, &users[..]);
            let finding = self.carrier_finding(carrier_of, managed, known, vocabulary, ledger);
            findings.push(Self::of_servers(
                finding, carrier_of, known, n_servers, vocabulary,
            ));
            if !managed {
                findings.extend(self.source_findings(carrier, Rank::Masters, context, ledger));
                before.push(carrier);
            }
        }
        for carrier in &in_order(&self.superusers) {
            findings.extend(self.source_findings(carrier, Rank::ClusterAdmin, context, ledger));
        }
        findings
    }

    /// Returns whether a credential is the control plane's own: by name, or by name at home.
    fn is_managed(&self, users: &[String], carrier: &Carrier, vocabulary: &Vocabulary) -> bool {
        users.iter().all(|user| self.managed.contains(user))
            || self.is_local(users, carrier, vocabulary)
    }

    /// Returns whether a credential is that of a server that talks to itself.
    fn is_local(&self, users: &[String], carrier: &Carrier, vocabulary: &Vocabulary) -> bool {
        users.iter().all(|user| self.local.contains(user)) && carrier.is_at_loopback(vocabulary)
    }

    /// Lowers a further credential that is used on its own server alone, one for each: of k3s and RKE2 every server makes an
    /// administrator's certificate, and as many servers as talk to themselves have one.
    fn of_servers(
        mut finding: Finding,
        ((_, carrier), users): (&(String, Carrier), &[String]),
        before: &[&(String, Carrier)],
        n_servers: usize,
        vocabulary: &Vocabulary,
    ) -> Finding {
        let same: Vec<&Carrier> = before
            .iter()
            .map(|(_, known)| known)
            .filter(|known| known.all.usernames(vocabulary) == users)
            .collect();
        let at_loopback = |carrier: &Carrier| carrier.is_at_loopback(vocabulary);
        let is_of_server = !same.is_empty()
            && same.len() < n_servers
            && at_loopback(carrier)
            && same.iter().all(|known| at_loopback(known));
        if is_of_server && finding.severity > Severity::Low {
            finding.severity = Severity::Low;
            finding.ties.is_inventory = true;
            finding.why.push(format!(
                "the same user at the servers themselves, of which the log shows {n_servers}: each of them makes such a certificate"
            ));
        }
        finding
    }

    /// Says that a credential carries the group; worse if others were known `before`.
    fn carrier_finding(
        &self,
        ((credential, carrier), users): (&(String, Carrier), &[String]),
        managed: bool,
        before: &[&(String, Carrier)],
        vocabulary: &Vocabulary,
        ledger: &Ledger,
    ) -> Finding {
        let all = &carrier.all;
        let meta = if before.is_empty() {
            &self.inventory
        } else {
            &self.second
        };
        let mut draft = Draft::new(meta, vec![credential.clone()], all);
        let how = if before.is_empty() {
            ""
        } else {
            " by a further credential"
        };
        draft.summary = format!(
            "`{}` carries system:masters{how}: {}, {} of them changes, from {}",
            listed(users),
            counted(all.count, "request"),
            all.writes,
            listed(&all.peers(vocabulary)),
        );
        draft.why = vec![
            "user.groups holds system:masters".to_owned(),
            format!("credential = {credential}"),
        ];
        if let Some((key, known)) = before.first() {
            let names = listed(&known.all.usernames(vocabulary));
            draft
                .why
                .push(format!("first used after that of `{names}` ({key})"));
        }
        let renewed = before.iter().any(|(_, known)| {
            known.all.usernames(vocabulary) == users
                && known.all.last <= all.first
                && known.all.origin(vocabulary) == all.origin(vocabulary)
        });
        let is_home = |(peer, _): &(u32, Tally)| {
            let users = ledger.usernames_of(*peer).iter();
            let mut kinds = users.map(|&user| identity_kind(vocabulary.text(user)));
            kinds.any(|kind| matches!(kind, "node" | "component"))
        };
        let of_another_node = before
            .iter()
            .any(|(_, known)| known.all.usernames(vocabulary) == users)
            && carrier.by_peer.iter().all(is_home);
        // A server before 1.32, or a log across an upgrade: one user with and without a fingerprint.
        let without_id = |key: &str| key.starts_with("user:");
        let same_user = before.iter().any(|(key, known)| {
            known.all.usernames(vocabulary) == users && without_id(key) != without_id(credential)
        });
        // The first is everyday business; a further one is somebody's way in.
        draft.is_inventory = before.is_empty() || renewed || same_user;
        if managed {
            draft.severity = Severity::Informational;
            draft
                .why
                .push("known as part of a managed control plane".to_owned());
        } else if renewed {
            draft.severity = Severity::Low;
            draft.why.push(
                "took over from one of the same user, address and program: a renewal".to_owned(),
            );
        } else if same_user {
            draft.severity = Severity::Low;
            draft.why.push(
                "the same user, once with and once without a fingerprint in the log".to_owned(),
            );
        } else if of_another_node {
            draft.severity = Severity::Medium;
            draft.why.push(
                "the same user, at a node or component: kubeadm makes such a certificate on each node of the control plane"
                    .to_owned(),
            );
        }
        draft.finish(vocabulary)
    }

    /// Says where a credential came from besides the first address.
    fn source_findings(
        &self,
        (credential, carrier): &(String, Carrier),
        rank: Rank,
        context: &Context<'_>,
        ledger: &Ledger,
    ) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let (meta, called) = match rank {
            Rank::Masters => (&self.new_source, "system:masters"),
            Rank::ClusterAdmin => (&self.superuser_source, "cluster-admin"),
        };
        let who = listed(&carrier.all.usernames(vocabulary));
        let home = carrier.by_peer[0].0;
        let finding = |(peer, tally): &(u32, Tally)| {
            let address = vocabulary.text(*peer);
            let group = vec![credential.clone(), address.to_owned()];
            let mut draft = Draft::new(meta, group, tally);
            draft.summary = format!(
                "`{who}` ({called}) came from {address}, where it had not been before: {}, {} of them changes",
                counted(tally.count, "request"),
                tally.writes,
            );
            draft.why = vec![
                format!("credential = {credential}"),
                format!("address = {address}; before: {}", vocabulary.text(home)),
            ];
            let doubt = if [*peer, home]
                .iter()
                .any(|&peer| ledger.is_shared_peer(peer, self.shared_peer_users))
            {
                Some("one of the addresses stands for many users")
            } else if are_neighbours([address, vocabulary.text(home)]) {
                Some("the addresses may be one host's: one network, or one of each family")
            } else if rank == Rank::ClusterAdmin && !is_public(address) {
                Some("the address is not one of the internet: an administrator may have moved")
            } else {
                None
            };
            if let Some(doubt) = doubt {
                draft.severity = Severity::Low;
                draft.why.push(doubt.to_owned());
            }
            draft.finish(vocabulary)
        };
        carrier.by_peer[1..].iter().map(finding).collect()
    }
}
