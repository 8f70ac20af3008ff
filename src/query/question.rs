//! Questions: queries that are kept, with parameters, and with what a log must hold to answer them.
//!
//! Comes in: a file of SQL whose first lines are comments of the form `-- key: value`.
//!
//! ```sql
//! -- title: Who deleted or changed this object?
//! -- group: changes
//! -- parameter: resource text = deployments | plural name of the resource
//! -- needs: is_mutating | changes: no request that changes anything is in the log
//! -- read: The newest row comes first.
//! -- next: object-history
//! SELECT ts, username, verb FROM requests WHERE resource = $resource ORDER BY ts DESC
//! ```
//!
//! `-- one of: a b` names parameters that may be empty, but not all of them at once.

use std::fmt;
use std::path::Path;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use include_dir::{Dir, include_dir};

use super::bind::{Value, bind, compared, literal, parameters};
use crate::finding::words::unit_ms;

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/queries/questions");

/// All questions, by group, then by name.
#[derive(Debug, Clone)]
pub struct Questions(Vec<Question>);

/// A query that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Name, in kebab case; that of its file.
    pub name: String,
    /// The question, in a sentence.
    pub title: String,
    /// What it is about; one of [`GROUPS`].
    pub group: String,
    /// What it must be told.
    pub parameters: Vec<Parameter>,
    /// Names of the parameters of which one at least must not be empty.
    pub one_of: Vec<String>,
    /// What a log must hold.
    pub needs: Vec<Need>,
    /// How the answer is read, and what deceives.
    pub read: String,
    /// ATT&CK techniques.
    pub attack: Vec<String>,
    /// Names of the questions that one asks next.
    pub next: Vec<String>,
    /// The query.
    pub sql: String,
}

/// What questions are about, in the order of the list.
pub const GROUPS: [(&str, &str); 7] = [
    ("changes", "Somebody changed something"),
    ("identity", "An identity under suspicion"),
    ("secrets", "Secrets and tokens"),
    ("attack", "Probing and attack"),
    ("aftermath", "After the first finding"),
    ("coverage", "What the log can answer"),
    ("platform", "For the platform team"),
];

/// A parameter of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it may be.
    pub kind: ParameterKind,
    /// Its value if nobody gives one; `None` must be given.
    pub default: Option<String>,
    /// What it means.
    pub meaning: String,
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// Any text.
    Text,
    /// A whole number, 0 or more.
    Number,
    /// A time: RFC 3339, a date, or `first` and `last` of the log; becomes milliseconds.
    Time,
    /// A length of time, such as `90s`, `5m`, `1h` or `7d`; becomes milliseconds.
    Duration,
}

/// What a log must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// A condition that some event must meet.
    pub condition: String,
    /// What is missing if none does.
    pub lack: String,
}

/// What is wrong with a question or with what it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct QuestionError {
    /// What is wrong.
    pub what: String,
    /// What to try.
    pub hint: Option<String>,
}

impl QuestionError {
    fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: None,
        }
    }
}

/// Questions that could be read, and what is wrong with the others.
#[derive(Debug)]
pub struct Loaded {
    /// Those of the program and of the folders.
    pub questions: Questions,
    /// How many files of questions the folders have.
    pub n_files: usize,
    /// The names of those that are wrong, with what is.
    pub bad: Vec<(String, QuestionError)>,
}

/// Returns the name of the question in a file.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// The beginning and the end of a log in milliseconds, the end behind its last event.
pub type Span = (i64, i64);

impl Questions {
    /// Returns the questions of the program.
    ///
    /// # Errors
    /// When a file is malformed.
    pub fn embedded() -> Result<Self, QuestionError> {
        let mut questions = FILES
            .files()
            .filter(|file| file.path().extension().is_some_and(|end| end == "sql"))
            .map(|file| {
                let text = file.contents_utf8().unwrap_or_default();
                Question::parse(file.path(), text)
            })
            .collect::<Result<Vec<_>, _>>()?;
        sort(&mut questions);
        Ok(Self(questions))
    }

    /// Returns the questions of the program and those of `DIR/questions/*.sql` for each of `folders`; a later one takes
    /// the place of an earlier one of its name.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn with_folders(folders: &[impl AsRef<Path>]) -> Result<Loaded, QuestionError> {
        let Self(mut questions) = Self::embedded()?;
        let (mut bad, mut n_files) = (Vec::new(), 0);
        let folders = folders
            .iter()
            .map(|folder| folder.as_ref().join("questions"));
        for folder in folders {
            // A folder of rules need not have questions.
            if !folder.is_dir() {
                continue;
            }
            let unread = |path: &Path, cause: std::io::Error| {
                QuestionError::new(format!("cannot read `{}`: {cause}", path.display()))
            };
            let entries = std::fs::read_dir(&folder).map_err(|cause| unread(&folder, cause))?;
            let paths = entries
                .map(|entry| Ok(entry?.path()))
                .collect::<std::io::Result<Vec<_>>>();
            let mut paths = paths.map_err(|cause| unread(&folder, cause))?;
            paths.retain(|path| path.extension().is_some_and(|end| end == "sql"));
            paths.sort();
            n_files += paths.len();
            for path in paths {
                let text = std::fs::read_to_string(&path).map_err(|cause| unread(&path, cause));
                match text.and_then(|text| Question::parse(&path, &text)) {
                    Ok(question) => {
                        questions.retain(|known| known.name != question.name);
                        questions.push(question);
                    }
                    Err(error) => bad.push((name_of(&path), error)),
                }
            }
        }
        sort(&mut questions);
        Ok(Loaded {
            questions: Self(questions),
            n_files,
            bad,
        })
    }

    /// Returns them.
    pub fn all(&self) -> &[Question] {
        &self.0
    }

    /// Returns the question of that name.
    ///
    /// # Errors
    /// When there is none; with the name that is meant, probably.
    pub fn find(&self, name: &str) -> Result<&Question, QuestionError> {
        let found = self.0.iter().find(|question| question.name == name);
        found.ok_or_else(|| {
            let near = self
                .0
                .iter()
                .map(|question| (strsim::jaro_winkler(name, &question.name), &question.name))
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let near = near.filter(|(likeness, _)| *likeness > 0.8);
            QuestionError {
                what: format!("there is no question named `{name}`"),
                hint: Some(match near {
                    Some((_, near)) => format!("did you mean `{near}`?"),
                    None => "`kubescry query` lists them; SQL has more than one word".to_owned(),
                }),
            }
        })
    }
}

/// Puts questions into the order of the list.
fn sort(questions: &mut [Question]) {
    let group = |question: &Question| {
        let mut groups = GROUPS.iter();
        groups.position(|(name, _)| *name == question.group)
    };
    questions.sort_by(|a, b| (group(a), &a.name).cmp(&(group(b), &b.name)));
}

impl Question {
    /// Reads a question from its file.
    ///
    /// # Errors
    /// When a key is unknown, a value malformed, or a parameter in the query not declared or the other way round.
    pub fn parse(path: &Path, text: &str) -> Result<Self, QuestionError> {
        let wrong = |line: usize, what: &str| {
            QuestionError::new(format!("`{}`, line {line}: {what}", path.display()))
        };
        let mut question = Self {
            name: name_of(path),
            title: String::new(),
            group: String::new(),
            parameters: Vec::new(),
            one_of: Vec::new(),
            needs: Vec::new(),
            read: String::new(),
            attack: Vec::new(),
            next: Vec::new(),
            sql: String::new(),
        };
        let mut is_header = true;
        for (number, line) in (1..).zip(text.lines()) {
            let Some(comment) = line.strip_prefix("--").filter(|_| is_header) else {
                is_header = is_header && line.trim().is_empty();
                question.sql.push_str(line);
                question.sql.push('\n');
                continue;
            };
            let (key, value) = comment
                .split_once(':')
                .map(|(key, value)| (key.trim(), value.trim()))
                .ok_or_else(|| wrong(number, "a line of the header is `-- key: value`"))?;
            let words = || value.split_whitespace().map(str::to_owned).collect();
            match key {
                "title" => value.clone_into(&mut question.title),
                "group" => value.clone_into(&mut question.group),
                "read" if question.read.is_empty() => value.clone_into(&mut question.read),
                "read" => question.read.extend([" ", value]),
                "attack" => question.attack = words(),
                "next" => question.next = words(),
                "one of" => question.one_of = words(),
                "parameter" => {
                    let parameter = Parameter::parse(value);
                    question.parameters.push(parameter.ok_or_else(|| {
                        wrong(number, "a parameter is `NAME TYPE [= DEFAULT] | meaning`")
                    })?);
                }
                "needs" => {
                    let (condition, lack) = value
                        .rsplit_once(" | ")
                        .ok_or_else(|| wrong(number, "a need is `condition | what is missing`"))?;
                    question.needs.push(Need {
                        condition: condition.trim().to_owned(),
                        lack: lack.trim().to_owned(),
                    });
                }
                _ => return Err(wrong(number, &format!("unknown key `{key}`"))),
            }
        }
        question.sql = trimmed(&question.sql);
        if question.title.is_empty() {
            return Err(wrong(1, "it has no title: `-- title: ...` is missing"));
        }
        if question.sql.is_empty() {
            return Err(wrong(1, "it has no query"));
        }
        if !GROUPS.iter().any(|(group, _)| *group == question.group) {
            let what = match question.group.as_str() {
                "" => "it has no group".to_owned(),
                group => format!("unknown group `{group}`"),
            };
            let groups = GROUPS.map(|(group, _)| group).join(", ");
            return Err(QuestionError {
                hint: Some(format!(
                    "a line `-- group: NAME` says where it is listed: {groups}"
                )),
                ..wrong(1, &what)
            });
        }
        let used = parameters(&question.sql);
        for name in &used {
            if !question
                .parameters
                .iter()
                .any(|parameter| parameter.name == *name)
            {
                return Err(wrong(1, &format!("`${name}` is not declared")));
            }
        }
        for name in &question.one_of {
            if !used.contains(&&**name) {
                return Err(wrong(1, &format!("`one of` names no parameter: `{name}`")));
            }
        }
        for parameter in &question.parameters {
            if !used.contains(&&*parameter.name) {
                return Err(wrong(1, &format!("`${}` is not used", parameter.name)));
            }
        }
        Ok(question)
    }

    /// Returns what a log must hold for what it is told: what is asked of a column in place of something else needs not be
    /// there.
    pub fn needs(&self, given: &[(String, String)]) -> impl Iterator<Item = &Need> {
        // Conditions that only the defaults of parameters ask for, as `ip_class = 'public'`.
        let compared = compared(&self.sql);
        let others = compared.into_iter().filter_map(|(name, column)| {
            let mut known = self.parameters.iter();
            let default = known.find(|known| known.name == name)?.default.as_ref()?;
            let given = given.iter().rfind(|(known, _)| known == name);
            let is_other = given.is_some_and(|(_, value)| value != default);
            is_other.then(|| format!("{column} = {}", literal(default)))
        });
        let others: Vec<String> = others.collect();
        let needs = self.needs.iter();
        needs.filter(move |need| !others.contains(&need.condition))
    }

    /// Returns whether the time that is asked about, from `from` to `to`, has no part in that of the log.
    pub fn is_beside(&self, given: &[(String, String)], span: Span) -> bool {
        let bound = |name: &str, default: i64| {
            let parameter = self.parameters.iter().find(|known| known.name == name);
            let given = given.iter().rfind(|(known, _)| known == name);
            match (parameter, given) {
                (Some(parameter), Some((_, text))) => match parameter.value(text, span) {
                    Ok(Value::Number(millis)) if parameter.kind == ParameterKind::Time => millis,
                    _ => default,
                },
                _ => default,
            }
        };
        let (from, to) = (bound("from", span.0), bound("to", span.1));
        from.max(span.0) >= to.min(span.1)
    }

    /// Checks that it has the parameters `given`, each once, and that their values are of their kinds.
    ///
    /// # Errors
    /// When one of them is not.
    pub fn check(&self, given: &[(String, String)], span: Span) -> Result<(), QuestionError> {
        for (at, (name, value)) in given.iter().enumerate() {
            let mut parameters = self.parameters.iter();
            let Some(parameter) = parameters.find(|parameter| parameter.name == *name) else {
                let known: Vec<String> = self
                    .parameters
                    .iter()
                    .map(|parameter| format!("`{}`", parameter.name))
                    .collect();
                return Err(QuestionError {
                    what: format!("`{}` has no parameter `{name}`", self.name),
                    hint: Some(if known.is_empty() {
                        "it has none".to_owned()
                    } else {
                        format!("it has {}", known.join(", "))
                    }),
                });
            };
            let mut before = given[..at].iter();
            if let Some((_, other)) = before.find(|(other, _)| other == name) {
                return Err(QuestionError {
                    what: format!("`{name}` is told twice: `{other}` and `{value}`"),
                    hint: Some("a parameter has one value".to_owned()),
                });
            }
            parameter.value(value, span)?;
        }
        Ok(())
    }

    /// Returns the query with its parameters filled in from `given`, else from the defaults.
    ///
    /// # Errors
    /// When a parameter is unknown, told twice, missing or not of its kind.
    pub fn bind(&self, given: &[(String, String)], span: Span) -> Result<String, QuestionError> {
        self.check(given, span)?;
        let (mut values, mut untold) = (Vec::new(), Vec::new());
        for parameter in &self.parameters {
            let given = given.iter().rfind(|(name, _)| *name == parameter.name);
            let text = given.map(|(_, value)| value).or(parameter.default.as_ref());
            match text {
                Some(text) => values.push((&*parameter.name, parameter.value(text, span)?)),
                None => untold.push(parameter),
            }
        }
        if !untold.is_empty() {
            let names = untold.iter().map(|it| format!("`{}`", it.name));
            let names = names.collect::<Vec<_>>().join(", ");
            let hints = untold
                .iter()
                .map(|it| format!("-p {}=VALUE: {}", it.name, it.meaning));
            return Err(QuestionError {
                what: format!("`{}` must be told {names}", self.name),
                hint: Some(hints.collect::<Vec<_>>().join("; ")),
            });
        }
        let value = |name: &str| {
            let found = values.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone())
        };
        let is_told = |name: &String| value(name).is_some_and(|value| !value.is_empty());
        if !self.one_of.is_empty() && !self.one_of.iter().any(is_told) {
            let names: Vec<String> = self.one_of.iter().map(|name| format!("`{name}`")).collect();
            return Err(QuestionError {
                what: format!("`{}` must be told one of {}", self.name, names.join(", ")),
                hint: Some(format!("-p {}=VALUE", self.one_of[0])),
            });
        }
        bind(&self.sql, value).map_err(|name| QuestionError::new(format!("`${name}` is unknown")))
    }
}

impl Parameter {
    fn parse(text: &str) -> Option<Self> {
        let (declared, meaning) = text.split_once('|')?;
        let (declared, default) = match declared.split_once('=') {
            Some((declared, default)) => (declared, Some(default.trim().to_owned())),
            None => (declared, None),
        };
        let mut words = declared.split_whitespace();
        let (name, kind) = (words.next()?, words.next()?);
        let kind = ParameterKind::ALL
            .into_iter()
            .find(|known| known.as_str() == kind)?;
        words.next().is_none().then(|| Self {
            name: name.to_owned(),
            kind,
            default,
            meaning: meaning.trim().to_owned(),
        })
    }

    /// Reads a value.
    ///
    /// # Errors
    /// When it is not of the parameter's kind.
    fn value(&self, text: &str, span: Span) -> Result<Value, QuestionError> {
        let value = match self.kind {
            ParameterKind::Text => Some(Value::Text(text.to_owned())),
            ParameterKind::Number => {
                let number: Option<i64> = text.parse().ok();
                number.filter(|number| *number >= 0).map(Value::Number)
            }
            ParameterKind::Time => match text {
                "first" => Some(Value::Number(span.0)),
                "last" => Some(Value::Number(span.1)),
                text => time(text).map(Value::Number),
            },
            ParameterKind::Duration => duration(text).map(Value::Number),
        };
        value.ok_or_else(|| QuestionError {
            what: format!("`{text}` is no {} for `{}`", self.kind, self.name),
            hint: Some(self.kind.example().to_owned()),
        })
    }
}

impl ParameterKind {
    const ALL: [Self; 4] = [Self::Text, Self::Number, Self::Time, Self::Duration];

    /// Returns the word used in files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Time => "time",
            Self::Duration => "duration",
        }
    }

    const fn example(self) -> &'static str {
        match self {
            Self::Text => "any text",
            Self::Number => "a whole number, such as 10",
            Self::Time => "such as 2026-11-22, 2026-11-22T05:01:02Z, `first` or `last`",
            Self::Duration => "such as 90s, 5m, 1h or 7d",
        }
    }
}

impl fmt::Display for ParameterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Returns a query without what may stand behind it.
fn trimmed(sql: &str) -> String {
    sql.trim().trim_end_matches(';').trim().to_owned()
}

/// Reads a time of RFC 3339, one without a zone as UTC, or a date; returns milliseconds.
pub fn time(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    let plain = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M",
    ];
    let time = plain
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| {
            Some(
                NaiveDate::parse_from_str(text, "%Y-%m-%d")
                    .ok()?
                    .and_time(NaiveTime::MIN),
            )
        })?;
    Some(time.and_utc().timestamp_millis())
}

/// Reads a length of time; returns milliseconds.
pub fn duration(text: &str) -> Option<i64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let unit = i64::from(unit_ms(unit)?);
    number
        .parse::<i64>()
        .ok()?
        .checked_mul(unit)
        .filter(|&length| length > 0)
}
