//! Baselines and their tests.

use std::collections::BTreeMap;

/// Where the median is above this, counts are common enough for a z-score.
const SPARSE: u32 = 5;

/// Of the baseline's buckets one in so many, the fullest, are left out of mean and dispersion.
const TRIMMED: u32 = 20;

/// Counts above this have the tail of this: it is smaller still.
const LARGEST: u32 = 100_000;

/// Counts of buckets, without their order.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    /// How many buckets hold so many requests; none is left out.
    counts: BTreeMap<u32, u32>,
}

/// Why a bucket holds too many.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Too many for anybody.
    Absolute { least: u32 },
    /// Too far from the median.
    ZScore {
        buckets: u32,
        middle: u32,
        deviation: f64,
        score: f64,
        least: f64,
    },
    /// Too far out in the tail.
    Tail {
        buckets: u32,
        mean: f64,
        dispersion: f64,
        most: u32,
        tests: u64,
        score: f64,
        least: f64,
    },
}

impl Baseline {
    /// Adds a bucket.
    pub(super) fn add(&mut self, count: u32) {
        if count > 0 {
            *self.counts.entry(count).or_default() += 1;
        }
    }

    /// Tests a bucket with `count` requests against `buckets` of which this holds those with any.
    pub(super) fn judge(
        &self,
        count: u32,
        buckets: u32,
        tests: u64,
        least_z: f64,
        least_log_p: f64,
    ) -> Option<Verdict> {
        let most = self.counts.last_key_value().map_or(0, |(&most, _)| most);
        if count <= most.saturating_mul(2) {
            return None;
        }
        let filled: u32 = self.counts.values().sum();
        let empty = buckets.saturating_sub(filled);
        let counts = || {
            [(0, empty)]
                .into_iter()
                .chain(self.counts.iter().map(|(&c, &n)| (c, n)))
        };
        let middle = median(counts());
        if middle > SPARSE {
            let mut deviations: Vec<(u32, u32)> = counts()
                .map(|(count, n)| (count.abs_diff(middle), n))
                .collect();
            deviations.sort_unstable();
            let deviation = f64::from(median(deviations.into_iter()));
            let deviation = deviation.max(1.0).max(f64::from(middle).sqrt());
            let score = 0.6745 * f64::from(count - middle) / deviation;
            return (score >= least_z).then_some(Verdict::ZScore {
                buckets,
                middle,
                deviation,
                score,
                least: least_z,
            });
        }
        let (mean, dispersion) = moments(counts());
        let corrected = log10_tail(count.min(LARGEST), mean, dispersion) + log10(tests.max(1));
        let score = -corrected.min(0.0);
        (score >= least_log_p).then_some(Verdict::Tail {
            buckets,
            mean,
            dispersion,
            most,
            tests,
            score,
            least: least_log_p,
        })
    }
}

impl Verdict {
    /// Says what was expected, on what ground, by which method, and how far off it is.
    pub(super) fn words(&self) -> Vec<String> {
        match self {
            Self::Absolute { least } => vec![format!(
                "at least {least}; the history is too short to compare with"
            )],
            Self::ZScore {
                buckets,
                middle,
                deviation,
                score,
                least,
            } => vec![
                format!("expected = {middle} (median), MAD (floored) = {deviation:.1}"),
                format!("baseline = {buckets} buckets with requests of this identity"),
                format!("robust z-score = {score:.1} (at least {least})"),
            ],
            Self::Tail {
                buckets,
                mean,
                dispersion,
                most,
                tests,
                score,
                least,
            } => vec![
                format!("expected = {mean:.2}, dispersion = {dispersion:.1}, most so far = {most}"),
                format!("baseline = {buckets} buckets with requests of this identity"),
                format!(
                    "-log10 p of the {} tail, after Bonferroni over {tests} tests = {score:.1} (at least {least})",
                    if *dispersion > 1.0 {
                        "negative binomial"
                    } else {
                        "Poisson"
                    },
                ),
            ],
        }
    }
}

/// Returns the lower median of sorted counts with the number of times each occurs.
fn median(counts: impl Iterator<Item = (u32, u32)> + Clone) -> u32 {
    let total: u64 = counts.clone().map(|(_, n)| u64::from(n)).sum();
    let mut below = 0;
    for (count, n) in counts {
        below += u64::from(n);
        if below * 2 >= total {
            return count;
        }
    }
    0
}

/// Returns mean and variance over mean of sorted counts, the fullest twentieth left out, as if one more bucket
/// had held one request: what never happened may.
fn moments(counts: impl Iterator<Item = (u32, u32)> + Clone) -> (f64, f64) {
    let total: u32 = counts.clone().map(|(_, n)| n).sum();
    let mut room = total - total / TRIMMED;
    let (mut n, mut sum, mut squares) = (1.0, 1.0, 1.0);
    for (count, times) in counts {
        let times = times.min(room);
        room -= times;
        let (count, times) = (f64::from(count), f64::from(times));
        n += times;
        sum += count * times;
        squares += count * count * times;
    }
    let mean = sum / n;
    let variance = squares / n - mean * mean;
    (mean, (variance / mean).max(1.0))
}

fn log10(n: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "its logarithm is all that matters"
    )]
    let n = n as f64;
    n.log10()
}

/// Returns the common logarithm of the probability of `count` or more: negative binomial with that mean and
/// variance over mean, or Poisson if that is one.
fn log10_tail(count: u32, mean: f64, dispersion: f64) -> f64 {
    // From one count to the next the probability is multiplied by `step`.
    let spread = dispersion - 1.0;
    let is_poisson = spread < 1e-9;
    let size = if is_poisson { 0.0 } else { mean / spread };
    let step = |k: f64| {
        if is_poisson {
            mean / (k + 1.0)
        } else {
            (k + size) / (k + 1.0) * (spread / dispersion)
        }
    };
    let of_none = if is_poisson {
        -mean
    } else {
        -size * dispersion.ln()
    };
    let at_count = (0..count).fold(of_none, |log, k| log + step(f64::from(k)).ln());
    // The terms fall from here on, as the count is above the mean; the sum is relative to the first.
    let (mut term, mut sum, mut k) = (1.0, 1.0, f64::from(count));
    while term > sum * 1e-12 && sum < 1e12 {
        term *= step(k);
        sum += term;
        k += 1.0;
    }
    (at_count + sum.ln()) / std::f64::consts::LN_10
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(counts: &[u32]) -> Baseline {
        let mut baseline = Baseline::default();
        for &count in counts {
            baseline.add(count);
        }
        baseline
    }

    fn is_alarm(counts: &[u32], buckets: u32, count: u32) -> bool {
        baseline(counts)
            .judge(count, buckets, 1000, 6.0, 6.0)
            .is_some()
    }

    #[test]
    fn tails_are_those_of_the_books() {
        let check = |count, mean, dispersion, expected: f64| {
            let log = log10_tail(count, mean, dispersion);
            assert!(
                (log - expected.log10()).abs() < 1e-6,
                "{count} {mean} {dispersion}: {log}"
            );
        };
        // R 4.4: ppois(9, 2, lower=FALSE); ppois(0, 3, lower=FALSE); pnbinom(19, size=1, mu=2, lower=FALSE)
        check(10, 2.0, 1.0, 4.649_807_501e-5);
        check(1, 3.0, 1.0, 1.0 - (-3.0_f64).exp());
        check(20, 2.0, 3.0, (2.0_f64 / 3.0).powi(20));
        assert!(log10_tail(LARGEST, 0.1, 1.0) < -300_000.0, "no underflow");
    }

    #[test]
    fn a_quiet_identity_may_not_burst() {
        assert!(is_alarm(&[], 20, 40));
        assert!(is_alarm(&[1, 1, 2], 300, 40));
        assert!(!is_alarm(&[], 20, 1));
    }

    #[test]
    fn a_bursty_identity_may() {
        assert!(!is_alarm(&[20, 1, 30, 2, 25, 1, 18, 3, 22], 60, 55));
        assert!(!is_alarm(&[40], 300, 60), "not twice of what was");
    }

    #[test]
    fn busy_identities_are_judged_by_z() {
        let busy: Vec<u32> = (0..40).map(|n| 90 + n % 20).collect();
        assert!(!is_alarm(&busy, 40, 180));
        let verdict = baseline(&busy).judge(900, 40, 1000, 6.0, 6.0);
        assert!(
            matches!(verdict, Some(Verdict::ZScore { middle: 99, .. })),
            "{verdict:?}"
        );
    }

    #[test]
    fn medians_count_how_often() {
        let check = |counts: &[(u32, u32)], expected| {
            assert_eq!(median(counts.iter().copied()), expected, "{counts:?}");
        };
        check(&[(0, 4), (1, 1), (2, 1), (3, 1)], 0);
        check(&[(0, 2), (5, 3)], 5);
        check(&[], 0);
    }
}
