//! Which of the new and changed files are read, and which are in others.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::source::follow::FollowError;
use crate::source::follow::content::Position;
use crate::source::follow::cursor::{Cursor, Print};
use crate::source::follow::examine::Examined;
use crate::source::follow::expand::Found;
use crate::source::follow::files::Files;
use crate::source::follow::gaps::LaneKey;
use crate::source::follow::plan::{Pending, Twin};
use crate::source::follow::planner::{Lane, Planner, State, is_unchanged, name};
use crate::source::follow::read::{Task, trusted};
use crate::source::follow::twins::{Covered, Member, Side, Twins, twins};

impl Planner<'_> {
    pub(super) fn tasks<F: Files>(
        &mut self,
        files: &F,
        states: &[State],
        lanes: &BTreeMap<LaneKey, Lane>,
    ) {
        let mut members = Vec::new();
        let mut at_member = Vec::new();
        for (at, (state, found)) in states.iter().zip(self.found).enumerate() {
            let content = match state {
                State::Known(idx) => Side::Known {
                    head: &self.cursors[*idx].head,
                    offset: self.cursors[*idx].offset,
                    compressed: self.cursors[*idx].compressed,
                },
                State::Examined(examined) => Side::New(examined, examined.start(&self.cursors)),
                State::Failed => continue,
            };
            members.push(Member { found, content });
            at_member.push(at);
        }
        let Twins {
            covered,
            failed,
            doubtful,
        } = twins(files, &members);
        let covered = covered.into_iter().map(|(idx, mut covered)| {
            covered.by = at_member[covered.by];
            (at_member[idx], covered)
        });
        let mut covered: HashMap<usize, Covered> = covered.collect();
        let doubtful: HashSet<usize> = doubtful.iter().map(|idx| at_member[*idx]).collect();
        for (idx, cause) in failed {
            let path = members[idx].found.path.clone();
            self.plan.errors.push(FollowError::Io { path, cause });
        }
        drop(members);
        let mut task_of: HashMap<usize, usize> = HashMap::new();
        let mut end_of: HashMap<usize, u64> = HashMap::new();
        let mut waiting = Vec::new();
        let mut n_lanes = 0;
        for lane in lanes.values() {
            let before = self.plan.tasks.len();
            for at in &lane.files {
                let newest = lane.newest == *at;
                match &states[*at] {
                    State::Failed => {}
                    State::Known(idx) => {
                        self.plan.n_unchanged += 1;
                        let mut cursor = self.cursors[*idx].clone();
                        cursor.name = name(&self.found[*at]);
                        cursor.newest = newest;
                        cursor.last_seen_us = self.now_us;
                        cursor.gone_since_us = None;
                        end_of.insert(*at, cursor.offset);
                        self.plan.kept.push(cursor);
                    }
                    State::Examined(examined) => {
                        let carry = self.cursor(&self.found[*at], examined, newest);
                        let is_read = !examined.compressed && carry.offset >= examined.stat.size;
                        if is_read {
                            end_of.insert(*at, carry.offset);
                            self.plan
                                .kept
                                .push(self.settled(carry, examined.stat.mtime_ns));
                        } else if let Some(covered) = covered.remove(at) {
                            waiting.push((*at, covered, carry, n_lanes));
                        } else if doubtful.contains(at) && !self.was_put_off(examined) {
                            self.plan.kept.push(carry);
                        } else {
                            task_of.insert(*at, self.plan.tasks.len());
                            let task = self.task(*at, examined, carry, n_lanes);
                            self.plan.tasks.push(task);
                        }
                    }
                }
            }
            n_lanes += u32::from(self.plan.tasks.len() > before);
        }
        for (at, covered, carry, lane) in waiting {
            let State::Examined(examined) = &states[at] else {
                unreachable!("only examined files are twins");
            };
            let mut cursor = carry.clone();
            if covered.whole.offset > cursor.offset {
                cursor.offset = covered.whole.offset;
                cursor.line = covered.whole.line;
                cursor.anchor = covered.anchor.clone();
            }
            if !covered.has_tail {
                cursor = self.settled(cursor, examined.stat.mtime_ns);
            }
            let is_known = end_of
                .get(&covered.by)
                .is_some_and(|end| *end >= cursor.offset);
            if is_known {
                self.plan.kept.push(cursor);
            } else if let Some(task) = task_of.get(&covered.by) {
                self.plan.pending.push(Pending {
                    task: *task,
                    covered: cursor,
                    otherwise: carry,
                });
            } else {
                let task = self.task(at, examined, carry, lane);
                self.plan.tasks.push(task);
                continue;
            }
            self.plan.twins.push(Twin {
                name: name(&self.found[at]),
                of: name(&self.found[covered.by]),
            });
        }
    }

    /// Whether it was due before and not read. What may be a twin of a file that cannot be read waits for
    /// one run, not for ever.
    fn was_put_off(&self, examined: &Examined) -> bool {
        let is_it = |cursor: &Cursor| examined.stat.is_same_file(cursor.id) && !cursor.complete;
        examined.claims.iter().any(|idx| is_it(&self.cursors[*idx]))
    }

    fn task(&self, at: usize, examined: &Examined, carry: Cursor, lane: u32) -> Task {
        let base = examined.base.map(|idx| &self.cursors[idx]);
        let is_due = base.is_some_and(|cursor| {
            is_unchanged(cursor, &self.found[at]) && self.has_due_tail(cursor, carry.newest)
        });
        Task {
            path: self.found[at].path.clone(),
            lane,
            start: examined.start(&self.cursors),
            continues: base.map(|cursor| cursor.name.clone()),
            links: self.found[at].links,
            takes_tail: examined.compressed || is_due,
            fresh_us: self.options.fresh_us,
            carry,
        }
    }

    /// Returns the cursor of a file that is not read any further.
    fn cursor(&self, found: &Found, examined: &Examined, newest: bool) -> Cursor {
        let Position { offset, line } = examined.start(&self.cursors);
        let base = examined.base.map(|idx| &self.cursors[idx]);
        Cursor {
            name: name(found),
            id: examined.stat.id,
            head: Print::of(&examined.head),
            offset,
            line,
            anchor: base.map_or_else(|| Print::of(&[]), |base| base.anchor.clone()),
            size: examined.stat.size,
            complete: false,
            mtime_ns: None,
            compressed: examined.compressed,
            first_time: examined.first_time,
            newest,
            last_seen_us: self.now_us,
            gone_since_us: None,
        }
    }

    fn settled(&self, mut cursor: Cursor, mtime_ns: i64) -> Cursor {
        cursor.complete = true;
        cursor.mtime_ns = trusted(mtime_ns, self.now_us, self.options.fresh_us);
        cursor
    }
}
