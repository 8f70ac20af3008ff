//! Files whose whole content is in another file: read once.
//!
//! While a log is compressed, and after a crash during that, both stand side by side, the copy maybe cut;
//! copytruncate has a moment of this kind. Files that begin with the same line are read once to learn
//! where they end; one is a twin when the bytes before its end are at the same place of a longer one.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use crate::source::follow::content::{Content, Position, Trace, before};
use crate::source::follow::cursor::Print;
use crate::source::follow::examine::{Examined, prints_at};
use crate::source::follow::expand::Found;
use crate::source::follow::files::Files;

/// A file to compare.
pub(super) struct Member<'a> {
    pub(super) found: &'a Found,
    pub(super) content: Side<'a>,
}

/// What is known of its content.
pub(super) enum Side<'a> {
    /// To be read, from a place on.
    New(&'a Examined, Position),
    /// Read so far; `compressed` with it.
    Known {
        head: &'a Print,
        offset: u64,
        compressed: bool,
    },
}

/// Where a file ends that is a twin.
#[derive(Debug)]
pub(super) struct Covered {
    /// Index of the longer member.
    pub(super) by: usize,
    /// End of its last whole line.
    pub(super) whole: Position,
    /// Of the bytes before that.
    pub(super) anchor: Print,
    /// Whether there is something behind the last line end that will not grow to a line.
    pub(super) has_tail: bool,
}

/// What the members are to each other, by index.
#[derive(Debug, Default)]
pub(super) struct Twins {
    pub(super) covered: HashMap<usize, Covered>,
    /// Members that could not be read for the comparison.
    pub(super) failed: Vec<(usize, io::Error)>,
    /// Members that may be covered by one that could not be read, and that one itself.
    pub(super) doubtful: HashSet<usize>,
}

struct Survey {
    trace: Trace,
    is_finished: bool,
}

/// Returns which members are covered by another.
pub(super) fn twins<F: Files>(files: &F, members: &[Member<'_>]) -> Twins {
    let mut groups: HashMap<Print, Vec<usize>> = HashMap::new();
    for (idx, member) in members.iter().enumerate() {
        let head = match &member.content {
            Side::New(examined, _) if examined.head.is_empty() => continue,
            Side::New(examined, _) => Print::of(&examined.head),
            Side::Known { head, .. } => (*head).clone(),
        };
        groups.entry(head).or_default().push(idx);
    }
    let mut result = Twins::default();
    for group in groups.into_values() {
        let is_in_doubt = |idx: &usize| match members[*idx].content {
            Side::New(examined, start) => {
                let others = group.iter().filter(|other| *other != idx);
                others
                    .into_iter()
                    .any(|other| match members[*other].content {
                        Side::New(..) => true,
                        Side::Known { offset, .. } => offset > start.offset,
                    })
                    && (examined.compressed || examined.stat.size > start.offset)
            }
            Side::Known { .. } => false,
        };
        if group.iter().any(is_in_doubt) {
            cover(files, members, &group, &mut result);
        }
    }
    result
}

fn cover<F: Files>(files: &F, members: &[Member<'_>], group: &[usize], result: &mut Twins) {
    let mut new: Vec<(usize, Survey)> = Vec::new();
    for idx in group {
        if let Side::New(examined, _) = members[*idx].content {
            match Survey::of(files, members[*idx].found, examined.compressed) {
                Ok(survey) => new.push((*idx, survey)),
                Err(cause) => {
                    result.doubtful.extend(group.iter());
                    result.failed.push((*idx, cause));
                }
            }
        }
    }
    // Of two that are equally long, the one that is not compressed comes later, and is read.
    new.sort_by_key(|(idx, survey)| {
        let Side::New(examined, _) = members[*idx].content else {
            unreachable!("only new ones are surveyed");
        };
        (survey.trace.position.offset, !examined.compressed, *idx)
    });
    let lengths: Vec<u64> = new.iter().map(|(_, it)| it.trace.position.offset).collect();
    let mut by: Vec<Option<usize>> = vec![None; new.len()];
    // The longest comes last, and wins.
    let known = group.iter().filter_map(|idx| match members[*idx].content {
        Side::Known {
            offset, compressed, ..
        } => Some((*idx, compressed, offset, new.len())),
        Side::New(..) => None,
    });
    let longer = new.iter().enumerate().map(|(at, (idx, survey))| {
        let Side::New(examined, _) = members[*idx].content else {
            unreachable!("only new ones are surveyed");
        };
        (*idx, examined.compressed, survey.trace.position.offset, at)
    });
    for (idx, compressed, length, before_at) in known.chain(longer) {
        let n = lengths[..before_at].partition_point(|it| *it <= length);
        let prints = match prints(files, members[idx].found, compressed, &lengths[..n]) {
            Ok(prints) => prints,
            Err(cause) => {
                let shorter = new[..n].iter().map(|(idx, _)| *idx);
                result.doubtful.extend(shorter.chain([idx]));
                result.failed.push((idx, cause));
                continue;
            }
        };
        for (at, print) in prints.into_iter().enumerate() {
            let survey = &new[at].1;
            if lengths[at] > 0 && survey.trace.anchor() == print {
                by[at] = Some(idx);
            }
        }
    }
    for ((idx, survey), by) in new.into_iter().zip(by) {
        if let Some(by) = by {
            let covered = Covered {
                by,
                whole: survey.trace.whole,
                anchor: survey.trace.whole_anchor(),
                has_tail: survey.is_finished && survey.trace.whole != survey.trace.position,
            };
            result.covered.insert(idx, covered);
        }
    }
}

impl Survey {
    fn of<F: Files>(files: &F, found: &Found, compressed: bool) -> io::Result<Self> {
        let file = Arc::new(files.open(&found.path, found.links)?);
        let mut content = Content::open(files, file, compressed, 0)?;
        let mut trace = Trace::default();
        let is_whole = content.pass(&mut trace, u64::MAX)?;
        Ok(Self {
            trace,
            is_finished: compressed && is_whole,
        })
    }
}

fn prints<F: Files>(
    files: &F,
    found: &Found,
    compressed: bool,
    offsets: &[u64],
) -> io::Result<Vec<Print>> {
    if offsets.is_empty() {
        return Ok(Vec::new());
    }
    let file = Arc::new(files.open(&found.path, found.links)?);
    if compressed {
        return prints_at(files, &file, offsets);
    }
    let offsets = offsets.iter();
    offsets
        .map(|offset| Ok(Print::of(&before(files, &file, *offset)?)))
        .collect()
}
