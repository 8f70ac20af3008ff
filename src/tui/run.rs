//! Running: threads, the loop, and what comes before the first screen.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ratatui::crossterm::event;
#[cfg(unix)]
use ratatui::crossterm::terminal;

use super::app::{App, Start};
use super::clock::now;
use super::ingest;
use super::terminal::Screen;
use super::theme::Theme;
use super::update::{Effect, Event, News, update};
use super::work::Job;
use super::worker::{Desk, Missing, set};
use crate::case::{Case, CaseError};
use crate::detect::CompiledRules;
use crate::frame::Vocabulary;
use crate::pipeline;
use crate::query::Questions;
use crate::rules::RuleSet;
use crate::store::{Limits, Store};

/// Threads that do jobs: a slow one must not keep the cells of the next screen waiting.
const WORKERS: usize = 3;

/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(200);

/// Shortest time between two screens.
const FRAME: Duration = Duration::from_millis(16);

/// How the browser runs.
pub struct Options {
    /// How logs are read.
    pub pipeline: pipeline::Options,
    /// Rules, if they are not the embedded ones.
    pub rules: Option<(RuleSet, CompiledRules)>,
    /// Saved questions.
    pub questions: Questions,
    /// The folder of the case.
    pub case: Option<PathBuf>,
    /// Bytes that kept events may take in memory.
    pub memory_bytes: usize,
    /// How things look, if that is asked for.
    pub theme: Option<Theme>,
    /// Whether only ASCII is drawn.
    pub is_ascii: bool,
    /// Whether the mouse is caught.
    pub has_mouse: bool,
    /// When the program started, to tell how long the first screen took.
    pub started: Instant,
}

/// How it went.
#[derive(Debug, Default)]
pub struct Report {
    /// How long the first screen took.
    pub first_frame: Duration,
    /// Whether a thread panicked.
    pub has_panicked: bool,
    /// What was not read; nothing if the user left before the end, or the case knew all.
    pub missing: Option<Missing>,
}

/// Why the browser cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The case cannot be opened.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// The terminal refuses.
    #[error("cannot use the terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// Runs the browser until the user leaves.
///
/// # Errors
/// When the case or the terminal cannot be used.
pub fn run(options: Options) -> Result<Report, RunError> {
    let case = match &options.case {
        Some(folder) => Case::open(folder)?,
        None => Case::in_memory()?,
    };
    let (events, inbox) = channel();
    // Before the terminal is taken: it has to be given back whenever a signal comes.
    #[cfg(unix)]
    signals(events.clone())?;
    let mut screen = {
        let events = events.clone();
        Screen::take(options.has_mouse, move || drop(events.send(Event::Ended)))?
    };
    let saved = case
        .view("theme")
        .and_then(|name| Theme::by_name(name.trim_matches('"')));
    let mut app = App::new(Start {
        case_folder: options.case.clone(),
        questions: options.questions,
        theme: options.theme.or(saved).unwrap_or_default(),
        is_ascii: options.is_ascii,
        has_mouse: options.has_mouse,
        size: screen.size()?,
        case,
    });
    screen.draw(&app)?;
    let first_frame = options.started.elapsed();
    let (jobs, queue) = channel();
    let empty = Store::new(&Vocabulary::new(), Limits::default());
    let desk = Arc::new(Desk::new(empty, options.pipeline.read.clone()));
    threads(&desk, &events, queue);
    let monitor = options.pipeline.monitor.clone();
    {
        let (desk, events) = (Arc::clone(&desk), events.clone());
        let known = ingest::Known::of(&app.case);
        let plan = ingest::Plan {
            pipeline: options.pipeline,
            rules: options.rules,
            case: options.case,
            memory_bytes: options.memory_bytes,
        };
        std::thread::spawn(move || ingest::read(plan, &known, &desk, &events));
    }
    let mut turn = Turn {
        screen,
        app: &mut app,
        jobs,
        inbox,
        desk: &desk,
        monitor: &monitor,
        removing: None,
    };
    let result = turn.turn();
    monitor.stop();
    let removing = turn.removing.take();
    drop(turn);
    // Threads may still read or write: they end with the program, and nobody waits for them.
    desk.close();
    if let Some(removing) = removing {
        let _ = removing.join();
    }
    // What could not be saved is tried once more when the case goes.
    drop(app);
    result?;
    Ok(Report {
        first_frame,
        has_panicked: Screen::has_panicked(),
        missing: desk.missing(),
    })
}

/// Starts the threads that do jobs and wait for keys.
fn threads(desk: &Arc<Desk>, events: &Sender<Event>, queue: Receiver<Job>) {
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..WORKERS {
        let (desk, queue, events) = (Arc::clone(desk), Arc::clone(&queue), events.clone());
        std::thread::spawn(move || desk.work(&queue, &events));
    }
    #[cfg(unix)]
    hang_up(events.clone());
    let keys = events.clone();
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let event = match event {
                event::Event::Key(key) => Event::Key(key),
                event::Event::Paste(text) => Event::Paste(text),
                event::Event::Mouse(mouse) => Event::Mouse(mouse),
                // The signal tells us.
                event::Event::Resize(..) if cfg!(unix) => continue,
                event::Event::Resize(width, height) => Event::Resize(width, height),
                event::Event::FocusGained | event::Event::FocusLost => continue,
            };
            if keys.send(event).is_err() {
                return;
            }
        }
        // The terminal is gone, and without keys nobody could leave.
        let _ = keys.send(Event::Ended);
    });
}

/// Waits until the terminal is gone, without which nobody could leave.
///
/// Its signal comes to those only whose session the terminal is of, and crossterm takes the end of a terminal for a
/// read that gave nothing, which it tries again and again.
#[cfg(unix)]
fn hang_up(events: Sender<Event>) {
    use std::os::fd::AsFd as _;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    std::thread::spawn(move || {
        let out = io::stdout();
        // Asked for nothing, the system still tells of this.
        let mut terminal = [PollFd::new(out.as_fd(), PollFlags::empty())];
        while poll(&mut terminal, PollTimeout::NONE) == Err(nix::errno::Errno::EINTR) {}
        let told = terminal[0].revents();
        if told.is_some_and(|told| told.contains(PollFlags::POLLHUP)) {
            let _ = events.send(Event::Ended);
        }
    });
}

/// Turns signals into events: of those that end the program, so that the terminal is given back, and of the size.
///
/// crossterm must not see the signal of the size: it polls for edges and takes one of two that come together, so that a
/// key of that moment would wait for the next one, or the size for the next size. Threads that start from here on keep
/// the signal from all handlers, and one of them waits for it.
#[cfg(unix)]
fn signals(events: Sender<Event>) -> io::Result<()> {
    use nix::sys::signal::{SigSet, Signal};
    use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};
    let resized = SigSet::from(Signal::SIGWINCH);
    resized.thread_block()?;
    let mut signals = signal_hook::iterator::Signals::new([SIGTERM, SIGHUP, SIGINT, SIGCONT])?;
    let ends = events.clone();
    std::thread::spawn(move || {
        for signal in &mut signals {
            let event = match signal {
                SIGCONT => Event::Continued,
                _ => Event::Ended,
            };
            if ends.send(event).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        while resized.wait().is_ok() {
            let Ok((width, height)) = terminal::size() else {
                continue;
            };
            if events.send(Event::Resize(width, height)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// The loop.
struct Turn<'a> {
    screen: Screen,
    app: &'a mut App,
    jobs: Sender<Job>,
    inbox: Receiver<Event>,
    desk: &'a Desk,
    monitor: &'a pipeline::Monitor,
    /// Removes what is of no use any more; happens once.
    removing: Option<JoinHandle<()>>,
}

impl Turn<'_> {
    /// Waits for events, and draws what comes of them, until the user leaves.
    fn turn(&mut self) -> io::Result<()> {
        let mut next_tick = Instant::now();
        let mut drawn = Instant::now();
        let mut is_dirty = true;
        loop {
            if Screen::has_panicked() {
                return Ok(());
            }
            // While nothing happens and nothing is read, nobody wakes up.
            let until = if is_dirty {
                drawn + FRAME
            } else if self.app.reading.is_done {
                Instant::now() + TICK * 50
            } else {
                next_tick
            };
            match self
                .inbox
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(event) => {
                    is_dirty = true;
                    if self.take(event)? {
                        return Ok(());
                    }
                    // A key is drawn at once; what comes in crowds is drawn together.
                    if drawn.elapsed() < FRAME {
                        continue;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if !self.app.reading.is_done && Instant::now() >= next_tick {
                next_tick = Instant::now() + TICK;
                is_dirty |= self.tick();
            }
            if is_dirty && drawn.elapsed() >= FRAME {
                self.screen.draw(self.app)?;
                drawn = Instant::now();
                is_dirty = false;
            }
        }
    }

    /// Looks how far reading has come; returns whether that is news.
    fn tick(&mut self) -> bool {
        let position = self.monitor.position();
        let store = self.desk.usage();
        let reading = &self.app.reading;
        let is_new = reading.position != Some(position)
            || reading.usage != store
            || reading.is_behind(now());
        if is_new {
            self.desk.progressed(position);
            // Progress asks for rows at most, and never ends anything.
            let _ = self.take(Event::News(News::Progress(position, store)));
        }
        is_new
    }

    /// Takes in an event; returns whether the program ends.
    fn take(&mut self, event: Event) -> io::Result<bool> {
        if matches!(event, Event::Ended) {
            return Ok(true);
        }
        if matches!(event, Event::Continued) {
            self.screen.resume()?;
            self.app.size = self.screen.size()?;
        }
        if matches!(event, Event::Resize(..)) {
            // The size may have changed twice and be what it was, but what the screen shows is not.
            self.screen.clear()?;
        }
        if matches!(event, Event::News(News::Finished(..))) {
            // Nobody looks again.
            self.app.reading.usage = self.desk.usage();
        }
        let clock = self.app.clock;
        let effects = update(self.app, event, now());
        if self.app.clock != clock {
            set(&self.desk.clock, self.app.clock);
        }
        for effect in effects {
            match effect {
                // Workers live as long as the program.
                Effect::Work(job) => drop(self.jobs.send(job)),
                Effect::Copy(text) => self.screen.copy(&text)?,
                Effect::Redraw => self.screen.clear()?,
                Effect::Remove(folders) => {
                    // The case knows the new ones now. What is left of the old is only room on the disk.
                    self.desk.kept();
                    self.removing = Some(std::thread::spawn(move || {
                        for folder in folders {
                            drop(std::fs::remove_dir_all(folder));
                        }
                    }));
                }
                Effect::Mouse(has_mouse) => self.screen.mouse(has_mouse)?,
                Effect::Suspend => {
                    self.screen.suspend()?;
                    self.app.size = self.screen.size()?;
                }
                Effect::Quit => return Ok(true),
            }
        }
        Ok(false)
    }
}
