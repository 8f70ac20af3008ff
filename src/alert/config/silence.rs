//! Silences: findings that nobody wants to hear of for a while, and why.
//!
//! A file of its own, so that it can be changed by other people and kept in a repository. A silence has at least one
//! matcher, all of which must match; an end, behind which it no longer counts; and a reason.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use super::problem::{Problem, Problems};
use super::section::Section;
use super::words::nearest;
use super::{ConfigErrors, syntax};
use crate::finding::{Finding, Timestamp};

/// All silences of a file, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Silences {
    silences: Vec<Silence>,
}

/// One silence; a matcher is a text in which `*` stands for any characters, and the case counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Name or id of the rule.
    pub rule: Option<String>,
    /// Family.
    pub family: Option<String>,
    /// User who acted.
    pub actor: Option<String>,
    /// Namespace of the target.
    pub namespace: Option<String>,
    /// Cluster, as the configuration names it.
    pub cluster: Option<String>,
    /// Where it comes from, from there alone: a text with `*`, or a network.
    pub address: Option<String>,
    /// The programs that do it, no other among them.
    pub agent: Option<String>,
    /// When it ends.
    pub until: Timestamp,
    /// Why it is there.
    pub reason: String,
    /// Line of the file, from 1.
    pub line: usize,
}

/// What matchers can name.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Names and ids of rules.
    pub rules: &'a [&'a str],
    /// Families of rules.
    pub families: &'a [&'a str],
    /// Clusters, as the configuration names them.
    pub clusters: &'a [&'a str],
}

/// Reads a file of silences; `path` is where it is, for messages.
///
/// # Errors
/// All that is wrong with it, as [`parse`](super::parse) has it.
pub fn parse_silences(text: &str, path: &Path) -> Result<Silences, ConfigErrors> {
    let problems = Problems::new(text);
    let silences = syntax(text, &problems).map(|table| {
        let mut root = Section::new(table.get_ref(), "the file", 0..0, &problems);
        let silences = root.tables("silence").into_iter().map(read).collect();
        root.finish();
        Silences { silences }
    });
    problems.finish(path, silences)
}

fn read(mut section: Section<'_>) -> Silence {
    if section.is_missing("until") {
        let hint = "a silence without an end is a rule to disable".to_owned();
        section
            .problems
            .add(&section.place, "[[silence]] has no `until`", Some(hint));
    }
    let silence = Silence {
        rule: section.text("rule"),
        family: section.text("family"),
        actor: section.text("actor"),
        namespace: section.text("namespace"),
        cluster: section.text("cluster"),
        address: section.text("address"),
        agent: section.text("agent"),
        until: section.time("until").unwrap_or(Timestamp(0)),
        reason: section.required("reason"),
        line: section.problems.position(section.place.start).0,
    };
    if silence.matchers().next().is_none() {
        let hint =
            "give it `rule`, `family`, `actor`, `namespace`, `cluster`, `address` or `agent`"
                .to_owned();
        section
            .problems
            .add(&section.place, "[[silence]] matches everything", Some(hint));
    }
    section.finish();
    silence
}

impl Silence {
    fn matchers(&self) -> impl Iterator<Item = &String> {
        [
            &self.rule,
            &self.family,
            &self.actor,
            &self.namespace,
            &self.cluster,
            &self.address,
            &self.agent,
        ]
        .into_iter()
        .flatten()
    }

    /// Returns whether it is about `finding` in `cluster`, whatever the time.
    pub fn matches(&self, finding: &Finding, cluster: &str) -> bool {
        let matches = |matcher: &Option<String>, value: Option<&str>| {
            matcher
                .as_ref()
                .is_none_or(|matcher| value.is_some_and(|value| glob(matcher, value)))
        };
        // One that also comes from elsewhere is another matter.
        let covers =
            |matcher: &Option<String>, values: &[String], is_in: &dyn Fn(&str, &str) -> bool| {
                matcher.as_ref().is_none_or(|matcher| {
                    !values.is_empty() && values.iter().all(|value| is_in(matcher, value))
                })
            };
        let source = &finding.source;
        let rule = &finding.rule;
        let is_rule = matches(&self.rule, Some(&rule.name)) || matches(&self.rule, Some(&rule.id));
        is_rule
            && matches(&self.family, Some(&finding.family))
            && matches(&self.actor, finding.actor.username.as_deref())
            && matches(&self.namespace, finding.target.namespace.as_deref())
            && matches(&self.cluster, Some(cluster))
            && covers(&self.address, &source.ips, &|matcher, ip| {
                glob(matcher, ip) || is_in_network(matcher, ip)
            })
            && covers(&self.agent, &source.user_agents, &glob)
    }
}

impl Silences {
    /// Returns the first silence that is about `finding` in `cluster` and has not ended at `now`.
    pub fn find(&self, finding: &Finding, cluster: &str, now: Timestamp) -> Option<&Silence> {
        let mut current = self.silences.iter().filter(|silence| silence.until > now);
        current.find(|silence| silence.matches(finding, cluster))
    }

    /// Returns what is allowed, and will hardly be meant: silences that have ended at `now`, and those of a rule, family or
    /// cluster that is not there.
    pub fn doubts(&self, known: &Known<'_>, now: Timestamp) -> Vec<Problem> {
        let mut doubts = Vec::new();
        for silence in &self.silences {
            let mut doubt = |what: String, hint: Option<String>| {
                doubts.push(Problem {
                    line: silence.line,
                    column: 1,
                    what,
                    hint,
                });
            };
            if silence.until <= now {
                doubt(
                    format!("this [[silence]] has ended, at {}", silence.until),
                    Some("take it out, or give it another `until`".to_owned()),
                );
            }
            for (key, matcher, known) in [
                ("rule", &silence.rule, known.rules),
                ("family", &silence.family, known.families),
                ("cluster", &silence.cluster, known.clusters),
            ] {
                let Some(matcher) = matcher else {
                    continue;
                };
                if known.iter().any(|name| glob(matcher, name)) {
                    continue;
                }
                let meant = nearest(matcher, known.iter().copied());
                doubt(
                    format!("this [[silence]] holds back nothing: there is no {key} `{matcher}`"),
                    meant.map(|meant| format!("did you mean `{meant}`?")),
                );
            }
        }
        doubts
    }

    /// Returns those that have ended at `now`, so that somebody takes them out.
    pub fn ended(&self, now: Timestamp) -> impl Iterator<Item = &Silence> {
        self.silences
            .iter()
            .filter(move |silence| silence.until <= now)
    }
}

fn is_in_network(network: &str, ip: &str) -> bool {
    let parsed = (network.parse::<IpNet>(), ip.parse::<IpAddr>());
    matches!(parsed, (Ok(network), Ok(ip)) if network.contains(&ip))
}

/// Returns whether `pattern`, in which `*` stands for any characters, is all of `text`; in linear space.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(idx) => rest = &rest[idx + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sink::Event;
    use crate::alert::sink::tests::alert;
    use crate::finding::Severity;

    fn parsed(text: &str) -> Result<Silences, ConfigErrors> {
        parse_silences(text, Path::new("silences.toml"))
    }

    #[test]
    fn stars_stand_for_anything() {
        fn check(pattern: &str, text: &str, expected: bool) {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
        check("abc", "abc", true);
        check("abc", "abcd", false);
        check("*", "", true);
        check("system:*:ci:*", "system:serviceaccount:ci:builder", true);
        check("system:*:ci:*", "system:serviceaccount:cd:builder", false);
        check("a*b*c", "a-b-b-c", true);
        check("a*a", "a", false);
        check("**a**", "xax", true);
    }

    #[test]
    fn silence_counts_until_its_end() {
        let silences = parsed(
            "[[silence]]\nrule = \"token-*\"\nactor = \"jane\"\nuntil = 2026-12-31\nreason = \"known\"\n",
        )
        .unwrap();
        let jane = alert(Event::New, Severity::High, "jane").finding;
        let eve = alert(Event::New, Severity::High, "eve").finding;
        let last = "2026-12-31T23:59:59.999999Z".parse().unwrap();
        let after = "2027-01-01T00:00:00.000000Z".parse().unwrap();
        assert_eq!(
            silences
                .find(&jane, "prod", last)
                .map(|silence| silence.line),
            Some(1)
        );
        assert_eq!(silences.find(&eve, "prod", last), None);
        assert_eq!(silences.find(&jane, "prod", after), None);
        assert_eq!(silences.ended(after).count(), 1);
        assert_eq!(silences.ended(last).count(), 0);
    }

    #[test]
    fn what_holds_back_nothing_is_doubted() {
        let known = Known {
            rules: &["token-used-after-delete", "secrets-listed", "0f6b"],
            families: &["token-reuse"],
            clusters: &["prod"],
        };
        let check = |keys: &str, expected: &[(&str, Option<&str>)]| {
            let text = format!("# why\n[[silence]]\n{keys}\nreason = \"known\"\n");
            let now = "2026-12-01T00:00:00Z".parse::<chrono::DateTime<chrono::Utc>>();
            let now = Timestamp(now.unwrap().timestamp_micros());
            let doubts = parsed(&text).unwrap().doubts(&known, now);
            let found: Vec<(&str, Option<&str>)> = doubts
                .iter()
                .map(|doubt| (doubt.what.as_str(), doubt.hint.as_deref()))
                .collect();
            assert_eq!(found, expected, "{keys}");
            assert!(doubts.iter().all(|doubt| doubt.line == 2), "{doubts:?}");
        };
        let until = "until = 2026-12-31\n";
        for matcher in [
            "rule = \"token-*\"",
            "rule = \"0f6b\"",
            "family = \"token-reuse\"\ncluster = \"prod\"",
            "actor = \"nobody-knows\"",
        ] {
            check(&format!("{until}{matcher}"), &[]);
        }
        check(
            &format!("{until}rule = \"secret-listed\""),
            &[(
                "this [[silence]] holds back nothing: there is no rule `secret-listed`",
                Some("did you mean `secrets-listed`?"),
            )],
        );
        check(
            &format!("{until}rule = \"audit-*\"\ncluster = \"prd\""),
            &[
                (
                    "this [[silence]] holds back nothing: there is no rule `audit-*`",
                    None,
                ),
                (
                    "this [[silence]] holds back nothing: there is no cluster `prd`",
                    Some("did you mean `prod`?"),
                ),
            ],
        );
        check(
            "until = 2026-11-29\nrule = \"secrets-listed\"",
            &[(
                "this [[silence]] has ended, at 2026-11-30T00:00:00.000000Z",
                Some("take it out, or give it another `until`"),
            )],
        );
    }

    #[test]
    fn a_silence_of_an_address_is_none_of_others() {
        let with = |matcher: &str| {
            let text = format!("[[silence]]\n{matcher}\nuntil = 2099-12-31\nreason = \"known\"\n");
            parsed(&text).unwrap()
        };
        let mut finding = alert(Event::New, Severity::High, "jane").finding;
        let mut is_silent = |matcher: &str, ips: &[&str]| {
            finding.source.ips = ips.iter().map(ToString::to_string).collect();
            with(matcher).find(&finding, "prod", Timestamp(0)).is_some()
        };
        let network = "address = \"10.8.0.0/16\"";
        assert!(is_silent(network, &["10.8.1.2"]));
        assert!(!is_silent(network, &["10.8.1.2", "203.0.113.9"]));
        assert!(!is_silent(network, &[]));
        assert!(is_silent("address = \"10.8.*\"", &["10.8.1.2"]));
        assert!(is_silent("agent = \"jane\"", &["10.8.1.2"]));
        assert!(!is_silent("agent = \"kubectl/*\"", &["10.8.1.2"]));
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let errors =
            parsed("[[silence]]\nuntil = \"soon\"\n[[silence]]\nrules = \"x\"\nreason = \"y\"\n");
        let errors = errors.unwrap_err().to_string();
        for text in [
            "`until` is no time\n  --> silences.toml:2:1",
            "[[silence]] matches everything\n  --> silences.toml:1:1",
            "[[silence]] has no `reason`",
            "[[silence]] has no `until`",
            "unknown key `rules` in [[silence]]\n  --> silences.toml:4:1\nhint: did you mean `rule`?",
        ] {
            assert!(errors.contains(text), "{text}\n---\n{errors}");
        }
    }
}
