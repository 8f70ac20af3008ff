//! Messages and frames as the RFCs have them.

use std::net::TcpListener;

use super::*;
use crate::alert::sink::Event;
use crate::alert::sink::address::AddressRules;
use crate::alert::sink::tests::{HOSTILE, alert, many};

fn config(transport: Transport, format: SyslogFormat, port: u16) -> SyslogConfig {
    SyslogConfig {
        host: "127.0.0.1".to_owned(),
        port,
        transport,
        format,
        facility: 13,
        hostname: Some("cp-1".to_owned()),
        max_udp_bytes: 2048,
        ca_file: None,
        addresses: AddressRules::default(),
        timeout: Duration::from_secs(2),
    }
}

fn sink(transport: Transport, format: SyslogFormat, port: u16) -> Syslog {
    Syslog::new("syslog", &config(transport, format, port)).unwrap()
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[test]
fn header_is_that_of_rfc_5424() {
    let sink = sink(Transport::Tcp, SyslogFormat::Json, 9);
    let message = sink.message(&alert(Event::New, Severity::High, "jane"));
    let text = String::from_utf8(message).unwrap();
    let (head, body) = text.split_at(text.find('{').unwrap());
    // 13 * 8 + 3 = 107.
    assert_eq!(
        head,
        "<107>1 2026-11-22T06:00:00.000000Z cp-1 kubescry - new - "
    );
    let value: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(value["actor"]["username"], "jane");
}

#[test]
fn datagrams_keep_to_their_limit_and_stay_whole() {
    let long = "ü\"\\\n".repeat(250_000);
    for text in HOSTILE.into_iter().chain([long.as_str()]) {
        let alert = alert(Event::New, Severity::High, text);
        for limit in [480, 1024, 2048, 65_507] {
            for format in [SyslogFormat::Json, SyslogFormat::Cef] {
                let mut config = config(Transport::Udp, format, 9);
                config.max_udp_bytes = limit;
                let message = Syslog::new("syslog", &config).unwrap().message(&alert);
                assert!(message.len() <= limit, "{} {limit}", message.len());
                assert!(!message.iter().any(|byte| *byte < b' '), "{text}");
                let text = String::from_utf8(message).unwrap();
                if format == SyslogFormat::Json {
                    assert!(text.is_ascii());
                    let body = &text[text.find('{').unwrap()..];
                    let value: serde_json::Value = serde_json::from_str(body).unwrap();
                    assert_eq!(value["key"], alert.key.as_str());
                }
            }
        }
    }
}

#[test]
fn udp_sends_a_datagram_per_alert() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut sink = sink(
        Transport::Udp,
        SyslogFormat::Json,
        receiver.local_addr().unwrap().port(),
    );
    let alerts = many(3);
    let batch: Vec<&Alert> = alerts.iter().collect();
    assert_eq!(
        sink.send(&batch, deadline()),
        Delivery::all(3, Outcome::Delivered)
    );
    for alert in alerts {
        let mut datagram = [0; 4096];
        let n_bytes = receiver.recv(&mut datagram).unwrap();
        assert!(String::from_utf8_lossy(&datagram[..n_bytes]).contains(&alert.key));
    }
}

#[test]
fn tcp_counts_octets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut text).unwrap();
        text
    });
    let mut sink = sink(Transport::Tcp, SyslogFormat::Json, port);
    let hostile: Vec<Alert> = HOSTILE
        .iter()
        .map(|text| alert(Event::New, Severity::High, text))
        .collect();
    let batch: Vec<&Alert> = hostile.iter().collect();
    let delivery = sink.send(&batch, deadline());
    assert_eq!(delivery, Delivery::all(batch.len(), Outcome::Delivered));
    let stream = reader.join().unwrap();
    let (mut rest, mut n_messages) = (stream.as_slice(), 0);
    while !rest.is_empty() {
        let blank = rest.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&rest[..blank])
            .unwrap()
            .parse()
            .unwrap();
        let message = &rest[blank + 1..blank + 1 + length];
        assert!(message.starts_with(b"<107>1 ") && message.ends_with(b"}"));
        rest = &rest[blank + 1 + length..];
        n_messages += 1;
    }
    assert_eq!(n_messages, HOSTILE.len());
}

#[test]
fn nobody_there_is_tried_again() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let alert = alert(Event::New, Severity::High, "x");
    for transport in [Transport::Tcp, Transport::Tls] {
        let delivery = sink(transport, SyslogFormat::Json, port).send(&[&alert], deadline());
        assert!(
            matches!(delivery.outcomes[..], [Outcome::Retry { .. }]),
            "{delivery:?}"
        );
    }
}

#[test]
fn tls_to_a_stranger_fails_before_a_message_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let reader = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut first = [0; 4096];
        let n_bytes = stream.read(&mut first).unwrap();
        stream.write_all(b"<107>1 not TLS\n").ok();
        first[..n_bytes].to_vec()
    });
    let alert = alert(Event::New, Severity::High, "x");
    let delivery = sink(Transport::Tls, SyslogFormat::Json, port).send(&[&alert], deadline());
    assert!(
        matches!(delivery.outcomes[..], [Outcome::Retry { .. }]),
        "{delivery:?}"
    );
    let sent = reader.join().unwrap();
    assert_eq!(sent[0], 0x16, "a TLS handshake");
    assert!(!String::from_utf8_lossy(&sent).contains("kubescry"));
}

#[test]
fn hosts_are_checked_as_everywhere() {
    for host in [
        "169.254.169.254",
        "10.0.0.1",
        "0x7f.1",
        "[fe80::1]",
        "::",
        "a b",
    ] {
        let mut config = config(Transport::Udp, SyslogFormat::Json, 514);
        host.clone_into(&mut config.host);
        assert!(Syslog::new("syslog", &config).is_err(), "{host}");
    }
}
