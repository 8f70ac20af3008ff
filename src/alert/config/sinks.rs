//! The `[[sink]]` tables: what all have in common, then what each type has of its own.

use std::path::Path;
use std::time::Duration;

use super::section::Section;
use super::targets::{
    read_email, read_exec, read_http, read_labels, read_ocsf, read_syslog, rooted,
};
use super::{Format, SinkConfig, SinkKind};
use crate::alert::sink::deliver::Policy;
use crate::finding::Severity;

/// The types of sinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Stdout,
    File,
    Webhook,
    Alertmanager,
    Slack,
    Teams,
    PagerDuty,
    Syslog,
    Email,
    Ocsf,
    Prometheus,
    Exec,
}

/// Their words.
const TYPES: [(&str, Type); 12] = [
    ("stdout", Type::Stdout),
    ("file", Type::File),
    ("webhook", Type::Webhook),
    ("alertmanager", Type::Alertmanager),
    ("slack", Type::Slack),
    ("teams", Type::Teams),
    ("pagerduty", Type::PagerDuty),
    ("syslog", Type::Syslog),
    ("email", Type::Email),
    ("ocsf", Type::Ocsf),
    ("prometheus", Type::Prometheus),
    ("exec", Type::Exec),
];

/// Reads the sinks; one with a problem is left out, since the file is refused anyway.
pub(super) fn read(
    sections: Vec<Section<'_>>,
    base: &Path,
    ends_after: Duration,
) -> Vec<SinkConfig> {
    let mut sinks: Vec<SinkConfig> = Vec::new();
    for mut section in sections {
        if section.is_missing("type") {
            section.required("type");
            continue;
        }
        let Some(kind) = section.word("type", &TYPES) else {
            continue;
        };
        let word = TYPES
            .iter()
            .find(|(_, known)| *known == kind)
            .map_or("", |(word, _)| word);
        section.name = format!("[[sink]] of type `{word}`");
        let name = section.text("name").unwrap_or_else(|| word.to_owned());
        if sinks.iter().any(|sink| sink.name == name) {
            let hint = "give each a `name` of its own";
            section.wrong(
                "name",
                format!("two sinks have the name `{}`", name.escape_debug()),
                Some(hint),
            );
        }
        let line = section.problems.position(section.place.start).0;
        let is_default = section.is_missing("min_severity");
        let is_silent_on_resolved = section.is_missing("send_resolved");
        let mut policy = read_policy(&mut section, kind);
        let settings = read_kind(&mut section, kind, base, ends_after);
        section.finish();
        let is_for_people = matches!(
            settings,
            Some(SinkKind::Stdout {
                format: Format::Text
            })
        );
        // cron mails it.
        if is_default && is_for_people {
            policy.min_severity = Severity::Low;
        }
        if is_silent_on_resolved && is_for_people {
            policy.send_resolved = false;
        }
        sinks.extend(settings.map(|kind| SinkConfig {
            name,
            line,
            policy,
            kind,
        }));
    }
    sinks
}

fn read_policy(section: &mut Section<'_>, kind: Type) -> Policy {
    let severities = Severity::ALL.map(|severity| (severity.as_str(), severity));
    let default = default_policy(kind);
    let long = Duration::from_millis(1)..=Duration::from_hours(1);
    let batch = section.number("batch", 1..=1000);
    if kind == Type::PagerDuty && batch.is_some_and(|batch| batch > 1) {
        section.wrong(
            "batch",
            "PagerDuty takes one event per call",
            Some("leave `batch` out"),
        );
    }
    Policy {
        min_severity: section
            .word("min_severity", &severities)
            .unwrap_or(default.min_severity),
        send_resolved: section
            .flag("send_resolved")
            .unwrap_or(default.send_resolved),
        max_per_minute: section
            .number("max_per_minute", 1..=60_000)
            .or(default.max_per_minute),
        batch: batch.map_or(default.batch, |batch| batch as usize),
        attempts: section
            .number("attempts", 1..=100)
            .unwrap_or(default.attempts),
        backoff_first: section
            .duration("backoff", long.clone())
            .unwrap_or(default.backoff_first),
        backoff_max: section
            .duration("backoff_max", long.clone())
            .unwrap_or(default.backoff_max),
        deadline: section
            .duration("deadline", long)
            .unwrap_or(default.deadline),
        give_up_after: section.duration_or_never("give_up_after", default.give_up_after),
    }
}

/// Returns how a type of sink is fed unless the file says otherwise: machines get everything, people what matters.
fn default_policy(kind: Type) -> Policy {
    use Severity::{High, Informational, Low, Medium};

    let (min_severity, batch, max_per_minute) = match kind {
        Type::Stdout | Type::File => (Informational, 1000, None),
        Type::Webhook | Type::Ocsf | Type::Exec => (Informational, 1, None),
        Type::Prometheus => (Informational, 1000, None),
        Type::Syslog => (Informational, 100, None),
        Type::Alertmanager => (Low, 100, None),
        Type::Slack | Type::Teams => (Medium, 200, Some(30)),
        Type::Email => (Medium, 200, Some(10)),
        Type::PagerDuty => (High, 1, Some(120)),
    };
    Policy {
        min_severity,
        // That the log is quiet is no reason for people to stop looking.
        send_resolved: !matches!(
            kind,
            Type::Slack | Type::Teams | Type::Email | Type::PagerDuty
        ),
        max_per_minute,
        batch,
        ..Policy::default()
    }
}

fn read_kind(
    section: &mut Section<'_>,
    kind: Type,
    base: &Path,
    ends_after: Duration,
) -> Option<SinkKind> {
    let formats = [
        ("jsonl", Format::Jsonl),
        ("text", Format::Text),
        ("ocsf", Format::Ocsf),
    ];
    Some(match kind {
        Type::Stdout => SinkKind::Stdout {
            format: section.word("format", &formats).unwrap_or(Format::Text),
        },
        Type::File => SinkKind::File {
            path: base.join(section.required("path")),
            format: section.word("format", &formats).unwrap_or(Format::Jsonl),
        },
        Type::Webhook => SinkKind::Webhook {
            http: read_http(section, base, None),
            signing: section.secret("signing").map(|source| rooted(source, base)),
            bearer: section.secret("bearer").map(|source| rooted(source, base)),
        },
        Type::Alertmanager => SinkKind::Alertmanager {
            http: read_http(section, base, None),
            bearer: section.secret("bearer").map(|source| rooted(source, base)),
            labels: read_labels(section),
            ends_after: section
                .duration(
                    "ends_after",
                    Duration::from_mins(1)..=Duration::from_hours(24 * 30),
                )
                .unwrap_or(ends_after),
            generator_url: section.text("generator_url"),
        },
        Type::Slack => SinkKind::Slack {
            http: read_http(section, base, None),
        },
        Type::Teams => SinkKind::Teams {
            http: read_http(section, base, None),
        },
        Type::PagerDuty => {
            let http = read_http(
                section,
                base,
                Some("https://events.pagerduty.com/v2/enqueue"),
            );
            let routing_key = section
                .secret("routing_key")
                .map(|source| rooted(source, base));
            if routing_key.is_none() {
                let what = format!(
                    "{} has no `routing_key_env` or `routing_key_file`",
                    section.name
                );
                section.problems.add(&section.place, what, None);
            }
            SinkKind::PagerDuty {
                http,
                routing_key: routing_key?,
            }
        }
        Type::Syslog => SinkKind::Syslog(read_syslog(section, base)),
        Type::Email => SinkKind::Email(read_email(section, base)?),
        Type::Ocsf => SinkKind::Ocsf(read_ocsf(section, base)),
        Type::Prometheus => {
            let path = section.required("path");
            if !path.is_empty() && Path::new(&path).extension().is_none_or(|end| end != "prom") {
                section.wrong(
                    "path",
                    "`path` must end in `.prom`",
                    Some("the collector reads no other files"),
                );
            }
            SinkKind::Prometheus {
                path: base.join(path),
            }
        }
        Type::Exec => read_exec(section, base),
    })
}
