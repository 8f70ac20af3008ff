//! The end of a log: what was taken in becomes findings and incidents.

use std::collections::BTreeMap;

use hashbrown::HashSet;

use super::super::analytics::audit_gap::Pulse;
use super::super::analytics::masquerade::Masquerade;
use super::super::analytics::shared_credential::gateway_note;
use super::super::analytics::{Context, DAY_US, Draft, counted};
use super::super::correlate::Correlation;
use super::super::habit;
use super::super::makers::{self, Makers};
use super::super::summary::summary;
use super::super::tally::{Sessions, Tally};
use super::{Engine, HitGroup, Outcome, gap};
use crate::credential::{Fates, Ledger};
use crate::finding::incident::{self, Maker, SHARED_PEER_USERS, Surroundings};
use crate::finding::{Excluded, Finding, Severity};
use crate::frame::Vocabulary;
use crate::frame::derived::identity_kind;

/// The rule on bindings of which only the name of the role is looked at.
const BOUND_UNREAD: &str = "cluster-role-bound";

/// The hits of one rule in one group, by the codes of that.
type Grouped = ((u32, Box<[u32]>), HitGroup);

/// A rule, and a group in texts, which have an order.
type Named = (u32, Vec<String>);

impl Engine<'_> {
    /// Draws the findings; `profile` is the distribution that the log is of, if it is known, `servers` are the
    /// names and pulses of the API servers that wrote it.
    pub fn finish(mut self, profile: Option<&str>, servers: &[(String, &Pulse)]) -> Outcome {
        let vocabulary = self.vocabulary;
        let context = Context {
            vocabulary,
            evidence_limit: self.evidence_limit,
        };
        self.settle(profile, &context);
        for correlation in &mut self.correlations {
            correlation.end(&context);
        }
        let mut findings = self.coverage.findings(vocabulary);
        let meta_of = |correlation: &Correlation| &self.rules.rules[correlation.rule].meta;
        let ungrouped = self
            .correlations
            .iter()
            .filter_map(|correlation| correlation.note(meta_of(correlation)));
        let notes = gateway_note(&self.ledger, vocabulary)
            .into_iter()
            .chain(self.coverage.timeless())
            .chain(self.new_behaviour.note(&self.lives))
            .chain(ungrouped)
            .chain(self.fates.as_ref().and_then(Fates::note))
            .collect();
        self.hit_findings(&context, &mut findings);
        self.at_home_findings(&context, &mut findings);
        for correlation in self.correlations {
            let meta = &self.rules.rules[correlation.rule].meta;
            if !self.silent[correlation.rule] && self.coverage.can_judge(correlation.rule) {
                correlation.findings(meta, self.began, &context, &mut findings);
            }
        }
        let excluded = self
            .excluded
            .iter()
            .map(|(&(rule, list), &requests)| Excluded {
                rule: self.rules.rules[rule as usize].meta.name.clone(),
                list: self.rules.lists[list as usize].name.clone(),
                requests,
                at_most: self.compiled.reads_body(rule as usize),
            });
        let mut excluded: Vec<Excluded> = excluded.collect();
        excluded.sort_by(|a, b| {
            let most_first = b.requests.cmp(&a.requests);
            most_first.then_with(|| (&a.rule, &a.list).cmp(&(&b.rule, &b.list)))
        });
        let tied = self
            .token_reuse
            .tied(&self.ledger, &self.deaths, self.vocabulary);
        findings.extend(self.anonymous_grant.finish(&context));
        findings.extend(self.forwarded_address.finish(&context));
        findings.extend(self.token_by_hand.finish(&context));
        findings.extend(self.break_glass.finish(&context, &self.ledger));
        findings.extend(self.proven_grant.finish(&context));
        findings.extend(self.rights_lost.finish(&context));
        findings.extend(self.role_grant.finish(&context));
        findings.extend(self.role_widened.finish(&context));
        findings.extend(self.escalation.finish(&context));
        findings.extend(self.mass_deletion.finish(self.began, &context));
        findings.extend(self.rates.finish(&context, &self.lives));
        findings.extend(self.new_behaviour.finish(&context));
        findings.extend(self.masters.finish(&context, &self.ledger));
        let masquerade = Masquerade::new(&self.ledger, vocabulary);
        let shared = (self.shared_credential).finish(&context, &self.ledger, &masquerade);
        findings.extend(shared);
        findings.extend(
            self.token_reuse
                .finish(&context, &self.ledger, &self.deaths),
        );
        findings.extend(self.unauthorized.finish(&context, &self.ledger, &tied));
        let (ledger, deaths) = (&self.ledger, &self.deaths);
        (self.custody).finish(&context, ledger, deaths, &masquerade, &mut findings);
        let is_there = |user: u32, since: i64| {
            let mut entries = self.ledger.of_username(user);
            entries.any(|entry| entry.last >= since)
        };
        findings.extend(self.audit_gap.findings(servers, &is_there, vocabulary));
        told_by_sessions(&mut findings);
        // A log may tell the same twice, at the same time.
        let place = |finding: &Finding| {
            let first = finding.evidence.first()?;
            Some((first.file.clone(), first.offset))
        };
        findings.sort_by(|a, b| {
            let key = |finding: &Finding| (std::cmp::Reverse(finding.severity), finding.first_seen);
            key(a)
                .cmp(&key(b))
                .then_with(|| a.finding_id.cmp(&b.finding_id))
                .then_with(|| place(a).cmp(&place(b)))
        });
        let surroundings = surroundings(&mut findings, &self.makers, &self.ledger, vocabulary);
        let incidents = incident::tie(&mut findings, &surroundings);
        let credentials = self
            .fates
            .map(|fates| fates.list(&self.ledger, &self.deaths, vocabulary));
        Outcome {
            findings,
            disorder: self.coverage.disorder(),
            incidents,
            credentials: credentials.unwrap_or_default(),
            blind: self.coverage.blind(vocabulary),
            notes,
            excluded,
            requests: self.requests,
        }
    }

    /// Decides what lists of distributions hold back: what is of another one joins the other hits.
    fn settle(&mut self, profile: Option<&str>, context: &Context<'_>) {
        let mut withheld: Vec<_> = std::mem::take(&mut self.withheld).into_iter().collect();
        let texts = |key: &[u32]| -> Vec<&str> {
            key.iter().map(|&code| self.vocabulary.text(code)).collect()
        };
        // The order of a map and of codes differs from run to run.
        withheld.sort_by(
            |((a_rule, a_key, a_held), _), ((b_rule, b_key, b_held), _)| {
                (a_rule, texts(a_key), a_held).cmp(&(b_rule, texts(b_key), b_held))
            },
        );
        for ((rule, key, held_by), group) in withheld {
            let lists = self.compiled.lists_of(rule as usize);
            let is_of = |list: &u32| {
                let profiles = &self.rules.lists[*list as usize].profiles;
                profile.is_some_and(|profile| {
                    profiles
                        .iter()
                        .any(|name| name.eq_ignore_ascii_case(profile))
                })
            };
            let held = (0..)
                .zip(lists)
                .filter(|(place, _)| held_by >> place & 1 == 1);
            let list = held.map(|(_, list)| *list).find(is_of);
            if let Some(list) = list {
                *self.excluded.entry((rule, list)).or_default() += group.sessions.count();
                continue;
            }
            let gap = gap(&self.rules.rules[rule as usize].meta);
            let hits = self.hits.entry((rule, key));
            let hits = hits.or_insert_with(|| HitGroup::new(group.why));
            hits.sessions.join(group.sessions, gap, context);
        }
    }

    fn hit_findings(&mut self, context: &Context<'_>, findings: &mut Vec<Finding>) {
        let granted = self.role_grant.told(self.vocabulary);
        let hits = std::mem::take(&mut self.hits).into_iter();
        let hits = hits.filter(|((rule, _), _)| {
            !self.silent[*rule as usize] && self.coverage.can_judge(*rule as usize)
        });
        let (habitual, plain): (Vec<_>, Vec<_>) =
            hits.partition(|((rule, _), _)| self.rules.rules[*rule as usize].meta.habit.is_some());
        let others = self.habits(habitual, context, findings);
        for ((rule, key), group) in plain.into_iter().chain(others) {
            let meta = &self.rules.rules[rule as usize].meta;
            let is_bound = meta.name == BOUND_UNREAD;
            for tally in group.sessions.into_tallies() {
                if is_bound && tally.is_all_among(&granted, self.vocabulary) {
                    continue; // With what the role allows.
                }
                let said = |correlation: &Correlation| {
                    !self.silent[correlation.rule]
                        && self.coverage.can_judge(correlation.rule)
                        && correlation.says(rule, &self.groups[rule as usize], &key, &tally)
                };
                if self.correlations.iter().any(said) {
                    continue;
                }
                let mut draft = Draft::new(meta, self.texts(&key), &tally);
                draft.summary = summary(meta, &tally, self.vocabulary);
                draft.why.clone_from(&group.why);
                findings.push(draft.finish(self.vocabulary));
            }
        }
    }

    /// Draws the findings on what users do in namespaces of their own.
    fn at_home_findings(&mut self, context: &Context<'_>, findings: &mut Vec<Finding>) {
        for ((rule, username), group) in std::mem::take(&mut self.at_home) {
            if !self.coverage.can_judge(rule as usize) {
                continue;
            }
            let meta = &self.rules.rules[rule as usize].meta;
            let tally = group.sessions.into_one(context);
            let mut draft = Draft::new(meta, self.texts(&[username]), &tally);
            draft.group.push("own namespaces".to_owned());
            draft.sink();
            draft.summary = summary(meta, &tally, self.vocabulary);
            draft.why = group.why;
            let namespaces = tally.namespaces(self.vocabulary).len() as u64;
            draft.why.push(format!(
                "in {} that the same user had made within a day: nothing there is older",
                counted(namespaces, "namespace")
            ));
            findings.push(draft.finish(self.vocabulary));
        }
    }

    fn texts(&self, key: &[u32]) -> Vec<String> {
        let text = |&code: &u32| self.vocabulary.text(code).to_owned();
        key.iter().map(text).collect()
    }

    /// Draws the findings on habits; returns the other hits, in the groups of their rules.
    ///
    /// Habits as old as the log are one finding for each identity and namespace, under an id that stays when the log is
    /// forgotten from behind. Others are one each.
    fn habits(
        &self,
        mut hits: Vec<Grouped>,
        context: &Context<'_>,
        findings: &mut Vec<Finding>,
    ) -> Vec<Grouped> {
        let vocabulary = self.vocabulary;
        // The order of a map and of codes differs from run to run.
        hits.sort_by_cached_key(|((rule, key), group)| {
            (*rule, group.sessions.began(), self.texts(key))
        });
        let mut old: BTreeMap<Named, (Vec<String>, usize, Tally)> = BTreeMap::new();
        let mut others: BTreeMap<Named, Grouped> = BTreeMap::new();
        for ((rule, key), group) in hits {
            let meta = &self.rules.rules[rule as usize].meta;
            let tallies = group.sessions.into_tallies();
            let sessions: Vec<&Tally> = tallies.iter().collect();
            for run in habit::runs(&sessions) {
                let n_sessions = run.len();
                let is_habit = habit::is_habit(&sessions[run.clone()], true);
                let run = Sessions::from_tallies(tallies[run].to_vec());
                if !is_habit {
                    let own: Box<[u32]> = key[..meta.group_by.len()].into();
                    let (_, other) = others
                        .entry((rule, self.texts(&own)))
                        .or_insert_with(|| ((rule, own), HitGroup::new(group.why.clone())));
                    other.sessions.join(run, gap(meta), context);
                    continue;
                }
                let tally = run.into_one(context);
                if habit::is_as_old(tally.began, self.began) {
                    let usernames = tally.usernames(vocabulary);
                    let whose = [usernames, tally.namespaces(vocabulary)].concat();
                    let (_, n, habit) = old
                        .entry((rule, whose))
                        .or_insert_with(|| (group.why.clone(), 0, Tally::empty()));
                    *n += n_sessions;
                    habit.merge(tally, context);
                    continue;
                }
                let mut draft = Draft::new(meta, self.texts(&key), &tally);
                draft.summary = summary(meta, &tally, vocabulary);
                draft.why.clone_from(&group.why);
                draft
                    .why
                    .push(habit::because(n_sessions, &tally, true, false));
                findings.push(draft.finish(vocabulary));
            }
        }
        for ((rule, whose), (why, n_sessions, tally)) in old {
            let meta = &self.rules.rules[rule as usize].meta;
            let mut draft = Draft::new(meta, whose, &tally);
            draft.sink();
            draft.summary = summary(meta, &tally, vocabulary);
            draft.why = why;
            draft
                .why
                .push(habit::because(n_sessions, &tally, true, true));
            findings.push(draft.finish(vocabulary));
        }
        others.into_values().collect()
    }
}

/// How long before a finding somebody may have had to do with what its credential is of.
const BEFORE_US: i64 = DAY_US;

/// How many of them are named.
const WHENCE: usize = 3;

/// Says who else lately made, or got into, what the credential of a finding is of.
fn whence(finding: &Finding, makers: &BTreeMap<String, Vec<Maker>>) -> Vec<String> {
    let is_near = |maker: &&Maker| {
        maker.first <= finding.last_seen
            && finding.first_seen.0.saturating_sub(maker.last.0) <= BEFORE_US
            && finding.actor.username.as_ref() != Some(&maker.username)
    };
    let objects = finding.ties.rests_on.iter();
    let whence = objects.filter_map(|object| {
        let did = match object.split_once(' ')?.0 {
            "Pod" => "made or entered",
            "Secret" => "wrote",
            "token" => "asked for",
            _ => return None,
        };
        let maker = makers.get(object)?.iter().rfind(is_near)?;
        let Maker {
            username,
            peer,
            first,
            ..
        } = maker;
        Some(format!(
            "`{username}` {did} {object}, which the credential is of, from {peer} at {first}"
        ))
    });
    whence.take(WHENCE).collect()
}

/// Lowers the inventory of an administrator's certificate of which each session is told already.
fn told_by_sessions(findings: &mut [Finding]) {
    let told: HashSet<String> = findings
        .iter()
        .filter(|finding| finding.rule.name == "break-glass-session")
        .filter_map(|finding| finding.actor.credential_id.clone())
        .collect();
    for finding in findings {
        let credential = finding.actor.credential_id.as_ref();
        if finding.rule.name == "masters-credential"
            && finding.severity == Severity::Medium
            && credential.is_some_and(|credential| told.contains(credential))
        {
            finding.severity = Severity::Low;
            let why = "each session of it is told by `break-glass-session`";
            finding.why.push(why.to_owned());
        }
    }
}

/// Says of each finding what its identities rest on; returns who made that, and which addresses stand for nobody.
fn surroundings(
    findings: &mut [Finding],
    makers: &Makers,
    ledger: &Ledger,
    vocabulary: &Vocabulary,
) -> Surroundings {
    let mut surroundings = Surroundings::default();
    let mut homes = HashSet::new();
    let mut known = HashSet::new();
    for entry in ledger.entries() {
        // Where a component or a node is first seen it is at home; elsewhere its key may be a thief's.
        let kind = identity_kind(vocabulary.text(entry.username));
        if known.insert(entry.username) && matches!(kind, "node" | "component") {
            homes.extend(entry.uses.first().map(|used| used.peer));
        }
    }
    // What the everyday administrator makes at home is everyday work.
    let standing: HashSet<String> = findings
        .iter()
        .filter(|finding| finding.rule.name == "masters-credential" && finding.ties.is_inventory)
        .filter_map(|finding| finding.actor.credential_id.clone())
        .collect();
    let is_everyday = |maker: &Maker| {
        let entry = vocabulary.find(&maker.credential);
        let entry = entry.and_then(|credential| ledger.entry(credential));
        let home = entry.and_then(|entry| entry.uses.first());
        let is_home = home.is_some_and(|used| vocabulary.text(used.peer) == maker.peer);
        is_home && standing.contains(&maker.credential)
    };
    for finding in findings {
        let objects = makers::foundations(finding, ledger, vocabulary);
        finding.ties.rests_on.extend(objects);
        finding.ties.rests_on.sort_unstable();
        finding.ties.rests_on.dedup();
        for object in &finding.ties.rests_on {
            let mut makers = makers.of(object, vocabulary);
            makers.retain(|maker| !is_everyday(maker));
            if !makers.is_empty() {
                surroundings.makers.insert(object.clone(), makers);
            }
        }
        if finding.is_step() && finding.severity >= Severity::Medium {
            let whence = whence(finding, &surroundings.makers);
            finding.why.extend(whence);
        }
        let is_common = |address: &&String| {
            let code = vocabulary.find(address);
            code.is_some_and(|code| {
                homes.contains(&code) || ledger.usernames_of(code).len() >= SHARED_PEER_USERS
            })
        };
        let common = finding.source.ips.iter().filter(is_common).cloned();
        surroundings.common_addresses.extend(common);
    }
    surroundings
}
