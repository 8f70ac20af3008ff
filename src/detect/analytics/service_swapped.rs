//! `service-selector-swapped`: a Service led to other Pods by a person, and back again.
//!
//! Whoever may change a Service sends what is meant for it to Pods of their own, reads the passwords in it, and puts the
//! selector back. A roll-out changes a version or a colour in the selector and leaves the rest, and goes on rather than
//! back. What the selector was before the first change is rarely in the log, so a second change by the same person counts
//! as the way back if nothing else was known.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{Context, Draft, HOUR_US, begins, lasting};
use crate::detect::fold::Folded;
use crate::detect::json::{Json, Keys};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::detect::view;
use crate::finding::{Confidence, Finding, Severity};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytic.
#[derive(Clone)]
pub struct ServiceSwapped {
    meta: RuleMeta,
    by_hand: Vec<String>,
    rollout_keys: Vec<String>,
    window_us: i64,
    services: u32,
    /// By namespace and name.
    known: HashMap<(u32, Box<str>), Service>,
    /// When somebody last made a Pod by hand, by namespace and user.
    pods: HashMap<(u32, u32), i64>,
    swaps: BTreeMap<(u32, Box<str>, u32), Swap>,
}

remembers!(ServiceSwapped: [known, pods, swaps], anew [meta, by_hand, rollout_keys, window_us, services]);

type Selector = BTreeMap<Box<str>, Box<str>>;

/// What is known of a Service.
#[derive(Clone, Serialize, Deserialize)]
struct Service {
    selector: Selector,
    /// The last change by a person.
    led: Option<Led>,
}

/// A Service that a person led elsewhere.
#[derive(Clone, Serialize, Deserialize)]
struct Led {
    /// Where it led before, if that is known.
    from: Option<Selector>,
    by: u32,
    ts: i64,
    tally: Tally,
}

/// A Service that was led elsewhere and back.
#[derive(Clone, Serialize, Deserialize)]
struct Swap {
    away: Selector,
    back: Selector,
    is_known: bool,
    lasted_us: i64,
    has_pod: bool,
    tally: Tally,
}

/// Services that are remembered, makers of Pods, and swaps.
const KEPT: usize = 8192;

impl ServiceSwapped {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(
        (meta, parameters): (&RuleMeta, &Parameters),
        vocabulary: &Vocabulary,
    ) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            by_hand: parameters.strings("by_hand")?,
            rollout_keys: parameters.strings("rollout_keys")?,
            window_us: parameters.duration_us("window")?,
            services: vocabulary.code("services"),
            known: HashMap::new(),
            pods: HashMap::new(),
            swaps: BTreeMap::new(),
        })
    }

    /// Forgets what ended before a time, and where Services lead that were not changed for a while.
    pub fn forget(&mut self, before: i64) {
        self.swaps.retain(|_, swap| swap.tally.last >= before);
        self.pods.retain(|_, ts| *ts >= before);
        for service in self.known.values_mut() {
            service.led = service.led.take().filter(|led| led.ts >= before);
        }
    }

    /// Takes in one request, in order of time.
    pub fn observe(&mut self, folded: &Folded<'_>, context: &Context<'_>) {
        let request = &folded.request;
        let resource = request.resource();
        if resource != self.services && resource != known::PODS
            || request.subresource() != NULL
            || !matches!(request.verb(), known::CREATE | known::UPDATE | known::PATCH)
            || !request.succeeded()
            || request.is_dry_run(context.vocabulary)
        {
            return;
        }
        if resource == self.services {
            self.note_service(folded, context);
        } else if request.verb() == known::CREATE && self.is_by_hand(request, context.vocabulary) {
            let key = (request.namespace(), request.username());
            if self.pods.len() < KEPT || self.pods.contains_key(&key) {
                self.pods.insert(key, request.ts);
            }
        }
    }

    fn is_by_hand(&self, request: &Request<'_>, vocabulary: &Vocabulary) -> bool {
        match request.identity_kind() {
            known::USER => true,
            known::SERVICE_ACCOUNT => begins(vocabulary.text(request.user_agent()), &self.by_hand),
            _ => false,
        }
    }

    fn note_service(&mut self, folded: &Folded<'_>, context: &Context<'_>) {
        let request = &folded.request;
        let vocabulary = context.vocabulary;
        let key = (request.namespace(), Box::from(request.name()));
        if self.known.len() >= KEPT && !self.known.contains_key(&key) {
            return;
        }
        let before = self.known.get(&key).map(|service| &service.selector);
        let Some(selector) = written(folded, before, vocabulary) else {
            return;
        };
        let by_hand = self.is_by_hand(request, vocabulary);
        let made = request.made();
        let service = self.known.entry(key.clone());
        let service = service.or_insert_with(|| Service {
            selector: Selector::new(),
            led: None,
        });
        let is_first = service.selector.is_empty() && service.led.is_none();
        if !is_first && service.selector == selector {
            return;
        }
        let from = (!is_first).then(|| service.selector.clone());
        service.selector.clone_from(&selector);
        let led = service.led.take();
        if !by_hand || made {
            return;
        }
        if let (Some(led), Some(away)) = (&led, &from)
            && led.by == request.username()
            && request.ts - led.ts <= self.window_us
            && led.from.as_ref().is_none_or(|from| *from == selector)
        {
            let made_pod = self.pods.get(&(request.namespace(), led.by));
            let has_pod = made_pod.is_some_and(|&ts| ts >= led.ts - HOUR_US && ts <= request.ts);
            let differs = differing(away, &selector, &self.rollout_keys);
            if differs.is_elsewhere || (differs.is_any && has_pod) {
                let mut tally = led.tally.clone();
                tally.add(request, context);
                let swap = Swap {
                    away: away.clone(),
                    back: selector,
                    is_known: led.from.is_some(),
                    lasted_us: request.ts - led.ts,
                    has_pod: has_pod && differs.is_elsewhere,
                    tally,
                };
                if self.swaps.len() < KEPT {
                    self.swaps.insert((key.0, key.1, led.by), swap);
                }
                return;
            }
        }
        service.led = Some(Led {
            from,
            by: request.username(),
            ts: request.ts,
            tally: Tally::new(request, context),
        });
    }

    /// Draws the findings: one for each Service and person.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let swaps = self.swaps.iter();
        let findings = swaps.map(|((namespace, name, by), swap)| {
            let [namespace, by] = [*namespace, *by].map(|code| vocabulary.text(code).to_owned());
            let group = vec![namespace.clone(), name.to_string(), by.clone()];
            let mut draft = Draft::new(&self.meta, group, &swap.tally);
            draft.summary = format!(
                "`{by}` led Service {namespace}/{name} to Pods with {} for {}, and then to those with {}",
                said(&swap.away),
                lasting(swap.lasted_us),
                said(&swap.back),
            );
            draft.why = vec![
                format!("selector for {} = {}", lasting(swap.lasted_us), said(&swap.away)),
                format!("selector afterwards = {}", said(&swap.back)),
            ];
            if swap.has_pod {
                draft.severity = Severity::High;
                draft.why.push(format!("`{by}` made a Pod in {namespace} by hand before"));
            }
            if !swap.is_known {
                draft.confidence = Confidence::Low;
                let why = "where the Service led before the first change is not in the log";
                draft.why.push(why.to_owned());
            }
            draft.finish(vocabulary)
        });
        findings.collect()
    }
}

/// How two selectors differ, but for what roll-outs change.
struct Differing {
    is_any: bool,
    /// The same label has another value, or no label is in both: they pick other Pods, and not fewer.
    is_elsewhere: bool,
}

fn differing(a: &Selector, b: &Selector, rollout_keys: &[String]) -> Differing {
    let is_of_rollout = |key: &str| rollout_keys.iter().any(|known| known == key);
    let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
    let mut differing = keys
        .filter(|key| a.get(*key) != b.get(*key) && !is_of_rollout(key))
        .peekable();
    let is_any = differing.peek().is_some();
    let is_other = differing.any(|key| a.contains_key(key) && b.contains_key(key));
    let is_disjoint = !a.keys().any(|key| b.contains_key(key));
    Differing {
        is_any,
        is_elsewhere: is_any && (is_other || is_disjoint),
    }
}

/// Returns the selector of a Service after a request; `None` if that did not touch it, or the log does not say.
fn written(
    folded: &Folded<'_>,
    before: Option<&Selector>,
    vocabulary: &Vocabulary,
) -> Option<Selector> {
    let [body, answer] = folded.bodies();
    let verb = vocabulary.text(folded.request.verb());
    let keys = Keys::all();
    let whole = view::object("update", "", answer, &keys);
    let (object, mut selector) = if whole.is_null() {
        let is_patch = verb == "patch";
        let selector = before.filter(|_| is_patch).cloned();
        (
            view::object(verb, body, "", &keys),
            selector.unwrap_or_default(),
        )
    } else {
        (whole, Selector::new())
    };
    let Json::Object(labels) = object.get("spec")?.get("selector")? else {
        return None;
    };
    for key in labels.keys() {
        match labels.get(key).and_then(Json::as_text) {
            Some(value) => selector.insert(key.into(), value.into()),
            None => selector.remove(key),
        };
    }
    Some(selector)
}

/// Writes a selector as kubectl does.
fn said(selector: &Selector) -> String {
    let labels = selector.iter().map(|(key, value)| format!("{key}={value}"));
    format!("`{}`", labels.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollouts_are_no_swaps() {
        let check = |a: &[(&str, &str)], b: &[(&str, &str)], expected: (bool, bool)| {
            let selector = |labels: &[(&str, &str)]| -> Selector {
                let labels = labels.iter();
                labels
                    .map(|&(key, value)| (key.into(), value.into()))
                    .collect()
            };
            let keys = ["version".to_owned()];
            let differing = differing(&selector(a), &selector(b), &keys);
            assert_eq!(
                (differing.is_any, differing.is_elsewhere),
                expected,
                "{a:?} {b:?}"
            );
        };
        let web = ("app", "web");
        check(&[web], &[("app", "other")], (true, true));
        check(&[web], &[("run", "other")], (true, true));
        check(&[web], &[web, ("debug", "yes")], (true, false));
        check(
            &[web, ("version", "1")],
            &[web, ("version", "2")],
            (false, false),
        );
        check(&[("version", "1")], &[("version", "2")], (false, false));
    }
}
