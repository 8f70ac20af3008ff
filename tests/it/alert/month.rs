//! A month of a cluster: what is remembered must not follow the length of the log.
//!
//! The cluster is small here. `KUBESCRY_FAULTS=full cargo test --release --test it alert::month -- --nocapture` has one with
//! ten million events a day: half an hour, and two gigabytes for its logs.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::DateTime;
use kubescry::alert::state::State;

use super::Watched;
use super::writer::Dice;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// How often kubelets renew the tokens of their Pods: at 80 % of an hour.
const TOKEN: u64 = 2880;

/// How long a Pod of a Deployment lives, until there is another version.
const POD: u64 = 3 * DAY;

/// A cluster that writes an audit log of level Metadata: nodes, their Pods, of which each has a token that is renewed, Jobs
/// whose Pods come and go, people, a client whose token has expired, and passers-by without a credential.
struct Cluster {
    n_nodes: u64,
    n_pods: u64,
    /// Seconds from one Job to the next.
    job_every: u64,
    n_people: u64,
    /// Seconds from one request of a client to its next.
    period: u64,
    dice: Dice,
    clock: Clock,
    n_events: usize,
    /// The Pods of Deployments as they were last, by number, each with its token.
    pods: HashMap<u64, (u64, Pod, Client)>,
    nodes: HashMap<u64, Client>,
}

/// A second as text.
#[derive(Default)]
struct Clock(u64, String);

impl Clock {
    fn as_str(&mut self, at: u64) -> &str {
        if self.0 != at {
            let time = DateTime::from_timestamp_secs(at.cast_signed()).unwrap();
            *self = Self(at, time.format("%Y-%m-%dT%H:%M:%S").to_string());
        }
        &self.1
    }
}

/// Who asks.
#[derive(Clone)]
struct Client {
    username: String,
    /// What stands behind the name in `user`.
    user: String,
    address: String,
    agent: String,
}

/// Mixes numbers to one that looks random.
fn mixed(numbers: [u64; 3]) -> u64 {
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

fn uuid(numbers: [u64; 3]) -> String {
    let (high, low) = (mixed(numbers), mixed([numbers[2], numbers[0], numbers[1]]));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0xfff,
        low & 0xffff_ffff_ffff
    )
}

/// Returns the random end of a name.
fn suffix(number: u64, length: u32) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let letter = |at| LETTERS[(number / 27_u64.pow(at) % 27) as usize];
    (0..length).map(|at| char::from(letter(at))).collect()
}

/// Returns an address in the network of a node.
fn address_at(node: u64, number: u64) -> String {
    let (high, low) = (100 + node / 250, node % 250);
    format!("10.{high}.{low}.{}", 2 + number % 110)
}

fn account(namespace: &str, name: &str, pod: Option<&Pod>, token: u64) -> Client {
    let uid = uuid([
        1,
        mixed([namespace.len() as u64, 0, 0]),
        name.bytes().map(u64::from).sum(),
    ]);
    let jti = uuid([2, token, 0]);
    let bound = pod.map_or(String::new(), |pod| {
        format!(
            r#","authentication.kubernetes.io/node-name":["node-{}"],"authentication.kubernetes.io/pod-name":["{}"],"authentication.kubernetes.io/pod-uid":["{}"]"#,
            pod.node, pod.name, pod.uid
        )
    });
    Client {
        username: format!("system:serviceaccount:{namespace}:{name}"),
        user: format!(
            r#","uid":"{uid}","groups":["system:serviceaccounts","system:serviceaccounts:{namespace}","system:authenticated"],"extra":{{"authentication.kubernetes.io/credential-id":["JTI={jti}"]{bound}}}"#
        ),
        address: pod.map_or("10.9.0.1".to_owned(), |pod| pod.address.clone()),
        agent: format!("{name}/v1.4.2 (linux/amd64) kubernetes/$Format"),
    }
}

fn certificate(username: &str, group: &str, address: String, agent: &str) -> Client {
    let number = username
        .bytes()
        .fold(7, |all, byte| mixed([all, byte.into(), 0]));
    let [a, b, c, d] = [0, 1, 2, 3].map(|n| mixed([number, n, 3]));
    Client {
        username: username.to_owned(),
        user: format!(
            r#","groups":["{group}","system:authenticated"],"extra":{{"authentication.kubernetes.io/credential-id":["X509SHA256={a:016x}{b:016x}{c:016x}{d:016x}"]}}"#
        ),
        address,
        agent: format!("{agent}/v1.36.2 (linux/amd64) kubernetes/8e16b12"),
    }
}

/// Returns what makes the Pods of Deployments and Jobs, and takes them away.
fn controller() -> Client {
    let name = "replicaset-controller";
    Client {
        agent: format!(
            "kube-controller-manager/v1.36.2 (linux/amd64) kubernetes/8e16b12/system:serviceaccount:kube-system:{name}"
        ),
        ..account("kube-system", name, None, 17)
    }
}

/// A Pod, which is made anew with each version.
struct Pod {
    namespace: String,
    name: String,
    uid: String,
    node: u64,
    address: String,
    account: String,
}

impl Cluster {
    /// Returns one with so many clients, each of which asks for something every `period` seconds.
    fn new(n_clients: u64, period: u64) -> Self {
        Self {
            n_nodes: (n_clients / 12).max(2),
            n_pods: n_clients * 10 / 12,
            job_every: (60 * 290 / n_clients).max(1),
            n_people: (n_clients / 20).max(2),
            period,
            dice: Dice(1),
            clock: Clock::default(),
            n_events: 0,
            pods: HashMap::new(),
            nodes: HashMap::new(),
        }
    }

    fn step(&self) -> usize {
        usize::try_from(self.period).unwrap()
    }

    fn one_of(&mut self, n: u64) -> u64 {
        self.dice.roll(usize::try_from(n).unwrap()) as u64
    }

    /// Returns a Pod of a Deployment as it is at a time, and the number of its token.
    fn pod(&self, number: u64, at: u64) -> (Pod, u64) {
        let at = at + number * 7919;
        let version = at / POD;
        let app = number / 3;
        let address = mixed([number, version, 5]);
        let node = mixed([number, version, 4]) % self.n_nodes;
        let pod = Pod {
            namespace: format!("team-{}", app % 40),
            name: format!(
                "app-{app}-{}-{}",
                suffix(mixed([app, version, 1]), 9),
                suffix(mixed([number, version, 2]), 5)
            ),
            uid: uuid([number, version, 3]),
            node,
            address: address_at(node, address),
            account: format!("app-{app}"),
        };
        (pod, mixed([number, version, at / TOKEN]))
    }

    fn job(&self, number: u64) -> Pod {
        let cron = number % 97;
        let address = mixed([number, 0, 6]);
        let node = address % self.n_nodes;
        Pod {
            namespace: format!("team-{}", cron % 40),
            name: format!(
                "cron-{cron}-{}-{}",
                29_400_000 + number / 97,
                suffix(address, 5)
            ),
            uid: uuid([number, 0, 8]),
            node,
            address: address_at(node, address),
            account: format!("cron-{cron}"),
        }
    }

    fn node(&mut self, number: u64) -> Client {
        let client = || {
            let name = format!("system:node:node-{number}");
            let address = format!("10.0.{}.{}", number / 250, number % 250 + 2);
            certificate(&name, "system:nodes", address, "kubelet")
        };
        self.nodes.entry(number).or_insert_with(client).clone()
    }

    fn write(
        &mut self,
        log: &mut Vec<u8>,
        at: u64,
        client: &Client,
        verb: &str,
        (resource, namespace, name): (&str, &str, &str),
        code: u16,
    ) {
        self.n_events += 1;
        let us = (self.n_events as u64 * 8641) % 990_000;
        let id = uuid([self.n_events as u64, 9, 9]);
        let second = self.clock.as_str(at);
        let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
        let (group, resource) = resource.split_once(':').unwrap_or(("", resource));
        let mut path = match group {
            "" => "/api/v1".to_owned(),
            group => format!("/apis/{group}/v1"),
        };
        let mut reference = format!(r#""resource":"{resource}""#);
        if !namespace.is_empty() {
            write!(path, "/namespaces/{namespace}").unwrap();
            write!(reference, r#","namespace":"{namespace}""#).unwrap();
        }
        write!(path, "/{resource}").unwrap();
        if !name.is_empty() && verb != "create" {
            write!(path, "/{name}").unwrap();
        }
        if !name.is_empty() {
            write!(reference, r#","name":"{name}""#).unwrap();
        }
        if !group.is_empty() {
            write!(reference, r#","apiGroup":"{group}""#).unwrap();
        }
        reference += r#","apiVersion":"v1""#;
        if !sub.is_empty() {
            write!(path, "/{sub}").unwrap();
            write!(reference, r#","subresource":"{sub}""#).unwrap();
        }
        let Client {
            username,
            user,
            address,
            agent,
        } = client;
        let ended = us + 2417 + us % 991;
        let who = if username.is_empty() {
            "{}".to_owned()
        } else {
            format!(r#"{{"username":"{username}"{user}}}"#)
        };
        let status = match code {
            401 => r#"{"metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#.to_owned(),
            code => format!(r#"{{"metadata":{{}},"code":{code}}}"#),
        };
        let decision = match code {
            401 => "",
            403 => {
                r#","annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":""}"#
            }
            _ => {
                r#","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"app\" of ClusterRole \"app\" to Group \"people\""}"#
            }
        };
        writeln!(
            log,
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{id}","stage":"ResponseComplete","requestURI":"{path}","verb":"{verb}","user":{who},"sourceIPs":["{address}"],"userAgent":"{agent}","objectRef":{{{reference}}},"responseStatus":{status},"requestReceivedTimestamp":"{second}.{us:06}Z","stageTimestamp":"{second}.{ended:06}Z"{decision}}}"#
        )
        .unwrap();
    }

    /// Writes what is logged in one second.
    fn second(&mut self, log: &mut Vec<u8>, at: u64) {
        let turn = at / self.period;
        for number in (at % self.period..self.n_nodes).step_by(self.step()) {
            let client = self.node(number);
            let lease = format!("node-{number}");
            match turn % 30 {
                0 => self.write(log, at, &client, "patch", ("nodes/status", "", &lease), 200),
                _ => self.write(
                    log,
                    at,
                    &client,
                    "update",
                    ("coordination.k8s.io:leases", "kube-node-lease", &lease),
                    200,
                ),
            }
        }
        for number in (at % self.period..self.n_pods).step_by(self.step()) {
            self.ask(log, at, number);
        }
        if at.is_multiple_of(self.job_every) {
            self.run_job(log, at, at / self.job_every);
        }
        let is_day = (7..19).contains(&(at / HOUR % 24));
        if is_day && at.is_multiple_of(self.period) {
            for _ in 0..3 {
                let number = self.one_of(self.n_people);
                self.work(log, at, number);
            }
        }
        let expired = Client {
            username: String::new(),
            user: String::new(),
            address: "10.100.3.3".to_owned(),
            agent: "forgotten/v0.9.0 (linux/amd64) kubernetes/$Format".to_owned(),
        };
        if at.is_multiple_of(60) {
            self.write(log, at, &expired, "list", ("pods", "team-1", ""), 401);
        }
        if at % 1800 == 7 {
            let passer = Client {
                username: "system:anonymous".to_owned(),
                user: r#","groups":["system:unauthenticated"]"#.to_owned(),
                address: format!("198.51.{}.{}", self.dice.roll(250), self.dice.roll(250)),
                agent: "Mozilla/5.0 zgrab/0.x".to_owned(),
            };
            self.write(log, at, &passer, "list", ("pods", "", ""), 403);
        }
    }

    /// A Pod asks for what it asks for always, and now and then for something of its own; if it is new, it is made first.
    fn ask(&mut self, log: &mut Vec<u8>, at: u64, number: u64) {
        let state = (at + number * 7919) / TOKEN;
        let known = self.pods.remove(&number);
        let (pod, client) = match known {
            Some((then, pod, client)) if then == state => (pod, client),
            known => {
                let (pod, token) = self.pod(number, at);
                let client = account(&pod.namespace, &pod.account, Some(&pod), token);
                match known {
                    Some((_, old, _)) if old.uid != pod.uid => {
                        self.make(log, at, &pod);
                        self.unmake(log, at, &old);
                    }
                    _ => {}
                }
                (pod, client)
            }
        };
        let namespace = &pod.namespace;
        let own = format!("{}-{}", pod.account, self.dice.roll(20));
        match self.dice.roll(40) {
            0 => self.write(log, at, &client, "list", ("pods", namespace, ""), 200),
            1 => self.write(
                log,
                at,
                &client,
                "get",
                ("configmaps", namespace, &own),
                200,
            ),
            2 => self.write(
                log,
                at,
                &client,
                "get",
                ("apps:deployments", namespace, &own),
                200,
            ),
            3 => self.write(log, at, &client, "get", ("secrets", namespace, &own), 404),
            4 => {
                let event = format!("{}.{:016x}", pod.name, mixed([at, number, 0]));
                self.write(
                    log,
                    at,
                    &client,
                    "create",
                    ("events", namespace, &event),
                    201,
                );
            }
            _ => {
                let lease = ("coordination.k8s.io:leases", &**namespace, &*pod.account);
                self.write(log, at, &client, "update", lease, 200);
            }
        }
        self.pods.insert(number, (state, pod, client));
    }

    fn make(&mut self, log: &mut Vec<u8>, at: u64, pod: &Pod) {
        let address = "10.0.0.1".to_owned();
        let controller = controller();
        let scheduler = certificate("system:kube-scheduler", "system:kube", address, "scheduler");
        let kubelet = self.node(pod.node);
        let namespace = &*pod.namespace;
        self.write(
            log,
            at,
            &controller,
            "create",
            ("pods", namespace, &pod.name),
            201,
        );
        self.write(
            log,
            at,
            &scheduler,
            "create",
            ("pods/binding", namespace, &pod.name),
            201,
        );
        let token = ("serviceaccounts/token", namespace, &*pod.account);
        self.write(log, at, &kubelet, "create", token, 201);
        self.write(
            log,
            at,
            &kubelet,
            "patch",
            ("pods/status", namespace, &pod.name),
            200,
        );
    }

    fn unmake(&mut self, log: &mut Vec<u8>, at: u64, pod: &Pod) {
        // Whoever wants it gone, and then its kubelet.
        for client in [controller(), self.node(pod.node)] {
            let gone = ("pods", &*pod.namespace, &*pod.name);
            self.write(log, at, &client, "delete", gone, 200);
        }
    }

    /// A Job's Pod comes, asks twice, and is deleted.
    fn run_job(&mut self, log: &mut Vec<u8>, at: u64, number: u64) {
        let pod = self.job(number);
        self.make(log, at, &pod);
        let client = account(
            &pod.namespace,
            &pod.account,
            Some(&pod),
            mixed([number, 1, 7]),
        );
        let namespace = &pod.namespace;
        self.write(log, at, &client, "list", ("pods", namespace, ""), 200);
        self.write(
            log,
            at,
            &client,
            "get",
            ("configmaps", namespace, "work"),
            200,
        );
        let old = self.job(number.wrapping_sub(30));
        self.unmake(log, at, &old);
    }

    /// Somebody works with kubectl; some ask for what they may not, some make tokens.
    fn work(&mut self, log: &mut Vec<u8>, at: u64, number: u64) {
        let client = Client {
            username: format!("oidc:person-{number}@example.com"),
            user: format!(
                r#","groups":["oidc:team-{}","system:authenticated"],"extra":{{"authentication.kubernetes.io/credential-id":["JTI={}"]}}"#,
                number % 40,
                uuid([number, at / DAY, 11])
            ),
            address: format!("10.200.{}.{}", number / 250, number % 250),
            agent: "kubectl/v1.36.2 (linux/amd64) kubernetes/8e16b12".to_owned(),
        };
        let namespace = format!("team-{}", number % 40);
        let seen = self.one_of(self.n_pods);
        let (pod, _) = self.pod(seen, at);
        match self.dice.roll(60) {
            0 => self.write(
                log,
                at,
                &client,
                "list",
                ("secrets", "kube-system", ""),
                403,
            ),
            1 => {
                let account = format!("app-{}", number % 40);
                let token = ("serviceaccounts/token", &*namespace, &*account);
                self.write(log, at, &client, "create", token, 201);
            }
            2 => self.write(
                log,
                at,
                &client,
                "get",
                ("pods/log", &pod.namespace, &pod.name),
                200,
            ),
            3..20 => self.write(
                log,
                at,
                &client,
                "get",
                ("pods", &pod.namespace, &pod.name),
                200,
            ),
            _ => self.write(log, at, &client, "list", ("pods", &namespace, ""), 200),
        }
    }
}

/// Returns the bytes of the state's file and of what it remembers of credentials, and in words what else is large.
fn measure(watched: &Watched) -> (u64, usize, String) {
    let (state, loaded) =
        State::open(&watched.config.state.dir, Some(Duration::from_mins(1))).unwrap();
    let memory = state.memory("c").unwrap().unwrap();
    let mut parts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, part) in &memory {
        let name = name.split('.').next().unwrap();
        *parts.entry(name).or_default() += part.len();
    }
    let of_credentials = ["ledger", "deaths", "shared_credential", "token_by_hand"];
    let of_credentials = of_credentials.map(|name| parts[name]).iter().sum();
    let mut largest: Vec<(usize, &str)> = parts.iter().map(|(name, n)| (*n, *name)).collect();
    largest.sort_unstable();
    largest.reverse();
    largest.truncate(8);
    let findings = loaded.findings.len();
    let parts = format!("{findings} findings; bytes of memory: {largest:?}");
    (state.size_bytes(), of_credentials, parts)
}

#[test]
fn a_month_fits() {
    // A few requests a minute, or ten million a day.
    let is_full = std::env::var("KUBESCRY_FAULTS").is_ok_and(|value| value == "full");
    let (mut cluster, run_every) = if is_full {
        (Cluster::new(1260, 10), 2 * HOUR)
    } else {
        (Cluster::new(12, 240), DAY)
    };
    let watched = Watched::new("");
    let start = 20_544 * DAY;
    let mut log = Vec::new();
    let mut last: Option<PathBuf> = None;
    let mut sizes = Vec::new();
    for day in 0..30 {
        let mut took = Duration::ZERO;
        for run in 0..DAY / run_every {
            log.clear();
            let from = start + day * DAY + run * run_every;
            for second in from..from + run_every {
                cluster.second(&mut log, second);
            }
            // Rotated as kube-apiserver does it, of which one is kept.
            let current = watched.logs().join("audit.log");
            if current.exists() {
                let time = DateTime::from_timestamp_secs(from.cast_signed()).unwrap();
                let name = time.format("audit-%Y-%m-%dT%H-%M-%S.000.log").to_string();
                let rotated = watched.logs().join(name);
                fs::rename(&current, &rotated).unwrap();
                if let Some(last) = last.replace(rotated) {
                    fs::remove_file(last).unwrap();
                }
            }
            fs::write(&current, &log).unwrap();
            let began = Instant::now();
            let report = watched.run();
            took += began.elapsed();
            assert_eq!(report.missing, [""; 0]);
        }
        let (bytes, of_credentials, parts) = measure(&watched);
        let n_events = cluster.n_events;
        println!("day {day}: {n_events} events, {bytes} bytes, runs took {took:?}; {parts}");
        sizes.push((bytes, of_credentials));
    }
    for line in watched.lines() {
        let severity = line["severity"].as_str().unwrap();
        let is_mild = ["informational", "low"].contains(&severity);
        assert!(is_mild, "nothing happened: {line}");
    }
    let (bytes, of_credentials) = sizes[29];
    assert!(bytes < 64 << 20, "{bytes}");
    assert!(
        of_credentials * 10 < sizes[11].1 * 12,
        "what is remembered of credentials follows the length of the log"
    );
}
