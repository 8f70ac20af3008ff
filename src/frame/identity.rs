//! What requests and records are known by: what the API server says of them, however the JSON is written.
//!
//! Not the audit ID alone, since a client may give all its requests the same one. The times make the difference: both are
//! taken by the API server, to the microsecond (`metav1.MicroTime`).

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::SeedableRandomState;

/// Microseconds of a millisecond.
const MILLI_US: i64 = 1000;

/// What an event says of its request and of itself, but for its audit ID and times.
pub(super) struct Said<'t> {
    pub(super) verb: &'t str,
    pub(super) request_uri: &'t str,
    pub(super) username: &'t str,
    pub(super) stage: &'t str,
    pub(super) level: &'t str,
    pub(super) user_agent: &'t str,
    pub(super) name: &'t str,
    pub(super) code: u16,
    /// Whether it has the request's object and the answer's: an event that was cut to size stands for no whole one.
    pub(super) has_bodies: [bool; 2],
}

/// The hashes of it: what all rows of a template have in common.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Identity {
    request: u64,
    record: u64,
    /// Whether it only says that the request came, so that the two times are one.
    is_arrival: bool,
}

impl Identity {
    /// `hasher` is seeded, so that nobody can craft requests or records that meet.
    pub(super) fn new(hasher: &SeedableRandomState, said: &Said<'_>) -> Self {
        let hash = |texts: &[&str], numbers: [u8; 4]| {
            let mut hasher = hasher.build_hasher();
            hasher.write_u32(u32::from_le_bytes(numbers));
            for text in texts {
                hasher.write_usize(text.len());
                hasher.write(text.as_bytes());
            }
            hasher.finish()
        };
        let [code, class] = said.code.to_le_bytes();
        let [request, response] = said.has_bodies.map(u8::from);
        Self {
            request: hash(&[said.verb, said.request_uri, said.username], [0; 4]),
            record: hash(
                &[said.stage, said.level, said.user_agent, said.name],
                [code, class, request, response],
            ),
            is_arrival: said.stage == "RequestReceived",
        }
    }

    /// Returns the key under which the stages of one request meet; `received` is its time in microseconds.
    pub(super) fn request(
        self,
        hasher: &SeedableRandomState,
        audit_id: &str,
        received: Option<i64>,
    ) -> u64 {
        let mut hasher = hasher.build_hasher();
        hasher.write(audit_id.as_bytes());
        hasher.write_u64(self.request);
        hasher.write_i64(received.unwrap_or(i64::MIN));
        hasher.finish()
    }

    /// Returns the key of a record of that request, whose times are `received` and `staged`, in microseconds; duplicates
    /// have the same one.
    ///
    /// `None` if the times do not tell it from others for certain: somebody has left one out, or has rounded them. An
    /// arrival has nothing to lose by that, and by chance one in a thousand has no microseconds.
    pub(super) fn record(
        self,
        hasher: &SeedableRandomState,
        request: u64,
        [received, staged]: [Option<i64>; 2],
    ) -> Option<u64> {
        let (received, staged) = (received?, staged?);
        let is_rounded = received % MILLI_US == 0 && staged % MILLI_US == 0;
        if is_rounded && !self.is_arrival {
            return None;
        }
        let mut hasher = hasher.build_hasher();
        hasher.write_u64(request);
        hasher.write_u64(self.record);
        hasher.write_i64(staged);
        Some(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use foldhash::SharedSeed;

    use super::*;

    const SAID: Said<'static> = Said {
        verb: "get",
        request_uri: "/api/v1/namespaces/default/secrets/a",
        username: "bob",
        stage: "ResponseComplete",
        level: "Metadata",
        user_agent: "curl/8",
        name: "a",
        code: 200,
        has_bodies: [false; 2],
    };

    fn keys(said: &Said<'_>, audit_id: &str, times: [i64; 2]) -> (u64, Option<u64>) {
        let hasher = SeedableRandomState::with_seed(7, SharedSeed::global_fixed());
        let identity = Identity::new(&hasher, said);
        let request = identity.request(&hasher, audit_id, Some(times[0]));
        (request, identity.record(&hasher, request, times.map(Some)))
    }

    #[test]
    fn keys_are_those_of_memories_that_were_written() {
        let (request, record) = keys(&SAID, "id", [1_000_001, 1_000_002]);
        // If these change, what is remembered is of another form: it needs another version.
        assert_eq!(
            (request, record),
            (13_737_723_792_881_069_579, Some(8_589_841_775_762_956_466))
        );
    }

    #[test]
    fn all_that_the_api_server_says_tells_records_apart() {
        let times = [1_000_001, 1_000_002];
        let (request, record) = keys(&SAID, "id", times);
        assert_eq!((request, record), keys(&SAID, "id", times));
        let of_request = [
            keys(
                &Said {
                    verb: "list",
                    ..SAID
                },
                "id",
                times,
            ),
            keys(
                &Said {
                    request_uri: "/",
                    ..SAID
                },
                "id",
                times,
            ),
            keys(
                &Said {
                    username: "eve",
                    ..SAID
                },
                "id",
                times,
            ),
            keys(&SAID, "other", times),
            keys(&SAID, "id", [1_000_003, times[1]]),
        ];
        for (other, other_record) in of_request {
            assert_ne!(other, request);
            assert_ne!(other_record, record);
        }
        let of_record = [
            keys(
                &Said {
                    stage: "RequestReceived",
                    ..SAID
                },
                "id",
                times,
            ),
            keys(
                &Said {
                    level: "Request",
                    ..SAID
                },
                "id",
                times,
            ),
            keys(
                &Said {
                    user_agent: "kubectl",
                    ..SAID
                },
                "id",
                times,
            ),
            keys(&Said { name: "b", ..SAID }, "id", times),
            keys(
                &Said {
                    code: 200 << 8,
                    ..SAID
                },
                "id",
                times,
            ),
            keys(
                &Said {
                    has_bodies: [true, false],
                    ..SAID
                },
                "id",
                times,
            ),
            keys(
                &Said {
                    has_bodies: [false, true],
                    ..SAID
                },
                "id",
                times,
            ),
            keys(&SAID, "id", [times[0], 1_000_003]),
        ];
        for (other, other_record) in of_record {
            assert_eq!(other, request);
            assert_ne!(other_record, record);
        }
    }

    #[test]
    fn rounded_times_tell_nothing_apart() {
        assert_eq!(keys(&SAID, "id", [2_000, 5_000]).1, None);
        assert!(keys(&SAID, "id", [2_000, 5_001]).1.is_some());
        assert!(keys(&SAID, "id", [-1, 5_000]).1.is_some());
        let arrival = Said {
            stage: "RequestReceived",
            ..SAID
        };
        assert!(keys(&arrival, "id", [2_000; 2]).1.is_some());
        let hasher = SeedableRandomState::fixed();
        let identity = Identity::default();
        assert_eq!(identity.record(&hasher, 1, [Some(1), None]), None);
        assert_eq!(identity.record(&hasher, 1, [None, Some(1)]), None);
    }
}
