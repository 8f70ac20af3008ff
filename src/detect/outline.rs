//! A rule laid out as its author wrote it, to say why an event matches it or not.
//!
//! Comes in: a rule and a frame. Goes out: an [`Explanation`], the condition with its selections and their tests, each
//! with what the event holds. Nothing is skipped for speed, and names of selections are kept, which the compiled form
//! has no use for. Both forms agree; tests hold them to it.

use rsigma_parser::{ConditionExpr, Detection, DetectionItem, Detections, Quantifier};

use super::compile::{CompiledRules, Compiler, Problem, keywords, resolve};
use super::field::{Field, Region};
use super::leaf::LeafTest;
use super::row::{Memo, Row, is_secret};
use super::trace::{Found, Trace, text_of_item};
use super::tree::{Tree, UnknownDetection, selects};
use super::view::{Derived, argv};
use crate::frame::{Column, EventFrame};
use crate::rules::{Rule, RuleBody, RuleError, RuleSet};

/// A detection rule as it was written.
pub struct Outline {
    /// Nothing but the tests.
    tests: CompiledRules,
    condition: Node,
    filters: Vec<Node>,
    lists: Vec<(String, Vec<String>, Node)>,
}

/// Why a rule matches an event or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Whether its condition holds, and those of the filters that are joined to it.
    pub is_match: bool,
    /// Its condition, then those of filters.
    pub conditions: Vec<Trace>,
    /// What each of its lists of exclusions says.
    pub lists: Vec<Exclusion>,
}

/// A list of exclusions, and what it says of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclusion {
    /// Name of the list.
    pub list: String,
    /// Distributions on which it holds; empty is all.
    pub profiles: Vec<String>,
    /// One part per entry.
    pub trace: Trace,
}

enum Node {
    Group {
        text: String,
        join: Join,
        parts: Vec<Self>,
    },
    Test {
        text: String,
        field: Field,
        tree: Tree<u32>,
    },
}

#[derive(Clone, Copy)]
enum Join {
    All,
    AtLeast(usize),
    Not,
}

impl Outline {
    /// Lays out the detection rule number `rule`; `None` if it is none.
    ///
    /// # Errors
    /// When it cannot be compiled.
    pub fn new(rules: &RuleSet, rule: usize) -> Result<Option<Self>, RuleError> {
        let Rule { meta, body } = &rules.rules[rule];
        let RuleBody::Sigma(sigma) = body else {
            return Ok(None);
        };
        let mut layout = Layout {
            compiler: Compiler::new(rules),
        };
        let condition = layout
            .detections(&sigma.detection)
            .map_err(|problem| problem.place(&meta.path, &meta.text))?;
        let mut filters = Vec::new();
        for filter in &rules.filters {
            if RuleSet::is_filtered(&filter.rule, meta, sigma) {
                let node = layout
                    .detections(&filter.rule.detection)
                    .map_err(|problem| problem.place(&filter.path, &filter.text))?;
                let text = format!("filter {}", filter.rule.title);
                filters.push(Node::named(text, node));
            }
        }
        let mut lists = Vec::new();
        for list in meta.exclude.iter().filter_map(|name| rules.find_list(name)) {
            let list = &rules.lists[list];
            let entries = list.entries.iter().map(|entry| {
                let node = layout.detection(&entry.detection)?;
                Ok(Node::named(entry.because.clone(), node))
            });
            let entries: Result<_, Problem> = entries.collect();
            let entries = entries.map_err(|problem| problem.place(&list.path, &list.text))?;
            let node = Node::any(format!("list {}", list.name), entries);
            lists.push((list.name.clone(), list.profiles.clone(), node));
        }
        Ok(Some(Self {
            tests: CompiledRules::of_tests(layout.compiler),
            condition,
            filters,
            lists,
        }))
    }

    /// Says why the rule matches row `row_idx` or not.
    pub fn explain(&self, frame: &EventFrame, row_idx: usize) -> Explanation {
        let mut memo = Memo::new(self.tests.leaves.len());
        let mut event = Event {
            frame,
            row_idx,
            tests: &self.tests,
            row: Row::new(&self.tests, frame, row_idx, &mut memo),
        };
        let conditions = std::iter::once(&self.condition).chain(&self.filters);
        let conditions: Vec<Trace> = conditions.map(|node| event.trace(node)).collect();
        let lists = self.lists.iter().map(|(name, profiles, node)| Exclusion {
            list: name.clone(),
            profiles: profiles.clone(),
            trace: event.trace(node),
        });
        Explanation {
            lists: lists.collect(),
            is_match: conditions.iter().all(|trace| trace.is_met),
            conditions,
        }
    }
}

impl Node {
    fn all(text: impl Into<String>, parts: Vec<Self>) -> Self {
        Self::group(text, Join::All, parts)
    }

    fn any(text: impl Into<String>, parts: Vec<Self>) -> Self {
        Self::group(text, Join::AtLeast(1), parts)
    }

    fn group(text: impl Into<String>, join: Join, parts: Vec<Self>) -> Self {
        Self::Group {
            text: text.into(),
            join,
            parts,
        }
    }

    /// Returns `node` under a name; the tests of one map need no further connective.
    fn named(name: impl Into<String>, node: Self) -> Self {
        match node {
            Self::Group {
                join: Join::All,
                parts,
                ..
            } => Self::all(name, parts),
            node => Self::all(name, vec![node]),
        }
    }
}

/// Lays out conditions, compiling their tests on the way.
struct Layout<'r> {
    compiler: Compiler<'r>,
}

impl Layout<'_> {
    fn detections(&mut self, detections: &Detections) -> Result<Node, Problem> {
        let conditions = detections.conditions.iter();
        let mut parts: Vec<Node> = conditions
            .map(|condition| self.condition(condition, detections))
            .collect::<Result<_, _>>()?;
        Ok(if parts.len() == 1 {
            parts.remove(0)
        } else {
            Node::any("any of", parts)
        })
    }

    fn condition(
        &mut self,
        condition: &ConditionExpr,
        detections: &Detections,
    ) -> Result<Node, Problem> {
        let mut all = |parts: &[ConditionExpr]| {
            let parts = parts.iter().map(|part| self.condition(part, detections));
            parts.collect::<Result<Vec<_>, _>>()
        };
        match condition {
            ConditionExpr::And(parts) => Ok(Node::all("all of", all(parts)?)),
            ConditionExpr::Or(parts) => Ok(Node::any("any of", all(parts)?)),
            ConditionExpr::Not(part) => {
                let part = self.condition(part, detections)?;
                Ok(Node::group("not", Join::Not, vec![part]))
            }
            ConditionExpr::Identifier(name) => self.selection(name, detections),
            ConditionExpr::Selector {
                quantifier,
                pattern,
            } => {
                let names = detections.named.keys();
                let mut names: Vec<&String> = names.filter(|name| selects(pattern, name)).collect();
                names.sort_unstable(); // the map's order differs from run to run
                let parts = names
                    .into_iter()
                    .map(|name| self.selection(name, detections));
                let parts: Vec<Node> = parts.collect::<Result<_, _>>()?;
                let join = match quantifier {
                    Quantifier::All => Join::All,
                    Quantifier::Any => Join::AtLeast(1),
                    Quantifier::Count(n) => {
                        Join::AtLeast(usize::try_from(*n).unwrap_or(usize::MAX))
                    }
                };
                Ok(Node::group(condition.to_string(), join, parts))
            }
        }
    }

    fn selection(&mut self, name: &str, detections: &Detections) -> Result<Node, Problem> {
        let detection = detections.named.get(name);
        let detection = detection.ok_or_else(|| UnknownDetection(name.to_owned()))?;
        Ok(Node::named(name, self.detection(detection)?))
    }

    fn detection(&mut self, detection: &Detection) -> Result<Node, Problem> {
        match detection {
            Detection::AllOf(items) => {
                let parts = items.iter().map(|item| self.item(item));
                Ok(Node::all("all of", parts.collect::<Result<_, _>>()?))
            }
            Detection::And(parts) => Ok(Node::all("all of", self.each(parts)?)),
            Detection::AnyOf(parts) => Ok(Node::any("any of", self.each(parts)?)),
            Detection::Keywords(values) => self.item(&keywords(values)),
            Detection::ArrayMatch {
                field, quantifier, ..
            } => Ok(Node::Test {
                text: format!("{field}[{quantifier}]"),
                field: resolve(field)?,
                tree: self.compiler.detection(detection)?,
            }),
            // Refused by the compiler, which says so.
            Detection::Conditional { .. } => {
                self.compiler.detection(detection)?;
                Ok(Node::all("all of", Vec::new()))
            }
        }
    }

    fn each(&mut self, parts: &[Detection]) -> Result<Vec<Node>, Problem> {
        parts.iter().map(|part| self.detection(part)).collect()
    }

    fn item(&mut self, item: &DetectionItem) -> Result<Node, Problem> {
        Ok(Node::Test {
            text: text_of_item(item),
            field: item
                .field
                .name
                .as_deref()
                .map_or(Ok(Field::Record), resolve)?,
            tree: self.compiler.item(item)?,
        })
    }
}

/// The event that is looked at.
struct Event<'e> {
    frame: &'e EventFrame,
    row_idx: usize,
    tests: &'e CompiledRules,
    row: Row<'e, 'e>,
}

impl Event<'_> {
    fn trace(&mut self, node: &Node) -> Trace {
        match node {
            Node::Group { text, join, parts } => {
                let parts: Vec<Trace> = parts.iter().map(|part| self.trace(part)).collect();
                let n_met = parts.iter().filter(|part| part.is_met).count();
                let is_met = match join {
                    Join::All => n_met == parts.len(),
                    Join::AtLeast(n) => n_met >= *n,
                    Join::Not => n_met == 0,
                };
                Trace::group(is_met, text.clone(), parts)
            }
            Node::Test { text, field, tree } => self.test(text, field, tree),
        }
    }

    fn test(&mut self, text: &str, field: &Field, tree: &Tree<u32>) -> Trace {
        let leaves = &self.tests.leaves;
        let is_met = tree.holds(&mut |leaf| self.row.meets(&leaves[*leaf as usize]));
        let mut trace = Trace::group(is_met, text, Vec::new());
        if let Tree::Test(leaf) = tree
            && let LeafTest::Members(members) = &leaves[*leaf as usize].test
        {
            let is_secret = is_secret(self.frame, self.row_idx, field);
            trace.parts = members.trace(&self.row.find(field), is_secret);
            if trace.parts.is_empty() {
                trace.found = Found::Values(Vec::new());
            }
        } else {
            trace.found = self.found(field);
        }
        if trace.found == Found::Values(Vec::new()) {
            trace.hint = self.lack(field);
        }
        trace
    }

    fn found(&mut self, field: &Field) -> Found {
        let is_secret = is_secret(self.frame, self.row_idx, field);
        match field {
            Field::Record => Found::Unasked,
            Field::Derived(Derived::ExecCommand | Derived::ExecArgv) => {
                if self.row.find(field).is_present() {
                    Found::Command(argv(self.frame.text(Column::RequestUri, self.row_idx)))
                } else {
                    Found::Values(Vec::new())
                }
            }
            field => match Found::of(&self.row.find(field)) {
                Found::Values(values) if is_secret && !values.is_empty() => {
                    Found::Secret(values.len())
                }
                found => found,
            },
        }
    }

    /// Says why the event lacks a field, if that is known.
    fn lack(&self, field: &Field) -> Option<String> {
        let detail = self.frame.detail(self.row_idx);
        let text = |column| {
            self.frame
                .vocabulary()
                .text(self.frame.code(column, self.row_idx))
        };
        let level = text(Column::Level);
        let lacks = |part: &str| Some(format!("the event has no {part} (level {level})"));
        match field {
            Field::Body(region, _) => match region {
                Region::RequestObject if detail.request_object.is_empty() => lacks("requestObject"),
                Region::ResponseObject if detail.response_object.is_empty() => {
                    lacks("responseObject")
                }
                view if view.is_view() && text(Column::Verb).starts_with("delete") => {
                    Some("a deletion writes nothing".to_owned())
                }
                view if view.is_view()
                    && detail.request_object.is_empty()
                    && detail.response_object.is_empty() =>
                {
                    lacks("body")
                }
                Region::Annotations if detail.annotations.is_empty() => lacks("annotations"),
                Region::Extra if detail.extra.is_empty() => lacks("user.extra"),
                _ => None,
            },
            Field::Column(Column::Code | Column::Reason | Column::Message | Column::Outcome)
                if text(Column::Stage) == "RequestReceived" =>
            {
                Some("at stage RequestReceived there is no response yet".to_owned())
            }
            Field::Column(Column::Decision | Column::AuthzReason)
                if detail.annotations.is_empty() =>
            {
                lacks("annotations")
            }
            Field::Column(Column::Username | Column::Actor | Column::UserGroups)
                if self.frame.code(Column::Code, self.row_idx) == 401 =>
            {
                Some("a refused login (401) names nobody".to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::sample;

    const RULE: &str = "
title: T
name: t
logsource: {product: kubernetes, service: audit}
sigma-version: 3
detection:
  selection:
    objectRef.resource: secrets
    verb: [get, list]
  wide:
    object.rules[any]:
      verbs: get
      resources: secrets
  key:
    responseObject.data.password|exists: true
  command:
    exec.command|contains: sh
  filter_a: {user.username: alice}
  filter_b: {user.username: bob}
  condition: (selection or wide or key or command) and not 1 of filter_*
kubescry: {exclude: [l]}
";

    const LIST: &str = "
name: l
title: L
profiles: [EKS]
entries:
  - {because: bob may, user.username: bob, verb: get, objectRef.resource: pods}
  - {because: carol may, user.username: carol, verb: get, objectRef.resource: secrets}
";

    fn explained(event: &str) -> Explanation {
        let files = [("detections/t.yml", RULE), ("lists/l.yml", LIST)];
        let rules = RuleSet::from_files(files).unwrap();
        let outline = Outline::new(&rules, 0).unwrap().unwrap();
        outline.explain(&sample::frame_of("e.jsonl", event).unwrap(), 0)
    }

    /// Returns the lines of a trace, parts set further in.
    fn lines(trace: &Trace, depth: usize, lines: &mut Vec<String>) {
        let mark = if trace.is_met { 'x' } else { '-' };
        let hint = trace
            .hint
            .as_deref()
            .map_or(String::new(), |hint| format!(" ({hint})"));
        let found = match &trace.found {
            Found::Unasked => String::new(),
            found => format!(" {found:?}"),
        };
        lines.push(format!(
            "{}{mark} {}{found}{hint}",
            "  ".repeat(depth),
            trace.text
        ));
        for part in &trace.parts {
            self::lines(part, depth + 1, lines);
        }
    }

    #[test]
    fn a_condition_is_followed_as_it_was_written() {
        let explanation = explained(
            r#"{"verb":"get","level":"Metadata","user":{"username":"carol"},"objectRef":{"resource":"secrets"}}"#,
        );
        assert!(explanation.is_match);
        let mut text = Vec::new();
        lines(&explanation.conditions[0], 0, &mut text);
        assert_eq!(
            text,
            [
                "x all of",
                "  x any of",
                "    x selection",
                r#"      x objectRef.resource: secrets Values(["secrets"])"#,
                r#"      x verb: [get, list] Values(["get"])"#,
                "    - wide",
                "      - object.rules[any] Values([]) (the event has no body (level Metadata))",
                "    - key",
                "      - responseObject.data.password|exists: true Values([]) (the event has no responseObject (level Metadata))",
                "    - command",
                "      - exec.command|contains: sh Values([])",
                "  x not",
                "    - 1 of filter_*",
                "      - filter_a",
                r#"        - user.username: alice Values(["carol"])"#,
                "      - filter_b",
                r#"        - user.username: bob Values(["carol"])"#,
            ]
        );
        let list = &explanation.lists[0];
        assert_eq!(
            (&*list.list, &list.profiles[..]),
            ("l", &["EKS".to_owned()][..])
        );
        let fits: Vec<bool> = list.trace.parts.iter().map(|entry| entry.is_met).collect();
        assert_eq!(fits, [false, true]);
    }

    #[test]
    fn elements_of_lists_are_followed_one_by_one() {
        let explanation = explained(
            r#"{"verb":"create","level":"Request","user":{"username":"bob"},"objectRef":{"resource":"roles"},"requestObject":{"rules":[{"verbs":["get"],"resources":["pods"]},{"verbs":["get","list"],"resources":["secrets"]}]}}"#,
        );
        assert!(!explanation.is_match);
        let mut text = Vec::new();
        lines(&explanation.conditions[0].parts[0].parts[1], 0, &mut text);
        assert_eq!(
            text,
            [
                "x wide",
                "  x object.rules[any]",
                "    - element 0",
                "      - all of",
                r#"        x verbs: get Values(["get"])"#,
                r#"        - resources: secrets Values(["pods"])"#,
                "    x element 1",
                "      x all of",
                r#"        x verbs: get Values(["get", "list"])"#,
                r#"        x resources: secrets Values(["secrets"])"#,
            ]
        );
    }

    #[test]
    fn what_is_secret_is_not_told() {
        let explanation = explained(
            r#"{"verb":"get","level":"RequestResponse","user":{"username":"eve"},"objectRef":{"resource":"secrets"},"responseObject":{"data":{"password":"aHVudGVyMg=="}}}"#,
        );
        let text = format!("{explanation:?}");
        assert!(
            text.contains("Secret(1)") && !text.contains("aHVudGVyMg"),
            "{text}"
        );
    }
}
