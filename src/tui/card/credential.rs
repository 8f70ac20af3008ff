//! The card of a credential: where it came from, where it was used, what it made, and what came after its end.

use super::deed::Deed;
use super::lineage::Lineage;
use super::rows::{Cells, Merge, Reader};
use super::tally::{Count, Tally};
use super::{Built, Sources, about, link, page, question, remedy};
use crate::finding::credential::{Credential, Ended};
use crate::finding::words::{lasting, times};
use crate::frame::Column;
use crate::store::{Field, Row};
use crate::tui::document::{Document, Look, Part};
use crate::tui::pivot::{Object, Pivot};

/// Places of use before "+N more".
const USES: usize = 20;
/// Requests after the end before "+N more".
const AFTER: usize = 20;

const FIELDS: [Column; 10] = [
    Column::Outcome,
    Column::PeerIp,
    Column::UserAgent,
    Column::Username,
    Column::CredentialKind,
    Column::UserUid,
    Column::TokenPod,
    Column::TokenNode,
    Column::IsMasters,
    Column::Ts,
];

/// What the requests of a credential come to.
#[derive(Default)]
struct History {
    all: Count,
    /// Address and program.
    uses: Tally<(u32, u32)>,
    owners: Tally<u32>,
    kinds: Tally<u32>,
    uids: Tally<u32>,
    pods: Tally<u32>,
    nodes: Tally<u32>,
    masters: u64,
    /// When each was received, if it was after `end`.
    after: Vec<(i64, Row)>,
}

impl Merge for History {
    fn merge(&mut self, later: Self) {
        self.all.merge(later.all);
        self.uses.merge(later.uses);
        self.owners.merge(later.owners);
        self.kinds.merge(later.kinds);
        self.uids.merge(later.uids);
        self.pods.merge(later.pods);
        self.nodes.merge(later.nodes);
        self.masters += later.masters;
        self.after.merge(later.after);
    }
}

impl History {
    fn add(&mut self, cells: &Cells<'_>, end: Option<i64>) {
        let outcome = cells.code(0);
        self.all.add(cells, outcome);
        self.uses
            .add((cells.code(1), cells.code(2)), cells, outcome);
        let tallies = [
            &mut self.owners,
            &mut self.kinds,
            &mut self.uids,
            &mut self.pods,
            &mut self.nodes,
        ];
        for (at, tally) in (3..).zip(tallies) {
            tally.add_code(cells.code(at), cells, outcome);
        }
        self.masters += u64::from(cells.flag(8));
        // A watch that began before the end is no use after it.
        let received = match cells.moment(9) {
            0 => cells.time,
            time => time,
        };
        if end.is_some_and(|end| received > end) {
            self.after.push((received, cells.row));
        }
    }
}

pub(super) fn card(key: &str, sources: &Sources<'_>, reader: Reader<'_>) -> Built<Document> {
    let known = sources.results.credential(key);
    let ended = known.and_then(|credential| credential.ended.as_ref());
    let end = ended.map(|ended| ended.at.0);
    let rows = reader.requests_with(Column::Credential, key)?;
    let fields = FIELDS.map(Field::from);
    let history: History = reader.gather(&rows, &fields, |history: &mut History, cells| {
        history.add(&cells, end);
    })?;
    let lineage = Lineage::new(sources, reader)?;
    let mut document = Document::new(key);
    document.line([Part::new(key, Look::Bold)]);
    let holder = head(&mut document, key, known, &history, sources, reader);
    lineage.origin(&mut document, key, sources);
    uses(&mut document, &history, sources, reader);
    lineage.offspring(&mut document, key, sources);
    if let (Some(credential), Some(ended)) = (known, ended) {
        end_of(&mut document, credential, ended, sources);
        after(&mut document, &history, ended, sources, reader)?;
    }
    about::section(&mut document, sources, |finding| {
        about::credential(finding, key)
    });
    remedy::section(&mut document, key, &holder);
    let credential = &[("credential", key)][..];
    let questions = ["credential-use", "credential-lineage", "blast-radius"];
    question::section(&mut document, &questions.map(|name| (name, credential)));
    Ok(document)
}

/// Appends whose it is and of what kind; returns what ends it.
fn head(
    document: &mut Document,
    key: &str,
    known: Option<&Credential>,
    history: &History,
    sources: &Sources<'_>,
    reader: Reader<'_>,
) -> remedy::Holder {
    let vocabulary = reader.vocabulary();
    let texts = |tally: &Tally<u32>, other: Option<&str>| -> Vec<String> {
        let ranked = tally.ranked(vocabulary);
        let mut texts: Vec<String> = ranked.iter().map(|(text, _)| (*text).to_owned()).collect();
        let other = other.filter(|other| !other.is_empty());
        if let Some(other) = other.filter(|other| !texts.iter().any(|text| text == other)) {
            texts.push(other.to_owned());
        }
        texts
    };
    let owners = texts(&history.owners, known.map(|one| one.username.as_str()));
    let told = known.map(|one| one.credential_kind.as_str());
    let mut kinds = texts(&history.kinds, told);
    if kinds.len() > 1 {
        kinds.retain(|kind| kind != "unknown");
    }
    let uids = texts(&history.uids, known.and_then(|one| one.user_uid.as_deref()));
    let pods = texts(
        &history.pods,
        known.and_then(|one| one.token_pod.as_deref()),
    );
    let owner = owners.first().map_or("", String::as_str);
    let namespace = link::object_of(owner).map_or(String::new(), |account| account.namespace);
    page::links(document, "owner", &owners, 8, link::identity);
    if !kinds.is_empty() {
        document.field("kind", [kinds.join(", ")]);
    }
    if !uids.is_empty() {
        document.field("uid", [uids.join(", ")]);
    }
    page::links(document, "pod", &pods, 8, |pod| {
        link::object(&pod_of(&namespace, pod))
    });
    let node = |node: &str| link::value(Column::TokenNode, node);
    page::links(document, "node", &texts(&history.nodes, None), 8, node);
    if history.masters > 0 {
        let text = "used in group system:masters, which nothing can deny";
        document.field("masters", [Part::new(text, Look::Bad)]);
    }
    document.field(
        "requests",
        page::outcomes_of(&history.all, Column::Credential, key),
    );
    if history.all.requests > 0 {
        document.field(
            "used",
            [sources.clock.span(history.all.first, history.all.last)],
        );
    }
    let text = "Refused logins (401) name no credential: uses that were refused are not here.";
    document.line([Part::new(text, Look::Dim)]);
    remedy::Holder {
        owner: owner.to_owned(),
        kind: kinds.first().cloned().unwrap_or_default(),
        pod: pods.first().map(|pod| pod_of(&namespace, pod)),
        is_master: history.masters > 0,
        has_ended: known.is_some_and(|one| one.ended.is_some()),
        uses_after_end: known.map_or(0, |one| one.uses_after_end),
    }
}

fn pod_of(namespace: &str, name: &str) -> Object {
    Object {
        resource: "pods".to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn uses(document: &mut Document, history: &History, sources: &Sources<'_>, reader: Reader<'_>) {
    let vocabulary = reader.vocabulary();
    let text = |code: u32| vocabulary.text(code);
    let mut uses: Vec<(&str, &str, &Count)> = history
        .uses
        .iter()
        .map(|(&(peer, agent), count)| (text(peer), text(agent), count))
        .collect();
    uses.sort_by_key(|&(peer, agent, count)| (count.first, peer, agent));
    document.heading(&format!("Where it was used ({})", uses.len()));
    if uses.is_empty() {
        page::item(document, [Part::new("nowhere", Look::Dim)]);
    }
    let width = page::number_width(uses.iter().map(|(.., count)| count.requests));
    for &(peer, agent, count) in uses.iter().take(USES) {
        let mut parts = page::counted_parts(link::address(peer), count, width, sources.clock);
        if !agent.is_empty() {
            parts.push(Part::from("  "));
            parts.push(link::value(Column::UserAgent, agent));
        }
        page::item(document, parts);
    }
    page::more(document, uses.len(), USES);
}

fn end_of(document: &mut Document, credential: &Credential, ended: &Ended, sources: &Sources<'_>) {
    document.heading("What ended it");
    let object = match link::named_object(&ended.object) {
        Some(object) => Part::link(&ended.object, Pivot::Object(object)),
        None => Part::from(ended.object.as_str()),
    };
    page::item(
        document,
        [
            object,
            Part::from(" was deleted "),
            Part::from(sources.clock.show(ended.at.0)),
            Part::from(" by "),
            link::identity(&ended.by),
        ],
    );
    if !ended.is_gone {
        let text =
            "It was told to end and may have run on through its grace period, with its token.";
        page::note(document, text);
    }
    if ended.is_renewed {
        let text = "An object of that name was made again: from then on this key may be a new credential's.";
        page::note(document, text);
    }
    if let Some(last) = credential.last_use_after_end {
        let text = format!(
            "Accepted {} after that, the last time {}; what the cache of the API server explains is left out.",
            times(credential.uses_after_end),
            sources.clock.show(last.0)
        );
        page::item(document, [Part::new(&text, Look::Bad)]);
    }
}

fn after(
    document: &mut Document,
    history: &History,
    ended: &Ended,
    sources: &Sources<'_>,
    reader: Reader<'_>,
) -> Built<()> {
    let mut after = history.after.clone();
    document.heading(&format!("Requests after the end ({})", after.len()));
    if after.is_empty() {
        page::item(document, [Part::new("none", Look::Good)]);
        return Ok(());
    }
    let text =
        "The API server remembers a good token for about ten seconds: the first ones may be that.";
    page::note(document, text);
    after.sort_unstable();
    let first = after.iter().take(AFTER).map(|&(_, row)| row).collect();
    for deed in Deed::read(first, reader)? {
        let mut line = deed.line(sources);
        let late = lasting(deed.time.saturating_sub(ended.at.0));
        line.parts
            .insert(1, Part::new(&format!("  {late} late"), Look::Bad));
        line.parts.extend(deed.who());
        document.lines.push(line);
    }
    page::more(document, after.len(), AFTER);
    Ok(())
}
