//! Views: what rules may ask of an event besides what stands in it.
//!
//! The object that a request wrote has the same shape whatever the verb: a rule on it need not know of
//! patches, of bodies that only the answer has, or of the three places where Pods are described.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::request::CertReq;

use super::json::{Json, Keys, Members};
use super::rbac::Grant;
use super::row::column_values;
use super::value::{Number, Scalar, Values};
use super::workload::{self, COMMAND_LINE};
use crate::frame::derived::{is_uuid, service_account_user};
use crate::frame::vocabulary::{known, parse_list};
use crate::frame::{Column, EventFrame};

/// A value that follows from columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Derived {
    /// The binding that the authorizer's reason names.
    ReasonBinding,
    /// The role that it names.
    ReasonRole,
    /// The subject that it names.
    ReasonSubject,
    /// Command line of exec or attach, joined by blanks.
    ExecCommand,
    /// The same, by argument.
    ExecArgv,
    /// How long the request lasted.
    SessionSeconds,
    /// The annotations as they stand in the log.
    AnnotationsText,
    /// Whether the audit ID is a UUID, as the API server makes them.
    AuditIdIsUuid,
    /// Whether nothing was to be changed in earnest.
    DryRun,
    /// Parameter `labelSelector` of the query.
    LabelSelector,
    /// Parameter `fieldSelector` of the query.
    FieldSelector,
    /// One element of a list column; a negative one counts from the end.
    Element(Column, i64),
}

impl Derived {
    /// All of them, as rules name them.
    pub const NAMES: [(&'static str, Self); 11] = [
        ("reason.binding", Self::ReasonBinding),
        ("reason.role", Self::ReasonRole),
        ("reason.subject", Self::ReasonSubject),
        ("exec.command", Self::ExecCommand),
        ("exec.argv", Self::ExecArgv),
        ("session.seconds", Self::SessionSeconds),
        ("annotations_text", Self::AnnotationsText),
        ("audit_id_is_uuid", Self::AuditIdIsUuid),
        ("dry_run", Self::DryRun),
        ("label_selector", Self::LabelSelector),
        ("field_selector", Self::FieldSelector),
    ];

    /// Returns the coded column whose value alone decides.
    pub fn source(self) -> Option<Column> {
        match self {
            Self::ReasonBinding | Self::ReasonRole | Self::ReasonSubject => {
                Some(Column::AuthzReason)
            }
            Self::Element(column, _) => Some(column),
            Self::ExecCommand
            | Self::ExecArgv
            | Self::SessionSeconds
            | Self::AnnotationsText
            | Self::AuditIdIsUuid
            | Self::DryRun
            | Self::LabelSelector
            | Self::FieldSelector => None,
        }
    }

    /// Returns the value where [`Self::source`] is `text`.
    pub fn of_text(self, text: &str) -> Values<'_> {
        if let Self::Element(_, index) = self {
            let mut elements = parse_list(text);
            let at = if index < 0 {
                elements
                    .len()
                    .checked_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX))
            } else {
                usize::try_from(index).ok()
            };
            let at = at.filter(|at| *at < elements.len());
            return at.map_or(Values::MISSING, |at| {
                Values::Texts(vec![elements.swap_remove(at)])
            });
        }
        let Some(grant) = Grant::parse(text) else {
            return Values::MISSING;
        };
        Values::Texts(vec![match self {
            Self::ReasonRole => Cow::Owned(grant.role),
            Self::ReasonSubject => Cow::Owned(grant.subject),
            _ => Cow::Borrowed(grant.binding),
        }])
    }

    /// Returns the value at a row.
    pub fn of_row(self, frame: &EventFrame, row_idx: usize) -> Values<'_> {
        if let Some(source) = self.source() {
            return self.of_text(frame.vocabulary().text(frame.code(source, row_idx)));
        }
        if self == Self::SessionSeconds {
            let [from, to] = [Column::Ts, Column::StageTs].map(|time| frame.times(time)[row_idx]);
            return seconds(from, to).map_or(Values::MISSING, |seconds| {
                Values::Single(Scalar::Number(Number::Float(seconds)))
            });
        }
        if self == Self::AnnotationsText {
            let annotations = frame.detail(row_idx).annotations;
            return match annotations.slice(frame.record(row_idx)) {
                "" => Values::MISSING,
                text => Values::Single(Scalar::Text(text)),
            };
        }
        let selector = match self {
            Self::LabelSelector => Some("labelSelector"),
            Self::FieldSelector => Some("fieldSelector"),
            _ => None,
        };
        if let Some(selector) = selector {
            let value = parameter(frame.text(Column::RequestUri, row_idx), selector);
            return Values::Texts(value.into_iter().collect());
        }
        if self == Self::DryRun {
            let verb = frame.vocabulary().text(frame.code(Column::Verb, row_idx));
            let uri = frame.text(Column::RequestUri, row_idx);
            let is_dry = is_dry_run(verb, uri, request_body(frame, row_idx));
            return Values::Single(Scalar::Bool(is_dry));
        }
        if self == Self::AuditIdIsUuid {
            return match frame.text(Column::AuditId, row_idx) {
                "" => Values::MISSING,
                id => Values::Single(Scalar::Bool(is_uuid(id.as_bytes()))),
            };
        }
        let Values::Single(Scalar::Text(subresource)) =
            column_values(frame, Column::Subresource, row_idx)
        else {
            return Values::MISSING;
        };
        let mut argv = match subresource {
            "exec" | "attach" => argv(frame.text(Column::RequestUri, row_idx)),
            _ => Vec::new(),
        };
        if self == Self::ExecCommand && !argv.is_empty() {
            argv = vec![argv.join(" ")];
        }
        Values::Texts(argv.into_iter().map(Cow::Owned).collect())
    }
}

/// Returns the first value of a parameter in the query of a URI.
pub fn parameter<'a>(uri: &'a str, key: &str) -> Option<Cow<'a, str>> {
    // Most queries have no such key at all, and to look is cheaper than to take them apart.
    let (_, query) = uri
        .split_once('?')
        .filter(|(_, query)| query.contains(key))?;
    if query.bytes().filter(|&byte| byte == b'&').count() >= PARAMETERS {
        return None;
    }
    let (_, value) = pairs(query).find(|(name, _)| name == key)?;
    Some(value)
}

/// Parameters that are read: of a query with more, Go reads none (`net/url`, `urlmaxqueryparams`).
const PARAMETERS: usize = 10_000;

/// Returns keys and values of a query as Go reads them: a pair with a semicolon or a wrong escape is passed over (Go `net/url`,
/// `ParseQuery`).
fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let is_escape = |text: &str| {
        let digits = text.as_bytes().first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let is_sound = move |pair: &&str| !pair.contains(';') && pair.split('%').skip(1).all(is_escape);
    let sound = query.split('&').filter(is_sound);
    sound.flat_map(|pair| form_urlencoded::parse(pair.as_bytes()))
}

/// Returns whether a request changes nothing: `dryRun=All`. A parameter of another name is none.
///
/// A deletion takes its options from its body, where clients write them, and heeds its query only if it has none
/// (kubernetes/apiserver `pkg/endpoints/handlers/delete.go`). Where the log does not hold bodies (`None`), its query proves
/// nothing.
pub fn is_dry_run(verb: &str, uri: &str, body: Option<&str>) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct DeleteOptions {
        dry_run: Vec<String>,
    }
    let by_query =
        || parameter(uri, "dryRun").is_some_and(|value| value == "All") && !is_connection(uri);
    match body {
        _ if matches!(verb, "get" | "list" | "watch") => false,
        _ if !verb.starts_with("delete") => by_query(),
        None => false,
        Some("") => by_query(),
        Some(body) => {
            let options = serde_json::from_str::<DeleteOptions>(body);
            options.is_ok_and(|options| options.dry_run.iter().any(|value| value == "All"))
        }
    }
}

/// Returns whether a path leads into a container or behind the API server, where no dry run is known.
fn is_connection(uri: &str) -> bool {
    let path = uri.split_once('?').map_or(uri, |(path, _)| path);
    let parts: Vec<&str> = path.split('/').collect();
    parts.windows(3).any(|parts| {
        matches!(parts[0], "pods" | "services" | "nodes")
            && matches!(parts[2], "exec" | "attach" | "portforward" | "proxy")
    })
}

/// Returns the body of a request; empty if it had none, `None` if the log holds no bodies of such.
pub fn request_body(frame: &EventFrame, row_idx: usize) -> Option<&str> {
    let body = frame.detail(row_idx).request_object;
    let level = frame.code(Column::Level, row_idx);
    let has_bodies = matches!(level, known::REQUEST | known::REQUEST_RESPONSE);
    (has_bodies || !body.is_empty()).then(|| body.slice(frame.record(row_idx)))
}

/// Returns whether a request of this URI is for a selection of objects.
pub fn is_selective(uri: &str) -> bool {
    ["labelSelector", "fieldSelector"]
        .iter()
        .any(|key| parameter(uri, key).is_some_and(|value| !value.is_empty()))
}

/// Returns the seconds between two times in microseconds, of which 0 is null.
pub fn seconds(from: i64, to: i64) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds of a request are far below 2^53"
    )]
    (from != 0 && to != 0).then(|| to.saturating_sub(from).max(0) as f64 / 1e6)
}

/// Returns the command of an exec or attach request: its URI repeats the key `command`.
pub fn argv(uri: &str) -> Vec<String> {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    pairs(query)
        .filter(|(key, _)| key == "command")
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// Keys that views follow, whatever rules name.
const KEYS: [&str; 10] = [
    "kind",
    "namespace",
    "name",
    "subjects",
    "spec",
    "request",
    "op",
    "from",
    "path",
    "value",
];

/// Returns every key that views follow.
pub fn keys() -> Keys {
    let mut keys = Keys::default();
    for key in KEYS {
        keys.keep(key);
    }
    keys
}

/// Returns what a request wrote, of the texts of its two bodies; null if it wrote nothing.
///
/// Of a patch the patch alone, so that a rule names who set a thing and not who touched the object later.
pub fn object<'a>(verb: &str, request: &'a str, response: &'a str, keys: &Keys) -> Json<'a> {
    let answer = || {
        let answer = Json::parse(response, keys);
        let kind = answer.get("kind").and_then(Json::as_text);
        let is_other = kind.is_some_and(|kind| OTHER_ANSWERS.contains(&kind));
        (matches!(answer, Json::Object(_)) && !is_other).then_some(answer)
    };
    let mut object = match verb {
        "patch" => match Json::parse(request, keys) {
            Json::List(operations) => {
                let answer = answer().unwrap_or_default();
                // What is moved may come from any place, and be any part of what another operation put there.
                if operations.iter().any(|it| it.get("from").is_some())
                    && let Json::List(whole) = Json::parse(request, &Keys::all())
                {
                    patched(&whole, &answer, &Keys::all())
                } else {
                    patched(&operations, &answer, keys)
                }
            }
            patch => patch,
        },
        "create" | "update" => answer().unwrap_or_else(|| Json::parse(request, keys)),
        _ => Json::Null,
    };
    if verb == "update" {
        add_zero(&mut object);
    }
    if keys.keeps(COMMAND_LINE) {
        workload::add_command_lines(&mut object);
    }
    object
}

/// Kinds of answers that are not the object: refusals, and what a client asks for instead by its `Accept`
/// (kubernetes/apiserver `pkg/endpoints/handlers/response.go`, `transformObject`).
const OTHER_ANSWERS: [&str; 3] = ["Status", "PartialObjectMetadata", "Table"];

/// Writes the zero into a scale, which goes without saying there (autoscaling/v1 `ScaleSpec`, `omitempty`).
fn add_zero(object: &mut Json<'_>) {
    if object.get("kind").and_then(Json::as_text) == Some("Scale")
        && let Some(Json::Object(spec)) = object.get_mut("spec")
        && spec.get("replicas").is_none()
    {
        *spec.entry("replicas".into()) = Json::Number(Number::Integer(0));
    }
}

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
fn patched<'a>(operations: &[Json<'a>], answer: &Json<'a>, kept: &Keys) -> Json<'a> {
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
        let is_followed = |key: &String| kept.keeps(key) || position(key).is_some();
        if keys.iter().all(is_followed) {
            set(&mut object, &keys, value, kind != "replace");
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

/// Returns the subjects of a binding by the names that they have as users or groups.
pub(super) fn subjects<'a>(object: &Json<'_>, namespace: &str) -> Json<'a> {
    let subjects = object.get("subjects").and_then(Json::as_list);
    let subjects = subjects.into_iter().flatten();
    let names = subjects.filter_map(|subject| subject_name(subject, namespace));
    Json::List(names.map(|name| Json::Text(Cow::Owned(name))).collect())
}

/// Returns the name that a subject of a binding in `namespace` has as user or group.
pub(super) fn subject_name(subject: &Json<'_>, namespace: &str) -> Option<String> {
    let text = |key: &str| subject.get(key).and_then(Json::as_text);
    let name = text("name")?;
    Some(match text("kind") {
        Some("ServiceAccount") => {
            service_account_user(text("namespace").unwrap_or(namespace), name)
        }
        _ => name.to_owned(),
    })
}

/// Returns common name and organizations that a certificate signing request asks for; null if its request is
/// no PKCS #10 (RFC 2986) in PEM.
pub(super) fn csr<'a>(object: &Json<'_>) -> Json<'a> {
    const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
    const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
    let read = || {
        let request = object.get("spec")?.get("request")?.as_text()?;
        let pem = String::from_utf8(STANDARD.decode(request).ok()?).ok()?;
        // The first block, without its headers (RFC 1421), as Go reads it.
        let (_, block) = pem.split_once("-----BEGIN CERTIFICATE REQUEST-----")?;
        let (block, _) = block.split_once("-----END")?;
        let lines = block.lines().map(str::trim);
        let der: String = lines.filter(|line| !line.contains(':')).collect();
        CertReq::from_der(&STANDARD.decode(der).ok()?).ok()
    };
    let Some(request) = read() else {
        return Json::Null;
    };
    let named = |kind: ObjectIdentifier| {
        let parts = request.info.subject.iter();
        let names = parts
            .filter(|attribute| attribute.oid == kind)
            .map(|attribute| String::from_utf8_lossy(attribute.value.value()).into_owned());
        Json::List(names.map(|name| Json::Text(Cow::Owned(name))).collect())
    };
    let mut subject = Members::default();
    *subject.entry("common_name".into()) = named(COMMON_NAME);
    *subject.entry("organizations".into()) = named(ORGANIZATION);
    Json::Object(subject)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(verb: &str, request: &Value, response: &Value, expected: &Value) {
        let [request, response] = [request.to_string(), response.to_string()];
        let object = object(verb, &request, &response, &Keys::all());
        assert_eq!(object, Json::parse(&expected.to_string(), &Keys::all()));
    }

    #[track_caller]
    fn check_view(view: impl Fn(&Json<'_>) -> Json<'static>, object: &Value, expected: &Value) {
        let object = object.to_string();
        let seen = view(&Json::parse(&object, &Keys::all()));
        assert_eq!(seen, Json::parse(&expected.to_string(), &Keys::all()));
    }

    #[test]
    fn an_object_is_what_was_written() {
        let [small, large] = [
            json!({"spec": 1}),
            json!({"kind": "Pod", "spec": 1, "status": 2}),
        ];
        let refused = json!({"kind": "Status", "code": 403});
        check("create", &small, &large, &large);
        check("create", &small, &refused, &small);
        check("update", &small, &Value::Null, &small);
        check("patch", &small, &large, &small);
        check("delete", &small, &large, &Value::Null);
        check("get", &Value::Null, &large, &Value::Null);
    }

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

    #[test]
    fn an_answer_that_is_not_the_object_says_nothing_of_it() {
        let body = json!({"kind": "Role", "rules": [1]});
        for kind in ["PartialObjectMetadata", "Table", "Status"] {
            check(
                "create",
                &body,
                &json!({"kind": kind, "metadata": {}}),
                &body,
            );
        }
    }

    #[test]
    fn a_scale_without_replicas_is_of_zero() {
        let scale = |spec: &Value| json!({"kind": "Scale", "spec": spec});
        let zero = scale(&json!({"replicas": 0}));
        check("update", &scale(&json!({})), &Value::Null, &zero);
        check(
            "patch",
            &scale(&json!({})),
            &Value::Null,
            &scale(&json!({})),
        );
        let two = scale(&json!({"replicas": 2}));
        check("update", &two, &Value::Null, &two);
    }

    #[test]
    fn queries_are_read_as_the_api_server_reads_them() {
        let uri = "/api?fieldSelector=metadata.name%3Dx;&labelSelector=%zz&a=%4&limit=%35";
        assert_eq!(parameter(uri, "fieldSelector"), None);
        assert_eq!(parameter(uri, "labelSelector"), None);
        assert_eq!(parameter(uri, "limit").as_deref(), Some("5"));
        assert_eq!(argv("/exec?command=a;b&command=c&command=%0"), ["c"]);
        let dry =
            |n: usize| is_dry_run("create", &format!("/api?dryRun=All{}", "&".repeat(n)), None);
        assert!(dry(PARAMETERS - 1) && !dry(PARAMETERS));
        for path in ["exec", "attach", "portforward", "proxy", "proxy/x"] {
            let uri = format!("/api/v1/namespaces/a/pods/b/{path}?dryRun=All");
            assert!(!is_dry_run("create", &uri, None), "{path}");
        }
        assert!(!is_dry_run("list", "/api?dryRun=All", None));
        let proxy = "/api/v1/namespaces/proxy/pods?dryRun=All";
        assert!(is_dry_run("create", proxy, None));
    }

    #[test]
    fn parameters_are_told_by_their_whole_name() {
        let is_dry = |uri: &str| is_dry_run("create", uri, None);
        assert!(is_dry("/api/v1/pods?fieldManager=x&dryRun=All"));
        for uri in [
            "/api?xdryRun=All",
            "/api?dryRun=",
            "/api/dryRun=All",
            "/api?x=dryRun=All",
        ] {
            assert!(!is_dry(uri), "{uri}");
        }
        let uri = "/api/v1/namespaces/a/pods/b?dryRun=All";
        let plain = r#"{"kind":"DeleteOptions","apiVersion":"v1"}"#;
        let dry = r#"{"kind":"DeleteOptions","apiVersion":"v1","dryRun":["All"]}"#;
        assert!(is_dry_run("delete", "/api", Some(dry)));
        assert!(is_dry_run("delete", uri, Some("")));
        assert!(!is_dry_run("delete", uri, Some(plain)));
        assert!(!is_dry_run("deletecollection", uri, None));
        assert!(is_selective("/api?labelSelector=a%3Db"));
        assert!(!is_selective("/api?xlabelSelector=a&fieldSelector="));
    }

    #[test]
    fn subjects_have_the_names_of_users() {
        let object = json!({"subjects": [
            {"kind": "User", "name": "alice"},
            {"kind": "ServiceAccount", "name": "app", "namespace": "prod"},
            {"kind": "ServiceAccount", "name": "app"},
            {"kind": "Group"},
        ]});
        let names = json!([
            "alice",
            "system:serviceaccount:prod:app",
            "system:serviceaccount:here:app"
        ]);
        check_view(|object| subjects(object, "here"), &object, &names);
        check_view(|object| subjects(object, "here"), &Value::Null, &json!([]));
    }

    #[test]
    fn commands_are_decoded() {
        let uri = "/api/v1/namespaces/a/pods/b/exec?command=sh&command=-c&command=cat+%2Fetc%2Fpasswd&container=c";
        assert_eq!(argv(uri), ["sh", "-c", "cat /etc/passwd"]);
        assert!(argv("/api").is_empty());
    }

    /// `openssl req -new -newkey ed25519 -nodes -subj /O=system:masters/O=dev/CN=eve | base64 -w0`
    const REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHME1HZ0NBUUF3TlRFWE1CVUdBMVVFQ2d3T2MzbHpkR1Z0T20xaGMzUmxjbk14RERBS0JnTlZCQW9NQTJSbApkakVNTUFvR0ExVUVBd3dEWlhabE1Db3dCUVlESzJWd0F5RUFNWU5mc09QZ1ZPMXk2d3NtU0YrVGVkMVcvQTVmCjVCK1JsNmwzeGhKdFNHdWdBREFGQmdNclpYQURRUUNxZ2xZLzhjZzdJbE9KWjQ1ZEtJQWhSZGFaUmVKaXBGbU4KR2tJODNJR2ZyZEo2S0JFUllGS296VVp2djgyWTg5bnFKUUIzdzNXY3JrSjcwYy91emlJQQotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K";

    #[test]
    fn the_subject_of_a_signing_request_is_read() {
        let object = json!({"spec": {"request": REQUEST}});
        let expected = json!({"common_name": ["eve"], "organizations": ["system:masters", "dev"]});
        check_view(csr, &object, &expected);
        check_view(csr, &json!({"spec": {"request": "AAAA"}}), &Value::Null);
        let pem = String::from_utf8(STANDARD.decode(REQUEST).unwrap()).unwrap();
        let headed = pem.replacen("REQUEST-----\n", "REQUEST-----\nA: b\n\n", 1);
        for pem in [format!("text\n{pem}text\n{pem}"), headed] {
            let object = json!({"spec": {"request": STANDARD.encode(pem)}});
            check_view(csr, &object, &expected);
        }
    }
}
