//! What the program says of itself: manual, completions, names that options take.

use crate::support::{kubescry, text};

#[track_caller]
fn says(arguments: &[&str], expected: &str) {
    let output = kubescry(arguments, b"");
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(said.contains(expected), "{said}");
}

#[test]
fn names_of_formats_are_an_answer() {
    says(&["scan", "--input-format", "help"], "auto            told");
    says(&["browse", "--input-format=help"], "auto            told");
    let output = kubescry(&["scan", "--input-format", "nonsense", "x"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("auto            told"));
}

#[test]
fn shells_and_man_know_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        says(&["completions", shell], "skip-bad-rules");
    }
    says(&["man"], "kubescry\\-scan");
    says(&["man", "scan"], "fail\\-on");
    says(&["man", "alert", "check"], "kubescry\\-alert\\-check");
    let folder = tempfile::TempDir::new().unwrap();
    says(&["man", "--to", folder.path().to_str().unwrap()], "");
    assert!(folder.path().join("kubescry-rules-show.1").is_file());
    let output = kubescry(&["man", "scna"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("scan, browse"));
}
