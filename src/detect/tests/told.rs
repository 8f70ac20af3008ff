//! What is told of a hit: why the rule holds, and its summary.

use super::*;

#[test]
fn why_names_what_stands_in_the_log_or_what_was_asked_for() {
    let rules = compile(&[
        "  s: {verb: [create, update], user.groups: DEV, requestObject.spec.hostPID: true}\n  \
         o: {objectRef.subresource: null}\n  n: {verb: get}\n  condition: s and o and not n",
        "  a: {hostPath: [/, /etc]}\n  b: {capabilities: SYS_ADMIN}\n  c: {containers.image: [b*, c*]}\n  \
         condition: a or b or c",
        "  s:\n    containers[any]:\n      image|startswith: [b, c]\n      \
         securityContext.capabilities[any]:\n        add: SYS_ADMIN\n      env: null\n  condition: s",
        "  s: {requestObject.spec.volumes.hostPath|exists: true, requestObject.data: null}\n  k: [busybox]\n  \
         condition: s and k",
    ]);
    let rules = rules.unwrap();
    let why = |rule: usize, event: &str| rules.why(rule, &frame(event), 0);
    assert_eq!(
        why(0, POD),
        [
            "verb = create",
            "user.groups = dev",
            "objectRef.subresource is absent",
            "requestObject.spec.hostPID = true",
        ]
    );
    assert_eq!(
        why(1, POD),
        [
            "hostPath = /",
            "capabilities = SYS_ADMIN",
            "containers.image = busybox"
        ]
    );
    assert_eq!(
        why(2, POD),
        [
            "containers[1]: image = busybox, env is absent, securityContext.capabilities[0].add = SYS_ADMIN"
        ]
    );
    assert_eq!(
        why(3, POD),
        [
            "keyword matches busybox",
            "requestObject.spec.volumes.hostPath = an object with path",
            "requestObject.data is absent",
        ]
    );
}

#[test]
fn why_tells_no_secret() {
    let rules = compile(&[
        "  s: {requestObject.data.config|contains: qwertz}\n  condition: s",
        "  s: {containers.args|contains: mysql}\n  condition: s",
        "  s:\n    containers[any]:\n      env[any]:\n        name: X\n        value|contains: qwertz\n  condition: s",
        "  s: {object.type: Opaque, object.immutable: true}\n  condition: s",
    ]);
    let rules = rules.unwrap();
    let body = r#"{"type":"Opaque","immutable":true,"data":{"config":"pin qwertz"},"spec":{"containers":[{"name":"a","args":["mysql -u root --password=qwertz"],"env":[{"name":"X","value":"qwertz"}]}]}}"#;
    let event = |resource: &str| {
        format!(
            r#"{{"verb":"create","objectRef":{{"resource":"{resource}"}},"requestObject":{body}}}"#
        )
    };
    let why = |rule: usize, resource: &str| rules.why(rule, &frame(&event(resource)), 0);
    assert_eq!(
        why(0, "configmaps"),
        ["requestObject.data.config matches qwertz"]
    );
    assert_eq!(
        why(1, "pods"),
        ["containers.args = mysql -u root --password=[redacted]"]
    );
    assert_eq!(
        why(2, "pods"),
        ["containers[0]: env[0].name = X, env[0].value as asked for"]
    );
    assert_eq!(
        why(3, "secrets"),
        ["object.type = Opaque", "object.immutable matches true"]
    );
}

#[test]
fn a_summary_quotes_no_secret() {
    let event = r#"{"verb":"create","objectRef":{"resource":"secrets"},"requestObject":{"type":"Opaque","data":{"x":"c2VjcmV0"}}}"#;
    let summary =
        "summary: '{object.data.x} {object.type} {responseObject.kind|verb} {object.spec}'";
    let rules = compile_with("  s: {verb: create}\n  condition: s", summary, &[]);
    let quotes = |event: &str| -> Vec<String> {
        let quotes = rules.quotes(0, &frame(event), 0);
        let texts = quotes.iter().map(|values| {
            let texts = values.iter().map(|value| &*value.text);
            texts.collect::<Vec<_>>().join(" ")
        });
        texts.collect()
    };
    assert_eq!(quotes(event), ["[redacted]", "Opaque", "create", ""]);
    let public = event.replace("secrets", "configmaps");
    assert_eq!(quotes(&public)[0], "c2VjcmV0");
    let list = r#""data":{"x":["--token","abc","-v","a\n b"]}"#;
    let list = public.replace(r#""data":{"x":"c2VjcmV0"}"#, list);
    assert_eq!(quotes(&list)[0], "--token [redacted] -v a b");
}

#[test]
fn what_a_summary_cannot_quote_is_told() {
    let told = |summary: &str| {
        let detection = "  s: {verb: get}\n  condition: s";
        let rule = rule(detection, 0).replace(
            "family: discovery",
            &format!("family: discovery, summary: '{summary}'"),
        );
        let set = RuleSet::from_files([("detections/r.yml".to_owned(), rule)]).unwrap();
        CompiledRules::compile(&set).map(drop).map_err(|errors| {
            let problem = &errors[0].problem;
            (problem.to_string(), problem.hint.clone())
        })
    };
    assert_eq!(told("{who} {object.spec.type|verb} {}"), Ok(()));
    let (what, hint) = told("{whoo} did").unwrap_err();
    assert!(what.contains("unknown field `whoo`"), "{what}");
    assert_eq!(hint.as_deref(), Some("did you mean `{who}`?"));
    let (what, hint) = told("{user.nam}").unwrap_err();
    assert!(what.contains("unknown field `user.nam`"), "{what}");
    assert_eq!(hint.as_deref(), Some("did you mean `username`?"));
}
