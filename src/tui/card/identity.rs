//! The card of an identity: what it did, with what, from where, and what let it.

use super::lineage::fate;
use super::rows::{Cells, Merge, Reader};
use super::tally::{Count, Tally};
use super::{Built, Sources, about, grid, link, news, page, question};
use crate::finding::credential::Credential;
use crate::frame::derived::identity_kind;
use crate::frame::vocabulary::known;
use crate::frame::{Column, NULL};
use crate::store::Field;
use crate::tui::document::{Document, Look, Part};

/// Entries of a list before "+N more".
const SHOWN: usize = 12;
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
    unused(&mut document, name, sources);
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
    grid::section(&mut document, &profile.actions, vocabulary);
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
    news::section(
        &mut document,
        &profile.actions,
        profile.all.first,
        sources,
        reader,
    )?;
    about::section(&mut document, sources, |finding| {
        about::identity(finding, name)
    });
    questions(&mut document, name);
    Ok(document)
}

fn head(document: &mut Document, name: &str, profile: &Profile, sources: &Sources<'_>) {
    let all = &profile.all;
    document.field("requests", page::outcomes_of(all, Column::Username, name));
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
        if let Some(text) = sources.results.credential(key).and_then(fate) {
            parts.push(Part::new(&format!("  {text}"), Look::Bad));
        }
        page::item(document, parts);
    }
    page::more(document, used.len(), SHOWN);
}

/// Appends the credentials that were made for it and not used since: they may be in a drawer.
fn unused(document: &mut Document, name: &str, sources: &Sources<'_>) {
    let all = sources.results.credentials.iter();
    let unused: Vec<&Credential> = all
        .filter(|credential| credential.requests == 0 && credential.username == name)
        .collect();
    if unused.is_empty() {
        return;
    }
    document.heading(&format!(
        "Credentials minted and not used ({})",
        unused.len()
    ));
    for credential in unused.iter().take(SHOWN) {
        let mut parts = vec![link::credential(&credential.credential)];
        if let Some(minted) = &credential.minted {
            let time = sources.clock.show(minted.at.0);
            parts.push(Part::new(&format!("  {time} by "), Look::Dim));
            parts.push(link::identity(&minted.by));
        }
        if let Some(text) = fate(credential) {
            parts.push(Part::new(&format!("  {text}"), Look::Dim));
        }
        page::item(document, parts);
    }
    page::more(document, unused.len(), SHOWN);
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "es" }
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
