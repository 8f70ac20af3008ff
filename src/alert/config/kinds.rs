//! The settings of each type of sink.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::SecretSource;
use crate::alert::sink::address::AddressRules;
use crate::alert::sink::deliver::Policy;

/// One target of alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkConfig {
    /// Unique among the sinks; the type unless given.
    pub name: String,
    /// Line of the file, from 1.
    pub line: usize,
    /// How it is fed.
    pub policy: Policy,
    /// What it is.
    pub kind: SinkKind,
}

/// The types of sinks, each with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the commented default documents every key")]
pub enum SinkKind {
    Stdout {
        format: Format,
    },
    File {
        path: PathBuf,
        format: Format,
    },
    Webhook {
        http: HttpConfig,
        signing: Option<SecretSource>,
        bearer: Option<SecretSource>,
    },
    Alertmanager {
        http: HttpConfig,
        bearer: Option<SecretSource>,
        labels: BTreeMap<String, String>,
        ends_after: Duration,
        generator_url: Option<String>,
    },
    Slack {
        http: HttpConfig,
    },
    Teams {
        http: HttpConfig,
    },
    PagerDuty {
        http: HttpConfig,
        routing_key: SecretSource,
    },
    Syslog(SyslogConfig),
    Email(EmailConfig),
    Ocsf(OcsfTarget),
    Prometheus {
        path: PathBuf,
    },
    Exec {
        program: PathBuf,
        args: Vec<String>,
        pass_env: Vec<String>,
        timeout: Duration,
    },
}

/// How an alert is written to standard output or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One object of `kubescry.finding/1` with `event` per line.
    Jsonl,
    /// A few lines for people.
    Text,
    /// One object of OCSF class 2004 per line.
    Ocsf,
}

/// A target that takes POST requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where it is; a secret, since some services have theirs in the path.
    pub url: SecretSource,
    /// Which addresses it may have.
    pub addresses: AddressRules,
    /// Whether `http://` is fine for more than loopback.
    pub allow_http: bool,
    /// Certificates to trust instead of the Mozilla list, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Whether the proxy variables of the environment count.
    pub proxy: bool,
    /// Time for one call.
    pub timeout: Duration,
}

/// A syslog receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogConfig {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How messages travel.
    pub transport: Transport,
    /// What a message holds.
    pub format: SyslogFormat,
    /// Number of the facility, 0 to 23 (RFC 5424 section 6.2.1).
    pub facility: u8,
    /// `HOSTNAME` of the messages; `None` is `-`.
    pub hostname: Option<String>,
    /// Bytes of a datagram at most.
    pub max_udp_bytes: usize,
    /// Certificates to trust instead of the Mozilla list, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Which addresses it may have.
    pub addresses: AddressRules,
    /// Time for one call.
    pub timeout: Duration,
}

/// How syslog messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// RFC 5426.
    Udp,
    /// RFC 6587, octet counting.
    Tcp,
    /// RFC 5425.
    Tls,
}

/// What a syslog message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogFormat {
    /// The object of `kubescry.finding/1` with `event`, in ASCII.
    Json,
    /// Common Event Format.
    Cef,
}

/// Mail to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailConfig {
    /// Sender.
    pub from: String,
    /// Receivers, at least one.
    pub to: Vec<String>,
    /// How it gets there.
    pub route: MailRoute,
}

/// How mail gets there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailRoute {
    /// The local program.
    Sendmail {
        /// Its path.
        program: PathBuf,
    },
    /// A server.
    Smtp(SmtpConfig),
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpConfig {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How it is encrypted.
    pub tls: SmtpTls,
    /// Who sends.
    pub username: Option<String>,
    /// Where the password is.
    pub password: Option<SecretSource>,
    /// Whether `tls = "none"` is fine for more than loopback.
    pub allow_plaintext: bool,
    /// Certificates to trust instead of the Mozilla list, in PEM.
    pub ca_file: Option<PathBuf>,
    /// Which addresses it may have.
    pub addresses: AddressRules,
    /// Time for one call.
    pub timeout: Duration,
}

/// How SMTP is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// From the first byte (port 465).
    Implicit,
    /// After `STARTTLS`, which must succeed (port 587).
    StartTls,
    /// Not at all.
    None,
}

/// Where OCSF findings go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OcsfTarget {
    /// Lines of a file.
    File(PathBuf),
    /// A webhook.
    Webhook {
        /// Where it is.
        http: HttpConfig,
        /// Where the secret of the signature is.
        signing: Option<SecretSource>,
        /// Where the token is.
        bearer: Option<SecretSource>,
    },
}
