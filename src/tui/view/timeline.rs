//! The timeline: rows over time, stacked by how they ended, with marks for what matters.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{line_of, put};
use crate::finding::Severity;
use crate::finding::words::lasting;
use crate::report::clean;
use crate::store::histogram::{ENDINGS, Histogram};
use crate::tui::app::App;
use crate::tui::chips::TIME;
use crate::tui::document::Look;
use crate::tui::theme::letter;

/// Columns at the left for the scale.
const SCALE: usize = 9;

/// Lines of marks, of the axis and of words below the bars.
const BELOW: usize = 8;

/// Returns how many buckets a screen shows.
pub fn buckets(width: usize) -> usize {
    width.saturating_sub(SCALE + 1).clamp(10, 1000)
}

/// The words and letters of [`crate::store::histogram::Ending`].
const WORDS: [(&str, char); ENDINGS] = [
    ("served", '█'),
    ("errors", '▒'),
    ("denied (403)", 'd'),
    ("unauthenticated (401)", 'u'),
];

/// What the letters and marks mean, at length and in short.
const LEGENDS: [&str; 2] = [
    "█ served ▒ errors d denied u unauthenticated · + minted x ended or used after · ~ API server silent",
    "█ served ▒ errors d denied u 401 · + minted x ended · ~ API server silent",
];

fn looks() -> [Look; ENDINGS] {
    [
        Look::Plain,
        Look::Severity(Severity::Medium),
        Look::Severity(Severity::High),
        Look::Bad,
    ]
}

/// Says why there is no row.
fn nothing(app: &App) -> &'static str {
    let is_part = app.timeline.span.is_some();
    let is_filtered = app.chips.chips.iter().any(|chip| chip.is_on);
    match (is_part, is_filtered) {
        _ if app.reading.usage.rows == 0 && app.reading.is_done => "the log holds no event",
        _ if app.reading.usage.rows == 0 => "nothing read so far",
        (true, false) => "no row in this time; Z zooms out",
        (false, false) => "no row",
        (_, true) => "no row in this time passes the filters; Z zooms out, Backspace drops one",
    }
}

/// Draws bars, marks, axis and what is under the cursor.
pub fn draw(app: &App, frame: &mut Frame<'_>, area: Rect) {
    let Some(histogram) = &app.timeline.histogram else {
        put(frame, area, 0, "counting", Style::default());
        return;
    };
    let height = usize::from(area.height).saturating_sub(BELOW).max(1);
    let total = |bucket: &[u32; ENDINGS]| bucket.iter().map(|count| u64::from(*count)).sum::<u64>();
    let most = histogram.buckets.iter().map(total).max().unwrap_or(0);
    if most == 0 {
        put(frame, area, 0, nothing(app), Style::default());
    } else {
        let style = app.theme.look(Look::Dim);
        put(frame, line_of(area, 0), 0, &format!("{most:>8}"), style);
    }
    for (at, bucket) in histogram.buckets.iter().enumerate() {
        bar(app, frame, area, at, bucket, most, height);
    }
    let columns = |at: usize| SCALE + at;
    let cursor = app
        .timeline
        .cursor
        .min(histogram.buckets.len().saturating_sub(1));
    let axis = line_of(area, height);
    for at in 0..histogram.buckets.len() {
        let in_brush = app
            .timeline
            .brush
            .is_some_and(|start| (start.min(cursor)..=start.max(cursor)).contains(&at));
        let (text, style) = if at == cursor {
            ("^", app.theme.cursor())
        } else if in_brush {
            ("=", app.theme.cursor())
        } else {
            ("─", app.theme.look(Look::Dim))
        };
        put(frame, axis, columns(at), text, style);
    }
    let times = line_of(area, height + 1);
    let start = app.clock.show(histogram.from);
    let end = app.clock.show(histogram.to());
    put(frame, times, SCALE, &start, app.theme.look(Look::Dim));
    let width = usize::from(area.width);
    put(
        frame,
        times,
        width
            .saturating_sub(end.len() + 1)
            .max(SCALE + start.len() + 1),
        &end,
        app.theme.look(Look::Dim),
    );
    marks(app, histogram, frame, area, height + 2);
    here(app, histogram, cursor, frame, area, height + 6);
}

fn bar(
    app: &App,
    frame: &mut Frame<'_>,
    area: Rect,
    at: usize,
    bucket: &[u32; ENDINGS],
    most: u64,
    height: usize,
) {
    // What is rare must be seen: any count takes a line at least, from the top down.
    let mut used = 0;
    let mut lines = [0; ENDINGS];
    for (ending, count) in bucket.iter().enumerate().rev() {
        let share = u64::from(*count)
            .saturating_mul(height as u64)
            .div_ceil(most.max(1));
        let share = usize::try_from(share).unwrap_or(height).min(height - used);
        lines[ending] = share;
        used += share;
    }
    let mut y = height;
    for (ending, count) in lines.iter().enumerate() {
        for _ in 0..*count {
            y -= 1;
            let symbol = WORDS[ending].1.to_string();
            put(
                frame,
                line_of(area, y),
                SCALE + at,
                &symbol,
                app.theme.look(looks()[ending]),
            );
        }
    }
}

/// Marks of findings, of credentials made and ended, and of silences, a line each.
fn marks(app: &App, histogram: &Histogram, frame: &mut Frame<'_>, area: Rect, y: usize) {
    let mut worst: Vec<Option<Severity>> = vec![None; histogram.buckets.len()];
    for finding in app
        .results
        .findings
        .iter()
        .filter(|finding| finding.is_step())
    {
        if let Some(at) = histogram.bucket_of(finding.first_seen.0) {
            worst[at] = worst[at].max(Some(finding.severity));
        }
    }
    put(
        frame,
        line_of(area, y),
        0,
        "findings",
        app.theme.look(Look::Dim),
    );
    for (at, severity) in worst.iter().enumerate() {
        if let Some(severity) = severity {
            put(
                frame,
                line_of(area, y),
                SCALE + at,
                letter(*severity),
                app.theme.severity(*severity),
            );
        }
    }
    let credentials = &app.results.credentials;
    let minted = credentials
        .iter()
        .filter_map(|one| Some(one.minted.as_ref()?.at.0));
    let ended = credentials
        .iter()
        .filter_map(|one| Some(one.ended.as_ref()?.at.0));
    let after = credentials
        .iter()
        .filter_map(|one| Some(one.last_use_after_end?.0));
    let mut row =
        |y: usize, label: &str, symbol: &str, look: Look, times: &mut dyn Iterator<Item = i64>| {
            put(frame, line_of(area, y), 0, label, app.theme.look(Look::Dim));
            for time in times {
                if let Some(at) = histogram.bucket_of(time) {
                    put(
                        frame,
                        line_of(area, y),
                        SCALE + at,
                        symbol,
                        app.theme.look(look),
                    );
                }
            }
        };
    row(y + 1, "minted", "+", Look::Good, &mut minted.into_iter());
    row(y + 2, "ended", "x", Look::Bad, &mut ended.chain(after));
    let gaps = app
        .results
        .summary
        .ingest
        .api_servers
        .iter()
        .flat_map(|server| &server.gaps);
    let mut silent: Vec<i64> = Vec::new();
    for gap in gaps {
        let from = histogram.bucket_of(gap.from.0.max(histogram.from));
        let to = histogram.bucket_of(gap.to.0.min(histogram.to() - 1));
        if let (Some(from), Some(to)) = (from, to) {
            let time =
                |at: usize| histogram.from + histogram.bucket_us * i64::try_from(at).unwrap_or(0);
            silent.extend((from..=to).map(time));
        }
    }
    row(y + 3, "silent", "~", Look::Bad, &mut silent.into_iter());
}

/// What is under the cursor, and what the letters mean.
fn here(
    app: &App,
    histogram: &Histogram,
    cursor: usize,
    frame: &mut Frame<'_>,
    area: Rect,
    y: usize,
) {
    let Some(bucket) = histogram.buckets.get(cursor) else {
        return;
    };
    let from = histogram.from + histogram.bucket_us * i64::try_from(cursor).unwrap_or(0);
    let counts: Vec<String> = WORDS
        .iter()
        .zip(bucket)
        .filter(|(_, count)| **count > 0)
        .map(|((word, symbol), count)| format!("{symbol} {count} {word}"))
        .collect();
    let counts = if counts.is_empty() {
        "nothing".to_owned()
    } else {
        counts.join(", ")
    };
    let text = format!(
        "{} for {}: {counts}",
        app.clock.show(from),
        lasting(histogram.bucket_us)
    );
    put(
        frame,
        line_of(area, y),
        0,
        &text,
        app.theme.look(Look::Bold),
    );
    // The longest that fits: a mark that is not explained is worse than one that is explained in a word.
    let width = usize::from(area.width);
    let fits = |legend: &&&str| clean::columns(legend) <= width;
    let legend = LEGENDS.iter().find(fits).unwrap_or(&LEGENDS[1]);
    put(
        frame,
        line_of(area, y + 1),
        0,
        legend,
        app.theme.look(Look::Dim),
    );
}

/// Returns the SQL behind the bars.
pub fn sql(app: &App) -> String {
    let (from, bucket) = app
        .timeline
        .histogram
        .as_ref()
        .map_or((0, 1), |histogram| (histogram.from, histogram.bucket_us));
    let place = format!("({TIME} - {from}) // {bucket}");
    format!(
        "SELECT {place} AS bucket, outcome, COUNT(*) AS n\n{}\nGROUP BY {place}, outcome\nORDER BY bucket, outcome",
        app.chips.sql()
    )
}
