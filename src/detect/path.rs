//! Paths into JSON, as rules write them.
//!
//! Keys of audit events hold dots and slashes (`authorization.k8s.io/decision`), so a dotted name is
//! ambiguous. At every object the shortest key wins: with `{"a.b": 1, "a": {"b": 2}}` the path `a.b` leads
//! to the 2. If nothing lies behind the shortest key, longer ones are tried. No field of Kubernetes has a dot in its name,
//! only keys that people choose have (of labels, annotations, data); a client may put such a key beside any field into a
//! patch, where the API server passes over it, and must not hide the field by that. Arrays are crossed: every element
//! counts. Exact keys are written `["a.b"]`, `['a.b']`, `"a.b"` or `a\.b`.

use std::fmt;
use std::ops::{Deref, Range};

use super::json::{Json, Keys};

/// A path into a JSON value; the empty path is the value itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Path {
    /// The unquoted parts with the dots between them, so that joined keys are slices of it.
    text: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    /// A part that may join with the next ones: where it stands in `text`.
    Part { start: usize, end: usize },
    /// An exact key.
    Key(String),
    /// An element; a negative one counts from the end.
    Index(i64),
}

/// Why a field name is not a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A part is empty, or a bracket or quote is not closed.
    #[error("not a field name: a part is empty, or a bracket or quote is not closed")]
    Malformed,
    /// An array selector in a rule that does not say it means one.
    #[error("array selectors such as `[0]` and `[any]` need `sigma-version: 3` in the rule")]
    Selector,
}

impl Path {
    /// Parses the name of a field.
    ///
    /// `\[` is how the Sigma parser hands on a bracket of a rule without array selectors; a quoted key
    /// is understood either way.
    ///
    /// # Errors
    /// When the name is malformed, or holds an array selector that the rule may not use.
    pub fn parse(name: &str) -> Result<Self, PathError> {
        let mut path = Self::default();
        let mut rest = name;
        while !rest.is_empty() {
            if let Some(bracket) = rest.strip_prefix("\\[").or_else(|| rest.strip_prefix('[')) {
                rest = path.selector(bracket, rest.starts_with('\\'))?;
            } else if let Some(quote) = rest
                .chars()
                .next()
                .filter(|sign| matches!(sign, '"' | '\''))
            {
                let (key, after) = rest[1..].split_once(quote).ok_or(PathError::Malformed)?;
                path.steps.push(Step::Key(key.to_owned()));
                rest = after;
            } else {
                rest = path.part(rest)?;
            }
            if let Some(after) = rest.strip_prefix('.') {
                if after.is_empty() {
                    return Err(PathError::Malformed);
                }
                rest = after;
            } else if !(rest.is_empty() || rest.starts_with(['[', '\\'])) {
                return Err(PathError::Malformed);
            }
        }
        Ok(path)
    }

    /// Takes what follows an opening bracket; returns what follows the closing one.
    fn selector<'a>(&mut self, bracket: &'a str, is_escaped: bool) -> Result<&'a str, PathError> {
        let close = |text: &'a str| {
            text.strip_prefix("\\]")
                .or_else(|| text.strip_prefix(']'))
                .ok_or(PathError::Malformed)
        };
        if let Some(quote) = bracket
            .chars()
            .next()
            .filter(|sign| matches!(sign, '"' | '\''))
        {
            let (key, after) = bracket[1..].split_once(quote).ok_or(PathError::Malformed)?;
            self.steps.push(Step::Key(key.to_owned()));
            return close(after);
        }
        let end = bracket.find(['\\', ']']).ok_or(PathError::Malformed)?;
        match &bracket[..end] {
            "" | "*" => {} // Any element, as without.
            _ if is_escaped => return Err(PathError::Selector),
            index => {
                self.steps.push(Step::Index(
                    index.parse().map_err(|_error| PathError::Malformed)?,
                ));
            }
        }
        close(&bracket[end..])
    }

    /// Takes an unquoted part; returns what follows it.
    fn part<'a>(&mut self, rest: &'a str) -> Result<&'a str, PathError> {
        let mut part = String::new();
        let mut has_escape = false;
        let mut signs = rest.char_indices();
        let mut end = rest.len();
        while let Some((at, sign)) = signs.next() {
            match sign {
                '\\' if rest[at..].starts_with("\\.") => {
                    has_escape = true;
                    part.push('.');
                    signs.next();
                }
                '.' | '[' => end = at,
                '\\' if rest[at..].starts_with("\\[") => end = at,
                _ => part.push(sign),
            }
            if end == at {
                break;
            }
        }
        if part.is_empty() {
            return Err(PathError::Malformed);
        }
        if has_escape {
            self.steps.push(Step::Key(part));
        } else {
            if !self.text.is_empty() {
                self.text.push('.');
            }
            let start = self.text.len();
            self.text.push_str(&part);
            self.steps.push(Step::Part {
                start,
                end: self.text.len(),
            });
        }
        Ok(&rest[end..])
    }

    /// Returns whether the path is the value itself.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Returns the keys joined by dots; `None` if the path names an element of an array.
    pub fn joined(&self) -> Option<String> {
        let keys: Option<Vec<_>> = self.steps.iter().map(|step| self.key(step)).collect();
        keys.map(|keys| keys.join("."))
    }

    /// Returns the path below `keys`, if it starts with them.
    pub fn below(&self, keys: &[&str]) -> Option<Self> {
        let head = self.steps.get(..keys.len())?;
        let is_below = head
            .iter()
            .zip(keys)
            .all(|(step, key)| self.key(step) == Some(*key));
        is_below.then(|| Self {
            text: self.text.clone(),
            steps: self.steps[keys.len()..].to_vec(),
        })
    }

    /// Returns the last key: whatever holds the value has it as the end of a key.
    pub fn last_key(&self) -> Option<&str> {
        self.steps.iter().rev().find_map(|step| self.key(step))
    }

    fn key<'a>(&'a self, step: &'a Step) -> Option<&'a str> {
        match step {
            Step::Part { start, end } => Some(&self.text[*start..*end]),
            Step::Key(key) => Some(key),
            Step::Index(_) => None,
        }
    }

    /// Names every key that a value at the path may be the member of, as [`Self::keep`] does; none if the path leads to the
    /// value itself.
    pub(super) fn last_keys(&self) -> Vec<&str> {
        let is_key = |step: &Step| !matches!(step, Step::Index(_));
        let Some(last) = self.steps.iter().rposition(is_key) else {
            return Vec::new();
        };
        match &self.steps[last] {
            Step::Key(key) => vec![key],
            Step::Part { end, .. } => {
                let parts = self.steps[..=last].iter().rev();
                let starts = parts.map_while(|step| match step {
                    Step::Part { start, .. } => Some(*start),
                    Step::Key(_) | Step::Index(_) => None,
                });
                starts.map(|start| &self.text[start..*end]).collect()
            }
            Step::Index(_) => Vec::new(),
        }
    }

    /// Names every key that the path may follow: each part, and what parts next to each other join.
    pub fn keep(&self, keys: &mut Keys) {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Part { start, .. } => {
                    let parts = self.steps[at..].iter();
                    let ends = parts.map_while(|step| match step {
                        Step::Part { end, .. } => Some(*end),
                        Step::Key(_) | Step::Index(_) => None,
                    });
                    ends.for_each(|end| keys.keep(&self.text[*start..end]));
                }
                Step::Key(key) => keys.keep(key),
                Step::Index(_) => {}
            }
        }
    }

    /// Appends to `found` every value at the path; an array at its end is one value.
    pub fn find<'v, 'a>(&self, value: &'v Json<'a>, found: &mut Vec<&'v Json<'a>>) {
        self.walk(&self.steps, value, found);
    }

    fn walk<'v, 'a>(&self, steps: &[Step], value: &'v Json<'a>, found: &mut Vec<&'v Json<'a>>) {
        let Some((step, rest)) = steps.split_first() else {
            found.push(value);
            return;
        };
        match (step, value) {
            (Step::Index(index), Json::List(elements)) => {
                let idx = match usize::try_from(*index) {
                    Ok(idx) => Some(idx),
                    Err(_) => usize::try_from(index.unsigned_abs())
                        .ok()
                        .and_then(|from_end| elements.len().checked_sub(from_end)),
                };
                if let Some(element) = idx.and_then(|idx| elements.get(idx)) {
                    self.walk(rest, element, found);
                }
            }
            (_, Json::List(elements)) => {
                for element in elements {
                    self.walk(steps, element, found);
                }
            }
            (Step::Key(key), Json::Object(object)) => {
                if let Some(value) = object.get(key) {
                    self.walk(rest, value, found);
                }
            }
            (Step::Part { start, .. }, Json::Object(object)) => {
                let is_part = |step: &&Step| matches!(step, Step::Part { .. });
                let n_parts = if object.has_dots() {
                    steps.iter().take_while(is_part).count()
                } else {
                    1
                };
                for n_joined in 1..=n_parts {
                    let Step::Part { end, .. } = steps[n_joined - 1] else {
                        continue;
                    };
                    if let Some(value) = object.get(&self.text[*start..end]) {
                        let before = found.len();
                        self.walk(&steps[n_joined..], value, found);
                        if found.len() > before {
                            return;
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// Paths to the values of one field.
///
/// Many begin alike, as those to the containers of what makes Pods, and go there together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Paths {
    all: Vec<Path>,
    /// By path: how many steps it begins with that the path before does, too.
    shared: Vec<usize>,
}

impl From<Vec<Path>> for Paths {
    fn from(all: Vec<Path>) -> Self {
        let shared = all.windows(2).map(|pair| {
            let [before, path] = [&pair[0], &pair[1]];
            let steps = before.steps.iter().zip(&path.steps);
            let is_same = |(one, other): &(&Step, &Step)| {
                let keys = (before.key(one), path.key(other));
                keys.0.is_some() && keys.0 == keys.1
            };
            steps.take_while(is_same).count()
        });
        let shared = [0].into_iter().chain(shared).collect();
        Self { all, shared }
    }
}

impl Deref for Paths {
    type Target = [Path];

    fn deref(&self) -> &[Path] {
        &self.all
    }
}

impl Paths {
    /// Appends to `found` every value at the paths, path by path.
    pub fn find<'v, 'a>(&self, value: &'v Json<'a>, found: &mut Vec<&'v Json<'a>>) {
        self.walk(0..self.all.len(), 0, value, found);
    }

    /// Follows paths that have come to `value` together, by so many steps.
    fn walk<'v, 'a>(
        &self,
        mut paths: Range<usize>,
        n_steps: usize,
        value: &'v Json<'a>,
        found: &mut Vec<&'v Json<'a>>,
    ) {
        let object = match value {
            Json::Object(object) if paths.len() > 1 && !object.has_dots() => object,
            // What is found of one path comes before what is found of the next.
            _ => {
                for path in &self.all[paths] {
                    path.walk(&path.steps[n_steps..], value, found);
                }
                return;
            }
        };
        while let Some(first) = paths.next() {
            let path = &self.all[first];
            let mut others = paths.clone();
            let end = others.find(|&at| self.shared[at] <= n_steps);
            paths.start = end.unwrap_or(paths.end);
            match path.steps.get(n_steps) {
                None => found.push(value),
                Some(step) => {
                    if let Some(value) = path.key(step).and_then(|key| object.get(key)) {
                        self.walk(first..paths.start, n_steps + 1, value, found);
                    }
                }
            }
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => write!(f, "[\"{key}\"]")?,
                Step::Part { start, end } => {
                    let dot = if at == 0 { "" } else { "." };
                    write!(f, "{dot}{}", &self.text[*start..*end])?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Looks along the path, in a tree of all members and in one of those that the path names.
    #[track_caller]
    fn check(name: &str, value: &Value, expected: &[Value]) {
        let path = Path::parse(name).unwrap();
        let text = value.to_string();
        let texts: Vec<String> = expected.iter().map(ToString::to_string).collect();
        let mut named = Keys::default();
        path.keep(&mut named);
        for (keys, is_whole) in [(Keys::all(), true), (named, false)] {
            let json = Json::parse(&text, &keys);
            let mut found = Vec::new();
            path.find(&json, &mut found);
            let expected: Vec<_> = texts.iter().map(|text| Json::parse(text, &keys)).collect();
            assert_eq!(
                found,
                expected.iter().collect::<Vec<_>>(),
                "{name}, {is_whole}"
            );
        }
    }

    #[test]
    fn the_shortest_key_wins() {
        let value =
            json!({"a.b": 1, "a": {"b": 2, "c": {"d": 3}}, "a.c": 4, "e.": 5, "x/y.z": {"w": 6}});
        check("a.b", &value, &[json!(2)]);
        check("a.c.d", &value, &[json!(3)]);
        check("a.c", &value, &[json!({"d": 3})]);
        check("a.c", &json!({"a": {"b": 2}, "a.c": 4}), &[json!(4)]);
        check(r#"["a"].b"#, &value, &[json!(2)]);
        check(r"a\.b", &value, &[json!(1)]);
        check(r#"["a.b"]"#, &value, &[json!(1)]);
        check(r#"\["a.b"\]"#, &value, &[json!(1)]);
        check("'e.'", &value, &[json!(5)]);
        check("x/y.z.w", &value, &[json!(6)]);
        check("a.x", &value, &[]);
        check("", &value, std::slice::from_ref(&value));
    }

    #[test]
    fn arrays_are_crossed() {
        let value = json!({"c": [{"i": "a", "p": [1, 2]}, {"i": "b"}, 7], "n": [[{"i": "z"}]]});
        check("c.i", &value, &[json!("a"), json!("b")]);
        check("c.p", &value, &[json!([1, 2])]);
        check("c[0].i", &value, &[json!("a")]);
        check("c[-2].i", &value, &[json!("b")]);
        check("c[9].i", &value, &[]);
        check(r"c\[*\].i", &value, &[json!("a"), json!("b")]);
        check("n.i", &value, &[json!("z")]);
    }

    #[test]
    fn paths_that_begin_alike_find_what_each_does() {
        let names = [
            "a.b", "a.b.c", "a.b.d", "a.e", "a", "f[0].b", "f[0].c", "'a'.b", "a.e.b", "a.e",
        ];
        let all: Vec<Path> = names
            .iter()
            .map(|name| Path::parse(name).unwrap())
            .collect();
        let paths = Paths::from(all.clone());
        assert_eq!(paths.shared, [0, 2, 2, 1, 1, 0, 1, 0, 1, 2]);
        let values = [
            json!({"a": {"b": {"c": 1, "d": [2]}, "e": 3}, "f": [{"b": 4, "c": 5}]}),
            json!({"a": [{"b": {"c": 1}, "e": 2}, {"b": 3, "e": {"b": 4}}], "f": {"b": 5}}),
            json!({"a": {"b.c": 1, "b": {"c": 2, "d": 3}, "e": [4, {"b": 5}]}, "a.b": {"d": 6}}),
            json!([{"a": {"b": 1}}, 2]),
            json!(null),
        ];
        for value in values {
            let text = value.to_string();
            let json = Json::parse(&text, &Keys::all());
            let (mut found, mut expected) = (Vec::new(), Vec::new());
            paths.find(&json, &mut found);
            for path in &all {
                path.find(&json, &mut expected);
            }
            assert_eq!(found, expected, "{text}");
            assert!(!expected.is_empty() || value.is_null());
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        for name in ["a..b", ".a", "a.", "a[\"b", "a[0", "'a", "a[x]"] {
            assert_eq!(Path::parse(name), Err(PathError::Malformed), "{name}");
        }
        assert_eq!(Path::parse(r"a\[0\]"), Err(PathError::Selector));
    }
}
