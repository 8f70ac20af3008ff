//! Options on how logs are read.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;

use super::ThreadArgs;
use crate::decode::envelope;
use crate::pipeline::{self, GAP_US};
use crate::rules::list::PROFILES;
use crate::source::{Framing, ReadOptions};

/// Options of every command that reads logs for what is in them.
#[derive(Debug, Args)]
pub struct ReadArgs {
    /// How the input is read
    #[command(flatten)]
    pub input: InputArgs,
    /// Minutes that an API server must be silent for that to be reported
    #[arg(long, value_name = "MINUTES", default_value_t = GAP_US / 60_000_000, value_parser = clap::value_parser!(i64).range(1..))]
    pub gap: i64,
    /// Distribution that exclusion lists go by: kubeadm, EKS, AKS, GKE, OpenShift, k3s, RKE2 or none [default: told from
    /// the log]
    #[arg(long, value_name = "NAME", value_parser = parse_profile, help_heading = "Rules")]
    pub profile: Option<String>,
}

impl ReadArgs {
    /// Returns the options of a run over `paths`.
    pub(super) fn options(&self, paths: &[PathBuf]) -> pipeline::Options {
        pipeline::Options {
            gap_us: self.gap.saturating_mul(60_000_000),
            profile: self.profile.clone(),
            ..self.input.options(paths)
        }
    }
}

/// Options on how input becomes events.
#[derive(Debug, Args)]
pub struct InputArgs {
    /// How many threads do the work
    #[command(flatten)]
    pub threads: ThreadArgs,
    /// Longest line that is read, in bytes; longer ones are counted and passed over
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value_t = ReadOptions::default().max_line_bytes)]
    pub max_line: usize,
    /// What a compressed file may unpack to, in bytes; the rest of it is not read
    #[arg(long, value_name = "BYTES", value_parser = parse_limit, default_value_t = ReadOptions::default().max_decompressed_bytes)]
    pub max_decompressed: u64,
    /// What the events are wrapped in, if the guess is wrong; `help` lists the names
    #[arg(long, value_name = "NAME", value_parser = InputFormat::parse, default_value = "auto")]
    pub input_format: InputFormat,
    /// Bytes decoded at a time by a thread; results do not depend on it
    #[arg(long, value_name = "BYTES", default_value_t = ReadOptions::default().chunk_bytes, hide = true)]
    pub chunk_size: usize,
}

impl InputArgs {
    /// Returns the options of a run over `paths`.
    pub(super) fn options(&self, paths: &[PathBuf]) -> pipeline::Options {
        pipeline::Options {
            paths: paths.to_vec(),
            threads: self.threads.count(),
            read: ReadOptions {
                chunk_bytes: self.chunk_size.max(1),
                max_line_bytes: self.max_line.max(1),
                max_decompressed_bytes: self.max_decompressed,
                framing: self.input_format.framing,
                ..ReadOptions::default()
            },
            format: self.input_format.format,
            ..pipeline::Options::default()
        }
    }
}

/// What the input is, as far as the user says.
#[derive(Debug, Clone, Copy, Default)]
pub struct InputFormat {
    framing: Option<Framing>,
    format: Option<envelope::Format>,
}

impl InputFormat {
    /// Ways to separate records, whatever is in them.
    const FRAMINGS: [(&'static str, Framing, &'static str); 2] = [
        ("lines", Framing::Lines, "one record a line"),
        (
            "documents",
            Framing::Documents,
            "JSON documents, however they are laid out",
        ),
    ];

    fn parse(name: &str) -> Result<Self, String> {
        if name == "auto" {
            return Ok(Self::default());
        }
        let framing = Self::FRAMINGS.iter().find(|(known, ..)| *known == name);
        if let Some((_, framing, _)) = framing {
            return Ok(Self {
                framing: Some(*framing),
                format: None,
            });
        }
        if let Ok(format) = name.parse() {
            return Ok(Self {
                framing: (format == envelope::Format::Csv).then_some(Framing::Csv),
                format: Some(format),
            });
        }
        Err(format!("one of\n{}", Self::names()))
    }

    /// Returns a line for each name that is known, and what it means.
    pub(super) fn names() -> String {
        let framings = Self::FRAMINGS.iter().map(|(name, _, what)| (*name, *what));
        let formats = envelope::Format::ALL.map(|format| (format.name(), format.description()));
        let mut text = "  auto            told from the content".to_owned();
        for (name, what) in framings.chain(formats) {
            let _ = write!(text, "\n  {name:<15} {what}");
        }
        text
    }
}

/// Reads a number of bytes, with a unit or not.
pub(super) fn parse_bytes(text: &str) -> Result<usize, String> {
    let wrong = || "a number of bytes, such as 500M or 4G".to_owned();
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let shift = match unit
        .to_ascii_uppercase()
        .trim_end_matches("IB")
        .trim_end_matches('B')
    {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return Err(wrong()),
    };
    let number: usize = number.parse().map_err(|_cause| wrong())?;
    number
        .checked_mul(1 << shift)
        .filter(|&bytes| bytes > 0)
        .ok_or_else(wrong)
}

fn parse_limit(text: &str) -> Result<u64, String> {
    parse_bytes(text).map(|bytes| bytes as u64)
}

fn parse_profile(text: &str) -> Result<String, String> {
    let known = PROFILES.iter().copied().chain(["none"]);
    let mut fitting = known.clone().filter(|name| name.eq_ignore_ascii_case(text));
    fitting
        .next()
        .map(str::to_owned)
        .ok_or_else(|| format!("one of {}", known.collect::<Vec<_>>().join(", ")))
}
