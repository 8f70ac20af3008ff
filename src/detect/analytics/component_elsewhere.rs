//! `component-elsewhere`: the credential of a control plane component used where no control plane is.
//!
//! `component-in-two-places` proves it by leases, which many policies leave out of the log. Without them it follows from who
//! else is at the address. Benign are a new leader on another control plane node (the component goes quiet at home, or others
//! of the control plane come from there, too) and renewed certificates, so neither key nor user agent count.
//! All is read from the ledger at the end.

use std::collections::BTreeMap;

use super::address::{is_public, network};
use super::custody::{Sum, distinct, is_of_pods, others_at};
use super::machinery::is_controller;
use super::{Context, Draft, counted, listed};
use crate::credential::{Ledger, Use};
use crate::finding::{Finding, Severity, Timestamp};
use crate::frame::Vocabulary;
use crate::frame::derived::identity_kind;
use crate::frame::vocabulary::known;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// The analytic.
#[derive(Clone)]
pub struct ComponentElsewhere {
    meta: RuleMeta,
    settled_us: i64,
    least_requests: u64,
    brief_us: i64,
    least_controllers: usize,
    shared_peer_users: usize,
}

/// The components of which one works at a time.
const COMPONENTS: [&str; 2] = ["system:kube-controller-manager", "system:kube-scheduler"];

/// The rule that proves by leases that a component is in two places.
const PROOF: &str = "component-in-two-places";

/// The uses of a component's credentials from one address.
struct Place<'l> {
    peer: u32,
    address: &'l str,
    first: i64,
    last: i64,
    count: u64,
    uses: Vec<&'l Use>,
}

/// Why an address is none of the control plane.
struct Sign {
    severity: Severity,
    why: String,
}

impl ComponentElsewhere {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            settled_us: parameters.duration_us("settled")?,
            least_requests: parameters.count("least_requests")?.into(),
            brief_us: parameters.duration_us("brief")?,
            least_controllers: parameters.count("least_controllers")? as usize,
            shared_peer_users: parameters.count("shared_peer_users")? as usize,
        })
    }

    /// Draws the findings: one for each component and address; of components that others of the `findings` prove to be in
    /// two places these tell.
    pub fn finish(
        self,
        context: &Context<'_>,
        ledger: &Ledger,
        findings: &[Finding],
    ) -> Vec<Finding> {
        let proven = findings.iter().filter(|it| it.rule.name == PROOF);
        let is_proven = |name: &str| {
            let mut names = proven.clone().flat_map(|finding| &finding.ties.usernames);
            names.any(|it| it == name)
        };
        let names = COMPONENTS.into_iter().filter(|name| !is_proven(name));
        names
            .flat_map(|name| self.judge(name, context, ledger))
            .collect()
    }

    fn judge(&self, name: &str, context: &Context<'_>, ledger: &Ledger) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let Some(user) = vocabulary.find(name) else {
            return Vec::new();
        };
        let places = places(user, ledger, vocabulary);
        let busiest = places
            .values()
            .max_by_key(|place| (place.count, -place.first));
        let Some(home) = busiest.filter(|place| place.count >= self.least_requests) else {
            return Vec::new();
        };
        let is_v6 = |place: &Place<'_>| place.address.contains(':');
        let others = places.values().filter(|place| {
            // The two families of one host are one place.
            is_v6(place) == is_v6(home)
                && place.first >= home.first.saturating_add(self.settled_us)
                && home.last > place.last
                && !ledger.is_shared_peer(place.peer, self.shared_peer_users)
        });
        others
            .filter_map(|place| {
                let sign = self.sign(user, place, home, ledger, vocabulary)?;
                Some(self.finding(name, place, home, sign, context))
            })
            .collect()
    }

    /// Returns why a place is none of the control plane, as far as the log tells.
    fn sign(
        &self,
        user: u32,
        place: &Place<'_>,
        home: &Place<'_>,
        ledger: &Ledger,
        vocabulary: &Vocabulary,
    ) -> Option<Sign> {
        let has_controllers = |peer: u32| {
            let controllers = others_at(peer, user, ledger);
            let controllers = controllers.filter(|&it| is_controller(vocabulary.text(it)));
            controllers.count() >= self.least_controllers
        };
        if has_controllers(place.peer) || self.has_component(place, user, ledger, vocabulary) {
            return None;
        }
        let sign = |severity, why: String| Some(Sign { severity, why });
        let people = people_at(place.peer, ledger, vocabulary);
        if !people.is_empty() {
            let why = format!("people who come from there = {}", listed(&people));
            return sign(Severity::High, why);
        }
        if is_public(place.address) && !is_public(home.address) {
            return sign(Severity::High, "the address is of the internet".to_owned());
        }
        if is_of_pods(place.peer, user, ledger, vocabulary) {
            let why = "only ServiceAccounts come from there else".to_owned();
            return sign(Severity::High, why);
        }
        // Where every server has a loopback of its own, what is elsewhere may be any of them.
        let is_loopback = |place: &Place<'_>| {
            let address = place.address.parse::<std::net::IpAddr>();
            address.is_ok_and(|address| address.is_loopback())
        };
        if is_loopback(home) || is_loopback(place) {
            return None;
        }
        let node_at = |place: &Place<'_>| ledger.nodes_at(place.peer, vocabulary).next();
        let is_brief = place.last - place.first <= self.brief_us;
        match (node_at(place), node_at(home)) {
            // Of control planes whose kubelets are not to be seen, no address is one of a kubelet.
            (Some(node), None) => {
                let node = vocabulary.text(node);
                sign(
                    Severity::High,
                    format!("the address is that of `{node}`, and no node's is at home"),
                )
            }
            (Some(node), Some(_))
                if has_controllers(home.peer) && is_manager(user, vocabulary) && is_brief =>
            {
                let why = format!(
                    "the address is that of `{}`, and no controllers came with it, as they do at home",
                    vocabulary.text(node),
                );
                sign(Severity::Medium, why)
            }
            (None, Some(_)) if is_brief => {
                let why = "no kubelet is at the address, as there is at home".to_owned();
                sign(Severity::Medium, why)
            }
            (None, None) if is_brief && network(place.address) != network(home.address) => {
                let why = "nobody of the control plane comes from that network".to_owned();
                sign(Severity::Medium, why)
            }
            _ => None,
        }
    }

    /// Returns whether another component is at work in a place.
    fn has_component(
        &self,
        place: &Place<'_>,
        user: u32,
        ledger: &Ledger,
        vocabulary: &Vocabulary,
    ) -> bool {
        others_at(place.peer, user, ledger).any(|other| {
            let of_other = ledger.of_username(other).flat_map(|entry| &entry.uses);
            let here = of_other.filter(|used| used.peer == place.peer);
            let is_component = COMPONENTS.contains(&vocabulary.text(other));
            let is_at_work = || here.map(|used| used.count).sum::<u64>() >= self.least_requests;
            other == known::API_SERVER || is_component && is_at_work()
        })
    }

    fn finding(
        &self,
        name: &str,
        place: &Place<'_>,
        home: &Place<'_>,
        sign: Sign,
        context: &Context<'_>,
    ) -> Finding {
        let vocabulary = context.vocabulary;
        let mut sum = Sum::default();
        for used in &place.uses {
            sum.add(used);
        }
        let tally = sum.tally(context);
        let group = vec![name.to_owned(), place.address.to_owned()];
        let mut draft = Draft::new(&self.meta, group, &tally);
        draft.severity = sign.severity;
        draft.summary = format!(
            "`{name}` is at home at {} and went on there, and its credential was used from {}, where no control plane is: {}",
            home.address,
            place.address,
            counted(tally.count, "request"),
        );
        draft.why = vec![
            sign.why,
            format!(
                "home = {}, {} from {} to {}",
                home.address,
                counted(home.count, "request"),
                Timestamp(home.first),
                Timestamp(home.last),
            ),
        ];
        let mut finding = sum.finish(draft, vocabulary);
        finding.actor.username = Some(name.to_owned());
        finding.actor.kind = Some("component".to_owned());
        finding.ties.usernames = vec![name.to_owned()];
        finding
    }
}

fn is_manager(user: u32, vocabulary: &Vocabulary) -> bool {
    vocabulary.text(user) == COMPONENTS[0]
}

/// Returns where a component's credentials were used, by address.
fn places<'l>(
    user: u32,
    ledger: &'l Ledger,
    vocabulary: &'l Vocabulary,
) -> BTreeMap<&'l str, Place<'l>> {
    let mut places = BTreeMap::new();
    for used in ledger.of_username(user).flat_map(|entry| &entry.uses) {
        let address = vocabulary.text(used.peer);
        // What is no address is a name that stands for many.
        if network(address).is_none() {
            continue;
        }
        let place = places.entry(address).or_insert_with(|| Place {
            peer: used.peer,
            address,
            first: i64::MAX,
            last: i64::MIN,
            count: 0,
            uses: Vec::new(),
        });
        place.first = place.first.min(used.first);
        place.last = place.last.max(used.last);
        place.count += used.count;
        place.uses.push(used);
    }
    places
}

/// Returns the people who come from an address, but for those with certificates: such are on control plane nodes, too.
fn people_at(peer: u32, ledger: &Ledger, vocabulary: &Vocabulary) -> Vec<String> {
    let users = ledger.usernames_of(peer).iter().copied();
    let people = users.filter(|&user| {
        identity_kind(vocabulary.text(user)) == "user"
            && ledger
                .of_username(user)
                .all(|entry| entry.kind != known::X509)
    });
    distinct(people, vocabulary)
}
