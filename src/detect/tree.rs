//! Conditions as trees, and Sigma's condition expressions to such trees.

use std::collections::HashMap;

use rsigma_parser::{ConditionExpr, Detection, Quantifier, SelectorPattern};

/// A condition over tests `L`. `And([])` holds, `Or([])` does not.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree<L> {
    /// All hold.
    And(Vec<Self>),
    /// At least one holds.
    Or(Vec<Self>),
    /// At least that many hold.
    AtLeast(usize, Vec<Self>),
    /// It does not hold. Safe, because no test is ever unknown.
    Not(Box<Self>),
    /// One test.
    Test(L),
}

impl<L> Tree<L> {
    /// Returns the conjunction; one part stands for itself.
    pub fn and(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::And(parts) => flat.extend(parts),
                part => flat.push(part),
            }
        }
        if flat.len() == 1 {
            flat.remove(0)
        } else {
            Self::And(flat)
        }
    }

    /// Returns the disjunction; one part stands for itself.
    pub fn or(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Or(parts) => flat.extend(parts),
                part => flat.push(part),
            }
        }
        if flat.len() == 1 {
            flat.remove(0)
        } else {
            Self::Or(flat)
        }
    }

    /// Returns the negation.
    #[must_use]
    pub fn negate(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            tree => Self::Not(Box::new(tree)),
        }
    }

    /// Returns whether the condition holds, where `test` answers for each test.
    pub fn holds(&self, test: &mut impl FnMut(&L) -> bool) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.holds(test)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(test)),
            Self::AtLeast(n, parts) => {
                parts
                    .iter()
                    .filter(|part| part.holds(test))
                    .take(*n)
                    .count()
                    == *n
            }
            Self::Not(inner) => !inner.holds(test),
            Self::Test(leaf) => test(leaf),
        }
    }

    /// Appends the tests that a condition holds by, which must hold: what is asked to be absent is none of them.
    pub fn met<'t>(&'t self, test: &mut impl FnMut(&L) -> bool, met: &mut Vec<&'t L>) {
        match self {
            Self::And(parts) | Self::Or(parts) | Self::AtLeast(_, parts) => {
                for part in parts {
                    if part.holds(test) {
                        part.met(test, met);
                    }
                }
            }
            Self::Not(_) => {}
            Self::Test(leaf) => met.push(leaf),
        }
    }

    /// Returns whether the condition holds, as far as `test` decides the tests; `None` if the others matter.
    pub fn decide(&self, test: &mut impl FnMut(&L) -> Option<bool>) -> Option<bool> {
        match self {
            Self::And(parts) | Self::Or(parts) => {
                let deciding = matches!(self, Self::Or(_));
                let mut result = Some(!deciding);
                for part in parts {
                    match part.decide(test) {
                        Some(holds) if holds == deciding => return Some(deciding),
                        Some(_) => {}
                        None => result = None,
                    }
                }
                result
            }
            Self::AtLeast(n, parts) => {
                let (mut n_sure, mut n_open) = (0, 0);
                for part in parts {
                    match part.decide(test) {
                        Some(holds) => n_sure += usize::from(holds),
                        None => n_open += 1,
                    }
                }
                if n_sure >= *n {
                    Some(true)
                } else if n_sure + n_open < *n {
                    Some(false)
                } else {
                    None
                }
            }
            Self::Not(inner) => inner.decide(test).map(|holds| !holds),
            Self::Test(leaf) => test(leaf),
        }
    }

    /// Returns what is left of the condition where `test` decides some tests.
    #[must_use]
    pub fn reduce(&self, test: &mut impl FnMut(&L) -> Option<bool>) -> Self
    where
        L: Clone,
    {
        let of = |holds| {
            if holds {
                Self::And(Vec::new())
            } else {
                Self::Or(Vec::new())
            }
        };
        match self {
            Self::And(parts) | Self::Or(parts) => {
                let deciding = matches!(self, Self::Or(_));
                let mut left = Vec::new();
                for part in parts {
                    let part = part.reduce(test);
                    match (part.is_true(), part.is_false()) {
                        (true, _) if deciding => return part,
                        (_, true) if !deciding => return part,
                        (false, false) => left.push(part),
                        _ => {}
                    }
                }
                if deciding {
                    Self::or(left)
                } else {
                    Self::and(left)
                }
            }
            Self::AtLeast(n, parts) => {
                let mut left: Vec<Self> = parts.iter().map(|part| part.reduce(test)).collect();
                left.retain(|part| !part.is_false());
                let n_left = left.len();
                left.retain(|part| !part.is_true());
                match n.saturating_sub(n_left - left.len()) {
                    0 => of(true),
                    n if n > left.len() => of(false),
                    n => Self::AtLeast(n, left),
                }
            }
            Self::Not(inner) => match inner.reduce(test) {
                Self::And(parts) if parts.is_empty() => of(false),
                Self::Or(parts) if parts.is_empty() => of(true),
                left => left.negate(),
            },
            Self::Test(leaf) => test(leaf).map_or_else(|| self.clone(), of),
        }
    }

    /// Returns whether nothing is left to hold.
    pub fn is_true(&self) -> bool {
        matches!(self, Self::And(parts) if parts.is_empty())
    }

    /// Returns whether nothing is left that could hold.
    pub fn is_false(&self) -> bool {
        matches!(self, Self::Or(parts) if parts.is_empty())
    }

    /// Shows every test to `look`.
    pub fn visit(&self, look: &mut impl FnMut(&L)) {
        match self {
            Self::And(parts) | Self::Or(parts) | Self::AtLeast(_, parts) => {
                for part in parts {
                    part.visit(look);
                }
            }
            Self::Not(inner) => inner.visit(look),
            Self::Test(leaf) => look(leaf),
        }
    }

    /// Sorts the parts of every connective by `cost`, cheapest first; returns the highest cost.
    pub fn order(&mut self, cost: &impl Fn(&L) -> u32) -> u32 {
        match self {
            Self::And(parts) | Self::Or(parts) | Self::AtLeast(_, parts) => {
                let mut costs: Vec<(u32, Self)> = parts
                    .drain(..)
                    .map(|mut part| (part.order(cost), part))
                    .collect();
                costs.sort_by_key(|(cost, _)| *cost);
                let highest = costs.last().map_or(0, |(cost, _)| *cost);
                parts.extend(costs.into_iter().map(|(_, part)| part));
                highest
            }
            Self::Not(inner) => inner.order(cost),
            Self::Test(leaf) => cost(leaf),
        }
    }

    /// Compiles a condition over `named` detections, each made a tree by `make`.
    ///
    /// # Errors
    /// When it names a detection that does not exist, or `make` fails.
    pub fn condition<E: From<UnknownDetection>>(
        expression: &ConditionExpr,
        named: &HashMap<String, Detection>,
        make: &mut impl FnMut(&Detection) -> Result<Self, E>,
    ) -> Result<Self, E> {
        let mut all = |parts: &[ConditionExpr]| {
            parts
                .iter()
                .map(|part| Self::condition(part, named, make))
                .collect::<Result<_, E>>()
        };
        match expression {
            ConditionExpr::And(parts) => Ok(Self::and(all(parts)?)),
            ConditionExpr::Or(parts) => Ok(Self::or(all(parts)?)),
            ConditionExpr::Not(part) => Ok(Self::condition(part, named, make)?.negate()),
            ConditionExpr::Identifier(name) => make(
                named
                    .get(name)
                    .ok_or_else(|| UnknownDetection(name.clone()))?,
            ),
            ConditionExpr::Selector {
                quantifier,
                pattern,
            } => {
                let mut matching: Vec<_> =
                    named.keys().filter(|name| selects(pattern, name)).collect();
                matching.sort_unstable(); // the map's order differs from run to run
                if matching.is_empty() {
                    return Err(UnknownDetection(pattern.to_string()).into());
                }
                let parts: Vec<Self> = matching
                    .into_iter()
                    .map(|name| make(&named[name]))
                    .collect::<Result<_, E>>()?;
                Ok(match quantifier {
                    Quantifier::All => Self::and(parts),
                    Quantifier::Any | Quantifier::Count(1) => Self::or(parts),
                    Quantifier::Count(n) => {
                        // More than there are never hold; the count itself is the rule file's.
                        let n = usize::try_from(*n).unwrap_or(usize::MAX);
                        Self::AtLeast(n.min(parts.len() + 1), parts)
                    }
                })
            }
        }
    }
}

/// Returns whether a selector such as `selection_*` names `name`; a star stands for anything, wherever it is.
pub(super) fn selects(pattern: &SelectorPattern, name: &str) -> bool {
    let SelectorPattern::Pattern(glob) = pattern else {
        return pattern.matches_detection_name(name);
    };
    let Some((head, rest)) = glob.split_once('*') else {
        return glob == name;
    };
    let Some(mut name) = name.strip_prefix(head) else {
        return false;
    };
    // Of the parts between stars the first place where each fits leaves most for those behind it.
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match name.split_once(part) {
            Some((_, behind)) => name = behind,
            None => return false,
        }
    }
    name.ends_with(last)
}

/// A condition names a detection that the rule does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownDetection(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_wherever_it_is() {
        let selects = |glob: &str, name| selects(&SelectorPattern::Pattern(glob.to_owned()), name);
        for (glob, name) in [
            ("*_sel_*", "x_sel_1"),
            ("sel_*_b_*", "sel_a_b_c"),
            ("*", ""),
            ("a*", "a"),
            ("*a", "aa"),
            ("a**b", "ab"),
            ("sel", "sel"),
        ] {
            assert!(selects(glob, name), "{glob} {name}");
        }
        for (glob, name) in [
            ("*_sel", "x_sel_1"),
            ("a*a", "a"),
            ("a*b*c", "acb"),
            ("sel", "sels"),
        ] {
            assert!(!selects(glob, name), "{glob} {name}");
        }
    }
}
