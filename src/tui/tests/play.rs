//! A browser that is played: its workers answer at once, or when they are told to.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_width::UnicodeWidthStr as _;

use super::log::Log;
use crate::case::Case;
use crate::pipeline::Position;
use crate::query::Questions;
use crate::report::clean;
use crate::source::ReadOptions;
use crate::store::Usage;
use crate::tui::app::{App, Start};
use crate::tui::card::Progress;
use crate::tui::theme::Theme;
use crate::tui::update::{Effect, Event, News, update};
use crate::tui::view;
use crate::tui::work::{Done, Job, Outcome, Task};
use crate::tui::worker::{Desk, set};

/// Now, for all tests: a while after the recordings.
pub(crate) const NOW: i64 = 1_795_400_000_000_000;

static QUESTIONS: LazyLock<Questions> = LazyLock::new(|| Questions::embedded().unwrap());

/// A browser that is played.
pub(crate) struct Play {
    pub(crate) app: App,
    pub(crate) desk: Desk,
    /// Jobs that nobody has done yet; `None` does them at once.
    pub(crate) held: Option<Vec<Job>>,
    /// What went to the clipboard.
    pub(crate) copied: Vec<String>,
    /// Whether the program would have ended.
    pub(crate) has_quit: bool,
    /// Whether SQL is answered, which takes long.
    pub(crate) answers_sql: bool,
    pub(crate) now: i64,
    /// Files are written here only.
    pub(crate) folder: tempfile::TempDir,
    terminal: Terminal<TestBackend>,
}

impl Play {
    /// Begins with a log that is read.
    pub(crate) fn new(log: &Log, width: u16, height: u16) -> Self {
        let mut play = Self::unread(log, width, height);
        play.finish(log);
        play
    }

    /// Begins before anything is known of a log.
    pub(crate) fn unread(log: &Log, width: u16, height: u16) -> Self {
        Self::with_case(log, Case::in_memory().unwrap(), None, (width, height))
    }

    /// Begins so with a case.
    pub(crate) fn with_case(
        log: &Log,
        case: Case,
        case_folder: Option<PathBuf>,
        (width, height): (u16, u16),
    ) -> Self {
        let app = App::new(Start {
            case,
            case_folder,
            questions: QUESTIONS.clone(),
            theme: Theme::Dark,
            is_ascii: false,
            has_mouse: false,
            size: (width, height),
        });
        let desk = Desk::new(log.store.clone(), ReadOptions::default());
        set(&desk.files, log.files.clone());
        Self {
            app,
            desk,
            held: None,
            copied: Vec::new(),
            has_quit: false,
            answers_sql: true,
            now: NOW,
            folder: tempfile::tempdir().unwrap(),
            terminal: Terminal::new(TestBackend::new(width, height)).unwrap(),
        }
    }

    /// Tells that the log is read.
    pub(crate) fn finish(&mut self, log: &Log) {
        set(&self.desk.results, log.results.clone());
        set(
            &self.desk.progress,
            Progress {
                is_done: true,
                ..Progress::default()
            },
        );
        self.event(Event::News(News::Files(
            log.files.keys().cloned().collect(),
        )));
        self.progress(self.desk.usage().rows);
        let news = News::Finished(log.results.clone(), Vec::new());
        self.event(Event::News(news));
    }

    /// Tells that so many events are kept; bytes are made up, so that screens are the same everywhere.
    pub(crate) fn progress(&mut self, rows: u64) {
        let usage = Usage {
            rows,
            memory_bytes: 12_345_678,
            limit_bytes: 2_000_000_000,
            spilled_rows: 0,
        };
        let position = Position {
            read_bytes: 500,
            total_bytes: 1000,
            events: rows,
            findings: 0,
        };
        self.event(Event::News(News::Progress(position, usage)));
    }

    /// Lets something happen, and does what comes of it.
    pub(crate) fn event(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let clock = self.app.clock;
            let effects = update(&mut self.app, event, self.now);
            if self.app.clock != clock {
                set(&self.desk.clock, self.app.clock);
            }
            for effect in effects {
                match effect {
                    Effect::Work(job) => match &mut self.held {
                        Some(held) => held.push(job),
                        None => events.extend(self.answer(job)),
                    },
                    Effect::Copy(text) => self.copied.push(text),
                    Effect::Quit => self.has_quit = true,
                    Effect::Remove(_) | Effect::Redraw | Effect::Mouse(_) | Effect::Suspend => {}
                }
            }
        }
    }

    /// Does a job, as a worker that was not stopped in time.
    pub(crate) fn answer(&self, job: Job) -> Option<Event> {
        let file = job.task.file().map(PathBuf::from);
        let outside = file.filter(|path| !path.starts_with(self.folder.path()));
        let result = match job.task {
            _ if outside.is_some() => Ok(outside.map(|path| Outcome::Written(path, 0))),
            Task::Sql(_) | Task::Question(..) if !self.answers_sql => Err("not today".to_owned()),
            task => self.desk.task(task, &AtomicBool::new(false)),
        };
        let number = job.number;
        let result = result.transpose()?;
        Some(Event::Done(Done { number, result }))
    }

    /// Answers the jobs that are held back, in the order that `choose` gives: a place among so many.
    pub(crate) fn release(&mut self, mut choose: impl FnMut(usize) -> usize) {
        while let Some(held) = self.held.as_mut().filter(|held| !held.is_empty()) {
            let job = held.remove(choose(held.len()));
            if let Some(event) = self.answer(job) {
                self.event(event);
            }
        }
    }

    /// Presses keys: characters as they stand, others as `<Enter>`, `<C-r>` or `<lt>`.
    #[track_caller]
    pub(crate) fn keys(&mut self, keys: &str) -> &mut Self {
        let mut rest = keys;
        while let Some(c) = rest.chars().next() {
            let name = rest.strip_prefix('<').and_then(|rest| rest.split_once('>'));
            let key = if let Some((name, behind)) = name {
                rest = behind;
                named(name)
            } else {
                rest = &rest[c.len_utf8()..];
                KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)
            };
            self.event(Event::Key(key));
        }
        self
    }

    pub(crate) fn resize(&mut self, width: u16, height: u16) {
        self.terminal.backend_mut().resize(width, height);
        self.event(Event::Resize(width, height));
    }

    /// Draws the screen.
    pub(crate) fn draw(&mut self) -> Buffer {
        let app = &self.app;
        let drawn = self.terminal.draw(|frame| view::draw(app, frame)).unwrap();
        drawn.buffer.clone()
    }

    /// Returns the screen as lines.
    pub(crate) fn screen(&mut self) -> String {
        let buffer = self.draw();
        check_cells(&buffer);
        lines(&buffer)
    }

    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) {
        let screen = self.screen();
        assert!(screen.contains(text), "no `{text}` in\n{screen}");
    }

    #[track_caller]
    pub(crate) fn hides(&mut self, text: &str) {
        let screen = self.screen();
        assert!(!screen.contains(text), "`{text}` in\n{screen}");
    }
}

#[track_caller]
fn named(name: &str) -> KeyEvent {
    if let Some(c) = name.strip_prefix("C-").and_then(|name| name.chars().next()) {
        return KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
    }
    let code = match name {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" => KeyCode::Tab,
        "BackTab" => KeyCode::BackTab,
        "Back" => KeyCode::Backspace,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "PgDn" => KeyCode::PageDown,
        "lt" => KeyCode::Char('<'),
        other => panic!("no key is called {other}"),
    };
    KeyEvent::new(code, KeyModifiers::NONE)
}

/// Returns a screen as lines without blanks at their ends.
pub(crate) fn lines(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += u16::try_from(symbol.width()).unwrap().max(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Asserts that nothing on the screen acts, hides, or takes other columns than it was given.
#[track_caller]
pub(crate) fn check_cells(buffer: &Buffer) {
    let width = usize::from(buffer.area.width);
    for (at, cell) in buffer.content.iter().enumerate() {
        let symbol = cell.symbol();
        if symbol.len() == 1 && matches!(symbol.as_bytes()[0], b' '..=b'~') {
            continue;
        }
        let marks = symbol.chars().count();
        assert!(marks <= 1 + clean::MAX_MARKS, "{symbol:?}");
        assert!(!symbol.chars().any(clean::is_hidden), "{symbol:?}");
        let columns = symbol.width();
        assert!(columns > 0, "{symbol:?}");
        assert!(at % width + columns <= width, "{symbol:?} has no room");
        let others = &buffer.content[at + 1..at + columns];
        let is_free = others.iter().all(|cell| cell.symbol() == " ");
        assert!(is_free, "{symbol:?} has no room");
    }
}

/// Numbers that are the same each time (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % end.max(1)
    }

    pub(crate) fn small(&mut self, from: u16, to: u16) -> u16 {
        from + u16::try_from(self.below(usize::from(to - from) + 1)).unwrap()
    }

    pub(crate) fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}
