//! Sessions: the refusals of one address without a long pause, and what they show.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::super::Context;
use super::PATHS;
use super::cause::Hint;
use crate::detect::tally::Tally;
use crate::frame::Vocabulary;

/// The 401s of one address without a long pause.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) peer: u32,
    pub(super) tally: Tally,
    pub(super) agents: Vec<u32>,
    pub(super) paths: Vec<Box<str>>,
    pub(super) window: VecDeque<i64>,
    pub(super) peak: usize,
    /// On a path that the same client was served before.
    pub(super) known_paths: u64,
    /// Tied to a deleted credential.
    pub(super) tied: u64,
    /// What the first refusal that says anything says of its cause.
    pub(super) hint: Option<Hint>,
    /// Who was served before at this address by the same program.
    pub(super) known_users: Vec<u32>,
    pub(super) gaps: Gaps,
    pub(super) recovered: bool,
    pub(super) newcomers: Vec<u32>,
    /// From the last refusal to the first success of a newcomer.
    pub(super) until_success: i64,
    pub(super) success: Option<Tally>,
}

/// Running mean and variance of the pauses between refusals (Welford 1962).
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Gaps {
    pub(super) count: f64,
    pub(super) mean: f64,
    pub(super) squares: f64,
}

impl Gaps {
    pub(super) fn add(&mut self, gap_us: i64) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "2^52 microseconds are a century"
        )]
        let gap = gap_us.max(0) as f64;
        self.count += 1.0;
        let delta = gap - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (gap - self.mean);
    }

    /// Returns the standard deviation over the mean; none below ten pauses.
    pub(super) fn variation(&self) -> Option<f64> {
        (self.count >= 10.0 && self.mean > 0.0)
            .then(|| (self.squares / self.count).sqrt() / self.mean)
    }
}

impl Session {
    /// One program asks the same path or two over and over.
    pub(super) fn repeats_itself(&self) -> bool {
        self.agents.len() == 1 && self.paths.len() <= 2 && self.tally.count >= 5
    }

    /// One program asks a few paths many times each.
    pub(super) fn goes_round(&self) -> bool {
        let n_paths = self.paths.len();
        self.agents.len() == 1 && n_paths < PATHS && self.tally.count >= 10 * n_paths as u64
    }

    /// One program watches or lists a few collections, as one does that shows them to a person: who guesses asks for what is worth
    /// it, or for what costs nothing.
    pub(super) fn looks_on(&self, vocabulary: &Vocabulary) -> bool {
        let verbs = self.tally.verbs(vocabulary);
        let looks = |verb: &String| matches!(&**verb, "list" | "watch");
        let is_secret = |path: &str| path.contains("secret");
        self.goes_round()
            && !verbs.is_empty()
            && verbs.iter().all(looks)
            && !self.paths.iter().any(|path| is_secret(path))
    }

    pub(super) fn is_mostly_tied(&self) -> bool {
        self.tied * 2 > self.tally.count
    }

    /// Served before or again after, not as somebody new.
    pub(super) fn is_known_client(&self) -> bool {
        self.has_recovered() || self.known_paths * 2 > self.tally.count
    }

    /// Served again after, and nobody new was.
    pub(super) fn has_recovered(&self) -> bool {
        self.recovered && self.newcomers.is_empty()
    }
}

/// Splits sessions into runs in which each starts at most `window_us` after the one before it ended.
pub(super) fn overlapping(mut sessions: Vec<&Session>, window_us: i64) -> Vec<Vec<&Session>> {
    sessions.sort_by_key(|session| session.tally.first);
    let mut runs: Vec<Vec<&Session>> = Vec::new();
    let mut end = i64::MIN;
    for session in sessions {
        let (first, last) = (session.tally.first, session.tally.last);
        match runs
            .last_mut()
            .filter(|_| first <= end.saturating_add(window_us))
        {
            Some(run) => run.push(session),
            None => runs.push(vec![session]),
        }
        end = end.max(last);
    }
    runs
}

pub(super) fn merged(sessions: &[&Session], context: &Context<'_>) -> Tally {
    let mut all = Tally::empty();
    for session in sessions {
        all.merge(session.tally.clone(), context);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_pauses_vary_little() {
        let mut steady = Gaps::default();
        let mut wild = Gaps::default();
        for index in 0..20 {
            steady.add(100 + index % 2);
            wild.add(if index % 2 == 0 { 1 } else { 400 });
        }
        assert!(steady.variation().unwrap() < 0.1);
        assert!(wild.variation().unwrap() > 0.9);
    }
}
