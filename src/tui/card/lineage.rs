//! Lineage: which credential was minted with which, upwards and downwards.
//!
//! Tokens only: a certificate has no such tie in the log, and an API server before 1.29 names no issued token.

use std::cmp::Reverse;

use hashbrown::{HashMap, HashSet};

use super::rows::Reader;
use super::{Built, Sources, link, page};
use crate::finding::credential::Credential;
use crate::finding::words::{counted, times};
use crate::frame::Column;
use crate::frame::derived::service_account_user;
use crate::store::filter::Test;
use crate::store::{Field, Row};
use crate::tui::document::{Document, Line, Look, Part};
use crate::tui::pivot::{ListOrder, Listing};

/// How far up and down is followed.
const DEPTH: usize = 12;
/// Lines of the tree, and children of one credential, before "+N more".
const LINES: usize = 200;
const CHILDREN: usize = 20;

/// How a credential was made.
pub(super) struct Mint {
    by: String,
    with: String,
    at: i64,
    /// The user that it is for, if that is told.
    of: String,
    /// The token request, if it is among the events.
    row: Option<Row>,
}

/// Who made what.
pub(super) struct Lineage<'a> {
    mints: HashMap<String, Mint>,
    /// Keys by the key that they were minted with, in the order of time.
    children: HashMap<String, Vec<String>>,
    known: HashMap<&'a str, &'a Credential>,
}

impl<'a> Lineage<'a> {
    pub(super) fn new(sources: &Sources<'a>, reader: Reader<'_>) -> Built<Self> {
        let fields = [
            Column::IssuedCredentialId,
            Column::Username,
            Column::Credential,
            Column::Namespace,
            Column::Name,
        ];
        let rows = reader.requests(vec![
            Test::Is(Column::Subresource.into(), "token".to_owned()),
            Test::IsNot(Column::IssuedCredentialId.into(), String::new()),
        ])?;
        let issued = reader.gather(
            &rows,
            &fields.map(Field::from),
            |issued: &mut Vec<(String, Mint)>, cells| {
                let mint = Mint {
                    by: cells.text(1).into_owned(),
                    with: cells.text(2).into_owned(),
                    at: cells.time,
                    of: service_account_user(&cells.text(3), &cells.text(4)),
                    row: Some(cells.row),
                };
                issued.push((cells.text(0).into_owned(), mint));
            },
        )?;
        let mut mints: HashMap<String, Mint> = HashMap::new();
        for (key, mint) in issued {
            // An id is given once; who claims it again did not make it.
            mints.entry(key).or_insert(mint);
        }
        for credential in &*sources.results.credentials {
            if let Some(minted) = &credential.minted {
                mints
                    .entry_ref(credential.credential.as_str())
                    .or_insert_with(|| Mint {
                        by: minted.by.clone(),
                        with: minted.with.clone(),
                        at: minted.at.0,
                        of: credential.username.clone(),
                        row: None,
                    });
            }
        }
        let mut children: HashMap<String, Vec<String>> = HashMap::new();
        for (key, mint) in &mints {
            children
                .entry_ref(mint.with.as_str())
                .or_default()
                .push(key.clone());
        }
        for keys in children.values_mut() {
            keys.sort_by_key(|key| (mints[key].at, key.clone()));
        }
        let all = sources.results.credentials.iter();
        let known = all.map(|one| (one.credential.as_str(), one)).collect();
        Ok(Self {
            mints,
            children,
            known,
        })
    }

    /// Appends who made `key`, and with what, and who had made that.
    pub(super) fn origin(&self, document: &mut Document, key: &str, sources: &Sources<'_>) {
        document.heading("Where it came from");
        let mut seen: HashSet<&str> = HashSet::from([key]);
        let mut current = key;
        for depth in 0..DEPTH {
            let Some(mint) = self.mints.get(current) else {
                let text = match depth {
                    0 => {
                        "not minted in this log: it is older, or of a kind that the log does not tell"
                    }
                    _ => "which was not minted in this log",
                };
                push(document, depth, [Part::new(text, Look::Dim)]);
                return;
            };
            let time = sources.clock.show(mint.at);
            let time = mint.row.map_or_else(
                || Part::new(&time, Look::Dim),
                |row| link::event(&time, row),
            );
            push(
                document,
                depth,
                [
                    Part::from("minted "),
                    time,
                    Part::from(" by "),
                    link::identity(&mint.by),
                    Part::from(" with "),
                    link::credential(&mint.with),
                ],
            );
            if !seen.insert(&mint.with) {
                push(
                    document,
                    depth + 1,
                    [Part::new("and so in a circle", Look::Bad)],
                );
                return;
            }
            current = &mint.with;
        }
        push(document, DEPTH, [Part::new("and further up", Look::Dim)]);
    }

    /// Appends what was made with `key`, and what with that.
    pub(super) fn offspring(&self, document: &mut Document, key: &str, sources: &Sources<'_>) {
        let count = self.children.get(key).map_or(0, Vec::len);
        document.heading(&format!("What was minted with it ({count})"));
        if count == 0 {
            push(document, 0, [Part::new("nothing", Look::Dim)]);
        }
        let mut seen: HashSet<&str> = HashSet::from([key]);
        // Depth first, with a stack of its own: a log may make a chain as long as it likes.
        let mut stack: Vec<(usize, &str)> = Vec::new();
        self.spread(document, key, 0, &mut stack);
        let mut lines = 0;
        while let Some((depth, key)) = stack.pop() {
            if lines == LINES {
                push(
                    document,
                    0,
                    [Part::new("and more that is not shown", Look::Dim)],
                );
                return;
            }
            lines += 1;
            if !seen.insert(key) {
                push(
                    document,
                    depth,
                    [Part::new("and so in a circle", Look::Bad)],
                );
                continue;
            }
            push(document, depth, self.child(key, sources));
            if depth + 1 < DEPTH {
                self.spread(document, key, depth + 1, &mut stack);
            } else if let Some(children) = self.children.get(key) {
                let listing = Listing::MintedWith(key.to_owned());
                let more = page::more_link(children.len(), 0, listing);
                push(document, depth + 1, more);
            }
        }
    }

    /// Appends all that was made with `key`, and nothing that was made with that in turn.
    pub(super) fn children(
        &self,
        document: &mut Document,
        key: &str,
        order: ListOrder,
        sources: &Sources<'_>,
    ) {
        let children = self.children.get(key).map_or(&[][..], Vec::as_slice);
        let mut children: Vec<&str> = children.iter().map(String::as_str).collect();
        let requests = |key: &str| self.known.get(key).map_or(0, |known| known.requests);
        order.put(&mut children, |children, by| match by {
            1 => children.sort_by_key(|&key| &self.mints[key].of),
            _ => children.sort_by_key(|&key| Reverse(requests(key))),
        });
        let count = counted(children.len() as u64, "credential");
        let title = [
            Part::from(format!("{count} minted with ")),
            link::credential(key),
        ];
        document.line(title);
        for child in children {
            push(document, 0, self.child(child, sources));
        }
    }

    /// Puts the children of `key` on the stack, the first on top.
    fn spread<'s>(
        &'s self,
        document: &mut Document,
        key: &str,
        depth: usize,
        stack: &mut Vec<(usize, &'s str)>,
    ) {
        let Some(children) = self.children.get(key) else {
            return;
        };
        if children.len() > CHILDREN {
            let text = format!("{} of them, the first {CHILDREN}: ", children.len());
            let all = Listing::MintedWith(key.to_owned());
            let more = page::more_link(children.len(), CHILDREN, all);
            push(
                document,
                depth,
                [Part::new(&text, Look::Dim)].into_iter().chain(more),
            );
        }
        let shown = children.iter().take(CHILDREN).rev();
        stack.extend(shown.map(|child| (depth, child.as_str())));
    }

    fn child(&self, key: &str, sources: &Sources<'_>) -> Vec<Part> {
        let mint = &self.mints[key];
        let time = sources.clock.show(mint.at);
        let time = mint.row.map_or_else(
            || Part::new(&time, Look::Dim),
            |row| link::event(&time, row),
        );
        let mut parts = vec![
            time,
            Part::from("  "),
            link::credential(key),
            Part::from(" of "),
            link::identity(&mint.of),
        ];
        let known = self.known.get(key);
        parts.push(match known.map(|credential| credential.requests) {
            None => Part::from(""),
            Some(0) => Part::new("  never used", Look::Dim),
            Some(requests) => Part::from(format!("  {}", counted(requests, "request"))),
        });
        if let Some(text) = known.and_then(|credential| fate(credential)) {
            parts.push(Part::new(&format!("  {text}"), Look::Bad));
        }
        parts
    }
}

/// Says in a few words how a credential ended, if it did.
pub(super) fn fate(credential: &Credential) -> Option<String> {
    credential.ended.as_ref()?;
    Some(match credential.uses_after_end {
        0 => "ended".to_owned(),
        uses => format!("ended, and used {} after", times(uses)),
    })
}

fn push(document: &mut Document, depth: usize, parts: impl IntoIterator<Item = Part>) {
    let indent = u16::try_from(2 + 2 * depth).unwrap_or(u16::MAX);
    document.lines.push(Line::new(parts).indented(indent));
}
