//! The findings of a scan as a document, to hand over.

use super::{Block, Page, sections};
use crate::finding::Finding;
use crate::finding::incident::Incident;
use crate::report::{Options, Summary};

/// Returns the blocks of the document; the first is its title. `all` are the findings, `chosen` those that it tells of, in its
/// order.
pub(crate) fn of(
    chosen: &[&Finding],
    all: &[Finding],
    incidents: &[Incident],
    summary: &Summary,
    options: &Options,
) -> Vec<Block> {
    let mut page = Page::default();
    page.heading(1, None, "Findings in Kubernetes audit logs");
    let milder = all.len() - chosen.len();
    let milder = match milder {
        0 => String::new(),
        _ => format!("{milder} milder than {}", options.min_severity),
    };
    let incidents = incidents.iter();
    let incidents = incidents.filter(|incident| incident.severity >= options.min_severity);
    let incidents: Vec<Incident> = incidents.cloned().collect();
    page.fields([
        ("time span", sections::span(summary)),
        ("requests", summary.totals.requests.to_string()),
        ("incidents", incidents.len().to_string()),
        ("findings", sections::severities(chosen.iter().copied())),
        ("not told", milder),
        (
            "made by",
            concat!("kubescry ", env!("CARGO_PKG_VERSION")).to_owned(),
        ),
    ]);
    sections::incidents(&incidents, all.iter(), &mut page);
    page.heading(2, None, "Findings");
    if chosen.is_empty() {
        page.paragraph("Nothing was found.");
    }
    let n_evidence = options.evidence.unwrap_or(usize::MAX);
    for (number, finding) in (1..).zip(chosen) {
        let title = format!("{number}. {}: {}", finding.severity, finding.rule.title);
        page.heading(3, Some(finding.severity), title);
        page.paragraph(&finding.summary);
        sections::finding(finding, None, n_evidence, &mut page);
    }
    sections::files(summary, &mut page);
    sections::remarks(summary, &mut page);
    sections::blind(summary, &mut page);
    page.finish()
}

#[cfg(test)]
mod tests {
    use crate::finding::Severity;
    use crate::report::tests::{HOSTILE, finding, rendered, summary};
    use crate::report::{Format, Options, Summary};

    #[test]
    fn a_document_tells_what_was_found_and_what_it_leaves_out() {
        let findings = [finding(Severity::High, "x"), finding(Severity::Low, "y")];
        let options = Options {
            min_severity: Severity::Medium,
            evidence: Some(2),
            ..Options::default()
        };
        let text = rendered(Format::Markdown, &findings, &summary("z"), &options);
        assert!(
            text.starts_with("# Findings in Kubernetes audit logs\n"),
            "{text}"
        );
        for part in [
            "- **findings**: 1 high\n",
            "- **not told**: 1 milder than medium\n",
            "### 1\\. high: Token used after its service account was deleted\n",
            "**Next steps**\n",
            "logs/audit.log:18 |",
            "10 more are not shown.",
            "## What this log cannot show\n\n- z\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("audit.log:19"));
        let nothing = rendered(Format::Markdown, &[], &summary(""), &options);
        assert!(nothing.contains("Nothing was found."));
        let unread = rendered(Format::Markdown, &[], &Summary::default(), &options);
        assert!(unread.contains("nothing can be said"), "{unread}");
    }

    #[test]
    fn hostile_text_makes_no_structure() {
        let tags = |text: &str| {
            let findings = [finding(Severity::High, text)];
            let html = rendered(Format::Html, &findings, &summary(text), &Options::default());
            (html.matches('<').count(), html.matches('>').count())
        };
        let markup = "</td><script>alert(1)</script><img src=x onerror=alert(1)>";
        for text in HOSTILE.into_iter().chain([markup]) {
            assert_eq!(tags(text), tags("x"), "{text}");
        }
    }
}
