//! What to read, and from where.

use crate::source::follow::cursor::Cursor;
use crate::source::follow::expand::Expansion;
use crate::source::follow::files::Files;
use crate::source::follow::gaps::{Gap, Presence};
use crate::source::follow::planner::Planner;
use crate::source::follow::read::Task;
use crate::source::follow::{FollowError, Options};

/// What a run has to do.
#[derive(Debug, Default)]
pub struct Plan {
    /// What to read: by rotated set, in a set the oldest file first.
    pub tasks: Vec<Task>,
    /// Files with nothing new, told by their stat alone.
    pub n_unchanged: usize,
    /// Files that are in another one, and not read for that.
    pub twins: Vec<Twin>,
    /// What vanished unread.
    pub gaps: Vec<Gap>,
    /// Files that could not be looked into; the next run tries again.
    pub errors: Vec<FollowError>,
    /// Cursors that could not be what was stored; their files are read as unknown ones.
    pub n_damaged: usize,
    /// Cursors of content that is gone for long, or too many; [`Plan::finish`] leaves them out.
    pub forgotten: Vec<Cursor>,
    /// Whether files moved meanwhile, so that it is better to look again.
    pub moved: bool,
    /// Cursors that stay whatever is read.
    pub(super) kept: Vec<Cursor>,
    pub(super) pending: Vec<Pending>,
}

/// A file whose whole content is in another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    /// The path.
    pub name: String,
    /// The path of the file that has its content.
    pub of: String,
}

/// The cursor of a twin, which depends on whether the other one is read.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) task: usize,
    pub(super) covered: Cursor,
    pub(super) otherwise: Cursor,
}

impl Plan {
    /// Returns the cursors for the next run; `done` are those of [`advance`](crate::source::follow::advance) by task, and
    /// `None` for a task that was not done or failed, which is then due again.
    ///
    /// Shape: one for each present file that could be looked into, and those of vanished content.
    ///
    /// # Panics
    /// When `done` has not as many items as there are tasks.
    pub fn finish(self, done: Vec<Option<Cursor>>) -> Vec<Cursor> {
        assert_eq!(done.len(), self.tasks.len(), "one outcome for each task");
        let offsets: Vec<Option<u64>> = done
            .iter()
            .map(|it| it.as_ref().map(|cursor| cursor.offset))
            .collect();
        let mut cursors = self.kept;
        let done = self.tasks.into_iter().zip(done);
        cursors.extend(done.map(|(task, done)| done.unwrap_or(task.carry)));
        cursors.extend(self.pending.into_iter().map(|twin| {
            let is_covered = offsets[twin.task].is_some_and(|it| it >= twin.covered.offset);
            if is_covered {
                twin.covered
            } else {
                twin.otherwise
            }
        }));
        cursors
    }
}

impl Plan {
    /// Leaves the gaps to the next run.
    pub(super) fn withhold_gaps(&mut self, now_us: i64) {
        self.gaps.clear();
        let found_now = self
            .kept
            .iter_mut()
            .filter(|it| it.gone_since_us == Some(now_us));
        found_now.for_each(|cursor| cursor.gone_since_us = None);
    }
}

/// Compares `expansion` with the `cursors` of the last run; `now_us` is microseconds since the Unix epoch.
///
/// Opens files that are new or changed, and reads of them what tells their content; compressed ones up
/// to the place that is known. Costs nothing for a file whose size, number and change time are those of
/// its cursor. Never fails: what cannot be read is among the errors and does not hinder the rest.
pub fn plan<F: Files>(
    files: &F,
    cursors: &[Cursor],
    expansion: &Expansion,
    options: &Options,
    now_us: i64,
) -> Plan {
    let sound = cursors.iter().filter(|cursor| cursor.is_sound());
    let mut planner = Planner {
        cursors: sound.cloned().collect(),
        found: &expansion.files,
        presence: Vec::new(),
        options,
        now_us,
        plan: Plan::default(),
    };
    planner.plan.n_damaged = cursors.len() - planner.cursors.len();
    planner.presence = vec![Presence::Gone; planner.cursors.len()];
    let states = planner.examine(files);
    let lanes = planner.lanes(&states);
    planner.tasks(files, &states, &lanes);
    planner.gaps(expansion, &lanes);
    planner.plan
}
