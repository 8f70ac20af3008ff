//! E-mail: one message per batch, in plain text, through the local `sendmail` or an SMTP server.
//!
//! The subject holds counts and the cluster, no log text. `Message-ID` is made of the keys, so that a second copy is the
//! same message to whoever cares. SMTP is encrypted, with the certificate checked for the host of the configuration, and
//! goes to an address that passed the rules.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{Message, SmtpTransport, Transport};

use super::alert::batch_key;
use super::clock::Clock;
use super::{Alert, Delivery, Outcome, Sink, address, digest, process, tls};
use crate::alert::config::{EmailConfig, MailRoute, Secret, SmtpConfig, SmtpTls};

/// Alerts shown in full.
const MAX_SHOWN: usize = 50;

/// Sends mail.
pub(super) struct Email {
    name: String,
    from: Mailbox,
    to: Vec<Mailbox>,
    route: Route,
    clock: Arc<dyn Clock>,
}

enum Route {
    Sendmail(PathBuf),
    Smtp(Box<Smtp>),
}

struct Smtp {
    config: SmtpConfig,
    password: Option<Secret>,
    tls: Option<TlsParameters>,
}

impl Email {
    /// Returns a sink for the addresses in `config`; connects to nothing.
    ///
    /// # Errors
    /// When an address is none, the host is refused, or the password or the CA file cannot be used.
    pub(super) fn new(
        name: &str,
        config: &EmailConfig,
        environment: &dyn Fn(&str) -> Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let mailbox = |text: &String| {
            text.parse::<Mailbox>()
                .ok()
                .ok_or_else(|| format!("`{}` is no mail address", text.escape_debug()))
        };
        let route = match &config.route {
            MailRoute::Sendmail { program } => Route::Sendmail(program.clone()),
            MailRoute::Smtp(smtp) => Route::Smtp(Box::new(Smtp::new(smtp, environment)?)),
        };
        Ok(Self {
            name: name.to_owned(),
            from: mailbox(&config.from)?,
            to: config.to.iter().map(mailbox).collect::<Result<_, _>>()?,
            route,
            clock,
        })
    }

    fn message(&self, batch: &[&Alert]) -> Result<Message, String> {
        let micros = u64::try_from(self.clock.wall().0).unwrap_or(0);
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(digest::headline(batch))
            .date(UNIX_EPOCH + Duration::from_micros(micros))
            .message_id(Some(format!("<{}@kubescry.invalid>", batch_key(batch))));
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        let message = builder.header(ContentType::TEXT_PLAIN).body(text(batch));
        message.map_err(|error| format!("the message cannot be made: {error}"))
    }
}

impl Sink for Email {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&mut self, batch: &[&Alert], deadline: Instant) -> Delivery {
        let outcome = match self.message(batch) {
            Err(why) => Outcome::refused(why),
            Ok(message) => match &self.route {
                Route::Sendmail(program) => sendmail(program, &message, deadline),
                Route::Smtp(smtp) => smtp.send(&message, deadline),
            },
        };
        Delivery::all(batch.len(), outcome)
    }

    fn preview(&self, batch: &[&Alert]) -> String {
        let to: Vec<String> = self.to.iter().map(ToString::to_string).collect();
        format!(
            "To: {}\nSubject: {}\n\n{}",
            to.join(", "),
            digest::headline(batch),
            text(batch)
        )
    }
}

fn text(batch: &[&Alert]) -> String {
    let sorted = digest::worst_first(batch);
    let mut text: Vec<String> = sorted
        .iter()
        .take(MAX_SHOWN)
        .map(|alert| digest::block(alert))
        .collect();
    let n_more = batch.len().saturating_sub(MAX_SHOWN);
    if n_more > 0 {
        text.push(format!("and {n_more} more; `kubescry scan` lists all\n"));
    }
    text.join("\n")
}

/// Hands a message to `sendmail`, with the addresses of the configuration behind `--`.
fn sendmail(program: &std::path::Path, message: &Message, deadline: Instant) -> Outcome {
    let envelope = message.envelope();
    let from = envelope.from().map(ToString::to_string).unwrap_or_default();
    let to: Vec<String> = envelope.to().iter().map(ToString::to_string).collect();
    let args = ["-i", "-f", from.as_str(), "--"]
        .into_iter()
        .chain(to.iter().map(String::as_str));
    match process::run(program, args, &[], &message.formatted(), deadline) {
        Ok(status) if status.success() => Outcome::Delivered,
        Ok(status) => Outcome::retry(format!(
            "`{}` {}",
            program.display(),
            process::ending(status)
        )),
        Err(why) => Outcome::retry(why),
    }
}

impl Smtp {
    fn new(
        config: &SmtpConfig,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        address::check_host(&config.host, config.addresses).map_err(|error| error.to_string())?;
        let password = config
            .password
            .as_ref()
            .map(|source| source.read(environment))
            .transpose();
        let password = password.map_err(|error| error.to_string())?;
        if config.tls == SmtpTls::None {
            if !address::is_loopback(&config.host) && !config.allow_plaintext {
                return Err(
                    "mail would go unencrypted; set `allow_plaintext = true` to accept it"
                        .to_owned(),
                );
            }
            if password.is_some() {
                return Err("a password is not sent unencrypted; set `tls`".to_owned());
            }
            return Ok(Self {
                config: config.clone(),
                password,
                tls: None,
            });
        }
        let host = config.host.trim_start_matches('[').trim_end_matches(']');
        let mut builder = TlsParameters::builder(host.to_owned());
        if let Some(path) = &config.ca_file {
            builder = builder.certificate_store(CertificateStore::None);
            for certificate in tls::certificates(path)? {
                let certificate = Certificate::from_der(certificate.to_vec());
                let bad = |_| format!("`ca_file` `{}` is damaged", path.display());
                builder = builder.add_root_certificate(certificate.map_err(bad)?);
            }
        }
        let tls = builder.build().map_err(|error| format!("TLS: {error}"))?;
        Ok(Self {
            config: config.clone(),
            password,
            tls: Some(tls),
        })
    }

    fn send(&self, message: &Message, deadline: Instant) -> Outcome {
        let config = &self.config;
        let left = deadline
            .saturating_duration_since(Instant::now())
            .min(config.timeout);
        if left.is_zero() {
            return Outcome::retry("no time is left");
        }
        let addresses = match address::resolve(&config.host, config.port, config.addresses, left) {
            Ok(addresses) => addresses,
            Err(error) => return Outcome::retry(error.to_string()),
        };
        let tls = match (&self.tls, config.tls) {
            (Some(parameters), SmtpTls::Implicit) => Tls::Wrapper(parameters.clone()),
            (Some(parameters), _) => Tls::Required(parameters.clone()),
            (None, _) => Tls::None,
        };
        let mut builder = SmtpTransport::builder_dangerous(addresses[0].ip().to_string())
            .port(config.port)
            .timeout(Some(left))
            .tls(tls);
        if let (Some(username), Some(password)) = (&config.username, &self.password) {
            builder = builder.credentials(Credentials::new(
                username.clone(),
                password.expose().to_owned(),
            ));
        }
        let (transport, message) = (builder.build(), message.clone());
        let (sender, receiver) = mpsc::sync_channel(1);
        // The time-out of the library is for each step; ours is for all.
        std::thread::spawn(move || sender.send(transport.send(&message)).ok());
        match receiver.recv_timeout(left) {
            Ok(Ok(_)) => Outcome::Delivered,
            Ok(Err(error)) => {
                // The server's words may echo what was sent; its number says enough.
                let status = error.status().map_or_else(
                    || {
                        if error.is_tls() {
                            "TLS failed"
                        } else {
                            "no connection"
                        }
                        .to_owned()
                    },
                    |code| format!("the server answers {code}"),
                );
                let why = format!("{}: {status}", config.host);
                match error.status().map(u16::from) {
                    // Too large, or not to the server's taste (RFC 5321 section 4.2.3).
                    Some(552 | 554) => Outcome::refused(why),
                    _ if error.is_permanent() => Outcome::denied(why),
                    _ => Outcome::retry(why),
                }
            }
            Err(_) => Outcome::retry(format!("{}: no answer in time", config.host)),
        }
    }
}

#[cfg(test)]
mod tests;
