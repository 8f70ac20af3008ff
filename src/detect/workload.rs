//! Workloads: where they describe Pods, what the containers of these run, and the steps of pipelines, which become containers.

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

/// Where pipelines describe the steps that become containers, below `spec`: Tekton (tekton.dev/v1 `Task`, `TaskRun`, `Pipeline`,
/// `PipelineRun`) and Argo Workflows (argoproj.io/v1alpha1 `Workflow`, `WorkflowTemplate`, `CronWorkflow`).
pub(super) const STEPS: [&str; 18] = [
    "steps",
    "sidecars",
    "taskSpec.steps",
    "taskSpec.sidecars",
    "tasks.taskSpec.steps",
    "finally.taskSpec.steps",
    "pipelineSpec.tasks.taskSpec.steps",
    "pipelineSpec.finally.taskSpec.steps",
    "templates.container",
    "templates.script",
    "templates.initContainers",
    "templates.sidecars",
    "templates.containerSet.containers",
    "workflowSpec.templates.container",
    "workflowSpec.templates.script",
    "workflowSpec.templates.initContainers",
    "workflowSpec.templates.sidecars",
    "workflowSpec.templates.containerSet.containers",
];

/// Where a step has a script in place of a command: in Tekton, in Argo.
const SCRIPTS: [&str; 2] = ["script", "source"];

/// The key under which a container is given what it runs: its command with the arguments joined by blanks, its script by line,
/// and the command of every probe and hook.
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
    let steps = STEPS.iter().flat_map(|path| path.split('.'));
    for key in CONTAINERS
        .into_iter()
        .chain(SCRIPTS)
        .chain(steps)
        .chain(PROBES)
        .chain(HOOKS)
        .chain(commands)
    {
        keys.keep(key);
    }
}

/// Gives every container and every step in an object its [`COMMAND_LINE`].
pub(super) fn add_command_lines(object: &mut Json<'_>) {
    for path in POD_SPECS {
        let mut keys = path.split('.');
        if let Some(spec) = keys.try_fold(&mut *object, |place, key| place.get_mut(key)) {
            for list in CONTAINERS {
                each(spec, list, &mut add_command_line);
            }
        }
    }
    if let Some(spec) = object.get_mut("spec") {
        for path in STEPS {
            each(spec, path, &mut add_command_line);
        }
    }
}

/// Does something to all that lies where a path leads, through lists.
fn each<'a>(place: &mut Json<'a>, path: &str, does: &mut impl FnMut(&mut Json<'a>)) {
    if let Json::List(elements) = place {
        for element in elements {
            each(element, path, does);
        }
        return;
    }
    let (key, rest) = path.split_once('.').unwrap_or((path, ""));
    if key.is_empty() {
        does(place);
    } else if let Some(next) = place.get_mut(key) {
        each(next, rest, does);
    }
}

fn add_command_line(container: &mut Json<'_>) {
    let lines = command_lines(container);
    if let Json::Object(members) = container
        && !lines.is_empty()
    {
        let texts = lines.into_iter().map(|line| Json::Text(Cow::Owned(line)));
        *members.entry(COMMAND_LINE.into()) = Json::List(texts.collect());
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
    let lines = all.map(command_line);
    let scripts = SCRIPTS
        .iter()
        .filter_map(|key| container.get(key)?.as_text());
    lines
        .chain(scripts.flat_map(script_lines))
        .filter(|line| !line.is_empty())
        .collect()
}

/// Returns the commands of a script: its lines, of which a shell joins those that end in a backslash or a pipe.
///
/// A script of a pipeline is long, and what stands on other lines has nothing to do with a pipe. Comments are left out.
fn script_lines(script: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in script.lines().map(str::trim) {
        if line.starts_with('#') {
            continue;
        }
        let (text, is_cut) = match line.strip_suffix('\\') {
            Some(text) => (text.trim_end(), true),
            None => (line, line.ends_with('|')),
        };
        match commands.last_mut().filter(|_| is_open) {
            Some(command) => {
                command.push(' ');
                command.push_str(text);
            }
            None => commands.push(text.to_owned()),
        }
        is_open = is_cut;
    }
    commands
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
    fn steps_of_pipelines_have_their_commands_and_scripts() {
        let step = json!({
            "command": ["sh", "-c"],
            "args": ["make"],
            "script": "#!/bin/sh\n# wget\ncurl \\\n  http://a |\n  sh\n\nmake | tee log\n",
        });
        let mut with_lines = step.clone();
        with_lines["command_line"] = json!(["sh -c make", "curl http://a | sh", "make | tee log"]);
        for path in STEPS {
            let within = |step: &Value| {
                let lists = [
                    "steps",
                    "tasks",
                    "finally",
                    "templates",
                    "sidecars",
                    "containers",
                ];
                let inner = path.rsplit('.').fold(step.clone(), |inner, key| {
                    let is_list = lists.contains(&key) || key == "initContainers";
                    json!({key: if is_list { json!([inner, {"name": "x"}]) } else { inner }})
                });
                json!({"spec": inner})
            };
            check(&within(&step), &within(&with_lines));
        }
        let source = json!({"command": ["python"], "source": "import os"});
        let mut with_lines = source.clone();
        with_lines["command_line"] = json!(["python", "import os"]);
        let within = |script: &Value| json!({"spec": {"templates": [{"script": script}]}});
        check(&within(&source), &within(&with_lines));
    }

    #[test]
    fn what_has_another_shape_is_left_as_it_is() {
        for object in [
            json!(null),
            json!({"spec": [{"containers": []}]}),
            json!({"spec": {"containers": "x", "steps": 7, "templates": [[null, {"script": []}]]}}),
            json!({"spec": {"containers": [{"command": "x", "args": {"a": 1}, "lifecycle": 7}, ["x"]]}}),
            json!({"spec": {"containers": [{"command": [1, null, {}]}]}}),
        ] {
            check(&object, &object);
        }
    }
}
