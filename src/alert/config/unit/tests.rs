//! Units are what systemd and kubectl take; where these are missing, the test says so.

use std::process::{Command, Output};

use super::*;

fn paths(program: &str) -> UnitPaths {
    UnitPaths {
        program: program.into(),
        config: "/etc/kubescry/alert.toml".into(),
        state_dir: "/var/lib/kubescry".into(),
        logs: vec!["/var/log/kubernetes/audit".into()],
        written: vec![
            "/var/log/kubescry".into(),
            "/var/lib/node_exporter/a b".into(),
        ],
        every: Duration::from_mins(10),
        image: "ghcr.io/example/kubescry:0.1.0".to_owned(),
    }
}

/// Runs a program; `None`, and a word about it, if there is none.
fn run(program: &str, args: &[&str]) -> Option<Output> {
    match Command::new(program).args(args).output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("skipped: `{program}` cannot be run: {error}");
            None
        }
    }
}

#[test]
fn crontab_is_one_line_for_cron() {
    let text = print_unit(UnitKind::Crontab, &paths("/opt/100%/it's me/kubescry"));
    let expected =
        r"*/10 * * * * '/opt/100\%/it'\''s me/kubescry' alert --config /etc/kubescry/alert.toml";
    assert_eq!(text.lines().last(), Some(expected));
    for (minutes, expected) in [
        (1, "* * * * *"),
        (59, "*/59 * * * *"),
        (60, "7 */1 * * *"),
        (1440, "7 3 * * *"),
    ] {
        assert_eq!(schedule(Duration::from_mins(minutes)), expected);
    }
}

#[test]
fn systemd_takes_the_units() {
    for (program, state) in [
        ("/bin/true", "/var/lib/kubescry"),
        ("/bin/true", "/srv/my state/100%"),
    ] {
        let paths = UnitPaths {
            state_dir: state.into(),
            ..paths(program)
        };
        let text = print_unit(UnitKind::Systemd, &paths);
        let (service, timer) = text
            .split_once("# /etc/systemd/system/kubescry-alert.timer\n")
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let files =
            ["kubescry-alert.service", "kubescry-alert.timer"].map(|name| folder.path().join(name));
        std::fs::write(&files[0], service).unwrap();
        std::fs::write(&files[1], timer).unwrap();
        let names = files.each_ref().map(|file| file.to_str().unwrap());
        let args = ["verify", "--man=no", names[0], names[1]];
        let Some(output) = run("systemd-analyze", &args) else {
            return;
        };
        let words = String::from_utf8_lossy(&output.stderr);
        let ours: Vec<&str> = words
            .lines()
            .filter(|line| line.contains("kubescry"))
            .collect();
        assert!(output.status.success() && ours.is_empty(), "{words}");
        let calendar = timer
            .lines()
            .find_map(|line| line.strip_prefix("OnCalendar="))
            .unwrap();
        let output = run("systemd-analyze", &["calendar", calendar]).unwrap();
        assert!(output.status.success(), "{calendar}");
    }
}

#[test]
fn kubectl_takes_the_cron_job() {
    let text = print_unit(UnitKind::Kubernetes, &paths("/kubescry"));
    for line in [
        "  concurrencyPolicy: Forbid",
        "          automountServiceAccountToken: false",
        "                readOnlyRootFilesystem: true",
        "                  mountPath: \"/var/log/kubernetes/audit\"\n                  readOnly: true",
    ] {
        assert!(text.contains(line), "{line}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cronjob.yaml");
    std::fs::write(&file, &text).unwrap();
    let path = file.to_str().unwrap();
    // Decodes into the types of batch/v1 without a cluster: what it does not know is not printed again.
    let args = [
        "set",
        "image",
        "--local",
        "-f",
        path,
        "kubescry=other:1",
        "-o",
        "json",
    ];
    let Some(output) = run("kubectl", &args) else {
        return;
    };
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let job: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let pod = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    assert_eq!(job["spec"]["concurrencyPolicy"], "Forbid");
    assert_eq!(job["spec"]["startingDeadlineSeconds"], 300);
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["containers"][0]["image"], "other:1");
    assert_eq!(pod["containers"][0]["volumeMounts"][2]["readOnly"], true);
    assert_eq!(
        pod["containers"][0]["securityContext"]["capabilities"]["drop"][0],
        "ALL"
    );
    assert_eq!(pod["volumes"][2]["hostPath"]["type"], "Directory");
    assert_eq!(
        pod["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
}

#[test]
fn what_sinks_write_can_be_written() {
    let text = "[state]\ndir = \"/s\"\n[run]\ndead_letters = \"/s/dead.jsonl\"\n[[source]]\npath = \"/logs\"\n\
        [[sink]]\ntype = \"file\"\npath = \"/out/a.jsonl\"\n[[sink]]\ntype = \"ocsf\"\npath = \"/out/b.jsonl\"\n\
        [[sink]]\ntype = \"prometheus\"\npath = \"/etc/kubescry/x.prom\"\n\
        [[sink]]\ntype = \"file\"\nname = \"beside\"\npath = \"/logs/out.db\"\n";
    let path = Path::new("/etc/kubescry/alert.toml");
    let config = crate::alert::config::parse(text, path).unwrap();
    let paths = UnitPaths::new(Path::new("/kubescry"), path, &config, "kubescry:1");
    let folders = ["/etc/kubescry", "/logs", "/out"].map(PathBuf::from);
    assert_eq!(paths.written, folders);
    let systemd = print_unit(UnitKind::Systemd, &paths);
    for line in [
        "ReadWritePaths=-/etc/kubescry -/logs -/out",
        "EnvironmentFile=-/etc/kubescry/alert.env",
    ] {
        assert!(systemd.lines().any(|it| it == line), "{systemd}");
    }
    assert!(!systemd.contains("man:"), "there may be no page");
    let kubernetes = print_unit(UnitKind::Kubernetes, &paths);
    for lines in [
        "mountPath: \"/out\"\n",
        "path: \"/out\"\n                type: DirectoryOrCreate",
        "mountPath: \"/logs\"\n                  readOnly: false",
        "# A sink writes into \"/etc/kubescry\", where the configuration is",
        "  name: kubescry-alert-NODE\n",
        "          nodeName: NODE\n",
    ] {
        assert!(kubernetes.contains(lines), "{lines}\n{kubernetes}");
    }
    assert_eq!(
        kubernetes.matches("mountPath: \"/etc/kubescry\"").count(),
        1
    );
    assert_eq!(kubernetes.matches("mountPath: \"/logs\"").count(), 1);
}

#[test]
fn logs_are_folders() {
    for (path, expected) in [
        ("/var/log/audit.log", "/var/log"),
        ("/var/log/audit", "/var/log/audit"),
        ("/var/log/audit/*.log", "/var/log/audit"),
        ("/var/log/node-?/audit.log", "/var/log"),
    ] {
        assert_eq!(folder_of(Path::new(path)), Path::new(expected), "{path}");
    }
}
