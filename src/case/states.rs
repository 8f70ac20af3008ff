//! What the investigator thinks of each finding.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use rusqlite::{Connection, Transaction, params};

use super::{Case, CaseError, Part, rows, unknown};
use crate::finding::Timestamp;

/// What the investigator thinks of a finding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Nobody looked at it.
    #[default]
    New,
    /// Seen, not decided.
    Acknowledged,
    /// Explained; nothing to do.
    Benign,
    /// Handed on, or being acted on.
    Escalated,
}

impl State {
    /// All states, in the order that a key cycles through.
    pub const ALL: [Self; 4] = [Self::New, Self::Acknowledged, Self::Benign, Self::Escalated];

    /// Returns the word used in outputs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Acknowledged => "acknowledged",
            Self::Benign => "benign",
            Self::Escalated => "escalated",
        }
    }

    /// Returns the letter for narrow columns.
    pub const fn letter(self) -> char {
        match self {
            Self::New => 'N',
            Self::Acknowledged => 'A',
            Self::Benign => 'B',
            Self::Escalated => 'E',
        }
    }

    /// Returns the state that follows, and the first after the last.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::New => Self::Acknowledged,
            Self::Acknowledged => Self::Benign,
            Self::Benign => Self::Escalated,
            Self::Escalated => Self::New,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        let mut states = Self::ALL.into_iter();
        states.find(|state| state.as_str() == word).ok_or(())
    }
}

/// The state of a finding, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateChange {
    /// The state.
    pub state: State,
    /// When it was set last.
    pub at: Timestamp,
}

impl Case {
    /// Returns the state of the finding; one that nobody touched is new.
    pub fn state(&self, finding_id: &str) -> State {
        self.state_change(finding_id)
            .map_or(State::New, |change| change.state)
    }

    /// Returns the state of the finding and when it was set; `None` if it never was.
    pub fn state_change(&self, finding_id: &str) -> Option<StateChange> {
        self.contents.states.get(finding_id).copied()
    }

    /// Returns every finding whose state was ever set, by id.
    pub fn states(&self) -> impl Iterator<Item = (&str, StateChange)> {
        let states = self.contents.states.iter();
        states.map(|(finding, change)| (finding.as_str(), *change))
    }

    /// Sets the state of a finding.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn set_state(
        &mut self,
        finding_id: &str,
        state: State,
        at: Timestamp,
    ) -> Result<(), CaseError> {
        let change = StateChange { state, at };
        self.contents.states.insert(finding_id.to_owned(), change);
        self.changed([Part::State(finding_id.to_owned())])
    }
}

pub(super) fn load(connection: &Connection) -> rusqlite::Result<BTreeMap<String, StateChange>> {
    rows(connection, "SELECT finding, state, at FROM states", |row| {
        let word: String = row.get(1)?;
        let state = word
            .parse()
            .map_err(|()| unknown(1, &format!("there is no state `{word}`")))?;
        let at = Timestamp(row.get(2)?);
        Ok((row.get(0)?, StateChange { state, at }))
    })
}

pub(super) fn write(
    finding: &str,
    change: Option<&StateChange>,
    transaction: &Transaction<'_>,
) -> rusqlite::Result<()> {
    let Some(change) = change else {
        return Ok(()); // states are never taken back
    };
    let sql = "INSERT OR REPLACE INTO states (finding, state, at) VALUES (?, ?, ?)";
    transaction
        .execute(sql, params![finding, change.state.as_str(), change.at.0])
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_letters_tell_states_apart() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
            let same = State::ALL.iter().filter(|s| s.letter() == state.letter());
            assert_eq!(same.count(), 1);
        }
        assert_eq!("New".parse::<State>(), Err(()));
        let cycle = (0..4).fold(State::New, |state, _| state.next());
        assert_eq!(cycle, State::New);
    }

    #[test]
    fn a_finding_is_new_until_somebody_says_otherwise() {
        let mut case = Case::in_memory().unwrap();
        assert_eq!(case.state("f"), State::New);
        assert_eq!(case.state_change("f"), None);
        case.set_state("f", State::Escalated, Timestamp(3)).unwrap();
        case.set_state("f", State::New, Timestamp(4)).unwrap();
        let change = StateChange {
            state: State::New,
            at: Timestamp(4),
        };
        assert_eq!(case.states().collect::<Vec<_>>(), [("f", change)]);
    }
}
