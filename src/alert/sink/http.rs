//! One POST over HTTP: to a checked address, without redirects, bounded in time and in what is read of the answer.
//!
//! The URL comes from the configuration and is taken as a secret; it is shown without user, path and query. The answer's
//! body is read (so that the connection can be used again) up to [`MAX_ANSWER_BYTES`] and not looked at: it may echo what
//! was sent.

use std::fmt;
use std::io::Read;
use std::time::{Duration, Instant};

use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Proxy};

use super::address::{self, AddressError, AddressRules};
use super::text::plain;
use super::{Outcome, tls};
use crate::alert::config::{HttpConfig, Secret};

/// Bytes of an answer's body that are read at most.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;

/// Time for the body of an answer, which says nothing that is needed.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest pause that a `Retry-After` is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// A target that takes POST requests.
pub(super) struct Http {
    agent: Agent,
    url: Secret,
    shown: String,
    timeout: Duration,
}

/// Shows where requests go, and nothing that is secret.
impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("url", &self.shown)
            .finish_non_exhaustive()
    }
}

/// Names are constants; values are keys, numbers, signatures or secrets.
pub(super) type Headers = Vec<(&'static str, Secret)>;

impl Http {
    /// Returns a client for the target in `config`; connects to nothing.
    ///
    /// # Errors
    /// When the URL is no HTTP URL or its host is refused, or the CA file cannot be used; without secrets.
    pub(super) fn new(
        config: &HttpConfig,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let url = config
            .url
            .read(environment)
            .map_err(|error| error.to_string())?;
        let uri = check_url(url.expose(), config)?;
        let mut trust = TlsConfig::builder();
        if let Some(path) = &config.ca_file {
            let certificates = tls::certificates(path)?;
            let certificates: Vec<Certificate<'static>> = certificates
                .iter()
                .map(|certificate| Certificate::from_der(certificate).to_owned())
                .collect();
            trust = trust.root_certs(RootCerts::new_with_certs(&certificates));
        }
        let proxy = if config.proxy {
            Proxy::try_from_env()
        } else {
            None
        };
        let settings = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Without this line the variables of the environment would decide.
            .proxy(proxy)
            .user_agent(concat!("kubescry/", env!("CARGO_PKG_VERSION")))
            .tls_config(trust.build())
            .max_response_header_size(64 * 1024)
            .build();
        let resolver = Checked {
            rules: config.addresses,
        };
        Ok(Self {
            agent: Agent::with_parts(settings, DefaultConnector::default(), resolver),
            shown: shown(&uri),
            url,
            timeout: config.timeout,
        })
    }

    /// Returns what [`Self::post`] would send, for people: the URL without user, path and query.
    pub(super) fn preview(&self, json: &str) -> String {
        format!("POST {}\n{json}", self.shown)
    }

    /// Sends JSON in one request; says what the answer, or its absence, means.
    pub(super) fn post(&self, json: &str, headers: &Headers, deadline: Instant) -> Outcome {
        let left = deadline
            .saturating_duration_since(Instant::now())
            .min(self.timeout);
        if left.is_zero() {
            return Outcome::retry("no time is left");
        }
        let mut request = self
            .agent
            .post(self.url.expose())
            .config()
            .timeout_global(Some(left))
            .timeout_recv_body(Some(BODY_TIMEOUT.min(left)))
            .build()
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, value.expose());
        }
        match request.send(json) {
            Ok(mut answer) => {
                let after = answer
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok());
                let outcome = meaning(answer.status().as_u16(), after.and_then(retry_after));
                let body = answer.body_mut().as_reader().take(MAX_ANSWER_BYTES);
                // Whether the rest arrives changes nothing: the status was the answer.
                std::io::copy(&mut { body }, &mut std::io::sink()).ok();
                outcome
            }
            Err(ureq::Error::RedirectFailed | ureq::Error::TooManyRedirects) => redirected(),
            Err(error) => Outcome::retry(format!("{}: {}", self.shown, describe(&error))),
        }
    }
}

/// Returns what a status code says about the alerts that were sent (RFC 9110 section 15.5).
///
/// Only few say that it is the message: what has to do with who we are, where we send to and how is the same for every
/// alert, and may be mended.
fn meaning(status: u16, after: Option<Duration>) -> Outcome {
    let why = format!("the target answers {status}");
    let denied = |what: &str| Outcome::denied(format!("{why}: {what}"));
    match status {
        200..=299 => Outcome::Delivered,
        300..=399 => redirected(),
        408 | 425 | 429 | 500..=599 => Outcome::Retry { after, why },
        400 | 409 | 413 | 422 => Outcome::refused(why),
        401 | 403 | 407 => denied("are token and address right?"),
        404 | 405 | 410 => denied("is the address right?"),
        _ => Outcome::denied(why),
    }
}

fn redirected() -> Outcome {
    Outcome::denied(
        "the target answers with a redirect, which is not followed: it has another address",
    )
}

/// Reads a `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    let pause = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = chrono::DateTime::parse_from_rfc2822(value).ok()?;
        let until = date.with_timezone(&chrono::Utc) - chrono::Utc::now();
        until.to_std().unwrap_or_default()
    };
    Some(pause.min(MAX_RETRY_AFTER))
}

/// Returns what went wrong, in words that cannot hold the URL or a header.
fn describe(error: &ureq::Error) -> String {
    let tls = |error: &rustls::Error| format!("TLS: {}", plain(&error.to_string(), 300));
    match error {
        ureq::Error::Io(error) => {
            let inner = error.get_ref();
            if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<AddressError>()) {
                return error.to_string();
            }
            inner
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
                .map_or_else(|| error.kind().to_string(), tls)
        }
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::HostNotFound => "the name cannot be resolved".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::Rustls(error) => tls(error),
        ureq::Error::Tls(what) => format!("TLS: {what}"),
        ureq::Error::Protocol(_) => "the answer is not HTTP".to_owned(),
        _ => "the request failed".to_owned(),
    }
}

/// Checks a URL as far as it goes without a connection.
fn check_url(url: &str, config: &HttpConfig) -> Result<Uri, String> {
    let uri: Uri = url.parse().or(Err("the URL is not a URL".to_owned()))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err("the URL must begin with `https://` and a host".to_owned());
    };
    if authority.as_str().contains('@') {
        return Err(
            "the URL must not hold a user or a password; use `bearer_env` or `bearer_file`"
                .to_owned(),
        );
    }
    if url.contains('#') {
        return Err("the URL must not hold a fragment (`#`)".to_owned());
    }
    let host = authority.host();
    // What the parser makes of a port such as `:0x50` or an empty one is not worth finding out.
    if authority.as_str() != host && authority.port_u16().is_none_or(|port| port == 0) {
        return Err("the URL has no usable port behind `:`".to_owned());
    }
    address::check_host(host, config.addresses).map_err(|error| error.to_string())?;
    match scheme {
        "https" => Ok(uri),
        "http" if config.allow_http || address::is_loopback(host) => Ok(uri),
        "http" => {
            Err("the URL is not encrypted; use `https://`, or set `allow_http = true`".to_owned())
        }
        _ => Err("the URL must begin with `https://`".to_owned()),
    }
}

/// Returns scheme, host and port of `uri`.
fn shown(uri: &Uri) -> String {
    let authority = uri.authority().map(ureq::http::uri::Authority::as_str);
    format!(
        "{}://{}",
        uri.scheme_str().unwrap_or_default(),
        authority.unwrap_or_default()
    )
}

/// The resolver of all connections: what it returns is what is connected to.
#[derive(Debug)]
struct Checked {
    rules: AddressRules,
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let default_port = if uri.scheme_str() == Some("http") {
            80
        } else {
            443
        };
        let port = uri.port_u16().unwrap_or(default_port);
        let limit = (*timeout.after).min(Duration::from_secs(10));
        let found = address::resolve(host, port, self.rules, limit);
        let found = found.map_err(|error| ureq::Error::Io(std::io::Error::other(error)))?;
        let mut addresses = self.empty();
        for address in found.into_iter().take(16) {
            addresses.push(address);
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests;
