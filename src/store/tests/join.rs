//! Small segments are joined, and nobody can tell.

use super::*;

/// Reads a log in chunks of so many bytes, as one file and as standard input, which keeps its events as JSON.
fn read_by(chunk_bytes: usize, name: &str) -> Store {
    let rules = RuleSet::embedded().unwrap();
    let compiled = CompiledRules::compile(&rules).unwrap_or_else(|_| panic!("rules compile"));
    let store = Store::new(&Vocabulary::new(), Limits::default());
    let path = PathBuf::from(LOGS[0]);
    let piece = crate::source::Piece::new(move || {
        let file = std::fs::File::open(&path)?;
        Ok(Box::new(flate2::read::MultiGzDecoder::new(file)))
    });
    let mut options = pipeline::Options {
        store: Some(store.clone()),
        ..pipeline::Options::default()
    };
    options.read.chunk_bytes = chunk_bytes;
    let mut discovery = crate::source::discover::discover(&[]);
    discovery.files.push(crate::source::InputFile {
        path: None,
        name: name.into(),
        lane: 0,
        from: crate::source::Start::default(),
        is_growing: false,
        piece: Some(piece),
    });
    let mut session =
        pipeline::Session::new(&options, &rules, &compiled, store.vocabulary()).unwrap();
    session.run(discovery).unwrap();
    store
}

/// Number, fields, time, what it is, and JSON of a row.
type Told = (Row, Vec<String>, i64, [bool; 2], Option<String>);

/// Everything that can be asked of the rows.
fn told(snapshot: &Snapshot) -> Vec<Told> {
    let rows = plain(snapshot).into_iter();
    rows.map(|plain| {
        let (segment, row_idx) = snapshot.locate(plain.row).unwrap();
        let record = segment.record(row_idx).map(std::borrow::Cow::into_owned);
        let is = [plain.is_event, plain.is_request];
        (plain.row, plain.values, plain.time, is, record)
    })
    .collect()
}

#[test]
fn joined_segments_hold_the_same_rows() {
    for name in ["-", "audit.log"] {
        let (whole, small) = (read_by(4 << 20, name), read_by(3 << 10, name));
        let (whole, snapshot) = (whole.snapshot(), small.snapshot());
        assert!(told(&whole) == told(&snapshot), "{name}");
        assert_eq!(whole.segments.len(), 1);
        let heights: Vec<usize> = snapshot.segments.iter().map(|it| it.height()).collect();
        // Each is more than twice as large as the one behind it, but for those that are as large as they get.
        assert!(heights.len() < 20, "{heights:?}");
        let bytes: usize = snapshot.segments.iter().map(|it| it.bytes()).sum();
        assert_eq!(small.usage().memory_bytes, bytes);
        // Pieces that segments share stand once.
        let once: usize = whole.segments.iter().map(|it| it.bytes()).sum();
        assert!(bytes < once + once / 4, "{bytes} of {once}");
    }
}
