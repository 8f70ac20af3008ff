//! What the two paths promise together.

use super::*;
use crate::frame::Vocabulary;

/// A failed authentication and a served request, as kube-apiserver 1.36 wrote them.
const EVENTS: &[&str] = &[
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"5d0c","stage":"ResponseStarted","requestURI":"/api/v1/secrets?limit=500\u0026watch=1","verb":"watch","user":{},"sourceIPs":["203.0.113.7","127.0.66.10"],"userAgent":"curl/7.88.1","objectRef":{"resource":"secrets","apiVersion":"v1"},"responseStatus":{"metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401},"requestReceivedTimestamp":"2026-11-22T04:55:27.649211Z","stageTimestamp":"2026-11-22T04:55:27.650970Z"}"#,
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"9f","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/dev/serviceaccounts/a","verb":"delete","user":{"username":"bob","groups":["dev","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["X509SHA256=ab"]}},"impersonatedUser":{"username":"x"},"authenticationMetadata":{"impersonationConstraint":"impersonate:user-info"},"sourceIPs":["127.0.2.12"],"userAgent":"kubectl","objectRef":{"resource":"serviceaccounts","namespace":"dev","name":"a","apiVersion":"v1","resourceVersion":"7"},"responseStatus":{"metadata":{},"status":"Success","details":{"name":"a","kind":"serviceaccounts","uid":"u-1"},"code":200},"requestObject":{"kind":"DeleteOptions","a":[1,{"b":"}\""}]},"responseObject":{},"requestReceivedTimestamp":"2026-11-22T04:55:27.649211Z","stageTimestamp":"2026-11-22T04:55:27.650970Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"b\""}}"#,
];

fn coder() -> Coder {
    Coder::new(&Vocabulary::new())
}

/// An event with the codes of its pieces instead of their numbers.
type Resolved<'a> = (CodedEvent<'a>, Vec<Vec<u32>>);

fn resolved<'a>(mut event: CodedEvent<'a>, coder: &Coder) -> Resolved<'a> {
    let pieces = coder.take_pieces(&mut event);
    (event, pieces)
}

/// Reads a line on the fast path.
fn fast<'a>(line: &'a str, coder: &mut Coder) -> Option<Resolved<'a>> {
    let mut event = CodedEvent::default();
    fast::decode(line, coder, &mut event)?;
    Some(resolved(event, coder))
}

/// Reads a line on the general path.
fn general<'a>(line: &'a str, coder: &mut Coder) -> Option<Resolved<'a>> {
    let mut event = CodedEvent::default();
    coder.event(lenient::decode(line).ok()?, &mut event);
    Some(resolved(event, coder))
}

#[test]
fn fast_path_takes_what_the_api_server_writes() {
    let mut coder = coder();
    for line in EVENTS {
        assert!(fast(line, &mut coder).is_some(), "{line}");
    }
}

#[test]
fn fast_path_agrees_with_the_general_one_on_every_cut_and_flip() {
    let mut coder = coder();
    for line in EVENTS {
        // First it reads the pieces, then it knows them.
        for _ in 0..2 {
            let event = fast(line, &mut coder);
            assert_eq!(event, general(line, &mut coder));
        }
        for at in 0..line.len() {
            let flips = b"\"\\{}[],:0 \nx".iter().map(|&byte| {
                let mut bytes = line.as_bytes().to_vec();
                bytes[at] = byte;
                bytes
            });
            for bytes in flips.chain([line.as_bytes()[..at].to_vec()]) {
                let Ok(damaged) = std::str::from_utf8(&bytes) else {
                    continue;
                };
                if let Some(event) = fast(damaged, &mut coder) {
                    assert_eq!(Some(event), general(damaged, &mut coder), "{damaged}");
                }
            }
        }
    }
}

#[test]
fn a_body_of_null_is_none() {
    let line = EVENTS[1].replace(r#""responseObject":{}"#, r#""responseObject":null"#);
    let mut coder = coder();
    let event = fast(&line, &mut coder);
    assert!(event.as_ref().unwrap().0.response_object.is_empty());
    assert_eq!(event, general(&line, &mut coder));
}

#[test]
fn values_land_in_their_fields() {
    let mut coder = coder();
    let (event, pieces) = fast(EVENTS[0], &mut coder).unwrap();
    let text = |code: u32| coder.vocabulary().text(code);
    assert_eq!(event.request_uri, "/api/v1/secrets?limit=500&watch=1");
    assert_eq!(event.code, 401);
    assert_eq!(event.stage_time, Some(1_795_323_327_650_970));
    assert_eq!(text(pieces[0][0]), "");
    let addresses: Vec<&str> = pieces[2].iter().map(|&code| text(code)).collect();
    let all = r#"["203.0.113.7","127.0.66.10"]"#;
    assert_eq!(addresses, [all, "203.0.113.7", "127.0.66.10"]);
    let (event, pieces) = fast(EVENTS[1], &mut coder).unwrap();
    let texts = |piece: usize| -> Vec<&str> {
        let row = pieces[piece].iter().take(10);
        row.map(|&code| coder.vocabulary().text(code)).collect()
    };
    assert_eq!(texts(0)[0], "bob");
    assert_eq!(texts(0)[3], "X509SHA256=ab");
    assert_eq!(texts(1)[0], "x");
    assert_eq!(texts(3), ["serviceaccounts", "", "dev", "", "v1"]);
    assert_eq!((&*event.name, &*event.details_uid), ("a", "u-1"));
    let body = event.request_object.slice(EVENTS[1]);
    assert!(body.starts_with(r#"{"kind":"DeleteOptions""#));
    assert_eq!(
        texts(4)[..2],
        ["allow", r#"RBAC: allowed by ClusterRoleBinding "b""#]
    );
}

#[test]
fn broken_utf8_costs_no_event() {
    let mut data = EVENTS[0].replace("curl", "c\u{e9}rl").into_bytes();
    let at = data.iter().position(|&byte| byte == 0xc3).unwrap();
    data[at] = 0xff;
    assert_eq!(repair_utf8(&mut data), 2);
    let text = String::from_utf8(data).unwrap();
    let mut coder = coder();
    let mut event = CodedEvent::default();
    decode(&text, &mut coder, &mut event).unwrap();
    assert_eq!(coder.vocabulary().text(event.user_agent), "c??rl/7.88.1");
}
