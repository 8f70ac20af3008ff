//! What a configuration means, and what is said of one that is wrong.

use super::*;
use crate::finding::Severity;

fn parsed(text: &str) -> Result<Config, ConfigErrors> {
    parse(text, Path::new("/etc/kubescry/alert.toml"))
}

const SOURCE: &str = "[[source]]\npath = \"audit/*.log\"\n";

#[test]
fn defaults_are_filled_in() {
    let config = parsed(&format!("{SOURCE}[[sink]]\ntype = \"stdout\"\n")).unwrap();
    assert_eq!(config.state.dir, Path::new("/var/lib/kubescry"));
    assert_eq!(
        config.sources[0].path,
        Path::new("/etc/kubescry/audit/*.log")
    );
    assert_eq!(config.sources[0].cluster, "default");
    assert_eq!(config.baseline.first_run, FirstRun::Quiet);
    assert_eq!(config.sinks[0].name, "stdout");
    assert_eq!(
        config.sinks[0].kind,
        SinkKind::Stdout {
            format: Format::Text
        }
    );
    assert_eq!(config.noise.cap_per_rule, 50);
}

#[test]
fn keys_of_the_contract_keep_their_meaning() {
    let text = "[state]\ndir = \"/s\"\n[baseline]\nfirst_run = \"alert\"\n\
        [[source]]\npath = \"/l\"\ncluster = \"prod\"\n\
        [[sink]]\ntype = \"stdout\"\nformat = \"jsonl\"\nmin_severity = \"high\"\n\
        [[sink]]\ntype = \"file\"\npath = \"/f\"\n\
        [[sink]]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:9/x\"\n\
        [[sink]]\ntype = \"alertmanager\"\nurl = \"https://a.example\"\n";
    let config = parsed(text).unwrap();
    assert_eq!(config.state.dir, Path::new("/s"));
    assert_eq!(config.baseline.first_run, FirstRun::Alert);
    assert_eq!(config.sources[0].cluster, "prod");
    assert_eq!(config.sinks[0].policy.min_severity, Severity::High);
    assert_eq!(
        config.sinks[0].kind,
        SinkKind::Stdout {
            format: Format::Jsonl
        }
    );
    assert_eq!(
        config.sinks[1].kind,
        SinkKind::File {
            path: "/f".into(),
            format: Format::Jsonl
        }
    );
    assert_eq!(config.sinks.len(), 4);
}

#[test]
fn all_errors_come_at_once_with_place_and_hint() {
    let text = "[stat]\ndir = \"/s\"\n\
        [noise]\ncap_per_rule = 0\nrenotify_after = \"1 day\"\n\
        [[source]]\nclutser = \"prod\"\n\
        [[sink]]\ntype = \"slak\"\n\
        [[sink]]\ntype = \"webhook\"\nmin_severty = \"high\"\nbatch = \"many\"\n\
        [[sink]]\ntype = \"pagerduty\"\nrouting_key = \"planted-stem\"\nmin_severity = \"hgih\"\n\
        [[sink]]\ntype = \"file\"\npath = \"a\"\n[[sink]]\ntype = \"file\"\npath = \"b\"\n\
        [[sink]]\ntype = \"prometheus\"\npath = \"x.txt\"\n\
        [[sink]]\ntype = \"email\"\nfrom = \"a@b\"\nto = []\n";
    let errors = parsed(text).unwrap_err();
    let shown = errors.to_string();
    let at = "  --> /etc/kubescry/alert.toml";
    for expected in [
        format!("unknown key `stat` in the file\n{at}:1:2\nhint: did you mean `state`?"),
        format!("`cap_per_rule` must be from 1 to 10000\n{at}:4:1"),
        format!("`renotify_after` is no duration\n{at}:5:1\nhint: write it as in"),
        format!("[[source]] has no `path`\n{at}:6:1"),
        format!("unknown key `clutser` in [[source]]\n{at}:7:1\nhint: did you mean `cluster`?"),
        format!("{at}:9:1\nhint: did you mean `slack`?"),
        format!("[[sink]] of type `webhook` has no `url`, `url_env` or `url_file`\n{at}:10:1"),
        format!(
            "unknown key `min_severty` in [[sink]] of type `webhook`\n{at}:12:1\nhint: did you mean `min_severity`?"
        ),
        format!("`batch` must be a whole number, not string\n{at}:13:1"),
        "hint: secrets are not in this file; use `routing_key_env` or `routing_key_file`"
            .to_owned(),
        format!("{at}:17:1\nhint: did you mean `high`?"),
        "two sinks have the name `file`".to_owned(),
        "`path` must end in `.prom`".to_owned(),
        "[[sink]] of type `email` has no `to`".to_owned(),
        "must have `host` or `sendmail`, one of them".to_owned(),
    ] {
        assert!(shown.contains(&expected), "{expected}\n---\n{shown}");
    }
    assert!(!shown.contains("planted") && !format!("{errors:?}").contains("planted"));
    let lines: Vec<usize> = errors.problems.iter().map(|problem| problem.line).collect();
    assert!(lines.is_sorted());
}

#[test]
fn syntax_errors_have_a_place() {
    for (text, line) in [
        ("[state\n", 1),
        ("a = 1\nb = \n", 2),
        ("x = 1\nx = 2\n", 2),
        ("\u{0}", 1),
    ] {
        let errors = parsed(text).unwrap_err();
        assert_eq!(errors.problems[0].line, line, "{errors}");
    }
    assert!(parsed(&"[[".repeat(500_000)).is_err());
    assert!(
        parsed(&format!(
            "a = {}1{}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        ))
        .is_err()
    );
    assert!(parsed(&"#".repeat(MAX_BYTES + 1)).is_err());
}

#[test]
fn no_source_is_an_error() {
    assert!(
        parsed("")
            .unwrap_err()
            .to_string()
            .contains("there is no `[[source]]`")
    );
}

#[test]
fn alternatives_exclude_each_other() {
    let sink = |keys: &str| parsed(&format!("{SOURCE}[[sink]]\n{keys}"));
    assert!(sink("type = \"slack\"\nurl = \"https://a.example\"\nurl_env = \"X\"\n").is_err());
    assert!(sink("type = \"slack\"\nurl_file = \"x\"\nurl_env = \"X\"\n").is_err());
    assert!(sink("type = \"ocsf\"\n").is_err());
    assert!(sink("type = \"ocsf\"\npath = \"x\"\nurl_env = \"X\"\n").is_err());
    assert!(sink("type = \"ocsf\"\nurl_env = \"X\"\nbearer_env = \"Y\"\n").is_ok());
    assert!(sink("type = \"pagerduty\"\nrouting_key_env = \"X\"\nbatch = 2\n").is_err());
    assert!(
        sink("type = \"email\"\nfrom = \"a@b\"\nto = \"c@d\"\nhost = \"h\"\nusername = \"u\"\n")
            .is_err()
    );
}

#[test]
fn inline_urls_are_not_shown() {
    let text = format!(
        "{SOURCE}[[sink]]\ntype = \"slack\"\nurl = \"https://hooks.slack.com/services/planted\"\n"
    );
    assert!(!format!("{:?}", parsed(&text).unwrap()).contains("planted"));
}
