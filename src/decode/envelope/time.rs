//! The times of envelopes, in the notation of audit events (RFC 3339).

use chrono::DateTime;

/// Returns `text` in RFC 3339, UTC unless it names a zone; `None` if it is no time.
///
/// Takes what the exports write: a space for the `T`, no zone or ` UTC` at the end, seconds,
/// milli-, micro- or nanoseconds since the epoch, and the US notation of Azure's portal (`5/1/2024,
/// 10:00:00.123 AM`).
pub(in crate::decode) fn rfc3339(text: &str) -> Option<String> {
    let text = text.trim();
    let bytes = text.as_bytes();
    if bytes.len() > 40 {
        return None;
    }
    if bytes.len() >= 19 && bytes[4] == b'-' && bytes[7] == b'-' {
        return dashed(text);
    }
    epoch(text).or_else(|| slashed(text))
}

fn dashed(text: &str) -> Option<String> {
    let (date, time) = (text.get(..10)?, text.get(11..)?);
    let time = time.trim_end_matches(" UTC").trim_end_matches(" GMT");
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let clock = time.as_bytes();
    let fits = clock.len() >= 8
        && clock[2] == b':'
        && clock[5] == b':'
        && [0, 1, 3, 4, 6, 7].iter().all(|&at| is_digit(&clock[at]))
        && date.bytes().filter(u8::is_ascii_digit).count() == 8;
    if !fits {
        return None;
    }
    let fraction = clock[8..]
        .iter()
        .position(|byte| !is_digit(byte) && *byte != b'.')
        .map_or(clock.len(), |at| at + 8);
    let zone = zone(time.get(fraction..)?.trim())?;
    Some(format!("{date}T{}{zone}", &time[..fraction]))
}

/// Takes `+0100` and `+01:00`; nothing is UTC.
fn zone(text: &str) -> Option<String> {
    if matches!(text, "" | "Z" | "z" | "+00") {
        return Some("Z".to_owned());
    }
    let digits = text.strip_prefix(['+', '-'])?;
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
    let is_two_digits = |text: &str| text.len() == 2 && text.bytes().all(|it| it.is_ascii_digit());
    (is_two_digits(hours) && is_two_digits(minutes))
        .then(|| format!("{}{hours}:{minutes}", &text[..1]))
}

/// The unit follows from the size: all four differ by a factor of a thousand, and logs are of this
/// century.
fn epoch(text: &str) -> Option<String> {
    let (mantissa, exponent) = match text.split_once(['E', 'e']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<usize>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || exponent > 18 {
        return None;
    }
    let mut digits = format!("{whole}{fraction}");
    if digits.len() > 30 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut point = whole.len() + exponent;
    while digits.len() < point {
        digits.push('0');
    }
    point = match point {
        9 | 10 => point,
        12 | 13 => point - 3,
        15 | 16 => point - 6,
        18 | 19 => point - 9,
        _ => return None,
    };
    let seconds = digits[..point].parse().ok()?;
    let mut micros = digits[point..].to_owned();
    micros.push_str("000000");
    let time = DateTime::from_timestamp(seconds, 0)?.format("%Y-%m-%dT%H:%M:%S");
    Some(format!("{time}.{}Z", &micros[..6]))
}

fn slashed(text: &str) -> Option<String> {
    let (date, time) = text.split_once([',', ' '])?;
    let mut parts = date.split('/').map(str::parse::<u32>);
    let (month, day, year) = (
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    );
    let mut words = time.split_whitespace();
    let (clock, half) = (words.next()?, words.next());
    let mut parts = clock.splitn(3, ':');
    let hour: u32 = parts.next()?.parse().ok()?;
    let (minute, second) = (parts.next()?, parts.next()?);
    let hour = match half {
        Some("PM") if hour < 12 => hour + 12,
        Some("AM") if hour == 12 => 0,
        _ => hour,
    };
    let digits = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    if hour > 23 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 2000 {
        return None;
    }
    (digits(minute) && digits(second) && minute.len() == 2 && second.len() >= 2)
        .then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute}:{second}Z"))
}
