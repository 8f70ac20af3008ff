//! The card of an object: what happened to it, in order of time.
//!
//! A line for each request that changes it or reaches into it. Writes of its status are counted only, and reads are
//! counted by identity, unless it is a Secret: then every read is a line, since a Secret that was read is known.

use super::rows::{Merge, Reader};
use super::tally::{Count, Tally};
use super::{Built, Sources, about, life, link, page, question};
use crate::frame::Column;
use crate::frame::derived::service_account_user;
use crate::store::filter::Test;
use crate::store::{Field, Row, is_mutating};
use crate::tui::document::{Document, Look, Part};
use crate::tui::pivot::Object;

/// Readers listed before "+N more".
const READERS: usize = 20;

/// Fields of every request.
const FIELDS: [Field; 4] = [
    Field::Column(Column::Outcome),
    Field::Column(Column::Verb),
    Field::Column(Column::Subresource),
    Field::Column(Column::Username),
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
        let name = service_account_user(&object.namespace, &object.name);
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
    life::section(
        &mut document,
        object,
        &history.listed,
        history.status,
        sources,
        reader,
    )?;
    readers(&mut document, object, &history, sources, reader);
    about::section(&mut document, sources, |finding| {
        about::object(finding, object)
    });
    questions(&mut document, object);
    Ok(document)
}

fn readers(
    document: &mut Document,
    object: &Object,
    history: &History,
    sources: &Sources<'_>,
    reader: Reader<'_>,
) {
    let readers = history.readers.ranked(reader.vocabulary());
    page::counts(
        document,
        "Read by",
        &readers,
        READERS,
        sources.clock,
        link::identity,
    );
    if object.name.is_empty() {
        return;
    }
    if readers.is_empty() {
        document.heading("Who else may have read it");
    }
    page::note(
        document,
        if object.resource == "secrets" {
            "Who listed or watched all Secrets of the namespace, or mounts it, has seen it, too."
        } else {
            "Who listed or watched all of the kind has seen it, too, and is not among these."
        },
    );
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
