//! Modifiers that turn a value into others before it is compared: `base64`, `base64offset`, `wide` and its
//! like, `windash`.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use rsigma_parser::{Modifier, SigmaString, SigmaValue, StringPart};

/// What stands for a dash in Windows command lines (Sigma modifiers appendix 2.1.0).
const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// Returns what `modifier` makes of `value`; any of it is meant.
///
/// # Errors
/// When the value is no text, or has wildcards that cannot be encoded.
pub(super) fn apply(modifier: Modifier, value: &SigmaValue) -> Result<Vec<SigmaValue>, String> {
    let SigmaValue::String(text) = value else {
        return Err(format!("`{value}` is not a text to encode"));
    };
    if modifier == Modifier::WindAsh {
        return Ok(dashes(&text.original)?
            .iter()
            .map(|text| SigmaValue::String(SigmaString::new(text)))
            .collect());
    }
    let plain = text
        .as_plain()
        .ok_or_else(|| format!("`{value}` has wildcards, which cannot be encoded"))?;
    let plain = SigmaString::from_raw(&plain);
    let bytes = bytes_of(&plain)?;
    let encoded = match modifier {
        Modifier::Base64 => vec![text_of(&STANDARD.encode(bytes))],
        Modifier::Base64Offset => {
            let texts = (0..3).map(|offset| aligned(&bytes, offset));
            let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
            if texts.len() < 3 {
                return Err(format!("`{value}` is too short to be told in Base64"));
            }
            texts.iter().map(|text| text_of(text)).collect()
        }
        Modifier::Wide => vec![packed(utf16(&bytes, u16::to_le_bytes, false)?)],
        Modifier::Utf16 => vec![packed(utf16(&bytes, u16::to_le_bytes, true)?)],
        Modifier::Utf16be => vec![packed(utf16(&bytes, u16::to_be_bytes, false)?)],
        other => unreachable!("no encoding: {other:?}"),
    };
    Ok(encoded)
}

/// Bytes that are no text travel between two modifiers as characters below U+0100, behind this mark.
const PACKED: char = '\u{f8ff}';

fn packed(bytes: Vec<u8>) -> SigmaValue {
    let text: String = std::iter::once(PACKED)
        .chain(bytes.into_iter().map(char::from))
        .collect();
    text_of(&text)
}

fn text_of(text: &str) -> SigmaValue {
    SigmaValue::String(SigmaString::from_raw(text))
}

fn bytes_of(text: &SigmaString) -> Result<Vec<u8>, String> {
    match text.original.strip_prefix(PACKED) {
        None => Ok(text.original.clone().into_bytes()),
        Some(packed) => packed
            .chars()
            .map(|sign| u8::try_from(sign).map_err(|_far| "not bytes".to_owned()))
            .collect(),
    }
}

/// Returns a keyword in the ways that it may stand in the raw text of a record: as it is, as JSON has it (RFC 8259,
/// section 7), and as Go writes that, with `&`, `<` and `>` escaped (`encoding/json`, `HTMLEscape`).
pub(super) fn in_json(value: &SigmaValue) -> Vec<SigmaValue> {
    fn json(sign: char) -> Option<&'static str> {
        match sign {
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            _ => None,
        }
    }
    fn go(sign: char) -> Option<&'static str> {
        match sign {
            '&' => Some("\\u0026"),
            '<' => Some("\\u003c"),
            '>' => Some("\\u003e"),
            sign => json(sign),
        }
    }
    let SigmaValue::String(text) = value else {
        return vec![value.clone()];
    };
    let written = |escape: fn(char) -> Option<&'static str>| {
        let parts = text.parts.iter().map(|part| match part {
            StringPart::Plain(plain) => {
                StringPart::Plain(plain.chars().fold(String::new(), |mut written, sign| {
                    match escape(sign) {
                        Some(escaped) => written.push_str(escaped),
                        None => written.push(sign),
                    }
                    written
                }))
            }
            StringPart::Special(sign) => StringPart::Special(sign.clone()),
        });
        SigmaValue::String(SigmaString {
            parts: parts.collect(),
            original: text.original.clone(),
        })
    };
    let mut ways = vec![value.clone(), written(json), written(go)];
    ways.dedup();
    ways
}

/// Returns a value as it is compared in the end.
///
/// # Errors
/// When it was encoded to bytes that are no text.
pub(super) fn unpack(value: &SigmaValue) -> Result<SigmaValue, String> {
    match value {
        SigmaValue::String(text) if text.original.starts_with(PACKED) => {
            let bytes = bytes_of(text)?;
            let text = String::from_utf8(bytes).map_err(|_bytes| {
                "UTF-16 of other than ASCII needs `base64` behind it".to_owned()
            })?;
            Ok(text_of(&text))
        }
        value => Ok(value.clone()),
    }
}

fn utf16(bytes: &[u8], order: fn(u16) -> [u8; 2], with_mark: bool) -> Result<Vec<u8>, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_bytes| "a value cannot be encoded as UTF-16 twice".to_owned())?;
    let mark = with_mark.then_some(0xfeff);
    Ok(mark
        .into_iter()
        .chain(text.encode_utf16())
        .flat_map(order)
        .collect())
}

/// Returns the part of the Base64 of `bytes` that does not depend on what stands around it, `offset` bytes
/// behind a multiple of three.
fn aligned(bytes: &[u8], offset: usize) -> String {
    /// Characters that what stands before has a part in.
    const FIRST: [usize; 3] = [0, 2, 3];
    let padded = [&[0; 2][..offset], bytes].concat();
    let encoded = STANDARD_NO_PAD.encode(&padded);
    let last = match padded.len() % 3 {
        0 => encoded.len(),
        _ => encoded.len() - 1,
    };
    encoded
        .get(FIRST[offset]..last)
        .unwrap_or_default()
        .to_owned()
}

/// Dashes of one value that are permuted.
const DASHES_MAX: usize = 4;

/// Returns `text` with every dash that begins an option written in all ways.
fn dashes(text: &str) -> Result<Vec<String>, String> {
    let is_option = |at: usize| {
        let before = text[..at].chars().next_back();
        let after = text[at..].chars().nth(1);
        before.is_none_or(|sign| !sign.is_alphanumeric() && sign != '_')
            && after.is_some_and(|sign| sign.is_alphanumeric() || sign == '_')
    };
    let n_dashes = text
        .char_indices()
        .filter(|&(at, sign)| matches!(sign, '-' | '/') && is_option(at));
    if n_dashes.count() > DASHES_MAX {
        return Err(format!(
            "`{text}` has more than {DASHES_MAX} dashes to permute"
        ));
    }
    let mut texts = vec![String::new()];
    for (at, sign) in text.char_indices() {
        if matches!(sign, '-' | '/') && is_option(at) {
            texts = texts
                .iter()
                .flat_map(|text| DASHES.map(|dash| format!("{text}{dash}")))
                .collect();
        } else {
            for text in &mut texts {
                text.push(sign);
            }
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(modifiers: &[Modifier], value: &str, expected: &[&str]) {
        let mut values = vec![SigmaValue::String(SigmaString::new(value))];
        for &modifier in modifiers {
            let applied = values.iter().map(|value| apply(modifier, value).unwrap());
            values = applied.collect::<Vec<_>>().concat();
        }
        let texts = values
            .iter()
            .map(|value| unpack(value).unwrap().to_string());
        assert_eq!(texts.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn values_are_encoded_from_left_to_right() {
        use Modifier::{Base64, Base64Offset, Utf16, Utf16be, Wide, WindAsh};
        check(&[Base64], "foobar", &["Zm9vYmFy"]);
        check(&[Base64], "foo", &["Zm9v"]);
        check(&[Base64], "fo", &["Zm8="]);
        // What of `foobar` is the same whatever stands around it.
        check(
            &[Base64Offset],
            "foobar",
            &["Zm9vYmFy", "Zvb2Jhc", "mb29iYX"],
        );
        check(&[Wide], "ab", &["a\0b\0"]);
        check(&[Utf16be], "ab", &["\0a\0b"]);
        check(&[Wide, Base64], "ab", &["YQBiAA=="]);
        check(&[Utf16, Base64], "a", &["//5hAA=="]);
        check(
            &[WindAsh],
            "x-y -a",
            &[
                "x-y -a",
                "x-y /a",
                "x-y \u{2013}a",
                "x-y \u{2014}a",
                "x-y \u{2015}a",
            ],
        );
    }

    #[test]
    fn what_cannot_be_encoded_is_refused() {
        let value = |text: &str| SigmaValue::String(SigmaString::new(text));
        assert!(apply(Modifier::Base64, &value("a*")).is_err());
        assert!(apply(Modifier::Base64, &SigmaValue::Integer(1)).is_err());
        assert!(apply(Modifier::Base64Offset, &value("a")).is_err());
        assert!(apply(Modifier::WindAsh, &value("-a -b -c -d -e")).is_err());
        let wide = apply(Modifier::Wide, &value("\u{e4}")).unwrap();
        assert!(unpack(&wide[0]).is_err());
    }

    #[test]
    fn keywords_are_looked_for_as_logs_write_them() {
        let ways = in_json(&SigmaValue::String(SigmaString::new("*a\"&<b")));
        let texts: Vec<String> = ways
            .iter()
            .map(|way| match way {
                SigmaValue::String(text) => match &text.parts[..] {
                    [StringPart::Special(_), StringPart::Plain(plain)] => plain.clone(),
                    parts => panic!("{parts:?}"),
                },
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(texts, ["a\"&<b", "a\\\"&<b", "a\\\"\\u0026\\u003cb"]);
        assert_eq!(
            in_json(&SigmaValue::String(SigmaString::new("a b"))).len(),
            1
        );
        assert_eq!(in_json(&SigmaValue::Integer(5)).len(), 1);
    }
}
