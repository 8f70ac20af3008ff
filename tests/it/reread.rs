//! Evidence leads back to the event it names.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kubescry::decode::record::{Opened, Opener, records};
use kubescry::decode::{Wanted, text_of, unwrap};
use kubescry::source::chunk::ChunkReader;
use kubescry::source::discover::discover;
use kubescry::source::open::open;
use kubescry::source::reread::Reread;
use kubescry::source::{InputFile, ReadOptions};
use serde_json::Value;

use crate::support::{options, root, run};

static GO: AtomicBool = AtomicBool::new(false);

/// Events of each log that are read again.
const SAMPLES: usize = 25;

fn input(path: &Path) -> InputFile {
    let mut found = discover(&[path.to_path_buf()]).files;
    assert_eq!(found.len(), 1);
    found.remove(0)
}

fn logs() -> Vec<PathBuf> {
    let folders = ["sample-logs", "tests/logs"].map(|folder| root().join(folder));
    let files = discover(&folders).files;
    files.into_iter().filter_map(|file| file.path).collect()
}

#[test]
fn evidence_of_every_log_leads_to_its_event() {
    let (mut n_read, mut n_logs, mut seed) = (0, 0, 1_usize);
    for path in logs() {
        let file = input(&path);
        let mut reread = Reread::new(&ReadOptions::default());
        let findings = run(&options(&[&path])).outcome.findings;
        let evidence: Vec<_> = findings
            .iter()
            .flat_map(|finding| &finding.evidence)
            .collect();
        for _ in 0..SAMPLES.min(evidence.len()) {
            seed = (seed * 48_271) % 0x7fff_ffff;
            let row = evidence[seed % evidence.len()];
            let record = reread.record(&file, row.offset, row.length, &GO);
            let record = record.unwrap_or_else(|error| panic!("{error}"));
            let wanted = Wanted {
                audit_id: &row.audit_id,
                stage: &row.stage,
                ..Wanted::default()
            };
            let event = unwrap(&record, &wanted);
            assert_eq!(event.as_bytes(), record, "these have no envelope");
            let event: Value = serde_json::from_str(&event).unwrap();
            assert_eq!(event["auditID"], *row.audit_id, "{}", path.display());
            assert_eq!(event["stage"], *row.stage);
            n_read += 1;
        }
        n_logs += 1;
    }
    assert!(n_logs > 40 && n_read > 500, "{n_read} of {n_logs}");
}

/// An event of a log: place and length of its record, and its text.
type Found = (u64, u32, String);

/// Returns the events of a log, and the header that its rows need.
fn events(file: &InputFile) -> (Vec<Found>, Option<Arc<str>>) {
    let read = ReadOptions::default();
    let content = open(file, &read).unwrap();
    let mut chunks = ChunkReader::new(0, file.name.clone(), content, &read);
    let (mut found, mut header) = (Vec::new(), None);
    while let Some(mut chunk) = chunks.next(Vec::new()).unwrap() {
        let (text, _) = text_of(std::mem::take(&mut chunk.data));
        let mut opener = Opener::new(None, chunk.header.as_deref());
        for record in records(&chunk, &text) {
            opener.open(&record, &mut |opened| {
                if let Opened::Event { found: event, .. } = opened {
                    let length = u32::try_from(record.text.len()).unwrap();
                    found.push((record.offset, length, event.text.to_owned()));
                }
            });
        }
        header = chunk.header;
    }
    (found, header)
}

#[test]
fn events_in_envelopes_are_found_again() {
    let folder = root().join("tests/envelopes");
    let (mut n_events, mut n_shapes) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap().path();
        let shape = entry.file_name().unwrap().to_str().unwrap().to_owned();
        let files = std::fs::read_dir(&entry)
            .unwrap()
            .map(|file| file.unwrap().path());
        let wrapped = files
            .into_iter()
            .find(|path| path.file_stem().is_some_and(|stem| stem == "wrapped"));
        let file = input(&wrapped.unwrap());
        let mut reread = Reread::new(&ReadOptions::default());
        let (found, expected_header) = events(&file);
        let header = reread.header(&file).unwrap();
        assert_eq!(header, expected_header, "{shape}");
        for (offset, length, text) in &found {
            let record = reread.record(&file, *offset, *length, &GO);
            let record = record.unwrap_or_else(|error| panic!("{shape}: {error}"));
            let expected: Value = serde_json::from_str(text).unwrap();
            let text_at = |key: &str| expected[key].as_str().unwrap_or_default();
            let wanted = Wanted {
                audit_id: text_at("auditID"),
                stage: text_at("stage"),
                header: header.as_deref(),
                format: None,
            };
            let event = unwrap(&record, &wanted);
            let event: Value = serde_json::from_str(&event)
                .unwrap_or_else(|error| panic!("{shape}: {error}: {event}"));
            assert_eq!(event["auditID"], expected["auditID"], "{shape}");
            assert_eq!(event["stage"], expected["stage"], "{shape}");
            // The response line of the oldest form does not say what the request was.
            if shape != "legacy-1.7" {
                assert_eq!(event, expected, "{shape}");
            }
            n_events += 1;
        }
        n_shapes += 1;
    }
    assert!(n_shapes >= 59 && n_events > 200, "{n_events} in {n_shapes}");
}
