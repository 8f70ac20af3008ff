//! How times are shown: one zone at a time, and always which.

use chrono::{DateTime, Local};

/// In which zone times are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clock {
    /// UTC, as kube-apiserver writes.
    #[default]
    Utc,
    /// That of the machine.
    Local,
}

impl Clock {
    /// Returns the other one.
    pub const fn next(self) -> Self {
        match self {
            Self::Utc => Self::Local,
            Self::Local => Self::Utc,
        }
    }

    /// Returns date, time in milliseconds and zone of a time in microseconds.
    pub fn show(self, time: i64) -> String {
        self.format(time, "%Y-%m-%d %H:%M:%S%.3f", true)
    }

    /// Returns the time of the day, without a zone.
    pub fn show_short(self, time: i64) -> String {
        self.format(time, "%H:%M:%S%.3f", false)
    }

    /// Returns date and time to the second.
    pub fn show_second(self, time: i64) -> String {
        self.format(time, "%Y-%m-%d %H:%M:%S", false)
    }

    fn format(self, time: i64, format: &str, has_zone: bool) -> String {
        let Some(time) = DateTime::from_timestamp_micros(time) else {
            return format!("{time}us");
        };
        match self {
            Self::Utc if has_zone => format!("{}Z", time.format(format)),
            Self::Utc => time.format(format).to_string(),
            Self::Local => {
                let time = time.with_timezone(&Local);
                let zone = if has_zone { "%:z" } else { "" };
                time.format(&format!("{format}{zone}")).to_string()
            }
        }
    }
}

/// Returns a length of time in microseconds in a few words.
pub fn lasting(length: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let seconds = length as f64 / 1e6;
    match seconds {
        s if s < 0.001 => format!("{length} us"),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.1} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} d", s / 86400.0),
    }
}
