use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use crate::detect::CompiledRules;
use crate::detect::engine::Outcome;
use crate::finding::Finding;
use crate::finding::credential::Credential;
use crate::finding::incident::Incident;
use crate::frame::Vocabulary;
use crate::pipeline::merge::Merge;
use crate::pipeline::reader::Notes;
use crate::pipeline::{Horizon, Job, Options, Recycled, Worker, engine};
use crate::rules::RuleSet;
use crate::source::discover::discover;
use crate::source::{Chunk, InputFile};

/// What is said: findings, incidents, credentials and the number of requests.
type Said = (Vec<Finding>, Vec<Incident>, Vec<Credential>, u64);

fn said(outcome: Outcome) -> Said {
    let Outcome {
        findings,
        incidents,
        credentials,
        requests,
        ..
    } = outcome;
    (findings, incidents, credentials, requests)
}

/// Reads a log batch by batch; returns what previews say, one behind each batch if they are asked for, and what is said in
/// the end. Adds to `open` the requests whose end the previews had not seen.
fn read(
    batches: &[&[u8]],
    with_previews: bool,
    rules: &RuleSet,
    compiled: &CompiledRules,
    open: &mut usize,
) -> (Vec<Said>, Said) {
    let options = Options {
        credentials: true,
        ..Options::default()
    };
    let mut discovery = discover(&[]);
    discovery.files.push(InputFile {
        path: None,
        name: "log".into(),
        lane: 0,
        from: crate::source::Start::default(),
        is_growing: false,
        piece: None,
    });
    let vocabulary = Vocabulary::new();
    let recycled = Arc::<Recycled>::default();
    let engine = engine(rules, compiled, &vocabulary, &options).unwrap();
    let mut merge = Merge::new(Arc::clone(&recycled), &vocabulary, engine, &options);
    merge.begin(&mut discovery);
    let worker = Worker::new(
        &discovery.files,
        &recycled,
        &vocabulary,
        rules,
        compiled,
        &options,
        1,
    );
    let mut previews = Vec::new();
    let (mut line, mut offset) = (1, 0);
    for (sequence, batch) in (0..).zip(batches) {
        merge.take(worker.work(Job {
            sequence,
            lane: 0,
            horizon: Horizon::END,
            chunk: Some(Chunk {
                line,
                offset,
                data: batch.to_vec(),
                ..Chunk::default()
            }),
            notes: Notes::default(),
        }));
        line += batch.split_inclusive(|&byte| byte == b'\n').count() as u64;
        offset += batch.len() as u64;
        if with_previews {
            *open += merge.fold.unfinished_so_far(i64::MAX).len();
            previews.push(said(merge.preview()));
        }
    }
    (previews, said(merge.finish(&BTreeSet::new()).outcome))
}

#[test]
fn a_preview_is_what_the_log_so_far_comes_to() {
    let rules = RuleSet::embedded().unwrap();
    let compiled = CompiledRules::compile(&rules).unwrap();
    let mut open = 0;
    for name in [
        "v1.20/token-reuse.log.gz",
        "v1.36/token-reuse.log.gz",
        "v1.36/shared-credentials.log.gz",
    ] {
        let text = log(name);
        let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
        let batches: Vec<Vec<u8>> = lines
            .chunks(lines.len() / 3 + 1)
            .map(<[_]>::concat)
            .collect();
        let batches: Vec<&[u8]> = batches.iter().map(Vec::as_slice).collect();
        let (previews, whole) = read(&batches, true, &rules, &compiled, &mut open);
        assert!(!whole.0.is_empty(), "a law about no findings says nothing");
        assert_eq!(previews.len(), batches.len());
        for (n, preview) in (1..).zip(&previews) {
            let (_, cut) = read(&batches[..n], false, &rules, &compiled, &mut open);
            assert!(*preview == cut, "{name}: batch {n} of {}", batches.len());
        }
        // Looking on the way changes nothing.
        assert!(previews.last() == Some(&whole), "{name}");
    }
    assert!(open > 0, "no request was open when a preview was drawn");
}

/// Returns a recorded log.
fn log(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = File::open(root.join("sample-logs").join(name)).unwrap();
    let mut text = Vec::new();
    MultiGzDecoder::new(file).read_to_end(&mut text).unwrap();
    text
}
