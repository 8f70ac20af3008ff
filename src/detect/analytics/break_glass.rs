//! `break-glass-session`: an account that is kept for emergencies was used.
//!
//! No judgement: every use is said, one finding per session, with what it changed.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::lives::{Who, called, who};
use super::machinery::fits;
use super::{Context, Draft, begins, counted, lasting, listed};
use crate::credential::Ledger;
use crate::detect::request::Request;
use crate::detect::tally::{Sessions, Tally, is_change};
use crate::finding::{Finding, Severity};
use crate::frame::derived::identity_kind;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// How many changes of an account are listed; all are counted.
const CHANGES: usize = 4096;

/// How many changes a finding names.
const NAMED: usize = 20;

/// How accounts that are groups are written.
const GROUP: &str = "group:";

/// State of the analytic.
#[derive(Clone)]
pub struct BreakGlass {
    meta: RuleMeta,
    pause_us: i64,
    /// Changes that a program makes with it as a matter of course.
    routine: Vec<(String, String)>,
    /// How the user agent of the program begins that keeps the control plane.
    upkeep: Vec<String>,
    /// What that reads.
    upkeep_reads: Vec<String>,
    names: Vec<String>,
    groups: Vec<String>,
    /// By user, whom it impersonates, their groups and the credential: which account it is, if any.
    known: HashMap<[u32; 5], Option<usize>>,
    used: HashMap<Who, Used>,
}

remembers!(BreakGlass: [used], anew [meta, pause_us, routine, upkeep, upkeep_reads, names, groups, known]);

#[derive(Clone, Default, Serialize, Deserialize)]
struct Used {
    sessions: Sessions,
    account: usize,
    /// When it changed what.
    changes: Vec<(i64, String)>,
}

impl BreakGlass {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        let mut accounts = parameters.strings("accounts")?;
        accounts.extend(parameters.strings("always")?);
        let (groups, names): (Vec<String>, Vec<String>) = accounts
            .into_iter()
            .partition(|account| account.starts_with(GROUP));
        let groups = groups.iter().map(|group| group[GROUP.len()..].to_owned());
        let routine = parameters.strings("routine")?.into_iter().map(|text| {
            let (change, agent) = text.split_once(" with ").unwrap_or((&text, ""));
            (change.to_owned(), agent.to_owned())
        });
        Ok(Self {
            meta: meta.clone(),
            pause_us: parameters.duration_us("pause")?,
            routine: routine.collect(),
            upkeep: parameters.strings("upkeep")?,
            upkeep_reads: parameters.strings("upkeep_reads")?,
            names,
            groups: groups.collect(),
            known: HashMap::new(),
            used: HashMap::new(),
        })
    }

    /// Takes in one request.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let vocabulary = context.vocabulary;
        let Some(account) = self.account(request, vocabulary) else {
            return;
        };
        let used = self.used.entry(who(request)).or_default();
        used.account = account;
        (used.sessions).add(request, self.pause_us, context);
        let [verb, resource] =
            [request.verb(), request.resource()].map(|code| vocabulary.text(code));
        if used.changes.len() < CHANGES && is_change(verb, resource) {
            used.changes.push((request.ts, change(request, vocabulary)));
        }
    }

    /// Returns which account a request was made with, or as.
    fn account(&mut self, request: &Request<'_>, vocabulary: &Vocabulary) -> Option<usize> {
        if request.username() == NULL || (self.names.is_empty() && self.groups.is_empty()) {
            return None;
        }
        let groups = [request.user_groups(), request.imp_groups()];
        let key = [
            request.username(),
            request.imp_username(),
            groups[0],
            groups[1],
            request.credential(),
        ];
        let (names, of_groups) = (&self.names, &self.groups);
        *self.known.entry(key).or_insert_with(|| {
            let texts = [key[0], key[1], key[4]].map(|code| vocabulary.text(code));
            let is_name = |name: &String| {
                texts
                    .iter()
                    .any(|text| !text.is_empty() && fits(name, text))
            };
            let is_group = |group: &String| {
                let mut held = groups.iter().flat_map(|&code| vocabulary.list(code));
                held.any(|held| fits(group, &held))
            };
            let by_group = || of_groups.iter().position(is_group);
            let group = || by_group().map(|index| names.len() + index);
            names.iter().position(is_name).or_else(group)
        })
    }

    /// Draws the findings.
    pub fn finish(mut self, context: &Context<'_>, ledger: &Ledger) -> Vec<Finding> {
        let accounts: Vec<String> = self
            .names
            .iter()
            .cloned()
            .chain(self.groups.iter().map(|group| format!("{GROUP}{group}")))
            .collect();
        let mut findings = Vec::new();
        for ((username, impersonated), used) in std::mem::take(&mut self.used) {
            let names = [username, impersonated].map(|code| context.vocabulary.text(code));
            let account = &accounts[used.account];
            for tally in used.sessions.into_tallies() {
                let of_session: Vec<&str> = used
                    .changes
                    .iter()
                    .filter(|(ts, _)| (tally.first..=tally.last).contains(ts))
                    .map(|(_, change)| change.as_str())
                    .collect();
                let is_routine = self.is_routine(&tally, &of_session, context);
                let is_upkeep = impersonated == NULL && self.is_upkeep(&tally, context, ledger);
                let mut finding = session(&self.meta, names, account, &tally, of_session, context);
                if is_routine {
                    finding.severity = Severity::Low;
                    let why = "nothing but what that program does with it as a matter of course";
                    finding.why.push(why.to_owned());
                } else if is_upkeep {
                    finding.severity = Severity::Medium;
                    let why = "nothing but what that program reads at work on a node of the control plane, and from such a node";
                    finding.why.push(why.to_owned());
                }
                findings.push(finding);
            }
        }
        findings
    }
}

impl BreakGlass {
    /// Returns whether a session is one change that the program is known to make.
    fn is_routine(&self, tally: &Tally, changes: &[&str], context: &Context<'_>) -> bool {
        let agents = tally.agents(context.vocabulary);
        let is_by = |start: &str| agents.iter().all(|agent| agent.starts_with(start));
        matches!(changes, [change] if tally.count == 1
            && self.routine.iter().any(|(known, agent)| known == change && is_by(agent)))
    }

    /// Returns whether a session holds only what the program reads that keeps the control plane, on a node of that.
    ///
    /// Whoever is on such a node has the account's key before him; a thief elsewhere may claim the program and not the address.
    fn is_upkeep(&self, tally: &Tally, context: &Context<'_>, ledger: &Ledger) -> bool {
        let vocabulary = context.vocabulary;
        let all = |texts: Vec<String>, known: &[&str]| {
            texts.iter().all(|text| known.contains(&text.as_str()))
        };
        let agents = tally.agents(vocabulary);
        let peers = tally.peers(vocabulary);
        let peers: Option<Vec<u32>> = peers.iter().map(|peer| vocabulary.find(peer)).collect();
        let Some(peers) = peers.filter(|peers| !peers.is_empty() && !agents.is_empty()) else {
            return false;
        };
        let nodes_at = |peer: u32| {
            let users = ledger.nodes_at(peer, vocabulary);
            users.filter_map(|user| vocabulary.text(user).strip_prefix("system:node:"))
        };
        let is_control_plane = |peer: u32| {
            let mut users = ledger.usernames_of(peer).iter();
            let is_component = |user: &u32| identity_kind(vocabulary.text(*user)) == "component";
            users.any(is_component) && nodes_at(peer).next().is_some()
        };
        let is_known = |name: &String| {
            let is_node = || {
                peers
                    .iter()
                    .any(|&peer| nodes_at(peer).any(|node| node == name))
            };
            self.upkeep_reads.iter().any(|known| fits(known, name)) || is_node()
        };
        tally.writes == 0
            && agents.iter().all(|agent| begins(agent, &self.upkeep))
            && peers.iter().all(|&peer| is_control_plane(peer))
            && all(tally.verbs(vocabulary), &["get"])
            && all(tally.resources(vocabulary), &["configmaps", "nodes"])
            && all(tally.namespaces(vocabulary), &["kube-system"])
            && tally.names().iter().all(is_known)
    }
}

fn session(
    meta: &RuleMeta,
    [username, impersonated]: [&str; 2],
    account: &str,
    tally: &Tally,
    changes: Vec<&str>,
    context: &Context<'_>,
) -> Finding {
    let vocabulary = context.vocabulary;
    let group = vec![username.to_owned(), impersonated.to_owned()];
    let mut draft = Draft::new(meta, group, tally);
    let name = called(username, impersonated);
    let spell = match tally.last - tally.first {
        0 => "once".to_owned(),
        spell => format!("for {}", lasting(spell)),
    };
    draft.summary = format!(
        "{name} was used {spell} from {} with {}: {}, {} of them changes",
        listed(&tally.peers(vocabulary)),
        listed(&tally.agents(vocabulary)),
        counted(tally.count, "request"),
        tally.writes,
    );
    draft.why = vec![
        format!("account = {account}"),
        format!("served = {}, refused = {}", tally.succeeded, tally.refused),
    ];
    let more = changes.len().saturating_sub(NAMED);
    let named = changes.into_iter().take(NAMED);
    draft
        .why
        .extend(named.map(|change| format!("changed: {change}")));
    if more > 0 {
        draft.why.push(format!("{more} changes more"));
    }
    draft.finish(vocabulary)
}

/// Says what a request changed: `patch deployments prod/web`.
fn change(request: &Request<'_>, vocabulary: &Vocabulary) -> String {
    let text = |code: u32| vocabulary.text(code);
    let (verb, resource) = (text(request.verb()), text(request.resource()));
    let (subresource, namespace) = (text(request.subresource()), text(request.namespace()));
    let slash = if subresource.is_empty() { "" } else { "/" };
    let place = match (namespace, request.name()) {
        ("", "") => String::new(),
        ("", name) | (name, "") => format!(" {name}"),
        (namespace, name) => format!(" {namespace}/{name}"),
    };
    let outcome = if request.succeeded() {
        ""
    } else {
        ", not done"
    };
    if resource.is_empty() {
        return format!("{verb} {}{outcome}", request.path());
    }
    format!("{verb} {resource}{slash}{subresource}{place}{outcome}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::request::RequestColumns;
    use crate::detect::sample::frame_of;
    use crate::rules::{RuleBody, RuleSet};

    const FILE: &str = include_str!("../../../queries/analytics/break-glass-session.yml");

    /// Returns which account a user with these groups and fingerprint is, by its place in `accounts`.
    fn account(accounts: &str, username: &str, groups: &str, fingerprint: &str) -> Option<usize> {
        let text = FILE.replace("accounts: []", &format!("accounts: [{accounts}]"));
        let rules = RuleSet::from_files([("analytics/break-glass-session.yml", text)]).unwrap();
        let RuleBody::Analytic(parameters) = &rules.rules[0].body else {
            panic!("it is an analytic");
        };
        let mut analytic = BreakGlass::new((&rules.rules[0].meta, parameters)).unwrap();
        let event = format!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1","stage":"ResponseComplete","requestURI":"/api","verb":"get","user":{{"username":"{username}","groups":[{groups}],"extra":{{"authentication.kubernetes.io/credential-id":["{fingerprint}"]}}}},"sourceIPs":["10.0.0.1"],"responseStatus":{{"code":200}},"requestReceivedTimestamp":"2026-11-22T05:00:00.000000Z","stageTimestamp":"2026-11-22T05:00:00.000000Z"}}"#
        );
        let frame = frame_of("log", &event).unwrap();
        let request = RequestColumns::new(&frame).request(0);
        analytic.account(&request, frame.vocabulary())
    }

    #[test]
    fn accounts_are_names_fingerprints_or_groups() {
        let alice =
            |accounts: &str| account(accounts, "alice", r#""dev","oncall:eu""#, "X509SHA256=ab12");
        assert_eq!(alice("bob, alice"), Some(1));
        assert_eq!(alice("al*"), Some(0));
        assert_eq!(alice("X509SHA256=ab*"), Some(0));
        assert_eq!(
            alice("'group:oncall:*'"),
            Some(1),
            "after the name that always is one"
        );
        assert_eq!(alice("dev"), None, "a group is no name");
        assert_eq!(alice(""), None);
        assert_eq!(
            account("", "kubernetes-super-admin", "", "X509SHA256=1"),
            Some(0)
        );
    }
}
