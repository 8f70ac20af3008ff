//! What a target of alerts is: URLs, hosts, mail, programs; shared by the types of sinks.

use std::path::Path;
use std::time::Duration;

use super::section::Section;
use super::{
    EmailConfig, HttpConfig, MailRoute, OcsfTarget, SecretSource, SinkKind, SmtpConfig, SmtpTls,
    SyslogConfig, SyslogFormat, Transport,
};
use crate::alert::sink::address::AddressRules;

pub(super) fn read_http(
    section: &mut Section<'_>,
    base: &Path,
    default: Option<&str>,
) -> HttpConfig {
    let default = default.map(|url| SecretSource::Inline(super::Secret::new(url)));
    let url = section.url().map(|source| rooted(source, base)).or(default);
    if url.is_none() {
        let what = format!("{} has no `url`, `url_env` or `url_file`", section.name);
        section.problems.add(&section.place, what, None);
    }
    HttpConfig {
        url: url.unwrap_or(SecretSource::Env(String::new())),
        addresses: read_addresses(section),
        allow_http: section.flag("allow_http").unwrap_or(false),
        ca_file: section.path("ca_file").map(|path| base.join(path)),
        proxy: section
            .word("proxy", &[("none", false), ("env", true)])
            .unwrap_or(false),
        timeout: read_timeout(section),
    }
}

fn read_addresses(section: &mut Section<'_>) -> AddressRules {
    AddressRules {
        allow_private: section.flag("allow_private").unwrap_or(false),
    }
}

fn read_timeout(section: &mut Section<'_>) -> Duration {
    let range = Duration::from_millis(50)..=Duration::from_mins(10);
    section
        .duration("timeout", range)
        .unwrap_or(Duration::from_secs(10))
}

/// Returns a source whose file is relative to `base`.
pub(super) fn rooted(source: SecretSource, base: &Path) -> SecretSource {
    match source {
        SecretSource::File(path) => SecretSource::File(base.join(path)),
        other => other,
    }
}

pub(super) fn read_labels(section: &mut Section<'_>) -> std::collections::BTreeMap<String, String> {
    let labels = section.map("labels").unwrap_or_default();
    for name in labels.keys() {
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            section.wrong(
                "labels",
                format!("`{}` is no label name", name.escape_debug()),
                None,
            );
        }
    }
    labels
}

fn read_port(section: &mut Section<'_>, default: u16) -> u16 {
    let port = section.number("port", 1..=65_535);
    port.and_then(|port| u16::try_from(port).ok())
        .unwrap_or(default)
}

pub(super) fn read_syslog(section: &mut Section<'_>, base: &Path) -> SyslogConfig {
    let transports = [
        ("udp", Transport::Udp),
        ("tcp", Transport::Tcp),
        ("tls", Transport::Tls),
    ];
    let transport = section
        .word("transport", &transports)
        .unwrap_or(Transport::Tls);
    let formats = [("json", SyslogFormat::Json), ("cef", SyslogFormat::Cef)];
    let facility = section
        .number("facility", 0..=23)
        .and_then(|number| u8::try_from(number).ok());
    let hostname = section.text("hostname");
    let is_printable =
        |name: &String| name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_graphic());
    if !hostname.as_ref().is_none_or(is_printable) {
        section.wrong(
            "hostname",
            "`hostname` must be printable ASCII without blanks",
            None,
        );
    }
    SyslogConfig {
        host: section.required("host"),
        port: read_port(
            section,
            if transport == Transport::Tls {
                6514
            } else {
                514
            },
        ),
        transport,
        format: section
            .word("format", &formats)
            .unwrap_or(SyslogFormat::Json),
        facility: facility.unwrap_or(13),
        hostname,
        max_udp_bytes: section
            .number("max_udp_bytes", 480..=65_507)
            .unwrap_or(2048) as usize,
        ca_file: section.path("ca_file").map(|path| base.join(path)),
        addresses: read_addresses(section),
        timeout: read_timeout(section),
    }
}

pub(super) fn read_email(section: &mut Section<'_>, base: &Path) -> Option<EmailConfig> {
    let from = section.required("from");
    let to = section.texts("to").unwrap_or_default();
    if to.is_empty() {
        section.problems.add(
            &section.place,
            format!("{} has no `to`", section.name),
            None,
        );
    }
    let program = section.path("sendmail");
    let host = section.text("host");
    let modes = [
        ("implicit", SmtpTls::Implicit),
        ("starttls", SmtpTls::StartTls),
        ("none", SmtpTls::None),
    ];
    let tls = section.word("tls", &modes).unwrap_or(SmtpTls::Implicit);
    let default_port = match tls {
        SmtpTls::Implicit => 465,
        SmtpTls::StartTls => 587,
        SmtpTls::None => 25,
    };
    let smtp = SmtpConfig {
        host: host.clone().unwrap_or_default(),
        port: read_port(section, default_port),
        tls,
        username: section.text("username"),
        password: section
            .secret("password")
            .map(|source| rooted(source, base)),
        allow_plaintext: section.flag("allow_plaintext").unwrap_or(false),
        ca_file: section.path("ca_file").map(|path| base.join(path)),
        addresses: read_addresses(section),
        timeout: read_timeout(section),
    };
    if smtp.username.is_some() != smtp.password.is_some() {
        section.wrong(
            "username",
            "`username` and `password_env` or `password_file` go together",
            None,
        );
    }
    let route = match (program, host) {
        (Some(program), None) => MailRoute::Sendmail { program },
        (None, Some(_)) => MailRoute::Smtp(smtp),
        _ => {
            let what = format!(
                "{} must have `host` or `sendmail`, one of them",
                section.name
            );
            section.problems.add(&section.place, what, None);
            return None;
        }
    };
    Some(EmailConfig { from, to, route })
}

pub(super) fn read_ocsf(section: &mut Section<'_>, base: &Path) -> OcsfTarget {
    let path = section.path("path");
    if section.is_missing("url") && section.is_missing("url_env") && section.is_missing("url_file")
    {
        if path.is_none() {
            let what = format!("{} must have `path` or `url`", section.name);
            section.problems.add(&section.place, what, None);
        }
        section.know(&HTTP_KEYS);
        return OcsfTarget::File(base.join(path.unwrap_or_default()));
    }
    if path.is_some() {
        section.wrong("path", "`path` and `url` exclude each other", None);
    }
    OcsfTarget::Webhook {
        http: read_http(section, base, None),
        signing: section.secret("signing").map(|source| rooted(source, base)),
        bearer: section.secret("bearer").map(|source| rooted(source, base)),
    }
}

/// Keys of a type that has them or not, by what else it has; for suggestions.
const HTTP_KEYS: [&str; 3] = ["url", "url_env", "url_file"];

pub(super) fn read_exec(section: &mut Section<'_>, base: &Path) -> SinkKind {
    let program = base.join(section.required("program"));
    SinkKind::Exec {
        program,
        args: section.texts("args").unwrap_or_default(),
        pass_env: section.texts("pass_env").unwrap_or_default(),
        timeout: read_timeout(section),
    }
}
