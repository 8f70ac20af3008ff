//! Tests on the elements of one list: the array blocks of Sigma enhancement proposal 212.
//!
//! Only here do several tests speak of the same element: `containers[any]:` with `image` and
//! `securityContext.privileged` below it is one container that has both. What is no list is a list of
//! one; what is absent or null is the empty list.

use rsigma_parser::{ArrayQuantifier, Detection, DetectionItem};

use super::compile::{Problem, Terms, keywords};
use super::explain::standing;
use super::json::{Json, Keys};
use super::matcher::Matcher;
use super::modifier::Modifiers;
use super::path::Path;
use super::trace::{Found, Trace, text_of_item};
use super::tree::Tree;
use super::value::Values;

/// A condition on the elements of a list.
#[derive(Debug, Clone)]
pub struct Members {
    quantifier: ArrayQuantifier,
    body: Tree<MemberTest>,
}

/// One test of an element; an empty path is the element itself.
#[derive(Debug, Clone)]
struct MemberTest {
    /// The test, as the rule writes it.
    text: String,
    path: Path,
    kind: MemberKind,
}

#[derive(Debug, Clone)]
enum MemberKind {
    Value(Matcher),
    Members(Box<Members>),
}

impl Members {
    /// Compiles the block `body`.
    ///
    /// # Errors
    /// When a test in it cannot be compiled.
    pub(super) fn compile(
        quantifier: ArrayQuantifier,
        body: &Detection,
        terms: &Terms<'_>,
    ) -> Result<Self, Problem> {
        Ok(Self {
            quantifier,
            body: detection(body, terms)?,
        })
    }

    /// Names every key that the tests within an element may follow.
    pub(super) fn keep(&self, keys: &mut Keys) {
        self.body.visit(&mut |test| {
            test.path.keep(keys);
            if let MemberKind::Members(members) = &test.kind {
                members.keep(keys);
            }
        });
    }

    /// Returns whether the condition holds for a field with `values`.
    pub fn matches(&self, values: &Values<'_>) -> bool {
        match values {
            Values::Found(found) => self.holds(elements(found)),
            values => self.holds(texts(values).iter()),
        }
    }

    /// Returns which elements meet the conditions, and what they meet them by: path and standing, test by test.
    pub(super) fn meeting(&self, values: &Values<'_>) -> Vec<(usize, Vec<(String, String)>)> {
        let told = each(values, |at, member| {
            let mut holds = |test: &MemberTest| test.matches(member);
            if !self.body.holds(&mut holds) {
                return None;
            }
            let mut met = Vec::new();
            self.body.met(&mut holds, &mut met);
            Some((
                at,
                met.iter().flat_map(|test| test.standing(member)).collect(),
            ))
        });
        told.into_iter().flatten().collect()
    }

    /// Says of each element whether it meets the conditions; what is secret is not told.
    pub(super) fn trace(&self, values: &Values<'_>, is_secret: bool) -> Vec<Trace> {
        each(values, |at, member| {
            let trace = Trace::of_tree(&self.body, &mut |test| test.trace(member, is_secret));
            Trace::group(trace.is_met, format!("element {at}"), vec![trace])
        })
    }

    fn holds<'v>(&self, mut members: impl Iterator<Item = &'v Json<'v>>) -> bool {
        let mut meets = |member: &'v Json<'v>| self.body.holds(&mut |test| test.matches(member));
        match self.quantifier {
            ArrayQuantifier::Any => members.any(meets),
            ArrayQuantifier::None => !members.any(meets),
            ArrayQuantifier::AllOrEmpty => members.all(meets),
            ArrayQuantifier::All => members.next().is_some_and(&mut meets) && members.all(meets),
        }
    }
}

/// Returns what `told` says of each element of a field, with its place.
fn each<T>(values: &Values<'_>, mut told: impl FnMut(usize, &Json<'_>) -> T) -> Vec<T> {
    match values {
        Values::Found(found) => {
            let elements = elements(found).enumerate();
            elements.map(|(at, member)| told(at, member)).collect()
        }
        values => {
            let texts = texts(values);
            let elements = texts.iter().enumerate();
            elements.map(|(at, member)| told(at, member)).collect()
        }
    }
}

/// Returns the elements of lists; what is no list is a list of one.
fn elements<'v>(found: &'v [&'v Json<'v>]) -> impl Iterator<Item = &'v Json<'v>> {
    found.iter().flat_map(|value| match value {
        Json::List(elements) => elements.as_slice(),
        Json::Null => &[],
        single => std::slice::from_ref(*single),
    })
}

fn texts(values: &Values<'_>) -> Vec<Json<'static>> {
    let mut texts = Vec::new();
    values.texts(&mut texts);
    let texts = texts.into_iter();
    texts.map(|text| Json::Text(text.into())).collect()
}

impl MemberTest {
    fn matches(&self, member: &Json<'_>) -> bool {
        let mut found = Vec::new();
        self.path.find(member, &mut found);
        match &self.kind {
            MemberKind::Value(matcher) => matcher.matches(&Values::Found(found)),
            MemberKind::Members(members) => members.matches(&Values::Found(found)),
        }
    }

    /// Returns what stands at the path, which must meet the test; of lists below, what their elements meet it by.
    fn standing(&self, member: &Json<'_>) -> Vec<(String, String)> {
        let mut found = Vec::new();
        self.path.find(member, &mut found);
        let values = Values::Found(found);
        let path = self.path.to_string();
        match &self.kind {
            MemberKind::Value(matcher) => {
                vec![(path, standing(&values, |value| matcher.matches(value)))]
            }
            MemberKind::Members(members) => {
                let tests = members.meeting(&values).into_iter();
                let tests =
                    tests.flat_map(|(at, tests)| tests.into_iter().map(move |test| (at, test)));
                let below = tests.map(|(at, (below, text))| {
                    let dot = if below.is_empty() { "" } else { "." };
                    (format!("{path}[{at}]{dot}{below}"), text)
                });
                below.collect()
            }
        }
    }

    fn trace(&self, member: &Json<'_>, is_secret: bool) -> Trace {
        let mut found = Vec::new();
        self.path.find(member, &mut found);
        let values = Values::Found(found);
        let mut trace = Trace::group(self.matches(member), self.text.clone(), Vec::new());
        match &self.kind {
            MemberKind::Members(members) => trace.parts = members.trace(&values, is_secret),
            MemberKind::Value(_) if is_secret => trace.found = Found::Secret(1),
            MemberKind::Value(_) => trace.found = Found::of(&values),
        }
        trace
    }
}

fn detection(body: &Detection, terms: &Terms<'_>) -> Result<Tree<MemberTest>, Problem> {
    let all = |parts: &[Detection]| {
        let parts = parts.iter().map(|part| detection(part, terms));
        parts.collect::<Result<_, _>>()
    };
    match body {
        Detection::AllOf(items) => {
            let items = items.iter().map(|one| item(one, terms));
            Ok(Tree::and(items.collect::<Result<_, _>>()?))
        }
        Detection::AnyOf(parts) => Ok(Tree::or(all(parts)?)),
        Detection::And(parts) => Ok(Tree::and(all(parts)?)),
        Detection::Keywords(values) => {
            let matcher = Matcher::compile(&Modifiers::default(), values, false);
            Ok(Tree::Test(MemberTest {
                text: text_of_item(&keywords(values)),
                path: Path::default(),
                kind: MemberKind::Value(matcher.map_err(Problem::from)?),
            }))
        }
        Detection::ArrayMatch {
            field,
            quantifier,
            body,
        } => {
            let members = Box::new(Members::compile(*quantifier, body, terms)?);
            Ok(Tree::Test(MemberTest {
                text: format!("{field}[{quantifier}]"),
                path: path(field)?,
                kind: MemberKind::Members(members),
            }))
        }
        Detection::Conditional { named, condition } => {
            Tree::condition(condition, named, &mut |part| detection(part, terms))
        }
    }
}

fn item(item: &DetectionItem, terms: &Terms<'_>) -> Result<Tree<MemberTest>, Problem> {
    let name = item.field.name.as_deref().unwrap_or_default();
    let path = path(name)?;
    let problem = |what: String| Problem::about(name, format!("field `{name}`: {what}"));
    let modifiers = Modifiers::parse(&item.field.modifiers).map_err(problem)?;
    if modifiers.is_fieldref {
        return Err(problem(
            "`fieldref` is not supported yet within an array block".to_owned(),
        ));
    }
    let values = terms.values(&modifiers, &item.values).map_err(problem)?;
    let tree = modifiers.combine(&values, |values| {
        let matcher = terms.matcher(&modifiers, values, false)?;
        Ok(Tree::Test(MemberTest {
            text: text_of_item(item),
            path: path.clone(),
            kind: MemberKind::Value(matcher),
        }))
    });
    tree.map_err(problem)
}

fn path(name: &str) -> Result<Path, Problem> {
    Path::parse(name).map_err(|error| Problem::about(name, format!("field `{name}`: {error}")))
}
