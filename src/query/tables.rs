//! The tables: what is kept, as Polars scans it.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use polars::prelude::{
    AnonymousScan, AnonymousScanArgs, Column as Series, DataFrame, DataType, Field as SchemaField,
    Int64Chunked, IntoLazy, IntoSeries, LazyFrame, NewChunkedArray, PlSmallStr, PolarsError,
    PolarsResult, ScanArgsAnonymous, Schema, SchemaRef, StringChunked, TimeUnit, TimeZone,
};
use polars::sql::SQLContext;
use rayon::prelude::*;

use super::Tables;
use crate::finding::credential::Credential;
use crate::finding::{Finding, Timestamp};
use crate::store::filter::Rows;
use crate::store::{Field, Kind, Snapshot, StoreError};

/// A column of a table, for people.
#[derive(Debug, Clone, Copy)]
pub struct TableColumn {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Whether it holds lists, as JSON text.
    pub is_list: bool,
}

/// How the meaning of a column ends that holds lists.
pub const AS_LIST: &str = ", as a JSON list.";

/// The names of the tables and what a row of each is.
pub const TABLES: [(&str, &str); 4] = [
    ("events", "an audit event: one stage of a request"),
    (
        "requests",
        "a request, by the most final of its events; the columns of `events`",
    ),
    ("findings", "a finding of the rules"),
    ("credentials", "a credential that was used or minted"),
];

impl Tables {
    pub(super) fn register(&self, context: &mut SQLContext) {
        for (name, rows) in [("events", Rows::Events), ("requests", Rows::Requests)] {
            let scan = Scan {
                snapshot: self.snapshot.clone(),
                rows,
            };
            let frame = LazyFrame::anonymous_scan(
                Arc::new(scan),
                ScanArgsAnonymous {
                    schema: Some(schema()),
                    name: "KUBESCRY",
                    ..ScanArgsAnonymous::default()
                },
            );
            context.register(
                name,
                frame.expect("a scan with a schema needs nothing else"),
            );
        }
        context.register("findings", findings(&self.findings).lazy());
        context.register("credentials", credentials(&self.credentials).lazy());
    }

    /// Returns the columns of a table.
    pub fn columns(table: &str) -> Vec<TableColumn> {
        let named = |columns: &[(&'static str, &'static str)]| {
            columns
                .iter()
                .map(|&(name, meaning)| TableColumn {
                    name,
                    meaning,
                    is_list: meaning.ends_with(AS_LIST),
                })
                .collect()
        };
        match table {
            "findings" => named(&FINDINGS.map(|(name, meaning, _)| (name, meaning))),
            "credentials" => named(&CREDENTIALS.map(|(name, meaning, _)| (name, meaning))),
            _ => Field::all()
                .map(|field| TableColumn {
                    name: field.name(),
                    meaning: field.meaning(),
                    is_list: field.kind() == Kind::List,
                })
                .collect(),
        }
    }
}

/// Kept events as a source of Polars: columns are built when a plan names them.
struct Scan {
    snapshot: Snapshot,
    rows: Rows,
}

fn time_type() -> DataType {
    DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))
}

fn schema() -> SchemaRef {
    let fields = Field::all().map(|field| {
        let data_type = match field.kind() {
            Kind::Code | Kind::List | Kind::Text => DataType::String,
            Kind::Time => time_type(),
            Kind::Number => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Flag => DataType::Boolean,
        };
        SchemaField::new(PlSmallStr::from_static(field.name()), data_type)
    });
    Arc::new(fields.collect::<Schema>())
}

impl AnonymousScan for Scan {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn allows_projection_pushdown(&self) -> bool {
        true
    }

    fn scan(&self, arguments: AnonymousScanArgs) -> PolarsResult<DataFrame> {
        let fields: Vec<Field> = match &arguments.with_columns {
            Some(names) => names
                .iter()
                .filter_map(|name| Field::by_name(name))
                .collect(),
            None => Field::all().collect(),
        };
        let columns = fields
            .par_iter()
            .map(|&field| {
                let failed =
                    |error: StoreError| PolarsError::ComputeError(error.to_string().into());
                let series = self.snapshot.series(field, self.rows).map_err(failed)?;
                match field.kind() {
                    Kind::Time => series.cast(&time_type()),
                    _ => Ok(series),
                }
            })
            .collect::<PolarsResult<Vec<Series>>>()?;
        let height = usize::try_from(self.snapshot.count(self.rows)).unwrap_or(usize::MAX);
        let frame = DataFrame::new(height, columns)?;
        Ok(match arguments.n_rows {
            Some(n_rows) => frame.head(Some(n_rows)),
            None => frame,
        })
    }
}

/// How a column is made of a row of type `T`.
enum Make<T> {
    Text(fn(&T) -> Option<String>),
    Time(fn(&T) -> Option<Timestamp>),
    Number(fn(&T) -> Option<i64>),
}

use Make::{Number, Text, Time};

fn number(count: u64) -> Option<i64> {
    i64::try_from(count).ok()
}

fn list(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| serde_json::to_string(texts).expect("texts are JSON"))
}

fn lines(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn peers(credential: &Credential) -> Vec<String> {
    distinct(credential.uses.iter().map(|used| used.peer.as_ref()))
}

fn agents(credential: &Credential) -> Vec<String> {
    distinct(credential.uses.iter().map(|used| used.user_agent.as_ref()))
}

fn distinct<'a>(texts: impl Iterator<Item = Option<&'a String>>) -> Vec<String> {
    let texts: BTreeSet<&String> = texts.flatten().collect();
    texts.into_iter().cloned().collect()
}

/// Name, meaning, and how it is made.
const FINDINGS: [(&str, &str, Make<Finding>); 28] = [
    (
        "finding_id",
        "Stable identity.",
        Text(|f| Some(f.finding_id.clone())),
    ),
    (
        "incident_id",
        "The incident it is in.",
        Text(|f| f.incident_id.clone()),
    ),
    (
        "family",
        "Headline family or ATT&CK tactic.",
        Text(|f| Some(f.family.clone())),
    ),
    (
        "severity",
        "`informational` to `critical`.",
        Text(|f| Some(f.severity.to_string())),
    ),
    (
        "severity_rank",
        "0 to 4, to sort by.",
        Number(|f| Some(f.severity as i64)),
    ),
    (
        "confidence",
        "`low`, `medium` or `high`.",
        Text(|f| Some(f.confidence.as_str().to_owned())),
    ),
    (
        "rule",
        "Name of the rule.",
        Text(|f| Some(f.rule.name.clone())),
    ),
    (
        "rule_title",
        "Its title.",
        Text(|f| Some(f.rule.title.clone())),
    ),
    (
        "rule_kind",
        "`sigma`, `correlation` or `analytic`.",
        Text(|f| Some(f.rule.kind.as_str().to_owned())),
    ),
    (
        "summary",
        "One sentence with the facts.",
        Text(|f| Some(f.summary.clone())),
    ),
    ("first_seen", "First request.", Time(|f| Some(f.first_seen))),
    ("last_seen", "Last request.", Time(|f| Some(f.last_seen))),
    (
        "first_ms",
        "The same in milliseconds.",
        Number(|f| Some(f.first_seen.0.div_euclid(1000))),
    ),
    (
        "last_ms",
        "The same in milliseconds.",
        Number(|f| Some(f.last_seen.0.div_euclid(1000))),
    ),
    ("count", "Requests.", Number(|f| number(f.count))),
    (
        "username",
        "Who did it.",
        Text(|f| f.actor.username.clone()),
    ),
    (
        "identity_kind",
        "What kind of identity that is.",
        Text(|f| f.actor.kind.clone()),
    ),
    (
        "credential",
        "The best key of the credential.",
        Text(|f| f.actor.credential_id.clone()),
    ),
    (
        "impersonated",
        "Whom it impersonated.",
        Text(|f| f.actor.impersonated.clone()),
    ),
    (
        "peer_ips",
        "Addresses, as a JSON list.",
        Text(|f| list(&f.source.ips)),
    ),
    (
        "user_agents",
        "User agents, as a JSON list.",
        Text(|f| list(&f.source.user_agents)),
    ),
    (
        "resource",
        "What it was done to.",
        Text(|f| f.target.resource.clone()),
    ),
    (
        "subresource",
        "Its subresource.",
        Text(|f| f.target.subresource.clone()),
    ),
    (
        "namespace",
        "Its namespace.",
        Text(|f| f.target.namespace.clone()),
    ),
    ("name", "Its name.", Text(|f| f.target.name.clone())),
    (
        "attack",
        "ATT&CK techniques, as a JSON list.",
        Text(|f| list(&f.attack)),
    ),
    (
        "why",
        "Conditions and the values that met them, a line each.",
        Text(|f| lines(&f.why)),
    ),
    (
        "next_steps",
        "What to check and to revoke, a line each.",
        Text(|f| lines(&f.next_steps)),
    ),
];

/// Likewise.
const CREDENTIALS: [(&str, &str, Make<Credential>); 20] = [
    (
        "credential",
        "The best key that the log offers.",
        Text(|c| Some(c.credential.clone())),
    ),
    (
        "credential_kind",
        "Authentication method, as far as the log can tell.",
        Text(|c| Some(c.credential_kind.clone())),
    ),
    (
        "username",
        "Whose it is.",
        Text(|c| Some(c.username.clone())),
    ),
    (
        "identity_kind",
        "What kind of identity that is.",
        Text(|c| Some(c.identity_kind.clone())),
    ),
    (
        "user_uid",
        "Uid of the owner.",
        Text(|c| c.user_uid.clone()),
    ),
    (
        "token_pod",
        "The Pod it is bound to.",
        Text(|c| c.token_pod.clone()),
    ),
    ("first_use", "First use.", Time(|c| c.first_use)),
    ("last_use", "Last use.", Time(|c| c.last_use)),
    ("requests", "Requests.", Number(|c| number(c.requests))),
    (
        "peers",
        "Addresses, as a JSON list.",
        Text(|c| list(&peers(c))),
    ),
    (
        "n_peers",
        "How many.",
        Number(|c| i64::try_from(peers(c).len()).ok()),
    ),
    (
        "user_agents",
        "User agents, as a JSON list.",
        Text(|c| list(&agents(c))),
    ),
    (
        "n_agents",
        "How many.",
        Number(|c| i64::try_from(agents(c).len()).ok()),
    ),
    (
        "minted_by",
        "Who asked for it.",
        Text(|c| Some(c.minted.as_ref()?.by.clone())),
    ),
    (
        "minted_with",
        "With which credential.",
        Text(|c| Some(c.minted.as_ref()?.with.clone())),
    ),
    ("minted_at", "When.", Time(|c| Some(c.minted.as_ref()?.at))),
    (
        "ended_at",
        "When what it rests on was deleted.",
        Time(|c| Some(c.ended.as_ref()?.at)),
    ),
    (
        "ended_by",
        "Who deleted it.",
        Text(|c| Some(c.ended.as_ref()?.by.clone())),
    ),
    (
        "ended_object",
        "What was deleted.",
        Text(|c| Some(c.ended.as_ref()?.object.clone())),
    ),
    (
        "uses_after_end",
        "Requests that were served after that.",
        Number(|c| number(c.uses_after_end)),
    ),
];

fn findings(findings: &[Finding]) -> DataFrame {
    frame(findings, &FINDINGS)
}

fn credentials(credentials: &[Credential]) -> DataFrame {
    frame(credentials, &CREDENTIALS)
}

fn frame<T>(rows: &[T], columns: &[(&'static str, &'static str, Make<T>)]) -> DataFrame {
    let columns = columns.iter().map(|(name, _, make)| {
        let name = PlSmallStr::from_static(name);
        let series = match make {
            Text(text) => {
                let texts = rows.iter().map(text);
                let texts = texts.map(|text| text.filter(|text| !text.is_empty()));
                StringChunked::from_iter_options(name, texts).into_series()
            }
            Number(number) => {
                Int64Chunked::from_iter_options(name, rows.iter().map(number)).into_series()
            }
            Time(time) => {
                let times = rows.iter().map(|row| time(row).map(|time| time.0));
                let times = Int64Chunked::from_iter_options(name, times);
                let times = times.into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC));
                times.into_series()
            }
        };
        Series::from(series)
    });
    DataFrame::new(rows.len(), columns.collect())
        .expect("columns of one height with their own names")
}
