//! One table of a TOML file, read key by key.
//!
//! A key that nobody asked for when the table is done is an error, with the nearest of those that were asked for. So the
//! reader of a table is at the same time the list of its keys.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problems;
use super::secret::{Secret, SecretSource};
use super::words::{nearest, read_duration};
use crate::finding::Timestamp;

/// A table that is being read.
pub(super) struct Section<'a> {
    table: &'a DeTable<'a>,
    /// Its name for people, such as `[noise]` or `[[sink]] slack`.
    pub(super) name: String,
    /// Where it is in the text.
    pub(super) place: Range<usize>,
    asked: Vec<String>,
    pub(super) problems: &'a Problems<'a>,
}

impl<'a> Section<'a> {
    pub(super) fn new(
        table: &'a DeTable<'a>,
        name: &str,
        place: Range<usize>,
        problems: &'a Problems<'a>,
    ) -> Self {
        Self {
            table,
            name: name.to_owned(),
            place,
            asked: Vec::new(),
            problems,
        }
    }

    fn value(&mut self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(key.to_owned());
        let entry = self
            .table
            .iter()
            .find(|(name, _)| name.get_ref().as_ref() == key);
        entry.map(|(_, value)| value)
    }

    /// Returns where the value of `key` is, or the table if it has none.
    pub(super) fn place_of(&self, key: &str) -> Range<usize> {
        let entry = self
            .table
            .iter()
            .find(|(name, _)| name.get_ref().as_ref() == key);
        entry.map_or_else(|| self.place.clone(), |(name, _)| name.span())
    }

    /// Adds a problem at the value of `key`.
    pub(super) fn wrong(&self, key: &str, what: impl Into<String>, hint: Option<&str>) {
        self.problems
            .add(&self.place_of(key), what, hint.map(str::to_owned));
    }

    fn wrong_type(&self, key: &str, expected: &str, found: &DeValue<'_>) {
        let found = found.type_str();
        self.wrong(
            key,
            format!("`{key}` must be {expected}, not {found}"),
            None,
        );
    }

    /// Returns the table under `key`.
    pub(super) fn table(&mut self, key: &str) -> Option<Self> {
        let value = self.value(key)?;
        if let DeValue::Table(table) = value.get_ref() {
            let name = format!("[{key}]");
            return Some(Self::new(table, &name, value.span(), self.problems));
        }
        self.wrong_type(key, &format!("a table, `[{key}]`"), value.get_ref());
        None
    }

    /// Returns the tables under `[[key]]`.
    pub(super) fn tables(&mut self, key: &str) -> Vec<Self> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let name = format!("[[{key}]]");
        let mut sections = Vec::new();
        let array = if let DeValue::Array(array) = value.get_ref() {
            Some(array)
        } else {
            None
        };
        for item in array.into_iter().flat_map(|array| array.iter()) {
            if let DeValue::Table(table) = item.get_ref() {
                sections.push(Self::new(table, &name, item.span(), self.problems));
            }
        }
        if array.is_none_or(|array| array.iter().count() != sections.len()) {
            self.wrong_type(key, &format!("a list of tables, `{name}`"), value.get_ref());
        }
        sections
    }

    /// Returns the text under `key`; an empty one is an error.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::String(text) if text.is_empty() => {
                self.wrong(key, format!("`{key}` is empty"), None);
                None
            }
            DeValue::String(text) => Some(text.to_string()),
            other => {
                self.wrong_type(key, "a text", other);
                None
            }
        }
    }

    /// Returns the text under `key`, which must be there; an empty one otherwise.
    pub(super) fn required(&mut self, key: &str) -> String {
        if self.is_missing(key) {
            let what = format!("{} has no `{key}`", self.name);
            self.problems.add(&self.place, what, None);
        }
        self.text(key).unwrap_or_default()
    }

    /// Returns whether there is no `key`.
    pub(super) fn is_missing(&self, key: &str) -> bool {
        !self
            .table
            .iter()
            .any(|(name, _)| name.get_ref().as_ref() == key)
    }

    /// Returns the path under `key`.
    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// Returns the time under `key`: an RFC 3339 time with its offset, or a date, which lasts to its end in UTC.
    pub(super) fn time(&mut self, key: &str) -> Option<Timestamp> {
        let value = self.value(key)?;
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(time) => time.to_string(),
            other => {
                self.wrong_type(key, "a time", other);
                return None;
            }
        };
        let time = chrono::DateTime::parse_from_rfc3339(&text).map(|time| time.timestamp_micros());
        let end_of_day = || {
            let date = text.parse::<chrono::NaiveDate>().ok()?;
            let next = date.succ_opt()?.and_hms_opt(0, 0, 0)?;
            Some(next.and_utc().timestamp_micros())
        };
        let time = time.ok().or_else(end_of_day).map(Timestamp);
        if time.is_none() {
            let hint = "write it as in 2026-12-31 or 2026-12-31T18:00:00Z";
            self.wrong(key, format!("`{key}` is no time"), Some(hint));
        }
        time
    }

    /// Returns the texts under `key`: a list, or a single one.
    pub(super) fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let value = self.value(key)?;
        if let DeValue::String(text) = value.get_ref() {
            return Some(vec![text.to_string()]);
        }
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, "a list of texts", value.get_ref());
            return None;
        };
        let mut texts = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => texts.push(text.to_string()),
                other => self.wrong_type(key, "a list of texts", other),
            }
        }
        Some(texts)
    }

    /// Returns the texts of the table under `key`, by name.
    pub(super) fn map(&mut self, key: &str) -> Option<BTreeMap<String, String>> {
        let value = self.value(key)?;
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(key, "a table of texts", value.get_ref());
            return None;
        };
        let mut map = BTreeMap::new();
        for (name, value) in table {
            match value.get_ref() {
                DeValue::String(text) => {
                    map.insert(name.get_ref().to_string(), text.to_string());
                }
                other => self.wrong_type(key, "a table of texts", other),
            }
        }
        Some(map)
    }

    /// Returns the truth value under `key`.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        let value = self.value(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        self.wrong_type(key, "`true` or `false`", value.get_ref());
        None
    }

    /// Returns the number under `key`, which must be in `range`.
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let value = self.value(key)?;
        let DeValue::Integer(integer) = value.get_ref() else {
            self.wrong_type(key, "a whole number", value.get_ref());
            return None;
        };
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = range.into_inner();
            self.wrong(key, format!("`{key}` must be from {least} to {most}"), None);
        }
        number
    }

    /// Returns the duration under `key`, which must be in `range`, such as `90s`, `10m`, `1h30m` or `7d`.
    pub(super) fn duration(
        &mut self,
        key: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let text = self.text(key)?;
        let duration = read_duration(&text);
        if duration.is_none() {
            let hint = "write it as in `500ms`, `90s`, `10m`, `1h30m`, `24h` or `7d`";
            self.wrong(key, format!("`{key}` is no duration"), Some(hint));
        }
        let duration = duration?;
        if range.contains(&duration) {
            return Some(duration);
        }
        let (least, most) = range.into_inner();
        self.wrong(
            key,
            format!("`{key}` must be from {least:?} to {most:?}"),
            None,
        );
        None
    }

    /// Returns the duration under `key`, `None` for the word `never`, `default` for nothing.
    pub(super) fn duration_or_never(
        &mut self,
        key: &str,
        default: Option<Duration>,
    ) -> Option<Duration> {
        let is_never = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let name: &std::borrow::Cow<'_, str> = name.get_ref();
            name == key && value.get_ref().as_str() == Some("never")
        };
        if self.table.iter().any(is_never) {
            self.asked.push(key.to_owned());
            return None;
        }
        self.duration(key, Duration::from_secs(1)..=Duration::from_hours(24 * 366))
            .or(default)
    }

    /// Returns what the word under `key` stands for in `words`.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, meaning)| *meaning);
        if found.is_none() {
            let all: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            let known = words.iter().map(|(word, _)| *word);
            let hint = nearest(&text, known).map(|word| format!("did you mean `{word}`?"));
            let what = format!("`{key}` must be one of {}", all.join(", "));
            self.wrong(key, what, hint.as_deref());
        }
        found
    }

    /// Returns where the secret `stem` is: under `stem_env` or `stem_file`, not both.
    pub(super) fn secret(&mut self, stem: &str) -> Option<SecretSource> {
        let (variable_key, file_key) = (format!("{stem}_env"), format!("{stem}_file"));
        let variable = self.text(&variable_key);
        let file = self.path(&file_key);
        if variable.is_some() && file.is_some() {
            let what = format!("`{variable_key}` and `{file_key}` exclude each other");
            self.wrong(&file_key, what, None);
        }
        variable
            .map(SecretSource::Env)
            .or(file.map(SecretSource::File))
    }

    /// Returns where the URL is: under `url`, `url_env` or `url_file`, one of them.
    pub(super) fn url(&mut self) -> Option<SecretSource> {
        let inline = self
            .text("url")
            .map(|text| SecretSource::Inline(Secret::new(text)));
        let elsewhere = self.secret("url");
        if inline.is_some() && elsewhere.is_some() {
            self.wrong("url", "`url` excludes `url_env` and `url_file`", None);
        }
        inline.or(elsewhere)
    }

    /// Notes keys that this table could have.
    pub(super) fn know(&mut self, keys: &[&str]) {
        self.asked.extend(keys.iter().map(|key| (*key).to_owned()));
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        for key in &self.asked {
            self.problems.ask(&self.name, key);
        }
        for (name, _) in self.table {
            let key: &str = name.get_ref().as_ref();
            if self.asked.iter().any(|asked| asked == key) {
                continue;
            }
            let is_secret = self
                .asked
                .iter()
                .any(|asked| *asked == format!("{key}_env"));
            let hint = if is_secret {
                Some(format!(
                    "secrets are not in this file; use `{key}_env` or `{key}_file`"
                ))
            } else {
                let asked = self.asked.iter().map(String::as_str);
                nearest(key, asked).map(|near| format!("did you mean `{near}`?"))
            };
            let shown: String = key.chars().take(60).collect();
            let what = format!("unknown key `{}` in {}", shown.escape_debug(), self.name);
            self.problems.add(&name.span(), what, hint);
        }
    }
}
