//! `powerful-role-bound`: a role written for the purpose, given away.
//!
//! What a binding gives stands in its role, so neither says it alone. The rights of roles and the subjects of bindings that
//! the log shows being written are remembered, and whichever comes last makes the grant: a role that is bound, or a bound
//! role that is given more. Roles that clusters come with have rules of their own, and so have grants to oneself and to those
//! without a credential. Programs ask for much where they are installed: the rules on roles tell what, and only a grant of
//! everything is one more finding. What is no worse than low is a list per writer; so are grants of which both halves are whole
//! objects written again (apply, PUT), which may be as they were before.

mod grade;
mod rights;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::machinery::{Machinery, fits};
use super::{Context, Draft, begins, counted, listed};
use crate::detect::fold::Folded;
use crate::detect::json::{Json, Keys};
use crate::detect::rbac::Grant as Reason;
use crate::detect::request::{Request, Sighting};
use crate::detect::tally::Tally;
use crate::detect::view;
use crate::finding::{Finding, Severity, Timestamp};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};
use grade::{Holder, Reach, Subject, severity};
use rights::Rights;
use write::Write;

/// Roles with such rights, and bindings, that are remembered.
const OBJECTS: usize = 16_384;

/// Subjects of a binding that are told apart.
const SUBJECTS: usize = 64;

/// Bindings that a finding speaks of.
const PAIRS: usize = 256;

/// Writes that a finding speaks of, of either half.
const WRITES: usize = 256;

/// Bindings that a finding names one by one.
const NAMED: usize = 8;

/// `ClusterRoles` for people that every cluster comes with; other rules tell of them.
const BUILT_IN: [&str; 4] = ["cluster-admin", "admin", "edit", "view"];

/// State of the analytic.
#[derive(Clone)]
pub struct RoleGrant {
    meta: RuleMeta,
    terms: Terms,
    keys: Keys,
    codes: Codes,
    /// Roles with rights of some reach, by what [`role_called`] calls them.
    roles: HashMap<String, Role>,
    /// All bindings to roles that are not built in, by what [`binding_called`] calls them.
    bindings: HashMap<String, Binding>,
    grants: HashMap<Told, Grant>,
}

remembers!(RoleGrant: [roles, bindings, grants], anew [meta, terms, keys, codes]);

/// What the rule's file says.
#[derive(Clone)]
struct Terms {
    by_hand: Vec<String>,
    everyday: Vec<String>,
    platforms: Vec<String>,
    system_namespaces: Vec<String>,
    install_us: i64,
}

/// Codes of the words that requests are told apart by.
#[derive(Clone)]
struct Codes {
    roles: u32,
    cluster_roles: u32,
    group: u32,
    delete_collection: u32,
}

/// A role as it was last given a right.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Role {
    rights: Rights,
    written: Writing,
    /// When it was last written at all.
    last: i64,
}

/// A binding as it was last given a subject.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Binding {
    role: String,
    subjects: BTreeSet<Subject>,
    written: Writing,
    /// When it was last written at all.
    last: i64,
}

/// Who wrote something, and where the log says so.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Writing {
    username: u32,
    /// Whether it surely made a difference: what is applied whole may have been there before.
    is_sure: bool,
    at: Sighting,
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
enum Told {
    /// A binding and its role.
    Bound(String, String),
    /// A role.
    Widened(String),
    /// Who gave what is no worse than low.
    Listed(u32),
}

/// Grants that one finding tells.
#[derive(Clone, Serialize, Deserialize)]
struct Grant {
    severity: Severity,
    /// The writes that made them.
    tally: Tally,
    acts: Vec<Sighting>,
    /// What was written before them.
    earlier: Vec<Sighting>,
    /// By binding.
    pairs: BTreeMap<String, Pair>,
}

/// A binding and its role.
#[derive(Clone, Serialize, Deserialize)]
struct Pair {
    role: String,
    rights: Rights,
    subjects: BTreeSet<Subject>,
    role_written: (u32, i64),
    bound: (u32, i64),
}

impl RoleGrant {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(
        (meta, parameters): (&RuleMeta, &Parameters),
        vocabulary: &Vocabulary,
    ) -> Result<Self, RuleError> {
        let mut keys = view::keys();
        for key in [
            "metadata",
            "roleRef",
            "rules",
            "verbs",
            "apiGroups",
            "resources",
            "resourceNames",
        ] {
            keys.keep(key);
        }
        let code = |text: &str| vocabulary.code(text);
        Ok(Self {
            meta: meta.clone(),
            terms: Terms {
                by_hand: parameters.strings("by_hand")?,
                everyday: parameters.strings("everyday")?,
                platforms: parameters.strings("platforms")?,
                system_namespaces: parameters.strings("system_namespaces")?,
                install_us: parameters.duration_us("install")?,
            },
            keys,
            codes: Codes {
                roles: code("roles"),
                cluster_roles: code("clusterroles"),
                group: code("rbac.authorization.k8s.io"),
                delete_collection: code("deletecollection"),
            },
            roles: HashMap::new(),
            bindings: HashMap::new(),
            grants: HashMap::new(),
        })
    }

    /// Forgets what nobody wrote again since `before`.
    pub fn forget(&mut self, before: i64) {
        self.roles.retain(|_, role| role.last >= before);
        self.bindings.retain(|_, binding| binding.last >= before);
        self.grants.retain(|_, grant| grant.tally.last >= before);
    }

    /// Takes in one request, in order of time.
    pub fn observe(&mut self, folded: &Folded<'_>, machinery: &Machinery, context: &Context<'_>) {
        let request = &folded.request;
        let is_role = self.codes.is_role(request);
        let is_binding = matches!(
            request.resource(),
            known::ROLE_BINDINGS | known::CLUSTER_ROLE_BINDINGS
        );
        if !(is_role || is_binding)
            || ![self.codes.group, NULL].contains(&request.api_group())
            || request.subresource() != NULL
            || !request.succeeded()
            || request.is_dry_run(context.vocabulary)
        {
            return;
        }
        match request.verb() {
            known::CREATE | known::UPDATE | known::PATCH => {}
            known::DELETE => return self.deleted(request, context.vocabulary),
            verb if verb == self.codes.delete_collection => {
                return self.deleted(request, context.vocabulary);
            }
            _ => return,
        }
        // Its default roles and bindings at every start.
        if request.username() == known::API_SERVER {
            return;
        }
        let verb = context.vocabulary.text(request.verb());
        let [body, answer] = folded.bodies();
        let write = Write {
            request,
            written: view::object(verb, body, answer, &self.keys),
            // What is there now, if answers are logged.
            whole: view::object("update", "", answer, &self.keys),
            is_addition: verb == "patch" && body.trim_start().starts_with('['),
            is_everyday: self.terms.is_everyday(request, is_role, machinery, context),
        };
        if is_role {
            self.role_written(&write, context);
        } else {
            self.binding_written(&write, context);
        }
    }

    fn role_written(&mut self, write: &Write<'_>, context: &Context<'_>) {
        let namespace = context.vocabulary.text(write.request.namespace());
        let kind = match write.request.resource() {
            resource if resource == self.codes.roles => "Role",
            _ => "ClusterRole",
        };
        let Some(role) = write.name().map(|name| role_called(kind, name, namespace)) else {
            return;
        };
        let known = self.roles.get(&role);
        let before = known.map(|known| known.rights.clone()).unwrap_or_default();
        let mut rights = match write.get("rules").map(Json::as_list) {
            Some(rules) => rights::of(rules.unwrap_or_default()),
            None if write.says_all_of("rules") => Rights::new(),
            None => return,
        };
        if write.adds("rules") {
            for (right, said) in &before {
                rights.entry(*right).or_default().extend(said.clone());
            }
        }
        if rights.is_empty() {
            self.roles.remove(&role);
            return;
        }
        let is_more = rights.keys().any(|right| !before.contains_key(right));
        let written = match known {
            Some(known) if !is_more => known.written.clone(),
            None if self.roles.len() >= OBJECTS => return,
            _ => Writing {
                username: write.request.username(),
                is_sure: known.is_some() || write.is_difference(),
                at: write.request.sighting(),
            },
        };
        let now = Role {
            rights,
            written,
            last: write.request.ts,
        };
        self.roles.insert(role.clone(), now.clone());
        if !is_more || write.is_everyday {
            return;
        }
        let bound = self.bindings.iter().filter(|(_, bound)| bound.role == role);
        let mut bound: Vec<_> = bound.map(|(name, it)| (name.clone(), it.clone())).collect();
        bound.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (name, binding) in bound {
            let told = Told::Widened(role.clone());
            self.grant(write, told, (&name, &binding), &now, context);
        }
    }

    fn binding_written(&mut self, write: &Write<'_>, context: &Context<'_>) {
        let request = write.request;
        let namespace = context.vocabulary.text(request.namespace());
        let Some(name) = write.name().map(|name| binding_called(name, namespace)) else {
            return;
        };
        let known = self.bindings.get(&name);
        let role = write.get("roleRef").and_then(|role| {
            let text = |key: &str| role.get(key).and_then(Json::as_text);
            Some(role_called(text("kind")?, text("name")?, namespace))
        });
        // The role of a binding cannot be changed, so a patch need not name it.
        let Some(role) = role.or_else(|| known.map(|known| known.role.clone())) else {
            return;
        };
        let is_built_in = |name: &str| BUILT_IN.contains(&name);
        if role.strip_prefix("ClusterRole ").is_some_and(is_built_in) {
            return;
        }
        let Some(subjects) = write.get("subjects").and_then(Json::as_list) else {
            return;
        };
        let subjects = subjects.iter().take(SUBJECTS);
        let mut subjects: BTreeSet<Subject> = subjects
            .filter_map(|subject| Subject::of(subject, namespace))
            .collect();
        let known = known.filter(|known| known.role == role);
        let fresh: BTreeSet<Subject> = match known {
            Some(known) => &subjects - &known.subjects,
            None => subjects.clone(),
        };
        if let Some(known) = known.filter(|_| write.adds("subjects")) {
            subjects.extend(known.subjects.iter().take(SUBJECTS).cloned());
        }
        let written = match known {
            Some(known) if fresh.is_empty() => known.written.clone(),
            None if self.bindings.len() >= OBJECTS => return,
            _ => Writing {
                username: request.username(),
                is_sure: known.is_some() || write.is_difference(),
                at: request.sighting(),
            },
        };
        let binding = Binding {
            role: role.clone(),
            subjects,
            written,
            last: request.ts,
        };
        self.bindings.insert(name.clone(), binding.clone());
        if fresh.is_empty() || write.is_everyday {
            return;
        }
        // Others tell of them.
        let writer = context.vocabulary.text(request.username());
        let is_told = |it: &Subject| it.holder == Holder::Anonymous || it.name == writer;
        let Some(role_now) = self.roles.get(&role).cloned() else {
            return;
        };
        let binding = Binding {
            subjects: fresh.into_iter().filter(|it| !is_told(it)).collect(),
            ..binding
        };
        let told = Told::Bound(name.clone(), role);
        self.grant(write, told, (&name, &binding), &role_now, context);
    }

    /// Takes in that a write lets the subjects of a binding have the rights of its role.
    fn grant(
        &mut self,
        write: &Write<'_>,
        told: Told,
        (name, binding): (&str, &Binding),
        role: &Role,
        context: &Context<'_>,
    ) {
        let vocabulary = context.vocabulary;
        let request = write.request;
        let is_superuser = is_superuser(request, vocabulary);
        let mut subjects = binding.subjects.clone();
        subjects.retain(|it| {
            let is_platform = is_superuser && self.terms.is_platform(it);
            it.holder != Holder::Superuser && !is_platform
        });
        let Some(holder) = subjects.iter().map(|subject| subject.holder).max() else {
            return;
        };
        let reach = self.terms.reach(name);
        let mut rights = role.rights.clone();
        rights.retain(|right, _| reach == Reach::Cluster || !right.is_of_cluster());
        let Some((&gravest, _)) = rights.last_key_value() else {
            return;
        };
        let apart = (role.written.at.ts - binding.written.at.ts).abs();
        let is_install =
            role.written.username == binding.written.username && apart <= self.terms.install_us;
        let severity = severity(gravest, reach, holder, is_install, is_superuser);
        let Some(mut severity) = severity else {
            return;
        };
        if !role.written.is_sure && !binding.written.is_sure {
            severity = severity.min(Severity::Low);
        }
        let is_bound = matches!(told, Told::Bound(..));
        let told = match severity {
            Severity::Informational | Severity::Low => Told::Listed(request.username()),
            _ => told,
        };
        if self.grants.len() >= OBJECTS && !self.grants.contains_key(&told) {
            return;
        }
        let grant = self.grants.entry(told).or_insert_with(|| Grant {
            severity,
            tally: Tally::empty(),
            acts: Vec::new(),
            earlier: Vec::new(),
            pairs: BTreeMap::new(),
        });
        grant.severity = grant.severity.max(severity);
        // A role may be bound many times.
        let act = request.sighting();
        if grant.acts.last() != Some(&act) {
            grant.tally.add(request, context);
            if grant.acts.len() < WRITES {
                grant.acts.push(act);
            }
        }
        let before = if is_bound {
            &role.written.at
        } else {
            &binding.written.at
        };
        if grant.earlier.len() < WRITES && !grant.earlier.contains(before) {
            grant.earlier.push(before.clone());
        }
        let by = |written: &Writing| (written.username, written.at.ts);
        let n_pairs = grant.pairs.len();
        match grant.pairs.get_mut(name) {
            Some(pair) => {
                pair.subjects.extend(subjects);
                pair.rights.extend(rights);
                (pair.role_written, pair.bound) = (by(&role.written), by(&binding.written));
            }
            None if n_pairs < PAIRS => {
                let pair = Pair {
                    role: binding.role.clone(),
                    rights,
                    subjects,
                    role_written: by(&role.written),
                    bound: by(&binding.written),
                };
                grant.pairs.insert(name.to_owned(), pair);
            }
            None => {}
        }
    }

    /// Takes in that one object, or all of a namespace, are gone; who was given what stays said.
    fn deleted(&mut self, request: &Request<'_>, vocabulary: &Vocabulary) {
        let namespace = vocabulary.text(request.namespace());
        let is_role = self.codes.is_role(request);
        let is_whole = request.name().is_empty() && !view::is_selective(request.request_uri());
        match (request.name(), namespace) {
            ("", "") => {}
            ("", _) if !is_whole => {}
            ("", _) if is_role => {
                let within = format!("Role {namespace}/");
                self.roles.retain(|role, _| !role.starts_with(&within));
            }
            ("", _) => {
                let within = format!("/{namespace}");
                self.bindings.retain(|name, _| !name.ends_with(&within));
            }
            (name, "") if is_role => drop(self.roles.remove(&role_called("ClusterRole", name, ""))),
            (name, _) if is_role => drop(self.roles.remove(&role_called("Role", name, namespace))),
            (name, _) => drop(self.bindings.remove(&binding_called(name, namespace))),
        }
    }

    /// Returns which `ClusterRoleBindings` it tells of, with their writers.
    pub fn told(&self, vocabulary: &Vocabulary) -> HashSet<(String, String)> {
        let pairs = self.grants.values().flat_map(|grant| &grant.pairs);
        pairs
            .filter_map(|(name, pair)| {
                let name = name.strip_prefix("ClusterRoleBinding ")?;
                Some((vocabulary.text(pair.bound.0).to_owned(), name.to_owned()))
            })
            .collect()
    }

    /// Draws the findings.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let grants: BTreeMap<&Told, &Grant> = self.grants.iter().collect();
        let grants = grants.into_iter();
        grants
            .map(|(told, grant)| self.finding(told, grant, context))
            .collect()
    }

    fn finding(&self, told: &Told, grant: &Grant, context: &Context<'_>) -> Finding {
        let vocabulary = context.vocabulary;
        let mut rights = Rights::new();
        let mut subjects = BTreeSet::new();
        for pair in grant.pairs.values() {
            for (right, said) in &pair.rights {
                rights.entry(*right).or_default().extend(said.clone());
            }
            subjects.extend(pair.subjects.iter().map(|subject| subject.name.clone()));
        }
        let rights = rights::in_words(&rights);
        let subjects: Vec<String> = subjects.into_iter().collect();
        let subjects = listed(&subjects);
        let bindings: Vec<String> = grant.pairs.keys().cloned().collect();
        let writers = grant.tally.usernames(vocabulary);
        let by: Vec<String> = writers.iter().map(|name| format!("`{name}`")).collect();
        let by = listed(&by);
        let group = match told {
            Told::Bound(binding, role) => vec![binding.clone(), role.clone()],
            Told::Widened(role) => vec![role.clone()],
            Told::Listed(_) => writers.clone(),
        };
        let mut draft = Draft::new(&self.meta, group, &grant.tally);
        draft.severity = grant.severity;
        draft.summary = match told {
            Told::Bound(binding, role) => format!(
                "{by} gave {role} to {subjects} by {binding} {}: it allows {rights}",
                self.terms.reach(binding).as_str(),
            ),
            Told::Widened(role) => format!(
                "{by} gave {role} rights that {subjects} has by {}: {rights}",
                listed(&bindings),
            ),
            Told::Listed(_) => {
                draft.window_start = 0;
                draft.is_inventory = true;
                format!(
                    "{by} gave programs, or somebody in a namespace, roles that reach far by {} ({}): {rights}",
                    counted(bindings.len() as u64, "binding"),
                    listed(&bindings),
                )
            }
        };
        for (binding, pair) in grant.pairs.iter().take(NAMED) {
            let names: Vec<String> = pair.subjects.iter().map(|it| it.name.clone()).collect();
            let written =
                |(by, ts): (u32, i64)| format!("{} by {}", Timestamp(ts), vocabulary.text(by));
            draft.why.push(format!(
                "{binding} = {} to {}, written {}; the role allows {}, written {}",
                pair.role,
                listed(&names),
                written(pair.bound),
                rights::in_words(&pair.rights),
                written(pair.role_written),
            ));
        }
        let mut finding = draft.finish(vocabulary);
        let earlier = grant.earlier.iter();
        // A write may be the first half of one grant and the second half of another one.
        let earlier: Vec<_> = earlier
            .filter(|it| !grant.acts.contains(it))
            .cloned()
            .collect();
        let n_earlier = earlier.len() as u64;
        finding.count += n_earlier;
        finding.evidence_total += n_earlier;
        let evidence = Sighting::evidence(&earlier, vocabulary);
        finding.evidence.extend(evidence);
        finding.evidence.sort_by_key(|evidence| evidence.ts);
        finding.evidence.truncate(context.evidence_limit);
        let first = grant.earlier.iter().map(|sighting| sighting.ts).min();
        if let Some(first) = first {
            finding.first_seen = finding.first_seen.min(Timestamp(first));
        }
        finding
    }
}

impl Codes {
    fn is_role(&self, request: &Request<'_>) -> bool {
        [self.roles, self.cluster_roles].contains(&request.resource())
    }
}

impl Terms {
    /// Returns whether a write is what the cluster or a platform does all day long.
    fn is_everyday(
        &self,
        request: &Request<'_>,
        is_role: bool,
        machinery: &Machinery,
        context: &Context<'_>,
    ) -> bool {
        let vocabulary = context.vocabulary;
        if machinery.made(request, vocabulary) {
            // The controller that aggregates roles passes on what others wrote.
            return !is_role;
        }
        let [username, agent] =
            [request.username(), request.user_agent()].map(|code| vocabulary.text(code));
        let is_hand = begins(agent, &self.by_hand);
        !is_hand && self.everyday.iter().any(|pattern| fits(pattern, username))
    }

    fn is_platform(&self, subject: &Subject) -> bool {
        self.platforms.contains(&subject.name)
    }

    /// Returns how far a binding reaches.
    fn reach(&self, binding: &str) -> Reach {
        match binding.rsplit_once('/') {
            None => Reach::Cluster,
            Some((_, namespace)) if self.is_system(namespace) => Reach::System,
            Some(_) => Reach::Namespace,
        }
    }

    fn is_system(&self, namespace: &str) -> bool {
        let mut patterns = self.system_namespaces.iter();
        patterns.any(|pattern| fits(pattern, namespace))
    }
}

/// Names a role.
fn role_called(kind: &str, name: &str, namespace: &str) -> String {
    match kind {
        "Role" => format!("Role {namespace}/{name}"),
        _ => format!("ClusterRole {name}"),
    }
}

/// Names a binding as the RBAC authorizer does.
fn binding_called(name: &str, namespace: &str) -> String {
    match namespace {
        "" => format!("ClusterRoleBinding {name}"),
        namespace => format!("RoleBinding {name}/{namespace}"),
    }
}

/// Returns whether whoever asks may do everything.
fn is_superuser(request: &Request<'_>, vocabulary: &Vocabulary) -> bool {
    let reason = Reason::parse(vocabulary.text(request.authz_reason()));
    request.is_masters || reason.is_some_and(|reason| reason.is_of_superuser())
}
