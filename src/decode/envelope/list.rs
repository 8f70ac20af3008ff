//! Lists: the body of an audit webhook, and what is whole in a list that is cut.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::context::Context;
use super::json::{self, Damaged, Object, Writer};
use super::walk::{MAX_DEPTH, Walk};
use super::{cloudwatch, recognise};
use crate::decode::event::Span;
use crate::decode::record::BEGINNINGS;

/// Opens the body of an audit webhook, and names the elements of any other list.
pub(super) fn event_list(walk: &mut Walk<'_>, object: &Object<'_>, context: &Context) -> bool {
    if !recognise::is_list(object) {
        return false;
    }
    let (kind, version) = (object.text("kind"), object.text("apiVersion"));
    let items = object.get("items").filter(|items| items.starts_with('['));
    let Some(items) = items else {
        walk.other(format!("an empty `{}`", recognise::short(&kind)));
        return true;
    };
    let is_audit = if version.is_empty() {
        matches!(&*kind, "" | "EventList")
    } else {
        version.starts_with("audit.k8s.io/")
    };
    let inner = context.list("EventList").with_version(&version);
    let before = walk.n_items;
    let read = json::each_element(items, |item| match Object::parse(item) {
        Some(event) if is_audit && recognise::is_event(&event) => walk.bare(&event, &inner),
        Some(other) => {
            let what = recognise::look_alike(&other).unwrap_or_else(|| {
                if is_audit {
                    recognise::unknown_object(&other)
                } else {
                    format!("an item of a `{}`", recognise::short(&kind)).into()
                }
            });
            walk.other(what);
        }
        None => walk.bad("an item of a list that is no object"),
    });
    if read.is_err() {
        walk.bad("damaged items of a list");
    } else if walk.n_items == before {
        walk.other("an empty list");
    }
    true
}

impl Walk<'_> {
    /// Opens what is sound of a document that is damaged; false if it shows no sign of audit
    /// events.
    pub(super) fn cut(&mut self, text: &str, context: &Context) -> bool {
        self.cut_within(text, 0, context)
    }

    /// Does so with a value that stands in so many objects, the last member of each.
    fn cut_within(&mut self, text: &str, n_objects: usize, context: &Context) -> bool {
        const LISTS: [&str; 9] = [
            "items",
            "events",
            "logEvents",
            "records",
            "Records",
            "results",
            "hits",
            "data",
            "result",
        ];
        if context.depth > MAX_DEPTH {
            self.bad(format!("wrapped more than {MAX_DEPTH} times"));
            return true;
        }
        let before = self.n_items;
        let cause = if text.starts_with('[') {
            let inner = context.list("array");
            let mut sound = 0;
            let read = json::each_element(text, |element| {
                let span = Span::of(element, text);
                sound = span.end() as usize;
                self.element(element, &inner);
            });
            let Err(cause) = read else { return true };
            let what = format!("damaged items of a list ({cause})");
            if self.go_on_behind(&text[sound..], n_objects..=n_objects, &what, &inner) {
                return true;
            }
            cause.to_string()
        } else {
            let Err(damaged) = Object::parse_or_damage(text) else {
                return true;
            };
            let Damaged { sound, open, cause } = *damaged;
            if let Some((key, value)) = open
                && LISTS.contains(&&*key)
                && !recognise::is_event(&sound)
                && recognise::look_alike(&sound).is_none()
                && value.starts_with(['[', '{'])
                && self.allows_cut(&sound, context)
            {
                let name = match &*key {
                    "items" => Cow::Borrowed("EventList"),
                    key => format!("cut {key}").into(),
                };
                let inner = context.enter(&name).with_version(&sound.text("apiVersion"));
                let inner = cloudwatch::named(&sound, inner);
                return self.cut_within(value, n_objects + 1, &inner);
            }
            cause
        };
        if self.n_items == before && context.depth > 0 && !recognise::smells_of_audit(text) {
            return false;
        }
        // Among JSON lines only: where documents are read, brackets do not stand alone.
        if matches!(text, "{" | "[") {
            let what =
                "JSON over several lines among JSON lines; `--input-format documents` reads both";
            self.bad(what.to_owned());
            return true;
        }
        self.bad(damage(&format!("cut or damaged JSON ({cause})"), text));
        true
    }

    /// Opens the elements of a list behind damage; false if none are found.
    pub(super) fn go_on_behind(
        &mut self,
        rest: &str,
        n_objects: RangeInclusive<usize>,
        what: &str,
        context: &Context,
    ) -> bool {
        let Some((damaged, elements)) = behind_damage(rest, n_objects) else {
            return false;
        };
        self.bad(damage(what, damaged));
        self.is_behind_damage = true;
        for element in elements {
            self.element(element, context);
        }
        self.is_behind_damage = false;
        true
    }

    /// Opens the documents behind damage that go to the end of the text; false if none do.
    pub(super) fn objects_behind(&mut self, rest: &str, what: &str, context: &Context) -> bool {
        let mut beginnings = beginnings(rest).filter(|&at| at > 0);
        let found = beginnings.find_map(|at| Some((at, json::objects_to_end(&rest[at..])?)));
        let Some((at, objects)) = found else {
            return false;
        };
        self.bad(damage(what, &rest[..at]));
        self.is_behind_damage = true;
        for object in objects {
            self.element(object, context);
        }
        self.is_behind_damage = false;
        true
    }

    pub(super) fn element(&mut self, element: &str, context: &Context) {
        if !self.value(element, context) {
            self.unknown(element);
        }
    }

    /// Opens rows of bare values, whose `names` an answer gives once.
    pub(super) fn rows(&mut self, names: &[String], rows: &str, context: &Context, store: &str) {
        let before = self.n_items;
        let read = json::each_element(rows, |row| {
            let mut out = Writer::new();
            for (name, value) in names.iter().zip(json::elements(row)) {
                out.raw(name, value);
            }
            if !self.value(&out.finish(), context) {
                self.other(format!("a {store} row of another table"));
            }
        });
        if read.is_err() {
            self.bad(format!("damaged rows of {store}"));
        } else if self.n_items == before {
            self.other(format!("an empty {store} answer"));
        }
    }

    /// A list of other Kubernetes objects stays closed, cut or whole.
    fn allows_cut(&self, sound: &Object<'_>, context: &Context) -> bool {
        let version = sound.text("apiVersion");
        (version.is_empty() || version.starts_with("audit.k8s.io/"))
            && (context.inside || self.state.only.is_none() || sound.get("kind").is_some())
    }
}

/// Opens an answer of a store that is asked in SQL or the like: the columns once, then the rows.
pub(super) fn table(walk: &mut Walk<'_>, object: &Object<'_>, context: &Context) -> bool {
    let first_of = |keys: [&str; 4]| keys.into_iter().find_map(|key| object.get(key));
    let names = first_of(["columns", "schema", "fields", "meta"]).map(names_of);
    let rows = first_of(["rows", "datarows", "data", "results"]);
    let (Some(names), Some(rows)) = (names, rows) else {
        return false;
    };
    let is_table = !names.is_empty() && json::first(rows).is_some_and(|row| row.starts_with('['));
    if is_table {
        walk.rows(&names, rows, &context.enter("table"), "table's");
    }
    is_table
}

/// Returns the names of columns, given as texts or as objects with a name.
pub(super) fn names_of(columns: &str) -> Vec<String> {
    let columns = json::elements(columns).into_iter();
    let names = columns.map(|column| match Object::parse(column) {
        Some(column) => column.text("name").into_owned(),
        None => json::scalar(column).into_owned(),
    });
    names.collect()
}

/// Returns the elements of a list behind damage, and what stands before them; the list stands in so many objects.
fn behind_damage(rest: &str, n_objects: RangeInclusive<usize>) -> Option<(&str, Vec<&str>)> {
    beginnings(rest).find_map(|at| {
        let elements = json::list_to_end(&rest[at..], n_objects.clone())?;
        Some((&rest[..at], elements))
    })
}

/// Returns where events may begin, the first ones.
fn beginnings(text: &str) -> impl Iterator<Item = usize> {
    memchr::memmem::find_iter(text.as_bytes(), recognise::NATIVE_START).take(BEGINNINGS)
}

/// Says what is damaged, and whose event it was if that can still be read.
pub(super) fn damage(what: &str, text: &str) -> String {
    match recognise::salvaged_id(text) {
        Some(id) => format!("{what}; auditID `{id}`"),
        None => what.to_owned(),
    }
}
