//! All sinks of a configuration, ready to deliver.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::alertmanager::Alertmanager;
use super::clock::{Clock, Dice};
use super::deliver::{Policy, Status, deliver};
use super::email::Email;
use super::exec::Exec;
use super::file::FileSink;
use super::http::Http;
use super::pagerduty::PagerDuty;
use super::prometheus::Prometheus;
use super::slack::Slack;
use super::stdout::Stdout;
use super::syslog::Syslog;
use super::teams::Teams;
use super::webhook::Webhook;
use super::{Alert, Metrics, Sink};
use crate::alert::config::{Config, Format, OcsfTarget, SecretSource, SinkConfig, SinkKind};

/// Why a sink of the configuration cannot be used; holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("sink `{name}`: {why}")]
pub struct SinkError {
    /// Its name in the configuration.
    pub name: String,
    /// Line of the configuration where it begins, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

/// The sinks of a configuration, in its order.
pub struct Sinks {
    entries: Vec<Entry>,
}

/// One sink and how it is fed.
pub struct Entry {
    policy: Policy,
    sink: Box<dyn Sink>,
}

impl fmt::Debug for Sinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.entries.iter().map(Entry::name))
            .finish()
    }
}

impl Sinks {
    /// Returns the sinks of `config`, with their secrets read; connects to nothing, and writes nothing.
    ///
    /// `environment` looks up a variable, as `|name| std::env::var(name).ok()` does.
    ///
    /// # Errors
    /// All sinks that cannot be used: a secret that is not there, a URL or host that is refused, a CA file.
    pub fn from_config(
        config: &Config,
        environment: &dyn Fn(&str) -> Option<String>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Vec<SinkError>> {
        let (mut entries, mut errors) = (Vec::new(), Vec::new());
        for settings in &config.sinks {
            match build(settings, environment, clock) {
                Ok(sink) => entries.push(Entry {
                    policy: settings.policy.clone(),
                    sink,
                }),
                Err(why) => errors.push(SinkError {
                    name: settings.name.clone(),
                    line: settings.line,
                    why,
                }),
            }
        }
        if errors.is_empty() {
            Ok(Self { entries })
        } else {
            Err(errors)
        }
    }

    /// Returns the sinks, in the order of the configuration.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    /// Returns the sink of this name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.name() == name)
    }

    /// Returns the sinks that could not write where they are to, each with why.
    pub fn check(&self) -> Vec<(String, String)> {
        let failed = self.entries.iter().filter_map(|entry| {
            let why = entry.sink.check().err()?;
            Some((entry.name().to_owned(), why))
        });
        failed.collect()
    }

    /// Tells all sinks how the run went; returns those that could not take it, each with why.
    pub fn finish(&mut self, metrics: &Metrics) -> Vec<(String, String)> {
        let mut failed = Vec::new();
        for entry in &mut self.entries {
            if let Err(why) = entry.sink.finish(metrics) {
                failed.push((entry.name().to_owned(), why));
            }
        }
        failed
    }
}

impl Entry {
    /// Returns the name of the sink.
    pub fn name(&self) -> &str {
        self.sink.name()
    }

    /// Returns how the sink is fed.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Delivers `alerts`; returns what became of each, in the order given. `arrived` hears of those that the target has
    /// taken as soon as it has, as indices.
    pub fn deliver(
        &mut self,
        alerts: &[&Alert],
        clock: &dyn Clock,
        dice: &mut dyn Dice,
        arrived: &mut dyn FnMut(&[usize]),
    ) -> Vec<Status> {
        let sink = self.sink.as_mut();
        deliver(sink, &self.policy, alerts, clock, dice, arrived)
    }

    /// Sends one alert whatever its severity, for `alert test-sink`; returns what became of it.
    pub fn test(&mut self, sample: &Alert, clock: &dyn Clock, dice: &mut dyn Dice) -> Status {
        let min_severity = crate::finding::Severity::Informational;
        let policy = Policy {
            min_severity,
            ..self.policy.clone()
        };
        let sink = self.sink.as_mut();
        let statuses = deliver(sink, &policy, &[sample], clock, dice, &mut |_| {});
        statuses.into_iter().next().expect("one status per alert")
    }

    /// Returns what would be sent of `alerts`, for `--dry-run`; with no secret in it.
    pub fn preview(&self, alerts: &[&Alert]) -> String {
        let wanted = alerts.iter().copied();
        let wanted: Vec<&Alert> = wanted.filter(|alert| self.policy.wants(alert)).collect();
        wanted
            .chunks(self.policy.batch.max(1))
            .map(|batch| self.sink.preview(batch))
            .collect()
    }
}

fn build(
    settings: &SinkConfig,
    environment: &dyn Fn(&str) -> Option<String>,
    clock: &Arc<dyn Clock>,
) -> Result<Box<dyn Sink>, String> {
    let name = settings.name.clone();
    let read = |source: &SecretSource| source.read(environment).map_err(|error| error.to_string());
    let option = |source: &Option<SecretSource>| source.as_ref().map(&read).transpose();
    let http = |config| Http::new(config, environment);
    let webhook = |format, config, signing, bearer| -> Result<Box<dyn Sink>, String> {
        Ok(Box::new(Webhook {
            name: name.clone(),
            http: http(config)?,
            format,
            signing: option(signing)?,
            bearer: option(bearer)?,
            is_array: settings.policy.batch > 1,
            clock: clock.clone(),
        }))
    };
    let (name, clock) = (name.clone(), clock.clone());
    Ok(match &settings.kind {
        SinkKind::Stdout { format } => Box::new(Stdout {
            name,
            format: *format,
            out: Box::new(std::io::stdout()),
        }),
        SinkKind::File { path, format } => Box::new(FileSink {
            name,
            path: path.clone(),
            format: *format,
        }),
        SinkKind::Ocsf(OcsfTarget::File(path)) => Box::new(FileSink {
            name,
            path: path.clone(),
            format: Format::Ocsf,
        }),
        SinkKind::Webhook {
            http,
            signing,
            bearer,
        } => webhook(Format::Jsonl, http, signing, bearer)?,
        SinkKind::Ocsf(OcsfTarget::Webhook {
            http,
            signing,
            bearer,
        }) => webhook(Format::Ocsf, http, signing, bearer)?,
        SinkKind::Alertmanager {
            http: config,
            bearer,
            labels,
            ends_after,
            generator_url,
        } => Box::new(Alertmanager {
            name,
            http: http(config)?,
            bearer: option(bearer)?,
            labels: labels.clone(),
            ends_after: *ends_after,
            generator_url: generator_url.clone(),
            clock,
        }),
        SinkKind::Slack { http: config } => Box::new(Slack {
            name,
            http: http(config)?,
        }),
        SinkKind::Teams { http: config } => Box::new(Teams {
            name,
            http: http(config)?,
        }),
        SinkKind::PagerDuty {
            http: config,
            routing_key,
        } => Box::new(PagerDuty {
            name,
            http: http(config)?,
            routing_key: read(routing_key)?,
            clock,
        }),
        SinkKind::Syslog(config) => Box::new(Syslog::new(&name, config)?),
        SinkKind::Email(config) => Box::new(Email::new(&name, config, environment, clock)?),
        SinkKind::Prometheus { path } => Box::new(Prometheus {
            name,
            path: path.clone(),
        }),
        SinkKind::Exec {
            program,
            args,
            pass_env,
            timeout,
        } => Box::new(Exec {
            name,
            program: program.clone(),
            args: args.clone(),
            pass_env: pass_env.clone(),
            timeout: *timeout,
        }),
    })
}
