//! The analytics on how credentials are made, held and used up, fed as one.
//!
//! Each takes in only what concerns it: most requests write no credential, and one comparison or look-up of
//! codes lets them pass.

use hashbrown::{HashMap, HashSet};

use super::masquerade::Masquerade;
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

/// Declares [`Custody`]. A row has the module of an analytic and its type, how it is made, and with what its functions are
/// called. `observe` takes in requests whose credential was accepted, in the order of the rows; who wants to see others is
/// named in [`Custody::observe`]. `parts` remember something, which is written in the order of the rows; the rest looks into
/// the ledger at the end. A macro, since a trait would need one signature for all.
macro_rules! custody {
    (
        new($analytic:ident, $meta:ident, $vocabulary:ident)
        forget($before:ident, $gone:ident)
        observe($folded:ident, $request:ident, $context:ident, $ledger:ident, $deaths:ident)
        finish($shared:ident, $superusers:ident, $masquerade:ident, $findings:ident);
        parts {$(
            $part:ident $Part:ident = [$($part_new:tt)*]
                $(forget $forget:tt)? $(observe $observe:tt)? finish $part_finish:tt;
        )*}
        anew {$($anew:ident $Anew:ident = [$($anew_new:tt)*] finish $anew_finish:tt;)*}
    ) => {
        $(use super::$part::$Part;)*
        $(use super::$anew::$Anew;)*

        /// State of the analytics.
        #[derive(Clone)]
        pub struct Custody {
            $($part: $Part,)*
            $($anew: $Anew,)*
        }

        remembers!(Custody: [], parts [$($part),*], anew [$($anew),*]);

        impl Custody {
            /// Reads the parameters.
            ///
            /// # Errors
            /// When an analytic or a parameter is missing, or of a wrong type.
            pub fn new(
                $analytic: Find<'_, '_>,
                $vocabulary: &Vocabulary,
            ) -> Result<Self, RuleError> {
                let $meta = |name: &str| $analytic(name).map(|(meta, _)| meta);
                Ok(Self {
                    $($part: $Part::$($part_new)*,)*
                    $($anew: $Anew::$($anew_new)*,)*
                })
            }

            /// Forgets what ended before a time and cannot go on, and machines and Pods that were not seen since `gone`.
            pub fn forget(&mut self, $before: i64, $gone: i64) {
                $($(self.$part.forget $forget;)?)*
            }

            fn observe_accepted(
                &mut self,
                $folded: &Folded<'_>,
                $context: &Context<'_>,
                $ledger: &Ledger,
                $deaths: &Deaths,
            ) {
                let $request = &$folded.request;
                $($(self.$part.observe $observe;)?)*
            }

            fn draw(
                self,
                ($context, $ledger, $deaths): (&Context<'_>, &Ledger, &Deaths),
                $shared: &HashSet<String>,
                $superusers: &Superusers,
                $masquerade: &Masquerade,
                $findings: &mut Vec<Finding>,
            ) {
                $($findings.extend(self.$part.finish $part_finish);)*
                $($findings.extend(self.$anew.finish $anew_finish);)*
            }
        }
    };
}

custody! {
    new(analytic, meta, vocabulary)
    forget(before, gone)
    observe(folded, request, context, ledger, deaths)
    finish(shared, superusers, masquerade, findings);
    parts {
        pod_certificate PodCertificate = [new(analytic("pod-certificate-unasked")?)?]
            forget(before) observe(request, context) finish(context);
        deputy Deputy = [new(analytic("deputy-grant-used")?, analytic("deputy-secret-copied")?)?]
            forget(before, gone) observe(request, context) finish(context);
        node_renewal NodeRenewal = [new(analytic("node-certificate-asked-elsewhere")?)?]
            forget(before) finish(context, ledger);
        minted_token MintedToken = [new(meta("minted-tokens")?, analytic("token-lineage-break")?, meta("superuser-token-minted")?)?]
            forget(before) observe(request, context) finish(context, ledger, shared, superusers);
        concurrency Concurrency = [new(analytic("impossible-concurrency")?)?]
            forget(before) observe(request, context, ledger) finish(context, ledger, shared, masquerade);
        old_uid OldUid = [new(analytic("old-uid-in-use")?)?]
            forget(before) observe(request, context, deaths) finish(context, deaths);
        secret_token SecretToken = [new(meta("secret-token-lifecycle")?, meta("superuser-token-minted")?)]
            finish(context, ledger, superusers);
        certificate Certificate = [new(analytic("certificate-lifecycle")?)?] finish(context, ledger);
        component_twice ComponentTwice = [new(analytic("component-in-two-places")?)?]
            forget(before) observe(request, context) finish(context, ledger);
        superuser_pod SuperuserPod = [new(analytic("pod-runs-as-superuser")?)?]
            forget(before) finish(context, superusers);
        pod_token_taken PodTokenTaken = [new(analytic("pod-token-taken")?)?] forget(before) finish(context, ledger);
        secret_token_taken SecretTokenTaken = [new(analytic("secret-token-taken")?)?]
            forget(before) finish(context, ledger);
        foreign_group ForeignGroup = [new(analytic("certificate-in-foreign-group")?)?]
            forget(before) observe(folded, context) finish(context);
        idle_node IdleNode = [new(analytic("node-without-kubelet")?)?]
            forget(before, gone) observe(request, context) finish(context);
        proxied_names ProxiedNames = [new(analytic("proxied-names-elsewhere")?)?]
            forget(before, gone) observe(request, context) finish(context);
        reviews_begun ReviewsBegun = [new(analytic("reviews-begun")?)?]
            forget(before, gone) observe(request, context) finish(context);
        second_program SecondProgram = [new(analytic("pod-second-program")?)?]
            forget(before, gone) observe(request, context) finish(context);
        account_remade AccountRemade = [new(analytic("account-remade")?)?]
            forget(before) observe(request, context, ledger) finish(context, ledger);
        group_gained GroupGained = [new(analytic("superuser-group-gained")?, vocabulary)?]
            forget(before) observe(request, context) finish(context);
        newcomer Newcomer = [new(analytic("machine-group-newcomer")?)?]
            forget(before) observe(request, context) finish(context);
        outside_grant OutsideGrant = [new(analytic("superuser-granted-outside")?)?]
            forget(before) observe(request, context) finish(context);
        service_swapped ServiceSwapped = [new(analytic("service-selector-swapped")?, vocabulary)?]
            forget(before) finish(context);
        host_taken HostTaken = [new(analytic("host-taken")?, vocabulary)?] forget(before) finish(context);
        superuser_impersonated SuperuserImpersonated = [new(analytic("superuser-impersonated")?)?]
            forget(before) observe(request, context) finish(context);
        person_in_pod PersonInPod = [new(analytic("person-from-pod")?)?]
            forget(before) observe(request, context) finish(context, ledger);
    }
    anew {
        component_elsewhere ComponentElsewhere = [new(analytic("component-elsewhere")?)?]
            finish(context, ledger, findings);
        method Method = [new(analytic("authentication-methods")?)?] finish(context, ledger);
        mixed_use MixedUse = [new(analytic("mixed-use")?)?] finish(context, ledger);
        node_abroad NodeAbroad = [new(meta("node-from-internet")?)] finish(context, ledger);
        node_account NodeAccount = [new(analytic("cloud-node-account-from-pod")?)?] finish(context, ledger);
        node_outside NodeOutside = [new(analytic("node-outside-nodes")?)?] finish(context, ledger, shared);
        node_twice NodeTwice = [new(analytic("node-in-two-places")?)?] finish(context, ledger);
    }
}

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
    /// Returns the credentials that findings may speak of.
    pub fn credentials(&self) -> impl Iterator<Item = u32> {
        self.minted_token
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
                self.minted_token.observe_mint(request, body, context);
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
            self.observe_accepted(folded, context, ledger, deaths);
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
        let known = (context, ledger, deaths);
        self.draw(known, &shared, &superusers, masquerade, findings);
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
