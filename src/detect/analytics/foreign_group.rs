//! `certificate-in-foreign-group`: a client certificate in a group of administrators who log in by other means.
//!
//! The API server takes the groups of a certificate from its organizations, whatever they are called; so whoever gets one
//! signed with `O=oidc:platform` is in the group of that name, though the identity provider knows nothing of it. What a group
//! may do, and by what means its members log in, follows from the requests that it allowed; whom a certificate is asked for,
//! from the body of its signing request.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{Context, Draft, counted, listed};
use crate::detect::fold::Folded;
use crate::detect::json::Json;
use crate::detect::rbac::{Grant, Reasons};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::detect::view;
use crate::finding::{Confidence, Finding, Severity};
use crate::frame::NULL;
use crate::frame::vocabulary::known;
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct ForeignGroup {
    meta: RuleMeta,
    methods: Vec<String>,
    /// By name of a group that may do everything: the first of its members who logged in by other means than a certificate.
    members: HashMap<Box<str>, Member>,
    /// By group and name of a certificate's user.
    certificates: Certificates,
    /// The group that a reason names, if that may do everything.
    reasons: Reasons<Option<Box<str>>>,
}

remembers!(ForeignGroup: [members, certificates], anew [meta, methods, reasons]);

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Member {
    user: u32,
    kind: u32,
    ts: i64,
}

type Certificates = BTreeMap<(Box<str>, Box<str>), Certificate>;

/// What is known of a certificate in a group.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Certificate {
    asked: Option<Tally>,
    used: Option<Tally>,
}

impl Certificate {
    /// Returns when it was last seen.
    fn last(&self) -> Option<i64> {
        let tallies = [&self.asked, &self.used].into_iter().flatten();
        tallies.map(|tally| tally.last).max()
    }
}

/// Certificates that are remembered at once.
const KEPT: usize = 1024;

impl ForeignGroup {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            methods: parameters.strings("methods")?,
            members: HashMap::new(),
            certificates: BTreeMap::new(),
            reasons: Reasons::default(),
        })
    }

    /// Forgets what ended before a time.
    pub fn forget(&mut self, before: i64) {
        self.certificates
            .retain(|_, certificate| certificate.last() >= Some(before));
    }

    /// Takes in a request whose credential was accepted.
    pub fn observe(&mut self, folded: &Folded<'_>, context: &Context<'_>) {
        let request = &folded.request;
        if request.resource() == known::CERTIFICATE_SIGNING_REQUESTS {
            if request.made() && request.succeeded() && request.subresource() == NULL {
                self.ask(request, folded.bodies()[0], context);
            }
            return;
        }
        if request.identity_kind() != known::USER || request.imp_username() != NULL {
            return;
        }
        let vocabulary = context.vocabulary;
        if request.authz_reason() == NULL {
            return;
        }
        let Some(group) = self.reasons.of(request, vocabulary, superuser_group) else {
            return;
        };
        let kind = request.credential_kind();
        if kind == known::X509 {
            let user = vocabulary.text(request.username());
            let key = (group.clone(), user.into());
            let certificate = kept(&mut self.certificates, key);
            let tally = certificate.used.get_or_insert_with(Tally::empty);
            tally.add(request, context);
        } else if self
            .methods
            .iter()
            .any(|method| method == vocabulary.text(kind))
        {
            let member = self.members.entry(group.clone()).or_insert(Member {
                user: request.username(),
                kind,
                ts: i64::MAX,
            });
            if (request.ts, request.username()) < (member.ts, member.user) {
                *member = Member {
                    user: request.username(),
                    kind,
                    ts: request.ts,
                };
            }
        }
    }

    /// Takes in a certificate signing request.
    fn ask(&mut self, request: &Request<'_>, body: &str, context: &Context<'_>) {
        let subject = view::csr(&Json::parse(body, &view::keys()));
        let texts = |name: &str| -> Vec<Box<str>> {
            let values = subject.get(name).and_then(|values| values.as_list());
            let values = values.into_iter().flatten();
            values.filter_map(Json::as_text).map(Into::into).collect()
        };
        let Some(name) = texts("common_name").into_iter().next() else {
            return;
        };
        for group in texts("organizations") {
            if is_of_kubernetes(&group) {
                continue;
            }
            let certificate = kept(&mut self.certificates, (group, name.clone()));
            let tally = certificate.asked.get_or_insert_with(Tally::empty);
            tally.add(request, context);
        }
    }

    /// Draws the findings: one for each group and user of a certificate.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let certificates = self.certificates.iter();
        let foreign = certificates.filter_map(|((group, name), certificate)| {
            let member = self.members.get(group)?;
            Some(self.finding(group, name, (certificate, member), context))
        });
        foreign.collect()
    }

    fn finding(
        &self,
        group: &str,
        name: &str,
        (certificate, member): (&Certificate, &Member),
        context: &Context<'_>,
    ) -> Finding {
        let vocabulary = context.vocabulary;
        let mut all = Tally::empty();
        for tally in [&certificate.asked, &certificate.used]
            .into_iter()
            .flatten()
        {
            all.merge(tally.clone(), context);
        }
        let mut draft = Draft::new(&self.meta, vec![group.to_owned(), name.to_owned()], &all);
        let [user, kind] = [member.user, member.kind].map(|code| vocabulary.text(code).to_owned());
        let mut did = Vec::new();
        if let Some(asked) = &certificate.asked {
            let by = listed(&asked.usernames(vocabulary));
            did.push(format!("`{by}` asked for a certificate of `{name}` in it"));
        }
        if let Some(tally) = &certificate.used {
            let count = counted(tally.count, "request");
            let peers = listed(&tally.peers(vocabulary));
            did.push(format!(
                "a certificate of `{name}` was used in it: {count} from {peers}"
            ));
        }
        draft.summary = format!(
            "the group `{group}` may do everything, and its members log in by {kind}; {}",
            did.join(", and "),
        );
        draft.why = vec![
            format!("`{user}` is in it by {kind}"),
            format!("csr.organizations or the certificate's groups = {group}"),
        ];
        let is_prefixed = group.contains([':', '#', '/']);
        if certificate.asked.is_none() && !is_prefixed {
            draft.severity = Severity::Medium;
            draft.confidence = Confidence::Low;
            draft.why.push(
                "the name tells of no method: members may have certificates by design".to_owned(),
            );
        }
        draft.finish(vocabulary)
    }
}

/// Returns a certificate that is known, or is from now on: where there is no room, the one goes that was seen least lately.
fn kept(certificates: &mut Certificates, key: (Box<str>, Box<str>)) -> &mut Certificate {
    if certificates.len() >= KEPT && !certificates.contains_key(&key) {
        let oldest = certificates.iter().min_by_key(|(_, it)| it.last());
        let oldest = oldest.map(|(key, _)| key.clone());
        oldest.map(|key| certificates.remove(&key));
    }
    certificates.entry(key).or_default()
}

/// Returns the group that a grant is for, if it may do everything and is none that Kubernetes or its installer made.
fn superuser_group(grant: &Grant<'_>) -> Option<Box<str>> {
    let group = grant.subject.strip_prefix("Group ")?;
    (grant.is_of_superuser() && !is_of_kubernetes(group)).then(|| group.into())
}

/// Returns whether a group is one of Kubernetes itself, or of certificates by design.
fn is_of_kubernetes(group: &str) -> bool {
    group.starts_with("system:") || group.starts_with("kubeadm:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_that_was_seen_least_lately_makes_room() {
        let mut certificates = Certificates::new();
        let key = |at: usize| (Box::from("group"), Box::from(format!("user-{at}")));
        let seen = |certificates: &mut Certificates, at: usize, ts: i64| {
            kept(certificates, key(at)).used = Some(Tally::spanning(ts, ts));
        };
        for at in 0..KEPT {
            seen(&mut certificates, at, 1000 + i64::try_from(at).unwrap());
        }
        seen(&mut certificates, 0, 9000);
        seen(&mut certificates, KEPT, 9001);
        assert_eq!(certificates.len(), KEPT);
        let is_known = |at| certificates.contains_key(&key(at));
        assert!(is_known(0) && is_known(KEPT) && !is_known(1) && is_known(2));
    }
}
