//! A JSON document as lines that fold: what is shown, not how.
//!
//! Comes in: the text of a record, its secrets gone ([`redacted_record`]). Goes out: one line per member
//! or element, in the order of the text, an object or list before what is in it; brackets have no lines of
//! their own, and the outermost value has none if anything is in it. Numbers stay as they were written,
//! keys that repeat all stay. Text that is no JSON has a line for each of its own.
//!
//! Promised: what [`Tree::line`] hands out is clean, and short enough to be drawn; its cost follows what
//! is shown, not the length of the document. What is meant to be copied is handed out as it is:
//! [`Tree::path`], [`Tree::value_text`].
//!
//! A document is hostile: nothing recurses, and [`DEPTH_MAX`] and [`LINES_MAX`] bound it; what lies
//! beyond is one line that says so, and can still be copied.

use std::borrow::Cow;
use std::ops::Range;

use regex::Regex;

use super::grid::Direction;
use crate::report::clean::{clean, clip};
use crate::report::record::redacted_record;
use crate::report::record::tokens::{Malformed, Shape, Token, Tokens, chars, text};

/// Levels that have lines; what is deeper stays in one piece.
pub const DEPTH_MAX: usize = 128;

/// Lines of a document; what follows has none.
pub const LINES_MAX: usize = 1_000_000;

/// Columns of a value that are handed out for drawing.
pub const VALUE_COLUMNS: usize = 4096;

/// Columns of a key, also within a path that is drawn.
pub const KEY_COLUMNS: usize = 256;

/// What stands at the start of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// What is in it follows.
    Open,
    /// What is in it is folded away.
    Closed,
    /// There is nothing in it.
    Leaf,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An object.
    Object,
    /// A list.
    List,
    /// A string.
    Text,
    /// A number.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
    /// An object or list below [`DEPTH_MAX`], or what follows [`LINES_MAX`] lines.
    Beyond,
    /// A line of what is no JSON.
    Raw,
}

/// A value as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value<'a> {
    /// What it is.
    pub kind: Kind,
    /// Clean text: of a string what it says, without quotes; of an object or list how much is in it, as
    /// `{3}`. Cut, with `…`, at [`VALUE_COLUMNS`].
    pub text: Cow<'a, str>,
}

/// A line as it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// How far it is indented, from 0.
    pub depth: usize,
    /// Whether it folds.
    pub marker: Marker,
    /// The name of a member, clean and cut at [`KEY_COLUMNS`]; `None` for an element of a list.
    pub key: Option<Cow<'a, str>>,
    /// Number of the element in its list, or of the member in its object, from 0.
    pub index: usize,
    /// The value.
    pub value: Value<'a>,
    /// Where it stands, as `user.extra["authentication.kubernetes.io/credential-id"][0]`; clean.
    pub path: String,
}

/// A document and what of it is folded. Lines are counted from 0, folded ones not at all.
#[derive(Debug, Clone)]
pub struct Tree {
    text: String,
    nodes: Vec<Node>,
    /// Indices of the nodes that have a line now, ascending.
    shown: Vec<usize>,
}

/// One value; in the order of the text.
#[derive(Debug, Clone)]
struct Node {
    /// The value that it is in, if that has a line.
    parent: Option<usize>,
    depth: usize,
    index: usize,
    /// Where its name stands, with its quotes.
    key: Option<Range<usize>>,
    value: Range<usize>,
    kind: Kind,
    /// How many are directly in it.
    n_children: usize,
    /// Behind the last node in it.
    end: usize,
    is_folded: bool,
}

impl Node {
    fn is_leaf(&self) -> bool {
        self.n_children == 0
    }
}

impl Tree {
    /// Returns a record for display: without its secrets, and nothing folded.
    pub fn of_record(record: &str) -> Self {
        Self::parse(redacted_record(record))
    }

    /// Returns `text` as lines, nothing folded. It is shown as it is: see [`Tree::of_record`].
    pub fn parse(text: impl Into<String>) -> Self {
        let text = text.into();
        let nodes = Builder::build(&text).unwrap_or_else(|Malformed| raw_lines(&text));
        let mut tree = Self {
            text,
            nodes,
            shown: Vec::new(),
        };
        tree.lay_out();
        tree
    }

    /// Returns the whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns how many lines there are now.
    pub fn visible(&self) -> usize {
        self.shown.len()
    }

    /// Returns line `line` for drawing.
    pub fn line(&self, line: usize) -> Option<Line<'_>> {
        let (at, node) = self.node(line)?;
        let marker = match (node.is_leaf(), node.is_folded) {
            (true, _) => Marker::Leaf,
            (false, true) => Marker::Closed,
            (false, false) => Marker::Open,
        };
        let key = node.key.clone();
        let key = key.map(|key| drawn_key(&self.text[key]));
        Some(Line {
            depth: node.depth,
            marker,
            key,
            index: node.index,
            value: Value {
                kind: node.kind,
                text: self.drawn_value(node),
            },
            path: clean(&self.path_of(at, drawn_key)).into_owned(),
        })
    }

    /// Returns where the value of a line stands, as rules and messages write it; not clean.
    pub fn path(&self, line: usize) -> Option<String> {
        let (at, _) = self.node(line)?;
        Some(self.path_of(at, text))
    }

    /// Returns the value of a line: of a string what it says, of all else its JSON; not clean.
    pub fn value_text(&self, line: usize) -> Option<Cow<'_, str>> {
        let (_, node) = self.node(line)?;
        let written = &self.text[node.value.clone()];
        Some(match node.kind {
            Kind::Text => text(written),
            _ => Cow::Borrowed(written),
        })
    }

    /// Returns the line of the object or list that a line is in.
    pub fn parent(&self, line: usize) -> Option<usize> {
        let (_, node) = self.node(line)?;
        self.shown.binary_search(&node.parent?).ok()
    }

    /// Folds a line, or unfolds it; nothing happens if nothing is in it.
    pub fn toggle(&mut self, line: usize) {
        let Some(&at) = self.shown.get(line) else {
            return;
        };
        if !self.nodes[at].is_leaf() {
            self.nodes[at].is_folded = !self.nodes[at].is_folded;
            self.lay_out();
        }
    }

    /// Folds all lines.
    pub fn fold_all(&mut self) {
        self.fold_to(0);
    }

    /// Unfolds all lines.
    pub fn unfold_all(&mut self) {
        self.fold_to(usize::MAX);
    }

    /// Folds the lines from `depth` on, and unfolds those before.
    pub fn fold_to(&mut self, depth: usize) {
        for node in &mut self.nodes {
            node.is_folded = node.depth >= depth && !node.is_leaf();
        }
        self.lay_out();
    }

    /// Returns the next line whose key or value `pattern` finds, and unfolds what hides it.
    ///
    /// Starts beyond line `from` (in a folded one, forward, with what is in it), goes on at the other end,
    /// and looks at `from` last.
    pub fn find(&mut self, pattern: &Regex, from: usize, direction: Direction) -> Option<usize> {
        let from = *self.shown.get(from).or(self.shown.last())?;
        let mut order = direction.round(from, self.nodes.len());
        let found = order.find(|&at| self.is_match(pattern, at))?;
        let mut outer = self.nodes[found].parent;
        while let Some(at) = outer {
            self.nodes[at].is_folded = false;
            outer = self.nodes[at].parent;
        }
        self.lay_out();
        self.shown.binary_search(&found).ok()
    }

    fn is_match(&self, pattern: &Regex, at: usize) -> bool {
        let node = &self.nodes[at];
        let key = node.key.clone().map(|key| text(&self.text[key]));
        let is_key = || key.is_some_and(|key| pattern.is_match(&key));
        let is_value = || {
            node.is_leaf() && node.kind != Kind::Beyond && {
                let written = &self.text[node.value.clone()];
                match node.kind {
                    Kind::Text => pattern.is_match(&text(written)),
                    _ => pattern.is_match(written),
                }
            }
        };
        is_key() || is_value()
    }

    fn node(&self, line: usize) -> Option<(usize, &Node)> {
        let at = *self.shown.get(line)?;
        Some((at, &self.nodes[at]))
    }

    /// Gathers the nodes that have a line.
    fn lay_out(&mut self) {
        self.shown.clear();
        let mut at = 0;
        while let Some(node) = self.nodes.get(at) {
            self.shown.push(at);
            at = if node.is_folded { node.end } else { at + 1 };
        }
    }

    fn drawn_value(&self, node: &Node) -> Cow<'_, str> {
        let written = &self.text[node.value.clone()];
        match node.kind {
            Kind::Object => Cow::Owned(format!("{{{}}}", count(node.n_children))),
            Kind::List => Cow::Owned(format!("[{}]", count(node.n_children))),
            Kind::Text => drawn(written, VALUE_COLUMNS),
            Kind::Beyond if node.depth == DEPTH_MAX => {
                let (open, close) = if written.starts_with('{') {
                    ('{', '}')
                } else {
                    ('[', ']')
                };
                Cow::Owned(format!("{open}… deeper than {DEPTH_MAX} levels{close}"))
            }
            Kind::Beyond => Cow::Owned(format!("… more than {LINES_MAX} lines")),
            Kind::Raw => bounded(written, VALUE_COLUMNS),
            Kind::Number | Kind::Bool | Kind::Null => bounded(written, VALUE_COLUMNS),
        }
    }

    fn path_of(&self, at: usize, read: fn(&str) -> Cow<'_, str>) -> String {
        let mut steps = Vec::new();
        let mut next = Some(at);
        while let Some(at) = next {
            steps.push(at);
            next = self.nodes[at].parent;
        }
        let mut path = String::new();
        for node in steps.iter().rev().map(|&at| &self.nodes[at]) {
            match &node.key {
                Some(key) => push_key(&mut path, &read(&self.text[key.clone()])),
                None if node.kind == Kind::Raw || self.is_scalar() => {}
                None => path.extend(["[", &node.index.to_string(), "]"]),
            }
        }
        path
    }

    /// Whether the document is one value with nothing in it.
    fn is_scalar(&self) -> bool {
        self.nodes.len() == 1 && self.text.trim_ascii().len() == self.nodes[0].value.len()
    }
}

fn count(n: usize) -> String {
    if n == 0 { String::new() } else { n.to_string() }
}

/// Appends a key, in quotes unless it is a plain name.
fn push_key(path: &mut String, key: &str) {
    let mut bytes = key.bytes();
    let is_plain = bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_plain {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
    } else {
        let quoted = serde_json::to_string(key).expect("a text can be written as JSON");
        path.extend(["[", &quoted, "]"]);
    }
}

fn drawn_key(written: &str) -> Cow<'_, str> {
    drawn(written, KEY_COLUMNS)
}

/// Returns the text of a string, given as it is written, clean and cut; reads no more than it needs.
fn drawn(written: &str, columns: usize) -> Cow<'_, str> {
    if written.len() <= columns && !written.contains('\\') {
        return bounded(&written[1..written.len() - 1], columns);
    }
    // Characters that take no column are few in what `clip` shows.
    let mut rest = chars(written);
    let said: String = rest.by_ref().take(columns * 4).collect();
    let mut shown = clip(&said, columns);
    if rest.next().is_some() && !shown.ends_with('…') {
        shown.push('…');
    }
    Cow::Owned(shown)
}

/// Returns `text` clean, and cut.
fn bounded(text: &str, columns: usize) -> Cow<'_, str> {
    // No character takes more columns than bytes, but for those that are spelled out.
    if text.len() <= columns
        && let Cow::Borrowed(text) = clean(text)
    {
        return Cow::Borrowed(text);
    }
    Cow::Owned(clip(text, columns))
}

/// Returns a node for each line of what is no JSON.
fn raw_lines(text: &str) -> Vec<Node> {
    let mut start = 0;
    let mut nodes = Vec::new();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let is_beyond = index == LINES_MAX;
        let end = if is_beyond {
            text.len()
        } else {
            start + line.trim_end_matches(['\r', '\n']).len()
        };
        nodes.push(Node {
            parent: None,
            depth: 0,
            index,
            key: None,
            value: start..end,
            kind: if is_beyond { Kind::Beyond } else { Kind::Raw },
            n_children: 0,
            end: index + 1,
            is_folded: false,
        });
        if is_beyond {
            break;
        }
        start += line.len();
    }
    nodes
}

/// Makes nodes of tokens.
#[derive(Default)]
struct Builder {
    nodes: Vec<Node>,
    open: Vec<Open>,
    key: Option<Range<usize>>,
}

/// A container that is open.
struct Open {
    /// Its node; the outermost has none.
    node: Option<usize>,
    start: usize,
    kind: Kind,
    n_children: usize,
}

impl Builder {
    fn build(text: &str) -> Result<Vec<Node>, Malformed> {
        let mut builder = Self::default();
        let mut tokens = Tokens::new(text);
        // Open containers below the deepest level, and where the outermost of them starts.
        let (mut n_deeper, mut deep_start) = (0_usize, 0);
        let mut last = 0;
        while let Some((token, place)) = tokens.next()? {
            last = place.end;
            let is_beyond = builder.nodes.len() > LINES_MAX;
            match token {
                Token::Open(_) if is_beyond || n_deeper > 0 => n_deeper += 1,
                Token::Close if n_deeper > 0 => {
                    n_deeper -= 1;
                    if n_deeper == 0 && !is_beyond {
                        builder.leaf(Kind::Beyond, deep_start..place.end);
                    }
                }
                _ if n_deeper > 0 => {}
                Token::Close => builder.close(place.end),
                _ if is_beyond => {}
                // The outermost one has no line, hence no level.
                Token::Open(_) if builder.open.len() > DEPTH_MAX => {
                    (n_deeper, deep_start) = (1, place.start);
                }
                Token::Open(Shape::Object) => builder.open(Kind::Object, place),
                Token::Open(Shape::List) => builder.open(Kind::List, place),
                Token::Key => builder.key = Some(place),
                Token::Text => builder.leaf(Kind::Text, place),
                Token::Number => builder.leaf(Kind::Number, place),
                Token::Bool => builder.leaf(Kind::Bool, place),
                Token::Null => builder.leaf(Kind::Null, place),
            }
        }
        if !tokens.rest().trim_ascii().is_empty() {
            return Err(Malformed);
        }
        if let Some(beyond) = builder.nodes.get_mut(LINES_MAX) {
            beyond.value.end = last;
        }
        Ok(builder.nodes)
    }

    fn leaf(&mut self, kind: Kind, value: Range<usize>) {
        let at = self.nodes.len();
        let key = self.key.take();
        let (parent, index) = match self.open.last_mut() {
            Some(outer) => {
                outer.n_children += 1;
                (outer.node, outer.n_children - 1)
            }
            None => (None, 0),
        };
        let (kind, key) = if at == LINES_MAX {
            (Kind::Beyond, None)
        } else {
            (kind, key)
        };
        self.nodes.push(Node {
            parent,
            depth: self.open.len().saturating_sub(1),
            index,
            key,
            value,
            kind,
            n_children: 0,
            end: at + 1,
            is_folded: false,
        });
    }

    fn open(&mut self, kind: Kind, place: Range<usize>) {
        let start = place.start;
        let node = if self.open.is_empty() {
            None
        } else {
            self.leaf(kind, place);
            Some(self.nodes.len() - 1)
        };
        self.open.push(Open {
            node,
            start,
            kind,
            n_children: 0,
        });
    }

    fn close(&mut self, end: usize) {
        let Some(open) = self.open.pop() else {
            return;
        };
        match open.node {
            Some(at) => {
                let n_nodes = self.nodes.len();
                let node = &mut self.nodes[at];
                node.value.end = end;
                node.n_children = open.n_children;
                node.end = n_nodes;
            }
            // Something has to be shown for a document with nothing in it.
            None if open.n_children == 0 => self.leaf(open.kind, open.start..end),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
