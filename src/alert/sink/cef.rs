//! `ArcSight` Common Event Format, version 0 of the header: for receivers that do not read JSON.

use super::Alert;
use super::text::{cef_header, cef_value, plain, words};
use crate::finding::Severity;

/// Returns `alert` as one line without a line end.
///
/// Text is cleaned first, so that there is no line feed that would need an escape.
pub(super) fn line(alert: &Alert, max_chars: usize) -> String {
    let finding = &alert.finding;
    let header = [
        "CEF:0".to_owned(),
        "kubescry".to_owned(),
        "kubescry".to_owned(),
        env!("CARGO_PKG_VERSION").to_owned(),
        cef_header(&plain(&finding.rule.name, 100)),
        cef_header(&plain(&finding.rule.title, 200)),
        severity(finding.severity).to_string(),
    ];
    let target = &finding.target;
    let first = |texts: &[String]| words(texts.first().map(String::as_str), max_chars.min(200));
    let option = |text: &Option<String>| words(text.as_deref(), max_chars.min(200));
    let mut extension = vec![
        ("externalId", alert.key.clone()),
        ("act", alert.event.as_str().to_owned()),
        ("start", finding.first_seen.0.div_euclid(1000).to_string()),
        ("end", finding.last_seen.0.div_euclid(1000).to_string()),
        ("cnt", finding.count.to_string()),
        ("cat", plain(&finding.family, 100)),
        ("suser", option(&finding.actor.username)),
        (
            "requestClientApplication",
            first(&finding.source.user_agents),
        ),
        ("cs1Label", "cluster".to_owned()),
        ("cs1", plain(&alert.cluster, 100)),
        ("cs2Label", "findingId".to_owned()),
        ("cs2", plain(&finding.finding_id, 64)),
        ("cs3Label", "resource".to_owned()),
        ("cs3", option(&target.resource)),
        ("cs4Label", "namespace".to_owned()),
        ("cs4", option(&target.namespace)),
        ("cs5Label", "name".to_owned()),
        ("cs5", option(&target.name)),
        ("msg", plain(&finding.summary, max_chars)),
    ];
    // `src` must be an address.
    let ip = finding
        .source
        .ips
        .first()
        .and_then(|ip| ip.parse::<std::net::IpAddr>().ok());
    extension.extend(ip.map(|ip| ("src", ip.to_string())));
    let extension: Vec<String> = extension
        .into_iter()
        .map(|(key, value)| format!("{key}={}", cef_value(&value)))
        .collect();
    format!("{}|{}", header.join("|"), extension.join(" "))
}

/// Returns the number on CEF's scale from 0 to 10.
const fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Informational => 1,
        Severity::Low => 3,
        Severity::Medium => 5,
        Severity::High => 8,
        Severity::Critical => 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sink::Event;
    use crate::alert::sink::tests::{HOSTILE, alert};

    #[test]
    fn line_is_the_documented_one() {
        let mut alert = alert(Event::New, Severity::High, "a|b=c\\d\ne");
        alert.finding.rule.title = "pipe | back \\ slash".to_owned();
        alert.finding.source.ips = vec!["10.0.0.7".to_owned()];
        let expected = format!(
            "CEF:0|kubescry|kubescry|{}|token-reused-after-deletion|pipe \\| back \\\\ slash|8|\
             externalId={} act=new start=1795323662123 end=1795326250000 cnt=12 cat=token-reuse \
             suser=a|b\\=c\\\\d\\\\ne",
            env!("CARGO_PKG_VERSION"),
            alert.key
        );
        let line = line(&alert, 500);
        assert!(line.starts_with(&expected), "{line}\n{expected}");
        assert!(line.ends_with(" src=10.0.0.7"), "{line}");
    }

    #[test]
    fn hostile_text_stays_in_its_value() {
        for text in HOSTILE {
            let line = line(&alert(Event::New, Severity::High, text), 500);
            assert_eq!(line.lines().count(), 1);
            assert!(!line.chars().any(crate::report::clean::is_hidden), "{line}");
        }
    }
}
