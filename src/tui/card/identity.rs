//! The card of an identity: what it did, with what, from where, and what let it.

use super::rows::{Cells, Merge, Reader};
use super::tally::{Count, Tally};
use super::{Built, Sources, about, link, page, question};
use crate::frame::coder::identity_kind;
use crate::frame::vocabulary::known;
use crate::frame::{Column, NULL};
use crate::store::Field;
use crate::tui::document::{Document, Line, Look, Part};

/// Entries of a list before "+N more".
const SHOWN: usize = 12;
/// Resources of the grid.
const RESOURCES: usize = 15;
/// Columns of the grid; the last has all other verbs.
const VERBS: [&str; 8] = [
    "get", "list", "watch", "create", "update", "patch", "delete", "other",
];
/// Columns on the screen of a resource and of a number.
const RESOURCE_WIDTH: usize = 22;
const NUMBER_WIDTH: usize = 7;

const FIELDS: [Column; 13] = [
    Column::Outcome,
    Column::Credential,
    Column::CredentialKind,
    Column::PeerIp,
    Column::UserAgent,
    Column::Verb,
    Column::Resource,
    Column::Subresource,
    Column::Namespace,
    Column::AuthzReason,
    Column::Decision,
    Column::ImpUsername,
    Column::IsMasters,
];

/// What the requests of an identity come to.
#[derive(Default)]
struct Profile {
    all: Count,
    /// By key and kind.
    credentials: Tally<(u32, u32)>,
    /// Credential and address.
    peers: Tally<(u32, u32)>,
    addresses: Tally<u32>,
    programs: Tally<u32>,
    namespaces: Tally<u32>,
    reasons: Tally<u32>,
    impersonated: Tally<u32>,
    /// Verb, resource, subresource.
    actions: Tally<(u32, u32, u32)>,
    masters: u64,
}

impl Merge for Profile {
    fn merge(&mut self, later: Self) {
        self.all.merge(later.all);
        self.credentials.merge(later.credentials);
        self.peers.merge(later.peers);
        self.addresses.merge(later.addresses);
        self.programs.merge(later.programs);
        self.namespaces.merge(later.namespaces);
        self.reasons.merge(later.reasons);
        self.impersonated.merge(later.impersonated);
        self.actions.merge(later.actions);
        self.masters += later.masters;
    }
}

impl Profile {
    fn add(&mut self, cells: &Cells<'_>) {
        let outcome = cells.code(0);
        self.all.add(cells, outcome);
        let (credential, peer) = (cells.code(1), cells.code(3));
        self.credentials
            .add((credential, cells.code(2)), cells, outcome);
        self.peers.add((credential, peer), cells, outcome);
        self.addresses.add(peer, cells, outcome);
        self.programs.add(cells.code(4), cells, outcome);
        let action = (cells.code(5), cells.code(6), cells.code(7));
        self.actions.add(action, cells, outcome);
        self.namespaces.add_code(cells.code(8), cells, outcome);
        if outcome != known::DENIED {
            self.reasons.add_code(cells.code(9), cells, outcome);
        }
        self.impersonated.add_code(cells.code(11), cells, outcome);
        self.masters += u64::from(cells.flag(12));
    }
}

pub(super) fn card(name: &str, sources: &Sources<'_>, reader: Reader<'_>) -> Built<Document> {
    let clock = sources.clock;
    let vocabulary = reader.vocabulary();
    let rows = reader.requests_with(Column::Username, name)?;
    let profile: Profile = reader.gather(
        &rows,
        &FIELDS.map(Field::from),
        |profile: &mut Profile, cells| {
            profile.add(&cells);
        },
    )?;
    let mut document = Document::new(name);
    document.line([
        Part::new(name, Look::Bold),
        Part::new(&format!("  {}", identity_kind(name)), Look::Dim),
    ]);
    head(&mut document, name, &profile, sources);
    credentials(&mut document, &profile, sources, reader);
    let addresses = profile.addresses.ranked(vocabulary);
    page::counts(
        &mut document,
        "Addresses",
        &addresses,
        SHOWN,
        clock,
        link::address,
    );
    let programs = profile.programs.ranked(vocabulary);
    let program = |agent: &str| match agent {
        "" => Part::new("no user agent", Look::Dim),
        agent => link::value(Column::UserAgent, agent),
    };
    page::counts(&mut document, "Programs", &programs, SHOWN, clock, program);
    grid(&mut document, &profile, reader);
    let namespaces = profile.namespaces.ranked(vocabulary);
    let namespace = |name: &str| link::value(Column::Namespace, name);
    page::counts(
        &mut document,
        "Namespaces",
        &namespaces,
        SHOWN,
        clock,
        namespace,
    );
    let reasons = profile.reasons.ranked(vocabulary);
    let reason = |text: &str| link::value(Column::AuthzReason, text);
    page::counts(
        &mut document,
        "What let it through",
        &reasons,
        SHOWN,
        clock,
        reason,
    );
    let others = profile.impersonated.ranked(vocabulary);
    page::counts(
        &mut document,
        "Whom it acted as",
        &others,
        SHOWN,
        clock,
        link::identity,
    );
    impersonators(&mut document, name, sources, reader)?;
    news(&mut document, &profile, sources, reader)?;
    about::section(&mut document, sources, |finding| {
        about::identity(finding, name)
    });
    questions(&mut document, name);
    Ok(document)
}

fn head(document: &mut Document, name: &str, profile: &Profile, sources: &Sources<'_>) {
    let all = &profile.all;
    document.field("requests", page::outcomes(all));
    if all.requests > 0 {
        document.field("seen", [sources.clock.span(all.first, all.last)]);
    }
    if profile.masters > 0 {
        let text = format!(
            "{} of them in group system:masters, which nothing can deny",
            profile.masters
        );
        document.field("masters", [Part::new(&text, Look::Bad)]);
    }
    if let Some(object) = link::object_of(name) {
        document.field("object", [link::object(&object)]);
    }
    let text =
        "Refused logins (401) carry no name: what was tried as this user and refused is not here.";
    document.line([Part::new(text, Look::Dim)]);
}

fn credentials(
    document: &mut Document,
    profile: &Profile,
    sources: &Sources<'_>,
    reader: Reader<'_>,
) {
    let vocabulary = reader.vocabulary();
    let mut used: Vec<(&str, &str, u32, &Count)> = profile
        .credentials
        .iter()
        .filter(|((key, _), _)| *key != NULL)
        .map(|(&(key, kind), count)| (vocabulary.text(key), vocabulary.text(kind), key, count))
        .collect();
    if used.is_empty() {
        return;
    }
    used.sort_by_key(|&(key, kind, _, count)| (count.first, key, kind));
    document.heading(&format!("Credentials ({})", used.len()));
    let width = page::number_width(used.iter().map(|(.., count)| count.requests));
    for &(key, kind, code, count) in used.iter().take(SHOWN) {
        let link = link::credential(key);
        let mut parts = page::counted_parts(link, count, width, sources.clock);
        let peers = profile.peers.iter();
        let n_peers = peers
            .filter(|((credential, _), _)| *credential == code)
            .count();
        let text = format!("  {kind}, from {n_peers} address{}", plural(n_peers));
        parts.push(Part::new(&text, Look::Dim));
        let ended = sources.results.credential(key);
        if let Some(credential) = ended.filter(|credential| credential.ended.is_some()) {
            let text = match credential.uses_after_end {
                0 => "  ended".to_owned(),
                uses => format!("  ended, and used {uses} times after"),
            };
            parts.push(Part::new(&text, Look::Bad));
        }
        page::item(document, parts);
    }
    page::more(document, used.len(), SHOWN);
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "es" }
}

/// Appends verbs by resource.
fn grid(document: &mut Document, profile: &Profile, reader: Reader<'_>) {
    let vocabulary = reader.vocabulary();
    let mut resources: Vec<(u32, [u64; VERBS.len()])> = Vec::new();
    let mut totals = [0; VERBS.len()];
    for (&(verb, resource, _), count) in profile.actions.iter() {
        let at = column(vocabulary.text(verb));
        totals[at] += count.requests;
        match resources.iter_mut().find(|(other, _)| *other == resource) {
            Some((_, numbers)) => numbers[at] += count.requests,
            None => {
                let mut numbers = [0; VERBS.len()];
                numbers[at] = count.requests;
                resources.push((resource, numbers));
            }
        }
    }
    if resources.is_empty() {
        return;
    }
    resources.sort_by_key(|(resource, numbers)| {
        let total: u64 = numbers.iter().sum();
        (std::cmp::Reverse(total), vocabulary.text(*resource))
    });
    document.heading(&format!("Resources and verbs ({})", resources.len()));
    let mut head = page::cell("", RESOURCE_WIDTH);
    for verb in VERBS {
        head.push_str(&format!("{verb:>NUMBER_WIDTH$}"));
    }
    page::item(document, [Part::new(&head, Look::Dim)]);
    for (resource, numbers) in resources.iter().take(RESOURCES) {
        let name = match vocabulary.text(*resource) {
            "" => Part::new(&page::cell("(other paths)", RESOURCE_WIDTH), Look::Dim),
            name => {
                let mut part = link::value(Column::Resource, name);
                part.text = page::cell(name, RESOURCE_WIDTH);
                part
            }
        };
        document.lines.push(row(name, numbers));
    }
    page::more(document, resources.len(), RESOURCES);
    let name = Part::new(&page::cell("all", RESOURCE_WIDTH), Look::Dim);
    document.lines.push(row(name, &totals));
}

fn row(name: Part, numbers: &[u64; VERBS.len()]) -> Line {
    let mut line = Line::new([name]).indented(2);
    for &number in numbers {
        line.parts.push(match number {
            0 => Part::new(&format!("{:>NUMBER_WIDTH$}", "."), Look::Dim),
            number => Part::from(format!("{number:>NUMBER_WIDTH$}")),
        });
    }
    line
}

/// Returns which column of the grid a verb is in.
fn column(verb: &str) -> usize {
    let verb = if verb == "deletecollection" {
        "delete"
    } else {
        verb
    };
    let found = VERBS.iter().position(|&other| other == verb);
    found.unwrap_or(VERBS.len() - 1)
}

fn impersonators(
    document: &mut Document,
    name: &str,
    sources: &Sources<'_>,
    reader: Reader<'_>,
) -> Built<()> {
    let rows = reader.requests_with(Column::ImpUsername, name)?;
    let fields = [Column::Outcome, Column::Username].map(Field::from);
    let by: Tally<u32> = reader.gather(&rows, &fields, |tally: &mut Tally<u32>, cells| {
        tally.add(cells.code(1), &cells, cells.code(0));
    })?;
    let ranked = by.ranked(reader.vocabulary());
    page::counts(
        document,
        "Who acted as it",
        &ranked,
        SHOWN,
        sources.clock,
        link::identity,
    );
    Ok(())
}

/// Appends what it did for the first time in the last quarter of the log.
fn news(
    document: &mut Document,
    profile: &Profile,
    sources: &Sources<'_>,
    reader: Reader<'_>,
) -> Built<()> {
    let totals = &sources.results.summary.totals;
    let span = match (totals.first, totals.last) {
        (Some(first), Some(last)) => Some((first.0, last.0)),
        _ => reader.snapshot.span()?,
    };
    let Some((first, last)) = span else {
        return Ok(());
    };
    let late = first + last.saturating_sub(first) / 4 * 3;
    let vocabulary = reader.vocabulary();
    let mut actions: Vec<(i64, String, &Count)> = profile
        .actions
        .iter()
        .filter(|(_, count)| count.first >= late && count.first != 0)
        .map(|(&(verb, resource, subresource), count)| {
            let [verb, resource, subresource] =
                [verb, resource, subresource].map(|code| vocabulary.text(code));
            let text = match (resource, subresource) {
                ("", _) => format!("{verb} (other paths)"),
                (resource, "") => format!("{verb} {resource}"),
                (resource, subresource) => format!("{verb} {resource}/{subresource}"),
            };
            (count.first, text, count)
        })
        .collect();
    if actions.is_empty() {
        return Ok(());
    }
    actions.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    document.heading(&format!(
        "Done for the first time in the last quarter of the log ({} of {})",
        actions.len(),
        profile.actions.len()
    ));
    if profile.all.first >= late {
        page::note(document, "The identity itself was not seen before that.");
    }
    for (time, text, count) in actions.iter().take(SHOWN) {
        let look = if count.denied > 0 {
            Look::Bad
        } else {
            Look::Plain
        };
        let time = link::event(&sources.clock.show(*time), count.first_row);
        let parts = [time, Part::from("  "), Part::new(text, look)];
        page::item(document, parts);
    }
    page::more(document, actions.len(), SHOWN);
    Ok(())
}

/// Appends the questions to ask next.
fn questions(document: &mut Document, name: &str) {
    let who = &[("who", name)][..];
    let names = [
        "identity-timeline",
        "credential-use",
        "distrust",
        "blast-radius",
        "least-privilege",
    ];
    question::section(document, &names.map(|name| (name, who)));
}
