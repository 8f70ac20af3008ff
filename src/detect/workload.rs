//! Workloads: where they describe Pods, and what the containers of these run.

use std::borrow::Cow;

use super::json::{Json, Keys};
use super::path::Path;

/// Where Pods are described: in a Pod, in what makes Pods, in a `CronJob`.
pub(super) const POD_SPECS: [&str; 3] = [
    "spec",
    "spec.template.spec",
    "spec.jobTemplate.spec.template.spec",
];

/// The lists of containers of a Pod.
pub(super) const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// The key under which a container is given what it runs: its command with the arguments joined by blanks, and that of every
/// probe and hook.
///
/// `sh -c` with its script in the arguments, and `curl` with an option in each element, are one line so, as the kernel has it.
pub(super) const COMMAND_LINE: &str = "command_line";

/// A text without which no body has containers: the end of each name of such a list.
pub(super) const CONTAINERS_MARK: &str = "ontainers";

/// Where else than in its own command a container names one (core/v1 `Container`): probes, and hooks below `lifecycle`.
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
const HOOKS: [&str; 2] = ["postStart", "preStop"];

/// Returns whether a path may lead to a [`COMMAND_LINE`].
pub(super) fn is_command_line(path: &Path) -> bool {
    path.last_key() == Some(COMMAND_LINE)
}

/// Returns whether a path surely leads to the [`COMMAND_LINE`] of a container.
pub(super) fn is_of_container(path: &Path) -> bool {
    let keys = path.joined();
    let place = keys
        .as_deref()
        .and_then(|keys| keys.strip_suffix(COMMAND_LINE));
    place.is_some_and(|place| {
        CONTAINERS
            .iter()
            .any(|list| place.ends_with(&format!(".{list}.")))
    })
}

/// Keeps the keys that lead to where Pods are described.
pub(super) fn keep_specs(keys: &mut Keys) {
    for key in POD_SPECS.iter().flat_map(|path| path.split('.')) {
        keys.keep(key);
    }
}

/// Returns the descriptions of Pods in an object.
pub(super) fn specs<'j, 'a>(object: &'j Json<'a>) -> impl Iterator<Item = &'j Json<'a>> {
    POD_SPECS.iter().filter_map(move |path| {
        let mut keys = path.split('.');
        keys.try_fold(object, |place, key| place.get(key))
    })
}

/// Keeps the keys that lead to what containers run.
pub(super) fn keep(keys: &mut Keys) {
    keep_specs(keys);
    let commands = ["command", "args", "exec", "lifecycle"];
    for key in CONTAINERS
        .into_iter()
        .chain(PROBES)
        .chain(HOOKS)
        .chain(commands)
    {
        keys.keep(key);
    }
}

/// Gives every container in an object its [`COMMAND_LINE`].
pub(super) fn add_command_lines(object: &mut Json<'_>) {
    for path in POD_SPECS {
        let mut keys = path.split('.');
        let Some(spec) = keys.try_fold(&mut *object, |place, key| place.get_mut(key)) else {
            continue;
        };
        for list in CONTAINERS {
            let Some(Json::List(containers)) = spec.get_mut(list) else {
                continue;
            };
            for container in containers {
                let lines = command_lines(container);
                if let Json::Object(members) = container
                    && !lines.is_empty()
                {
                    let texts = lines.into_iter().map(|line| Json::Text(Cow::Owned(line)));
                    *members.entry(COMMAND_LINE.into()) = Json::List(texts.collect());
                }
            }
        }
    }
}

fn command_lines(container: &Json<'_>) -> Vec<String> {
    let hooks = container.get("lifecycle");
    let hooks = HOOKS.iter().filter_map(|hook| hooks?.get(hook));
    let probes = PROBES.iter().filter_map(|probe| container.get(probe));
    let handlers = probes
        .chain(hooks)
        .filter_map(|handler| handler.get("exec"));
    let all = [container].into_iter().chain(handlers);
    all.map(command_line)
        .filter(|line| !line.is_empty())
        .collect()
}

fn command_line(place: &Json<'_>) -> String {
    let words = |key| place.get(key).and_then(Json::as_list).unwrap_or_default();
    let words = words("command").iter().chain(words("args"));
    words
        .filter_map(Json::as_text)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(object: &Value, expected: &Value) {
        let (object, expected) = (object.to_string(), expected.to_string());
        let mut object = Json::parse(&object, &Keys::all());
        add_command_lines(&mut object);
        assert_eq!(object, Json::parse(&expected, &Keys::all()));
    }

    #[test]
    fn words_of_a_command_are_one_line_wherever_they_stand() {
        let container = json!({
            "command": ["sh", "-c"],
            "args": ["curl http://a | sh"],
            "livenessProbe": {"exec": {"command": ["cat", "/ready"]}, "periodSeconds": 5},
            "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}, "postStart": {"httpGet": {}}},
        });
        let mut with_lines = container.clone();
        with_lines["command_line"] = json!(["sh -c curl http://a | sh", "cat /ready", "sleep 5"]);
        for path in POD_SPECS {
            for list in CONTAINERS {
                let within = |container: &Value| {
                    let spec = json!({list: [container, {"image": "x"}, null]});
                    path.rsplit('.')
                        .fold(spec, |inner, key| json!({key: inner}))
                };
                check(&within(&container), &within(&with_lines));
            }
        }
    }

    #[test]
    fn what_has_another_shape_is_left_as_it_is() {
        for object in [
            json!(null),
            json!({"spec": [{"containers": []}]}),
            json!({"spec": {"containers": {"command": ["x"]}}}),
            json!({"spec": {"containers": [{"command": "x", "args": {"a": 1}, "lifecycle": 7}, ["x"]]}}),
            json!({"spec": {"containers": [{"command": [1, null, {}]}]}}),
        ] {
            check(&object, &object);
        }
    }
}
