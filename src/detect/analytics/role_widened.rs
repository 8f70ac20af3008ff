//! `builtin-role-widened`: requests that a built-in ClusterRole allowed, and cannot by its default rules.
//!
//! RBAC names the role that lets a request through, at every level. What the roles of every cluster allow is known
//! (kubernetes/kubernetes 1.36 `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`), so a request beyond that proves
//! that the role was widened, whoever did it and whenever. Judged is what nobody expects of the role, not each difference:
//! the resources of operators and add-ons are rightly aggregated into `view`, `edit` and `admin`, and clusters that let their
//! developers see nodes or make namespaces by them are many.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::machinery::Machinery;
use super::{Context, Draft, counted, listed};
use crate::detect::rbac::{Grant, Reasons};
use crate::detect::request::{Request, Sighting};
use crate::detect::tally::{Tally, is_write};
use crate::finding::{Finding, Severity, Timestamp};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::RuleMeta;

/// State of the analytic.
#[derive(Clone)]
pub struct RoleWidened {
    meta: RuleMeta,
    codes: Codes,
    /// By reason: what went beyond the role.
    widened: HashMap<u32, Widened>,
    /// The latest changes of `ClusterRole`s, in order of time.
    written: VecDeque<Written>,
    /// The built-in role that a reason names.
    reasons: Reasons<Option<Role>>,
}

remembers!(RoleWidened: [widened, written], anew [meta, codes, reasons]);

#[derive(Clone, Serialize, Deserialize)]
struct Widened {
    tally: Tally,
    is_grave: bool,
}

/// A ClusterRole that somebody wrote.
#[derive(Clone, Serialize, Deserialize)]
struct Written {
    name: Box<str>,
    by: u32,
    at: Sighting,
}

/// What a built-in role is for, as far as that limits it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// `view`: reads, and no Secrets.
    View,
    /// `edit`: all in a namespace but RBAC.
    Edit,
    /// `admin`: RBAC of a namespace, too.
    Admin,
    /// Paths and questions on oneself, for everybody.
    Paths,
    /// A component that needs no Secrets.
    Component,
    /// The controller manager and its controllers.
    Controller,
}

impl Role {
    /// Returns what is known of a role, by its name.
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "view" => Self::View,
            "edit" => Self::Edit,
            "admin" => Self::Admin,
            "system:basic-user"
            | "system:discovery"
            | "system:monitoring"
            | "system:public-info-viewer"
            | "system:service-account-issuer-discovery" => Self::Paths,
            "system:auth-delegator"
            | "system:heapster"
            | "system:kube-dns"
            | "system:kube-scheduler"
            | "system:node-bootstrapper"
            | "system:node-problem-detector"
            | "system:node-proxier"
            | "system:persistent-volume-provisioner"
            | "system:volume-scheduler" => Self::Component,
            "system:kube-controller-manager" => Self::Controller,
            _ if name.starts_with("system:controller:") => Self::Controller,
            _ => return None,
        })
    }
}

/// How bad it is that a role allows a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beyond {
    /// Secrets, shells, tokens, RBAC.
    Grave,
    Other,
}

/// Changes of `ClusterRole`s that are remembered, and reasons that went too far.
const WRITES: usize = 64;
const KEPT: usize = 4096;

/// API groups that the API server itself serves, but for questions: those are no acts.
const GROUPS: [&str; 19] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

/// Groups whose objects shape the whole cluster: nobody who edits a namespace writes them.
const OF_CLUSTER: [&str; 4] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

/// Words of a request, as codes.
#[derive(Clone)]
struct Codes {
    groups: HashSet<u32>,
    of_cluster: HashSet<u32>,
    rbac: u32,
    cluster_roles: u32,
    nodes: u32,
    volumes: u32,
    proxy: u32,
    approval: u32,
    /// What opens a way into a container.
    shells: [u32; 3],
}

impl Codes {
    fn new(vocabulary: &Vocabulary) -> Self {
        let code = |text: &&str| vocabulary.code(text);
        Self {
            groups: GROUPS.iter().map(code).collect(),
            of_cluster: OF_CLUSTER.iter().map(code).collect(),
            rbac: vocabulary.code("rbac.authorization.k8s.io"),
            cluster_roles: vocabulary.code("clusterroles"),
            nodes: vocabulary.code("nodes"),
            volumes: vocabulary.code("persistentvolumes"),
            proxy: vocabulary.code("proxy"),
            approval: vocabulary.code("approval"),
            shells: ["exec", "attach", "portforward"].map(|text| vocabulary.code(text)),
        }
    }

    /// Returns whether a request is beyond the default rules of a role, and how far.
    fn beyond(&self, role: Role, request: &Request<'_>, vocabulary: &Vocabulary) -> Option<Beyond> {
        let (group, resource) = (request.api_group(), request.resource());
        let (is_core, subresource) = (group == NULL, request.subresource());
        let is_secret = is_core && resource == known::SECRETS;
        let is_token = resource == known::SERVICE_ACCOUNTS && subresource == known::TOKEN;
        let is_shell = is_core && self.shells.contains(&subresource);
        let is_proxy = is_core && subresource == self.proxy;
        let is_node = is_core && resource == self.nodes;
        let is_rbac = group == self.rbac;
        let of_namespace = || matches!(vocabulary.text(resource), "rolebindings" | "roles");
        // Most requests are of components, by roles of theirs: words are looked up last.
        let writes = || is_write(vocabulary.text(request.verb()));
        let shapes = || {
            self.of_cluster.contains(&group)
                || is_node
                || is_core && resource == self.volumes
                || subresource == self.approval
        };
        let is_grave = match role {
            Role::View => is_secret || is_token || is_shell || is_proxy || is_rbac && writes(),
            Role::Edit => is_proxy && is_node || is_rbac && writes(),
            Role::Admin => is_proxy && is_node || is_rbac && writes() && !of_namespace(),
            Role::Paths => is_secret || is_token || is_shell || is_proxy || is_rbac,
            Role::Component => is_secret || is_token || is_shell || is_rbac && writes(),
            Role::Controller => is_shell,
        };
        let is_other = || match role {
            Role::View => writes(),
            Role::Edit | Role::Admin => shapes() && writes(),
            Role::Paths => true,
            Role::Component | Role::Controller => false,
        };
        let beyond = if is_grave {
            Beyond::Grave
        } else if is_other() {
            Beyond::Other
        } else {
            return None;
        };
        (is_core || self.groups.contains(&group)).then_some(beyond)
    }
}

impl RoleWidened {
    /// Takes the words of the rule.
    pub fn new(meta: &RuleMeta, vocabulary: &Vocabulary) -> Self {
        Self {
            meta: meta.clone(),
            codes: Codes::new(vocabulary),
            widened: HashMap::new(),
            written: VecDeque::new(),
            reasons: Reasons::default(),
        }
    }

    /// Forgets what ended before a time.
    pub fn forget(&mut self, before: i64) {
        self.widened.retain(|_, it| it.tally.last >= before);
        self.written.retain(|written| written.at.ts >= before);
    }

    /// Takes in one request, in order of time.
    pub fn observe(&mut self, request: &Request<'_>, machinery: &Machinery, context: &Context<'_>) {
        let (reason, resource) = (request.authz_reason(), request.resource());
        let vocabulary = context.vocabulary;
        if resource == self.codes.cluster_roles {
            self.note_write(request, machinery, vocabulary);
        }
        // Nobody is asked about system:masters, so there is none for what they do.
        if reason == NULL || resource == NULL {
            return;
        }
        let role = self.reasons.of(request, vocabulary, |grant| {
            Role::of(grant.role.strip_prefix("ClusterRole ")?)
        });
        let beyond = role.and_then(|role| self.codes.beyond(role, request, vocabulary));
        let Some(beyond) = beyond else {
            return;
        };
        if self.widened.len() < KEPT || self.widened.contains_key(&reason) {
            let widened = self.widened.entry(reason).or_insert_with(|| Widened {
                tally: Tally::empty(),
                is_grave: false,
            });
            widened.tally.add(request, context);
            widened.is_grave |= beyond == Beyond::Grave;
        }
    }

    /// Notes who wrote a ClusterRole; the cluster does what follows from it.
    fn note_write(
        &mut self,
        request: &Request<'_>,
        machinery: &Machinery,
        vocabulary: &Vocabulary,
    ) {
        if is_write(vocabulary.text(request.verb()))
            && request.verb() != known::DELETE
            && request.succeeded()
            && !request.name().is_empty()
            && !request.is_dry_run(vocabulary)
            && !machinery.made(request, vocabulary)
        {
            self.written.push_back(Written {
                name: request.name().into(),
                by: request.username(),
                at: request.sighting(),
            });
            if self.written.len() > WRITES {
                self.written.pop_front();
            }
        }
    }

    /// Draws the findings: one for each binding and subject, which is what a reason names.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let widened = self.widened.iter();
        widened
            .map(|(&reason, widened)| self.finding(reason, widened, context))
            .collect()
    }

    fn finding(&self, reason: u32, widened: &Widened, context: &Context<'_>) -> Finding {
        let vocabulary = context.vocabulary;
        let reason = vocabulary.text(reason);
        let grant = Grant::parse(reason).expect("it was read before");
        let tally = &widened.tally;
        let group = vec![
            grant.role.clone(),
            grant.binding.to_owned(),
            grant.subject.clone(),
        ];
        let name = grant.role.trim_start_matches("ClusterRole ");
        let widening = self.widening(name, tally.first);
        // What it comes of stands in the log, too.
        let mut with_widening = tally.clone();
        with_widening.add_sightings(widening.iter().map(|written| &written.at), context);
        let mut draft = Draft::new(&self.meta, group, &with_widening);
        draft.window_start = tally.first;
        draft.summary = format!(
            "{} let {} through by {} `{}`, and cannot by its default rules: {} ({} of {})",
            grant.role,
            listed(&tally.usernames(vocabulary)),
            grant.kind,
            grant.binding,
            counted(tally.count, "request"),
            listed(&tally.verbs(vocabulary)),
            listed(&tally.resources(vocabulary)),
        );
        draft.why = vec![
            format!("reason = {reason}"),
            "no default rule of that role allows it".to_owned(),
        ];
        if let Some(written) = widening {
            draft.summary = format!(
                "{}; `{}` wrote ClusterRole `{}` before",
                draft.summary,
                vocabulary.text(written.by),
                written.name,
            );
            draft.why.push(format!(
                "last change of a ClusterRole before = {} by {} at {}",
                written.name,
                vocabulary.text(written.by),
                Timestamp(written.at.ts),
            ));
        }
        if !widened.is_grave {
            draft.severity = Severity::Medium;
        }
        draft.finish(vocabulary)
    }

    /// Returns what may have widened a role before a time: the last change of itself, else of any.
    fn widening(&self, role: &str, before: i64) -> Option<&Written> {
        let mut earlier = self.written.iter().rev().filter(|it| it.at.ts <= before);
        let mut of_role = earlier.clone().filter(|it| &*it.name == role);
        of_role.next().or_else(|| earlier.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::request::RequestColumns;
    use crate::detect::sample::frame_of;
    use crate::rules::RuleSet;

    #[test]
    fn who_widened_a_role_is_named_though_no_authorizer_was_asked() {
        let event = |second: u32, username: &str, verb: &str, object: &str, reason: &str| {
            format!(
                r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{second}","stage":"ResponseComplete","requestURI":"/","verb":"{verb}","user":{{"username":"{username}"}},"sourceIPs":["10.0.0.1"],"objectRef":{object},"responseStatus":{{"code":200}},"requestReceivedTimestamp":"2026-11-22T05:00:{second:02}.000000Z","stageTimestamp":"2026-11-22T05:00:{second:02}.000000Z","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"{reason}"}}}}"#
            )
        };
        let view = r#"{"resource":"clusterroles","name":"view","apiGroup":"rbac.authorization.k8s.io","apiVersion":"v1"}"#;
        let secrets = r#"{"resource":"secrets","namespace":"prod","apiVersion":"v1"}"#;
        let reason =
            r#"RBAC: allowed by RoleBinding \"dev/prod\" of ClusterRole \"view\" to Group \"dev\""#;
        let log = [
            event(1, "root", "patch", view, ""),
            event(2, "alice", "list", secrets, reason),
        ];
        let frame = frame_of("log", &log.join("\n")).unwrap();
        let context = Context {
            vocabulary: frame.vocabulary(),
            evidence_limit: 10,
        };
        let rules = RuleSet::embedded().unwrap();
        let rule = rules.find("builtin-role-widened").unwrap();
        let mut analytic = RoleWidened::new(&rules.rules[rule].meta, context.vocabulary);
        for row_idx in 0..log.len() {
            let request = RequestColumns::new(&frame).request(row_idx);
            analytic.observe(&request, &Machinery::default(), &context);
        }
        let [finding] = &analytic.finish(&context)[..] else {
            panic!("one finding");
        };
        assert!(
            finding
                .summary
                .ends_with("1 request (list of secrets); `root` wrote ClusterRole `view` before"),
            "{}",
            finding.summary
        );
        let shown = finding.evidence.iter().map(|event| &*event.audit_id);
        assert_eq!(shown.collect::<Vec<_>>(), ["1", "2"]);
    }
}
