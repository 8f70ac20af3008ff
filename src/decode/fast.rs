//! The fast path: one line as kube-apiserver writes it to an [`Event`], without a general parser.
//!
//! The encoder writes the keys of an event in the order of the Go struct, with no white space, and
//! leaves out what is empty. This path follows that order with a cursor and refuses (`None`) whatever
//! differs: another order, an unknown key, white space, a cut line. What it refuses is decoded by
//! [`super::lenient`]; what it accepts, it must read just as that one does (`tests` below).

use std::borrow::Cow;

use super::event::{Annotations, Event, ObjectRef, Span, Status, Text, User};
use super::{skip, time};

/// Decodes one line, without its line end.
pub(super) fn decode(line: &str) -> Option<Event<'_>> {
    let mut cursor = Cursor { line, at: 0 };
    let mut event = Event::default();
    cursor.literal("{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"level\":")?;
    event.level = cursor.string()?;
    cursor.literal(",\"auditID\":")?;
    event.audit_id = cursor.string()?;
    cursor.literal(",\"stage\":")?;
    event.stage = cursor.string()?;
    cursor.literal(",\"requestURI\":")?;
    event.request_uri = cursor.string()?;
    cursor.literal(",\"verb\":")?;
    event.verb = cursor.string()?;
    cursor.literal(",\"user\":")?;
    event.user = cursor.user()?;
    cursor.literal(",\"")?;
    let mut key = cursor.key()?;
    if key == "impersonatedUser" {
        event.impersonated = Some(cursor.user()?);
        key = cursor.next_key()?;
    }
    if key == "authenticationMetadata" {
        cursor.raw()?;
        key = cursor.next_key()?;
    }
    if key == "sourceIPs" {
        event.source_ips = Cow::Borrowed(cursor.string_list()?);
        key = cursor.next_key()?;
    }
    if key == "userAgent" {
        event.user_agent = cursor.string()?;
        key = cursor.next_key()?;
    }
    if key == "objectRef" {
        event.object = Some(cursor.object_ref()?);
        key = cursor.next_key()?;
    }
    if key == "responseStatus" {
        event.status = cursor.status()?;
        key = cursor.next_key()?;
    }
    if key == "requestObject" {
        event.request_object = Span::of(cursor.raw()?, line);
        key = cursor.next_key()?;
    }
    if key == "responseObject" {
        event.response_object = Span::of(cursor.raw()?, line);
        key = cursor.next_key()?;
    }
    if key != "requestReceivedTimestamp" {
        return None;
    }
    event.received = Some(time::parse(&cursor.string()?)?);
    cursor.literal(",\"stageTimestamp\":")?;
    event.stage_time = Some(time::parse(&cursor.string()?)?);
    if cursor.peek()? == b',' {
        cursor.literal(",\"annotations\":")?;
        event.annotations = cursor.annotations()?;
    }
    cursor.literal("}")?;
    (cursor.at == line.len()).then_some(event)
}

struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    fn literal(&mut self, text: &str) -> Option<()> {
        let end = self.at + text.len();
        (self.line.as_bytes().get(self.at..end)? == text.as_bytes()).then(|| self.at = end)
    }

    /// Reads a key after its opening quote, and the colon; keys of the API have no escapes.
    fn key(&mut self) -> Option<&'a str> {
        let end = self.at + skip::end_of_plain(&self.line.as_bytes()[self.at..])?;
        let key = self.line.get(self.at..end)?;
        self.at = end;
        self.literal("\":")?;
        Some(key)
    }

    fn next_key(&mut self) -> Option<&'a str> {
        self.literal(",\"")?;
        self.key()
    }

    fn string(&mut self) -> Option<Text<'a>> {
        self.literal("\"")?;
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
                let quoted = self.line.get(start - 1..self.at)?;
                Some(Cow::Owned(serde_json::from_str(quoted).ok()?))
            }
            _ => None,
        }
    }

    /// Reads any value whole, checking it as JSON (RFC 8259) without white space.
    fn raw(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.at = skip::value(self.line.as_bytes(), start)?;
        self.line.get(start..self.at)
    }

    /// Reads a list of strings as text, if none of them has an escape.
    fn string_list(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.literal("[")?;
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

    /// Calls `member` with each key of an object, the cursor standing before the value.
    fn object(&mut self, mut member: impl FnMut(&mut Self, Text<'a>) -> Option<()>) -> Option<()> {
        self.literal("{")?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let key = self.string()?;
            self.literal(":")?;
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

    fn user(&mut self) -> Option<User<'a>> {
        let mut user = User::default();
        self.object(|cursor, key| {
            match &*key {
                "username" => user.username = cursor.string()?,
                "uid" => user.uid = cursor.string()?,
                "groups" => user.groups = Cow::Borrowed(cursor.string_list()?),
                "extra" => {
                    let start = cursor.at;
                    cursor.object(|cursor, key| {
                        user.set_extra(&key, cursor.first_string()?);
                        Some(())
                    })?;
                    user.extra_span = Span::of(cursor.line.get(start..cursor.at)?, cursor.line);
                }
                _ => return None,
            }
            Some(())
        })?;
        Some(user)
    }

    /// Reads a list of strings and returns the first; an empty list gives the empty string.
    fn first_string(&mut self) -> Option<Text<'a>> {
        self.literal("[")?;
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
            let field = match &*key {
                "resource" => &mut object.resource,
                "namespace" => &mut object.namespace,
                "name" => &mut object.name,
                "uid" => &mut object.uid,
                "apiGroup" => &mut object.api_group,
                "apiVersion" => &mut object.api_version,
                "subresource" => &mut object.subresource,
                "resourceVersion" => {
                    cursor.string()?;
                    return Some(());
                }
                _ => return None,
            };
            *field = cursor.string()?;
            Some(())
        })?;
        Some(object)
    }

    fn status(&mut self) -> Option<Status<'a>> {
        let mut status = Status::default();
        self.object(|cursor, key| {
            match &*key {
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
        let start = self.at;
        self.object(|cursor, key| {
            annotations.set(&key, cursor.string()?);
            Some(())
        })?;
        annotations.span = Span::of(self.line.get(start..self.at)?, self.line);
        Some(annotations)
    }
}
