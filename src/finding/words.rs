//! Numbers, lists and times in words, as the sentences of findings have them.

/// Writes `1 request`, `2 requests`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Writes how often something was done.
pub fn times(count: u64) -> String {
    if count == 1 {
        "once".to_owned()
    } else {
        format!("{count} times")
    }
}

/// Writes a list of texts in words, at most three of them.
pub fn listed(texts: &[String]) -> String {
    match texts {
        [] => "nothing named".to_owned(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [one, two, three] => format!("{one}, {two} and {three}"),
        [one, two, three, rest @ ..] => {
            format!("{one}, {two}, {three} and {} more", rest.len())
        }
    }
}

/// Writes a duration of microseconds in the one or two units that matter.
pub fn lasting(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    match seconds {
        ..1 => format!("{} ms", micros / 1000),
        1..10 => format!("{seconds}.{} s", micros % 1_000_000 / 100_000),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Returns the milliseconds of a unit of time: `ms`, `s`, `m`, `h` or `d`.
pub fn unit_ms(unit: &str) -> Option<u32> {
    Some(match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    })
}
