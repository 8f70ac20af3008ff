//! `minted-tokens` and `token-lineage-break`: tokens that somebody asked for, and where they went.
//!
//! A token request's event names the token it issued, and each use of the token names it again
//! (KEP-4193: `issued-credential-id`, `credential-id`). Kubelets mint for their Pods all the time; those
//! tokens are bound, and `pod-token-away` knows where they belong. What a person or a program mints is followed:
//! a token belongs with whoever asked for it, and where its `ServiceAccount` is otherwise. Handed over to one
//! other place (to CI, say) it is only listed; but used in several, or away from a `ServiceAccount` that has
//! a place of its own, its lineage is broken.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::address::{is_public, network};
use super::custody::Superusers;
use super::{Context, Draft, counted, lasting, listed, times};
use crate::credential::{Ledger, Use};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Confidence, Finding, Severity, Timestamp};
use crate::frame::derived::{service_account, service_account_user};
use crate::frame::vocabulary::known;
use crate::frame::{Column, NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytics.
#[derive(Clone)]
pub struct MintedToken {
    inventory: RuleMeta,
    lineage: RuleMeta,
    superuser: RuleMeta,
    settings: Settings,
    mints: Vec<Mint>,
    by_credential: HashMap<u32, usize>,
    /// Per minter: all its token requests.
    minters: HashMap<u32, Minter>,
}

remembers!(MintedToken: [mints, by_credential, minters], anew [inventory, lineage, superuser, settings]);

#[derive(Clone)]
struct Settings {
    shared_peer_users: usize,
    privileged: Vec<String>,
    by_design: Vec<(String, String)>,
}

/// One token and where it went.
#[derive(Clone, Serialize, Deserialize)]
struct Mint {
    by: u32,
    by_kind: u32,
    peer: u32,
    ts: i64,
    /// User name of the `ServiceAccount`.
    account: u32,
    /// Name of the node it is bound to, once it is used.
    node: u32,
    seconds: Option<u64>,
    request: Tally,
    /// Uses by address, in order of first use.
    uses: Vec<(u32, Tally)>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Minter {
    tally: Tally,
    mints: Vec<usize>,
    kind: u32,
}

/// How many tokens of one minter are followed; a program that mints without end is counted only.
const FOLLOWED: usize = 512;

/// How many addresses of one token are told apart.
const PLACES: usize = 64;

/// How long a token lives if nobody says: the API server extends those of Pods to a year (kubernetes/kubernetes
/// `pkg/serviceaccount/claims.go`, `ExpirationExtensionSeconds`), and gives others less unless asked.
const LIFE_SECONDS: u64 = 365 * 86_400;

/// How many lines an inventory has.
const LINES: usize = 20;

impl MintedToken {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(
        inventory: &RuleMeta,
        (lineage, parameters): (&RuleMeta, &Parameters),
        superuser: &RuleMeta,
    ) -> Result<Self, RuleError> {
        let by_design = parameters.strings("by_design")?.into_iter().map(|text| {
            let (minter, account) = text.split_once(" for ").unwrap_or((&text, ""));
            (minter.to_owned(), account.to_owned())
        });
        Ok(Self {
            inventory: inventory.clone(),
            lineage: lineage.clone(),
            superuser: superuser.clone(),
            settings: Settings {
                shared_peer_users: parameters.count("shared_peer_users")? as usize,
                privileged: parameters.strings("privileged_namespaces")?,
                by_design: by_design.collect(),
            },
            mints: Vec::new(),
            by_credential: HashMap::new(),
            minters: HashMap::new(),
        })
    }

    /// Takes in a request on a `ServiceAccount`'s subresource `token`; `body` is what it asked with.
    pub fn observe_mint(&mut self, request: &Request<'_>, body: &str, context: &Context<'_>) {
        let is_mint = request.verb() == known::CREATE && request.succeeded();
        if !is_mint || !request.authenticated() || request.identity_kind() == known::NODE {
            return;
        }
        let vocabulary = context.vocabulary;
        let minter = self
            .minters
            .entry(request.username())
            .or_insert_with(|| Minter {
                tally: Tally::empty(),
                mints: Vec::new(),
                kind: request.identity_kind(),
            });
        minter.tally.add(request, context);
        if minter.mints.len() >= FOLLOWED {
            return;
        }
        minter.mints.push(self.mints.len());
        let issued = vocabulary.code(request.issued_credential_id());
        if issued != NULL {
            self.by_credential.insert(issued, self.mints.len());
        }
        let namespace = vocabulary.text(request.namespace());
        let account = service_account_user(namespace, request.name());
        self.mints.push(Mint {
            by: request.username(),
            by_kind: request.identity_kind(),
            peer: request.peer_ip(),
            ts: request.ts,
            account: vocabulary.code(&account),
            node: NULL,
            seconds: lifetime(body),
            request: Tally::new(request, context),
            uses: Vec::new(),
        });
    }

    /// Returns the minted tokens that were used.
    pub fn credentials(&self) -> impl Iterator<Item = u32> {
        self.by_credential.keys().copied()
    }

    /// Forgets minters of which nothing is new since `before`, with all their tokens, if those have expired: one by one
    /// would change since when a minter is told of.
    pub fn forget(&mut self, before: i64) {
        let mints = &self.mints;
        self.minters.retain(|_, minter| {
            let mut own = minter.mints.iter().map(|&index| &mints[index]);
            minter.tally.last >= before || own.any(|mint| mint.reaches(before))
        });
        let mut numbers = Vec::with_capacity(self.mints.len());
        let mut left = 0;
        self.mints.retain(|mint| {
            let stays = self.minters.contains_key(&mint.by);
            numbers.push(stays.then_some(left));
            left += usize::from(stays);
            stays
        });
        if left == numbers.len() {
            return;
        }
        for minter in self.minters.values_mut() {
            let indices = minter.mints.iter();
            minter.mints = indices.filter_map(|&index| numbers[index]).collect();
        }
        self.by_credential.retain(|_, index| {
            let number = numbers[*index];
            *index = number.unwrap_or_default();
            number.is_some()
        });
    }

    /// Takes in a request whose credential was accepted.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        // Most logs hold no token but those of kubelets.
        if self.by_credential.is_empty() {
            return;
        }
        let Some(&index) = self.by_credential.get(&request.credential()) else {
            return;
        };
        let vocabulary = context.vocabulary;
        let mint = &mut self.mints[index];
        if mint.uses.is_empty() {
            mint.node = request.code_of(Column::TokenNode, vocabulary);
        }
        let uses = &mut mint.uses;
        let peer = request.peer_ip();
        match uses.iter().position(|(known, _)| *known == peer) {
            Some(at) => uses[at].1.add(request, context),
            None if uses.len() < PLACES => {
                uses.push((peer, Tally::new(request, context)));
            }
            None => {}
        }
    }

    /// Draws the findings; `known` are credentials that others speak of, `superusers` who may do everything.
    pub fn finish(
        self,
        context: &Context<'_>,
        ledger: &Ledger,
        known: &HashSet<String>,
        superusers: &Superusers,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.breaks(context, ledger, known, &mut findings);
        self.rises(context, superusers, &mut findings);
        for (&by, minter) in &self.minters {
            // Controllers under `--use-service-account-credentials` ask for a token each.
            if minter.kind != known::COMPONENT {
                findings.push(self.inventory(by, minter, context));
            }
        }
        findings
    }

    /// Lists what one minter asked for.
    fn inventory(&self, by: u32, minter: &Minter, context: &Context<'_>) -> Finding {
        let vocabulary = context.vocabulary;
        let who = vocabulary.text(by);
        let mints = || minter.mints.iter().map(|&index| &self.mints[index]);
        let accounts: BTreeSet<&str> = mints().map(|mint| vocabulary.text(mint.account)).collect();
        let accounts: Vec<String> = accounts.into_iter().map(short).collect();
        let used = mints().filter(|mint| !mint.uses.is_empty()).count();
        let mut draft = Draft::new(&self.inventory, vec![who.to_owned()], &minter.tally);
        draft.summary = format!(
            "`{who}` minted {} for {}; {used} of them used in this log",
            counted(minter.tally.count, "token"),
            listed(&accounts),
        );
        draft.why = mints()
            .take(LINES)
            .map(|mint| mint.line(vocabulary))
            .collect();
        if minter.mints.len() > LINES {
            draft
                .why
                .push(format!("and {} more", minter.mints.len() - LINES));
        }
        if mints().all(|mint| mint.seconds.is_none()) {
            draft.blind_spots.push(
                "how long the tokens live: the log has no bodies of token requests".to_owned(),
            );
        }
        draft.finish(vocabulary)
    }

    /// Says who, being none, asked for a token of a superuser.
    fn rises(&self, context: &Context<'_>, superusers: &Superusers, findings: &mut Vec<Finding>) {
        let vocabulary = context.vocabulary;
        let mut rises: BTreeMap<(&str, &str), Tally> = BTreeMap::new();
        for mint in &self.mints {
            let (by, account) = (vocabulary.text(mint.by), vocabulary.text(mint.account));
            let is_rise = superusers.is_rise(by, account, mint.ts);
            if is_rise && mint.by_kind != known::COMPONENT {
                let tally = rises.entry((by, account)).or_insert_with(Tally::empty);
                tally.merge(mint.request.clone(), context);
            }
        }
        for ((by, account), tally) in rises {
            let group = vec![by.to_owned(), account.to_owned()];
            let mut draft = Draft::new(&self.superuser, group, &tally);
            draft.summary = format!(
                "`{by}` asked for {} of {}, which may do everything in the cluster",
                counted(tally.count, "token"),
                short(account),
            );
            draft.why = Superusers::why(by, account);
            findings.push(draft.finish(vocabulary));
        }
    }

    /// Says which tokens went astray, folded by minter and `ServiceAccount`.
    fn breaks(
        &self,
        context: &Context<'_>,
        ledger: &Ledger,
        known: &HashSet<String>,
        findings: &mut Vec<Finding>,
    ) {
        let vocabulary = context.vocabulary;
        let credentials: HashMap<usize, u32> = self
            .by_credential
            .iter()
            .map(|(&code, &index)| (index, code))
            .collect();
        let mut broken: BTreeMap<(&str, &str), Vec<Stray<'_>>> = BTreeMap::new();
        for (index, mint) in self.mints.iter().enumerate() {
            let Some(&credential) = credentials.get(&index) else {
                continue;
            };
            let names = (vocabulary.text(mint.by), vocabulary.text(mint.account));
            let is_meant = self
                .settings
                .by_design
                .iter()
                .any(|(by, account)| (&**by, &**account) == names);
            if is_meant {
                continue;
            }
            if let Some(stray) = self.stray(mint, credential, ledger, vocabulary) {
                broken.entry(names).or_default().push(stray);
            }
        }
        for ((by, account), strays) in broken {
            let mut finding = self.break_finding(by, account, &strays, context);
            let said = |stray: &Stray<'_>| known.contains(vocabulary.text(stray.credential));
            if strays.iter().all(said) {
                finding.severity = Severity::Informational;
                finding.why.push(
                    "another finding says that the token is in use at several places: this one adds where it comes from"
                        .to_owned(),
                );
            }
            findings.push(finding);
        }
    }

    /// Returns where a token is used that is neither its minter's nor its owner's place.
    fn stray<'m>(
        &self,
        mint: &'m Mint,
        credential: u32,
        ledger: &Ledger,
        vocabulary: &Vocabulary,
    ) -> Option<Stray<'m>> {
        if mint.uses.iter().all(|(peer, _)| *peer == mint.peer) {
            return None;
        }
        let mut home: HashSet<u32> = ledger.former_places(mint.account).collect();
        for entry in ledger.of_username(mint.account) {
            let is_minted = self.by_credential.contains_key(&entry.credential);
            // What was minted later, or by the same hand, must not vouch for itself; nor does a place of the internet
            // that another token came from later only: that one is the stranger.
            let vouches = |used: &&Use| {
                let is_earlier = used.first < mint.ts;
                is_earlier || !is_minted && !is_public(vocabulary.text(used.peer))
            };
            if entry.credential != credential {
                let uses = entry.uses.iter().filter(vouches);
                home.extend(uses.map(|used| used.peer));
            }
        }
        if mint.node != NULL {
            let node = format!("system:node:{}", vocabulary.text(mint.node));
            let entries = vocabulary
                .find(&node)
                .into_iter()
                .flat_map(|code| ledger.of_username(code));
            home.extend(entries.flat_map(|entry| &entry.uses).map(|used| used.peer));
        }
        let place = |peer: &u32| {
            let address = vocabulary.text(*peer);
            network(address).unwrap_or_else(|| address.to_owned())
        };
        let familiar: HashSet<String> = home.iter().chain([&mint.peer]).map(place).collect();
        let is_away = |peer: &u32| {
            *peer != NULL
                && !familiar.contains(&place(peer))
                && !ledger.is_shared_peer(*peer, self.settings.shared_peer_users)
        };
        let away: Vec<&'m (u32, Tally)> =
            mint.uses.iter().filter(|(peer, _)| is_away(peer)).collect();
        let places: BTreeSet<String> = away.iter().map(|(peer, _)| place(peer)).collect();
        let has_home = !home.is_empty() || away.len() < mint.uses.len();
        let namespace =
            service_account(vocabulary.text(mint.account)).map_or("", |(namespace, _)| namespace);
        let is_privileged = self
            .settings
            .privileged
            .iter()
            .any(|known| known == namespace);
        // Handed over to one place, and used nowhere else: whoever asked for it meant it to go there.
        let handed_over = places.len() == 1 && !has_home && !is_privileged;
        (!away.is_empty() && !handed_over).then(|| Stray {
            mint,
            credential,
            away,
            has_home: !home.is_empty(),
            is_privileged,
        })
    }

    fn break_finding(
        &self,
        by: &str,
        account: &str,
        strays: &[Stray<'_>],
        context: &Context<'_>,
    ) -> Finding {
        let vocabulary = context.vocabulary;
        let mut all = Tally::empty();
        let mut used = Tally::empty();
        for stray in strays {
            all.merge(stray.mint.request.clone(), context);
            for (_, tally) in &stray.away {
                used.merge(tally.clone(), context);
            }
        }
        let start = all.first;
        all.merge(used.clone(), context);
        let first = strays[0].mint;
        let group = vec![by.to_owned(), account.to_owned()];
        let mut draft = Draft::new(&self.lineage, group, &all);
        draft.window_start = start;
        draft.summary = format!(
            "a token that `{by}` minted for {} at {} was used from {} by {}: {}, {} served",
            short(account),
            Timestamp(first.ts),
            listed(&used.peers(vocabulary)),
            listed(&used.agents(vocabulary)),
            counted(used.count, "request"),
            used.succeeded,
        );
        draft.why = vec![format!(
            "minted from {}; neither that nor what else is known of {} explains the addresses",
            vocabulary.text(first.peer),
            short(account),
        )];
        let lines = strays.iter().take(LINES).map(|stray| {
            format!(
                "{}: {}",
                vocabulary.text(stray.credential),
                stray.mint.line(vocabulary)
            )
        });
        draft.why.extend(lines);
        let lives_elsewhere = strays.iter().any(|stray| stray.has_home);
        if lives_elsewhere {
            draft.why.push(
                "the ServiceAccount has addresses of its own, and these are others".to_owned(),
            );
        }
        let is_privileged = strays.iter().any(|stray| stray.is_privileged);
        if is_privileged && lives_elsewhere {
            draft.severity = Severity::High;
        }
        if strays
            .iter()
            .all(|stray| stray.mint.by_kind == known::SERVICE_ACCOUNT)
        {
            draft.severity = Severity::Low;
            draft.confidence = Confidence::Low;
            draft
                .why
                .push("the minter is a program: handing tokens out may be its work".to_owned());
        }
        let mut finding = draft.finish(vocabulary);
        finding.actor = used.actor(vocabulary);
        finding.source = used.origin(vocabulary);
        finding
    }
}

/// A token away from where it belongs.
struct Stray<'m> {
    mint: &'m Mint,
    credential: u32,
    away: Vec<&'m (u32, Tally)>,
    /// Whether its `ServiceAccount` is known from other credentials.
    has_home: bool,
    is_privileged: bool,
}

impl Mint {
    /// Returns whether the token was used since `before`, or may still be good then.
    fn reaches(&self, before: i64) -> bool {
        let life = self
            .seconds
            .unwrap_or(LIFE_SECONDS)
            .saturating_mul(1_000_000);
        self.ts.saturating_add_unsigned(life) >= before
            || self.uses.iter().any(|(_, tally)| tally.last >= before)
    }

    /// Says when, for whom, how long, and where it was used.
    fn line(&self, vocabulary: &Vocabulary) -> String {
        let lifetime = self.seconds.map_or(String::new(), |seconds| {
            let micros = i64::try_from(seconds)
                .unwrap_or(i64::MAX)
                .saturating_mul(1_000_000);
            format!(" for {}", lasting(micros))
        });
        let minted = format!(
            "{} minted {}{lifetime}",
            Timestamp(self.ts),
            short(vocabulary.text(self.account)),
        );
        if self.uses.is_empty() {
            return format!("{minted}; never used in this log");
        }
        let mut used = Tally::empty();
        let without_evidence = Context {
            vocabulary,
            evidence_limit: 0,
        };
        for (_, tally) in &self.uses {
            used.merge(tally.clone(), &without_evidence);
        }
        format!(
            "{minted}; used {} over {} from {} by {}",
            times(used.count),
            lasting(used.last - used.first),
            listed(&used.peers(vocabulary)),
            listed(&used.agents(vocabulary)),
        )
    }
}

/// Writes the user name of a `ServiceAccount` as `NAMESPACE/NAME`.
fn short(username: &str) -> String {
    match service_account(username) {
        Some((namespace, name)) => format!("{namespace}/{name}"),
        None => username.to_owned(),
    }
}

/// Returns how long a token was asked for, if the log has the request's body.
fn lifetime(body: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct TokenRequest {
        spec: Spec,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Spec {
        expiration_seconds: Option<u64>,
    }
    let request: TokenRequest = serde_json::from_str(body).ok()?;
    request.spec.expiration_seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_read_from_bodies() {
        let check = |body: &str, expected: Option<u64>| assert_eq!(lifetime(body), expected);
        check(
            r#"{"kind":"TokenRequest","spec":{"expirationSeconds":3600,"audiences":null}}"#,
            Some(3600),
        );
        check(r#"{"spec":{"audiences":["vault"]}}"#, None);
        check("", None);
        check("[1]", None);
    }
}
