//! The tabs, and which keys mean something where.

/// The views that number keys lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tab {
    /// What the log is, and where to start.
    Overview,
    /// Findings.
    Findings,
    /// Rows over time.
    Timeline,
    /// Events or requests.
    Events,
    /// Values of fields.
    Facets,
    /// Credentials.
    Credentials,
    /// Saved questions.
    Questions,
    /// Free SQL.
    Sql,
    /// Notes, bookmarks, the story.
    Case,
    /// What is read.
    Ingest,
}

impl Tab {
    /// All tabs, in the order of their keys.
    pub const ALL: [Self; 10] = [
        Self::Overview,
        Self::Findings,
        Self::Timeline,
        Self::Events,
        Self::Facets,
        Self::Credentials,
        Self::Questions,
        Self::Sql,
        Self::Case,
        Self::Ingest,
    ];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Findings => "Findings",
            Self::Timeline => "Timeline",
            Self::Events => "Events",
            Self::Facets => "Facets",
            Self::Credentials => "Credentials",
            Self::Questions => "Questions",
            Self::Sql => "SQL",
            Self::Case => "Case",
            Self::Ingest => "Ingest",
        }
    }
}

/// What keys are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Context {
    /// A page of text with links.
    Page,
    /// A list that a page shows the beginning of.
    List,
    /// The list of findings.
    Findings,
    /// Values of what findings have.
    FindingFacets,
    /// The histogram.
    Timeline,
    /// The table of events.
    Events,
    /// The JSON beside it.
    Json,
    /// Values of fields.
    Facets,
    /// The list of credentials.
    Credentials,
    /// The list of questions.
    Questions,
    /// Rows of an answer.
    Answer,
    /// A text that is edited.
    Editor,
    /// The case.
    Case,
}

impl Context {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Page,
        Self::List,
        Self::Findings,
        Self::FindingFacets,
        Self::Timeline,
        Self::Events,
        Self::Json,
        Self::Facets,
        Self::Credentials,
        Self::Questions,
        Self::Answer,
        Self::Editor,
        Self::Case,
    ];

    /// Returns its name, for the help page.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Page => "pages",
            Self::List => "whole lists",
            Self::Findings => "findings",
            Self::FindingFacets => "facets of findings",
            Self::Timeline => "timeline",
            Self::Events => "events",
            Self::Json => "JSON",
            Self::Facets => "facets",
            Self::Credentials => "credentials",
            Self::Questions => "questions",
            Self::Answer => "answers",
            Self::Editor => "SQL editor",
            Self::Case => "case",
        }
    }
}
