//! Next steps with the words of the finding in place of placeholders.
//!
//! Rules write `kubectl -n NAMESPACE delete pod NAME`; a finding about one object knows which, and whoever is woken by it
//! should not have to look it up. `NAMESPACE`, `RESOURCE` or `KIND`, and `NAME` are of the object, `USERNAME` is who acted;
//! any other word in capitals is for a person to replace.
//!
//! Promised: a value stands there only if there is one, if it is what the step asks for, and if it is written in letters that
//! mean nothing to a shell. Clients choose names, also of objects that do not exist, so one that is no name of Kubernetes
//! leaves the placeholder. A step that names another kind of object than the finding stays as it is.

use std::borrow::Cow;

use super::{Actor, Target};

/// Longest value, as of names in Kubernetes.
const MAX_BYTES: usize = 253;

/// Kinds by the words that kubectl knows them by, where the plural is another.
const SHORT: [(&str, &str); 5] = [
    ("ns", "namespaces"),
    ("csr", "certificatesigningrequests"),
    ("pv", "persistentvolumes"),
    ("crd", "customresourcedefinitions"),
    ("scc", "securitycontextconstraints"),
];

/// Returns `steps` with what is known of `target` and `actor` in them.
///
/// Where nothing came of it, a step that deletes the object is one to see that nothing did.
pub fn filled(steps: &[String], target: &Target, actor: &Actor, effect: Effect) -> Vec<String> {
    let values = Values::of(target, actor);
    let mut out: Vec<String> = Vec::with_capacity(steps.len());
    for step in steps {
        let verified = values.verified(step, effect);
        let is_verified = verified.is_some();
        let filled = verified.or_else(|| values.fill(step));
        let filled = filled.unwrap_or_else(|| step.clone());
        if !(is_verified && out.contains(&filled)) {
            out.push(filled);
        }
    }
    out
}

/// What came of the requests behind a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Something, as far as the log shows.
    Some,
    /// An object was to be made and was not.
    NotMade,
    /// An object was to be made or changed and was not.
    NotChanged,
}

impl Effect {
    /// Returns what is to be seen to in place of a deletion.
    const fn to_verify(self) -> Option<&'static str> {
        match self {
            Self::Some => None,
            Self::NotMade => {
                Some("Nothing was made: see that it is not there, or was there before")
            }
            Self::NotChanged => Some("Nothing was changed: see that it is as it should be"),
        }
    }
}

/// Resources that lie in no namespace, of which rules speak that speak of others as well.
const OF_CLUSTER: [&str; 5] = [
    "clusterroles",
    "clusterrolebindings",
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "certificatesigningrequests",
];

/// What may stand in a command.
struct Values<'a> {
    resource: Option<&'a str>,
    namespace: Option<&'a str>,
    name: Option<&'a str>,
    username: Option<&'a str>,
}

impl<'a> Values<'a> {
    fn of(target: &'a Target, actor: &'a Actor) -> Self {
        let safe = |text: &'a Option<String>, more: &str| {
            let text = text.as_deref();
            text.filter(|text| is_safe(text, more))
        };
        let resource = safe(&target.resource, ".-");
        let name = safe(&target.name, ".-:_");
        let namespace = match resource {
            // The object is one.
            Some("namespaces") => name,
            _ => safe(&target.namespace, "-"),
        };
        Self {
            resource,
            namespace,
            name,
            username: safe(&actor.username, ".-:_@"),
        }
    }

    /// Returns `step` with the values in it; `None` if it is about something else.
    fn fill(&self, step: &str) -> Option<String> {
        let of_cluster = self.resource.filter(|it| OF_CLUSTER.contains(it));
        let step = &*match of_cluster {
            Some(_) => Cow::Owned(step.replace(" -n NAMESPACE", "")),
            None => Cow::Borrowed(step),
        };
        let mut out = String::with_capacity(step.len());
        let mut rest = step;
        while let Some(from) = rest.find(is_word) {
            let length = rest[from..].find(|c| !is_word(c));
            let to = length.map_or(rest.len(), |length| from + length);
            let word = &rest[from..to];
            out.push_str(&rest[..from]);
            let before = &step[..step.len() - rest.len() + from];
            rest = &rest[to..];
            let value = match word {
                "NAMESPACE" => self.namespace,
                "RESOURCE" | "KIND" => self.resource,
                "USERNAME" => self.username,
                // A heading of custom columns.
                "NAME" if rest.starts_with(":.") => None,
                "NAME" if self.is_asked_for(before) => self.name,
                "NAME" => return None,
                _ => None,
            };
            out.push_str(value.unwrap_or(word));
        }
        out.push_str(rest);
        Some(out)
    }

    /// Returns the step in place of one that deletes the object, where nothing came of the requests; `None` if it is no
    /// such step.
    fn verified(&self, step: &str, effect: Effect) -> Option<String> {
        let to_verify = effect.to_verify()?;
        let from = step.find("kubectl ").or_else(|| step.find("oc "))?;
        let end = step[from..].find([')', ';', ',']);
        let command = &step[from..end.map_or(step.len(), |end| from + end)];
        let (before, object) = command.split_once(" delete ")?;
        if !object.split(is_no_word).any(|word| word == "NAME") {
            return None; // It is about something else.
        }
        let mut words = object.split(' ').filter(|word| !word.starts_with('-'));
        let object = [words.next()?, words.next()?].join(" ");
        let command = self.fill(&format!("{before} get {object} -o yaml"))?;
        Some(format!("{to_verify}: {command}"))
    }

    /// Returns whether `NAME` behind `before` is the object.
    fn is_asked_for(&self, before: &str) -> bool {
        let is = |resource: &str| self.resource == Some(resource);
        let last = before.rsplit(' ').next().unwrap_or_default();
        if !last.is_empty() {
            return match last {
                "RESOURCE/" => self.resource.is_some(),
                "--as=system:serviceaccount:NAMESPACE:" => is("serviceaccounts"),
                // It has the name of its Service.
                "kubernetes.io/service-name=" => is("endpoints"),
                _ => false,
            };
        }
        match before.trim_end().rsplit(' ').next().unwrap_or_default() {
            "RESOURCE" | "KIND" => self.resource.is_some(),
            "grep" => true,
            "-n" => is("namespaces"),
            kinds => kinds.split(',').any(|kind| self.is_of(kind)),
        }
    }

    /// Returns whether the object is of `kind`, in the singular or the plural.
    fn is_of(&self, kind: &str) -> bool {
        let Some(resource) = self.resource else {
            return false;
        };
        let short = SHORT.iter().find(|(short, _)| *short == kind);
        if let Some((_, plural)) = short {
            return *plural == resource;
        }
        let stem = resource.strip_prefix(kind);
        matches!(stem, Some("" | "s" | "es"))
            || (kind.strip_suffix('y'))
                .is_some_and(|stem| resource.strip_prefix(stem) == Some("ies"))
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_no_word(c: char) -> bool {
    !is_word(c)
}

/// Returns whether `text` begins with a letter or digit, so that it is no option, and has such and `more` only.
fn is_safe(text: &str, more: &str) -> bool {
    text.len() <= MAX_BYTES
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && (text.chars()).all(|c| c.is_ascii_alphanumeric() || more.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<String> {
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Fills a step for the object `[resource, namespace, name]`.
    #[track_caller]
    fn check(step: &str, [resource, namespace, name]: [&str; 3], expected: &str) {
        let target = Target {
            resource: text(resource),
            subresource: None,
            namespace: text(namespace),
            name: text(name),
        };
        let actor = Actor {
            username: text("system:serviceaccount:ci:builder"),
            ..Actor::default()
        };
        let filled = |effect| filled(&[step.to_owned()], &target, &actor, effect);
        assert_eq!(filled(Effect::Some), [expected]);
    }

    /// Fills steps for a Pod that was not made or not changed.
    #[track_caller]
    fn check_idle(steps: &[&str], effect: Effect, expected: &[&str]) {
        let [resource, namespace, name] = POD.map(text);
        let target = Target {
            resource,
            subresource: None,
            namespace,
            name,
        };
        let steps: Vec<String> = steps.iter().map(|&step| step.to_owned()).collect();
        assert_eq!(filled(&steps, &target, &Actor::default(), effect), expected);
    }

    #[test]
    fn what_was_not_made_is_not_deleted() {
        let steps = [
            "Delete the workload, not only its Pods: kubectl -n NAMESPACE delete RESOURCE NAME",
            "Ask the actor (kubectl -n NAMESPACE delete pod NAME), then go on",
            "kubectl -n NAMESPACE delete pod NAME; kubectl -n kube-system delete serviceaccount ACCOUNT (it comes back)",
            "kubectl -n ITS_NAMESPACE delete pod POD",
            "Delete the token's Secret: kubectl -n NAMESPACE delete secret NAME",
            "Delete it by hand, if NAME is there",
            "kubectl -n NAMESPACE get pod NAME",
        ];
        let not_made =
            "Nothing was made: see that it is not there, or was there before: kubectl -n prod get";
        let not_changed =
            "Nothing was changed: see that it is as it should be: kubectl -n prod get";
        let [pods, pod] = ["pods web-1 -o yaml", "pod web-1 -o yaml"];
        for (effect, to_verify) in [
            (Effect::NotMade, not_made),
            (Effect::NotChanged, not_changed),
        ] {
            let expected = [
                &format!("{to_verify} {pods}"),
                &format!("{to_verify} {pod}"),
                steps[3],
                steps[4],
                steps[5],
                "kubectl -n prod get pod web-1",
            ];
            check_idle(&steps, effect, &expected);
        }
    }

    const POD: [&str; 3] = ["pods", "prod", "web-1"];

    #[test]
    fn what_is_known_stands_in_the_command() {
        check(
            "Delete it (kubectl -n NAMESPACE delete pod NAME), if nobody knows it",
            POD,
            "Delete it (kubectl -n prod delete pod web-1), if nobody knows it",
        );
        check(
            "kubectl -n NAMESPACE get RESOURCE NAME -o yaml",
            POD,
            "kubectl -n prod get pods web-1 -o yaml",
        );
        check(
            "kubectl -n NAMESPACE rollout undo RESOURCE/NAME",
            POD,
            "kubectl -n prod rollout undo pods/web-1",
        );
        check(
            "kubectl -n NAMESPACE get KIND NAME | grep image:",
            POD,
            "kubectl -n prod get pods web-1 | grep image:",
        );
        check(
            "kubectl auth can-i --list --as=USERNAME -n NAMESPACE",
            POD,
            "kubectl auth can-i --list --as=system:serviceaccount:ci:builder -n prod",
        );
        check(
            "kubectl get clusterrole,clusterrolebinding NAME -o yaml",
            ["clusterroles", "", "system:node"],
            "kubectl get clusterrole,clusterrolebinding system:node -o yaml",
        );
        check(
            "kubectl -n NAMESPACE get networkpolicy NAME",
            ["networkpolicies", "a", "b"],
            "kubectl -n a get networkpolicy b",
        );
        check(
            "oc get group NAME; oc get rolebindings | grep NAME",
            ["groups", "", "g"],
            "oc get group g; oc get rolebindings | grep g",
        );
        check(
            "kubectl label ns NAMESPACE x=y; kubectl -n NAME get all",
            ["namespaces", "", "n"],
            "kubectl label ns n x=y; kubectl -n n get all",
        );
        check(
            "kubectl -n NAMESPACE get RESOURCE NAME -o yaml",
            ["clusterroles", "", "admin2"],
            "kubectl get clusterroles admin2 -o yaml",
        );
        check(
            "--as=system:serviceaccount:NAMESPACE:NAME",
            ["serviceaccounts", "kube-system", "x"],
            "--as=system:serviceaccount:kube-system:x",
        );
    }

    #[test]
    fn what_is_not_known_stays_a_placeholder() {
        check(
            "kubectl -n NAMESPACE get pod NAME",
            ["pods", "prod", ""],
            "kubectl -n prod get pod NAME",
        );
        check(
            "kubectl -n NAMESPACE get KIND NAME",
            ["", "prod", "x"],
            "kubectl -n NAMESPACE get KIND NAME",
        );
        for step in [
            "kubectl get node NODE; kubectl -n ITS_NAMESPACE delete pod POD",
            "kubectl get pods -A -o custom-columns=NS:.metadata.namespace,NAME:.metadata.name",
            "Look at the RENAMED object",
        ] {
            check(step, POD, step);
        }
    }

    #[test]
    fn a_step_about_another_kind_of_object_stays_as_it_is() {
        for step in [
            "kubectl get node NAME -o wide",
            "kubectl -n NAMESPACE delete secret NAME",
            "kubectl -n NAMESPACE get endpointslices -l kubernetes.io/service-name=NAME",
            "oc adm policy add-scc-to-user NAME -n NAMESPACE",
        ] {
            check(step, POD, step);
        }
        check(
            "kubectl -n NAMESPACE delete pod NAME",
            ["", "prod", "x"],
            "kubectl -n NAMESPACE delete pod NAME",
        );
    }

    #[test]
    fn names_that_are_none_are_left_out() {
        for name in [
            "x;reboot",
            "$(reboot)",
            "`reboot`",
            "-A",
            "--all",
            "x y",
            "x\ny",
            "../x",
            "x*",
            "~root",
            "x'",
            "ü",
            "",
        ] {
            check(
                "kubectl -n NAMESPACE delete pod NAME",
                ["pods", name, name],
                "kubectl -n NAMESPACE delete pod NAME",
            );
        }
        let long = "x".repeat(MAX_BYTES + 1);
        check(
            "kubectl delete pod NAME",
            ["pods", "", &long],
            "kubectl delete pod NAME",
        );
    }
}
