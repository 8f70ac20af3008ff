//! Words of a configuration: durations, and what a misspelled one was meant to be.

use std::time::Duration;

use crate::finding::words::unit_ms;
use crate::rules::words::closest;

/// Returns the word of `known` that `word` was likely meant to be.
pub(super) fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    // Longer words are not worth a comparison, which takes the product of both lengths.
    if word.len() > 100 {
        return None;
    }
    closest(&word.to_lowercase(), known)
}

/// Reads `1h30m` and the like; units are `ms`, `s`, `m`, `h`, `d`.
pub(super) fn read_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let n_digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..n_digits].parse().ok()?;
        rest = &rest[n_digits..];
        let n_letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let millis = u64::from(unit_ms(&rest[..n_letters])?);
        rest = &rest[n_letters..];
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        fn check(text: &str, expected_ms: Option<u64>) {
            assert_eq!(
                read_duration(text),
                expected_ms.map(Duration::from_millis),
                "{text}"
            );
        }
        check("500ms", Some(500));
        check("90s", Some(90_000));
        check("1h30m", Some(5_400_000));
        check("7d", Some(604_800_000));
        for text in [
            "",
            "10",
            "m",
            "1.5h",
            "-1s",
            "1 h",
            "1y",
            "99999999999999999999s",
            "1ü",
        ] {
            check(text, None);
        }
        check("99999999999999999d", None);
    }

    #[test]
    fn near_words_are_suggested() {
        let known = ["min_severity", "url", "path"];
        assert_eq!(
            nearest("min_severty", known.into_iter()),
            Some("min_severity")
        );
        assert_eq!(nearest("URL", known.into_iter()), Some("url"));
        assert_eq!(nearest("completely", known.into_iter()), None);
    }
}
