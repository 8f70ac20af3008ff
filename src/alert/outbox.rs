//! Delivering what the outbox holds, and writing down what became of it.

use std::time::{Duration, Instant};

use super::config::Config;
use super::figures::Totals;
use super::sink::clock::{Clock, RandomDice};
use super::sink::deliver::Status;
use super::sink::{Alert, DeadLetters, Letter, Sinks};
use super::state::{Entry, Settled, State, StateError};

/// How often it is written down what has arrived: each time costs several syncs.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// What delivering came to.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    /// Alerts that wait for the next run, or were given up.
    pub(super) undelivered: u64,
    /// What went wrong, in words.
    pub(super) notes: Vec<String>,
}

/// Sends what is due to each sink.
///
/// What arrived is written down on the way, every second at the latest: a run that is killed sends again what it had no
/// time to note, with the same keys.
pub(super) fn deliver(
    state: &mut State,
    sinks: &mut Sinks,
    config: &Config,
    clock: &dyn Clock,
    totals: &mut Totals,
) -> Result<Delivered, StateError> {
    let mut delivered = Delivered::default();
    let letters = DeadLetters::new(&config.run.dead_letters);
    abandon(state, config, &letters, clock, totals, &mut delivered)?;
    let mut dice = RandomDice::default();
    for sink in sinks.entries_mut() {
        let due = state.due(sink.name(), clock.wall().0)?;
        let (mut alerts, mut settled) = (Vec::new(), Vec::new());
        for entry in due {
            match serde_json::from_str::<Alert>(&entry.alert) {
                Ok(alert) => alerts.push((entry, alert)),
                Err(error) => settled.push((entry, Settled::Dead(format!("no alert: {error}")))),
            }
        }
        let statuses = {
            let mut progress = Progress::of(state, &alerts, clock);
            let alerts: Vec<&Alert> = alerts.iter().map(|(_, alert)| alert).collect();
            let mut arrived = |taken: &[usize]| progress.note(taken);
            sink.deliver(&alerts, clock, &mut dice, &mut arrived)
        };
        for ((entry, _), status) in alerts.into_iter().zip(statuses) {
            let what = match status {
                Status::Delivered | Status::NotWanted => Settled::Delivered,
                Status::Pending { not_before, why } => Settled::Later {
                    not_before: not_before.unwrap_or_else(|| clock.wall()).0,
                    why,
                },
                Status::Dead { why } => Settled::Dead(why),
            };
            settled.push((entry, what));
        }
        bury(&letters, sink.name(), &mut settled, clock);
        delivered.count(sink.name(), &settled, totals);
        state.settle(&settled)?;
    }
    Ok(delivered)
}

/// Writes down what has arrived while the rest is under way.
struct Progress<'a> {
    state: &'a mut State,
    alerts: &'a [(Entry, Alert)],
    clock: &'a dyn Clock,
    arrived: Vec<(Entry, Settled)>,
    noted: Option<Instant>,
}

impl<'a> Progress<'a> {
    fn of(state: &'a mut State, alerts: &'a [(Entry, Alert)], clock: &'a dyn Clock) -> Self {
        Self {
            state,
            alerts,
            clock,
            arrived: Vec::new(),
            noted: None,
        }
    }

    fn note(&mut self, taken: &[usize]) {
        let taken = taken.iter().map(|idx| self.alerts[*idx].0.clone());
        self.arrived
            .extend(taken.map(|entry| (entry, Settled::Delivered)));
        let now = self.clock.now();
        if self.noted.is_none_or(|noted| now - noted >= NOTE_EVERY) {
            self.noted = Some(now);
            // If this fails, it is written down in the end.
            if self.state.settle(&self.arrived).is_ok() {
                self.arrived.clear();
            }
        }
    }
}

/// Gives up what waits for sinks that the configuration has no more.
fn abandon(
    state: &mut State,
    config: &Config,
    letters: &DeadLetters,
    clock: &dyn Clock,
    totals: &mut Totals,
    delivered: &mut Delivered,
) -> Result<(), StateError> {
    for name in state.waiting_sinks()? {
        if config.sinks.iter().any(|sink| sink.name == name) {
            continue;
        }
        let gone = state.due(&name, i64::MAX)?;
        let why = || Settled::Dead("its sink is not in the configuration any more".to_owned());
        let mut settled: Vec<(Entry, Settled)> =
            gone.into_iter().map(|entry| (entry, why())).collect();
        bury(letters, &name, &mut settled, clock);
        delivered.count(&name, &settled, totals);
        state.settle(&settled)?;
    }
    Ok(())
}

/// Puts what is given up among the dead letters; if that cannot be done, it is left to the next run.
fn bury(letters: &DeadLetters, sink: &str, settled: &mut [(Entry, Settled)], clock: &dyn Clock) {
    let dead = settled.iter().filter_map(|(entry, what)| match what {
        Settled::Dead(why) => Some((entry, serde_json::from_str(&entry.alert).ok(), why)),
        _ => None,
    });
    let dead: Vec<(&Entry, Option<Alert>, &String)> = dead.collect();
    let written = dead.iter().map(|(entry, alert, why)| Letter {
        alert: alert.as_ref(),
        key: &entry.key,
        text: &entry.alert,
        why,
    });
    let written: Vec<Letter<'_>> = written.collect();
    let Err(error) = letters.add(sink, &written, clock) else {
        return;
    };
    for (_, what) in settled {
        if matches!(what, Settled::Dead(_)) {
            *what = Settled::Later {
                not_before: clock.wall().0,
                why: error.to_string(),
            };
        }
    }
}

impl Delivered {
    fn count(&mut self, sink: &str, settled: &[(Entry, Settled)], totals: &mut Totals) {
        let (mut n_later, mut n_dead) = (0_u64, 0_u64);
        let (mut last, mut last_dead) = ("", "");
        for (_, what) in settled {
            match what {
                Settled::Delivered => {}
                Settled::Later { why, .. } => (n_later, last) = (n_later + 1, why),
                Settled::Dead(why) => (n_dead, last_dead) = (n_dead + 1, why),
            }
        }
        if n_later + n_dead == 0 {
            return;
        }
        self.undelivered += n_later + n_dead;
        totals.dead_letters += n_dead;
        *totals.sink_failures.entry(sink.to_owned()).or_default() += n_later + n_dead;
        if n_later > 0 {
            self.notes.push(format!(
                "sink `{sink}`: {n_later} alerts wait for the next run: {last}"
            ));
        }
        if n_dead > 0 {
            self.notes.push(format!(
                "sink `{sink}`: {n_dead} alerts will not be delivered and are among the dead letters, which `kubescry alert state show` lists and `kubescry alert state resend` sends again: {last_dead}"
            ));
        }
    }
}
