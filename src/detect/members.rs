//! Tests on the elements of one list: the array blocks of Sigma enhancement proposal 212.
//!
//! Only here do several tests speak of the same element: `containers[any]:` with `image` and
//! `securityContext.privileged` below it is one container that has both. What is no list is a list of
//! one; what is absent or null is the empty list.

use super::json::{Json, Keys};
use rsigma_parser::{ArrayQuantifier, Detection, DetectionItem};

use super::compile::Problem;
use super::matcher::Matcher;
use super::modifier::Modifiers;
use super::path::Path;
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
enum MemberTest {
    Value(Path, Matcher),
    Members(Path, Box<Members>),
}

impl Members {
    /// Compiles the block `body`.
    ///
    /// # Errors
    /// When a test in it cannot be compiled.
    pub(super) fn compile(quantifier: ArrayQuantifier, body: &Detection) -> Result<Self, Problem> {
        Ok(Self {
            quantifier,
            body: detection(body)?,
        })
    }

    /// Names every key that the tests within an element may follow.
    pub(super) fn keep(&self, keys: &mut Keys) {
        self.body.visit(&mut |test| {
            let (MemberTest::Value(path, _) | MemberTest::Members(path, _)) = test;
            path.keep(keys);
            if let MemberTest::Members(_, members) = test {
                members.keep(keys);
            }
        });
    }

    /// Returns whether the condition holds for a field with `values`.
    pub fn matches(&self, values: &Values<'_>) -> bool {
        match values {
            Values::Found(found) => {
                let members = found.iter().flat_map(|value| match value {
                    Json::List(elements) => elements.as_slice(),
                    Json::Null => &[],
                    single => std::slice::from_ref(*single),
                });
                self.holds(members)
            }
            values => {
                let mut texts = Vec::new();
                values.texts(&mut texts);
                let texts = texts.into_iter();
                let members: Vec<Json<'_>> = texts.map(|text| Json::Text(text.into())).collect();
                self.holds(members.iter())
            }
        }
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

impl MemberTest {
    fn matches(&self, member: &Json<'_>) -> bool {
        let (Self::Value(path, _) | Self::Members(path, _)) = self;
        let mut found = Vec::new();
        path.find(member, &mut found);
        match self {
            Self::Value(_, matcher) => matcher.matches(&Values::Found(found)),
            Self::Members(_, members) => members.matches(&Values::Found(found)),
        }
    }
}

fn detection(body: &Detection) -> Result<Tree<MemberTest>, Problem> {
    let all = |parts: &[Detection]| parts.iter().map(detection).collect::<Result<_, _>>();
    match body {
        Detection::AllOf(items) => Ok(Tree::and(items.iter().map(item).collect::<Result<_, _>>()?)),
        Detection::AnyOf(parts) => Ok(Tree::or(all(parts)?)),
        Detection::And(parts) => Ok(Tree::and(all(parts)?)),
        Detection::Keywords(values) => {
            let matcher = Matcher::compile(&Modifiers::default(), values, false);
            Ok(Tree::Test(MemberTest::Value(
                Path::default(),
                matcher.map_err(Problem::from)?,
            )))
        }
        Detection::ArrayMatch {
            field,
            quantifier,
            body,
        } => {
            let members = Box::new(Members::compile(*quantifier, body)?);
            Ok(Tree::Test(MemberTest::Members(path(field)?, members)))
        }
        Detection::Conditional { named, condition } => {
            Tree::condition(condition, named, &mut detection)
        }
    }
}

fn item(item: &DetectionItem) -> Result<Tree<MemberTest>, Problem> {
    let name = item.field.name.as_deref().unwrap_or_default();
    let path = path(name)?;
    let problem = |what: String| Problem::about(name, format!("field `{name}`: {what}"));
    let modifiers = Modifiers::parse(&item.field.modifiers).map_err(problem)?;
    if modifiers.is_fieldref {
        return Err(problem(
            "`fieldref` is not supported yet within an array block".to_owned(),
        ));
    }
    let tree = modifiers.combine(&item.values, |values| {
        let matcher = Matcher::compile(&modifiers, values, false)?;
        Ok(Tree::Test(MemberTest::Value(path.clone(), matcher)))
    });
    tree.map_err(problem)
}

fn path(name: &str) -> Result<Path, Problem> {
    Path::parse(name).map_err(|error| Problem::about(name, format!("field `{name}`: {error}")))
}
