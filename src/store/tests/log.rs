//! What is kept is what stands in the log.

use std::collections::HashMap;
use std::io::Read as _;

use serde_json::Value;

use super::*;

fn text(path: &str) -> String {
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    flate2::read::MultiGzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    text
}

/// Returns a value by its path of names.
fn at<'v>(event: &'v Value, path: &str) -> &'v str {
    let found = path
        .split('.')
        .try_fold(event, |value, name| value.get(name));
    found.and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn fields_are_those_of_the_lines() {
    for (logs, name) in READ.iter().zip(LOGS) {
        let text = text(name);
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), logs.plain.len());
        for (plain, event) in logs.plain.iter().zip(&lines) {
            for (column, path) in [
                (Column::AuditId, "auditID"),
                (Column::Stage, "stage"),
                (Column::Verb, "verb"),
                (Column::RequestUri, "requestURI"),
                (Column::Username, "user.username"),
                (Column::UserAgent, "userAgent"),
                (Column::Resource, "objectRef.resource"),
                (Column::Namespace, "objectRef.namespace"),
                (Column::Name, "objectRef.name"),
                (Column::Subresource, "objectRef.subresource"),
                (Column::Message, "responseStatus.message"),
            ] {
                assert_eq!(
                    plain.value(column.into()),
                    at(event, path),
                    "{path} of {}",
                    plain.row
                );
            }
            let status = event
                .pointer("/responseStatus/code")
                .and_then(Value::as_u64);
            let status = status.map_or(String::new(), |status| status.to_string());
            assert_eq!(plain.value(Column::Code.into()), status);
            let groups: Vec<&str> = event["user"]["groups"]
                .as_array()
                .map_or(Vec::new(), |groups| {
                    groups.iter().filter_map(Value::as_str).collect()
                });
            let kept = elements(
                Column::UserGroups.into(),
                plain.value(Column::UserGroups.into()),
            );
            let kept: Vec<&str> = kept
                .iter()
                .map(String::as_str)
                .filter(|text| !text.is_empty())
                .collect();
            assert_eq!(kept, groups);
            let time = chrono::DateTime::parse_from_rfc3339(at(event, "stageTimestamp")).unwrap();
            assert_eq!(plain.time, time.timestamp_micros());
        }
    }
}

#[test]
fn a_request_is_its_last_stage() {
    for logs in &*READ {
        let mut last: HashMap<&str, &Plain> = HashMap::new();
        for plain in logs.plain.iter().filter(|plain| plain.is_event) {
            last.insert(plain.value(Column::AuditId.into()), plain);
        }
        let requests = logs.plain.iter().filter(|plain| plain.is_request);
        let mut n_requests = 0;
        for request in requests {
            n_requests += 1;
            let id = request.value(Column::AuditId.into());
            let stage = request.value(Column::Stage.into());
            let final_stage = last[id].value(Column::Stage.into());
            assert_eq!(stage, final_stage, "{id}");
        }
        assert_eq!(n_requests, last.len());
    }
}

#[test]
fn tables_agree_with_the_counters_of_the_pipeline() {
    for logs in &*READ {
        for store in logs.stores() {
            let snapshot = store.snapshot();
            assert_eq!(snapshot.count(Rows::Events), logs.counters.events);
            assert_eq!(snapshot.count(Rows::Requests), logs.counters.requests);
            let (first, last) = snapshot.span().unwrap().unwrap();
            assert_eq!(Some(first), logs.counters.first.map(|time| time.0));
            assert_eq!(Some(last), logs.counters.last.map(|time| time.0));
        }
    }
}

#[test]
fn files_hold_what_memory_holds() {
    for logs in &*READ {
        assert_eq!(logs.memory.usage().spilled_rows, 0);
        assert!(logs.spilled.usage().spilled_rows > 0);
        assert!(logs.spilled.usage().memory_bytes <= 100 << 10);
        for store in [&logs.spilled, &logs.opened] {
            let other = plain(&store.snapshot());
            assert_eq!(other.len(), logs.plain.len());
            for (kept, other) in logs.plain.iter().zip(&other) {
                assert_eq!(kept.values, other.values);
                let state =
                    |plain: &Plain| (plain.row, plain.time, plain.is_event, plain.is_request);
                assert_eq!(state(kept), state(other));
            }
        }
    }
}

#[test]
fn a_log_that_was_spilled_into_its_folder_is_saved_there() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        memory_bytes: 100 << 10,
        folder: Some(folder.path().to_owned()),
    };
    let (spilled, _) = read(LOGS[0], limits);
    assert!(spilled.usage().spilled_rows > 0);
    spilled.save(folder.path()).unwrap();
    let opened = Store::open(folder.path(), Limits::default()).unwrap();
    let other = plain(&opened.snapshot());
    assert_eq!(other.len(), READ[0].plain.len());
    for (kept, other) in READ[0].plain.iter().zip(&other) {
        assert_eq!(
            (&kept.values, kept.is_request),
            (&other.values, other.is_request)
        );
    }
}

#[test]
fn a_closed_store_takes_nothing() {
    let store = Store::new(&Vocabulary::new(), tiny());
    store.close();
    read_into(&store, LOGS[0]);
    assert_eq!(store.usage().rows, 0);
    // The program ends without looking for a folder again.
    assert!(store.lock().folder.is_none());
}
