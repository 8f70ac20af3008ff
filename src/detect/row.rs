//! One row at a time: what only bodies decide, and the values of columns.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat};

use super::compile::CompiledRules;
use super::field::{Field, Region};
use super::json::{Json, KeySet};
use super::leaf::{Leaf, LeafTest, Place};
use super::path::Path;
use super::value::{Number, Scalar, Values};
use super::view;
use crate::frame::vocabulary::known;
use crate::frame::{Column, ColumnType, EventFrame, NULL, Vocabulary};

/// One row under evaluation, with what was parsed of it.
pub(super) struct Row<'p, 'e> {
    rules: &'p CompiledRules,
    frame: &'e EventFrame,
    idx: usize,
    /// By region: what was parsed of it.
    regions: [Option<Parsed<'e>>; Region::ALL.len()],
    /// By region: whether its raw text may write a key with escapes, once that was asked.
    escapes: [Option<bool>; Region::ALL.len()],
    /// By region: how many tests have looked for their mark in its raw text.
    looks: [u8; Region::ALL.len()],
    /// What tests said of this row.
    memo: &'p mut Memo,
}

/// A region that is parsed.
struct Parsed<'e> {
    value: Json<'e>,
    /// The keys in it.
    keys: KeySet,
    /// Whether there was nothing to parse.
    is_empty: bool,
}

/// Looks into the raw text of a region before it is parsed.
const LOOKS: u8 = 3;

/// What tests said of one row; serves the rows of a chunk, one after the other.
pub(super) struct Memo {
    /// By leaf.
    verdicts: Vec<Option<bool>>,
    /// The leaves with a verdict.
    tested: Vec<u32>,
}

impl Memo {
    pub(super) fn new(n_leaves: usize) -> Self {
        Self {
            verdicts: vec![None; n_leaves],
            tested: Vec::new(),
        }
    }

    fn clear(&mut self) {
        for leaf_idx in self.tested.drain(..) {
            self.verdicts[leaf_idx as usize] = None;
        }
    }
}

impl<'p, 'e> Row<'p, 'e> {
    pub(super) fn new(
        rules: &'p CompiledRules,
        frame: &'e EventFrame,
        idx: usize,
        memo: &'p mut Memo,
    ) -> Self {
        memo.clear();
        Self {
            rules,
            frame,
            idx,
            regions: Default::default(),
            escapes: Default::default(),
            looks: [0; Region::ALL.len()],
            memo,
        }
    }

    /// Returns whether a leaf holds at the row.
    pub(super) fn holds(&mut self, leaf_idx: u32) -> bool {
        if let Some(holds) = self.memo.verdicts[leaf_idx as usize] {
            return holds;
        }
        let rules = self.rules;
        let leaf = &rules.leaves[leaf_idx as usize];
        let holds = match &leaf.test {
            LeafTest::Related(..) => self.meets(leaf),
            _ if self.lacks(leaf) => leaf.holds_if_missing,
            _ => self.meets(leaf),
        };
        self.memo.verdicts[leaf_idx as usize] = Some(holds);
        self.memo.tested.push(leaf_idx);
        holds
    }

    /// Returns whether a leaf holds at the row; `None` if a body decides.
    pub(super) fn holds_by_columns(&mut self, leaf_idx: u32) -> Option<bool> {
        let leaf = &self.rules.leaves[leaf_idx as usize];
        (leaf.place != Place::Body).then(|| self.holds(leaf_idx))
    }

    /// Returns whether a leaf holds at the row by the row's values alone.
    pub(super) fn meets(&mut self, leaf: &Leaf) -> bool {
        self.parse_for(&leaf.field);
        match &leaf.test {
            LeafTest::Related(modifiers, other) => {
                self.parse_for(other);
                let (mut lefts, mut rights) = (Vec::new(), Vec::new());
                self.values(&leaf.field).texts(&mut lefts);
                self.values(other).texts(&mut rights);
                modifiers.relate(lefts, rights)
            }
            test => test.matches(&self.values(&leaf.field)),
        }
    }

    /// Returns the values of a field.
    pub(super) fn find(&mut self, field: &Field) -> Values<'_> {
        self.parse_for(field);
        self.values(field)
    }

    /// Returns whether the region surely lacks the leaf's field: by its raw text, or by the keys that it has.
    fn lacks(&mut self, leaf: &Leaf) -> bool {
        let Field::Body(region, _) = &leaf.field else {
            return false;
        };
        if self.regions[*region as usize].is_none() && self.lacks_mark(*region, leaf) {
            return true;
        }
        let parsed = self.parse(*region);
        let has_any = |keys: &[u32]| parsed.keys.has_any(keys);
        parsed.is_empty || leaf.last_keys.as_deref().is_some_and(|keys| !has_any(keys))
    }

    /// Returns whether the raw text of a region says that it surely lacks the leaf's field, if that is worth a look.
    ///
    /// A client chooses how the JSON of a patch is written, so a text with escapes proves nothing.
    fn lacks_mark(&mut self, region: Region, leaf: &Leaf) -> bool {
        let raws = raws(self.frame, self.idx, region);
        if raws.iter().all(|raw| raw.is_empty()) {
            return true;
        }
        // Looking is cheaper than parsing for the first rules that ask, not for all of them.
        let looks = &mut self.looks[region as usize];
        let Some(mark) = leaf.prefilter.as_ref().filter(|_| *looks < LOOKS) else {
            return false;
        };
        *looks += 1;
        let has_escapes = |raw: &str| {
            let escapes = memchr::memchr_iter(b'\\', raw.as_bytes());
            let mut written = escapes.map(|at| raw.as_bytes().get(at + 1));
            written.any(|byte| matches!(byte, Some(b'u' | b'/')))
        };
        raws.iter().all(|raw| mark.find(raw.as_bytes()).is_none())
            && !*self.escapes[region as usize]
                .get_or_insert_with(|| raws.iter().any(|raw| has_escapes(raw)))
    }

    /// Parses the region of a field, unless it is in none.
    fn parse_for(&mut self, field: &Field) {
        if let Field::Body(region, _) = field {
            self.parse(*region);
        }
    }

    /// Returns what a region holds; parses it, unless that was done.
    fn parse(&mut self, region: Region) -> &Parsed<'e> {
        if self.regions[region as usize].is_none() {
            let raws = raws(self.frame, self.idx, region);
            let value = self.parse_anew(region, raws);
            self.regions[region as usize] = Some(Parsed {
                keys: self.rules.keys.within(&value),
                value,
                is_empty: raws.iter().all(|raw| raw.is_empty()),
            });
        }
        let parsed = self.regions[region as usize].as_ref();
        parsed.expect("it was just parsed")
    }

    fn parse_anew(&mut self, region: Region, [raw, response]: [&'e str; 2]) -> Json<'e> {
        let (frame, idx) = (self.frame, self.idx);
        let text = |column: Column| frame.vocabulary().text(frame.code(column, idx));
        match region {
            Region::Object => view::object(text(Column::Verb), raw, response, &self.rules.keys),
            Region::Csr => view::csr(&self.parse(Region::Object).value),
            Region::Subjects => {
                view::subjects(&self.parse(Region::Object).value, text(Column::Namespace))
            }
            Region::ForeignWebhooks => {
                view::foreign_webhooks(&self.parse(Region::Object).value, text(Column::Actor))
            }
            _ => Json::parse(raw, &self.rules.keys),
        }
    }

    /// Returns the values of a field whose region is parsed.
    fn values(&self, field: &Field) -> Values<'_> {
        match field {
            Field::Body(region, paths) => {
                let mut found = Vec::new();
                let parsed = self.regions[*region as usize].as_ref();
                // What is not there, and a view of nothing, is no value, not even null.
                let is_nothing =
                    |it: &Parsed<'_>| it.is_empty || region.is_view() && it.value.is_null();
                if let Some(Parsed { value, .. }) = parsed.filter(|it| !is_nothing(it)) {
                    paths.find(value, &mut found);
                }
                Values::Found(found)
            }
            field => row_values(self.frame, field, self.idx).unwrap_or(Values::MISSING),
        }
    }
}

/// Returns the values of a field that needs no parsing; `None` if it does.
pub(super) fn row_values<'e>(
    frame: &'e EventFrame,
    field: &Field,
    row_idx: usize,
) -> Option<Values<'e>> {
    match field {
        Field::Column(column) => Some(column_values(frame, *column, row_idx)),
        Field::Derived(derived) => Some(derived.of_row(frame, row_idx)),
        Field::Record => Some(Values::Single(Scalar::Text(frame.record(row_idx)))),
        Field::Body(..) => None,
    }
}

/// What may be said of a Secret or a token.
const HARMLESS: [&str; 9] = [
    "kind",
    "apiVersion",
    "type",
    "metadata.name",
    "metadata.namespace",
    "metadata.annotations.kubernetes.io/service-account.name",
    "spec.audiences",
    "spec.expirationSeconds",
    "status.authenticated",
];

/// Returns whether a field is what a Secret or a token consists of.
pub(super) fn is_secret(frame: &EventFrame, row_idx: usize, field: &Field) -> bool {
    let Field::Body(region, paths) = field else {
        return false;
    };
    let resource = frame.code(Column::Resource, row_idx);
    let subresource = frame.code(Column::Subresource, row_idx);
    let holds_secrets = resource == known::SECRETS
        || resource == known::TOKEN_REVIEWS
        || subresource == known::TOKEN;
    let is_body = matches!(
        region,
        Region::RequestObject | Region::ResponseObject | Region::Object
    );
    let is_harmless = |path: &Path| {
        path.joined().is_some_and(|path| {
            // Lists have a second path to what they are made of.
            let path = path.strip_prefix("items.").unwrap_or(&path);
            HARMLESS.contains(&path)
        })
    };
    holds_secrets && is_body && !paths.iter().all(is_harmless)
}

/// Returns the values of any column at a row.
pub(super) fn column_values(frame: &EventFrame, column: Column, row_idx: usize) -> Values<'_> {
    match column.kind() {
        ColumnType::Coded | ColumnType::CodedList => {
            coded(frame.vocabulary(), column, frame.code(column, row_idx))
        }
        ColumnType::Text => match frame.text(column, row_idx) {
            "" => Values::MISSING,
            text => Values::Single(Scalar::Text(text)),
        },
        // As the API server writes it: RFC 3339 with six decimals.
        ColumnType::Time => match frame.times(column)[row_idx] {
            0 => Values::MISSING,
            time => DateTime::from_timestamp_micros(time).map_or(Values::MISSING, |time| {
                let text = time.to_rfc3339_opts(SecondsFormat::Micros, true);
                Values::Texts(vec![Cow::Owned(text)])
            }),
        },
        ColumnType::Number => number(frame.code(column, row_idx)),
        ColumnType::Long => {
            let number = Number::Integer(frame.longs(column)[row_idx].into());
            Values::Single(Scalar::Number(number))
        }
        ColumnType::Flag => Values::Single(Scalar::Bool(frame.is_masters(row_idx))),
    }
}

/// Returns the raw texts that a region of the event is made of; empty is what the event lacks.
pub(super) fn raws(frame: &EventFrame, row_idx: usize, region: Region) -> [&str; 2] {
    let (detail, record) = (frame.detail(row_idx), frame.record(row_idx));
    let request = || detail.request_object.slice(record);
    let response = || detail.response_object.slice(record);
    match region {
        Region::Annotations => [detail.annotations.slice(record), ""],
        Region::Extra => [detail.extra.slice(record), ""],
        Region::RequestObject => [request(), ""],
        Region::ResponseObject => [response(), ""],
        Region::Whole => [record, ""],
        Region::Object | Region::Subjects | Region::ForeignWebhooks | Region::Csr => {
            [request(), response()]
        }
    }
}

/// Returns the values of a coded column; an empty list is as absent as null.
pub(super) fn coded(vocabulary: &Vocabulary, column: Column, code: u32) -> Values<'_> {
    match column.kind() {
        _ if code == NULL => Values::MISSING,
        ColumnType::CodedList => Values::Texts(vocabulary.list(code)),
        _ => Values::Single(Scalar::Text(vocabulary.text(code))),
    }
}

/// Returns the values of a number column, of which 0 is null: an event without a response has no code.
pub(super) fn number<'a>(number: u32) -> Values<'a> {
    match number {
        0 => Values::MISSING,
        number => Values::Single(Scalar::Number(Number::Integer(number.into()))),
    }
}
