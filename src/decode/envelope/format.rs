//! The families of shapes, by the names that the command line takes.

use std::fmt;
use std::str::FromStr;

/// A family of shapes in which audit events travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Format {
    /// `EventList` documents and arrays.
    EventList,
    /// Amazon CloudWatch Logs in all its exports.
    Cloudwatch,
    /// Azure Monitor records and tables.
    Azure,
    /// Google Cloud Logging entries.
    Gke,
    /// Container log lines of the CRI.
    Cri,
    /// Docker's json-file driver.
    Docker,
    /// Fluent Bit and Fluentd.
    Fluent,
    /// Vector.
    Vector,
    /// Filebeat, Elastic Agent, Elasticsearch.
    Elastic,
    /// Loki and `logcli`.
    Loki,
    /// Splunk exports and HTTP collector events.
    Splunk,
    /// Datadog archives.
    Datadog,
    /// Message queues: Pub/Sub, Kinesis, SQS, SNS.
    Queue,
    /// The systemd journal.
    Journald,
    /// Syslog lines.
    Syslog,
    /// OpenTelemetry log records.
    Otlp,
    /// Rows of comma-separated values.
    Csv,
    /// The legacy text of kube-apiserver.
    Legacy,
    /// Text before the event, such as a node or a time.
    Prefixed,
    /// Any other object with the event in one of the usual fields.
    Shipper,
}

impl Format {
    /// Every format, in the order of the help text.
    pub const ALL: [Self; 20] = [
        Self::EventList,
        Self::Cloudwatch,
        Self::Azure,
        Self::Gke,
        Self::Cri,
        Self::Docker,
        Self::Fluent,
        Self::Vector,
        Self::Elastic,
        Self::Loki,
        Self::Splunk,
        Self::Datadog,
        Self::Queue,
        Self::Journald,
        Self::Syslog,
        Self::Otlp,
        Self::Csv,
        Self::Legacy,
        Self::Prefixed,
        Self::Shipper,
    ];

    /// Returns the name on the command line; it keeps its meaning.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Returns what it is, in one phrase for the help text.
    pub fn description(self) -> &'static str {
        self.row().1
    }

    fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::EventList => (
                "event-list",
                "EventList documents (audit webhook) and JSON arrays",
            ),
            Self::Cloudwatch => (
                "cloudwatch",
                "Amazon CloudWatch Logs (EKS): API answers, subscriptions, Insights, S3 export, `aws logs tail`",
            ),
            Self::Azure => (
                "azure",
                "Azure Monitor (AKS): diagnostic records, AzureDiagnostics, AKSAudit, AKSAuditAdmin",
            ),
            Self::Gke => (
                "gke",
                "Google Cloud Logging entries (GKE), also from BigQuery",
            ),
            Self::Cri => ("cri", "container log lines of the CRI (containerd, CRI-O)"),
            Self::Docker => ("docker", "container logs of Docker's json-file driver"),
            Self::Fluent => ("fluent", "Fluent Bit and Fluentd records"),
            Self::Vector => ("vector", "Vector records"),
            Self::Elastic => (
                "elastic",
                "Filebeat and Elastic Agent records, Elasticsearch hits",
            ),
            Self::Loki => ("loki", "Loki answers and `logcli` output"),
            Self::Splunk => ("splunk", "Splunk exports and HTTP Event Collector events"),
            Self::Datadog => ("datadog", "Datadog archives"),
            Self::Queue => (
                "queue",
                "messages of Pub/Sub, Kinesis, Firehose, SQS and SNS",
            ),
            Self::Journald => ("journald", "`journalctl -o json`"),
            Self::Syslog => ("syslog", "syslog lines (RFC 5424 and RFC 3164)"),
            Self::Otlp => ("otlp", "OpenTelemetry log records as JSON"),
            Self::Csv => ("csv", "comma-separated values with a header line"),
            Self::Legacy => ("legacy", "the text of `--audit-log-format=legacy`"),
            Self::Prefixed => (
                "prefixed",
                "lines with text before the event, as of `oc adm node-logs`",
            ),
            Self::Shipper => (
                "shipper",
                "JSON objects with the event in a field such as `message` or `log`",
            ),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No format has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown input format `{name}`")]
pub struct UnknownFormat {
    /// The name as given.
    pub name: String,
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| UnknownFormat {
            name: name.to_owned(),
        })
    }
}
