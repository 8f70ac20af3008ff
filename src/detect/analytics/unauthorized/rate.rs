//! The rate: minutes with far more refusals than the log's other minutes.

#![expect(
    clippy::cast_precision_loss,
    reason = "counts of requests, far below 2^52"
)]

use super::super::Draft;
use super::{MINUTE_US, Unauthorized};
use crate::detect::tally::Tally;
use crate::finding::{Finding, Timestamp};
use crate::frame::Vocabulary;

impl Unauthorized {
    /// Compares each minute with the log's own: robust z by median and MAD (Iglewicz and Hoaglin 1993).
    pub(super) fn rate(&self, vocabulary: &Vocabulary, findings: &mut Vec<Finding>) {
        if self.minutes.is_empty() {
            return;
        }
        let (from, to) = (
            self.first.div_euclid(MINUTE_US),
            self.last.div_euclid(MINUTE_US),
        );
        let span = usize::try_from(to - from + 1).unwrap_or(0);
        if span < self.settings.rate_minutes {
            return;
        }
        // Minutes without a 401 count too: those are most. They are counted, not listed.
        let empty = span.saturating_sub(self.minutes.len());
        let counts = self.minutes.values().map(|&count| (count as f64, 1));
        let middle = median(counts.clone().chain([(0.0, empty)]).collect());
        let deviations = counts.map(|(count, weight)| ((count - middle).abs(), weight));
        let deviation = median(deviations.chain([(middle, empty)]).collect());
        let deviation = deviation.max(1.0).max(middle.sqrt());
        let mut minutes: Vec<(i64, u64)> = self
            .minutes
            .iter()
            .map(|(&at, &count)| (at, count))
            .collect();
        minutes.sort_unstable();
        let high: Vec<(i64, u64)> = minutes
            .into_iter()
            .filter(|&(_, count)| {
                let score = 0.6745 * (count as f64 - middle) / deviation;
                count >= self.settings.rate_least && score >= self.settings.rate_score
            })
            .collect();
        let Some(&(first, _)) = high.first() else {
            return;
        };
        let (worst, count) = high
            .iter()
            .copied()
            .max_by_key(|&(at, count)| (count, -at))
            .expect("not empty");
        let last = (high.last().expect("not empty").0 + 1) * MINUTE_US - 1;
        let mut tally = Tally::spanning(first * MINUTE_US, last);
        tally.count = high.iter().map(|&(_, count)| count).sum();
        let mut draft = Draft::new(&self.rate, vec![], &tally);
        draft.summary = format!(
            "{} of {span} minutes have far more refusals than the rest; the worst, from {}, has {count} where {middle} is usual",
            high.len(),
            Timestamp(worst * MINUTE_US),
        );
        draft.why = vec![
            format!("median of {span} minutes = {middle}, MAD (floored) = {deviation:.1}"),
            format!(
                "robust z >= {} and 401 in a minute >= {}",
                self.settings.rate_score, self.settings.rate_least
            ),
        ];
        draft.blind_spots.push("a rate has no single requests as evidence; the other findings of this family name them".to_owned());
        let mut finding = draft.finish(vocabulary);
        finding.evidence_total = 0;
        findings.push(finding);
    }
}

/// Returns the lower median of values with the number of times each occurs.
fn median(mut values: Vec<(f64, usize)>) -> f64 {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: usize = values.iter().map(|(_, weight)| weight).sum();
    let mut below = 0;
    for (value, weight) in values {
        below += weight;
        if below * 2 >= total {
            return value;
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_count_the_empty_minutes() {
        let check = |values: &[(f64, usize)], expected: f64| {
            assert!(
                (median(values.to_vec()) - expected).abs() < 1e-9,
                "{values:?}"
            );
        };
        check(&[(3.0, 1), (1.0, 1), (2.0, 1)], 2.0);
        check(&[(1.0, 1), (2.0, 1), (3.0, 1), (0.0, 4)], 0.0);
        check(&[(5.0, 3), (0.0, 2)], 5.0);
        check(&[], 0.0);
    }
}
