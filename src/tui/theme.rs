//! Themes: how things look. No color says anything that a letter or a word does not say, too.

use ratatui::style::{Color, Modifier, Style};

use super::document::Look;
use crate::finding::Severity;

/// The themes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Theme {
    /// For dark terminals.
    #[default]
    Dark,
    /// For light ones.
    Light,
    /// Few colors, far apart, also for eyes that tell some of them badly.
    Contrast,
    /// None: bold, underlined and reversed only (<https://no-color.org>).
    Plain,
}

impl Theme {
    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Contrast => "high contrast",
            Self::Plain => "no color",
        }
    }

    /// Returns the theme of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Dark, Self::Light, Self::Contrast]
            .into_iter()
            .find(|theme| theme.name() == name)
    }

    /// Returns the next one; who wants no color is left alone.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Contrast,
            Self::Contrast => Self::Dark,
            Self::Plain => Self::Plain,
        }
    }

    /// Returns the style of a look.
    pub fn look(self, look: Look) -> Style {
        let style = Style::new();
        match (look, self) {
            (Look::Plain, _) => style,
            (Look::Bold, _) => style.add_modifier(Modifier::BOLD),
            (Look::Heading, Self::Plain) => {
                style.add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
            }
            (Look::Heading, Self::Contrast) => style.fg(Color::White).add_modifier(Modifier::BOLD),
            (Look::Heading, Self::Light) => style.fg(Color::Blue).add_modifier(Modifier::BOLD),
            (Look::Heading, Self::Dark) => style.fg(Color::Cyan).add_modifier(Modifier::BOLD),
            (Look::Dim, Self::Plain | Self::Contrast) => style,
            (Look::Dim, Self::Light) => style.fg(Color::DarkGray),
            (Look::Dim, Self::Dark) => style.fg(Color::Gray).add_modifier(Modifier::DIM),
            (Look::Severity(severity), theme) => theme.severity(severity),
            (Look::Bad, Self::Plain) => style.add_modifier(Modifier::BOLD),
            (Look::Bad, Self::Contrast) => style.fg(Color::Yellow).add_modifier(Modifier::BOLD),
            (Look::Bad, _) => style.fg(Color::Red),
            (Look::Good, Self::Plain) => style,
            (Look::Good, Self::Contrast) => style.fg(Color::Cyan),
            (Look::Good, _) => style.fg(Color::Green),
        }
    }

    /// Returns the style of a severity.
    pub fn severity(self, severity: Severity) -> Style {
        let style = Style::new();
        let bold = style.add_modifier(Modifier::BOLD);
        match (severity, self) {
            (Severity::Critical, Self::Plain) => {
                style.add_modifier(Modifier::BOLD | Modifier::REVERSED)
            }
            (Severity::High, Self::Plain) => bold,
            (_, Self::Plain) => style,
            (Severity::Critical, Self::Contrast) => bold.fg(Color::Black).bg(Color::Yellow),
            (Severity::High, Self::Contrast) => bold.fg(Color::Yellow),
            (Severity::Medium, Self::Contrast) => bold.fg(Color::White),
            (_, Self::Contrast) => style,
            (Severity::Critical, _) => bold.fg(Color::White).bg(Color::Red),
            (Severity::High, _) => bold.fg(Color::Red),
            (Severity::Medium, Self::Light) => style.fg(Color::Magenta),
            (Severity::Medium, _) => style.fg(Color::Yellow),
            (Severity::Low, _) => style.fg(Color::Blue),
            (Severity::Informational, Self::Light) => style.fg(Color::DarkGray),
            (Severity::Informational, _) => style.fg(Color::Gray),
        }
    }

    /// Returns the style of a link.
    pub fn link(self) -> Style {
        Style::new().add_modifier(Modifier::UNDERLINED)
    }

    /// Returns the style of what the cursor is on.
    pub fn cursor(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Returns the style of the line that the cursor is in.
    pub fn row(self) -> Style {
        match self {
            Self::Dark => Style::new().bg(Color::Indexed(237)),
            Self::Light => Style::new().bg(Color::Indexed(254)),
            Self::Contrast | Self::Plain => Style::new().add_modifier(Modifier::BOLD),
        }
    }

    /// Returns the style of bars: titles and footers.
    pub fn bar(self) -> Style {
        match self {
            Self::Dark => Style::new().fg(Color::White).bg(Color::Indexed(24)),
            Self::Light => Style::new().fg(Color::White).bg(Color::Indexed(25)),
            Self::Contrast => Style::new().fg(Color::Black).bg(Color::White),
            Self::Plain => Style::new().add_modifier(Modifier::REVERSED),
        }
    }
}

/// Returns the letter of a severity.
pub const fn letter(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "C",
        Severity::High => "H",
        Severity::Medium => "M",
        Severity::Low => "L",
        Severity::Informational => "I",
    }
}
