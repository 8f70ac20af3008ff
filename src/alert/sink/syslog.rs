//! Syslog: RFC 5424 messages over UDP (RFC 5426), TCP with octet counting (RFC 6587 section 3.4.1) or TLS (RFC 5425).
//!
//! Written here rather than taken from a crate: those at hand frame with line feeds or speak to the local daemon only.
//! Header fields are constants and settings, never log text; there is no structured data, since its names need a number
//! of one's own from IANA. The message is JSON in ASCII, or CEF. UDP and TCP tell nobody that a message arrived: it
//! counts as delivered when the system took it and, with TCP and TLS, the other side did not reset the connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::json;

use super::json::{line, object_with};
use super::text::{cut, plain};
use super::{Alert, Delivery, Outcome, Sink, address, cef};
use crate::alert::config::{SyslogConfig, SyslogFormat, Transport};
use crate::finding::{Severity, Timestamp};

/// How long the other side may take to object after the last message.
const GOODBYE: Duration = Duration::from_millis(500);

/// Sends messages to a syslog receiver.
pub(super) struct Syslog {
    name: String,
    config: SyslogConfig,
    tls: Option<Arc<ClientConfig>>,
}

impl Syslog {
    /// Returns a sink for the receiver in `config`; connects to nothing.
    ///
    /// # Errors
    /// When the host is refused, or the CA file cannot be used.
    pub(super) fn new(name: &str, config: &SyslogConfig) -> Result<Self, String> {
        address::check_host(&config.host, config.addresses).map_err(|error| error.to_string())?;
        let tls = match config.transport {
            Transport::Tls => Some(super::tls::client(config.ca_file.as_deref())?),
            Transport::Udp | Transport::Tcp => None,
        };
        Ok(Self {
            name: name.to_owned(),
            config: config.clone(),
            tls,
        })
    }

    fn try_send(&self, batch: &[&Alert], deadline: Instant) -> Result<(), String> {
        let left = || {
            deadline
                .saturating_duration_since(Instant::now())
                .min(self.config.timeout)
        };
        let words = |error: std::io::Error| format!("{}: {}", self.config.host, error.kind());
        let (host, port) = (&self.config.host, self.config.port);
        let addresses = address::resolve(host, port, self.config.addresses, left())
            .map_err(|error| error.to_string())?;
        if self.config.transport == Transport::Udp {
            return send_udp(&addresses, batch.iter().map(|alert| self.message(alert)))
                .map_err(words);
        }
        let frames: Vec<u8> = batch
            .iter()
            .flat_map(|alert| framed(&self.message(alert)))
            .collect();
        let mut stream = connect(&addresses, left()).map_err(words)?;
        let timeout = Some(left().max(Duration::from_millis(1)));
        stream
            .set_read_timeout(timeout)
            .and_then(|()| stream.set_write_timeout(timeout))
            .map_err(words)?;
        let Some(tls) = &self.tls else {
            stream.write_all(&frames).map_err(words)?;
            stream.shutdown(std::net::Shutdown::Write).map_err(words)?;
            return goodbye(&mut stream).map_err(words);
        };
        let bare = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let server = ServerName::try_from(bare).or(Err(format!("{host}: no name for TLS")))?;
        let connection = ClientConnection::new(tls.clone(), server)
            .map_err(|error| format!("{host}: TLS: {error}"))?;
        let mut secure = StreamOwned::new(connection, stream);
        let words = |error: std::io::Error| match error.kind() {
            ErrorKind::InvalidData => format!("{host}: TLS: {error}"),
            kind => format!("{host}: {kind}"),
        };
        secure
            .write_all(&frames)
            .and_then(|()| secure.flush())
            .map_err(words)?;
        secure.conn.send_close_notify();
        secure.flush().map_err(words)?;
        goodbye(&mut secure.sock).map_err(words)
    }

    /// Returns one message without framing; over UDP it has at most `max_udp_bytes`.
    fn message(&self, alert: &Alert) -> Vec<u8> {
        let head = self.header(alert);
        let limit = match self.config.transport {
            Transport::Udp => self.config.max_udp_bytes,
            Transport::Tcp | Transport::Tls => usize::MAX,
        };
        let bodies = [8192, 1024, 200]
            .into_iter()
            .map(|max| match self.config.format {
                SyslogFormat::Cef => cef::line(alert, max),
                SyslogFormat::Json => ascii(line(&object_with(alert, max, max / 400)).trim_end()),
            });
        let short = || match self.config.format {
            SyslogFormat::Cef => cef::line(alert, 20),
            SyslogFormat::Json => ascii(line(&minimal(alert)).trim_end()),
        };
        let fits = |body: &String| head.len() + body.len() <= limit;
        let body = { bodies }.find(fits).unwrap_or_else(short);
        let mut message = head + &body;
        message.truncate(message.floor_char_boundary(limit));
        message.into_bytes()
    }

    /// Returns `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID SD` and a space (RFC 5424 section 6).
    fn header(&self, alert: &Alert) -> String {
        let priority = u16::from(self.config.facility) * 8 + severity(alert.finding.severity);
        let time = calendar(alert.run.at);
        let host = self.config.hostname.as_deref().unwrap_or("-");
        format!(
            "<{priority}>1 {time} {host} kubescry - {} - ",
            alert.event.as_str()
        )
    }
}

impl Sink for Syslog {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&mut self, batch: &[&Alert], deadline: Instant) -> Delivery {
        let outcome = match self.try_send(batch, deadline) {
            Ok(()) => Outcome::Delivered,
            Err(why) => Outcome::retry(why),
        };
        Delivery::all(batch.len(), outcome)
    }

    fn preview(&self, batch: &[&Alert]) -> String {
        let messages = batch.iter().map(|alert| self.message(alert));
        messages
            .flat_map(|message| {
                [
                    String::from_utf8_lossy(&message).into_owned(),
                    "\n".to_owned(),
                ]
            })
            .collect()
    }
}

/// Sends one datagram per message, to the first address that takes them.
fn send_udp(
    addresses: &[SocketAddr],
    messages: impl Iterator<Item = Vec<u8>>,
) -> std::io::Result<()> {
    let address = addresses[0];
    let any = if address.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    for message in messages {
        socket.send(&message)?;
    }
    Ok(())
}

fn connect(addresses: &[SocketAddr], timeout: Duration) -> std::io::Result<TcpStream> {
    let each = timeout.max(Duration::from_millis(1)) / u32::try_from(addresses.len()).unwrap_or(1);
    let mut last = ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match TcpStream::connect_timeout(address, each) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Waits a moment for the end of the connection; a reset says that messages may be lost, silence says nothing.
fn goodbye(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(GOODBYE))?;
    let end = Instant::now() + GOODBYE;
    let mut dropped = [0; 512];
    while Instant::now() < end {
        match stream.read(&mut dropped) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns `message` behind its length in octets and a space.
fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = format!("{} ", message.len()).into_bytes();
    frame.extend_from_slice(message);
    frame
}

/// Returns JSON with every character beyond ASCII as `\uXXXX`, so that a message needs no byte order mark.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.extend(
                c.encode_utf16(&mut [0; 2])
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}")),
            );
        }
    }
    out
}

/// Returns the least that tells what happened, for a datagram that has no room for more.
fn minimal(alert: &Alert) -> serde_json::Value {
    let finding = &alert.finding;
    json!({
        "schema": crate::finding::SCHEMA,
        "event": alert.event.as_str(),
        "key": alert.key,
        "cluster": cut(&plain(&alert.cluster, 60), 60),
        "finding_id": plain(&finding.finding_id, 64),
        "severity": finding.severity.as_str(),
        "rule": { "name": plain(&finding.rule.name, 60) },
        "is_cut": true,
    })
}

/// Returns the severity of RFC 5424 section 6.2.1.
const fn severity(severity: Severity) -> u16 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Informational => 6,
    }
}

/// Returns `time` as the header wants it; what is out of the calendar has none.
fn calendar(time: Timestamp) -> String {
    let text = time.to_string();
    if text.len() == "2026-11-22T05:44:10.000000Z".len() {
        text
    } else {
        "-".to_owned()
    }
}

#[cfg(test)]
mod tests;
