//! No connection goes where it should not.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::http_config;
use crate::alert::config::Secret;
use crate::alert::sink::Outcome;
use crate::alert::sink::http::Http;

/// Targets that are refused before anything is resolved or connected.
const REFUSED: [&str; 52] = [
    // Metadata and link-local, however it is spelled.
    "http://169.254.169.254/latest/meta-data/",
    "https://169.254.169.254/",
    "https://169.254.170.2/",
    "http://169.254.169.254./",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://169.16689662/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[fd00:ec2::254]/",
    "https://168.63.129.16/",
    "https://100.100.100.200/",
    "https://192.0.0.192/",
    // Loopback in disguise.
    "http://127.1/",
    "http://0x7f.1/",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://127.0.0.1./",
    "http://127.0.0.1.nip.io/",
    // Unspecified, multicast, broadcast, reserved.
    "http://0.0.0.0/",
    "http://0/",
    "http://[::]/",
    "https://224.0.0.1/",
    "https://[ff02::1]/",
    "https://255.255.255.255/",
    "https://240.0.0.1/",
    "https://192.0.2.1/",
    "https://[2001:db8::1]/",
    // Private, without leave.
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.0.1/",
    "https://100.64.0.1/",
    "https://[fc00::1]/",
    "https://[::ffff:10.0.0.1]/",
    // Not encrypted, not HTTP, or not what it looks like.
    "http://hooks.example.com/",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
    "https://user:planted@hooks.example.com/",
    "https://hooks.example.com@169.254.169.254/",
    "https://ex\u{430}mple.com/",
    "https://hooks.example.com:0x50/",
];

#[test]
fn targets_are_refused_without_a_connection() {
    for url in REFUSED {
        let found = Http::new(&http_config(url), &|_| None);
        let why = found.err().unwrap_or_else(|| panic!("{url} passed"));
        assert!(
            !why.contains("planted") && !why.contains("meta-data"),
            "{why}"
        );
    }
    println!("{} targets refused", REFUSED.len());
}

#[test]
fn permission_for_private_is_none_for_metadata() {
    for url in &REFUSED[..22] {
        let mut config = http_config(url);
        config.addresses.allow_private = true;
        config.allow_http = true;
        assert!(Http::new(&config, &|_| None).is_err(), "{url}");
    }
    let mut config = http_config("http://10.0.0.1:9093/api/v2/alerts");
    config.addresses.allow_private = true;
    assert!(Http::new(&config, &|_| None).is_err(), "not encrypted");
    config.allow_http = true;
    assert!(Http::new(&config, &|_| None).is_ok());
}

/// Counts connections to a port of this machine.
fn counted(answer: &'static str) -> (u16, Arc<AtomicUsize>) {
    use std::io::{Read, Write};

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let n_seen = Arc::new(AtomicUsize::new(0));
    let shared = n_seen.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            shared.fetch_add(1, Ordering::SeqCst);
            let _n_bytes = stream.read(&mut [0; 4096]).unwrap_or_default();
            stream.write_all(answer.as_bytes()).ok();
        }
    });
    (port, n_seen)
}

fn post(http: &Http) -> Outcome {
    let headers = vec![("idempotency-key", Secret::new("k"))];
    http.post("{}", &headers, Instant::now() + Duration::from_secs(3))
}

#[test]
fn redirects_are_not_followed() {
    let (inner, n_inner) = counted("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let inner_url = format!("http://127.0.0.1:{inner}/");
    for code in [301, 302, 303, 307, 308] {
        for location in [inner_url.as_str(), "http://169.254.169.254/", "/other", ""] {
            let answer = format!(
                "HTTP/1.1 {code} Go\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
            let (port, n_outer) = counted(answer.leak());
            let http = Http::new(&http_config(&format!("http://127.0.0.1:{port}/")), &|_| {
                None
            })
            .unwrap();
            let outcome = post(&http);
            assert!(
                matches!(&outcome, Outcome::Denied { why } if why.contains("redirect")),
                "{code} {outcome:?}"
            );
            assert_eq!(n_outer.load(Ordering::SeqCst), 1);
        }
    }
    assert_eq!(n_inner.load(Ordering::SeqCst), 0);
}

#[test]
fn names_that_lead_to_loopback_are_not_connected_to() {
    // `localhost.` is not the spelling that is allowed, and resolves to loopback everywhere.
    let (port, n_seen) = counted("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let mut config = http_config(&format!("http://localhost.:{port}/"));
    config.allow_http = true;
    let outcome = post(&Http::new(&config, &|_| None).unwrap());
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
    assert_eq!(n_seen.load(Ordering::SeqCst), 0);
    let http = Http::new(&http_config(&format!("http://localhost:{port}/")), &|_| {
        None
    })
    .unwrap();
    // `localhost` may be ::1 first; the listener is on 127.0.0.1.
    assert_eq!(post(&http), Outcome::Delivered);
}

/// Runs this test again as a process of its own, since a variable would reach into other tests.
#[test]
fn proxies_of_the_environment_count_only_if_asked() {
    const PORTS: &str = "KUBESCRY_TEST_PORT";
    if let Ok(port) = std::env::var(PORTS) {
        let mut config = http_config(&format!("http://127.0.0.1:{port}/"));
        assert_eq!(
            post(&Http::new(&config, &|_| None).unwrap()),
            Outcome::Delivered
        );
        config.proxy = true;
        assert_ne!(
            post(&Http::new(&config, &|_| None).unwrap()),
            Outcome::Delivered
        );
        return;
    }
    let (target, n_target) =
        counted("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let (proxy, n_proxy) =
        counted("HTTP/1.1 502 Bad\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let proxy = format!("http://127.0.0.1:{proxy}");
    let name = "alert::sink::tests::targets::proxies_of_the_environment_count_only_if_asked";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(PORTS, target.to_string())
        .envs(["ALL_PROXY", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY"].map(|name| (name, &proxy)))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!(
        (
            n_target.load(Ordering::SeqCst),
            n_proxy.load(Ordering::SeqCst)
        ),
        (1, 1)
    );
}
