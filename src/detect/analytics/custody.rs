//! The analytics on how credentials are made, held and used up, fed as one.
//!
//! Each takes in only what concerns it: most requests write no credential, and one comparison or look-up of
//! codes lets them pass.

use hashbrown::{HashMap, HashSet};

use super::account_remade::AccountRemade;
use super::certificate::Certificate;
use super::component_elsewhere::ComponentElsewhere;
use super::component_twice::ComponentTwice;
use super::concurrency::Concurrency;
use super::deputy::Deputy;
use super::foreign_group::ForeignGroup;
use super::group_gained::GroupGained;
use super::host_taken::HostTaken;
use super::idle_node::IdleNode;
use super::masquerade::Masquerade;
use super::method::Method;
use super::minted_token::MintedToken;
use super::mixed_use::MixedUse;
use super::newcomer::Newcomer;
use super::node_abroad::NodeAbroad;
use super::node_account::NodeAccount;
use super::node_outside::NodeOutside;
use super::node_renewal::NodeRenewal;
use super::node_twice::NodeTwice;
use super::old_uid::OldUid;
use super::outside_grant::OutsideGrant;
use super::person_in_pod::PersonInPod;
use super::pod_certificate::PodCertificate;
use super::pod_token_taken::PodTokenTaken;
use super::proxied_names::ProxiedNames;
use super::reviews_begun::ReviewsBegun;
use super::second_program::SecondProgram;
use super::secret_token::SecretToken;
use super::secret_token_taken::SecretTokenTaken;
use super::service_swapped::ServiceSwapped;
use super::superuser_impersonated::SuperuserImpersonated;
use super::superuser_pod::SuperuserPod;
use super::{Context, Draft};
use crate::credential::{Deaths, Ledger, Use};
use crate::detect::fold::Folded;
use crate::detect::request::Sighting;
use crate::detect::tally::Tally;
use crate::finding::{Finding, Origin, Timestamp};
use crate::frame::derived::service_account;
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytics.
#[derive(Clone)]
pub struct Custody {
    account_remade: AccountRemade,
    minted: MintedToken,
    concurrency: Concurrency,
    old_uid: OldUid,
    secret_token: SecretToken,
    secret_token_taken: SecretTokenTaken,
    certificate: Certificate,
    component_elsewhere: ComponentElsewhere,
    component_twice: ComponentTwice,
    deputy: Deputy,
    foreign_group: ForeignGroup,
    group_gained: GroupGained,
    host_taken: HostTaken,
    idle_node: IdleNode,
    method: Method,
    mixed_use: MixedUse,
    newcomer: Newcomer,
    outside_grant: OutsideGrant,
    node_abroad: NodeAbroad,
    node_account: NodeAccount,
    node_outside: NodeOutside,
    node_renewal: NodeRenewal,
    node_twice: NodeTwice,
    person_in_pod: PersonInPod,
    pod_certificate: PodCertificate,
    pod_token_taken: PodTokenTaken,
    proxied_names: ProxiedNames,
    reviews_begun: ReviewsBegun,
    second_program: SecondProgram,
    service_swapped: ServiceSwapped,
    superuser_impersonated: SuperuserImpersonated,
    superuser_pod: SuperuserPod,
}

remembers!(
    Custody: [],
    parts [pod_certificate, deputy, node_renewal, minted, concurrency, old_uid, secret_token, certificate, component_twice, superuser_pod, pod_token_taken, secret_token_taken, foreign_group, idle_node, proxied_names, reviews_begun, second_program, account_remade, group_gained, newcomer, outside_grant, service_swapped, host_taken, superuser_impersonated, person_in_pod],
    anew [component_elsewhere, method, mixed_use, node_abroad, node_account, node_outside, node_twice]
);

/// The rules that say that a credential is in several hands.
const SHARED: [&str; 2] = ["shared-credential", "pod-token-away"];

/// The rules that say who may do everything.
const SUPERUSERS: [&str; 3] = [
    "superuser-in-effect",
    "masters-credential",
    "masters-second-credential",
];

/// Who may do everything, by requests of the log, and since when they are known to.
#[derive(Default)]
pub struct Superusers(HashMap<String, i64>);

impl Superusers {
    fn add(&mut self, finding: &Finding) {
        let Timestamp(first) = finding.first_seen;
        for username in &finding.ties.usernames {
            let since = self.0.entry(username.clone()).or_insert(first);
            *since = first.min(*since);
        }
    }

    /// Returns whether `account` is a superuser, and `by`, who took what it can do at `ts`, is not known to have been one
    /// then: what came of the rise does not excuse it.
    pub(super) fn is_rise(&self, by: &str, account: &str, ts: i64) -> bool {
        let had = self.0.get(by).is_some_and(|&since| since <= ts);
        self.0.contains_key(account) && !had
    }

    /// Says why it is a rise.
    pub(super) fn why(by: &str, account: &str) -> Vec<String> {
        vec![
            format!("{account} = a superuser, by requests of this log"),
            format!("{by} = none then, as far as the log shows"),
        ]
    }
}

/// Finds an analytic's words and parameters by its name.
type Find<'f, 'r> = &'f dyn Fn(&str) -> Result<(&'r RuleMeta, &'r Parameters), RuleError>;

impl Custody {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When an analytic or a parameter is missing, or of a wrong type.
    pub fn new(analytic: Find<'_, '_>, vocabulary: &Vocabulary) -> Result<Self, RuleError> {
        let meta = |name: &str| analytic(name).map(|(meta, _)| meta);
        Ok(Self {
            person_in_pod: PersonInPod::new(analytic("person-from-pod")?)?,
            pod_certificate: PodCertificate::new(analytic("pod-certificate-unasked")?)?,
            account_remade: AccountRemade::new(analytic("account-remade")?)?,
            minted: MintedToken::new(
                meta("minted-tokens")?,
                analytic("token-lineage-break")?,
                meta("superuser-token-minted")?,
            )?,
            concurrency: Concurrency::new(analytic("impossible-concurrency")?)?,
            old_uid: OldUid::new(analytic("old-uid-in-use")?)?,
            secret_token: SecretToken::new(
                meta("secret-token-lifecycle")?,
                meta("superuser-token-minted")?,
            ),
            secret_token_taken: SecretTokenTaken::new(analytic("secret-token-taken")?)?,
            certificate: Certificate::new(analytic("certificate-lifecycle")?)?,
            component_elsewhere: ComponentElsewhere::new(analytic("component-elsewhere")?)?,
            component_twice: ComponentTwice::new(analytic("component-in-two-places")?)?,
            deputy: Deputy::new(
                analytic("deputy-grant-used")?,
                analytic("deputy-secret-copied")?,
            )?,
            foreign_group: ForeignGroup::new(analytic("certificate-in-foreign-group")?)?,
            group_gained: GroupGained::new(analytic("superuser-group-gained")?, vocabulary)?,
            idle_node: IdleNode::new(analytic("node-without-kubelet")?)?,
            proxied_names: ProxiedNames::new(analytic("proxied-names-elsewhere")?)?,
            reviews_begun: ReviewsBegun::new(analytic("reviews-begun")?)?,
            second_program: SecondProgram::new(analytic("pod-second-program")?)?,
            method: Method::new(analytic("authentication-methods")?)?,
            mixed_use: MixedUse::new(analytic("mixed-use")?)?,
            newcomer: Newcomer::new(analytic("machine-group-newcomer")?)?,
            outside_grant: OutsideGrant::new(analytic("superuser-granted-outside")?)?,
            node_abroad: NodeAbroad::new(meta("node-from-internet")?),
            node_account: NodeAccount::new(analytic("cloud-node-account-from-pod")?)?,
            node_outside: NodeOutside::new(analytic("node-outside-nodes")?)?,
            node_renewal: NodeRenewal::new(analytic("node-certificate-asked-elsewhere")?)?,
            node_twice: NodeTwice::new(analytic("node-in-two-places")?)?,
            pod_token_taken: PodTokenTaken::new(analytic("pod-token-taken")?)?,
            service_swapped: ServiceSwapped::new(
                analytic("service-selector-swapped")?,
                vocabulary,
            )?,
            host_taken: HostTaken::new(analytic("host-taken")?, vocabulary)?,
            superuser_impersonated: SuperuserImpersonated::new(analytic(
                "superuser-impersonated",
            )?)?,
            superuser_pod: SuperuserPod::new(analytic("pod-runs-as-superuser")?)?,
        })
    }

    /// Forgets what ended before a time and cannot go on, and machines and Pods that were not seen since `gone`.
    pub fn forget(&mut self, before: i64, gone: i64) {
        self.person_in_pod.forget(before);
        self.pod_certificate.forget(before);
        self.account_remade.forget(before);
        self.group_gained.forget(before);
        self.newcomer.forget(before);
        self.outside_grant.forget(before);
        self.service_swapped.forget(before);
        self.host_taken.forget(before);
        self.deputy.forget(before, gone);
        self.foreign_group.forget(before);
        self.node_renewal.forget(before);
        self.idle_node.forget(before, gone);
        self.proxied_names.forget(before, gone);
        self.reviews_begun.forget(before, gone);
        self.second_program.forget(before, gone);
        self.minted.forget(before);
        self.concurrency.forget(before);
        self.old_uid.forget(before);
        self.component_twice.forget(before);
        self.secret_token_taken.forget(before);
        self.superuser_impersonated.forget(before);
        self.superuser_pod.forget(before);
        self.pod_token_taken.forget(before);
    }

    /// Returns the credentials that findings may speak of.
    pub fn credentials(&self) -> impl Iterator<Item = u32> {
        self.minted
            .credentials()
            .chain(self.concurrency.credentials())
    }

    /// Takes in one request; the ledger holds it already, the deaths do not.
    pub fn observe(
        &mut self,
        folded: &Folded<'_>,
        context: &Context<'_>,
        ledger: &Ledger,
        deaths: &Deaths,
    ) {
        let request = &folded.request;
        self.service_swapped.observe(folded, context);
        self.host_taken.observe(folded, context);
        match request.resource() {
            known::SECRETS => {
                let body = || folded.bodies()[0];
                self.secret_token.observe(request, body, context.vocabulary);
                self.secret_token_taken.observe(request, context.vocabulary);
            }
            known::SERVICE_ACCOUNTS if request.subresource() == known::TOKEN => {
                let [body, _] = folded.bodies();
                self.minted.observe_mint(request, body, context);
            }
            known::CERTIFICATE_SIGNING_REQUESTS => {
                self.node_renewal.observe(request, context);
                let bodies = || folded.bodies();
                self.certificate
                    .observe(request, bodies, context.vocabulary);
            }
            resource => {
                if resource == known::PODS {
                    self.pod_token_taken.observe(request, context.vocabulary);
                }
                self.superuser_pod.observe(folded, context);
            }
        }
        if request.authenticated() {
            self.minted.observe_use(request, context);
            self.concurrency.observe(request, context, ledger);
            self.old_uid.observe(request, context, deaths);
            self.component_twice.observe(request, context);
            self.deputy.observe(request, context);
            self.idle_node.observe(request, context);
            self.proxied_names.observe(request, context);
            self.reviews_begun.observe(request, context);
            self.second_program.observe(request, context);
            self.foreign_group.observe(folded, context);
            self.group_gained.observe(request, context);
            self.superuser_impersonated.observe(request, context);
            self.person_in_pod.observe(request, context);
            self.pod_certificate.observe(request, context);
            self.newcomer.observe(request, context);
            self.outside_grant.observe(request, context);
            self.account_remade.observe(request, context, ledger);
        }
    }

    /// Adds the findings to those of others, which may know of the same credentials.
    pub fn finish(
        self,
        context: &Context<'_>,
        ledger: &Ledger,
        deaths: &Deaths,
        masquerade: &Masquerade,
        findings: &mut Vec<Finding>,
    ) {
        let shared: HashSet<String> = findings
            .iter()
            .filter(|finding| SHARED.contains(&&*finding.rule.name))
            .flat_map(|finding| finding.ties.credentials.iter().cloned())
            .collect();
        let mut superusers = Superusers::default();
        for finding in findings.iter() {
            if SUPERUSERS.contains(&&*finding.rule.name) {
                superusers.add(finding);
            }
        }
        let minted = self.minted.finish(context, ledger, &shared, &superusers);
        findings.extend(minted);
        findings.extend(self.superuser_pod.finish(context, &superusers));
        findings.extend(
            self.concurrency
                .finish(context, ledger, &shared, masquerade),
        );
        findings.extend(self.old_uid.finish(context, deaths));
        findings.extend(self.secret_token.finish(context, ledger, &superusers));
        findings.extend(self.secret_token_taken.finish(context, ledger));
        findings.extend(self.certificate.finish(context, ledger));
        let twice = self.component_twice.finish(context, ledger);
        findings.extend(self.component_elsewhere.finish(context, ledger, &twice));
        findings.extend(twice);
        findings.extend(self.method.finish(context, ledger));
        findings.extend(self.mixed_use.finish(context, ledger));
        findings.extend(self.node_abroad.finish(context, ledger));
        findings.extend(self.node_account.finish(context, ledger));
        findings.extend(self.node_outside.finish(context, ledger, &shared));
        findings.extend(self.node_renewal.finish(context, ledger));
        findings.extend(self.node_twice.finish(context, ledger));
        findings.extend(self.pod_token_taken.finish(context, ledger));
        findings.extend(self.deputy.finish(context));
        findings.extend(self.foreign_group.finish(context));
        findings.extend(self.group_gained.finish(context));
        findings.extend(self.superuser_impersonated.finish(context));
        findings.extend(self.person_in_pod.finish(context, ledger));
        findings.extend(self.pod_certificate.finish(context));
        findings.extend(self.newcomer.finish(context));
        findings.extend(self.outside_grant.finish(context));
        findings.extend(self.account_remade.finish(context, ledger));
        findings.extend(self.service_swapped.finish(context));
        findings.extend(self.host_taken.finish(context));
        findings.extend(self.idle_node.finish(context));
        findings.extend(self.proxied_names.finish(context));
        findings.extend(self.reviews_begun.finish(context));
        findings.extend(self.second_program.finish(context));
    }
}

/// Returns the texts of codes, each once, sorted.
pub(super) fn distinct(
    codes: impl IntoIterator<Item = u32>,
    vocabulary: &Vocabulary,
) -> Vec<String> {
    let codes = codes.into_iter();
    let mut texts: Vec<String> = codes.map(|code| vocabulary.text(code).to_owned()).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// Returns who comes from an address besides `user`.
pub(super) fn others_at(peer: u32, user: u32, ledger: &Ledger) -> impl Iterator<Item = u32> {
    let users = ledger.usernames_of(peer).iter().copied();
    users.filter(move |&other| other != user)
}

/// Returns whether an address is one of Pods, as far as the log shows: besides `user`, `ServiceAccounts` come from it and nobody else.
pub(super) fn is_of_pods(peer: u32, user: u32, ledger: &Ledger, vocabulary: &Vocabulary) -> bool {
    let mut others = others_at(peer, user, ledger).peekable();
    let is_account = |other: u32| service_account(vocabulary.text(other)).is_some();
    peer != NULL && others.peek().is_some() && others.all(is_account)
}

/// A sum over uses and single requests: the facts of an inventory.
#[derive(Default)]
pub(super) struct Sum<'a> {
    sightings: Vec<&'a Sighting>,
    peers: Vec<u32>,
    agents: Vec<u32>,
    first: Option<i64>,
    last: Option<i64>,
    count: u64,
}

impl<'a> Sum<'a> {
    /// Adds a credential's use of one address by one program; its first request is the evidence.
    pub(super) fn add(&mut self, used: &'a Use) {
        self.sightings.push(&used.sighting);
        self.peers.push(used.peer);
        self.agents.push(used.agent);
        self.span(used.first, used.last);
        self.count += used.count;
    }

    /// Adds one request.
    pub(super) fn add_sighting(&mut self, sighting: &'a Sighting) {
        self.sightings.push(sighting);
        self.span(sighting.ts, sighting.ts);
        self.count += 1;
    }

    fn span(&mut self, first: i64, last: i64) {
        self.first = Some(self.first.map_or(first, |known| known.min(first)));
        self.last = Some(self.last.map_or(last, |known| known.max(last)));
    }

    /// Returns the sum in the form that findings rest on.
    pub(super) fn tally(&self, context: &Context<'_>) -> Tally {
        let mut tally = Tally::empty();
        let sightings = self.sightings.iter().copied();
        tally.add_sightings(sightings, context);
        tally.first = self.first.unwrap_or_default();
        tally.began = tally.first;
        tally.last = self.last.unwrap_or_default();
        tally.count = self.count;
        tally
    }

    /// Returns the finding: its evidence is one request of each use.
    pub(super) fn finish(&self, draft: Draft<'_>, vocabulary: &Vocabulary) -> Finding {
        let texts = |codes: &[u32]| {
            let known = codes.iter().copied().filter(|&code| code != NULL);
            distinct(known, vocabulary)
        };
        let mut finding = draft.finish(vocabulary);
        finding.evidence_total = self.sightings.len() as u64;
        finding.source = Origin {
            ips: texts(&self.peers),
            user_agents: texts(&self.agents),
        };
        finding
    }
}
