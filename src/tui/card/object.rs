//! The card of an object: what happened to it, in order of time.
//!
//! A line for each request that changes it or reaches into it. Writes of its status are counted only, and reads are
//! counted by identity, unless it is a Secret: then every read is a line, since a Secret that was read is known.

use hashbrown::HashSet;

use super::deed::{self};
use super::rows::{Merge, Reader};
use super::tally::{Count, Tally};
use super::{Built, Sources, about, link, page, question};
use crate::frame::Column;
use crate::store::field::Derived;
use crate::store::filter::Test;
use crate::store::{Field, Row, is_mutating};
use crate::tui::document::{Document, Line, Look, Part};
use crate::tui::pivot::Object;

/// Requests listed before "+N more".
const SHOWN: usize = 300;
/// Readers listed before "+N more".
const READERS: usize = 20;

/// Fields of every request.
const FIELDS: [Field; 4] = [
    Field::Column(Column::Outcome),
    Field::Column(Column::Verb),
    Field::Column(Column::Subresource),
    Field::Column(Column::Username),
];

/// Fields of the requests that are listed.
const LISTED: [Field; 13] = [
    Field::Column(Column::Verb),
    Field::Column(Column::Subresource),
    Field::Column(Column::Username),
    Field::Column(Column::PeerIp),
    Field::Column(Column::Outcome),
    Field::Column(Column::Code),
    Field::Column(Column::ObjectUid),
    Field::Column(Column::Name),
    Field::Derived(Derived::FieldManager),
    Field::Derived(Derived::RoleRef),
    Field::Derived(Derived::Subjects),
    Field::Derived(Derived::PodFlags),
    Field::Derived(Derived::PodServiceAccount),
];

/// All requests on an object.
#[derive(Default)]
struct History {
    all: Count,
    /// Those that are listed.
    listed: Vec<(i64, Row)>,
    status: u64,
    readers: Tally<u32>,
}

impl Merge for History {
    fn merge(&mut self, later: Self) {
        self.all.merge(later.all);
        self.listed.merge(later.listed);
        self.status += later.status;
        self.readers.merge(later.readers);
    }
}

pub(super) fn card(object: &Object, sources: &Sources<'_>, reader: Reader<'_>) -> Built<Document> {
    let is_secret = object.resource == "secrets";
    let rows = rows(object, reader)?;
    let history: History = reader.gather(&rows, &FIELDS, |history: &mut History, cells| {
        let outcome = cells.code(0);
        history.all.add(&cells, outcome);
        let (verb, subresource) = (cells.text(1), cells.text(2));
        let is_status = matches!(&*subresource, "status" | "finalize");
        let reads = matches!(&*verb, "get" | "list" | "watch") && is_own(&subresource);
        if is_status && is_mutating(&verb) {
            history.status += 1;
        } else if reads && !is_secret {
            history.readers.add(cells.code(3), &cells, outcome);
        } else {
            history.listed.push((cells.time, cells.row));
        }
    })?;
    let title = object.to_string();
    let mut document = Document::new(&title);
    document.line([Part::new(&title, Look::Bold)]);
    document.field(
        "resource",
        [link::value(Column::Resource, &object.resource)],
    );
    if !object.namespace.is_empty() {
        document.field(
            "namespace",
            [link::value(Column::Namespace, &object.namespace)],
        );
    }
    if object.resource == "serviceaccounts" && !object.name.is_empty() {
        let name = format!("system:serviceaccount:{}:{}", object.namespace, object.name);
        document.field("identity", [link::identity(&name)]);
    }
    if object.resource == "nodes" && !object.name.is_empty() {
        let name = format!("system:node:{}", object.name);
        document.field("identity", [link::identity(&name)]);
    }
    if is_secret && !object.name.is_empty() {
        let key = format!("secret:{}/{}", object.namespace, object.name);
        if reader.vocabulary().find(&key).is_some() {
            document.field("holds", [link::credential(&key)]);
        }
    }
    document.field("requests", page::outcomes(&history.all));
    if history.all.requests > 0 {
        let (first, last) = (history.all.first, history.all.last);
        document.field("seen", [sources.clock.span(first, last)]);
    }
    let n_events = events(object, reader)?;
    if n_events > 0 {
        let text =
            format!("{n_events} requests on Events about it, by their names, are not listed");
        page::note(&mut document, &text);
    }
    listed(&mut document, object, &history, sources, reader)?;
    let readers = history.readers.ranked(reader.vocabulary());
    page::counts(
        &mut document,
        "Read by",
        &readers,
        READERS,
        sources.clock,
        link::identity,
    );
    if !object.name.is_empty() {
        let text = if is_secret {
            "Who listed or watched all Secrets of the namespace, or mounts it, has seen it, too."
        } else {
            "Who listed or watched all of the kind has seen it, too, and is not among these."
        };
        page::note(&mut document, text);
    }
    about::section(&mut document, sources, |finding| {
        about::object(finding, object)
    });
    questions(&mut document, object);
    Ok(document)
}

/// Returns whether reading that subresource shows no more than the object itself; `exec`, `log` and `proxy` do.
fn is_own(subresource: &str) -> bool {
    matches!(subresource, "" | "status" | "scale")
}

/// Returns the requests on an object, and those on all of its kind that did not spare it.
fn rows(object: &Object, reader: Reader<'_>) -> Built<Vec<Row>> {
    let is = |column: Column, value: &str| Test::Is(column.into(), value.to_owned());
    let mut tests = Vec::new();
    // What is not known is not asked for.
    for (column, value) in [
        (Column::Resource, &object.resource),
        (Column::Namespace, &object.namespace),
    ] {
        if !value.is_empty() {
            tests.push(is(column, value));
        }
    }
    if object.name.is_empty() {
        if tests.is_empty() {
            return Ok(Vec::new());
        }
        return reader.requests(tests);
    }
    let mut of_all = tests.clone();
    of_all.push(is(Column::Verb, "deletecollection"));
    of_all.push(is(Column::Name, ""));
    tests.push(is(Column::Name, &object.name));
    let mut rows = reader.requests(tests)?;
    if !object.resource.is_empty() {
        rows.extend(reader.requests(of_all)?);
        rows.sort_unstable();
    }
    Ok(rows)
}

/// Returns how many requests are on Events about an object: their names are the object's, and a number behind a dot.
fn events(object: &Object, reader: Reader<'_>) -> Built<u64> {
    if object.name.is_empty() || object.namespace.is_empty() {
        return Ok(0);
    }
    let rows = reader.requests(vec![
        Test::Is(Column::Resource.into(), "events".to_owned()),
        Test::Is(Column::Namespace.into(), object.namespace.clone()),
    ])?;
    let is_number =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = [Field::from(Column::Name)];
    reader.gather(&rows, &name, |count: &mut u64, cells| {
        let event = cells.text(0);
        let rest = event.strip_prefix(object.name.as_str());
        let number = rest.and_then(|rest| rest.strip_prefix('.'));
        *count += u64::from(number.is_some_and(is_number));
    })
}

/// One line of the list.
struct Entry {
    time: i64,
    row: Row,
    /// By [`LISTED`]; a number as text.
    texts: Vec<String>,
    code: i64,
}

fn listed(
    document: &mut Document,
    object: &Object,
    history: &History,
    sources: &Sources<'_>,
    reader: Reader<'_>,
) -> Built<()> {
    let mut all = history.listed.clone();
    all.sort_unstable();
    document.heading(&format!("What happened to it ({})", all.len()));
    if history.status > 0 {
        let text = format!("{} writes of its status are not listed", history.status);
        page::note(document, &text);
    }
    let mut rows: Vec<Row> = all.iter().take(SHOWN).map(|&(_, row)| row).collect();
    rows.sort_unstable();
    let mut entries = reader.gather(&rows, &LISTED, |entries: &mut Vec<Entry>, cells| {
        entries.push(Entry {
            time: cells.time,
            row: cells.row,
            texts: (0..LISTED.len())
                .map(|at| cells.text(at).into_owned())
                .collect(),
            code: cells.number(5),
        });
    })?;
    entries.sort_by_key(|entry| (entry.time, entry.row));
    // An uid is never given twice: another one is another object of that name.
    let mut uid = String::new();
    let mut lives: HashSet<String> = HashSet::new();
    let mut n_created = 0;
    for entry in &entries {
        let mut line = entry.line(object, sources);
        if entry.creates() {
            n_created += 1;
            if n_created > 1 && !object.name.is_empty() {
                line.parts.push(Part::new("  created again", Look::Bad));
            }
        }
        let logged = &entry.texts[6];
        if !logged.is_empty() && *logged != uid {
            let is_new = lives.insert(logged.clone());
            if is_new && lives.len() > 1 && !object.name.is_empty() {
                line.parts
                    .push(Part::new("  re-created: another uid", Look::Bad));
            }
            uid.clone_from(logged);
        }
        document.lines.push(line);
        entry.details(document);
    }
    page::more(document, all.len(), SHOWN);
    Ok(())
}

impl Entry {
    /// Returns whether it made the object.
    fn creates(&self) -> bool {
        self.texts[0] == "create" && self.texts[1].is_empty() && self.texts[4] == "ok"
    }

    fn line(&self, object: &Object, sources: &Sources<'_>) -> Line {
        let [verb, subresource, username, peer, outcome, ..] = &self.texts[..] else {
            unreachable!("every field has a text");
        };
        let deed = match &subresource[..] {
            "" => verb.clone(),
            subresource => format!("{verb} {subresource}"),
        };
        let mut parts = vec![
            link::event(&sources.clock.show(self.time), self.row),
            Part::from(format!("  {deed}  ")),
            link::identity(username),
            Part::from("  "),
            deed::outcome(outcome, self.code),
            Part::from("  "),
            link::address(peer),
        ];
        if verb == "deletecollection" && !object.name.is_empty() && self.texts[7].is_empty() {
            parts.push(Part::new("  all of the namespace", Look::Bad));
        }
        let manager = &self.texts[8];
        if !manager.is_empty() {
            parts.push(Part::new(&format!("  as manager {manager}"), Look::Dim));
        }
        Line::new(parts).indented(2)
    }

    /// Appends what the body said, if it was logged.
    fn details(&self, document: &mut Document) {
        let labels = ["role", "subjects", "flags", "account"];
        for (label, text) in labels.iter().zip(&self.texts[9..]) {
            if text.is_empty() {
                continue;
            }
            let look = if *label == "flags" {
                Look::Bad
            } else {
                Look::Plain
            };
            let parts = [
                Part::new(&format!("{label} "), Look::Dim),
                Part::new(text, look),
            ];
            document.lines.push(Line::new(parts).indented(6));
        }
    }
}

fn questions(document: &mut Document, object: &Object) {
    if object.name.is_empty() {
        return;
    }
    let parameters = [
        ("resource", object.resource.as_str()),
        ("namespace", object.namespace.as_str()),
        ("name", object.name.as_str()),
    ];
    let mut questions = vec![
        ("object-history", &parameters[..]),
        ("who-deleted", &parameters[..]),
    ];
    if object.resource == "secrets" {
        questions.push(("secret-readers", &parameters[1..]));
    }
    question::section(document, &questions);
}
