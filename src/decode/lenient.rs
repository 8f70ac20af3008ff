//! The general path: one line of JSON to an [`Event`], through `serde_json`.
//!
//! Takes the keys in any order, with white space; of a repeated key the last value counts. A field of
//! a wrong type is read as text where that makes sense, and as absent where not: a strange event must
//! stay visible, and that it is strange is told ([`Oddities`]). Nesting is bounded only where we recurse,
//! and we recurse into four known objects.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use hashbrown::HashSet;
use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::envelope::{json, listed, restored_key};
use super::event::{Annotations, Event, ObjectRef, Span, Status, Text, User};
use super::odd::{Oddities, Oddity};
use super::time;

/// Decodes the text of an event, however it is written; says what is odd about that.
///
/// # Errors
/// With what the parser said, if it is not one JSON object.
pub(super) fn decode(text: &str) -> Result<(Event<'_>, Oddities), String> {
    let reader = Reader {
        line: text,
        odd: Cell::default(),
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let event = EventSeed(&reader)
        .deserialize(&mut deserializer)
        .and_then(|event| deserializer.end().map(|()| event))
        .map_err(|cause| cause.to_string())?;
    Ok((event, reader.odd.get()))
}

/// What the parts of an event are read with.
struct Reader<'a> {
    line: &'a str,
    odd: Cell<Oddities>,
}

struct EventSeed<'a, 'r>(&'r Reader<'a>);

impl<'a> DeserializeSeed<'a> for EventSeed<'a, '_> {
    type Value = Event<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for EventSeed<'a, '_> {
    type Value = Event<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an audit event")
    }

    fn visit_map<A: MapAccess<'a>>(self, map: A) -> Result<Self::Value, A::Error> {
        let reader = self.0;
        let mut event = Event::default();
        reader.members(map, |key, value| match key {
            "level" => event.level = reader.text(value),
            "auditID" => event.audit_id = reader.text(value),
            "stage" => event.stage = reader.text(value),
            "requestURI" => event.request_uri = reader.text(value),
            "verb" => event.verb = reader.text(value),
            "user" => event.user = reader.user(value),
            "impersonatedUser" => event.impersonated = Some(reader.user(value)),
            "sourceIPs" => event.source_ips = reader.list_text(value),
            "userAgent" => event.user_agent = reader.text(value),
            "objectRef" => event.object = reader.object_ref(value),
            "responseStatus" => event.status = reader.status(value),
            "requestObject" => event.request_object = reader.body(value),
            "responseObject" => event.response_object = reader.body(value),
            "requestReceivedTimestamp" => event.received = reader.time(value),
            "stageTimestamp" => event.stage_time = reader.time(value),
            "annotations" => event.annotations = reader.annotations(value),
            _ => {}
        })?;
        Ok(event)
    }
}

impl<'a> Reader<'a> {
    fn note(&self, oddity: Oddity) {
        self.odd.set(self.odd.get().with(oddity));
    }

    fn body(&self, raw: &'a RawValue) -> Span {
        if raw.get() == "null" {
            Span::default()
        } else {
            Span::of(raw.get(), self.line)
        }
    }

    fn user(&self, raw: &'a RawValue) -> User<'a> {
        let mut user = User::default();
        self.each_member(raw, |key, value| match key {
            "username" => user.username = self.text(value),
            "uid" => user.uid = self.text(value),
            "groups" => user.groups = self.list_text(value),
            "extra" => {
                user.extra_span = self.body(value);
                self.each_member(value, |key, value| {
                    user.set_extra(&restored(key), self.first_text(value));
                });
            }
            _ => {}
        });
        user
    }

    fn annotations(&self, raw: &'a RawValue) -> Annotations<'a> {
        let mut annotations = Annotations {
            span: self.body(raw),
            ..Annotations::default()
        };
        self.each_member(raw, |key, value| {
            let restored = restored(key);
            annotations.has_others |= *restored != *key || !value.get().starts_with('"');
            annotations.set(&restored, self.text(value));
        });
        annotations
    }

    fn object_ref(&self, raw: &'a RawValue) -> Option<ObjectRef<'a>> {
        let mut object = ObjectRef::default();
        self.each_member(raw, |key, value| match key {
            "resource" => object.resource = self.text(value),
            "namespace" => object.namespace = self.text(value),
            "name" => object.name = self.text(value),
            "uid" => object.uid = self.text(value),
            "apiGroup" => object.api_group = self.text(value),
            "apiVersion" => object.api_version = self.text(value),
            "subresource" => object.subresource = self.text(value),
            "resourceVersion" => object.resource_version = self.text(value),
            _ => {}
        })
        .then_some(object)
    }

    fn status(&self, raw: &'a RawValue) -> Status<'a> {
        let mut status = Status::default();
        self.each_member(raw, |key, value| match key {
            "message" => status.message = self.text(value),
            "reason" => status.reason = self.text(value),
            "code" => {
                let code = self.text(value);
                // Tables of floating-point numbers have it as `200.0`.
                let whole = code.strip_suffix(".0").unwrap_or(&code);
                status.code = self.or_odd(&code, whole.parse().ok()).unwrap_or(0);
            }
            "details" => drop(self.each_member(value, |key, value| {
                if key == "uid" {
                    status.details_uid = self.text(value);
                }
            })),
            _ => {}
        });
        status
    }

    fn time(&self, raw: &'a RawValue) -> Option<i64> {
        let text = self.text(raw);
        self.or_odd(&text, time::parse(&text))
    }

    /// Returns what `text` was read as; if there is none of it, that is odd.
    fn or_odd<T>(&self, text: &str, value: Option<T>) -> Option<T> {
        if value.is_none() && !text.is_empty() {
            self.note(Oddity::WrongType);
        }
        value
    }

    /// Calls `member` with each key and value; returns false if `raw` is no object.
    fn each_member(&self, raw: &'a RawValue, member: impl FnMut(&str, &'a RawValue)) -> bool {
        struct Members<'a, 'r, F>(&'r Reader<'a>, F);
        impl<'a, F: FnMut(&str, &'a RawValue)> Visitor<'a> for Members<'a, '_, F> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'a>>(self, map: A) -> Result<(), A::Error> {
                self.0.members(map, self.1)
            }
        }
        let is_object = serde_json::Deserializer::from_str(raw.get())
            .deserialize_map(Members(self, member))
            .is_ok();
        if !is_object && raw.get() != "null" {
            self.note(Oddity::WrongType);
        }
        is_object
    }

    /// Calls `member` with each key and value of `map`.
    fn members<A: MapAccess<'a>>(
        &self,
        mut map: A,
        mut member: impl FnMut(&str, &'a RawValue),
    ) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<&RawValue>()? {
            let value = map.next_value()?;
            let key = self.text(key);
            member(&key, value);
            if !keys.insert(key) {
                self.note(Oddity::RepeatedKey);
            }
        }
        Ok(())
    }

    /// Reads any scalar as text: strings as they are, numbers and booleans as written, null as nothing.
    fn text(&self, raw: &'a RawValue) -> Text<'a> {
        if raw.get().starts_with(['{', '[']) {
            self.note(Oddity::WrongType);
            return Cow::Borrowed("");
        }
        if raw.get().starts_with('"') && json::strict_string(raw.get()).is_none() {
            self.note(Oddity::HalfSurrogate);
        }
        json::scalar(raw.get())
    }

    /// Returns the first of a list of texts, or the text itself where a shipper has unwrapped the list.
    fn first_text(&self, raw: &'a RawValue) -> Text<'a> {
        let list = list(raw);
        let first = list.first().map(|first| self.text(first));
        first.unwrap_or_default()
    }

    /// Returns a list of texts as compact JSON; what is no list becomes a list of one, or nothing.
    fn list_text(&self, raw: &'a RawValue) -> Text<'a> {
        let is_list = raw.get().starts_with('[');
        let texts: Vec<Text<'_>> = list(raw).into_iter().map(|text| self.text(text)).collect();
        let list: Vec<&str> = if is_list {
            texts.iter().map(AsRef::as_ref).collect()
        } else {
            let cells = texts.iter().filter(|text| !text.is_empty());
            cells.flat_map(|cell| listed(cell)).collect()
        };
        if list.is_empty() && !is_list {
            return Cow::Borrowed("");
        }
        Cow::Owned(serde_json::to_string(&list).expect("a list of strings is JSON"))
    }
}

/// Returns the elements of a list; what is none is one of one.
fn list(raw: &RawValue) -> Vec<&RawValue> {
    serde_json::from_str(raw.get()).unwrap_or_else(|_| vec![raw])
}

/// Returns a key as the API server writes it: shippers change the dots.
fn restored(key: &str) -> Cow<'_, str> {
    restored_key(key).map_or(Cow::Borrowed(key), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::Oddity::{HalfSurrogate, RepeatedKey, WrongType};
    use super::*;

    #[test]
    fn keys_in_any_order_with_white_space() {
        let line = r#" { "auditID" : "a" , "user":{"groups":[ "g", "h" ],"username":"u"} } "#;
        let (event, _) = decode(line).unwrap();
        assert_eq!(event.audit_id, "a");
        assert_eq!(event.user.username, "u");
        assert_eq!(event.user.groups, r#"["g","h"]"#);
    }

    #[test]
    fn wrong_types_leave_the_event_readable() {
        let line = r#"{"auditID":7,"verb":null,"user":"u","objectRef":[],"sourceIPs":"1.2.3.4",
            "responseStatus":{"code":"403"},"annotations":{"authorization.k8s.io/decision":true}}"#;
        let (event, _) = decode(line).unwrap();
        assert_eq!((&*event.audit_id, &*event.verb), ("7", ""));
        assert_eq!(event.object, None);
        assert_eq!(event.source_ips, r#"["1.2.3.4"]"#);
        assert_eq!(event.status.code, 403);
        assert_eq!(event.annotations.decision, "true");
    }

    #[test]
    fn keys_that_a_shipper_has_changed_are_known() {
        let line = r#"{"user":{"extra":{"authentication_kubernetes_io/credential-id":["JTI=1"]}},
            "annotations":{"authorization_k8s_io/decision":"forbid"}}"#;
        let (event, _) = decode(line).unwrap();
        assert_eq!(event.user.credential_id, "JTI=1");
        assert_eq!(event.annotations.decision, "forbid");
    }

    #[test]
    fn what_is_odd_is_told_and_costs_no_event() {
        let check = |line: &str, expected: &[Oddity]| {
            let (event, odd) = decode(line).unwrap();
            let found: Vec<Oddity> = odd.iter().collect();
            assert_eq!(found, expected, "{line}");
            assert_eq!(odd.is_empty(), expected.is_empty());
            event.user.username.into_owned()
        };
        let shipped =
            r#"{"sourceIPs":"1.2.3.4","responseStatus":{"code":"403"},"user":null,"x":[{}]}"#;
        check(shipped, &[]);
        for (user, expected, odd) in [
            (r#"{"username":"a"}"#, "a", &[][..]),
            (r#"{"username":"a","username":"b"}"#, "b", &[RepeatedKey]),
            (
                r#"{"username":"a","uid":"\udc00","\ud800":1}"#,
                "a",
                &[HalfSurrogate],
            ),
            (r#"{"username":"a\ud83d"}"#, "a\u{fffd}", &[HalfSurrogate]),
            (r#"{"username":{"a":1}}"#, "", &[WrongType]),
            (r#"{"username":1e999}"#, "1e999", &[]),
            (
                r#"{"username":"a","groups":["\ud800",[]]}"#,
                "a",
                &[WrongType, HalfSurrogate],
            ),
            (r#""a""#, "", &[WrongType]),
        ] {
            let line = format!(r#"{{"user":{user}}}"#);
            assert_eq!(check(&line, odd), expected, "{line}");
        }
        check(r#"{"verb":"get","verb":"list"}"#, &[RepeatedKey]);
        check(r#"{"stageTimestamp":"yesterday"}"#, &[WrongType]);
        check(r#"{"responseStatus":{"code":"two"}}"#, &[WrongType]);
        check(r#"{"annotations":["a"]}"#, &[WrongType]);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for line in ["[1]", r#"{"auditID":"a"} x"#, "1", "", r#"{"auditID":"a""#] {
            assert!(decode(line).is_err(), "{line}");
        }
    }
}
