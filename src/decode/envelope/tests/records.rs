//! Single records: forgery, damage, limits.

use std::io::Write as _;

use base64::Engine as _;

use super::super::{Format, Item, Unwrapper, is_csv_header, json, listed, restored_key, time};

const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","verb":"get"}"#;

/// Returns what `records` hold: `event CHAIN TEXT`, `other NAME` or `bad CAUSE`.
fn unwrap(only: Option<Format>, records: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut take = |item: Item<'_>| {
        found.push(match item {
            Item::Event(event) => format!("event {} {}", event.envelope, event.text),
            Item::Other { what, .. } => format!("other {what}"),
            Item::Bad { cause } => format!("bad {cause}"),
        });
    };
    let mut unwrapper = Unwrapper::new(only, None);
    for record in records {
        unwrapper.record(record, &mut take);
    }
    unwrapper.finish(&mut take);
    found
}

fn check(record: &str, expected: &[&str]) {
    assert_eq!(unwrap(None, &[record]), expected, "{record:.300}");
}

/// A record that holds `EVENT` behind `chain`.
fn check_chain(record: &str, chain: &str) {
    check(record, &[&format!("event {chain} {EVENT}")]);
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

#[test]
fn extensions_hold_an_event() {
    check_chain(
        &format!("CEF:0|V|P|1|1|n|3|rt=1 msg={EVENT} outcome=ok"),
        "CEF",
    );
    check_chain(&format!("LEEF:2.0|V|P|1|n|\tmsg={EVENT}\tsev=3"), "LEEF");
    check_chain(
        &format!("<13>Nov 22 05:00:00 h CEF:0|V|P|1|1|n|3|msg={EVENT}"),
        "CEF",
    );
    // Within an event, or behind words with quotes, the sign is text that a client chose.
    let event = EVENT.replace(r#""auditID":"a""#, r#""auditID":"CEF:0|msg={}""#);
    check(&event, &[&format!("event  {event}")]);
    let quoted = format!("say \"CEF:0| msg={EVENT}");
    assert!(unwrap(None, &[&quoted])[0].starts_with("bad "));
    // What a client wrote into another field is none of its own, and where it looks like one nobody can tell.
    let forged = EVENT.replace(r#""auditID":"a""#, r#""auditID":"forged""#);
    let escaped = |text: &str| text.replace('\\', r"\\").replace('=', r"\=");
    let agent = escaped(&format!("x={forged}"));
    check_chain(
        &format!("CEF:0|V|P|1|1|n|3|requestClientApplication={agent} msg={EVENT}"),
        "CEF",
    );
    for line in [
        format!("CEF:0|V|P|1|1|n|3|requestClientApplication={agent}"),
        format!("CEF:0|V|P|1|1|n|3|request={forged}"),
        format!("CEF:0|V|P|1|1|n|3|requestClientApplication=x msg={forged} msg={EVENT}"),
        format!("LEEF:2.0|V|P|1|n|\tuserAgent=x msg={forged}"),
    ] {
        let found = unwrap(None, &[&line]);
        assert!(!found[0].starts_with("event "), "{line}: {found:?}");
    }
    // Of JSON with escapes and no quotes the field is escaped again.
    let event = EVENT.replace(r#""auditID":"a""#, r#""auditID":"a \u003cb\u003e""#);
    let line = format!("CEF:0|V|P|1|1|n|3|msg={}", escaped(&event));
    check(&line, &[&format!("event CEF {event}")]);
    let cut = format!("CEF:0|V|P|1|1|n|3|msg={}", &EVENT[..40]);
    assert!(!unwrap(None, &[&cut])[0].starts_with("event "));
}

#[test]
fn fields_of_the_journal_are_named() {
    let records = ["_PID=1", &format!("MESSAGE={EVENT}"), "PRIORITY=6", "ANY=1"];
    let found = unwrap(None, &records);
    assert_eq!(found[0], "other a field of a journal entry");
    assert_eq!(found[1], format!("event journald {EVENT}"));
    assert_eq!(found[2], found[0]);
    assert!(found[3].starts_with("bad "), "{}", found[3]);
}

#[test]
fn objects_of_mongodb_become_plain() {
    let wrapped = r#"{"_id":{"$oid":"a"},"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","responseStatus":{"metadata":{},"code":{"$numberInt":"403"}},"requestObject":{"a":{"$date":"b"}},"requestReceivedTimestamp":{"$date":"2026-11-22T05:00:00.123Z"},"stageTimestamp":{"$date":{"$numberLong":"1795323600000"}}}"#;
    let plain = r#"{"_id":{"$oid":"a"},"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","responseStatus":{"metadata":{},"code":403},"requestObject":{"a":{"$date":"b"}},"requestReceivedTimestamp":"2026-11-22T05:00:00.123Z","stageTimestamp":"2026-11-22T05:00:00Z"}"#;
    let found = unwrap(None, &[wrapped]);
    let found: serde_json::Value =
        serde_json::from_str(found[0].strip_prefix("event  ").unwrap()).unwrap();
    let mut plain: serde_json::Value = serde_json::from_str(plain).unwrap();
    let time = found["stageTimestamp"].as_str().unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    plain["stageTimestamp"] = time.into();
    assert_eq!(found, plain);
}

#[test]
fn bodies_are_never_searched() {
    let event = EVENT.replace(
        r#""verb":"get""#,
        &format!(
            r#""requestObject":{{"log":{EVENT},"message":{},"items":[{EVENT}]}}"#,
            quoted(EVENT)
        ),
    );
    check(&event, &[&format!("event  {event}")]);
    let wrapped = format!(r#"{{"message":{}}}"#, quoted(&event));
    check(&wrapped, &[&format!("event message {event}")]);
    check(
        &format!(r#"{{"kind":"Secret","apiVersion":"v1","data":{EVENT}}}"#),
        &["other a Kubernetes object of kind `Secret`"],
    );
    check(
        &format!(r#"{{"kind":"PodList","apiVersion":"v1","items":[{EVENT}]}}"#),
        &["other a Kubernetes object of kind `Event`"],
    );
    check(
        r#"{"kind":"FooList","apiVersion":"x/v1","items":[{"auditID":"a"}]}"#,
        &["other an item of a `FooList`"],
    );
}

#[test]
fn tail_of_a_cut_event_hides_no_forged_one() {
    for tail in [
        format!(r#"ce":"x","requestObject":{EVENT},"stage":"x"}}"#),
        format!(r#"x","requestObject": {EVENT}}}"#),
        format!(r#"true,"requestObject":{EVENT}}}"#),
        format!("1,{EVENT}]}}"),
    ] {
        check(
            &tail,
            &["bad neither JSON nor a known log line; auditID `a`"],
        );
        check(
            &format!("2026-11-22T05:10:25Z stdout F {tail}"),
            &["bad part of an event; auditID `a`"],
        );
    }
}

#[test]
fn cut_event_is_bad_with_its_id() {
    let cut =
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"7c-1","requestObject":{"x"#;
    let causes = unwrap(None, &[cut, &format!(r#"{{"message":{}}}"#, quoted(cut))]);
    for cause in causes {
        assert!(cause.starts_with("bad cut or damaged JSON"), "{cause}");
        assert!(cause.ends_with("auditID `7c-1`"), "{cause}");
    }
}

#[test]
fn cut_lists_give_what_is_whole() {
    let found = unwrap(
        None,
        &[&format!(
            r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{EVENT},{EVENT},{{"kind"#
        )],
    );
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0].starts_with("event EventList") && found[2].starts_with("bad "),
        "{found:?}"
    );
    let found = unwrap(
        None,
        &[&format!(
            r#"{{"took":1,"hits":{{"hits":[{{"_source":{EVENT}}},{{"_so"#
        )],
    );
    assert!(
        found[0].starts_with("event ") && found[1].starts_with("bad "),
        "{found:?}"
    );
    let found = unwrap(None, &[&format!("[{EVENT},{EVENT}")]);
    assert_eq!(found.len(), 3, "{found:?}");
    // A list of other objects stays closed, cut or not.
    let found = unwrap(
        None,
        &[&format!(
            r#"{{"kind":"FooList","apiVersion":"x/v1","items":[{EVENT},{{"#
        )],
    );
    assert!(
        found.len() == 1 && found[0].starts_with("bad "),
        "{found:?}"
    );
}

#[test]
fn texts_before_an_event() {
    check_chain(&format!("node-1 {EVENT}"), "node prefix");
    check_chain(
        &format!("2024-05-01 10:00:00,123 INFO audit: {EVENT}"),
        "syslog",
    );
    check_chain(&format!("audit: INFO {EVENT}"), "prefix");
    check_chain(&format!("/var/log/audit.log:12:{EVENT}"), "prefix");
    check_chain(&format!("audit.log-12-{EVENT}"), "prefix");
    check_chain(&format!("[pod/kube-apiserver-n1/server] {EVENT}"), "prefix");
    for brackets in [
        "[2026-11-22T04:55:35Z] ",
        "[m0] ",
        "[m0]",
        "[12] [m0] ",
        "[2026-11-22 04:55:35] INFO audit: ",
    ] {
        check_chain(&format!("{brackets}{EVENT}"), "prefix");
    }
    check("[m0] no event", &["bad neither JSON nor a known log line"]);
    // A line that lacks its beginning may go on with a body.
    for cut in [":", "a\":", "-"] {
        let found = unwrap(None, &[&format!("{cut}{EVENT}")]);
        assert!(found[0].starts_with("bad "), "{cut}: {found:?}");
    }
    check_chain(&format!("\u{feff}\0{EVENT}\0\r"), "");
    check_chain(&format!("2026-11-22T05:10:25Z stderr F:x {EVENT}"), "CRI");
}

#[test]
fn klog_lines_hold_events_as_such_only() {
    let head = "I1122 04:55:35.000000       1 main.go:12] ";
    check_chain(&format!("{head}{EVENT}"), "klog");
    check_chain(&format!("2026-11-22T04:55:35Z {head}{EVENT}"), "klog");
    let list = format!(
        r#"{{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{{}},"items":[{EVENT}]}}"#
    );
    check_chain(&format!("{head}{list}"), "klog > EventList");
    let cut = unwrap(None, &[&format!("{head}{}", &EVENT[..EVENT.len() - 20])]);
    assert!(cut[0].starts_with("bad cut or damaged JSON"), "{cut:?}");
    for message in [
        format!(r#"{{"message":{}}}"#, quoted(EVENT)),
        format!(r#""request" body={}"#, quoted(EVENT)),
        format!("request {EVENT}"),
        r#"{"kind":"Event","apiVersion":"v1","auditID":"a"}"#.to_owned(),
        "starting".to_owned(),
    ] {
        let found = unwrap(None, &[&format!("{head}{message}")]);
        assert!(
            found.len() == 1 && found[0].starts_with("other a klog line"),
            "{found:?}"
        );
    }
}

#[test]
fn unknown_wrappings_are_named() {
    check(
        &format!(r#"{{"n":1,"zork":{}}}"#, quoted(EVENT)),
        &[
            "other a JSON object of another kind that holds the words of an audit event, under `zork`",
        ],
    );
    check(
        &format!(
            r#"I1122 04:55:35.000000       1 main.go:12] "got" body={}"#,
            quoted(EVENT)
        ),
        &["other a klog line that holds the words of an audit event"],
    );
    check(
        r#"{"zork":"audit"}"#,
        &["other a JSON object of another kind"],
    );
}

#[test]
fn separators_are_no_damage() {
    for line in [",", "[", "]", " ],"] {
        check(line, &["other a comma or bracket between records"]);
    }
    check(&format!("{EVENT},"), &[&format!("event  {EVENT}")]);
    check(&format!("{EVENT} , "), &[&format!("event  {EVENT}")]);
    check(
        &format!("{EVENT} trailing text"),
        &[
            &format!("event  {EVENT}"),
            "other words behind a JSON document",
        ],
    );
    let cut = unwrap(None, &[&format!("{EVENT} \"x\":1}}")]);
    assert!(cut.iter().any(|it| it.starts_with("bad ")), "{cut:?}");
}

/// Returns what the second row of a table of one row holds.
fn of_table(header: &str, row: &str) -> String {
    let found = unwrap(Some(Format::Csv), &[header, row]);
    found[1].clone()
}

#[test]
fn signs_of_an_absent_cell_are_no_values() {
    let header = "user.username,verb,auditID,impersonatedUser.username,userAgent,objectRef.name";
    let event = of_table(header, "a,get,x, - ,(null),(blank)");
    assert!(
        !event.contains("impersonated") && !event.contains("Agent"),
        "{event}"
    );
    assert!(!event.contains("objectRef"), "{event}");
    assert!(of_table(header, "a,get,x,-a,b,-b").contains(r#""name":"-b""#));
}

#[test]
fn a_blank_status_of_google_is_a_default() {
    const HEADER: &str = "insertId,protoPayload.methodName,protoPayload.resourceName,protoPayload.serviceName,timestamp";
    const ROW: &str = "a,io.k8s.core.v1.nodes.list,core/v1/nodes,k8s.io,2026-11-22T04:55:35Z";
    let with = |column: &str, cell: &str| {
        of_table(&format!("{HEADER},{column}"), &format!("{ROW},{cell}"))
    };
    for (column, cell, expected) in [
        ("protoPayload.status.code", "", r#""code":200"#),
        ("protoPayload.status.code", "7", r#""code":403"#),
        ("protoPayload.status", "", r#""code":200"#),
        ("protoPayload.status", r#""{""code"":5}""#, r#""code":404"#),
    ] {
        let event = with(column, cell);
        assert!(event.contains(expected), "{column} {cell}: {event}");
    }
    assert!(!of_table(HEADER, ROW).contains("responseStatus"));
    let both = "protoPayload.status,protoPayload.status.code";
    assert!(with(both, ",7").contains(r#""code":403"#));
    assert!(!with("protoPayload.status.message", "denied").contains(r#""code""#));
}

#[test]
fn parts_keep_the_blanks_they_end_in() {
    let (start, end) = EVENT.split_at(EVENT.len() - 10);
    let event = format!("{start}   {end}");
    let cri = |tag: &str, text: &str| format!("2026-11-22T05:10:25Z stdout {tag} {text}");
    assert_eq!(
        unwrap(
            None,
            &[
                &cri("P", &format!("{start}  ")),
                &cri("F", &format!(" {end}"))
            ]
        )[1],
        format!("event CRI {event}")
    );
}

#[test]
fn envelopes_nest_so_deep_and_no_deeper() {
    let wrap = |times| {
        (0..times).fold(EVENT.to_owned(), |inner, _| {
            format!(r#"{{"message":{}}}"#, quoted(&inner))
        })
    };
    check_chain(&wrap(6), &["message"; 6].join(" > "));
    check(&wrap(7), &["bad wrapped more than 6 times"]);
}

#[test]
fn nesting_uses_no_stack() {
    for open in [
        "[",
        r#"{"message":"#,
        r#"{"items":["#,
        r#"{"data":{"hits":"#,
        r#"{"kind":"Event","auditID":"a","requestObject":["#,
    ] {
        let text = open.repeat(200_000);
        let thread = std::thread::Builder::new().stack_size(256 * 1024);
        let found = thread
            .spawn(move || unwrap(None, &[&text]))
            .unwrap()
            .join()
            .unwrap();
        assert!(
            found.iter().all(|item| item.starts_with("bad ")),
            "{open}: {found:?}"
        );
    }
    let deep = format!(
        r#"{{"annotations":{}1{},"auditID":"a"}}"#,
        r#"{"k8s_io":"#.repeat(20_000),
        "}".repeat(20_000)
    );
    assert!(unwrap(None, &[&deep])[0].starts_with("event "));
}

#[test]
fn objects_that_fit_everything_are_given_up() {
    let mut value = format!(r#"{{"x":"{}"}}"#, "y".repeat(1 << 20));
    for _ in 0..6 {
        value = format!(
            r#"{{"_id":1,"agent":1,"json":{value},"attributes":{{}},"log_processed":{{}}}}"#
        );
    }
    assert_eq!(unwrap(None, &[&value]).len(), 1);
}

fn gzip(text: &[u8]) -> String {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text).unwrap();
    base64::engine::general_purpose::STANDARD.encode(gzip.finish().unwrap())
}

#[test]
fn gzip_bombs_end() {
    let bomb = gzip(&vec![b' '; 70 << 20]);
    let found = unwrap(None, &[&format!(r#"{{"awslogs":{{"data":"{bomb}"}}}}"#)]);
    assert!(
        found
            .iter()
            .any(|item| item.contains("more than 67108864 bytes")),
        "{found:?}"
    );
}

#[test]
fn cut_gzip_gives_what_is_before_the_cut() {
    let packed = gzip(format!("{EVENT}\n").repeat(2000).as_bytes());
    let cut = &packed[..packed.len() - 16];
    let found = unwrap(
        None,
        &[&format!(
            r#"{{"message":{{"data":"{cut}","messageId":"1"}}}}"#
        )],
    );
    assert!(found.len() > 1000, "{}", found.len());
    assert!(
        found.last().unwrap().contains("damaged gzip data"),
        "{:?}",
        found.last()
    );
}

#[test]
fn unfinished_lines_are_reported() {
    let part = r#"{"log":"{\"auditID\":\"x\",","stream":"stdout","time":"t"}"#;
    assert_eq!(
        unwrap(None, &[part]),
        [
            "other part of a longer container log line",
            "bad a container log line without its end; auditID `x`"
        ]
    );
    let cri = |tag: &str, text: &str| format!("2026-11-22T05:10:25Z stdout {tag} {text}");
    assert_eq!(
        unwrap(None, &[&cri("P", r#"{"auditID":"x","#), &cri("F", EVENT)]),
        [
            "other part of a longer container log line",
            "bad a container log line without its end; auditID `x`",
            &format!("event CRI {EVENT}"),
        ]
    );
    // A middle part that is an event by itself is still a part: it may be a body.
    let found = unwrap(
        None,
        &[
            &cri("P", r#"{"auditID":"x","requestObject":"#),
            &cri("P", EVENT),
            &cri("F", "}"),
        ],
    );
    assert_eq!(
        found[2],
        format!(
            r#"event CRI {{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"x","requestObject":{EVENT}}}"#
        )
    );
}

#[test]
fn format_restricts_the_outermost_envelope() {
    let line = format!("2026-11-22T05:10:25Z stdout F {EVENT}");
    assert_eq!(
        unwrap(Some(Format::Cri), &[&line]),
        [format!("event CRI {EVENT}")]
    );
    assert_eq!(
        unwrap(Some(Format::Docker), &[&line]),
        ["bad no record of the format `docker`"]
    );
    let nested = format!(
        r#"{{"log":{},"stream":"stdout","time":"t"}}"#,
        quoted(&format!("{line}\n"))
    );
    assert_eq!(
        unwrap(Some(Format::Docker), &[&nested]),
        [format!("event docker > CRI {EVENT}")]
    );
    assert_eq!(
        unwrap(Some(Format::Csv), &["x,body", r#"1,"{""auditID"":""a""}""#])[1],
        r#"event CSV > body {"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a"}"#
    );
    // Without a header, and with quotes as they are.
    let event = format!("event CSV {EVENT}");
    assert_eq!(
        unwrap(
            Some(Format::Csv),
            &[&format!("1,\"{EVENT}\""), &format!("2,{EVENT}")]
        ),
        [&*event, &*event]
    );
    // Exports of stores are tables, too.
    let row = format!("1,\"{}\"", EVENT.replace('"', "\"\""));
    assert_eq!(
        unwrap(Some(Format::Cloudwatch), &["@timestamp,@message", &row])[1],
        format!("event CSV > CloudWatch Logs Insights {EVENT}")
    );
    assert_eq!(
        unwrap(Some(Format::Docker), &["@timestamp,@message", &row])[1],
        "bad no record of the format `docker`"
    );
}

#[test]
fn formats_have_names_that_parse() {
    for format in Format::ALL {
        assert_eq!(format.name().parse(), Ok(format));
        assert!(!format.description().is_empty());
    }
    assert_eq!(
        "x".parse::<Format>().unwrap_err().to_string(),
        "unknown input format `x`"
    );
}

#[test]
fn what_follows_damage_on_a_line_is_read() {
    let second = EVENT.replace(r#""a""#, r#""b""#);
    let found = unwrap(None, &[&format!("{EVENT},{second};")]);
    assert_eq!(
        found,
        [format!("event  {EVENT}"), format!("event  {second}")]
    );
    for junk in [" junk ", r#"{"kind":"Event","requestURI":"/api"#] {
        let found = unwrap(None, &[&format!("{EVENT}{junk}{second}")]);
        assert_eq!(found.len(), 3, "{junk}: {found:?}");
        assert!(found[1].starts_with("bad "), "{junk}: {found:?}");
        assert_eq!(found[2], format!("event  {second}"), "{junk}");
    }
    // A list in a body that lacks its beginning: what it holds was chosen by a client.
    let found = unwrap(None, &[&format!(r#"{{"x":1}},{second}]}},"stage":"y"}}"#)]);
    assert!(
        found.iter().all(|item| !item.starts_with("event ")),
        "{found:?}"
    );
}

#[test]
fn fields_that_stores_have_made_texts_of() {
    let stored = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","user":"{\"username\":\"u\"}","verb":"{}"}"#;
    let expected = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","user":{"username":"u"},"verb":"{}"}"#;
    assert_eq!(
        unwrap(None, &[&format!(r#"{{"message":{stored}}}"#)]),
        [format!("event message {expected}")]
    );
}

#[test]
fn answers_of_stores() {
    let text = quoted(EVENT);
    for (answer, chain) in [
        (
            format!(r#"{{"columns":[{{"name":"message"}}],"rows":[[{text}]]}}"#),
            "table > message",
        ),
        (
            format!(r#"{{"fields":["_time","_raw"],"rows":[[1,{text}]]}}"#),
            "table > Splunk",
        ),
        (
            format!(r#"{{"hits":{{"hits":[{{"_id":"0","fields":{{"message":[{text}]}}}}]}}}}"#),
            "Elasticsearch > message > array > string",
        ),
        (format!(r#"{{"topic":"t","payload":{text}}}"#), "payload"),
        (format!(r#"{{"RawEvent":{text}}}"#), "RawEvent"),
        (
            format!(r#"[0] kube.audit: [[1795323335.9, {{}}], {{"log"=>"{EVENT}"}}]"#),
            "Fluent Bit",
        ),
        (
            format!(r#"[0] kube.audit: [1795323335.9, {{"log"=>{text}}}]"#),
            "Fluent Bit",
        ),
        (format!("Nov 22 05:10:25 {EVENT}"), "syslog"),
    ] {
        check_chain(&answer, chain);
    }
}

#[test]
fn lists_in_one_cell() {
    let check = |cell: &str, expected: &[&str]| assert_eq!(listed(cell), expected, "{cell}");
    check(
        "system:masters,system:authenticated",
        &["system:masters", "system:authenticated"],
    );
    check("a; system:authenticated", &["a", "system:authenticated"]);
    check("CN=admins,OU=it", &["CN=admins,OU=it"]);
    check("10.0.0.1, fe80::1", &["10.0.0.1", "fe80::1"]);
    check("a,b", &["a,b"]);
}

#[test]
fn rows_without_their_header() {
    let doubled = EVENT.replace('"', "\"\"");
    check_chain(&format!("2026-11-22 05:10:25.123,\"{doubled}\""), "CSV");
    assert!(is_csv_header("@timestamp,@message"));
    assert!(is_csv_header("_raw"));
    assert!(!is_csv_header("time,value"));
    assert!(!is_csv_header(EVENT));
}

#[test]
fn a_cell_adds_no_members_to_its_row() {
    let header = "auditID,verb,user,objectRef";
    let found = |row: &str| {
        let mut found = Vec::new();
        Unwrapper::new(None, Some(header)).record(row, &mut |item| match item {
            Item::Event(event) => found.push(event.text.to_owned()),
            Item::Other { what, .. } => found.push(what.into_owned()),
            Item::Bad { cause } => found.push(format!("bad {cause}")),
        });
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    };
    let whole = found(r#"a,list,"{""username"":""bob""}","{""resource"":""pods""}""#);
    assert!(whole.contains(r#""user":{"username":"bob"}"#), "{whole}");
    // A name that a client chose.
    let forged = found(r#"a,list,"{},""verb"":""get""","{""resource"":""pods""}""#);
    let forged: serde_json::Value = serde_json::from_str(&forged).unwrap();
    assert_eq!(forged["verb"], "list");
    assert_eq!(forged["user"], r#"{},"verb":"get""#);
    assert!(found(r#"a,list,"{""username"":""bob""}","{""#).starts_with("bad "));
}

#[test]
fn events_stay_byte_for_byte() {
    let odd = r#"{ "kind":"Event", "apiVersion":"audit.k8s.io/v1","x":1.0e400,"auditID":"\ud800","a":1,"a":2}"#;
    check(
        &format!(r#"{{"message":{}}}"#, quoted(odd)),
        &[&format!("event message {odd}")],
    );
    check(&format!("[{odd}]"), &[&format!("event array {odd}")]);
}

#[test]
fn lone_surrogates_are_replaced() {
    assert_eq!(
        json::string(r#""a\ud800\n\ud83d\ude00é\\""#).unwrap(),
        "a\u{fffd}\n😀é\\"
    );
    assert_eq!(json::string(r#""\ud800\u00""#), None);
}

#[test]
fn changed_keys_are_restored() {
    let check = |key: &str, expected: Option<&str>| {
        assert_eq!(restored_key(key).as_deref(), expected, "{key}");
    };
    check(
        "authorization_k8s_io/decision",
        Some("authorization.k8s.io/decision"),
    );
    check(
        "authorization_k8s_io_decision",
        Some("authorization.k8s.io/decision"),
    );
    check(
        "authentication_kubernetes_io_credential_id",
        Some("authentication.kubernetes.io/credential-id"),
    );
    check(
        "pod_security_kubernetes_io/enforce-policy",
        Some("pod-security.kubernetes.io/enforce-policy"),
    );
    check("authorization.k8s.io/decision", None);
    check("my_company_io/x", None);
}

#[test]
fn times_of_exports() {
    let check = |text: &str, expected: &str| {
        assert_eq!(time::rfc3339(text).unwrap_or_default(), expected, "{text}");
    };
    check(
        "2026-11-22T05:10:25.123456789Z",
        "2026-11-22T05:10:25.123456789Z",
    );
    check("2026-11-22 05:10:25", "2026-11-22T05:10:25Z");
    check("2026-11-22 05:10:25.1 UTC", "2026-11-22T05:10:25.1Z");
    check("2026-11-22T05:10:25+0100", "2026-11-22T05:10:25+01:00");
    check("2026-11-22T05:10:25-04:00", "2026-11-22T05:10:25-04:00");
    check("1795324225", "2026-11-22T05:10:25.000000Z");
    check("1795324225.25", "2026-11-22T05:10:25.250000Z");
    check("1795324225123", "2026-11-22T05:10:25.123000Z");
    check("1795324225123456", "2026-11-22T05:10:25.123456Z");
    check("1795324225123456789", "2026-11-22T05:10:25.123456Z");
    check("1.79532422525E9", "2026-11-22T05:10:25.250000Z");
    check("951782400", "2000-02-29T00:00:00.000000Z");
    check("11/22/2026, 12:10:25.123 AM", "2026-11-22T00:10:25.123Z");
    check("11/22/2026, 5:10:25 PM", "2026-11-22T17:10:25Z");
    check("yesterday", "");
    check("2026-11-22T05:10:25+0€", "");
    check("2026-11-22T05:10:25+€00", "");
    check("2026-11-22T05:10:25+00:0é", "");
    check("2026-11-22T05:10:25+010", "");
    check("2026-11-2é 05:10:25", "");
    check("", "");
}

#[test]
fn gke_status_follows_the_table() {
    let check = |rest: &str, verb: &str, expected: &str| {
        let entry = format!(
            r#"{{"insertId":"i","timestamp":"2026-11-22T05:10:25Z","protoPayload":{{"serviceName":"k8s.io","methodName":"io.k8s.core.v1.pods.{verb}","resourceName":"core/v1/pods"{rest}}}}}"#
        );
        let found = unwrap(None, &[&entry]);
        let event: serde_json::Value =
            serde_json::from_str(found[0].strip_prefix("event GKE ").unwrap()).unwrap();
        let code = event
            .get("responseStatus")
            .map_or(String::new(), |status| status["code"].to_string());
        assert_eq!(code, expected, "{rest}");
    };
    let codes = [
        (0, "200"),
        (3, "400"),
        (5, "404"),
        (6, "409"),
        (7, "403"),
        (8, "429"),
        (9, "400"),
        (10, "409"),
        (13, "500"),
        (14, "503"),
        (16, "401"),
        (404, "404"),
    ];
    for (rpc, http) in codes {
        check(&format!(r#","status":{{"code":{rpc}}}"#), "get", http);
    }
    check(r#","status":{}"#, "create", "201");
    check(r#","response":{"kind":"Pod"}"#, "create", "201");
    check(
        r#","response":{"@type":"core.k8s.io/v1.Status","code":422,"status":"Failure"},"status":{"code":3}"#,
        "create",
        "422",
    );
    // No status and no response: a refusal is known from the checks, a success is not.
    check("", "get", "");
    check(r#","authorizationInfo":[{"granted":true}]"#, "get", "");
    check(r#","authorizationInfo":[{"granted":false}]"#, "get", "403");
}

#[test]
fn empty_envelopes_are_counted() {
    for record in [
        "[]",
        r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[]}"#,
        r#"{"events":[],"searchedLogStreams":[]}"#,
        r#"{"results":[],"statistics":{}}"#,
        r#"{"resourceLogs":[]}"#,
        r#"{"data":{"result":[]}}"#,
        r#"{"hits":{"hits":[]}}"#,
        r#"{"Records":[]}"#,
        r#"{"records":[]}"#,
        r#"{"log":"\n","stream":"stdout","time":"t"}"#,
        "1",
        "x",
    ] {
        let found = unwrap(None, &[record]);
        assert_eq!(found.len(), 1, "{record}: {found:?}");
    }
}

#[test]
fn cloud_management_logs_are_named() {
    check(
        r#"{"Records":[{"eventVersion":"1.08","eventSource":"eks.amazonaws.com","eventName":"x"}]}"#,
        &["other a CloudTrail record"],
    );
    check(
        r#"{"protoPayload":{"serviceName":"compute.googleapis.com"},"insertId":"i","logName":"l"}"#,
        &["other a Google Cloud audit record of `compute.googleapis.com`"],
    );
    check(
        r#"{"insertId":"i","logName":"l","textPayload":"GET /"}"#,
        &["other a log line that is no JSON"],
    );
    check_chain(
        &format!(r#"{{"insertId":"i","logName":"l","jsonPayload":{EVENT}}}"#),
        "Cloud Logging",
    );
    check(
        r#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":null}"#,
        &["bad a journal entry without its text; export with `journalctl --all`"],
    );
}
