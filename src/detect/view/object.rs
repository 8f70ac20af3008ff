//! What a request wrote, and what is read out of it.

use std::borrow::Cow;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509_cert::der::Decode;
use x509_cert::der::oid::{AssociatedOid, ObjectIdentifier};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::request::{CertReq, ExtensionReq};

use super::patch::patched;
use crate::detect::json::{Json, Keys, Members};
use crate::detect::value::Number;
use crate::detect::workload::{self, COMMAND_LINE};
use crate::frame::derived::{service_account, service_account_user};

/// Keys that views follow, whatever rules name.
const KEYS: [&str; 14] = [
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
    "webhooks",
    "clientConfig",
    "service",
    "url",
];

/// Returns every key that views follow.
pub fn keys() -> Keys {
    Keys::of(&KEYS)
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

/// Returns the subjects of a binding by the names that they have as users or groups.
pub(in crate::detect) fn subjects<'a>(object: &Json<'_>, namespace: &str) -> Json<'a> {
    let subjects = object.get("subjects").and_then(Json::as_list);
    let subjects = subjects.into_iter().flatten();
    let names = subjects.filter_map(|subject| subject_name(subject, namespace));
    Json::List(names.map(|name| Json::Text(Cow::Owned(name))).collect())
}

/// Returns the name that a subject of a binding in `namespace` has as user or group.
pub(in crate::detect) fn subject_name(subject: &Json<'_>, namespace: &str) -> Option<String> {
    let text = |key: &str| subject.get(key).and_then(Json::as_text);
    let name = text("name")?;
    Some(match text("kind") {
        Some("ServiceAccount") => {
            service_account_user(text("namespace").unwrap_or(namespace), name)
        }
        _ => name.to_owned(),
    })
}

/// Returns where the webhooks in an object send what is sent to them, if that is not in the namespace of the `actor`, a
/// `ServiceAccount`: URLs, and services as `NAMESPACE/NAME`; null if there is nothing of that kind.
pub(in crate::detect) fn foreign_webhooks<'a>(object: &Json<'_>, actor: &str) -> Json<'a> {
    let home = service_account(actor).map(|(namespace, _)| namespace);
    let webhooks = object.get("webhooks").and_then(Json::as_list);
    let configs = webhooks
        .into_iter()
        .flatten()
        .filter_map(|webhook| webhook.get("clientConfig"));
    let foreign = configs.filter_map(|config| {
        if let Some(url) = config.get("url").and_then(Json::as_text) {
            return Some(url.to_owned());
        }
        let text = |key: &str| config.get("service")?.get(key)?.as_text();
        let namespace = text("namespace");
        let is_foreign = namespace.is_none() || namespace != home;
        is_foreign.then(|| {
            let [namespace, name] = [namespace, text("name")].map(Option::unwrap_or_default);
            format!("{namespace}/{name}")
        })
    });
    let foreign: Vec<Json<'_>> = foreign
        .map(|target| Json::Text(Cow::Owned(target)))
        .collect();
    if foreign.is_empty() {
        return Json::Null;
    }
    Json::List(foreign)
}

/// Returns what a certificate signing request asks for: common name, organizations, and DNS names and addresses, and which of
/// the names are not those of the node that it is for; null if its request is no PKCS #10 (RFC 2986) in PEM.
pub(in crate::detect) fn csr<'a>(object: &Json<'_>) -> Json<'a> {
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
    let named = |kind: ObjectIdentifier| -> Vec<String> {
        let parts = request.info.subject.iter();
        let names = parts.filter(|attribute| attribute.oid == kind);
        let texts =
            names.map(|attribute| String::from_utf8_lossy(attribute.value.value()).into_owned());
        texts.collect()
    };
    let common_names = named(COMMON_NAME);
    let node = common_names
        .first()
        .and_then(|name| name.strip_prefix("system:node:"));
    let [dns_names, addresses] = alternative_names(&request);
    let chosen = |is_chosen: &dyn Fn(&str) -> bool| -> Vec<String> {
        let chosen = dns_names.iter().filter(|name| is_chosen(name));
        chosen.cloned().collect()
    };
    let is_foreign = |name: &str| node.is_some_and(|node| !is_of_node(name, node, &addresses));
    let lists = [
        ("service_names", chosen(&is_of_service)),
        ("foreign_names", chosen(&is_foreign)),
        ("common_name", common_names),
        ("organizations", named(ORGANIZATION)),
        ("dns_names", dns_names),
        ("ip_addresses", addresses),
    ];
    let mut asked = Members::default();
    for (key, texts) in lists {
        if !texts.is_empty() {
            let texts = texts.into_iter();
            *asked.entry(key.into()) =
                Json::List(texts.map(|text| Json::Text(Cow::Owned(text))).collect());
        }
    }
    Json::Object(asked)
}

/// Returns the DNS names and the addresses that a certificate is to be good for besides its common name (RFC 5280, 4.2.1.6).
fn alternative_names(request: &CertReq) -> [Vec<String>; 2] {
    let mut names = [Vec::new(), Vec::new()];
    let attributes = request.info.attributes.iter();
    let extensions = attributes
        .filter(|attribute| attribute.oid == ExtensionReq::OID)
        .flat_map(|attribute| attribute.values.iter())
        .filter_map(|value| value.decode_as::<ExtensionReq>().ok())
        .flat_map(|extensions| extensions.0);
    for extension in extensions.filter(|extension| extension.extn_id == SubjectAltName::OID) {
        let Ok(alternative) = SubjectAltName::from_der(extension.extn_value.as_bytes()) else {
            continue;
        };
        for name in alternative.0 {
            match name {
                GeneralName::DnsName(name) => names[0].push(name.as_str().to_owned()),
                GeneralName::IpAddress(address) => {
                    let bytes = address.as_bytes();
                    let of_v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
                    let address = of_v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
                    names[1].extend(address.map(|address| address.to_string()));
                }
                _ => {}
            }
        }
    }
    names
}

/// Returns whether a DNS name is one of a Service of a cluster, that of the API server among them, or of many hosts.
fn is_of_service(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let is_of_api = name == "kubernetes" || name.starts_with("kubernetes.default");
    is_of_api
        || name.split('.').skip(1).any(|label| label == "svc")
        || name.ends_with(".cluster.local")
        || name.contains('*')
}

/// Returns whether a DNS name is one of a node: it has its first label, or an address of the node, as names from clouds
/// do (`ip-10-0-0-7.ec2.internal`). A node that is called by its address may have any name.
fn is_of_node(name: &str, node: &str, addresses: &[String]) -> bool {
    let label = |name: &str| {
        let label = name.split('.').next().unwrap_or_default();
        label.to_ascii_lowercase()
    };
    let has_address = |text: &str| {
        let mut addresses = addresses.iter();
        addresses.any(|address| {
            text.contains(&**address) || text.contains(&address.replace(['.', ':'], "-"))
        })
    };
    !is_of_service(name) && (label(name) == label(node) || has_address(name) || has_address(node))
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn webhooks_of_the_own_namespace_are_not_foreign() {
        let check = |webhooks: &Value, actor: &str, expected: &Value| {
            let (object, expected) = (
                json!({"webhooks": webhooks}).to_string(),
                expected.to_string(),
            );
            let found = foreign_webhooks(&Json::parse(&object, &Keys::all()), actor);
            assert_eq!(found, Json::parse(&expected, &Keys::all()), "{object}");
        };
        let service = |namespace: &str| json!({"clientConfig": {"service": {"namespace": namespace, "name": "w"}}});
        let url = json!({"clientConfig": {"url": "https://hooks.example.com/x"}});
        let actor = "system:serviceaccount:own:a";
        check(
            &json!([service("own"), service("own")]),
            actor,
            &Value::Null,
        );
        check(&json!([]), actor, &Value::Null);
        check(&Value::Null, actor, &Value::Null);
        check(
            &json!([service("own"), service("other"), url]),
            actor,
            &json!(["other/w", "https://hooks.example.com/x"]),
        );
        check(&json!([service("own")]), "alice", &json!(["own/w"]));
        check(&json!([{"clientConfig": {}}]), "alice", &json!(["/"]));
    }

    #[track_caller]
    pub(in crate::detect::view) fn check(
        verb: &str,
        request: &Value,
        response: &Value,
        expected: &Value,
    ) {
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

    /// `openssl req -new -newkey ed25519 -nodes -subj /O=system:nodes/CN=system:node:w-3 -addext
    /// subjectAltName=DNS:w-3,DNS:kubernetes.default.svc,IP:10.20.0.23,IP:10.96.0.1 | base64 -w0`
    const FOREIGN: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIMk1JR3BBZ0VBTURFeEZUQVRCZ05WQkFvTURITjVjM1JsYlRwdWIyUmxjekVZTUJZR0ExVUVBd3dQYzNsegpkR1Z0T201dlpHVTZkeTB6TUNvd0JRWURLMlZ3QXlFQTM4NXJDdmxNOFNHbFlrWlVObU02aWJyMEp2S1IvU2IzCnBGbDJoRkxJOCtLZ1JUQkRCZ2txaGtpRzl3MEJDUTR4TmpBME1ESUdBMVVkRVFRck1DbUNBM2N0TTRJV2EzVmkKWlhKdVpYUmxjeTVrWldaaGRXeDBMbk4yWTRjRUNoUUFGNGNFQ21BQUFUQUZCZ01yWlhBRFFRQW1BZkhLc1p4UQpJQUcrVEtJL1JqUXNMc0xTSDMzZ0VzYjNxczFTNno3TTBsT0hnMW9zeVF4MzNYUW15VkRxUWJkSGxydXlNM3dTCkZpYktFZ29pRmJVRAotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K";

    #[test]
    fn names_of_others_in_the_request_of_a_node_are_told() {
        let check = |request: &str, expected: &Value| {
            check_view(csr, &json!({"spec": {"request": request}}), expected);
        };
        check(
            FOREIGN,
            &json!({
                "common_name": ["system:node:w-3"],
                "organizations": ["system:nodes"],
                "dns_names": ["w-3", "kubernetes.default.svc"],
                "ip_addresses": ["10.20.0.23", "10.96.0.1"],
                "service_names": ["kubernetes.default.svc"],
                "foreign_names": ["kubernetes.default.svc"],
            }),
        );
    }

    #[test]
    fn a_node_has_names_of_its_own() {
        let check = |name: &str, node: &str, expected: bool| {
            let addresses = ["10.0.0.7".to_owned(), "2001:db8::7".to_owned()];
            assert_eq!(is_of_node(name, node, &addresses), expected, "{name}");
        };
        check("w-3", "w-3", true);
        check("W-3.corp.example", "w-3", true);
        check("w-3", "w-3.corp.example", true);
        check("ip-10-0-0-7.ec2.internal", "i-0abc.ec2.internal", true);
        check("host-12", "eu.10.0.0.7", true);
        check("w-4", "w-3", false);
        check("localhost", "w-3", false);
        for service in [
            "kubernetes",
            "kubernetes.default",
            "web.prod.svc",
            "web.prod.svc.cluster.local",
            "*.corp.example",
            "w-3.prod.svc.",
        ] {
            check(service, "w-3", false);
            check(service, "eu.10.0.0.7", false);
            assert!(is_of_service(service), "{service}");
        }
        assert!(!is_of_service("w-3.svc-west.example"));
    }
}
