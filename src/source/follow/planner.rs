//! Files against cursors: what is known, in what order it is read, what is gone.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::source::follow::cursor::Cursor;
use crate::source::follow::examine::Examined;
use crate::source::follow::expand::{Expansion, Found};
use crate::source::follow::files::Files;
use crate::source::follow::gaps::{Around, LaneKey, Presence, folders_of, forget, gap, lane_key};
use crate::source::follow::plan::Plan;
use crate::source::follow::{FollowError, Options};
use crate::source::rotation::{Age, Rotation};

/// What is known of a file that was found.
pub(super) enum State {
    /// As the cursor says.
    Known(usize),
    Examined(Examined),
    Failed,
}

pub(super) struct Planner<'a> {
    pub(super) cursors: Vec<Cursor>,
    pub(super) found: &'a [Found],
    /// By cursor.
    pub(super) presence: Vec<Presence>,
    pub(super) options: &'a Options,
    pub(super) now_us: i64,
    pub(super) plan: Plan,
}

/// A rotated set: indices of its files, oldest first.
pub(super) struct Lane {
    pub(super) files: Vec<usize>,
    /// The one that is written: with the name of the set if there is such a one, for its first time may be that of a
    /// request that came before a rotation and ended after it.
    pub(super) newest: usize,
    pub(super) has_new_compressed: bool,
}

impl Planner<'_> {
    pub(super) fn examine<F: Files>(&mut self, files: &F) -> Vec<State> {
        let mut by_id: HashMap<_, Vec<usize>> = HashMap::new();
        let mut by_name: HashMap<_, Vec<usize>> = HashMap::new();
        for (idx, cursor) in self.cursors.iter().enumerate() {
            match cursor.id {
                Some(id) => by_id.entry(id).or_default().push(idx),
                None => by_name.entry(cursor.name.clone()).or_default().push(idx),
            }
        }
        let newest = self.newest_by_name();
        let mut states = Vec::new();
        for (at, found) in self.found.iter().enumerate() {
            let candidates = match found.stat.id {
                Some(id) => by_id.get(&id),
                None => by_name.get(&name(found)),
            };
            let is_newest = newest.contains(&at);
            let mut candidates = candidates.into_iter().flatten();
            let known = candidates.find(|idx| {
                let cursor = &self.cursors[**idx];
                is_unchanged(cursor, found) && !self.has_due_tail(cursor, is_newest)
            });
            states.push(if let Some(idx) = known {
                self.presence[*idx] = Presence::Whole;
                State::Known(*idx)
            } else {
                self.examine_one(files, found)
            });
        }
        states
    }

    fn examine_one<F: Files>(&mut self, files: &F, found: &Found) -> State {
        match Examined::of(files, found, &self.cursors, self.options) {
            Ok(examined) => {
                self.plan.moved |= examined.stat.id != found.stat.id;
                let presence = if examined.compressed {
                    Presence::Whole
                } else {
                    Presence::Short(examined.stat.size)
                };
                for idx in &examined.claims {
                    self.presence[*idx] = self.presence[*idx].max(presence);
                }
                State::Examined(examined)
            }
            Err(error) => {
                self.plan.moved |= matches!(error, FollowError::Moved { .. });
                self.plan.errors.push(error);
                State::Failed
            }
        }
    }

    /// Whether what is behind the last line end is to be handed out: it will not grow to a line.
    pub(super) fn has_due_tail(&self, cursor: &Cursor, is_newest: bool) -> bool {
        let is_quiet = cursor.mtime_ns.is_some_and(|mtime_ns| {
            self.now_us.saturating_sub(mtime_ns / 1000) > self.options.quiet_us
        });
        !cursor.compressed && cursor.offset < cursor.size && (!is_newest || is_quiet)
    }

    fn newest_by_name(&self) -> HashSet<usize> {
        let mut newest: HashMap<LaneKey, (Rotation, usize)> = HashMap::new();
        for (at, found) in self.found.iter().enumerate() {
            let rotation = Rotation::of(found.path.file_name().unwrap_or_default());
            match newest.entry(lane_key(&found.path)) {
                std::collections::hash_map::Entry::Occupied(mut entry) => {
                    if entry.get().0 < rotation {
                        entry.insert((rotation, at));
                    }
                }
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert((rotation, at));
                }
            }
        }
        newest.into_values().map(|(_, at)| at).collect()
    }

    pub(super) fn lanes(&self, states: &[State]) -> BTreeMap<LaneKey, Lane> {
        let mut lanes: BTreeMap<LaneKey, Lane> = BTreeMap::new();
        for (at, found) in self.found.iter().enumerate() {
            let lane = lanes.entry(lane_key(&found.path)).or_insert(Lane {
                files: Vec::new(),
                newest: at,
                has_new_compressed: false,
            });
            lane.files.push(at);
            if let State::Examined(examined) = &states[at] {
                let is_new = examined.base.is_none_or(|idx| self.cursors[idx].is_weak());
                lane.has_new_compressed |= examined.compressed && is_new;
            }
        }
        for lane in lanes.values_mut() {
            let is_empty = |at: usize| self.found[at].stat.size == 0;
            let time = |at: usize| match &states[at] {
                State::Known(idx) => self.cursors[*idx].first_time,
                State::Examined(examined) => examined.first_time,
                State::Failed => None,
            };
            let rotation = |at: usize| {
                let path = &self.found[at].path;
                Rotation::of(path.file_name().unwrap_or_default())
            };
            lane.files
                .sort_by_cached_key(|at| (rotation(*at), self.found[*at].path.clone()));
            let written = lane.files.iter().filter(|at| !is_empty(**at));
            let times: Option<Vec<i64>> = written.map(|at| time(*at)).collect();
            // Names say it, unless times say plainly that they do not.
            if let Some(times) = times
                && contradicts(&times, self.options.slack)
            {
                lane.files
                    .sort_by_cached_key(|at| (is_empty(*at), time(*at), rotation(*at)));
            }
            let is_current = |at: &&usize| {
                let rotation = rotation(**at);
                rotation.age == Age::Current && rotation.is_plain
            };
            let newest = lane
                .files
                .iter()
                .rev()
                .find(is_current)
                .or(lane.files.last());
            lane.newest = *newest.expect("a set has files");
        }
        lanes
    }

    pub(super) fn gaps(&mut self, expansion: &Expansion, lanes: &BTreeMap<LaneKey, Lane>) {
        let errors = self.plan.errors.iter().chain(&expansion.errors);
        let errors = errors.filter(|error| !error.is_absence());
        let folders = folders_of(errors.filter_map(FollowError::path));
        let is_moving = self.plan.moved || expansion.moved;
        let cursors = std::mem::take(&mut self.cursors);
        for (mut cursor, presence) in cursors.into_iter().zip(&self.presence) {
            let key = lane_key(cursor.name.as_ref());
            let lane = lanes.get(&key);
            let oldest = lane.and_then(|lane| lane.files.first());
            let oldest = oldest.map(|at| name(&self.found[*at]));
            let around = Around {
                presence: *presence,
                is_uncertain: is_moving || key.0.ancestors().any(|it| folders.contains(it)),
                has_new_compressed: lane.is_some_and(|lane| lane.has_new_compressed),
                oldest: oldest.as_deref(),
            };
            self.plan
                .gaps
                .extend(gap(&mut cursor, &around, self.now_us));
            if *presence == Presence::Gone {
                self.plan.kept.push(cursor);
            }
        }
        self.plan.forgotten = forget(&mut self.plan.kept, self.options, self.now_us);
    }
}

/// Returns whether a time comes more than `slack` behind one before it.
fn contradicts(times: &[i64], slack: i64) -> bool {
    let mut latest = i64::MIN;
    times.iter().any(|&time| {
        latest = latest.max(time);
        time < latest.saturating_sub(slack)
    })
}

pub(super) fn is_unchanged(cursor: &Cursor, found: &Found) -> bool {
    cursor.size == found.stat.size
        && cursor.mtime_ns == Some(found.stat.mtime_ns)
        && cursor.id == found.stat.id
}

pub(super) fn name(found: &Found) -> String {
    found.path.to_string_lossy().into_owned()
}
