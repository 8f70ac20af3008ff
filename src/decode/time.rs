//! Times to microseconds since the Unix epoch, UTC.
//!
//! kube-apiserver always writes 27 bytes, `2026-11-22T05:01:02.123456Z` (`metav1.MicroTime`, RFC 3339); what stores
//! make of that, they write in notations of their own.

use super::envelope::time::rfc3339;

/// Parses a time in RFC 3339 or any notation that envelopes have; digits past the microsecond are cut off.
pub(super) fn parse(text: &str) -> Option<i64> {
    let parse = |text: &str| {
        let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
        Some(time.timestamp_micros())
    };
    parse_micro_time(text.as_bytes())
        .or_else(|| parse(text))
        .or_else(|| parse(&rfc3339(text)?))
}

/// Reads times that mostly fall into the same second as the one before.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Up to the point before the microseconds.
    second: [u8; SECOND],
    /// The same in microseconds.
    micros: i64,
}

const SECOND: usize = "2026-11-22T05:01:02.".len();

impl Default for Clock {
    fn default() -> Self {
        Self {
            second: *b"1970-01-01T00:00:00.",
            micros: 0,
        }
    }
}

impl Clock {
    /// As [`parse_micro_time`].
    pub(crate) fn parse(&mut self, text: &[u8; 27]) -> Option<i64> {
        let (second, rest) = text.split_first_chunk::<SECOND>()?;
        if *second == self.second
            && let [digits @ .., b'Z'] = rest
            && digits.iter().all(u8::is_ascii_digit)
        {
            let number = |sum, digit: &u8| sum * 10 + i64::from(digit - b'0');
            return Some(self.micros + digits.iter().fold(0, number));
        }
        let time = parse_micro_time(text)?;
        self.second = *second;
        self.micros = time - time.rem_euclid(1_000_000);
        Some(time)
    }
}

/// Parses the one form that kube-apiserver writes; `None` for every other.
pub(super) fn parse_micro_time(text: &[u8]) -> Option<i64> {
    let text: &[u8; 27] = text.try_into().ok()?;
    let separators = [
        text[4], text[7], text[10], text[13], text[16], text[19], text[26],
    ];
    if separators != *b"--T::.Z" {
        return None;
    }
    // All digits are checked at once; a digit that is none would give a wrong number only.
    let digits = [
        text[0], text[1], text[2], text[3], text[5], text[6], text[8], text[9], text[11], text[12],
        text[14], text[15], text[17], text[18], text[20], text[21], text[22], text[23], text[24],
        text[25],
    ]
    .map(|digit| digit.wrapping_sub(b'0'));
    if digits.iter().any(|&digit| digit > 9) {
        return None;
    }
    let number = |from: usize, to: usize| {
        digits[from..to]
            .iter()
            .fold(0_i64, |sum, &digit| sum * 10 + i64::from(digit))
    };
    let (year, month, day) = (number(0, 4), number(4, 6), number(6, 8));
    let (hour, minute, second) = (number(8, 10), number(10, 12), number(12, 14));
    let valid = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !valid {
        return None;
    }
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(seconds * 1_000_000 + number(14, 20))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Counts days in the proleptic Gregorian calendar with a year that starts in March, so that the
/// leap day comes last and the length of the months before it follows one linear formula.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let months_since_march = (month + 9) % 12;
    let day_of_year = (153 * months_since_march + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(parse(text), expected, "{text}");
    }

    #[test]
    fn parses_what_the_api_server_writes() {
        check("1970-01-01T00:00:00.000000Z", Some(0));
        check("2026-11-22T04:55:27.649211Z", Some(1_795_323_327_649_211));
        check("2024-02-29T23:59:59.999999Z", Some(1_709_251_199_999_999));
    }

    #[test]
    fn a_clock_says_the_same_of_each_time() {
        let texts = [
            b"2026-11-22T04:55:27.649211Z",
            b"2026-11-22T04:55:27.000001Z",
            b"2026-11-22T04:55:27.00000xZ",
            b"2026-11-22T04:55:27.000001z",
            b"2026-11-22T04:55:28.999999Z",
            b"1969-12-31T23:59:59.500000Z",
            b"1969-12-31T23:59:59.000000Z",
            b"2026-13-01T00:00:00.000000Z",
            b"1970-01-01T00:00:00.000007Z",
            &[0; 27],
        ];
        let mut clock = Clock::default();
        for text in texts.iter().chain(&texts) {
            assert_eq!(clock.parse(text), parse_micro_time(*text));
        }
    }

    #[test]
    fn parses_other_rfc3339_times() {
        check("2026-11-22T04:55:27Z", Some(1_795_323_327_000_000));
        check(
            "2026-11-22T05:55:27.649211999+01:00",
            Some(1_795_323_327_649_211),
        );
    }

    #[test]
    fn parses_what_stores_make_of_times() {
        let time = Some(1_795_323_327_649_211);
        for text in [
            "2026-11-22 04:55:27.649211",
            "2026-11-22T04:55:27.649211",
            "2026-11-22T04:55:27.649211+0000",
            "2026-11-22 05:55:27.649211 +01:00",
            "2026-11-22 04:55:27.649211 UTC",
            "1795323327649211",
            "1795323327.649211",
        ] {
            check(text, time);
        }
        check("1795323327649", Some(1_795_323_327_649_000));
        check("1795323327", Some(1_795_323_327_000_000));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "now",
            "2026-13-01T00:00:00.000000Z",
            "2023-02-29T00:00:00.000000Z",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn agrees_with_chrono_over_four_centuries() {
        for day in (-73_000..73_000_i64).step_by(13) {
            let micros = (day * 86_400 + 45_296) * 1_000_000 + 789;
            let time = chrono::DateTime::from_timestamp_micros(micros).unwrap();
            check(
                &time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
                Some(micros),
            );
        }
    }
}
