//! JSON patches (RFC 6902) to the object that they write.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::detect::json::{Json, Keys, Members};

/// Operations of a patch that are followed: the API server takes no more (kubernetes/apiserver
/// `pkg/endpoints/handlers/patch.go`, `maxJSONPatchOperations`).
const OPERATIONS: usize = 10_000;

/// Keys of one path that are followed: objects of Kubernetes are not as deep.
const DEPTH: usize = 64;

/// Where a role has its rules.
const RULES: &str = "rules";

/// Elements of a list that a patch may number; what lies beyond is put at the end.
const PATCHED_LIST: usize = 256;

/// Returns the object that the operations of a JSON patch (RFC 6902) write into nothing.
///
/// What is removed becomes null, as a merge patch says it. `move` and `copy` take what the patch itself wrote; of
/// what was there before they name no value, which the `answer` has, if it is logged. So has it the whole of a role's rule
/// of which a part was written: a rule gives what its verbs and resources do together.
pub(super) fn patched<'a>(operations: &[Json<'a>], answer: &Json<'a>, kept: &Keys) -> Json<'a> {
    let mut object = Json::Null;
    let mut rules = BTreeSet::new();
    for operation in operations.iter().take(OPERATIONS) {
        let text = |key: &str| operation.get(key).and_then(Json::as_text);
        let path = |key: &str| Some(pointer(text(key)?)).filter(|keys| keys.len() <= DEPTH);
        let (Some(kind), Some(keys)) = (text("op"), path("path")) else {
            continue;
        };
        let value = match kind {
            "add" | "replace" => operation.get("value").cloned().unwrap_or_default(),
            "remove" => Json::Null,
            "move" | "copy" => {
                let from = path("from");
                let written = from.as_ref().and_then(|keys| {
                    let written = at(&object, keys, |key, _| position(key));
                    written.cloned()
                });
                if let ("move", Some(from)) = (kind, &from) {
                    set(&mut object, from, Json::Null, false);
                }
                written
                    .or_else(|| at(answer, &keys, counted).cloned())
                    .unwrap_or_default()
            }
            _ => continue,
        };
        let is_followed = |key: &&String| kept.keeps(key) || position(key).is_some();
        match &keys[..keys.iter().take_while(is_followed).count()] {
            all if all.len() == keys.len() => set(&mut object, all, value, kind != "replace"),
            [] => {}
            // Under a key that nobody asks for: what it is put into is an object, whatever else it has.
            begun
                if kind != "remove"
                    && at(&object, begun, |key, _| position(key)).is_none_or(Json::is_null) =>
            {
                set(&mut object, begun, Json::Object(Members::default()), false);
            }
            _ => {}
        }
        if let [list, rule, _, ..] = &keys[..]
            && list == RULES
        {
            rules.insert(rule.clone());
        }
    }
    let known = answer.get(RULES).and_then(Json::as_list).unwrap_or(&[]);
    let rules: BTreeSet<usize> = (rules.iter())
        .filter_map(|rule| counted(rule, known.len()))
        .collect();
    for rule in rules.into_iter().filter_map(|at| known.get(at)) {
        let end = [RULES, "-"].map(str::to_owned);
        set(&mut object, &end, rule.clone(), true);
    }
    trim(&mut object);
    object
}

/// Returns the keys of a JSON pointer (RFC 6901).
fn pointer(path: &str) -> Vec<String> {
    let keys = path.split('/').skip(1).take(DEPTH + 1);
    keys.map(|key| key.replace("~1", "/").replace("~0", "~"))
        .collect()
}

/// Returns the place in a list of the patch that a key may mean.
///
/// The API server counts numbers below zero from the end (evanphx/json-patch, `SupportNegativeIndices`), of which a patch does
/// not tell where it is: they have the last places.
fn position(key: &str) -> Option<usize> {
    match key {
        "-" => Some(usize::MAX),
        key => counted(key, PATCHED_LIST),
    }
}

/// Returns the place in a list of so many elements that a key means.
fn counted(key: &str, length: usize) -> Option<usize> {
    match key.strip_prefix('-') {
        Some(behind) => Some(
            length
                .checked_sub(behind.parse().ok()?)
                .unwrap_or(usize::MAX),
        ),
        None => key.parse().ok(),
    }
}

/// Returns what stands where `keys` lead; `place` says where in a list of so many elements.
fn at<'j, 'a>(
    object: &'j Json<'a>,
    keys: &[String],
    place: impl Fn(&str, usize) -> Option<usize>,
) -> Option<&'j Json<'a>> {
    let mut keys = keys.iter();
    keys.try_fold(object, |value, key| match value {
        Json::List(elements) => elements.get(place(key, elements.len())?),
        value => value.get(key),
    })
}

/// Puts `value` where `keys` lead, making what is missing on the way; into a list it is inserted if that is asked
/// for and something stands there.
fn set<'a>(place: &mut Json<'a>, keys: &[String], value: Json<'a>, is_inserted: bool) {
    let Some((key, rest)) = keys.split_first() else {
        *place = value;
        return;
    };
    if let (Some(position), Json::Null | Json::List(_)) = (position(key), &place) {
        if place.is_null() {
            *place = Json::List(Vec::new());
        }
        let Json::List(elements) = place else {
            return;
        };
        let position = if position < PATCHED_LIST {
            position
        } else {
            elements.len()
        };
        let is_there = elements
            .get(position)
            .is_some_and(|element| !element.is_null());
        if rest.is_empty() && is_inserted && is_there && !value.is_null() {
            elements.insert(position, value);
            return;
        }
        if elements.len() <= position {
            elements.resize(position + 1, Json::Null);
        }
        set(&mut elements[position], rest, value, is_inserted);
        return;
    }
    if !matches!(place, Json::Object(_)) {
        *place = Json::Object(Members::default());
    }
    if let Json::Object(members) = place {
        let member = members.entry(Cow::Owned(key.clone()));
        set(member, rest, value, is_inserted);
    }
}

/// Takes the elements out of lists that no operation filled.
fn trim(value: &mut Json<'_>) {
    match value {
        Json::List(elements) => {
            elements.retain(|element| !element.is_null());
            elements.iter_mut().for_each(trim);
        }
        Json::Object(members) => members.values_mut().for_each(trim),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::detect::json::Json;
    use crate::detect::view::object::tests::check;
    use crate::detect::view::{keys, object};

    #[test]
    fn json_patches_become_objects() {
        let patch = json!([
            {"op": "test", "path": "/spec/x", "value": 1},
            {"op": "add", "path": "/spec/template/spec/containers/1/securityContext", "value": {"privileged": true}},
            {"op": "replace", "path": "/spec/template/spec/containers/1/image", "value": "x"},
            {"op": "add", "path": "/subjects/-", "value": {"kind": "User", "name": "eve"}},
            {"op": "remove", "path": "/metadata/labels/a~1b~0c"},
            {"op": "add", "path": "/data/7", "value": "seven"},
        ]);
        let expected = json!({
            "spec": {"template": {"spec": {"containers": [{"securityContext": {"privileged": true}, "image": "x"}]}}},
            "subjects": [{"kind": "User", "name": "eve"}],
            "metadata": {"labels": {"a/b~c": null}},
            "data": ["seven"],
        });
        check("patch", &patch, &Value::Null, &expected);
        let far = json!([{"op": "add", "path": "/a/999999999", "value": 1}]);
        check("patch", &far, &Value::Null, &json!({"a": [1]}));
        let from_the_end = json!([
            {"op": "add", "path": "/a/-1/x", "value": 1},
            {"op": "add", "path": "/a/-2/x", "value": 2},
            {"op": "add", "path": "/a/-1/y", "value": 3},
            {"op": "add", "path": "/a/-300/x", "value": 4},
        ]);
        let both = json!({"a": [{"x": 2}, {"x": 1, "y": 3}, {"x": 4}]});
        check("patch", &from_the_end, &Value::Null, &both);
        check(
            "patch",
            &json!([{"op": "add", "path": "", "value": {"a": 1}}, 7]),
            &Value::Null,
            &json!({"a": 1}),
        );
    }

    #[test]
    fn operations_of_a_patch_hide_none_before_them() {
        let twice = json!([
            {"op": "add", "path": "/spec/containers/0", "value": {"name": "bad"}},
            {"op": "add", "path": "/spec/containers/0", "value": {"name": "good"}},
        ]);
        let both = json!({"spec": {"containers": [{"name": "good"}, {"name": "bad"}]}});
        check("patch", &twice, &Value::Null, &both);
        let moved = json!([
            {"op": "add", "path": "/metadata/x", "value": [{"name": "bad"}]},
            {"op": "move", "from": "/metadata/x", "path": "/spec/containers"},
        ]);
        let there = json!({"metadata": {"x": null}, "spec": {"containers": [{"name": "bad"}]}});
        check("patch", &moved, &Value::Null, &there);
        let copied = json!([
            {"op": "add", "path": "/y", "value": {"z": {"privileged": true}}},
            {"op": "copy", "from": "/y/z", "path": "/spec/securityContext"},
        ])
        .to_string();
        let mut keys = keys();
        for key in ["securityContext", "privileged"] {
            keys.keep(key);
        }
        let written = object("patch", &copied, "", &keys);
        let context = written
            .get("spec")
            .and_then(|spec| spec.get("securityContext"));
        assert!(context.is_some_and(|it| it.get("privileged").is_some()));
        let deep = json!([{"op": "add", "path": "/a".repeat(500_000), "value": 1}]);
        check("patch", &deep, &Value::Null, &Value::Null);
    }

    #[test]
    fn a_key_that_nobody_asks_for_is_put_into_an_object() {
        let patch = json!([
            {"op": "add", "path": "/spec/matchLabels/foo", "value": "bar"},
            {"op": "add", "path": "/spec/other/foo", "value": "bar"},
        ])
        .to_string();
        let mut keys = keys();
        for key in ["spec", "matchLabels"] {
            keys.keep(key);
        }
        let written = object("patch", &patch, "", &keys);
        let spec = written.get("spec").unwrap();
        assert!(matches!(spec.get("matchLabels"), Some(Json::Object(_))));
        assert_eq!(spec.get("other"), None);
    }

    #[test]
    fn an_answer_has_what_a_patch_does_not_say() {
        let patch = json!([
            {"op": "add", "path": "/rules/1/verbs/-", "value": "escalate"},
            {"op": "replace", "path": "/rules/1/verbs/0", "value": "get"},
            {"op": "replace", "path": "/rules/-1/verbs/0", "value": "get"},
            {"op": "copy", "from": "/spec/a/securityContext", "path": "/spec/b/securityContext"},
            {"op": "replace", "path": "/spec/containers/0/image", "value": "x"},
        ]);
        let rule = json!({"verbs": ["get", "escalate"], "resources": ["clusterroles"]});
        let answer = json!({
            "kind": "ClusterRole",
            "rules": [{"verbs": ["list"]}, rule],
            "spec": {"b": {"securityContext": {"privileged": true}}, "containers": [{"image": "x", "name": "y"}]},
        });
        let expected = json!({
            "rules": [{"verbs": ["get"]}, {"verbs": ["get"]}, rule],
            "spec": {"b": {"securityContext": {"privileged": true}}, "containers": [{"image": "x"}]},
        });
        check("patch", &patch, &answer, &expected);
    }
}
