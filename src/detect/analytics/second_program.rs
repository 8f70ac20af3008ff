//! `pod-second-program`: a program beside that of the Pod, with the Pod's own token, that reads Secrets.
//!
//! Who breaks into a program runs his own beside it: same Pod, same token, same address, another user agent. What a Pod runs
//! by design (sidecars, helpers) comes up with it and stays; what prepares it (init containers) comes before it. So two things
//! count: a program that comes up late, and one that comes up after the first, reads Secrets of several namespaces and
//! nothing else, and is gone within minutes, while the Pod goes on. The latter is seen where a log begins late, too.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::custody::distinct;
use super::{Context, Draft, MINUTE_US, begins, counted, lasting, listed};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::Finding;
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct SecondProgram {
    meta: RuleMeta,
    settled_us: i64,
    brief_us: i64,
    least_reads: u64,
    least_namespaces: usize,
    tools: Vec<String>,
    /// By uid.
    pods: HashMap<u32, Pod>,
}

remembers!(SecondProgram: [pods], anew [meta, settled_us, brief_us, least_reads, least_namespaces, tools]);

#[derive(Clone, Serialize, Deserialize)]
struct Pod {
    first: i64,
    last: i64,
    name: u32,
    programs: Vec<Program>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Program {
    agent: u32,
    first: i64,
    last: i64,
    /// Whether it did anything but read Secrets.
    does_more: bool,
    /// Secrets that it read, for those that may be no part of the Pod.
    read: Option<Tally>,
}

impl Program {
    fn is_brief(&self, brief_us: i64) -> bool {
        self.last - self.first <= brief_us
    }
}

/// How many programs of a Pod are known.
const PROGRAMS: usize = 16;

impl SecondProgram {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            settled_us: parameters.duration_us("settled")?,
            brief_us: parameters.duration_us("brief")?,
            least_reads: u64::from(parameters.count("least_reads")?),
            least_namespaces: parameters.count("least_namespaces")? as usize,
            tools: parameters.strings("tools")?,
            pods: HashMap::new(),
        })
    }

    /// Forgets Pods that were not seen since `gone`, and what was read before a time.
    pub fn forget(&mut self, before: i64, gone: i64) {
        self.pods.retain(|_, pod| {
            let mut read = pod.programs.iter().filter_map(|it| it.read.as_ref());
            pod.last >= gone || read.any(|read| read.last >= before)
        });
    }

    /// Takes in a request whose credential was accepted, in order of time.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let agent = request.user_agent();
        if request.token_pod_uid() == NULL || agent == NULL || request.imp_username() != NULL {
            return;
        }
        let ts = request.began();
        let pod = self.pods.entry(request.token_pod_uid());
        let pod = pod.or_insert_with(|| Pod {
            first: ts,
            last: ts,
            name: request.token_pod(),
            programs: Vec::new(),
        });
        pod.first = pod.first.min(ts);
        pod.last = pod.last.max(ts);
        let at = match pod.programs.iter().position(|it| it.agent == agent) {
            Some(at) => at,
            None if pod.programs.len() < PROGRAMS => {
                pod.programs.push(Program {
                    agent,
                    first: ts,
                    last: ts,
                    does_more: false,
                    read: None,
                });
                pod.programs.len() - 1
            }
            None => return,
        };
        let program = &mut pod.programs[at];
        program.first = program.first.min(ts);
        program.last = program.last.max(ts);
        let reads = request.resource() == known::SECRETS
            && !matches!(
                request.verb(),
                known::WATCH | known::CREATE | known::UPDATE | known::PATCH | known::DELETE
            );
        program.does_more |= !reads;
        // A watch is known once it ends: what is the first here may have come long after it.
        let is_late = program.first > pod.first.saturating_add(self.settled_us);
        if !is_late && (program.does_more || !program.is_brief(self.brief_us)) {
            program.read = None;
        } else if reads && request.succeeded() {
            let read = program.read.get_or_insert_with(Tally::empty);
            read.add(request, context);
        }
    }

    /// Returns whether a program came up and went while its Pod went on.
    fn is_passing(&self, program: &Program, pod: &Pod, vocabulary: &Vocabulary) -> bool {
        let namespaces = |read: &Tally| read.namespaces(vocabulary).len();
        program.first > pod.first.saturating_add(MINUTE_US)
            && !program.does_more
            && program.is_brief(self.brief_us)
            && pod.last > program.last.saturating_add(self.settled_us)
            && program.read.as_ref().map_or(0, namespaces) >= self.least_namespaces
    }

    /// Draws the findings: one for each program of a Pod.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut findings = Vec::new();
        for (&uid, pod) in &self.pods {
            let mut programs: Vec<&Program> = pod.programs.iter().collect();
            programs.sort_by_key(|it| (it.first, vocabulary.text(it.agent)));
            for (at, it) in programs.iter().enumerate().skip(1) {
                let agent = vocabulary.text(it.agent);
                let mut others = programs[..at].iter();
                let is_own =
                    others.any(|other| program(vocabulary.text(other.agent)) == program(agent));
                let is_late = it.first > pod.first.saturating_add(self.settled_us);
                let is_told = is_late || self.is_passing(it, pod, vocabulary);
                if let Some(read) = &it.read
                    && is_told
                    && read.count >= self.least_reads
                    && !is_own
                    && !begins(agent, &self.tools)
                {
                    findings.push(self.finding(
                        (uid, pod),
                        (&programs[..at], it),
                        read,
                        vocabulary,
                    ));
                }
            }
        }
        findings
    }

    fn finding(
        &self,
        (uid, pod): (u32, &Pod),
        (before, it): (&[&Program], &Program),
        read: &Tally,
        vocabulary: &Vocabulary,
    ) -> Finding {
        let [agent, uid, name] =
            [it.agent, uid, pod.name].map(|code| vocabulary.text(code).to_owned());
        let own = distinct(before.iter().map(|own| own.agent), vocabulary);
        let mut draft = Draft::new(&self.meta, vec![uid.clone(), agent.clone()], read);
        let namespaces = read.namespaces(vocabulary);
        let places = if namespaces.is_empty() {
            "of the cluster".to_owned()
        } else {
            format!("in {}", listed(&namespaces))
        };
        draft.summary = format!(
            "`{agent}` came up in Pod `{name}` (`{}`) after {} and read Secrets {places}: {} from {}",
            listed(&read.usernames(vocabulary)),
            lasting(it.first - pod.first),
            counted(read.count, "request"),
            listed(&read.peers(vocabulary)),
        );
        draft.why = vec![
            format!("pod-uid = {uid}"),
            format!("userAgent = {agent}"),
            format!("userAgent of the Pod before = {}", listed(&own)),
        ];
        draft.finish(vocabulary)
    }
}

/// Returns the name of the program in a user agent: new versions and subordinate clients are the same one.
fn program(agent: &str) -> &str {
    agent.split(['/', ' ']).next().unwrap_or(agent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_its_name() {
        let check = |agent, expected| assert_eq!(program(agent), expected);
        check("app/v1.2 (linux/amd64) kubernetes/$Format", "app");
        check("app/v1.3 leader-election", "app");
        check("curl/8.5.0", "curl");
        check("app", "app");
    }
}
