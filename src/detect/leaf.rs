//! Leaves: the distinct tests of all rules.

use memchr::memmem::Finder;

use super::field::{Field, Region};
use super::json::Keys;
use super::matcher::Matcher;
use super::members::Members;
use super::modifier::Modifiers;
use super::value::Values;
use super::view::Derived;
use crate::frame::{Column, ColumnType};

/// One distinct test of one field.
#[derive(Debug)]
pub(super) struct Leaf {
    /// The field, as the first rule wrote it.
    pub(super) name: String,
    pub(super) field: Field,
    pub(super) test: LeafTest,
    /// The values, for people.
    pub(super) values: String,
    pub(super) place: Place,
    /// A text without which the region cannot have the field.
    pub(super) prefilter: Option<Finder<'static>>,
    /// Keys without any of which the region cannot have the field, by their numbers; `None` if no key tells.
    pub(super) last_keys: Option<Box<[u32]>>,
    /// Whether the test holds where the field is missing.
    pub(super) holds_if_missing: bool,
}

#[derive(Debug)]
pub(super) enum LeafTest {
    Value(Matcher),
    Members(Members),
    /// `fieldref`
    Related(Modifiers, Field),
}

/// Where a leaf is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Once per distinct code of a column.
    Coded,
    /// Per row, without parsing anything.
    Row,
    /// Per row, with parsing.
    Body,
}

/// What a leaf that parses costs at least.
pub(super) const BODY_COST: u32 = 10;

impl Leaf {
    /// Returns a rank: what costs more comes later.
    pub(super) fn cost(&self) -> u32 {
        match (self.place, &self.field) {
            (Place::Coded, _) => 0,
            (Place::Row, Field::Record) => 4,
            (Place::Row, Field::Derived(_)) => 3,
            (Place::Row, Field::Column(column)) if column.kind() == ColumnType::Text => 2,
            (Place::Row, _) => 1,
            (Place::Body, Field::Body(region, _)) => match region {
                Region::Annotations | Region::Extra => BODY_COST,
                Region::RequestObject => BODY_COST + 1,
                Region::ResponseObject
                | Region::Object
                | Region::Subjects
                | Region::ForeignWebhooks
                | Region::Csr => BODY_COST + 2,
                Region::Whole => BODY_COST + 3,
            },
            (Place::Body, _) => BODY_COST + 3,
        }
    }
}

impl Leaf {
    /// Returns whether it may differ between rows of one template: those that have all but audit ID, times and the version of
    /// their object in common.
    pub(super) fn is_of_row(&self) -> bool {
        let of_row = |field: &Field| match field {
            Field::Column(column) => {
                *column == Column::AuditId
                    || matches!(column.kind(), ColumnType::Time | ColumnType::Long)
            }
            Field::Derived(derived) => *derived == Derived::SessionSeconds,
            Field::Body(region, _) => *region == Region::Whole,
            Field::Record => true,
        };
        let is_other = match &self.test {
            LeafTest::Related(_, other) => of_row(other),
            LeafTest::Value(_) | LeafTest::Members(_) => false,
        };
        of_row(&self.field) || is_other
    }

    /// Returns the keys without any of which the region cannot have the field.
    pub(super) fn last_keys_in(&self, keys: &Keys) -> Option<Box<[u32]>> {
        let Field::Body(region, paths) = &self.field else {
            return None;
        };
        if region.is_made() {
            return None;
        }
        let mut numbers = Vec::new();
        for path in &**paths {
            let last_keys = path.last_keys();
            if last_keys.is_empty() {
                return None;
            }
            for key in last_keys {
                numbers.push(keys.number(key)?);
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        Some(numbers.into())
    }

    /// Names every key of a body that the test may follow.
    pub(super) fn keep(&self, keys: &mut Keys) {
        self.field.keep(keys);
        match &self.test {
            LeafTest::Related(_, other) => other.keep(keys),
            LeafTest::Members(members) => members.keep(keys),
            LeafTest::Value(_) => {}
        }
    }
}

impl LeafTest {
    /// Returns whether the test holds for a field with `values`.
    pub(super) fn matches(&self, values: &Values<'_>) -> bool {
        match self {
            Self::Value(matcher) => matcher.matches(values),
            Self::Members(members) => members.matches(values),
            Self::Related(..) => false, // Needs the other field; see `related`.
        }
    }
}

impl Place {
    /// Returns where a test of `field` is evaluated.
    pub(super) fn of(field: &Field, test: &LeafTest) -> Self {
        match (field, test) {
            (Field::Body(..), _) | (_, LeafTest::Related(_, Field::Body(..))) => Self::Body,
            (_, LeafTest::Related(..)) => Self::Row,
            (Field::Column(column), _) => match column.kind() {
                ColumnType::Coded | ColumnType::CodedList => Self::Coded,
                // HTTP status: as few distinct values as a coded column.
                ColumnType::Number if *column == Column::Code => Self::Coded,
                _ => Self::Row,
            },
            (Field::Derived(derived), _) if derived.source().is_some() => Self::Coded,
            (Field::Derived(_) | Field::Record, _) => Self::Row,
        }
    }
}
