//! The fast path: one line as kube-apiserver writes it to a [`CodedEvent`], without a general parser.
//!
//! The encoder writes the keys of an event in the order of the Go struct, with no white space, and
//! leaves out what is empty. This path follows that order with a cursor and refuses (`None`) whatever
//! differs: another order, an unknown key, white space, a cut line. What it refuses is decoded by
//! [`super::lenient`]; what it accepts, it must read just as that one does (`tests` below).
//!
//! Whole pieces (the user, the object, the annotations) repeat from line to line. The text up to where
//! such a piece seems to end is looked up among those read before; a JSON value ends where it ends, so
//! equal text is the same piece, and a wrong guess is found nowhere.

use std::borrow::Cow;

use super::event::{Annotations, ObjectRef, Span, Status, Text, User};
use super::skip;
use super::time::{self, Clock};
use crate::frame::coder::{CodedEvent, Coder, Word};

/// Decodes one line, without its line end, into `event`, which must be the default one. After `None` that
/// holds parts of the line.
pub(super) fn decode<'a>(
    line: &'a str,
    coder: &mut Coder,
    event: &mut CodedEvent<'a>,
) -> Option<()> {
    let mut cursor = Cursor { line, at: 0 };
    cursor.literal(b"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":")?;
    event.level = cursor.word(Word::Level, coder)?;
    cursor.literal(b",\"auditID\":")?;
    event.audit_id = cursor.string()?;
    cursor.literal(b",\"stage\":")?;
    event.stage = cursor.word(Word::Stage, coder)?;
    cursor.literal(b",\"requestURI\":")?;
    event.request_uri = cursor.string()?;
    cursor.literal(b",\"verb\":")?;
    event.verb = cursor.word(Word::Verb, coder)?;
    cursor.literal(b",\"user\":")?;
    (event.user, event.extra_span) = cursor.coded_user(coder)?;
    if cursor.has(b",\"impersonatedUser\":") {
        (event.impersonated, _) = cursor.coded_user(coder)?;
    }
    if cursor.has(b",\"authenticationMetadata\":") {
        cursor.raw()?;
    }
    if cursor.has(b",\"sourceIPs\":") {
        event.addresses = cursor.addresses(coder)?;
    }
    if cursor.has(b",\"userAgent\":") {
        event.user_agent = cursor.word(Word::UserAgent, coder)?;
    }
    if cursor.has(b",\"objectRef\":") {
        (
            event.object,
            [event.name, event.object_uid],
            event.object_version,
        ) = cursor.coded_object(coder)?;
    }
    if cursor.has(b",\"responseStatus\":") {
        let status = cursor.status()?;
        event.code = status.code;
        event.reason = coder.code(&status.reason);
        event.message = status.message;
        event.details_uid = status.details_uid;
    }
    if cursor.has(b",\"requestObject\":") {
        event.request_object = cursor.body(coder)?;
    }
    if cursor.has(b",\"responseObject\":") {
        event.response_object = cursor.body(coder)?;
    }
    cursor.literal(b",\"requestReceivedTimestamp\":")?;
    event.received_at = cursor.at + 1;
    event.received = Some(cursor.time(&mut coder.clock)?);
    cursor.literal(b",\"stageTimestamp\":")?;
    event.stage_time = Some(cursor.time(&mut coder.clock)?);
    if cursor.has(b",\"annotations\":") {
        event.annotations_span = Span::of(line.get(cursor.at..line.len() - 1)?, line);
        (event.annotations, event.issued_credential_id) = cursor.coded_annotations(coder)?;
    }
    cursor.literal(b"}")?;
    (cursor.at == line.len()).then_some(())
}

/// Resolves the escapes of a JSON string (RFC 8259, section 7), given without its quotes; `None` for what
/// is no escape and for lone surrogates.
fn unescape(json: &str) -> Option<String> {
    let hex = |from: usize| {
        let digits = json.get(from..from + 4)?;
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_hex.then(|| u32::from_str_radix(digits, 16).ok())?
    };
    let mut text = String::with_capacity(json.len());
    let mut start = 0;
    while let Some(length) = memchr::memchr(b'\\', &json.as_bytes()[start..]) {
        let at = start + length;
        text.push_str(&json[start..at]);
        start = at + 2;
        text.push(match *json.as_bytes().get(at + 1)? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = hex(start)?;
                start += 4;
                if (0xd800..0xdc00).contains(&high) {
                    let low = hex(start + 2).filter(|low| (0xdc00..0xe000).contains(low))?;
                    (json.get(start..start + 2)? == "\\u").then_some(())?;
                    start += 6;
                    char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))?
                } else {
                    char::from_u32(high)?
                }
            }
            _ => return None,
        });
    }
    text.push_str(&json[start..]);
    Some(text)
}

/// Most keys of an object that is read here; few have half as many.
const KEYS: usize = 16;

struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    /// Reads `text`; its length is a constant, so that it is compared in a few words.
    #[inline]
    fn literal<const N: usize>(&mut self, text: &[u8; N]) -> Option<()> {
        let rest = self.line.as_bytes().get(self.at..)?;
        (rest.first_chunk()? == text).then(|| self.at += N)
    }

    /// Passes over `text`, if it comes next.
    #[inline]
    fn has<const N: usize>(&mut self, text: &[u8; N]) -> bool {
        self.literal(text).is_some()
    }

    /// Returns the text up to the first `close` and this included: where a value without one in its
    /// strings ends. Only to look a value up by its text; nothing rests on it.
    fn guess(&self, close: u8) -> Option<&'a str> {
        let end = self.at + memchr::memchr(close, self.line.as_bytes().get(self.at..)?)?;
        self.line.get(self.at..=end)
    }

    /// Reads a string that repeats from line to line.
    fn word(&mut self, word: Word, coder: &mut Coder) -> Option<u32> {
        if let Some((length, code)) = coder.last_word(word, self.line.get(self.at..)?) {
            self.at += length;
            return Some(code);
        }
        let text = self.string()?;
        if let Cow::Borrowed(json) = text
            && let Some(code) = coder.known_word(word, json)
        {
            return Some(code);
        }
        Some(coder.word(word, &text))
    }

    /// Reads a list of addresses, as the number of a piece.
    fn addresses(&mut self, coder: &mut Coder) -> Option<u32> {
        if let Some(guess) = self.guess(b']')
            && let Some(number) = coder.known_addresses(guess)
        {
            self.at += guess.len();
            return Some(number);
        }
        let json = self.string_list()?;
        Some(coder.addresses(json))
    }

    /// Reads a user, as the number of a piece, and where its `extra` stands in the line.
    fn coded_user(&mut self, coder: &mut Coder) -> Option<(u32, Span)> {
        let start = self.at;
        if let Some(guess) = self.guess(b'}') {
            // The first brace closes `extra`, if there is one.
            let end = start + guess.len();
            let end = end + usize::from(self.line.as_bytes().get(end) == Some(&b'}'));
            if let Some((number, extra)) = coder.known_user(self.line.get(start..end)?) {
                self.at = end;
                return Some((number, extra.shifted(start)));
            }
        }
        let (user, extra) = self.user()?;
        let json = self.line.get(start..self.at)?;
        let extra = extra.map_or(Span::default(), |extra| Span::of(extra, json));
        Some((coder.user(json, &user, extra), extra.shifted(start)))
    }

    /// Reads an object reference: the number of a piece, name and uid, and where its version stands in the line.
    fn coded_object(&mut self, coder: &mut Coder) -> Option<(u32, [Text<'a>; 2], Span)> {
        let start = self.at;
        if let Some(guess) = self.guess(b'}')
            && let Some((number, [name, uid, version])) = coder.known_object(guess)
        {
            self.at += guess.len();
            let texts = [name, uid].map(|span| Cow::Borrowed(span.slice(guess)));
            return Some((number, texts, version.shifted(start)));
        }
        let object = self.object_ref()?;
        let json = self.line.get(start..self.at)?;
        let number = coder.object(json, &object);
        let version = match object.resource_version {
            Cow::Borrowed(version) => Span::within(version, self.line),
            Cow::Owned(_) => Span::default(),
        };
        Some((number, [object.name, object.uid], version))
    }

    /// Reads the annotations, which are the last of an event: the number of a piece and the issued
    /// credential.
    fn coded_annotations(&mut self, coder: &mut Coder) -> Option<(u32, Text<'a>)> {
        let json = self.line.get(self.at..self.line.len() - 1)?;
        if let Some((number, issued)) = coder.known_annotations(json) {
            self.at += json.len();
            return Some((number, Cow::Borrowed(issued.slice(json))));
        }
        let annotations = self.annotations()?;
        // What stands behind them, if anything, the caller refuses; it must not be learned.
        if self.at != self.line.len() - 1 {
            return None;
        }
        Some((
            coder.annotations(json, &annotations),
            annotations.issued_credential_id,
        ))
    }

    fn string(&mut self) -> Option<Text<'a>> {
        self.literal(b"\"")?;
        let bytes = self.line.as_bytes();
        let start = self.at;
        let mut end = start + skip::end_of_plain(&bytes[start..])?;
        match bytes[end] {
            b'"' => {
                self.at = end + 1;
                Some(Cow::Borrowed(self.line.get(start..end)?))
            }
            b'\\' => {
                while bytes[end] == b'\\' {
                    end += 2;
                    end += skip::end_of_plain(bytes.get(end..)?)?;
                }
                if bytes[end] != b'"' {
                    return None;
                }
                self.at = end + 1;
                Some(Cow::Owned(unescape(self.line.get(start..end)?)?))
            }
            _ => None,
        }
    }

    fn time(&mut self, clock: &mut Clock) -> Option<i64> {
        // Nearly always this long; what is not is read as any string.
        let rest = self.line.get(self.at..)?;
        if let Some(quoted) = rest.as_bytes().first_chunk::<29>()
            && let [b'"', text @ .., b'"'] = quoted
            && let Some(time) = clock.parse(text)
        {
            self.at += quoted.len();
            return Some(time);
        }
        time::parse(&self.string()?)
    }

    /// Reads any value whole, checking it as JSON (RFC 8259) without white space.
    fn raw(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.at = skip::value(self.line.as_bytes(), start)?;
        self.line.get(start..self.at)
    }

    /// Reads a body; `null` is none.
    fn body(&mut self, coder: &mut Coder) -> Option<Span> {
        let start = self.at;
        self.at = skip::body(self.line.as_bytes(), start, &mut coder.bodies)?;
        Some(match self.line.get(start..self.at)? {
            "null" => Span::default(),
            raw => Span::of(raw, self.line),
        })
    }

    /// Reads a list of strings as text, if none of them has an escape.
    fn string_list(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.literal(b"[")?;
        if self.peek()? == b']' {
            self.at += 1;
            return self.line.get(start..self.at);
        }
        loop {
            match self.string()? {
                Cow::Borrowed(_) => {}
                Cow::Owned(_) => return None,
            }
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
        }
        self.at += 1;
        self.line.get(start..self.at)
    }

    /// Calls `member` with each key of an object, the cursor standing before the value; refuses one with a key twice.
    fn object(&mut self, mut member: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.literal(b"{")?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        let (mut keys, mut n_keys) = ([""; KEYS], 0);
        loop {
            let Cow::Borrowed(key) = self.string()? else {
                return None;
            };
            if keys[..n_keys].contains(&key) {
                return None;
            }
            *keys.get_mut(n_keys)? = key;
            n_keys += 1;
            self.literal(b":")?;
            member(self, key)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(())
    }

    /// Reads a user, and the text of its `extra`.
    fn user(&mut self) -> Option<(User<'a>, Option<&'a str>)> {
        let mut user = User::default();
        let mut extra = None;
        self.object(|cursor, key| {
            match key {
                "username" => user.username = cursor.string()?,
                "uid" => user.uid = cursor.string()?,
                "groups" => user.groups = Cow::Borrowed(cursor.string_list()?),
                "extra" => {
                    let start = cursor.at;
                    cursor.object(|cursor, key| {
                        user.set_extra(key, cursor.first_string()?);
                        Some(())
                    })?;
                    extra = Some(cursor.line.get(start..cursor.at)?);
                }
                _ => return None,
            }
            Some(())
        })?;
        Some((user, extra))
    }

    /// Reads a list of strings and returns the first; an empty list gives the empty string.
    fn first_string(&mut self) -> Option<Text<'a>> {
        self.literal(b"[")?;
        let mut first = None;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(Cow::Borrowed(""));
        }
        loop {
            let value = self.string()?;
            first.get_or_insert(value);
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
        }
        self.at += 1;
        first
    }

    fn object_ref(&mut self) -> Option<ObjectRef<'a>> {
        let mut object = ObjectRef::default();
        self.object(|cursor, key| {
            let field = match key {
                "resource" => &mut object.resource,
                "namespace" => &mut object.namespace,
                "name" => &mut object.name,
                "uid" => &mut object.uid,
                "apiGroup" => &mut object.api_group,
                "apiVersion" => &mut object.api_version,
                "subresource" => &mut object.subresource,
                "resourceVersion" => &mut object.resource_version,
                _ => return None,
            };
            *field = cursor.string()?;
            Some(())
        })?;
        Some(object)
    }

    fn status(&mut self) -> Option<Status<'a>> {
        let mut status = Status::default();
        // How nearly all requests end.
        if self.has(b"{\"metadata\":{},\"code\":") {
            status.code = self.code()?;
            self.literal(b"}")?;
            return Some(status);
        }
        self.object(|cursor, key| {
            match key {
                "metadata" => {
                    cursor.raw()?;
                }
                "status" => {
                    cursor.string()?;
                }
                "message" => status.message = cursor.string()?,
                "reason" => status.reason = cursor.string()?,
                "details" => cursor.object(|cursor, key| {
                    if key == "uid" {
                        status.details_uid = cursor.string()?;
                    } else {
                        cursor.raw()?;
                    }
                    Some(())
                })?,
                "code" => status.code = cursor.code()?,
                _ => return None,
            }
            Some(())
        })?;
        Some(status)
    }

    fn code(&mut self) -> Option<u16> {
        let digits = self.line.as_bytes()[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit());
        let end = self.at + digits.count();
        let text = self.line.get(self.at..end)?;
        if text.len() > 1 && text.starts_with('0') {
            return None;
        }
        let code = text.parse().ok()?;
        self.at = end;
        Some(code)
    }

    fn annotations(&mut self) -> Option<Annotations<'a>> {
        let mut annotations = Annotations::default();
        self.object(|cursor, key| {
            annotations.set(key, cursor.string()?);
            Some(())
        })?;
        Some(annotations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unescapes_as_serde_json() {
        let texts = [
            r"a\u0026b",
            r#"\"\\\/\b\f\n\r\t"#,
            r"\u00e9\u20ac",
            r"\ud834\udd1e!",
            r"\uD834\uDD1E",
            r"\ud834",
            r"\ud834x",
            r"\ud834\n",
            r"\ud834\u0041",
            r"\udd1e",
            r"\u12g4",
            r"\u+123",
            r"\u123",
            r"\x",
            r"é\u0000é",
            r"\u12é",
        ];
        for text in texts {
            let expected = serde_json::from_str::<String>(&format!("\"{text}\"")).ok();
            assert_eq!(unescape(text), expected, "{text}");
        }
    }
}
