//! A whole record as output: the text of an event, without its secrets.
//!
//! Comes in: the JSON text of an event, or a record as it stands in a log. Goes out: the same text, with
//! `[redacted]` in place of secrets; every other byte stays. JSON stays JSON.
//!
//! Taken out by where it stands: the values of `data` and `stringData` and the last applied
//! configuration of secrets, alone or in lists and tables, and what a JSON patch writes into one; the
//! tokens of `TokenRequest` and `TokenReview`; texts whose key, or whose `name` beside a `value`, is a
//! telling one; what [`redact::redact_arguments`] finds in `command` and `args`. Taken out everywhere:
//! what [`redact::redact`] finds in a single text. A text that is JSON itself, as in an envelope or an
//! annotation, is treated as JSON. Names, also those within `data`, stay.
//!
//! Whether something is a secret is told by the event (`objectRef`, the URI) and by the object (`kind`):
//! one of them is enough, wherever it stands in the text. What breaks off and names secrets keeps its
//! beginning only.

pub(crate) mod tokens;

use std::borrow::Cow;
use std::ops::{BitOr, BitOrAssign, Range};

use crate::redact::{self, REDACTED};
use tokens::{Shape, Token, Tokens, text};

/// JSON in a text in JSON, and so on, that is treated as such.
const NESTING_MAX: u8 = 6;

/// Shortest key that is looked through for a secret.
const KEY_BYTES_MIN: usize = 16;

/// Where `kubectl apply` keeps all of an object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Returns the text of an event, or of the record that holds it, without secrets.
pub fn redacted_record(record: &str) -> String {
    redacted(record, Facts::default(), 0).into_owned()
}

fn redacted(record: &str, known: Facts, nesting: u8) -> Cow<'_, str> {
    let part = Part::of(record, known, nesting);
    let behind = &record[part.length..];
    if part.is_value && behind.trim_ascii().is_empty() {
        return match part.redacted {
            Some(redacted) => Cow::Owned(redacted + behind),
            None => Cow::Borrowed(record),
        };
    }
    if known == Facts::default() && !names_secrets(record) {
        return redact::redact(record);
    }
    // As far as it is JSON it is known what is secret; behind that, it may be the rest of one.
    let mut out = String::new();
    let mut rest = record;
    while let Some(start) = object_start(rest) {
        out.push_str(&redact::redact(&rest[..start]));
        let part = Part::of(&rest[start..], known, nesting);
        let (taken, behind) = rest[start..].split_at(part.length);
        out.push_str(part.redacted.as_deref().unwrap_or(taken));
        if !part.is_value {
            out.push_str(REDACTED);
            return Cow::Owned(out);
        }
        rest = behind;
    }
    out.push_str(&redact::redact(rest));
    Cow::Owned(out)
}

/// Returns where the first object with a member starts, or seems to.
fn object_start(text: &str) -> Option<usize> {
    memchr::memchr_iter(b'{', text.as_bytes())
        .find(|&start| text[start + 1..].trim_ascii_start().starts_with('"'))
}

/// Whether a text that is no JSON may hold a piece of a secret.
fn names_secrets(text: &str) -> bool {
    ["secrets", "Secret", "TokenRe", "tokenre", "\"token\""]
        .iter()
        .any(|name| memchr::memmem::find(text.as_bytes(), name.as_bytes()).is_some())
}

/// What is known of an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Facts(u8);

impl Facts {
    /// It is a secret, holds some, or is an event of one.
    const SECRET: Self = Self(1);
    /// Likewise a request that hands out or shows a token.
    const TOKEN: Self = Self(2);
    /// It has a member `op`.
    const OP: Self = Self(4);
    /// It has a member `path`; with `op` it is a step of a JSON patch.
    const PATH: Self = Self(8);
    /// Its `name` tells that its `value` is secret.
    const NAMED: Self = Self(16);

    /// What holds for everything in it, too.
    const INHERITED: Self = Self(3);

    fn has(self, facts: Self) -> bool {
        self.0 & facts.0 == facts.0
    }

    fn inherited(self) -> Self {
        Self(self.0 & Self::INHERITED.0)
    }

    /// What the name of a resource says.
    fn of_resource(resource: &str) -> Self {
        match resource {
            "secrets" => Self::SECRET,
            "tokenreviews" | "tokenrequests" => Self::TOKEN,
            _ => Self::default(),
        }
    }

    /// What a kind says; `@type` of Google Cloud has the API group before it.
    fn of_kind(kind: &str) -> Self {
        match kind.rsplit('.').next().unwrap_or(kind) {
            "Secret" | "SecretList" => Self::SECRET,
            "TokenRequest" | "TokenReview" => Self::TOKEN,
            _ => Self::default(),
        }
    }

    /// What the path of a request says.
    fn of_uri(uri: &str) -> Self {
        let path = uri.split('?').next().unwrap_or(uri);
        let facts = path.split('/').map(Self::of_resource);
        let facts = facts.fold(Self::default(), Self::bitor);
        if path.ends_with("/token") {
            facts | Self::TOKEN
        } else {
            facts
        }
    }
}

impl BitOr for Facts {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Facts {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Returns what is known of each container that `json` opens, in that order.
fn facts(json: &str) -> Vec<Facts> {
    struct Frame<'a> {
        nth: usize,
        key: Cow<'a, str>,
        is_object_ref: bool,
    }
    let mut facts = Vec::new();
    let mut frames: Vec<Frame<'_>> = Vec::new();
    let mut tokens = Tokens::new(json);
    while let Ok(Some((token, place))) = tokens.next() {
        match token {
            Token::Open(_) => {
                let is_object_ref = frames.last().is_some_and(|it| it.key == "objectRef");
                frames.push(Frame {
                    nth: facts.len(),
                    key: Cow::Borrowed(""),
                    is_object_ref,
                });
                facts.push(Facts::default());
            }
            Token::Close => drop(frames.pop()),
            Token::Key => {
                let key = text(&json[place]);
                let Some(frame) = frames.last_mut() else {
                    continue;
                };
                match &*key {
                    "op" => facts[frame.nth] |= Facts::OP,
                    "path" => facts[frame.nth] |= Facts::PATH,
                    _ => {}
                }
                frame.key = key;
            }
            Token::Text => {
                let Some(frame) = frames.last() else {
                    continue;
                };
                let value = || text(&json[place.clone()]);
                facts[frame.nth] |= match &*frame.key {
                    "kind" | "@type" => Facts::of_kind(&value()),
                    "requestURI" | "resourceName" => Facts::of_uri(&value()),
                    "objectRef.resource" => Facts::of_resource(&value()),
                    "objectRef.subresource" if value() == "token" => Facts::TOKEN,
                    "name" if redact::is_telling(&value()) => Facts::NAMED,
                    _ => Facts::default(),
                };
                let event = frames.len().checked_sub(2).map(|event| frames[event].nth);
                if let Some(event) = event.filter(|_| frame.is_object_ref) {
                    facts[event] |= match &*frame.key {
                        "resource" => Facts::of_resource(&value()),
                        "subresource" if value() == "token" => Facts::TOKEN,
                        _ => Facts::default(),
                    };
                }
            }
            Token::Number | Token::Bool | Token::Null => {}
        }
    }
    facts
}

/// The JSON value that a text starts with.
struct Part {
    /// Its text without secrets, if it had any.
    redacted: Option<String>,
    /// Bytes that it took in the text.
    length: usize,
    /// Whether it is whole; else it is what was there before it broke off.
    is_value: bool,
}

impl Part {
    fn of(json: &str, known: Facts, nesting: u8) -> Self {
        let mut redactor = Redactor {
            json,
            facts: facts(json),
            n_opened: 0,
            known: known.inherited(),
            nesting,
            frames: Vec::new(),
            command: None,
            out: String::new(),
            copied: 0,
        };
        let mut tokens = Tokens::new(json);
        let is_value = loop {
            match tokens.next() {
                Ok(Some((token, place))) => redactor.take(token, place),
                Ok(None) => break true,
                Err(tokens::Malformed) => break false,
            }
        };
        redactor.end_command();
        let length = json.len() - tokens.rest().len();
        let Redactor {
            mut out, copied, ..
        } = redactor;
        let redacted = (copied > 0).then(|| {
            out.push_str(&json[copied..length]);
            out
        });
        Self {
            redacted,
            length,
            is_value,
        }
    }
}

/// What is to be done with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// It is looked through.
    Search,
    /// It goes if it is a text.
    HideText,
    /// It goes, and so does all that is in it.
    Hide,
    /// It holds the arguments of a command if it is a list.
    Command,
}

/// A container that is open.
struct Frame {
    facts: Facts,
    /// What is to be done with all in it.
    base: Treatment,
    /// What is to be done with the next value.
    next: Treatment,
}

impl Frame {
    fn of_key(&self, key: &str) -> Treatment {
        let is_part = |name: &str| {
            // Exports that flatten the event join its keys.
            let key = key.strip_prefix("requestObject.").unwrap_or(key);
            let key = key.strip_prefix("responseObject.").unwrap_or(key);
            key.split('.')
                .next()
                .is_some_and(|key| key.eq_ignore_ascii_case(name))
        };
        let of_secret = || {
            is_part("data")
                || is_part("stringData")
                || key.ends_with(LAST_APPLIED)
                || (key == "value" && self.facts.has(Facts::OP | Facts::PATH))
        };
        let of_token = || key.rsplit('.').next() == Some("token");
        if self.base == Treatment::Hide
            || (self.facts.has(Facts::SECRET) && of_secret())
            || (self.facts.has(Facts::TOKEN) && of_token())
        {
            Treatment::Hide
        } else if redact::is_telling(key) || (key == "value" && self.facts.has(Facts::NAMED)) {
            Treatment::HideText
        } else if matches!(key, "command" | "args") {
            Treatment::Command
        } else {
            Treatment::Search
        }
    }
}

struct Redactor<'a> {
    json: &'a str,
    facts: Vec<Facts>,
    n_opened: usize,
    /// What is known of the value from around it.
    known: Facts,
    nesting: u8,
    frames: Vec<Frame>,
    /// The arguments of the command whose list is open, with their places.
    command: Option<Vec<(Range<usize>, String)>>,
    out: String,
    /// Up to here the text is in `out`.
    copied: usize,
}

impl Redactor<'_> {
    fn take(&mut self, token: Token, place: Range<usize>) {
        if token != Token::Text {
            self.end_command();
        }
        let next = self.frames.last().map_or(Treatment::Search, |it| it.next);
        match token {
            Token::Open(shape) => self.open(shape, next),
            Token::Close => drop(self.frames.pop()),
            Token::Key => {
                let key = text(&self.json[place.clone()]);
                if let Some(frame) = self.frames.last_mut() {
                    frame.next = frame.of_key(&key);
                }
                if key.len() >= KEY_BYTES_MIN {
                    self.put(place, &key, &redact::redact(&key));
                }
            }
            Token::Text => {
                let value = text(&self.json[place.clone()]);
                let is_hidden = matches!(next, Treatment::Hide | Treatment::HideText);
                if let Some(command) = &mut self.command {
                    command.push((place, value.into_owned()));
                } else if is_hidden && !value.is_empty() {
                    self.put(place, &value, REDACTED);
                } else if !is_hidden {
                    self.put(place, &value, &self.searched(&value));
                }
            }
            Token::Number | Token::Bool if next == Treatment::Hide => self.put(place, "", REDACTED),
            Token::Number | Token::Bool | Token::Null => {}
        }
    }

    fn open(&mut self, shape: Shape, next: Treatment) {
        let outer = self.frames.last().map_or(self.known, |it| it.facts);
        let facts = outer.inherited() | self.facts.get(self.n_opened).copied().unwrap_or_default();
        self.n_opened += 1;
        let base = match (next, shape) {
            (Treatment::Hide, _) => Treatment::Hide,
            (Treatment::HideText, Shape::List) => Treatment::HideText,
            _ => Treatment::Search,
        };
        if (next, shape) == (Treatment::Command, Shape::List) {
            self.command = Some(Vec::new());
        }
        self.frames.push(Frame {
            facts,
            base,
            next: base,
        });
    }

    fn end_command(&mut self) {
        let Some(arguments) = self.command.take() else {
            return;
        };
        let (places, argv): (Vec<_>, Vec<_>) = arguments.into_iter().unzip();
        let redacted = redact::redact_arguments(&argv);
        for ((place, argument), redacted) in places.into_iter().zip(&argv).zip(&redacted) {
            self.put(place, argument, &self.searched(redacted));
        }
    }

    /// Returns `value`, a text that may hold a secret, without it.
    fn searched<'t>(&self, value: &'t str) -> Cow<'t, str> {
        if object_start(value).is_none() {
            return redact::redact(value);
        }
        let facts = self.frames.last().map_or(self.known, |it| it.facts);
        if self.nesting < NESTING_MAX {
            redacted(value, facts.inherited(), self.nesting + 1)
        } else if names_secrets(value) || facts.inherited() != Facts::default() {
            Cow::Borrowed(REDACTED)
        } else {
            redact::redact(value)
        }
    }

    /// Puts `new` in the place of a text that says `old`.
    fn put(&mut self, place: Range<usize>, old: &str, new: &str) {
        if old == new {
            return;
        }
        let written = serde_json::to_string(new).expect("a text can be written as JSON");
        self.out.push_str(&self.json[self.copied..place.start]);
        self.out.push_str(&written);
        self.copied = place.end;
    }
}

#[cfg(test)]
mod tests;
