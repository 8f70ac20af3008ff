//! TLS as it should be: trusted certificates only, and nothing sent to anybody else.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{alert, http_config};
use crate::alert::config::{SyslogConfig, SyslogFormat, Transport};
use crate::alert::sink::address::AddressRules;
use crate::alert::sink::http::Http;
use crate::alert::sink::syslog::Syslog;
use crate::alert::sink::{Event, Outcome, Sink};
use crate::finding::Severity;

/// Makes an authority and a server's certificate for `subject`; `None`, and a word about it, without openssl.
fn certificates(folder: &Path, subject: &str) -> Option<[PathBuf; 3]> {
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    std::fs::write(file("ext"), format!("subjectAltName={subject}\n")).unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let commands = [
        format!(
            "req -x509 {key} -keyout {} -out {} -days 2 -subj /CN=ca",
            file("ca.key"),
            file("ca.pem")
        ),
        format!(
            "req {key} -keyout {} -out {} -subj /CN=leaf",
            file("leaf.key"),
            file("leaf.csr")
        ),
        format!(
            "x509 -req -in {} -CA {} -CAkey {} -CAcreateserial -days 2 -extfile {} -out {}",
            file("leaf.csr"),
            file("ca.pem"),
            file("ca.key"),
            file("ext"),
            file("leaf.pem")
        ),
    ];
    for command in commands {
        let output = match Command::new("openssl").args(command.split(' ')).output() {
            Ok(output) => output,
            Err(error) => {
                println!("skipped: openssl cannot be run: {error}");
                return None;
            }
        };
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Some(["ca.pem", "leaf.pem", "leaf.key"].map(|name| folder.join(name)))
}

/// Serves TLS, keeps what it reads, and answers each connection with `answer`.
fn serve(certificate: &Path, key: &Path, answer: &'static str) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let chain = CertificateDer::pem_file_iter(certificate)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shared = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream
                .set_read_timeout(Some(Duration::from_secs(2)))
                .unwrap();
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            let mut piece = [0; 16_384];
            while let Ok(n_bytes @ 1..) = stream.read(&mut piece) {
                shared.lock().unwrap().extend_from_slice(&piece[..n_bytes]);
                if !answer.is_empty() {
                    stream.write_all(answer.as_bytes()).ok();
                    break;
                }
            }
        }
    });
    (port, seen)
}

fn post(http: &Http) -> Outcome {
    http.post("{}", &Vec::new(), Instant::now() + Duration::from_secs(5))
}

#[test]
fn https_trusts_its_own_authority_and_no_stranger() {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let folder = tempfile::tempdir().unwrap();
    let Some([ca, leaf, key]) = certificates(folder.path(), "IP:127.0.0.1") else {
        return;
    };
    let (port, seen) = serve(&leaf, &key, OK);
    let mut config = http_config(&format!("https://127.0.0.1:{port}/planted"));
    let outcome = post(&Http::new(&config, &|_| None).unwrap());
    assert!(
        matches!(&outcome, Outcome::Retry { why, .. } if why.contains("TLS: ")),
        "{outcome:?}"
    );
    assert!(!format!("{outcome:?}").contains("planted"));
    assert!(seen.lock().unwrap().is_empty(), "nothing was sent");
    config.ca_file = Some(ca);
    assert_eq!(
        post(&Http::new(&config, &|_| None).unwrap()),
        Outcome::Delivered
    );
    assert!(
        seen.lock()
            .unwrap()
            .starts_with(b"POST /planted HTTP/1.1\r\n")
    );
}

#[test]
fn a_certificate_for_somebody_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let Some([ca, leaf, key]) = certificates(folder.path(), "DNS:other.example") else {
        return;
    };
    let (port, seen) = serve(&leaf, &key, "HTTP/1.1 200 OK\r\n\r\n");
    let mut config = http_config(&format!("https://127.0.0.1:{port}/"));
    config.ca_file = Some(ca);
    assert_ne!(
        post(&Http::new(&config, &|_| None).unwrap()),
        Outcome::Delivered
    );
    assert!(seen.lock().unwrap().is_empty());
}

#[test]
fn syslog_over_tls_counts_octets() {
    let folder = tempfile::tempdir().unwrap();
    let Some([ca, leaf, key]) = certificates(folder.path(), "IP:127.0.0.1") else {
        return;
    };
    let (port, seen) = serve(&leaf, &key, "");
    let mut config = SyslogConfig {
        host: "127.0.0.1".to_owned(),
        port,
        transport: Transport::Tls,
        format: SyslogFormat::Json,
        facility: 13,
        hostname: None,
        max_udp_bytes: 2048,
        ca_file: None,
        addresses: AddressRules::default(),
        timeout: Duration::from_secs(3),
    };
    let alert = alert(Event::New, Severity::High, "jane");
    let send = |config: &SyslogConfig| {
        let mut sink = Syslog::new("syslog", config).unwrap();
        sink.send(&[&alert, &alert], Instant::now() + Duration::from_secs(5))
            .outcomes
    };
    assert!(matches!(
        send(&config)[..],
        [Outcome::Retry { .. }, Outcome::Retry { .. }]
    ));
    config.ca_file = Some(ca);
    assert_eq!(send(&config), [Outcome::Delivered, Outcome::Delivered]);
    std::thread::sleep(Duration::from_millis(100));
    let text = String::from_utf8(seen.lock().unwrap().clone()).unwrap();
    let (length, rest) = text.split_once(' ').unwrap();
    let length: usize = length.parse().unwrap();
    assert!(
        rest.starts_with("<107>1 2026-11-22T06:00:00.000000Z - kubescry - new - {"),
        "{rest}"
    );
    assert_eq!(rest.len(), 2 * length + 1 + length.to_string().len());
}
