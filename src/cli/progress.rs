//! The progress bar of a scan, on a terminal only.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Global;
use super::diagnostic::Printer;
use super::exit::Exit;
use crate::pipeline::{Monitor, Scan, ScanError};

/// How often the bar is drawn.
const STEP: Duration = Duration::from_millis(100);

const WITH_TOTAL: &str =
    "{bar:24} {bytes}/{total_bytes}  {binary_bytes_per_sec}  {eta} left  {msg}";
const WITHOUT_TOTAL: &str = "{spinner} {bytes}  {binary_bytes_per_sec}  {msg}";

/// Reads logs with `work`, as [`watch`] does, and says why if it cannot be done.
///
/// # Errors
/// With the exit code then.
pub(super) fn scan(
    monitor: &Monitor,
    global: &Global,
    printer: Printer,
    work: impl FnOnce() -> Result<Scan, ScanError>,
) -> Result<Scan, Exit> {
    watch(monitor, global.quiet, work).map_err(|error| {
        printer.error(error);
        Exit::Usage
    })
}

/// Runs `work`, and shows how far `monitor` says it has come, if somebody can see it.
fn watch<T>(monitor: &Monitor, quiet: bool, work: impl FnOnce() -> T) -> T {
    if quiet || !io::stderr().is_terminal() {
        return work();
    }
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let drawer = scope.spawn(|| draw(monitor, &is_done));
        let result = work();
        is_done.store(true, Ordering::Relaxed);
        drawer.thread().unpark();
        result
    })
}

fn draw(monitor: &Monitor, is_done: &AtomicBool) {
    // What is over at once needs no bar.
    std::thread::park_timeout(STEP * 3);
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
    let mut has_total = None;
    while !is_done.load(Ordering::Relaxed) {
        let position = monitor.position();
        if has_total != Some(position.total_bytes > 0) {
            has_total = Some(position.total_bytes > 0);
            let template = if position.total_bytes > 0 {
                WITH_TOTAL
            } else {
                WITHOUT_TOTAL
            };
            bar.set_style(ProgressStyle::with_template(template).expect("a constant template"));
        }
        if position.total_bytes > 0 {
            bar.set_length(position.total_bytes);
        }
        bar.set_position(position.read_bytes);
        bar.set_message(format!(
            "{} events, {} findings so far",
            position.events, position.findings
        ));
        std::thread::park_timeout(STEP);
    }
    bar.finish_and_clear();
}
