//! The card of an address: who came from it, with what, and how it went.

use super::rows::{Cells, Merge, Reader};
use super::tally::{Count, Tally};
use super::{Built, Sources, about, link, page, question};
use crate::finding::incident::SHARED_PEER_USERS;
use crate::frame::{Column, NULL};
use crate::store::{Field, ip_class};
use crate::tui::document::{Document, Look, Part};

/// Entries of a list before "+N more".
const SHOWN: usize = 15;

const FIELDS: [Column; 6] = [
    Column::Outcome,
    Column::Username,
    Column::Credential,
    Column::UserAgent,
    Column::ClientIp,
    Column::Verb,
];

/// What the requests from an address come to.
#[derive(Default)]
struct Traffic {
    all: Count,
    users: Tally<u32>,
    /// Requests without a name.
    nameless: Count,
    credentials: Tally<u32>,
    programs: Tally<u32>,
    /// What clients claim behind it, if it is another address.
    claims: Tally<u32>,
    verbs: Tally<u32>,
}

impl Merge for Traffic {
    fn merge(&mut self, later: Self) {
        self.all.merge(later.all);
        self.users.merge(later.users);
        self.nameless.merge(later.nameless);
        self.credentials.merge(later.credentials);
        self.programs.merge(later.programs);
        self.claims.merge(later.claims);
        self.verbs.merge(later.verbs);
    }
}

impl Traffic {
    fn add(&mut self, cells: &Cells<'_>, address: u32) {
        let outcome = cells.code(0);
        self.all.add(cells, outcome);
        let user = cells.code(1);
        if user == NULL {
            self.nameless.add(cells, outcome);
        }
        self.users.add_code(user, cells, outcome);
        self.credentials.add_code(cells.code(2), cells, outcome);
        self.programs.add_code(cells.code(3), cells, outcome);
        if cells.code(4) != address {
            self.claims.add_code(cells.code(4), cells, outcome);
        }
        self.verbs.add_code(cells.code(5), cells, outcome);
    }
}

pub(super) fn card(address: &str, sources: &Sources<'_>, reader: Reader<'_>) -> Built<Document> {
    let clock = sources.clock;
    let vocabulary = reader.vocabulary();
    let rows = reader.requests_with(Column::PeerIp, address)?;
    let code = vocabulary.find(address).unwrap_or(NULL);
    let fields = FIELDS.map(Field::from);
    let traffic: Traffic = reader.gather(&rows, &fields, |traffic: &mut Traffic, cells| {
        traffic.add(&cells, code);
    })?;
    let mut document = Document::new(address);
    let class = match ip_class(address) {
        "" => "no address in the usual form",
        class => class,
    };
    document.line([
        Part::new(address, Look::Bold),
        Part::new(&format!("  {class}"), Look::Dim),
    ]);
    document.field(
        "requests",
        page::outcomes_of(&traffic.all, Column::PeerIp, address),
    );
    if traffic.all.requests > 0 {
        document.field("seen", [clock.span(traffic.all.first, traffic.all.last)]);
    }
    let n_users = traffic.users.len();
    if n_users > SHARED_PEER_USERS {
        let text = format!(
            "{n_users} identities come from it: a gateway, a proxy or a bastion, which stands for none of them"
        );
        document.field("shared", [Part::new(&text, Look::Bold)]);
    }
    if traffic.nameless.requests > 0 {
        let count = &traffic.nameless;
        let text = format!(
            "{} requests without a name, {} of them refused logins (401), which carry none",
            count.requests, count.refused
        );
        document.field("nameless", [Part::new(&text, Look::Bad)]);
    }
    let users = traffic.users.ranked(vocabulary);
    page::counts(
        &mut document,
        "Identities",
        &users,
        SHOWN,
        clock,
        link::identity,
    );
    let credentials = traffic.credentials.ranked(vocabulary);
    page::counts(
        &mut document,
        "Credentials",
        &credentials,
        SHOWN,
        clock,
        link::credential,
    );
    let programs = traffic.programs.ranked(vocabulary);
    let program = |agent: &str| link::value(Column::UserAgent, agent);
    page::counts(&mut document, "Programs", &programs, SHOWN, clock, program);
    let verbs = traffic.verbs.ranked(vocabulary);
    let verb = |verb: &str| link::value(Column::Verb, verb);
    page::counts(&mut document, "Verbs", &verbs, SHOWN, clock, verb);
    let claims = traffic.claims.ranked(vocabulary);
    let claim = |address: &str| link::value(Column::ClientIp, address);
    let heading = "Addresses that clients behind it claim, and may have made up";
    page::counts(&mut document, heading, &claims, SHOWN, clock, claim);
    about::section(&mut document, sources, |finding| {
        about::address(finding, address)
    });
    let ip = &[("ip", address)][..];
    let questions = ["address-history", "blast-radius"];
    question::section(&mut document, &questions.map(|name| (name, ip)));
    Ok(document)
}
