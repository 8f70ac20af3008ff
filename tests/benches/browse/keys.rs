//! From a key to the frame that answers it: the state, the drawing and real workers, without a terminal.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kubescry::case::Case;
use kubescry::query::Questions;
use kubescry::source::ReadOptions;
use kubescry::store::Store;
use kubescry::store::filter::{Filter, Rows, Test};
use kubescry::store::sort::Order;
use kubescry::tui::app::{App, Start};
use kubescry::tui::theme::Theme;
use kubescry::tui::update::{Effect, Event, update};
use kubescry::tui::view;
use kubescry::tui::work::{Job, Task, Ticket};
use kubescry::tui::worker::Desk;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Columns and lines.
const SIZE: (u16, u16) = (200, 60);

/// Threads that do jobs, as in the browser.
const WORKERS: usize = 3;

/// The browser without a terminal.
pub(crate) struct Browser {
    app: App,
    terminal: Terminal<TestBackend>,
    jobs: Sender<Job>,
    inbox: Receiver<Event>,
    /// From nothing to the first frame.
    pub(crate) first_frame: Duration,
}

/// Times of many keys.
pub(crate) struct Latency(Vec<Duration>);

impl Latency {
    /// Returns the time that this share of keys does not exceed.
    pub(crate) fn at(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            reason = "a share of a length"
        )]
        let at = (self.0.len() as f64 * share) as usize;
        self.0[at.min(self.0.len() - 1)]
    }
}

impl Browser {
    /// Starts it over the events of `store`, all of which are read.
    pub(crate) fn start(store: &Store) -> Self {
        let start = Instant::now();
        let mut app = App::new(Start {
            case: Case::in_memory().expect("memory"),
            case_folder: None,
            questions: Questions::embedded().expect("the embedded questions are good"),
            theme: Theme::default(),
            is_ascii: false,
            has_mouse: false,
            size: SIZE,
        });
        let mut terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1)).expect("memory");
        terminal
            .draw(|frame| view::draw(&app, frame))
            .expect("memory");
        let first_frame = start.elapsed();
        app.reading.is_done = true;
        let desk = Arc::new(Desk::new(store.clone(), ReadOptions::default()));
        let (jobs, queue) = channel();
        let (events, inbox) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..WORKERS {
            let (desk, queue, events) = (Arc::clone(&desk), Arc::clone(&queue), events.clone());
            std::thread::spawn(move || desk.work(&queue, &events));
        }
        Self {
            app,
            terminal,
            jobs,
            inbox,
            first_frame,
        }
    }

    fn take(&mut self, event: Event) {
        for effect in update(&mut self.app, event, 0) {
            if let Effect::Work(job) = effect {
                self.jobs.send(job).expect("workers wait");
            }
        }
    }

    fn draw(&mut self) {
        self.terminal
            .draw(|frame| view::draw(&self.app, frame))
            .expect("memory");
    }

    /// Takes in what workers have sent.
    fn receive(&mut self) {
        while let Ok(event) = self.inbox.try_recv() {
            self.take(event);
        }
    }

    fn key(&mut self, code: KeyCode) -> Duration {
        let start = Instant::now();
        self.take(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        self.receive();
        self.draw();
        start.elapsed()
    }

    /// Opens the table of events; returns how long its rows took, and how many there are.
    pub(crate) fn open_events(&mut self) -> (Duration, usize) {
        let start = Instant::now();
        self.key(KeyCode::Char('4'));
        while self.app.events.cells.rows.is_empty() {
            let event = self.inbox.recv().expect("workers answer");
            self.take(event);
        }
        self.draw();
        (start.elapsed(), self.app.events.rows.len())
    }

    /// Goes through the table by lines and screens, with a break between keys as a held key makes it.
    pub(crate) fn scroll(&mut self, n_keys: usize) -> Latency {
        let mut times = Vec::with_capacity(n_keys);
        for number in 0..n_keys {
            let code = match number % 100 {
                99 => KeyCode::End,
                49 => KeyCode::Home,
                number if number % 3 == 0 => KeyCode::PageDown,
                _ => KeyCode::Down,
            };
            times.push(self.key(code));
            // What comes in between is drawn, too, as the loop of the browser does it.
            let next = Instant::now() + Duration::from_millis(3);
            while let Ok(event) = self
                .inbox
                .recv_timeout(next.saturating_duration_since(Instant::now()))
            {
                self.take(event);
            }
        }
        times.sort_unstable();
        Latency(times)
    }

    /// The same while workers filter and sort; returns the times and how many filters were done.
    pub(crate) fn scroll_while_filtering(&mut self, n_keys: usize) -> (Latency, usize) {
        let mut running: Vec<Ticket> = Vec::new();
        let mut filters = 0;
        let mut times = Vec::new();
        for part in 0..n_keys.div_ceil(50) {
            // A new filter takes the place of the last one, as if somebody typed.
            let pattern = format!("secrets|(?i)CONFIG.*{}", part % 10);
            let filter = Filter {
                rows: Rows::Events,
                tests: vec![Test::Search(
                    regex::Regex::new(&pattern).expect("a pattern"),
                )],
            };
            let task = Task::Rows {
                filter,
                order: Order::default(),
                keep: None,
                seek: None,
            };
            let (ticket, job) = self.app.tickets.issue(task);
            self.jobs.send(job).expect("workers wait");
            running = vec![ticket];
            filters += 1;
            times.extend(self.scroll(50.min(n_keys)).0);
        }
        drop(running);
        times.sort_unstable();
        (Latency(times), filters)
    }
}
