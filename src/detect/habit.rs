//! Habits: what one identity does again and again, with the same program, from the same address, to the same objects.
//!
//! Each rule says whether it knows habits, and of what (`habit` in its file). Nothing is left out for being one: a habit is
//! one finding in place of many, and of less weight where it is as old as the log, so that nobody saw it begin. What is
//! new in any of these respects is no part of it, and speaks for itself.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::analytics::DAY_US;
use super::tally::{Quoted, Tally};
use crate::finding::words::{lasting, times};
use crate::frame::{Column, Vocabulary};
use crate::rules::Habit;

/// A habit lasts longer than this, and one that is as old as the log begins within it: people do not work at night.
const LONG_US: i64 = DAY_US;

/// A pause this long ends a habit; a weekend does not.
const PAUSE_US: i64 = 3 * DAY_US;

/// So many sessions make a habit.
const OFTEN: usize = 3;

/// The columns that must be the same, besides those that a rule groups by.
const ALIKE: [Column; 8] = [
    Column::Username,
    Column::ImpUsername,
    Column::UserAgent,
    Column::PeerIp,
    Column::Verb,
    Column::Resource,
    Column::Subresource,
    Column::Namespace,
];

/// Returns the columns that part what may be different habits.
pub(super) fn columns(habit: Option<Habit>) -> impl Iterator<Item = Column> {
    let alike = habit.map_or(&[][..], |_| &ALIKE);
    let names = (habit == Some(Habit::Names)).then_some(Column::Name);
    alike.iter().copied().chain(names)
}

/// Returns the code of a short text for what the summary of a rule quotes, if it quotes anything: another image, role or
/// command is another doing.
pub(super) fn said(quotes: &[Vec<Quoted>], vocabulary: &Vocabulary) -> Option<u32> {
    (!quotes.is_empty()).then(|| vocabulary.code(&digest(quotes)))
}

fn digest(quotes: &[Vec<Quoted>]) -> String {
    let mut hash = Sha256::new();
    for quote in quotes {
        hash.update((quote.len() as u64).to_le_bytes());
        for Quoted { text, .. } in quote {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
    }
    let half = hash.finalize()[..16]
        .try_into()
        .expect("SHA-256 has 32 bytes");
    format!("{:032x}", u128::from_be_bytes(half))
}

/// Parts sessions that are alike, in order of time, where a pause is too long for a habit.
pub(super) fn runs(sessions: &[&Tally]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut last = i64::MIN;
    for (at, session) in sessions.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if session.began.saturating_sub(last) <= PAUSE_US => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
        last = last.max(session.last);
    }
    runs
}

/// Returns whether a run of sessions is a habit. One that never ends may be one by itself if `may_be_one`.
pub(super) fn is_habit(run: &[&Tally], may_be_one: bool) -> bool {
    let lasts = |first: i64, last: i64| last - first > LONG_US;
    let first = run.iter().map(|session| session.began).min();
    let last = run.iter().map(|session| session.last).max();
    let is_often = run.len() >= OFTEN;
    let goes_on = |session: &&Tally| lasts(session.began, session.last);
    first
        .zip(last)
        .is_some_and(|(first, last)| lasts(first, last))
        && (is_often || (may_be_one && run.iter().any(goes_on)))
}

/// Returns whether what began at `first` is as old as the log, which began at `began`.
pub(super) fn is_as_old(first: i64, began: i64) -> bool {
    first <= began.saturating_add(LONG_US)
}

/// Says what makes a finding a habit, and one that is as old as the log of less weight.
pub(super) fn because(sessions: usize, run: &Tally, is_from_here: bool, is_as_old: bool) -> String {
    let lasting = lasting(run.last - run.began);
    let times = times(sessions as u64);
    let place = if is_from_here {
        "the same address"
    } else {
        "one address or another"
    };
    let since = if is_as_old {
        ", as long as there is a log"
    } else {
        ""
    };
    format!("a habit: {times} over {lasting}, by the same program from {place}{since}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_US: i64 = DAY_US / 24;

    /// Sessions of an hour each, that begin at these hours.
    fn check(hours: &[i64], n_runs: usize, is_first_a_habit: bool) {
        let session = |hour: &i64| Tally::spanning(hour * HOUR_US, (hour + 1) * HOUR_US);
        let sessions: Vec<Tally> = hours.iter().map(session).collect();
        let sessions: Vec<&Tally> = sessions.iter().collect();
        let runs = runs(&sessions);
        assert_eq!(runs.len(), n_runs, "{hours:?}");
        let is_habit = is_habit(&sessions[runs[0].clone()], true);
        assert_eq!(is_habit, is_first_a_habit, "{hours:?}");
    }

    #[test]
    fn a_habit_is_often_and_long() {
        check(&[0, 24, 48], 1, true);
        check(&[0, 10, 24], 1, true);
        check(&[0, 48], 1, false); // Twice.
        check(&[0, 5, 10, 15, 20], 1, false); // On one day.
        check(&[0, 24, 96, 168], 1, true); // Over a weekend.
        check(&[0, 24, 100, 124, 148], 2, false); // It ended, and another one began.
    }

    #[test]
    fn what_never_ends_may_be_one_by_itself() {
        let session = Tally::spanning(0, 25 * HOUR_US);
        assert!(is_habit(&[&session], true));
        assert!(!is_habit(&[&session], false));
    }

    #[test]
    fn what_begins_later_is_not_as_old_as_the_log() {
        assert!(is_as_old(5 + DAY_US, 5));
        assert!(!is_as_old(6 + DAY_US, 5));
    }
}
