//! Lanes: the values of one field in one segment, wherever the segment is.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Index;

use chrono::{DateTime, SecondsFormat};
use hashbrown::HashMap;
use polars::prelude::StringChunked;

use super::field::Derived;
use super::gist::Gist;
use crate::detect::view;
use crate::frame::derived::service_account;
use crate::frame::{Column, FrameTexts, NULL, Vocabulary};

/// The values of one field, one per row.
pub enum Lane<'a> {
    /// Codes; [`NULL`] is null.
    Codes(Codes<'a>),
    /// Texts; empty is null.
    Texts(Texts<'a>),
    /// Microseconds; 0 is null.
    Times(Cow<'a, [i64]>),
    /// Whole numbers.
    Numbers(Vec<i64>),
    /// Others; not a number is null.
    Floats(Vec<f64>),
    /// Flags.
    Flags(Vec<bool>),
}

/// Codes of rows.
pub enum Codes<'a> {
    /// By row.
    Rows(Cow<'a, [u32]>),
    /// Of the few pieces that the rows share, and the number of each row's piece.
    Pieces {
        /// By piece.
        codes: Vec<u32>,
        /// By row.
        numbers: &'a [u32],
    },
}

impl Index<usize> for Codes<'_> {
    type Output = u32;

    fn index(&self, row_idx: usize) -> &u32 {
        match self {
            Self::Rows(codes) => &codes[row_idx],
            Self::Pieces { codes, numbers } => &codes[numbers[row_idx] as usize],
        }
    }
}

impl Codes<'_> {
    /// Returns the codes by row.
    pub fn by_row(&self) -> impl Iterator<Item = u32> {
        let height = match self {
            Self::Rows(codes) => codes.len(),
            Self::Pieces { numbers, .. } => numbers.len(),
        };
        (0..height).map(|row_idx| self[row_idx])
    }

    /// Returns all codes that rows have, some of them repeatedly, and perhaps some that no row has.
    pub(super) fn some(&self) -> &[u32] {
        match self {
            Self::Rows(codes) => codes,
            Self::Pieces { codes, .. } => codes,
        }
    }

    /// Returns other codes in the place of these; what is the same for rows is asked once.
    pub(super) fn map(&self, part: impl FnMut(u32) -> u32) -> Self {
        let parts = self.some().iter().copied().map(part).collect();
        match self {
            Self::Rows(_) => Self::Rows(Cow::Owned(parts)),
            Self::Pieces { numbers, .. } => Self::Pieces {
                codes: parts,
                numbers,
            },
        }
    }
}

/// Texts that are not coded.
pub enum Texts<'a> {
    /// Of a frame in memory.
    Frame(FrameTexts<'a>),
    /// Of the few rows that have one, in their order.
    Gists(&'a [(u32, Gist)], Derived),
    /// Read from a file.
    File(StringChunked),
}

impl Texts<'_> {
    /// Returns the text at `row_idx`; null is empty.
    pub fn get(&self, row_idx: usize) -> &str {
        match self {
            Self::Frame(texts) => texts.get(row_idx),
            Self::Gists(gists, derived) => {
                let found = gists.binary_search_by_key(&row_idx, |(row, _)| *row as usize);
                found.map_or("", |at| gist_text(&gists[at].1, *derived))
            }
            Self::File(texts) => texts.get(row_idx).unwrap_or_default(),
        }
    }
}

/// Returns the part of a gist that a field stands for.
pub(super) fn gist_text(gist: &Gist, derived: Derived) -> &str {
    match derived {
        Derived::RoleRef => &gist.role_ref,
        Derived::Subjects => &gist.subjects,
        Derived::PodServiceAccount => &gist.pod_service_account,
        Derived::PodFlags => &gist.pod_flags,
        Derived::PodImages => &gist.pod_images,
        _ => "",
    }
}

impl Lane<'_> {
    /// Returns the value at `row_idx` as people read it; null is empty.
    pub fn show<'l>(&'l self, row_idx: usize, vocabulary: &'l Vocabulary) -> Cow<'l, str> {
        match self {
            Self::Codes(codes) => Cow::Borrowed(vocabulary.text(codes[row_idx])),
            Self::Texts(texts) => Cow::Borrowed(texts.get(row_idx)),
            Self::Times(times) => match times[row_idx] {
                0 => Cow::Borrowed(""),
                time => Cow::Owned(time_text(time)),
            },
            Self::Numbers(numbers) => Cow::Owned(numbers[row_idx].to_string()),
            Self::Floats(floats) if floats[row_idx].is_nan() => Cow::Borrowed(""),
            Self::Floats(floats) => Cow::Owned(floats[row_idx].to_string()),
            Self::Flags(flags) => Cow::Borrowed(if flags[row_idx] { "true" } else { "false" }),
        }
    }
}

impl Lane<'_> {
    /// Returns what tells a value that is no text from others: equal ones have the same bits, and greater ones greater
    /// bits. What is no number comes last.
    pub(super) fn bits(&self, row_idx: usize) -> u64 {
        const SIGN: u64 = 1 << 63;
        match self {
            Self::Codes(codes) => codes[row_idx].into(),
            Self::Texts(_) => unreachable!("a text has no bits"),
            Self::Times(times) => times[row_idx].cast_unsigned() ^ SIGN,
            Self::Numbers(numbers) => numbers[row_idx].cast_unsigned() ^ SIGN,
            // As `f64::total_cmp` does it.
            Self::Floats(floats) => match floats[row_idx].to_bits() {
                bits if bits & SIGN != 0 => !bits,
                bits => bits | SIGN,
            },
            Self::Flags(flags) => flags[row_idx].into(),
        }
    }
}

/// Returns a time as kube-apiserver writes it.
pub fn time_text(time: i64) -> String {
    DateTime::from_timestamp_micros(time).map_or_else(
        || format!("{time}us"),
        |time| time.to_rfc3339_opts(SecondsFormat::Micros, true),
    )
}

/// The columns that a field follows from.
pub(super) fn sources(derived: Derived) -> &'static [Column] {
    match derived {
        Derived::Ms => &[Column::Ts],
        Derived::LatencyMs => &[Column::Ts, Column::StageTs],
        Derived::IsMutating => &[Column::Verb],
        Derived::SaNamespace | Derived::SaName => &[Column::Username],
        Derived::AgentFamily => &[Column::UserAgent],
        Derived::IpClass => &[Column::PeerIp],
        Derived::FieldManager => &[Column::RequestUri],
        Derived::IsDeprecated
        | Derived::RoleRef
        | Derived::Subjects
        | Derived::PodServiceAccount
        | Derived::PodFlags
        | Derived::PodImages => &[],
    }
}

/// Returns the lane of a field that follows from the lanes of its [`sources`].
pub(super) fn derive<'a>(
    derived: Derived,
    sources: &[Lane<'a>],
    height: usize,
    vocabulary: &Vocabulary,
) -> Lane<'a> {
    match (derived, sources) {
        (Derived::Ms, [Lane::Times(times)]) => {
            Lane::Numbers(times.iter().map(|time| time.div_euclid(1000)).collect())
        }
        (Derived::LatencyMs, [Lane::Times(from), Lane::Times(to)]) => {
            let latency = |(&from, &to): (&i64, &i64)| {
                view::seconds(from, to).map_or(f64::NAN, |seconds| seconds * 1000.0)
            };
            Lane::Floats(from.iter().zip(&**to).map(latency).collect())
        }
        (Derived::IsMutating, [Lane::Codes(codes)]) => {
            let is_mutating = |code: u32| is_mutating(vocabulary.text(code));
            Lane::Flags(codes.by_row().map(is_mutating).collect())
        }
        (Derived::FieldManager, [Lane::Texts(texts)]) => {
            let manager = |row_idx| match view::parameter(texts.get(row_idx), "fieldManager") {
                Some(manager) => vocabulary.code(&manager),
                None => NULL,
            };
            Lane::Codes(Codes::Rows((0..height).map(manager).collect()))
        }
        (_, [Lane::Codes(codes)]) => {
            // A value is taken apart once.
            let mut known: HashMap<u32, u32> = HashMap::new();
            Lane::Codes(codes.map(|code| {
                *known
                    .entry(code)
                    .or_insert_with(|| vocabulary.code(part(derived, vocabulary.text(code))))
            }))
        }
        _ => unreachable!("every derived field follows from its sources"),
    }
}

fn part(derived: Derived, text: &str) -> &str {
    match derived {
        Derived::SaNamespace => service_account(text).map_or("", |(namespace, _)| namespace),
        Derived::SaName => service_account(text).map_or("", |(_, name)| name),
        Derived::AgentFamily => text.split(['/', ' ']).next().unwrap_or_default(),
        Derived::IpClass => ip_class(text),
        _ => "",
    }
}

/// Returns whether a verb changes something: those of Kubernetes, and methods of HTTP for what is no resource.
pub fn is_mutating(verb: &str) -> bool {
    matches!(
        verb,
        "create" | "update" | "patch" | "delete" | "deletecollection" | "post" | "put"
    )
}

/// Says what kind of address it is: private by RFC 1918, RFC 4193 and RFC 6598 (used by clouds inside); empty for
/// what is no address.
pub fn ip_class(text: &str) -> &'static str {
    let Ok(address) = text.parse::<IpAddr>() else {
        return "";
    };
    match address.to_canonical() {
        address if address.is_loopback() => "loopback",
        IpAddr::V4(address) if address.is_link_local() => "linklocal",
        IpAddr::V6(address) if address.is_unicast_link_local() => "linklocal",
        IpAddr::V4(address) if address.is_private() || is_shared(address.octets()) => "private",
        IpAddr::V6(address) if address.is_unique_local() => "private",
        _ => "public",
    }
}

fn is_shared([first, second, ..]: [u8; 4]) -> bool {
    first == 100 && second & 0b1100_0000 == 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_class() {
        for (address, class) in [
            ("10.1.2.3", "private"),
            ("100.64.0.1", "private"),
            ("100.128.0.1", "public"),
            ("127.0.66.20", "loopback"),
            ("::1", "loopback"),
            ("::ffff:10.0.0.1", "private"),
            ("fd00::1", "private"),
            ("fe80::1", "linklocal"),
            ("169.254.169.254", "linklocal"),
            ("203.0.113.9", "public"),
            ("no address", ""),
            ("", ""),
        ] {
            assert_eq!(ip_class(address), class, "{address}");
        }
    }
}
