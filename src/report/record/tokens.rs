//! JSON text (RFC 8259) as tokens, each with its place in the text.
//!
//! Nothing recurses, nothing is copied: strings and numbers are slices of the text as they are written,
//! so that whoever changes one of them leaves the rest alone. Surprise: a `\u` escape may be half of a
//! surrogate pair, which JSON allows and Rust's texts do not; [`text`] reads U+FFFD.

use std::borrow::Cow;
use std::iter;
use std::ops::Range;

/// Deepest nesting that is followed; deeper counts as damage. kube-apiserver refuses far less.
const DEPTH_MAX: usize = 1 << 16;

/// A container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `{}`
    Object,
    /// `[]`
    List,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// An opening bracket.
    Open(Shape),
    /// A closing bracket.
    Close,
    /// The name of a member, with its quotes; its value follows.
    Key,
    /// A string, with its quotes.
    Text,
    /// A number.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// The text is no JSON from somewhere on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    Value,
    ValueOrClose,
    Key,
    KeyOrClose,
    CommaOrClose,
    End,
}

/// Reads one value, token by token.
pub(crate) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    open: Vec<Shape>,
    expects: Expects,
}

impl<'a> Tokens<'a> {
    /// Starts at the beginning of `text`.
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            open: Vec::new(),
            expects: Expects::Value,
        }
    }

    /// Returns what follows the last token.
    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Returns the next token and its place; `None` behind the end of the value, whatever follows it.
    ///
    /// # Errors
    /// When there is none; the place of reading stays behind the last one.
    pub(crate) fn next(&mut self) -> Result<Option<(Token, Range<usize>)>, Malformed> {
        let before = (self.at, self.expects);
        let token = self.step();
        if token.is_err() {
            (self.at, self.expects) = before;
        }
        token
    }

    fn step(&mut self) -> Result<Option<(Token, Range<usize>)>, Malformed> {
        if self.expects == Expects::End {
            return Ok(None);
        }
        self.blanks();
        if self.expects == Expects::CommaOrClose && self.byte() == Some(b',') {
            self.at += 1;
            self.expects = match self.open.last() {
                Some(Shape::Object) => Expects::Key,
                _ => Expects::Value,
            };
            self.blanks();
        }
        let start = self.at;
        let byte = self.byte().ok_or(Malformed)?;
        let token = match (self.expects, byte) {
            (Expects::Value | Expects::ValueOrClose, _) if byte != b']' => self.value(byte)?,
            (Expects::ValueOrClose | Expects::KeyOrClose | Expects::CommaOrClose, b']' | b'}') => {
                self.close(byte)?
            }
            (Expects::Key | Expects::KeyOrClose, b'"') => {
                self.string()?;
                let end = self.at;
                self.blanks();
                if self.byte() != Some(b':') {
                    return Err(Malformed);
                }
                self.at += 1;
                self.expects = Expects::Value;
                return Ok(Some((Token::Key, start..end)));
            }
            _ => return Err(Malformed),
        };
        Ok(Some((token, start..self.at)))
    }

    fn value(&mut self, byte: u8) -> Result<Token, Malformed> {
        let token = match byte {
            b'{' | b'[' => {
                if self.open.len() == DEPTH_MAX {
                    return Err(Malformed);
                }
                let (shape, expects) = if byte == b'{' {
                    (Shape::Object, Expects::KeyOrClose)
                } else {
                    (Shape::List, Expects::ValueOrClose)
                };
                self.at += 1;
                self.open.push(shape);
                self.expects = expects;
                return Ok(Token::Open(shape));
            }
            b'"' => {
                self.string()?;
                Token::Text
            }
            b'-' | b'0'..=b'9' => {
                self.at += number(self.rest().as_bytes()).ok_or(Malformed)?;
                Token::Number
            }
            _ => {
                let words = [
                    ("true", Token::Bool),
                    ("false", Token::Bool),
                    ("null", Token::Null),
                ];
                let rest = self.rest();
                let found = words.iter().find(|(word, _)| rest.starts_with(word));
                let (word, token) = found.ok_or(Malformed)?;
                self.at += word.len();
                *token
            }
        };
        self.after_value();
        Ok(token)
    }

    fn close(&mut self, byte: u8) -> Result<Token, Malformed> {
        let shape = if byte == b'}' {
            Shape::Object
        } else {
            Shape::List
        };
        if self.open.last() != Some(&shape) {
            return Err(Malformed);
        }
        self.open.pop();
        self.at += 1;
        self.after_value();
        Ok(Token::Close)
    }

    fn after_value(&mut self) {
        self.expects = if self.open.is_empty() {
            Expects::End
        } else {
            Expects::CommaOrClose
        };
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Goes behind the string whose opening quote is next.
    fn string(&mut self) -> Result<(), Malformed> {
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        loop {
            let found = memchr::memchr2(b'"', b'\\', &bytes[at..]).ok_or(Malformed)?;
            if bytes[at..at + found].iter().any(|&byte| byte < b' ') {
                return Err(Malformed);
            }
            at += found + 1;
            if bytes[at - 1] == b'"' {
                self.at = at;
                return Ok(());
            }
            at += match bytes.get(at) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
                Some(b'u') => {
                    let digits = bytes.get(at + 1..at + 5).ok_or(Malformed)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return Err(Malformed);
                    }
                    5
                }
                _ => return Err(Malformed),
            };
        }
    }
}

/// Returns how long the number is that `bytes` starts with.
fn number(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let n = bytes[from..].iter().take_while(|it| it.is_ascii_digit());
        n.count()
    };
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    at += match bytes.get(at)? {
        b'0' => 1,
        b'1'..=b'9' => digits(at),
        _ => return None,
    };
    if bytes.get(at) == Some(&b'.') {
        let n = digits(at + 1);
        at += 1 + n;
        if n == 0 {
            return None;
        }
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let n = digits(bytes.len().min(at + 1 + sign));
        at += 1 + sign + n;
        if n == 0 {
            return None;
        }
    }
    Some(at)
}

/// Returns what a string says, given as it is written, with its quotes.
pub(crate) fn text(written: &str) -> Cow<'_, str> {
    let inner = inner(written);
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    Cow::Owned(chars(written).collect())
}

/// Returns the characters of a string, given as it is written, with its quotes.
pub(crate) fn chars(written: &str) -> impl Iterator<Item = char> {
    let mut rest = inner(written).chars();
    iter::from_fn(move || {
        let char = rest.next()?;
        if char != '\\' {
            return Some(char);
        }
        Some(match rest.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let high = unit(&mut rest);
                let mut ahead = rest.clone();
                let is_pair = (0xd800..0xdc00).contains(&high)
                    && ahead.next() == Some('\\')
                    && ahead.next() == Some('u');
                let low = if is_pair { unit(&mut ahead) } else { 0 };
                if (0xdc00..0xe000).contains(&low) {
                    rest = ahead;
                    let pair = char::decode_utf16([high, low]).next();
                    pair.and_then(Result::ok)
                } else {
                    char::from_u32(high.into())
                }
                .unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            other => other,
        })
    })
}

fn unit(rest: &mut std::str::Chars<'_>) -> u16 {
    let digits = rest.take(4).filter_map(|digit| digit.to_digit(16));
    digits.fold(0, |unit, digit| {
        (unit << 4) | u16::try_from(digit).unwrap_or_default()
    })
}

fn inner(written: &str) -> &str {
    let inner = written.strip_prefix('"').unwrap_or(written);
    inner.strip_suffix('"').unwrap_or(inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    /// Whether `json` is one value.
    fn is_json(json: &str) -> bool {
        let mut tokens = Tokens::new(json);
        loop {
            match tokens.next() {
                Ok(Some(_)) => {}
                Ok(None) => return tokens.rest().trim_ascii().is_empty(),
                Err(Malformed) => return false,
            }
        }
    }

    #[test]
    fn json_is_told_from_what_is_none() {
        for json in [
            "{}",
            " [ ] ",
            r#"{"a" : [1, -0.5e+3, true, null, "\u00e9\ud800\\"], "a": {}}"#,
            "0",
            r#""x""#,
            "[[[]]]",
        ] {
            assert!(is_json(json), "{json}");
        }
        for text in [
            "",
            "{",
            "[",
            "]",
            "}",
            "{]",
            "[}",
            "[1,]",
            "[,1]",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":]"#,
            "[1 2]",
            "01",
            "1.",
            "1e",
            "1e+",
            "-",
            "tru",
            "nul",
            "\"a",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\n\"",
            "{} x",
            "[] []",
            "{1:2}",
            "1,2",
        ] {
            assert!(!is_json(text), "{text}");
        }
        assert!(!is_json(&"[".repeat(DEPTH_MAX + 1)));
    }

    #[test]
    fn strings_say_what_serde_json_reads() {
        for written in [r#""""#, r#""a\"\\\/\b\f\n\r\t\u0041\u00e9\ud83e\udd80é""#] {
            assert_eq!(
                text(written),
                serde_json::from_str::<String>(written).unwrap()
            );
        }
        assert_eq!(
            text(r#""\ud83ex\udd80\ud83e\u0041""#),
            "\u{fffd}x\u{fffd}\u{fffd}A"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn agrees_with_serde_json(text in r#"[\[\]{},:"\\a0-2.eE+ -]{0,14}"#) {
            let is_one = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            prop_assert_eq!(is_json(&text), is_one, "{}", text);
        }
    }
}
