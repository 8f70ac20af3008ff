//! `host-taken`: an Ingress or a route, written by hand, for a host name that another namespace serves.
//!
//! What serves a host is known from the writes of the log. An object takes a host if it is new, or is known and did not have
//! that host: whoever writes the same again takes nothing, whichever stands first in the log. Who writes routes of the
//! host in both namespaces moves or shares their own, and programs deploy what somebody decided elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Context, Draft, begins};
use crate::detect::fold::Folded;
use crate::detect::json::{Json, Keys};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::detect::view;
use crate::finding::Finding;
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct HostTaken {
    meta: RuleMeta,
    resources: Vec<u32>,
    by_hand: Vec<String>,
    inner: Vec<String>,
    verbs: [u32; 2],
    /// The hosts of each object, and who wrote it.
    served: BTreeMap<Object, Served>,
    /// The objects that serve a host.
    hosts: BTreeMap<Box<str>, BTreeSet<Object>>,
    taken: BTreeMap<(Box<str>, u32, u32), Taken>,
}

remembers!(HostTaken: [served, hosts, taken], anew [meta, resources, by_hand, inner, verbs]);

/// Resource, namespace and name.
type Object = (u32, u32, Box<str>);

#[derive(Clone, Default, Serialize, Deserialize)]
struct Served {
    /// When it was written first.
    since: i64,
    hosts: BTreeSet<Box<str>>,
    by: BTreeSet<u32>,
}

/// A host that somebody took, by host, namespace and person.
#[derive(Clone, Serialize, Deserialize)]
struct Taken {
    object: Object,
    from: Object,
    tally: Tally,
}

/// What a request wrote.
struct Written {
    /// Name of the object.
    name: Box<str>,
    /// Its hosts, in small letters.
    hosts: BTreeSet<Box<str>>,
    /// Whether it has no others.
    is_whole: bool,
}

/// Objects that are remembered, and takings.
const KEPT: usize = 8192;

/// Hosts of one object, and its writers, that are looked at.
const READ: usize = 256;

impl HostTaken {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(
        (meta, parameters): (&RuleMeta, &Parameters),
        vocabulary: &Vocabulary,
    ) -> Result<Self, RuleError> {
        let resources = parameters.strings("resources")?;
        let resources = resources.iter().map(|name| vocabulary.code(name));
        Ok(Self {
            meta: meta.clone(),
            resources: resources.collect(),
            by_hand: parameters.strings("by_hand")?,
            inner: parameters.strings("inner")?,
            verbs: ["delete", "deletecollection"].map(|verb| vocabulary.code(verb)),
            served: BTreeMap::new(),
            hosts: BTreeMap::new(),
            taken: BTreeMap::new(),
        })
    }

    /// Forgets what was taken and not written since a time.
    pub fn forget(&mut self, before: i64) {
        self.taken.retain(|_, taken| taken.tally.last >= before);
    }

    /// Takes in one request, in order of time.
    pub fn observe(&mut self, folded: &Folded<'_>, context: &Context<'_>) {
        let request = &folded.request;
        let is_namespace = request.resource() == known::NAMESPACES;
        if !is_namespace && !self.resources.contains(&request.resource())
            || request.subresource() != NULL
            || request.namespace() == NULL
            || !request.succeeded()
            || request.is_dry_run(context.vocabulary)
        {
            return;
        }
        let object: Object = (
            request.resource(),
            request.namespace(),
            request.name().into(),
        );
        match request.verb() {
            known::CREATE | known::UPDATE | known::PATCH if !is_namespace => {
                let written = self.written(folded, context.vocabulary);
                let object = (object.0, object.1, written.name.clone());
                if !object.2.is_empty() {
                    self.write(&object, &written, request, context);
                }
            }
            verb if verb == self.verbs[1] || is_namespace && verb == self.verbs[0] => {
                let gone = self.served.keys();
                let gone = gone.filter(|(resource, namespace, _)| {
                    *namespace == object.1 && (is_namespace || *resource == object.0)
                });
                for object in gone.cloned().collect::<Vec<_>>() {
                    self.remove(&object);
                }
            }
            verb if verb == self.verbs[0] => self.remove(&object),
            _ => {}
        }
    }

    fn write(
        &mut self,
        object: &Object,
        Written {
            hosts, is_whole, ..
        }: &Written,
        request: &Request<'_>,
        context: &Context<'_>,
    ) {
        let by = match request.imp_username() {
            NULL => request.username(),
            other => other,
        };
        let before = self.served.get(object);
        if self.is_by_hand(request, context.vocabulary) && (request.made() || before.is_some()) {
            let holders = hosts.iter().filter_map(|host| {
                let is_new = before.is_none_or(|it| !it.hosts.contains(host));
                let holder = self.holder(host, object.1, by).filter(|_| is_new)?;
                Some((host.clone(), holder.clone()))
            });
            for (host, from) in holders.collect::<Vec<_>>() {
                let key = (host, object.1, by);
                if let Some(taken) = self.taken.get_mut(&key) {
                    taken.tally.add(request, context);
                } else if self.taken.len() < KEPT {
                    let taken = Taken {
                        object: object.clone(),
                        from,
                        tally: Tally::new(request, context),
                    };
                    self.taken.insert(key, taken);
                }
            }
        }
        let is_known = self.served.contains_key(object);
        if !is_known && (hosts.is_empty() || self.served.len() >= KEPT) {
            return;
        }
        let served = self.served.entry(object.clone());
        let served = served.or_insert_with(|| Served {
            since: request.ts,
            ..Served::default()
        });
        if served.by.len() < READ {
            served.by.insert(by);
        }
        // A patch may name one host of several.
        if *is_whole {
            let gone: Vec<Box<str>> = served.hosts.difference(hosts).cloned().collect();
            for host in gone {
                served.hosts.remove(&host);
                leave(&mut self.hosts, &host, object);
            }
        }
        for host in hosts {
            if served.hosts.len() < READ && served.hosts.insert(host.clone()) {
                self.hosts
                    .entry(host.clone())
                    .or_default()
                    .insert(object.clone());
            }
        }
    }

    /// Returns what served a host first, if that is in other namespaces alone, and somebody else than `by` wrote all of it.
    fn holder(&self, host: &str, namespace: u32, by: u32) -> Option<&Object> {
        let holders = self.hosts.get(host)?;
        let is_own = |object: &Object| {
            object.1 == namespace
                || (self.served.get(object)).is_some_and(|served| served.by.contains(&by))
        };
        // Codes of words have an order of their own in each run.
        let first = holders.iter().min_by_key(|object| {
            let served = self.served.get(*object);
            (served.map(|served| served.since), object.2.clone())
        });
        first.filter(|_| !holders.iter().any(is_own))
    }

    fn remove(&mut self, object: &Object) {
        let hosts = self.served.remove(object).map(|served| served.hosts);
        for host in hosts.into_iter().flatten() {
            leave(&mut self.hosts, &host, object);
        }
    }

    fn is_by_hand(&self, request: &Request<'_>, vocabulary: &Vocabulary) -> bool {
        match request.identity_kind() {
            known::USER => true,
            known::SERVICE_ACCOUNT => begins(vocabulary.text(request.user_agent()), &self.by_hand),
            _ => false,
        }
    }

    fn written(&self, folded: &Folded<'_>, vocabulary: &Vocabulary) -> Written {
        let [body, answer] = folded.bodies();
        let keys = Keys::all();
        let whole = view::object("update", "", answer, &keys);
        let mut is_whole = !whole.is_null() || folded.request.verb() != known::PATCH;
        let object = if whole.is_null() {
            view::object(vocabulary.text(folded.request.verb()), body, "", &keys)
        } else {
            whole
        };
        let mut hosts = BTreeSet::new();
        let resource = vocabulary.text(folded.request.resource());
        if let Some(spec) = object.get("spec").filter(|spec| is_outward(resource, spec)) {
            self.read(spec, &mut hosts);
        }
        // What a merge patch lists of these kinds is the whole list.
        is_whole |= !hosts.is_empty() && !body.starts_with('[');
        let mut name = folded.request.name();
        // Of what is created, the URI has none.
        if name.is_empty() {
            let metadata = object.get("metadata");
            name = metadata
                .and_then(|it| it.get("name")?.as_text())
                .unwrap_or_default();
        }
        let name = name.into();
        Written {
            name,
            hosts,
            is_whole,
        }
    }

    fn read(&self, spec: &Json<'_>, hosts: &mut BTreeSet<Box<str>>) {
        let listed = |key: &str| spec.get(key).and_then(Json::as_list).unwrap_or(&[]);
        let rules = listed("rules").iter().filter_map(|rule| rule.get("host"));
        let named = listed("hostnames").iter().chain(listed("hosts"));
        let fqdn = spec.get("virtualhost").and_then(|host| host.get("fqdn"));
        let all = rules.chain(named).chain(spec.get("host")).chain(fqdn);
        for host in all.filter_map(Json::as_text).take(READ) {
            let host = host.to_ascii_lowercase();
            let is_inner = self.inner.iter().any(|end| host.ends_with(end.as_str()));
            if host.contains('.') && !host.contains('*') && !is_inner {
                hosts.insert(host.into());
            }
        }
    }

    /// Draws the findings: one for each host, namespace and person.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let taken = self.taken.iter();
        let findings = taken.map(|((host, namespace, by), taken)| {
            let [in_namespace, by] = [*namespace, *by].map(|code| vocabulary.text(code).to_owned());
            let group = vec![host.to_string(), in_namespace, by.clone()];
            let mut draft = Draft::new(&self.meta, group, &taken.tally);
            let said = |object: &Object| {
                let [resource, namespace] = [object.0, object.1].map(|code| vocabulary.text(code));
                format!("{resource} {namespace}/{}", object.2)
            };
            let (object, from) = (said(&taken.object), said(&taken.from));
            draft.summary =
                format!("`{by}` wrote {object} for the host {host}, which {from} serves");
            draft.why = vec![
                format!("host = {host}"),
                format!("served before by {from}"),
                format!("written by hand in another namespace: {object}"),
            ];
            draft.finish(vocabulary)
        });
        findings.collect()
    }
}

/// Notes that an object serves a host no more.
fn leave(hosts: &mut BTreeMap<Box<str>, BTreeSet<Object>>, host: &str, object: &Object) {
    if let Some(objects) = hosts.get_mut(host) {
        objects.remove(object);
        if objects.is_empty() {
            hosts.remove(host);
        }
    }
}

/// Returns whether others than the Pods of a mesh see what an object does to a host: a `VirtualService` without a gateway
/// changes the ways of Pods only.
fn is_outward(resource: &str, spec: &Json<'_>) -> bool {
    let gateways = spec
        .get("gateways")
        .and_then(Json::as_list)
        .unwrap_or_default();
    let mut gateways = gateways.iter().filter_map(Json::as_text);
    resource != "virtualservices" || gateways.any(|name| name != "mesh")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::fold::Hits;
    use crate::detect::request::RequestColumns;
    use crate::detect::sample::frame_of;
    use crate::rules::{RuleBody, RuleSet};

    const ALICE: (&str, &str) = ("alice", "kubectl/v1.36");
    const BOB: (&str, &str) = ("bob", "kubectl/v1.36");
    const ARGO: (&str, &str) = ("system:serviceaccount:argocd:controller", "argocd/v3");

    fn analytic(vocabulary: &Vocabulary) -> HostTaken {
        let rules = RuleSet::embedded().unwrap();
        let rule = &rules.rules[rules.find("host-taken").unwrap()];
        let RuleBody::Analytic(parameters) = &rule.body else {
            panic!("it is an analytic");
        };
        HostTaken::new((&rule.meta, parameters), vocabulary).unwrap()
    }

    /// Has each user make an Ingress for the same host in a namespace; expects takings, in these words.
    #[track_caller]
    fn check(writes: &[((&str, &str), &str)], expected: &[&str]) {
        let event = |(second, &((user, agent), namespace)): (usize, &((&str, &str), &str))| {
            let host = if second == 0 { "App" } else { "app" };
            format!(
                r#"{{"auditID":"{second}","level":"Request","stage":"ResponseComplete","requestURI":"/","verb":"create","user":{{"username":"{user}"}},"userAgent":"{agent}","sourceIPs":["10.0.0.1"],"objectRef":{{"resource":"ingresses","namespace":"{namespace}","name":"i{second}"}},"responseStatus":{{"code":201}},"requestObject":{{"spec":{{"rules":[{{"host":"{host}.corp.example"}}]}}}},"requestReceivedTimestamp":"2026-11-22T05:00:{second:02}.000000Z","stageTimestamp":"2026-11-22T05:00:{second:02}.000000Z"}}"#
            )
        };
        let log: Vec<String> = writes.iter().enumerate().map(event).collect();
        let frame = frame_of("log", &log.join("\n")).unwrap();
        let context = Context {
            vocabulary: frame.vocabulary(),
            evidence_limit: 10,
        };
        let mut analytic = analytic(context.vocabulary);
        for row_idx in 0..log.len() {
            let request = RequestColumns::new(&frame).request(row_idx);
            let hits = Hits::Row(&[], &frame, row_idx);
            analytic.observe(&Folded { request, hits }, &context);
        }
        let findings = analytic.finish(&context);
        let said: Vec<&str> = findings.iter().map(|found| &*found.summary).collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn a_host_is_taken_by_somebody_else_in_another_namespace() {
        let taken = "`bob` wrote ingresses dev/i1 for the host app.corp.example, which ingresses prod/i0 serves";
        check(&[(ALICE, "prod"), (BOB, "dev")], &[taken]);
        check(&[(ARGO, "prod"), (BOB, "dev")], &[taken]);
    }

    #[test]
    fn a_host_that_was_given_up_is_free() {
        let log = r#"{"auditID":"1","level":"Request","stage":"ResponseComplete","requestURI":"/","verb":"create","user":{"username":"a"},"userAgent":"kubectl","objectRef":{"resource":"ingresses","namespace":"prod","name":"i"},"responseStatus":{"code":201},"requestObject":{"spec":{"rules":[{"host":"a.example"},{"host":"b.example"}]}},"requestReceivedTimestamp":"2026-11-22T05:00:01.000000Z","stageTimestamp":"2026-11-22T05:00:01.000000Z"}
{"auditID":"2","level":"Request","stage":"ResponseComplete","requestURI":"/","verb":"patch","user":{"username":"a"},"userAgent":"kubectl","objectRef":{"resource":"ingresses","namespace":"prod","name":"i"},"responseStatus":{"code":200},"requestObject":{"spec":{"rules":[{"host":"b.example"}]}},"requestReceivedTimestamp":"2026-11-22T05:00:02.000000Z","stageTimestamp":"2026-11-22T05:00:02.000000Z"}
{"auditID":"3","level":"Request","stage":"ResponseComplete","requestURI":"/","verb":"delete","user":{"username":"a"},"userAgent":"kubectl","objectRef":{"resource":"namespaces","namespace":"prod","name":"prod"},"responseStatus":{"code":200},"requestReceivedTimestamp":"2026-11-22T05:00:03.000000Z","stageTimestamp":"2026-11-22T05:00:03.000000Z"}"#;
        let frame = frame_of("log", log).unwrap();
        let context = Context {
            vocabulary: frame.vocabulary(),
            evidence_limit: 10,
        };
        let mut analytic = analytic(context.vocabulary);
        for (row_idx, left) in [&["a.example", "b.example"][..], &["b.example"], &[]]
            .into_iter()
            .enumerate()
        {
            let request = RequestColumns::new(&frame).request(row_idx);
            let hits = Hits::Row(&[], &frame, row_idx);
            analytic.observe(&Folded { request, hits }, &context);
            let hosts: Vec<&str> = analytic.hosts.keys().map(|host| &**host).collect();
            assert_eq!(hosts, left);
        }
    }

    #[test]
    fn who_shares_or_moves_a_host_takes_none() {
        check(&[(ALICE, "prod"), (BOB, "prod")], &[]);
        check(&[(ALICE, "prod"), (ALICE, "dev")], &[]);
        check(&[(ALICE, "prod"), (ARGO, "dev")], &[]);
        check(&[(ARGO, "prod"), (ARGO, "dev")], &[]);
        let by_hand = (ARGO.0, "kubectl/v1.36");
        check(&[(ARGO, "prod"), (by_hand, "dev")], &[]);
    }
}
