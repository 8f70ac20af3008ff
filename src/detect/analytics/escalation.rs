//! `escalation-attempts`: refused by what stands behind the authorizer, in several ways or until one works.
//!
//! A 403 with decision `allow` passed RBAC and was refused after it; the message names by what. Quotas,
//! namespaces that are being deleted, and commands in Pods over WebSocket (which need `create` besides `get`)
//! are harmless. A **session** holds the refusals of one identity without a long pause. It is said if they are
//! of several kinds, or on several objects and of a kind that is no everyday mistake, or followed by a success
//! another way: a binding after a refused grant, the same Pod in another namespace, or the namespace's or
//! policy's own change.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::lives::{Who, called, who};
use super::machinery::Machinery;
use super::{Context, Draft, lasting, times};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Finding, Severity};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// How many objects of one kind of refusal a session tells apart.
const OBJECTS: usize = 64;

/// State of the analytic.
#[derive(Clone)]
pub struct Escalation {
    meta: RuleMeta,
    pause_us: i64,
    least_objects: usize,
    codes: Codes,
    open: HashMap<Who, Session>,
    ended: Vec<(Who, Session)>,
}

remembers!(Escalation: [open, ended], anew [meta, pause_us, least_objects, codes]);

/// Codes of the words that requests are told apart by.
#[derive(Clone)]
struct Codes {
    allow: u32,
    writes: [u32; 3],
    roles: [u32; 4],
    bindings: [u32; 2],
    policies: [u32; 4],
    requests: u32,
    pods: u32,
    nodes: u32,
    namespaces: u32,
    streams: [u32; 3],
}

/// By what a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Kind {
    Rbac,
    Certificate,
    Node,
    PodSecurity,
    Policy,
}

/// Refusals of one identity without a long pause.
#[derive(Clone, Serialize, Deserialize)]
struct Session {
    tally: Tally,
    /// Resource, namespace and name of what was refused.
    objects: BTreeMap<Kind, BTreeSet<(u32, u32, Box<str>)>>,
    /// What worked, in words, after which kind.
    sequel: Option<(Kind, String)>,
}

impl Escalation {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(
        (meta, parameters): (&RuleMeta, &Parameters),
        vocabulary: &Vocabulary,
    ) -> Result<Self, RuleError> {
        let code = |text: &str| vocabulary.code(text);
        Ok(Self {
            meta: meta.clone(),
            pause_us: parameters.duration_us("pause")?,
            least_objects: parameters.count("least_objects")? as usize,
            codes: Codes {
                allow: code("allow"),
                writes: ["create", "update", "patch"].map(code),
                roles: [
                    "roles",
                    "clusterroles",
                    "rolebindings",
                    "clusterrolebindings",
                ]
                .map(code),
                bindings: ["rolebindings", "clusterrolebindings"].map(code),
                policies: [
                    "validatingwebhookconfigurations",
                    "mutatingwebhookconfigurations",
                    "validatingadmissionpolicies",
                    "validatingadmissionpolicybindings",
                ]
                .map(code),
                requests: code("certificatesigningrequests"),
                pods: code("pods"),
                nodes: code("nodes"),
                namespaces: code("namespaces"),
                streams: ["exec", "attach", "portforward"].map(code),
            },
            open: HashMap::new(),
            ended: Vec::new(),
        })
    }

    /// Takes in one request, in order of time.
    pub fn observe(&mut self, request: &Request<'_>, machinery: &Machinery, context: &Context<'_>) {
        if request.code == 403 {
            if request.decision() == self.codes.allow {
                self.refused(request, machinery, context);
            }
        } else if !self.open.is_empty() && request.succeeded() {
            self.succeeded(request, context);
        }
    }

    fn refused(&mut self, request: &Request<'_>, machinery: &Machinery, context: &Context<'_>) {
        let vocabulary = context.vocabulary;
        let Some(kind) = self.codes.kind(request) else {
            return;
        };
        if machinery.made(request, vocabulary) {
            return;
        }
        let who = who(request);
        let paused = |session: &Session| request.ts - session.tally.last > self.pause_us;
        if self.open.get(&who).is_some_and(paused)
            && let Some(session) = self.open.remove(&who)
        {
            self.end(who, session);
        }
        let session = self.open.entry(who).or_insert_with(|| Session {
            tally: Tally::empty(),
            objects: BTreeMap::new(),
            sequel: None,
        });
        session.tally.add(request, context);
        let objects = session.objects.entry(kind).or_default();
        if objects.len() < OBJECTS {
            objects.insert((
                request.resource(),
                request.namespace(),
                request.name().into(),
            ));
        }
    }

    fn succeeded(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let codes = &self.codes;
        if !codes.writes.contains(&request.verb()) || request.subresource() != NULL {
            return;
        }
        let Some(session) = self.open.get_mut(&who(request)) else {
            return;
        };
        if session.sequel.is_some() || request.ts - session.tally.last > self.pause_us {
            return;
        }
        let mut kinds = session.objects.iter();
        let after = kinds.find(|(kind, objects)| codes.is_other_way(**kind, objects, request));
        if let Some((&kind, _)) = after {
            let text = |code: u32| context.vocabulary.text(code);
            let namespace = match text(request.namespace()) {
                namespace if namespace.is_empty() || namespace == request.name() => String::new(),
                namespace => format!(" in namespace {namespace}"),
            };
            let words = format!(
                "{} {} {}{namespace}, {} later",
                text(request.verb()),
                text(request.resource()),
                request.name(),
                lasting(request.ts - session.tally.last),
            );
            session.sequel = Some((kind, words));
            // The success belongs to the story, and to its evidence.
            (session.tally).add(request, context);
        }
    }

    /// Keeps a session that says more than its refusals one by one.
    fn end(&mut self, who: Who, session: Session) {
        if session.objects.len() > 1 || session.sequel.is_some() || self.is_many(&session) {
            self.ended.push((who, session));
        }
    }

    fn is_many(&self, session: &Session) -> bool {
        let mut kinds = session.objects.iter();
        kinds.any(|(kind, objects)| kind.is_no_mistake() && objects.len() >= self.least_objects)
    }

    /// Draws the findings.
    pub fn finish(mut self, context: &Context<'_>) -> Vec<Finding> {
        for (who, session) in std::mem::take(&mut self.open) {
            self.end(who, session);
        }
        let sessions = self.ended.iter();
        sessions
            .map(|(who, session)| self.finding(*who, session, context))
            .collect()
    }

    fn finding(&self, who: Who, session: &Session, context: &Context<'_>) -> Finding {
        let vocabulary = context.vocabulary;
        let [username, impersonated] = [who.0, who.1].map(|code| vocabulary.text(code).to_owned());
        let name = called(&username, &impersonated);
        let refused = session.tally.refused;
        let several = session.objects.len() > 1;
        let objects: usize = session.objects.values().map(BTreeSet::len).sum();
        let is_account = username.starts_with("system:serviceaccount:");
        let mut draft = Draft::new(&self.meta, vec![username, impersonated], &session.tally);
        let kinds: Vec<&str> = session.objects.keys().map(|kind| kind.as_str()).collect();
        draft.summary = format!(
            "{name} was allowed and still refused {} in {}, by {}{}",
            times(refused),
            lasting(session.tally.last - session.tally.first),
            kinds.join(" and by "),
            match &session.sequel {
                Some((_, words)) => format!("; then it could {words}"),
                None => String::new(),
            }
        );
        draft.severity = match &session.sequel {
            Some(_) if several => Severity::High,
            // A program that installs things goes on with the next one.
            Some(_) if is_account && objects == 1 => Severity::Low,
            _ => draft.severity,
        };
        for (kind, objects) in &session.objects {
            let mut named: Vec<String> = objects
                .iter()
                .map(|(resource, namespace, name)| {
                    let [resource, namespace] =
                        [resource, namespace].map(|&code| vocabulary.text(code));
                    let slash = if namespace.is_empty() || name.is_empty() {
                        ""
                    } else {
                        "/"
                    };
                    format!("{resource} {namespace}{slash}{name}")
                })
                .collect();
            named.sort_unstable();
            let more = named.len().saturating_sub(4);
            named.truncate(4);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            draft.why.push(format!(
                "refused by {} = {}{more}",
                kind.as_str(),
                named.join(", ")
            ));
        }
        draft.why.extend(
            (session.sequel.iter())
                .map(|(kind, words)| format!("after {} refused it: {words}", kind.as_str())),
        );
        draft.finish(vocabulary)
    }
}

impl Codes {
    /// Returns by what a request was refused that the authorizer let through; none if that is harmless.
    fn kind(&self, request: &Request<'_>) -> Option<Kind> {
        if self.streams.contains(&request.subresource()) {
            return None;
        }
        let resource = request.resource();
        let message = request.message();
        if message.is_empty() {
            // Kubernetes 1.20 keeps its message to itself.
            return match resource {
                _ if self.roles.contains(&resource) => Some(Kind::Rbac),
                _ if resource == self.requests => Some(Kind::Certificate),
                _ if request.identity_kind() == known::NODE
                    && (resource == self.nodes || resource == self.pods) =>
                {
                    Some(Kind::Node)
                }
                _ => None,
            };
        }
        if message.contains("attempting to grant RBAC permissions") {
            Some(Kind::Rbac)
        } else if message.contains("violates PodSecurity")
            || message.contains("unable to validate against any security context constraint")
        {
            Some(Kind::PodSecurity)
        } else if message.contains("denied the request")
            || message.contains("ValidatingAdmissionPolicy")
        {
            Some(Kind::Policy)
        } else if message.contains("because it is being terminated")
            || message.contains("exceeded quota")
        {
            None
        } else if resource == self.requests {
            Some(Kind::Certificate)
        } else if request.identity_kind() == known::NODE {
            Some(Kind::Node)
        } else {
            None
        }
    }

    /// Returns whether a request reaches another way what was refused.
    fn is_other_way(
        &self,
        kind: Kind,
        refused: &BTreeSet<(u32, u32, Box<str>)>,
        request: &Request<'_>,
    ) -> bool {
        let (resource, namespace, name) = (request.resource(), request.namespace(), request.name());
        let elsewhere = || {
            refused.iter().any(|(what, place, called)| {
                *what == resource && *place != namespace && !name.is_empty() && **called == *name
            })
        };
        let opened = || {
            resource == self.namespaces
                && request.verb() != self.writes[0]
                && refused
                    .iter()
                    .any(|&(_, place, _)| place != NULL && place == namespace)
        };
        match kind {
            Kind::Rbac => self.bindings.contains(&resource),
            Kind::Certificate => resource == self.requests,
            Kind::Node => false,
            Kind::PodSecurity => elsewhere() || opened(),
            Kind::Policy => elsewhere() || opened() || self.policies.contains(&resource),
        }
    }
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Rbac => "RBAC's escalation check",
            Self::Certificate => "the rules for certificates",
            Self::Node => "NodeRestriction",
            Self::PodSecurity => "Pod security",
            Self::Policy => "an admission policy",
        }
    }

    /// Pods that a policy refuses are everyday mistakes, and programs try them again and again.
    const fn is_no_mistake(self) -> bool {
        matches!(self, Self::Rbac | Self::Certificate | Self::Node)
    }
}
