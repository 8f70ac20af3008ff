//! Every alert arrives, whatever the receiver does, and no key arrives under another name.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::receiver::{Fate, Receiver};
use super::{http_config, many};
use crate::alert::config::Format;
use crate::alert::sink::Alert;
use crate::alert::sink::clock::{Clock, Dice, RandomDice, SystemClock};
use crate::alert::sink::deliver::{Policy, Status, deliver};
use crate::alert::sink::http::Http;
use crate::alert::sink::webhook::Webhook;

fn webhook(port: u16, timeout_ms: u64, is_array: bool) -> Webhook {
    let mut config = http_config(&format!("http://127.0.0.1:{port}/x"));
    config.timeout = Duration::from_millis(timeout_ms);
    Webhook {
        name: "hook".to_owned(),
        http: Http::new(&config, &|_| None).unwrap(),
        format: Format::Jsonl,
        signing: None,
        bearer: None,
        is_array,
        clock: Arc::new(SystemClock),
    }
}

/// Three calls of ten fail, in one of eight ways.
fn faulty(call: usize) -> Fate {
    const FAULTS: [Fate; 8] = [
        Fate::Dropped,
        Fate::Unavailable,
        Fate::TooMany,
        Fate::Slow,
        Fate::Cut,
        Fate::Endless,
        Fate::Short,
        Fate::Noise,
    ];
    // SplitMix64, so that neither rate nor kind follows a rhythm.
    let mut mixed = (call as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    if mixed % 100 < 30 {
        FAULTS[usize::try_from(mixed >> 40).unwrap() % 8]
    } else {
        Fate::Fine
    }
}

/// As many keys as `KUBESCRY_TEST_KEYS` says, or 1,000.
#[test]
fn every_key_arrives_through_faults_of_all_kinds() {
    let n = std::env::var("KUBESCRY_TEST_KEYS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1000);
    let receiver = Receiver::start(faulty);
    let mut sink = webhook(receiver.port, 100, false);
    let policy = Policy {
        backoff_first: Duration::from_millis(1),
        backoff_max: Duration::from_millis(8),
        deadline: Duration::from_mins(20),
        give_up_after: None,
        ..Policy::default()
    };
    let alerts = many(n);
    let start = Instant::now();
    let (mut pending, mut n_runs): (Vec<&Alert>, usize) = (alerts.iter().collect(), 0);
    while !pending.is_empty() {
        n_runs += 1;
        assert!(n_runs < 20, "{} are left", pending.len());
        let statuses = deliver(
            &mut sink,
            &policy,
            &pending,
            &SystemClock,
            &mut RandomDice::default(),
            &mut |_| {},
        );
        assert!(
            !statuses
                .iter()
                .any(|status| matches!(status, Status::Dead { .. })),
            "{statuses:?}"
        );
        let mut statuses = statuses.iter();
        pending.retain(|_| *statuses.next().unwrap() != Status::Delivered);
    }
    assert_eq!(receiver.fates().len(), 9, "every kind of fault was met");
    let keys = receiver.keys();
    let expected: std::collections::BTreeSet<_> =
        alerts.iter().map(|alert| alert.key.clone()).collect();
    assert!(keys.keys().eq(&expected), "{} of {n} keys", keys.len());
    let n_taken: usize = keys.values().sum();
    let n_late = receiver
        .fates()
        .get(&Fate::Slow)
        .copied()
        .unwrap_or_default();
    assert!(
        n_taken - n <= n_late,
        "only what was answered too late comes twice"
    );
    println!(
        "{n} keys in {n_runs} runs and {} calls, {:.1} s; {} taken twice; {:?}",
        receiver.calls(),
        start.elapsed().as_secs_f64(),
        n_taken - n,
        receiver.fates()
    );
}

/// The clock of the machine, but for the date: the alerts are not old.
struct Late;
impl Clock for Late {
    fn now(&self) -> Instant {
        Instant::now()
    }
    fn wall(&self) -> crate::finding::Timestamp {
        super::START
    }
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

#[test]
fn nobody_listens_and_nothing_is_lost() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut sink = webhook(port, 200, false);
    let policy = Policy {
        backoff_first: Duration::from_millis(1),
        ..Policy::default()
    };
    let alerts = many(100);
    let batch: Vec<&Alert> = alerts.iter().collect();
    let dice: &mut dyn Dice = &mut RandomDice::default();
    let statuses = deliver(&mut sink, &policy, &batch, &Late, dice, &mut |_| {});
    let refused = |status: &Status| matches!(status, Status::Pending { why, .. } if why == &format!("http://127.0.0.1:{port}: connection refused"));
    assert!(statuses.iter().all(refused), "{:?}", statuses[0]);
}

#[test]
fn batches_are_arrays_with_one_key() {
    let receiver = Receiver::start(|_| Fate::Fine);
    let mut sink = webhook(receiver.port, 1000, true);
    let alerts = many(5);
    let batch: Vec<&Alert> = alerts.iter().collect();
    let policy = Policy {
        batch: 3,
        ..Policy::default()
    };
    let statuses = deliver(
        &mut sink,
        &policy,
        &batch,
        &SystemClock,
        &mut RandomDice::default(),
        &mut |_| {},
    );
    assert!(statuses.iter().all(|status| *status == Status::Delivered));
    let bodies: Vec<serde_json::Value> = receiver
        .requests()
        .iter()
        .map(|(_, body)| serde_json::from_str(body).unwrap())
        .collect();
    let lengths: Vec<usize> = bodies
        .iter()
        .map(|body| body.as_array().unwrap().len())
        .collect();
    assert_eq!(lengths, [3, 2]);
    assert_eq!(bodies[0][0]["key"], alerts[0].key.as_str());
    assert_eq!(receiver.keys().len(), 2);
}
