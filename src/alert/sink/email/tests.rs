//! Mail as it leaves, to a server and to a program.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use super::*;
use crate::alert::sink::Event;
use crate::alert::sink::address::AddressRules;
use crate::alert::sink::clock::tests::FakeClock;
use crate::alert::sink::tests::{HOSTILE, alert};
use crate::finding::Severity;

fn smtp(port: u16) -> SmtpConfig {
    SmtpConfig {
        host: "127.0.0.1".to_owned(),
        port,
        tls: SmtpTls::None,
        username: None,
        password: None,
        allow_plaintext: false,
        ca_file: None,
        addresses: AddressRules::default(),
        timeout: Duration::from_secs(3),
    }
}

fn sink(route: MailRoute) -> Result<Email, String> {
    let config = EmailConfig {
        from: "kubescry <kubescry@example.com>".to_owned(),
        to: vec!["a@example.com".to_owned(), "b@example.com".to_owned()],
        route,
    };
    Email::new(
        "mail",
        &config,
        &|_| Some("planted".to_owned()),
        Arc::new(FakeClock::new()),
    )
}

/// Takes one mail, answering each command with `answer` for `DATA`'s end; returns commands and the mail.
fn server(answer: &'static str) -> (u16, std::thread::JoinHandle<(Vec<String>, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let (mut commands, mut mail) = (Vec::new(), String::new());
        stream.write_all(b"220 test ESMTP\r\n").unwrap();
        while let Some(Ok(line)) = lines.next() {
            let reply = match line.split(' ').next().unwrap_or_default() {
                "EHLO" => "250-test\r\n250 8BITMIME\r\n",
                "DATA" => {
                    stream.write_all(b"354 go\r\n").unwrap();
                    for line in lines
                        .by_ref()
                        .map_while(Result::ok)
                        .take_while(|line| line != ".")
                    {
                        mail.push_str(&line);
                        mail.push('\n');
                    }
                    answer
                }
                "QUIT" => {
                    stream.write_all(b"221 bye\r\n").ok();
                    break;
                }
                _ => "250 ok\r\n",
            };
            commands.push(line);
            if stream.write_all(reply.as_bytes()).is_err() {
                break;
            }
        }
        (commands, mail)
    });
    (port, handle)
}

#[test]
fn mail_is_text_with_fixed_headers() {
    for text in HOSTILE {
        let (port, server) = server("250 taken\r\n");
        let alert = alert(Event::New, Severity::High, text);
        let mut sink = sink(MailRoute::Smtp(smtp(port))).unwrap();
        let delivery = sink.send(&[&alert], Instant::now() + Duration::from_secs(5));
        assert_eq!(delivery, Delivery::all(1, Outcome::Delivered));
        drop(sink);
        let (commands, mail) = server.join().unwrap();
        let expected = [
            "MAIL FROM:<kubescry@example.com>",
            "RCPT TO:<a@example.com>",
            "RCPT TO:<b@example.com>",
            "DATA",
        ];
        for (found, expected) in commands.iter().skip(1).zip(expected) {
            assert!(found.starts_with(expected), "{commands:?}");
        }
        let (head, _) = mail.split_once("\n\n").unwrap();
        let names: Vec<&str> = head
            .lines()
            .filter(|line| !line.starts_with([' ', '\t']))
            .map(|line| line.split(':').next().unwrap_or_default())
            .collect();
        let known = [
            "From",
            "Subject",
            "Date",
            "Message-ID",
            "To",
            "Content-Type",
            "Content-Transfer-Encoding",
            "MIME-Version",
        ];
        assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
        assert!(
            head.contains("Subject: kubescry: 1 new, worst high, in prod"),
            "{head}"
        );
        assert!(head.contains(&alert.key), "{head}");
        assert!(!mail.contains("hunter2"));
    }
}

#[test]
fn answers_of_the_server_decide() {
    let alert = alert(Event::New, Severity::High, "jane");
    for (answer, is_refused) in [("451 later\r\n", false), ("552 too big planted\r\n", true)] {
        let (port, server) = server(answer);
        let mut sink = sink(MailRoute::Smtp(smtp(port))).unwrap();
        let delivery = sink.send(&[&alert], Instant::now() + Duration::from_secs(5));
        assert_eq!(
            matches!(delivery.outcomes[..], [Outcome::Refused { .. }]),
            is_refused,
            "{delivery:?}"
        );
        assert!(!format!("{delivery:?}").contains("planted"));
        server.join().unwrap();
    }
}

#[test]
fn a_silent_server_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut sink = sink(MailRoute::Smtp(smtp(port))).unwrap();
    let start = Instant::now();
    let alert = alert(Event::New, Severity::High, "jane");
    let delivery = sink.send(&[&alert], start + Duration::from_millis(300));
    assert!(matches!(delivery.outcomes[..], [Outcome::Retry { .. }]));
    assert!(start.elapsed() < Duration::from_millis(1300));
}

#[cfg(unix)]
#[test]
fn sendmail_gets_the_message_and_the_addresses() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("sendmail");
    let out = folder.path().join("out");
    let script = format!("#!/bin/sh\n{{ echo \"$@\"; cat; }} > {}\n", out.display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut sink = sink(MailRoute::Sendmail { program }).unwrap();
    let alert = alert(Event::New, Severity::High, "jane");
    let delivery = sink.send(&[&alert], Instant::now() + Duration::from_secs(5));
    assert_eq!(delivery, Delivery::all(1, Outcome::Delivered));
    let text = std::fs::read_to_string(out).unwrap();
    assert!(
        text.starts_with("-i -f kubescry@example.com -- a@example.com b@example.com\n"),
        "{text}"
    );
    assert!(
        text.contains("Subject: kubescry: 1 new, worst high, in prod"),
        "{text}"
    );
}

#[test]
fn plain_text_is_refused_where_it_could_be_read() {
    let password = Some(crate::alert::config::SecretSource::Env("X".to_owned()));
    let remote = SmtpConfig {
        host: "mail.example.com".to_owned(),
        ..smtp(25)
    };
    assert!(sink(MailRoute::Smtp(remote.clone())).is_err());
    let allowed = SmtpConfig {
        allow_plaintext: true,
        ..remote
    };
    assert!(sink(MailRoute::Smtp(allowed.clone())).is_ok());
    let username = Some("u".to_owned());
    assert!(
        sink(MailRoute::Smtp(SmtpConfig {
            username,
            password,
            ..allowed
        }))
        .is_err()
    );
    let metadata = SmtpConfig {
        host: "169.254.169.254".to_owned(),
        tls: SmtpTls::Implicit,
        ..smtp(465)
    };
    assert!(sink(MailRoute::Smtp(metadata)).is_err());
}
