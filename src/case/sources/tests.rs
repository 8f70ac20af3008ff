use super::*;
use crate::case::bookmarks::tests::bookmark;
use crate::case::{ResultName, Results};
use crate::finding::Timestamp;

/// [`HEAD_BYTES`] as a length.
const HEAD: usize = 64 * 1024;

/// A log of `n` lines that no other `seed` has.
fn log(seed: u32, n: usize) -> Vec<u8> {
    (0..n)
        .flat_map(|line| format!("{{\"auditID\":\"{seed}-{line:06}\"}}\n").into_bytes())
        .collect()
}

/// What is known about files that were just read, given what the case has.
fn files(case: &Case, files: &[(&str, &[u8])]) -> Vec<SourceFile> {
    let head = |content: &[u8]| content[..content.len().min(HEAD)].to_vec();
    files
        .iter()
        .map(|(name, content)| {
            let size = content.len() as u64;
            SourceFile::of(name, size, &head(content), &case.short_sizes())
        })
        .collect()
}

fn case_of(contents: &[(&str, &[u8])]) -> Case {
    let mut case = Case::in_memory().unwrap();
    let results = Results {
        made_by: String::new(),
        at: Timestamp(0),
        json: [(ResultName::Findings, "[]".to_owned())].into(),
    };
    let files = files(&case, contents);
    case.store_results(files, &results).unwrap();
    case
}

#[test]
fn change_is_told_by_content() {
    let check = |old: &[(&str, &[u8])], new: &[(&str, &[u8])], expected: Change| {
        let case = case_of(old);
        assert_eq!(case.compare(&files(&case, new)), expected, "{new:?}");
    };
    let grown = |files: &[(&str, usize, bool)]| Change::Grown {
        files: files
            .iter()
            .map(|(name, bytes, is_new)| Growth {
                name: (*name).to_owned(),
                bytes: *bytes as u64,
                is_new: *is_new,
            })
            .collect(),
    };
    let (short, long) = (log(1, 10), log(2, 9000));
    assert!(short.len() < 1000 && long.len() > 200_000);
    let old: &[(&str, &[u8])] = &[("a", &short), ("b", &long)];

    check(old, old, Change::Same);
    check(old, &[("/x/b", &long), ("/x/a", &short)], Change::Same);
    check(
        old,
        &[("a", &short), ("b", &long), ("empty", b"")],
        Change::Same,
    );
    check(&[("a", &short), ("e", b"")], &[("a", &short)], Change::Same);

    let (short_more, long_more) = (log(1, 12), log(2, 9002));
    let n_short = short_more.len() - short.len();
    let n_long = long_more.len() - long.len();
    check(
        old,
        &[("a", &short_more), ("b", &long)],
        grown(&[("a", n_short, false)]),
    );
    check(
        old,
        &[("a", &short), ("b", &long_more)],
        grown(&[("b", n_long, false)]),
    );
    let past_head = log(1, 9000);
    let n_past = past_head.len() - short.len();
    check(
        old,
        &[("b", &long), ("a", &past_head)],
        grown(&[("a", n_past, false)]),
    );
    check(
        old,
        &[("a", &short), ("b", &long), ("c", b"new")],
        grown(&[("c", 3, true)]),
    );

    check(old, &[("a", &short)], Change::Different);
    check(
        old,
        &[("a", &short), ("b", &long[..100_000])],
        Change::Different,
    );
    check(old, &[("a", &log(3, 10)), ("b", &long)], Change::Different);
    check(old, &[("a", &log(3, 12)), ("b", &long)], Change::Different);
    check(old, &[], Change::Different);
    check(&[], old, Change::Different);
    check(&[], &[], Change::Same);
}

#[test]
fn equal_files_are_paired_one_to_one() {
    let content = log(1, 10);
    let case = case_of(&[("a", &content), ("b", &content)]);
    let one = files(&case, &[("a", &content)]);
    assert_eq!(case.compare(&one), Change::Different);
    let two = files(&case, &[("b", &content), ("a", &content)]);
    assert_eq!(case.compare(&two), Change::Same);
    assert_eq!(case.moved(&two), []);
    let three = files(&case, &[("c", &content), ("b", &content), ("a", &content)]);
    assert!(matches!(case.compare(&three), Change::Grown { files } if files[0].name == "c"));
}

#[test]
fn names_follow_files_through_a_rotation() {
    let (old, new) = (log(1, 10), log(2, 10));
    let mut case = case_of(&[("audit.log", &old), ("audit-1.log", &new)]);
    case.toggle_bookmark(bookmark("audit.log", 30, 2, "x"))
        .unwrap();
    case.toggle_bookmark(bookmark("audit-1.log", 60, 1, "y"))
        .unwrap();
    case.toggle_bookmark(bookmark("other.log", 60, 1, "z"))
        .unwrap();
    let subject = Subject::Event {
        file: "audit-1.log".to_owned(),
        offset: 60,
    };
    case.add_note(subject, "why", Timestamp(1)).unwrap();

    let grown = [log(1, 10), log(1, 12)[log(1, 10).len()..].to_vec()].concat();
    let now = files(&case, &[("audit-2.log", &new), ("audit-1.log", &grown)]);
    let moved = case.follow(&now).unwrap();
    let moved: Vec<(&str, &str)> = moved.iter().map(|m| (&*m.from, &*m.to)).collect();
    assert_eq!(
        moved,
        [("audit-1.log", "audit-2.log"), ("audit.log", "audit-1.log")]
    );
    assert!(case.bookmark_at("audit-1.log", 30).is_some());
    assert!(case.bookmark_at("audit-2.log", 60).is_some());
    assert!(case.bookmark_at("other.log", 60).is_some());
    let about = &case.notes().next().unwrap().subject;
    assert!(matches!(about, Subject::Event { file, .. } if file == "audit-2.log"));
    assert_eq!(case.moved(&now), [], "nothing is left to follow");
    assert!(case.is_saved());
}

#[test]
fn a_file_is_read_no_further_than_its_head() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let content = log(7, 9000);
    std::fs::write(&path, &content).unwrap();
    let read = SourceFile::read("audit.log", &path, &[100, HEAD_BYTES * 2]).unwrap();
    let head = &content[..HEAD];
    let expected = SourceFile::of("audit.log", content.len() as u64, head, &[100]);
    assert_eq!(read, expected);
    assert!(SourceFile::read("x", &folder.path().join("x"), &[]).is_err());
}
