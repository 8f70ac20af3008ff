//! What names say.

use super::*;

fn check_name(name: &str, base: &str, age: Age, is_plain: bool) {
    let expected = Rotation {
        base: base.into(),
        age,
        is_plain,
    };
    assert_eq!(Rotation::of(OsStr::new(name)), expected, "{name}");
}

#[test]
fn names_say_what_was_rotated_and_when() {
    let at = |digits: &str| Age::Stamped(digits.into());
    let number = |n| Age::Numbered(Reverse(n));
    let lumberjack = "20261122051025684";
    check_name("audit.log.00", "audit.log", Age::Part(0), true);
    check_name("audit.log.07.gz", "audit.log", Age::Part(7), false);
    check_name("audit.log.0", "audit.log", number(0), true);
    check_name("audit.log", "audit.log", Age::Current, true);
    check_name("audit.log.gz", "audit.log", Age::Current, false);
    check_name("audit", "audit", Age::Current, true);
    check_name(
        "audit-2026-11-22T05-10-25.684.log",
        "audit.log",
        at(lumberjack),
        true,
    );
    check_name(
        "audit-2026-11-22T05-10-25.684.log.gz",
        "audit.log",
        at(lumberjack),
        false,
    );
    check_name(
        "n1-audit-2026-11-22T05-10-25.684.log",
        "n1-audit.log",
        at(lumberjack),
        true,
    );
    check_name(
        "audit-2026-11-22T05-10-25.684",
        "audit",
        at(lumberjack),
        true,
    );
    // OpenShift must-gather: the node is part of the base name.
    check_name(
        "ip-10-0-131-12.ec2.internal-audit-2026-11-22T05-10-25.684.log.gz",
        "ip-10-0-131-12.ec2.internal-audit.log",
        at(lumberjack),
        false,
    );
    check_name("audit.log.3.xz", "audit.log", number(3), false);
    check_name("audit.log.2.gz", "audit.log", number(2), false);
    check_name("audit.log.12.zst", "audit.log", number(12), false);
    check_name("audit.1", "audit", number(1), true);
    check_name(
        "audit.log-20261122.zstd",
        "audit.log",
        at("20261122"),
        false,
    );
    check_name("audit-20261122.log", "audit.log", at("20261122"), true);
    check_name("0.log.20261122-051025", "0.log", at("20261122051025"), true);
    check_name(
        "audit.log-20269922",
        "audit.log-20269922",
        Age::Current,
        true,
    );
    check_name(
        "node-10-0-0-12.log",
        "node-10-0-0-12.log",
        Age::Current,
        true,
    );
    check_name("000000.gz", "000000", Age::Current, false);
    check_name(".gz", "", Age::Current, false);
}

#[test]
fn logs_are_told_by_extension() {
    for name in [
        "audit",
        "a.log",
        "a.JSON",
        "a.jsonl.gz",
        "a.ndjson",
        "a.txt.3",
        "a.csv",
        "a.log.1.xz",
        "a.log-20261122",
    ] {
        assert!(Rotation::of(OsStr::new(name)).is_log(), "{name}");
    }
    for name in [
        "a.md",
        "a.yml.gz",
        "a.sql",
        "a.parquet",
        "a.db.1",
        "a.log.bak",
        "truth.json",
        "README.txt",
        "LICENSE",
        "SHA256SUMS",
        "package-lock.json.gz",
    ] {
        assert!(!Rotation::of(OsStr::new(name)).is_log(), "{name}");
    }
}
