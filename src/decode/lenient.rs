//! The general path: one line of JSON to an [`Event`], through `serde_json`.
//!
//! Takes the keys in any order, with white space; of a repeated key the last value counts. A field of
//! a wrong type is read as text where that makes sense, and as absent where not: a strange event must
//! stay visible. Nesting is bounded only where we recurse, and we recurse into four known objects.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::envelope::restored_key;
use super::event::{Annotations, Event, ObjectRef, Span, Status, Text, User};
use super::time;

/// Decodes the text of an event, however it is written.
///
/// # Errors
/// With what the parser said, if it is not one JSON object.
pub(super) fn decode(text: &str) -> Result<Event<'_>, String> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    EventSeed { line: text }
        .deserialize(&mut deserializer)
        .and_then(|event| deserializer.end().map(|()| event))
        .map_err(|cause| cause.to_string())
}

#[derive(Clone, Copy)]
struct EventSeed<'a> {
    line: &'a str,
}

impl<'a> DeserializeSeed<'a> for EventSeed<'a> {
    type Value = Event<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for EventSeed<'a> {
    type Value = Event<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an audit event")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut event = Event::default();
        while let Some(Loose(key)) = map.next_key()? {
            match &*key {
                "level" => event.level = text(&mut map)?,
                "auditID" => event.audit_id = text(&mut map)?,
                "stage" => event.stage = text(&mut map)?,
                "requestURI" => event.request_uri = text(&mut map)?,
                "verb" => event.verb = text(&mut map)?,
                "user" => event.user = self.user(map.next_value()?),
                "impersonatedUser" => event.impersonated = Some(self.user(map.next_value()?)),
                "sourceIPs" => event.source_ips = list_text(map.next_value()?),
                "userAgent" => event.user_agent = text(&mut map)?,
                "objectRef" => event.object = object_ref(map.next_value()?),
                "responseStatus" => event.status = status(map.next_value()?),
                "requestObject" => event.request_object = self.body(map.next_value()?),
                "responseObject" => event.response_object = self.body(map.next_value()?),
                "requestReceivedTimestamp" => event.received = time::parse(&text(&mut map)?),
                "stageTimestamp" => event.stage_time = time::parse(&text(&mut map)?),
                "annotations" => event.annotations = self.annotations(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(event)
    }
}

impl<'a> EventSeed<'a> {
    fn body(self, raw: &'a RawValue) -> Span {
        if raw.get() == "null" {
            Span::default()
        } else {
            Span::of(raw.get(), self.line)
        }
    }

    fn user(self, raw: &'a RawValue) -> User<'a> {
        let mut user = User::default();
        each_member(raw, |key, value| match key {
            "username" => user.username = loose(value),
            "uid" => user.uid = loose(value),
            "groups" => user.groups = list_text(value),
            "extra" => {
                user.extra_span = self.body(value);
                each_member(value, |key, value| {
                    user.set_extra(&restored(key), first_text(value));
                });
            }
            _ => {}
        });
        user
    }

    fn annotations(self, raw: &'a RawValue) -> Annotations<'a> {
        let mut annotations = Annotations {
            span: self.body(raw),
            ..Annotations::default()
        };
        each_member(raw, |key, value| {
            let restored = restored(key);
            annotations.has_others |= *restored != *key || !value.get().starts_with('"');
            annotations.set(&restored, loose(value));
        });
        annotations
    }
}

/// Returns a key as the API server writes it: shippers change the dots.
fn restored(key: &str) -> Cow<'_, str> {
    restored_key(key).map_or(Cow::Borrowed(key), Cow::Owned)
}

fn object_ref(raw: &RawValue) -> Option<ObjectRef<'_>> {
    let mut object = ObjectRef::default();
    each_member(raw, |key, value| match key {
        "resource" => object.resource = loose(value),
        "namespace" => object.namespace = loose(value),
        "name" => object.name = loose(value),
        "uid" => object.uid = loose(value),
        "apiGroup" => object.api_group = loose(value),
        "apiVersion" => object.api_version = loose(value),
        "subresource" => object.subresource = loose(value),
        "resourceVersion" => object.resource_version = loose(value),
        _ => {}
    })
    .then_some(object)
}

fn status(raw: &RawValue) -> Status<'_> {
    let mut status = Status::default();
    each_member(raw, |key, value| match key {
        "message" => status.message = loose(value),
        "reason" => status.reason = loose(value),
        "code" => status.code = loose(value).parse().unwrap_or(0),
        "details" => drop(each_member(value, |key, value| {
            if key == "uid" {
                status.details_uid = loose(value);
            }
        })),
        _ => {}
    });
    status
}

/// Calls `member` with each key and value; returns false if `raw` is no object.
fn each_member<'a>(raw: &'a RawValue, member: impl FnMut(&str, &'a RawValue)) -> bool {
    struct Members<F>(F);
    impl<'a, F: FnMut(&str, &'a RawValue)> Visitor<'a> for Members<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(Loose(key)) = map.next_key()? {
                (self.0)(&key, map.next_value()?);
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(raw.get())
        .deserialize_map(Members(member))
        .is_ok()
}

fn text<'a, A: MapAccess<'a>>(map: &mut A) -> Result<Text<'a>, A::Error> {
    map.next_value().map(|Loose(text)| text)
}

fn loose(raw: &RawValue) -> Text<'_> {
    serde_json::from_str(raw.get()).map_or(Cow::Borrowed(""), |Loose(text)| text)
}

/// Returns the first of a list of texts, or the text itself where a shipper has unwrapped the list.
fn first_text(raw: &RawValue) -> Text<'_> {
    if !raw.get().starts_with('[') {
        return loose(raw);
    }
    let list: Vec<Loose<'_>> = serde_json::from_str(raw.get()).unwrap_or_default();
    list.into_iter()
        .next()
        .map_or(Cow::Borrowed(""), |Loose(text)| text)
}

/// Returns a list of texts as compact JSON; what is no list becomes a list of one, or nothing.
fn list_text(raw: &RawValue) -> Text<'_> {
    let list: Vec<Loose<'_>> = match serde_json::from_str(raw.get()) {
        Ok(list) => list,
        Err(_) => match loose(raw) {
            text if text.is_empty() => return Cow::Borrowed(""),
            text => vec![Loose(text)],
        },
    };
    let texts: Vec<&str> = list.iter().map(|Loose(text)| &**text).collect();
    Cow::Owned(serde_json::to_string(&texts).expect("a list of strings is JSON"))
}

/// Text of any scalar: strings as they are, numbers and booleans as written, all else empty.
struct Loose<'a>(Text<'a>);

impl<'a> Deserialize<'a> for Loose<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct LooseVisitor;
        impl<'a> Visitor<'a> for LooseVisitor {
            type Value = Loose<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'a str) -> Result<Loose<'a>, E> {
                Ok(Loose(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Loose<'a>, E> {
                Ok(Loose(Cow::Owned(text.to_owned())))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Loose<'a>, E> {
                Ok(Loose(Cow::Borrowed(if value { "true" } else { "false" })))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Loose<'a>, E> {
                Ok(Loose(Cow::Owned(value.to_string())))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Loose<'a>, E> {
                Ok(Loose(Cow::Owned(value.to_string())))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Loose<'a>, E> {
                Ok(Loose(Cow::Owned(value.to_string())))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Loose<'a>, E> {
                Ok(Loose(Cow::Borrowed("")))
            }

            fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Loose<'a>, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Loose(Cow::Borrowed("")))
            }

            fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Loose<'a>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Loose(Cow::Borrowed("")))
            }
        }
        deserializer.deserialize_any(LooseVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_any_order_with_white_space() {
        let line = r#" { "auditID" : "a" , "user":{"groups":[ "g", "h" ],"username":"u"} } "#;
        let event = decode(line).unwrap();
        assert_eq!(event.audit_id, "a");
        assert_eq!(event.user.username, "u");
        assert_eq!(event.user.groups, r#"["g","h"]"#);
    }

    #[test]
    fn wrong_types_leave_the_event_readable() {
        let line = r#"{"auditID":7,"verb":null,"user":"u","objectRef":[],"sourceIPs":"1.2.3.4",
            "responseStatus":{"code":"403"},"annotations":{"authorization.k8s.io/decision":true}}"#;
        let event = decode(line).unwrap();
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
        let event = decode(line).unwrap();
        assert_eq!(event.user.credential_id, "JTI=1");
        assert_eq!(event.annotations.decision, "forbid");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for line in ["[1]", r#"{"auditID":"a"} x"#, "1", "", r#"{"auditID":"a""#] {
            assert!(decode(line).is_err(), "{line}");
        }
    }
}
