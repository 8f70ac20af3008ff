//! Cases on disk: opened again, opened twice, damaged, full, and against a model.

mod model;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::bookmarks::tests::bookmark;
use super::*;
use crate::finding::Timestamp;

/// A case with something of everything.
fn fill(case: &mut Case) {
    let subject = Subject::Event {
        file: "a.log".to_owned(),
        offset: u64::MAX,
    };
    case.set_state("f1", State::Escalated, Timestamp(1))
        .unwrap();
    case.set_state("f2", State::Benign, Timestamp(2)).unwrap();
    let note = case.add_note(subject, "two\nlines", Timestamp(3)).unwrap();
    let mark = bookmark("a.log", 7, 4, "get secrets");
    let Toggled::Set(mark) = case.toggle_bookmark(mark).unwrap() else {
        panic!("there was none");
    };
    for entry in [
        StoryEntry::Text("first".to_owned()),
        StoryEntry::Note(note),
        StoryEntry::Bookmark(mark),
        StoryEntry::Finding("f1".to_owned()),
    ] {
        case.add_to_story(entry, Timestamp(5)).unwrap();
    }
    case.log(Timestamp(6), "did something").unwrap();
    case.add_query("SELECT 1", Timestamp(7)).unwrap();
    case.set_view("last", "{\"view\":\"findings\"}").unwrap();
    let results = Results {
        made_by: "kubescry".to_owned(),
        at: Timestamp(8),
        json: [(ResultName::Findings, "[]".to_owned())].into(),
    };
    let file = SourceFile::of("a.log", 3, b"abc", &[]);
    case.store_results(vec![file], &results).unwrap();
}

/// All that a case says, to compare.
fn all(case: &Case) -> String {
    let (journal, results) = (case.journal(usize::MAX), case.load_results());
    format!("{:#?}\n{journal:#?}\n{results:#?}", case.contents)
}

#[test]
fn opening_again_gives_everything_back() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("new/case");
    let mut case = Case::open(&dir).unwrap();
    fill(&mut case);
    assert!(case.is_saved());
    let before = all(&case);
    drop(case);
    let case = Case::open(&dir).unwrap();
    assert_eq!(all(&case), before);
    assert_eq!(case.set_aside(), None);
    let mut memory = Case::in_memory().unwrap();
    fill(&mut memory);
    assert_eq!(all(&memory), before);
}

#[cfg(unix)]
#[test]
fn files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("case");
    let mut case = Case::open(&dir).unwrap();
    fill(&mut case);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for entry in fs::read_dir(&dir).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn a_second_browser_is_told_who_has_the_case() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Case::open(folder.path()).unwrap();
    fill(&mut first);
    let error = Case::open(folder.path()).unwrap_err();
    let expected = format!(
        "the case `{}` is open in another kubescry (process {})",
        folder.path().display(),
        std::process::id()
    );
    assert_eq!(error.to_string(), expected);
    assert!(error.hint().unwrap().contains("close it there"));
    drop(first);
    Case::open(folder.path()).unwrap();
}

#[test]
fn what_cannot_be_a_case_folder_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    for dir in [file.clone(), file.join("below")] {
        let error = Case::open(&dir).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot create the case folder `")
        );
        assert!(
            error.hint().unwrap().contains("takes a folder"),
            "{error:?}"
        );
    }
    let dir = folder.path().join("dir");
    fs::create_dir_all(dir.join(DATABASE)).unwrap();
    let error = Case::open(&dir).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is not a plain file, not a case"),
        "{error}"
    );
}

/// Opens a case whose database is `bytes`, and returns the error or the warning, and all files but
/// the database and the lock.
fn open_with(bytes: &[u8]) -> (Result<String, CaseError>, Vec<Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(DATABASE);
    fs::write(&path, bytes).unwrap();
    let opened = Case::open(folder.path()).map(|mut case| {
        let warning = case
            .set_aside()
            .map(ToString::to_string)
            .unwrap_or_default();
        if !warning.is_empty() {
            assert!(case.contents.notes.is_empty());
        }
        case.add_note(Subject::Case, "works", Timestamp(1)).unwrap();
        warning
    });
    if opened.is_err() {
        assert_eq!(
            fs::read(&path).unwrap(),
            bytes,
            "an error leaves the file as it was"
        );
    }
    let entries = fs::read_dir(folder.path()).unwrap();
    let others = entries.map(|entry| entry.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap();
        name != DATABASE && name != LOCK
    });
    (opened, others.map(|path| fs::read(path).unwrap()).collect())
}

/// The bytes of a database with something of everything.
fn database() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    fill(&mut Case::open(folder.path()).unwrap());
    fs::read(folder.path().join(DATABASE)).unwrap()
}

#[test]
fn a_damaged_database_is_set_aside_whole() {
    let whole = database();
    let half = &whole[..whole.len() / 2];
    let garbage: Vec<u8> = (0..5000_u32)
        .flat_map(|n| (n * 7919).to_be_bytes())
        .collect();
    let mut zeros = whole.clone();
    zeros[4096..8192].fill(0);
    let mut old = whole.clone();
    old[60..64].fill(0);
    for bytes in [
        &[],
        &b"S"[..],
        &whole[..80],
        &whole[..100],
        half,
        &garbage,
        &zeros,
        &old,
    ] {
        let (opened, others) = open_with(bytes);
        let warning = opened.unwrap();
        assert!(
            warning.contains("is damaged (") && warning.contains(".damaged`"),
            "{warning}"
        );
        assert_eq!(others, [bytes]);
    }
    let (opened, others) = open_with(&whole);
    assert_eq!((opened.unwrap(), others.len()), (String::new(), 0));
}

#[test]
fn a_cut_anywhere_loses_no_file() {
    let whole = database();
    for length in (0..whole.len())
        .step_by(512)
        .chain([1, 99, 101, whole.len() - 1])
    {
        let (opened, others) = open_with(&whole[..length]);
        assert!(!opened.unwrap().is_empty(), "cut at {length}");
        assert_eq!(others, [&whole[..length]], "cut at {length}");
    }
}

#[test]
fn what_others_made_is_left_untouched() {
    let mut newer = database();
    newer[60..64].copy_from_slice(&7_i32.to_be_bytes());
    let error = open_with(&newer).0.unwrap_err();
    assert!(matches!(
        error,
        CaseError::Newer {
            found: 7,
            known: 1,
            ..
        }
    ));
    assert!(
        error
            .to_string()
            .ends_with("has format 7; this kubescry knows formats up to 1")
    );

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.sqlite");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(other);
    let error = open_with(&fs::read(path).unwrap()).0.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is a database of another program, not a case")
    );
}

#[test]
fn values_and_tables_that_nobody_wrote_are_damage() {
    for change in [
        "UPDATE states SET state = 'great'",
        "UPDATE notes SET kind = 'weather'",
        "UPDATE notes SET id = 9223372036854775807",
        "UPDATE bookmarks SET length = -1",
        "UPDATE story SET kind = 'song'",
        "UPDATE story SET content = 'x' WHERE kind = 'note'",
        "UPDATE sources SET head = x'00'",
        "UPDATE view SET json = CAST(x'ff' AS TEXT)",
        "ALTER TABLE view ADD COLUMN more TEXT",
        "DROP TABLE journal",
        "CREATE TRIGGER t AFTER INSERT ON notes BEGIN DELETE FROM notes; END",
    ] {
        let folder = tempfile::tempdir().unwrap();
        fill(&mut Case::open(folder.path()).unwrap());
        let path = folder.path().join(DATABASE);
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(change).unwrap();
        drop(connection);
        let (opened, others) = open_with(&fs::read(&path).unwrap());
        assert!(opened.unwrap().contains("is damaged"), "{change}");
        assert_eq!(others.len(), 1, "{change}");
    }
}

#[test]
fn damaged_results_do_not_touch_the_rest() {
    let mut case = Case::in_memory().unwrap();
    fill(&mut case);
    let sql = "UPDATE results SET json = x'00'";
    case.database.connection.execute_batch(sql).unwrap();
    let error = case.load_results().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("its `findings` cannot be unpacked")
    );
    assert_eq!(case.notes().count(), 1);
}

#[test]
fn several_damaged_databases_are_all_kept_with_their_journals() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["first", "second", "third"] {
        fs::write(folder.path().join(DATABASE), text).unwrap();
        fs::write(folder.path().join("case.sqlite-journal"), text).unwrap();
        Case::open(folder.path()).unwrap();
    }
    for (name, text) in [("", "first"), (".2", "second"), (".3", "third")] {
        for suffix in ["", "-journal"] {
            let path = folder
                .path()
                .join(format!("case.sqlite.damaged{name}{suffix}"));
            assert_eq!(fs::read_to_string(path).unwrap(), text);
        }
    }
}

#[test]
fn a_dangling_entry_of_the_story_is_dropped_on_opening() {
    let folder = tempfile::tempdir().unwrap();
    fill(&mut Case::open(folder.path()).unwrap());
    let connection = Connection::open(folder.path().join(DATABASE)).unwrap();
    connection.execute_batch("DELETE FROM notes").unwrap();
    drop(connection);
    let case = Case::open(folder.path()).unwrap();
    assert_eq!(case.story().len(), 3);
    assert_eq!(case.set_aside(), None);
}

/// Makes changes that cannot be saved while `broken`, and returns the errors.
fn change_while_broken(case: &mut Case) -> Vec<CaseError> {
    let long = "x".repeat(100_000);
    let errors = [
        case.add_note(Subject::Case, long, Timestamp(1))
            .unwrap_err(),
        case.set_state("f9", State::Benign, Timestamp(2))
            .unwrap_err(),
        case.log(Timestamp(3), "noted").unwrap_err(),
    ];
    assert!(!case.is_saved());
    assert_eq!(case.state("f9"), State::Benign);
    assert_eq!(case.notes().count(), 2);
    assert_eq!(case.journal(1).unwrap()[0].text, "noted");
    errors.into()
}

#[test]
fn what_a_full_disk_refuses_is_saved_with_the_next_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut case = Case::open(folder.path()).unwrap();
    fill(&mut case);
    let pages = |case: &Case, n: i64| {
        let limit =
            case.database
                .connection
                .pragma_update_and_check(None, "max_page_count", n, |row| row.get::<_, i64>(0));
        limit.unwrap();
    };
    pages(&case, 1); // no more than there are
    let path = folder.path().join(DATABASE);
    for error in change_while_broken(&mut case) {
        let expected = format!("cannot save to `{}`: the disk is full", path.display());
        assert_eq!(error.to_string(), expected);
        assert!(error.hint().unwrap().contains("are kept"));
    }
    let results = Results {
        made_by: String::new(),
        at: Timestamp(9),
        json: [(ResultName::Summary, random_text(300_000))].into(),
    };
    let before = all(&case);
    assert!(case.store_results(Vec::new(), &results).is_err());
    assert_eq!(all(&case), before, "results before stay with their sources");
    pages(&case, 1_000_000);
    case.add_query("SELECT 2", Timestamp(4)).unwrap();
    assert!(case.is_saved());
    let before = all(&case);
    drop(case);
    assert_eq!(all(&Case::open(folder.path()).unwrap()), before);
}

/// Text that does not compress.
fn random_text(n: usize) -> String {
    let mut state = 1_u64;
    let letters = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'0' + (state >> 58) as u8)
    });
    letters.take(n).collect()
}

#[test]
fn a_read_only_or_moved_file_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("case");
    let mut case = Case::open(&dir).unwrap();
    fill(&mut case);
    let set = |case: &Case, on: bool| {
        let connection = &case.database.connection;
        connection.pragma_update(None, "query_only", on).unwrap();
    };
    set(&case, true);
    for error in change_while_broken(&mut case) {
        assert!(
            error.to_string().ends_with("the file is read-only"),
            "{error}"
        );
    }
    set(&case, false);
    case.save().unwrap();
    if cfg!(unix) {
        let moved = folder.path().join("elsewhere");
        fs::rename(&dir, &moved).unwrap();
        let error = case.log(Timestamp(1), "x").unwrap_err();
        assert!(
            error.to_string().ends_with("was moved or deleted"),
            "{error}"
        );
        fs::rename(&moved, &dir).unwrap();
        case.save().unwrap();
        assert_eq!(case.journal(1).unwrap()[0].text, "x");
    }
}

#[test]
fn a_batch_is_saved_once_at_its_end() {
    let mut case = Case::in_memory().unwrap();
    let changes = |case: &Case| case.database.connection.total_changes();
    let before = changes(&case);
    case.together(|case| {
        case.set_state("f", State::Benign, Timestamp(1))?;
        case.together(|case| case.log(Timestamp(1), "inner"))?;
        assert_eq!(changes(case), before);
        assert!(!case.is_saved());
        Ok(())
    })
    .unwrap();
    assert!(case.is_saved());
    assert_eq!(changes(&case), before + 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn damage_anywhere_loses_no_file(
        at in any::<proptest::sample::Index>(),
        bytes in proptest::collection::vec(any::<u8>(), 1..64),
    ) {
        let mut damaged = database();
        let at = at.index(damaged.len());
        let end = damaged.len().min(at + bytes.len());
        damaged[at..end].copy_from_slice(&bytes[..end - at]);
        let (opened, others) = open_with(&damaged);
        // Opened as it is, set aside whole, or refused; `open_with` checks that a refusal keeps it.
        if opened.is_ok_and(|warning| !warning.is_empty()) {
            prop_assert_eq!(others, [damaged]);
        }
    }
}
