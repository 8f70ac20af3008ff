//! Named lists: harmless doings of known identities, and values for the modifier `expand`.
//!
//! An entry says who, on what and how, never who alone: an identity that is stolen would be free of any rule.

use std::collections::BTreeMap;

use rsigma_parser::{Detection, DetectionItem};
use serde::Deserialize;
use yaml_serde::{Mapping, Value};

use super::{RuleError, sigma};

/// One list.
#[derive(Debug, Clone)]
pub struct List {
    /// Short kebab-case name, unique.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Why it is harmless; empty if the file does not say.
    pub description: String,
    /// Distributions on which the list holds; empty is all.
    pub profiles: Vec<String>,
    /// What is excluded.
    pub entries: Vec<Entry>,
    /// Values by the name of the placeholder that stands for them.
    pub placeholders: BTreeMap<String, Vec<String>>,
    /// Whether it is part of the program, whose tests have shown it to be right.
    pub is_built_in: bool,
    /// The file, below `queries` or as given.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// One harmless thing.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Why it is harmless.
    pub because: String,
    /// What it looks like.
    pub detection: Detection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "id")]
    _id: Option<String>,
    name: String,
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    profiles: Vec<String>,
    #[serde(default)]
    entries: Vec<Mapping>,
    #[serde(default)]
    placeholders: BTreeMap<String, Vec<String>>,
}

/// The distributions that lists may be for.
pub const PROFILES: [&str; 7] = ["kubeadm", "EKS", "AKS", "GKE", "OpenShift", "k3s", "RKE2"];

/// Returns the list of one file.
///
/// # Errors
/// When the file is not YAML, lacks a key, has one that is not known, or has an entry that does not say who, on
/// what and how.
pub fn parse(path: &str, text: &str) -> Result<List, Vec<RuleError>> {
    let file: File =
        yaml_serde::from_str(text).map_err(|error| vec![RuleError::of_yaml(path, &error)])?;
    let mut errors = Vec::new();
    for profile in &file.profiles {
        if !PROFILES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(profile))
        {
            let what = format!("unknown profile `{profile}`");
            let hint = format!("one of {}", PROFILES.join(", "));
            errors.push(RuleError::at(path, text, profile, what).hint(hint));
        }
    }
    let mut selections = Vec::new();
    for mut mapping in file.entries {
        let because = mapping.remove(Value::from("because"));
        if let Some(because) = because.and_then(|because| because.as_str().map(str::to_owned)) {
            selections.push((because, mapping));
        } else {
            let what = "an entry does not say why it is harmless: `because` is missing";
            errors.push(RuleError::at(path, text, "entries:", what));
        }
    }
    let mut entries = Vec::new();
    for entry in parse_entries(selections) {
        let checked = entry.map_err(|(because, what)| {
            let what = format!("entry `{because}`: {what}");
            RuleError::at(path, text, &because, what)
        });
        match checked.and_then(|entry| check(path, text, entry)) {
            Ok(entry) => entries.push(entry),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(List {
        name: file.name,
        title: file.title,
        description: file.description,
        profiles: file.profiles,
        entries,
        placeholders: file.placeholders,
        is_built_in: false,
        path: path.to_owned(),
        text: text.to_owned(),
    })
}

/// Parses entries, or says of each that is wrong what is wrong.
fn parse_entries(selections: Vec<(String, Mapping)>) -> Vec<Result<Entry, (String, String)>> {
    let (reasons, selections): (Vec<_>, Vec<_>) = selections.into_iter().unzip();
    if selections.is_empty() {
        return Vec::new();
    }
    // All at once, which is cheaper; the parser does not say which one is wrong, so then each by itself.
    let detections: Vec<_> = match sigma::detections(&selections) {
        Ok(detections) => detections.into_iter().map(Ok).collect(),
        Err(_) => selections
            .iter()
            .map(|one| Ok(sigma::detections(std::slice::from_ref(one))?.remove(0)))
            .collect(),
    };
    let entries = reasons.into_iter().zip(detections);
    let entries = entries.map(|(because, detection)| match detection {
        Ok(detection) => Ok(Entry { because, detection }),
        Err(what) => Err((because, what)),
    });
    entries.collect()
}

/// Returns an entry that says who, on what and how.
fn check(path: &str, text: &str, entry: Entry) -> Result<Entry, RuleError> {
    let Entry { because, detection } = &entry;
    let mut names = Vec::new();
    fields(detection, &mut names);
    let has = |prefixes: &[&str]| {
        names
            .iter()
            .any(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
    };
    let parts = [
        ("who", has(WHO), "user.username"),
        ("on what", has(WHAT), "objectRef.resource"),
        ("how", has(&["verb"]), "verb"),
    ];
    for (part, is_there, example) in parts {
        if !is_there {
            let what = format!("entry `{because}` does not say {part}");
            let hint = format!("add a test such as `{example}`; an identity alone is no exclusion");
            return Err(RuleError::at(path, text, because, what).hint(hint));
        }
    }
    Ok(entry)
}

/// How fields begin that say who.
const WHO: &[&str] = &[
    "user.",
    "username",
    "user_",
    "impersonatedUser",
    "imp_",
    "actor",
    "identity_kind",
    "credential",
];

/// How fields begin that say on what.
const WHAT: &[&str] = &[
    "objectRef",
    "resource",
    "name",
    "requestURI",
    "request_uri",
    "object.",
    "requestObject",
    "responseObject",
    "pod.spec",
    "containers",
    "steps",
    "hostPath",
    "capabilities",
    "exec.",
    "binding.",
    "csr.",
];

/// Gathers the names of the fields that a detection tests.
pub(crate) fn fields(detection: &Detection, names: &mut Vec<String>) {
    let mut items = |items: &[DetectionItem]| {
        names.extend(items.iter().filter_map(|item| item.field.name.clone()));
    };
    match detection {
        Detection::AllOf(all) => items(all),
        Detection::AnyOf(parts) | Detection::And(parts) => {
            for part in parts {
                fields(part, names);
            }
        }
        Detection::ArrayMatch { field, .. } => names.push(field.clone()),
        Detection::Conditional { named, .. } => {
            for part in named.values() {
                fields(part, names);
            }
        }
        Detection::Keywords(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "
name: kubelet-secrets
title: Pods' credentials handled by kubelets
profiles: [eks]
entries:
  - because: a kubelet reads the Secrets that its Pods mount
    user.username|startswith: 'system:node:'
    verb: [get, list, watch]
    objectRef.resource: secrets
";

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        let errors = parse("lists/a.yml", text).unwrap_err();
        let text = errors[0].to_string();
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn an_entry_says_who_on_what_and_how() {
        let list = parse("lists/a.yml", LIST).unwrap();
        assert_eq!(list.entries.len(), 1);
        let without = |key: &str| {
            let lines = LIST.lines().filter(|line| !line.contains(key));
            lines.collect::<Vec<_>>().join("\n")
        };
        check_error(
            &without("user.username"),
            "does not say who (`lists/a.yml`, line 6)",
        );
        check_error(&without("objectRef"), "does not say on what");
        check_error(&without("verb"), "does not say how");
        check_error(
            &LIST.replace("because: a", "becaus: a"),
            "`because` is missing",
        );
        check_error(&LIST.replace("[eks]", "[ESK]"), "unknown profile `ESK`");
        check_error(&LIST.replace("startswith", "starts"), "starts");
    }

    #[test]
    fn of_several_entries_the_wrong_one_is_named() {
        let second = "  - because: nobody knows\n    user.username: a\n    verb|nonsense: get\n    objectRef.resource: pods\n";
        let errors = parse("lists/a.yml", &format!("{LIST}{second}")).unwrap_err();
        let [error] = &errors[..] else {
            panic!("{errors:?}");
        };
        let text = error.to_string();
        assert!(
            text.contains("`nobody knows`") && text.contains("line 10"),
            "{text}"
        );
    }
}
