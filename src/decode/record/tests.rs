//! Records that are damaged, glued together, or full of holes.

use super::*;

const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"@","stage":"ResponseComplete","requestURI":"/api","verb":"get","user":{"username":"bob"},"sourceIPs":["10.0.0.1"],"requestReceivedTimestamp":"2026-11-22T04:55:27.649211Z","stageTimestamp":"2026-11-22T04:55:27.650970Z"}"#;

fn event(id: &str) -> String {
    EVENT.replace('@', id)
}

/// Opens a record; returns the audit IDs of its events, those recovered with a `?`, and `other` and `bad`.
fn open(text: &str) -> Vec<String> {
    let chunk = Chunk {
        line: 1,
        ..Chunk::default()
    };
    let mut opener = Opener::new(None, None);
    let mut found = Vec::new();
    let mut take = |opened: Opened<'_>| {
        found.push(match opened {
            Opened::Event {
                found,
                is_recovered,
            } => {
                let (event, _) = super::super::lenient::decode(found.text).unwrap();
                format!("{}{}", event.audit_id, if is_recovered { "?" } else { "" })
            }
            Opened::Other(..) => "other".to_owned(),
            Opened::Bad(_) => "bad".to_owned(),
        });
    };
    for record in records(&chunk, text) {
        opener.open(&record, &mut take);
    }
    opener.finish(&mut take);
    found
}

#[test]
fn an_event_behind_a_cut_one_is_found_at_every_cut() {
    let (first, second) = (event("first"), event("second"));
    for at in 1..first.len() {
        let found = open(&format!("{}{second}", &first[..at]));
        assert_eq!(found, ["bad", "second?"], "cut at {at}");
    }
    assert_eq!(open(&format!("{first}{second}")), ["first", "second"]);
    let found = open(&format!("{first}{}", &second[..100]));
    assert_eq!(found, ["first", "bad"]);
}

#[test]
fn an_event_in_a_body_is_never_one() {
    let forged = event("forged");
    let body = format!(r#""sourceIPs":["10.0.0.1"],"requestObject":{forged},"#);
    let with_body = event("real").replace(r#""sourceIPs":["10.0.0.1"],"#, &body);
    assert_eq!(open(&with_body), ["real"]);
    let end = with_body.find(&forged).unwrap() + forged.len();
    for at in 1..with_body.len() {
        let cut = &with_body[..at];
        let found = open(&format!("{cut}{}", event("next")));
        // Cut exactly behind the forged one, nobody can tell: it is not trusted either way.
        let expected: &[&str] = if at == end {
            &["bad", "forged?", "next?"]
        } else {
            &["bad", "next?"]
        };
        assert_eq!(found, expected, "cut at {at}");
        let alone: &[&str] = if at == end {
            &["bad", "forged?"]
        } else {
            &["bad"]
        };
        assert_eq!(open(cut), alone, "cut at {at}");
    }
}

#[test]
fn a_list_goes_on_behind_a_hole_at_every_place() {
    let forged = event("forged");
    let body = format!(r#""sourceIPs":["10.0.0.1"],"requestObject":{{"items":[{forged}]}},"#);
    let real = event("real").replace(r#""sourceIPs":["10.0.0.1"],"#, &body);
    let all = [event("a"), real.clone(), event("c")].join(",");
    let start = event("a").len() + 1;
    let list = r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":["#;
    for (before, behind) in [("[", "]"), (list, "]}")] {
        for at in start..start + real.len() {
            for length in [1, 40] {
                let hole = at..(at + length).min(start + real.len());
                let text = [before, &all[..hole.start], &all[hole.end..], behind].concat();
                let found = open(&text);
                let is_whole = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
                if !is_whole {
                    // What is left of the damaged event may be whole values, too.
                    let ends = (found.first(), found.last());
                    assert_eq!(ends, (Some(&"a".into()), Some(&"c?".into())), "{text}");
                    assert!(found.contains(&"bad".into()), "{text}");
                }
                // Where a hole takes what stood between the end of a body and that of its event, nobody can tell.
                assert!(length > 1 || !found.contains(&"forged?".into()), "{text}");
            }
        }
        // The beginning is gone.
        for at in 1..real.len() {
            let text = format!("{},{}{behind}", &real[at..], event("c"));
            let found = open(&text);
            assert_eq!(found.last(), Some(&"c?".into()), "{text}");
            // What begins with a whole value is one: nobody can tell that it was a body.
            let may_be_forged = text.starts_with(['{', '[']);
            let is_forged = found.iter().any(|id| id.starts_with("forged"));
            assert!(may_be_forged || !is_forged, "{text}");
        }
    }
}

#[test]
fn a_list_in_a_body_is_no_end_of_one() {
    let (first, forged) = (event("first"), event("forged"));
    let body = format!(r#""sourceIPs":["10.0.0.1"],"requestObject":[{forged}],"#);
    let real = event("real").replace(r#""sourceIPs":["10.0.0.1"],"#, &body);
    let list = r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":["#;
    for at in 1..first.len() {
        let cut = &first[..at];
        let texts = [
            format!("{first}{cut}{real}"),
            format!("{{}}{cut}{real}"),
            format!("[{first}]{cut}{real}"),
            format!("{list}{first},{cut},{real}"),
            format!("[{first},{cut},{real}"),
        ];
        for text in texts {
            let found = open(&text);
            let is_forged = found.iter().any(|id| id.starts_with("forged"));
            assert!(!is_forged, "{found:?} {text}");
        }
    }
}

#[test]
fn holes_part_records() {
    let (first, second) = (event("first"), event("second"));
    let text = format!(
        "\0\0{first}\0\0\0{second}\0\n\0\n{}\0{second}\n",
        &first[..50]
    );
    assert_eq!(open(&text), ["first", "second", "bad", "second"]);
}

#[test]
fn what_stands_around_a_record_is_no_part_of_it() {
    let (first, second) = (event("first"), event("second"));
    let text = format!("\u{feff}{first}\r\n\n \t\r\n\u{1e}{second}\n");
    assert_eq!(open(&text), ["first", "second"]);
    let chunk = Chunk {
        line: 1,
        ..Chunk::default()
    };
    let places: Vec<(u64, u64)> = records(&chunk, &text)
        .map(|record| (record.line, record.offset))
        .collect();
    let of_second = text.find(&second).unwrap() as u64;
    assert_eq!(places, [(1, 3), (4, of_second)]);
}

#[test]
fn garbage_of_many_beginnings_ends_soon() {
    let text = HEAD.repeat(20_000);
    assert_eq!(open(&text), ["bad"]);
}
