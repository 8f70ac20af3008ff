//! What requests and records are known by: what the API server says of them, however the JSON is written.
//!
//! Not the audit ID alone, since a client may give all its requests the same one. The times make the difference: both are
//! taken by the API server, to the microsecond (`metav1.MicroTime`).

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::SeedableRandomState;

/// Microseconds of a millisecond.
const MILLI_US: i64 = 1000;

/// What an event says of its request and of itself, but for its audit ID and times.
#[derive(Clone, Copy)]
pub(super) struct Said<'t> {
    /// Verb, URI and user name: the stages of a request have them in common.
    pub(super) request: [&'t str; 3],
    /// Texts of the event. Exports leave some out, and a poorer event stands for no whole one.
    pub(super) event: [&'t str; 9],
    pub(super) code: u16,
    /// Likewise, whether it has groups, `system:masters` among them, `user.extra`, and as JSON the request's object and the
    /// answer's.
    pub(super) has: [bool; 5],
    /// Whether it only says that the request came, so that the two times are one.
    pub(super) is_arrival: bool,
}

/// The hashes of it: what all rows of a template have in common.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Identity {
    request: u64,
    record: u64,
    is_arrival: bool,
}

impl Identity {
    /// `hasher` is seeded, so that nobody can craft requests or records that meet.
    pub(super) fn new(hasher: &SeedableRandomState, said: &Said<'_>) -> Self {
        let hash = |texts: &[&str], number: u64| {
            let mut hasher = hasher.build_hasher();
            hasher.write_u64(number);
            for text in texts {
                hasher.write_usize(text.len());
                hasher.write(text.as_bytes());
            }
            hasher.finish()
        };
        let number = said
            .has
            .iter()
            .fold(u64::from(said.code), |all, &has| all << 1 | u64::from(has));
        Self {
            request: hash(&said.request, 0),
            record: hash(&said.event, number),
            is_arrival: said.is_arrival,
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
    /// `None` if the times do not tell it from others for certain: somebody has left one out, has put one for both, or has
    /// rounded them. An arrival has nothing to lose by that: its times are one, and by chance one in a thousand has no
    /// microseconds.
    pub(super) fn record(
        self,
        hasher: &SeedableRandomState,
        request: u64,
        [received, staged]: [Option<i64>; 2],
    ) -> Option<u64> {
        let (received, staged) = (received?, staged?);
        let is_rounded = received % MILLI_US == 0 && staged % MILLI_US == 0;
        if (is_rounded || received == staged) && !self.is_arrival {
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
        request: ["get", "/api/v1/namespaces/default/secrets/a", "bob"],
        event: ["", "Metadata", "curl/8", "a", "", "", "", "", "allow"],
        code: 200,
        has: [true, false, false, false, false],
        is_arrival: false,
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
            (1_364_537_914_131_039_152, Some(15_031_131_774_308_457_690))
        );
    }

    #[test]
    fn all_that_the_api_server_says_tells_records_apart() {
        let times = [1_000_001, 1_000_002];
        let (request, record) = keys(&SAID, "id", times);
        assert_eq!((request, record), keys(&SAID, "id", times));
        for at in 0..SAID.request.len() {
            let mut said = SAID;
            said.request[at] = "other";
            let (other, other_record) = keys(&said, "id", times);
            assert_ne!(other, request);
            assert_ne!(other_record, record);
        }
        for other in [
            keys(&SAID, "other", times),
            keys(&SAID, "id", [1_000_003, times[1]]),
        ] {
            assert_ne!(other.0, request);
            assert_ne!(other.1, record);
        }
        let texts = (0..SAID.event.len()).map(|at| {
            let mut said = SAID;
            said.event[at] = "other";
            said
        });
        let flags = (0..SAID.has.len()).map(|at| {
            let mut said = SAID;
            said.has[at] ^= true;
            said
        });
        let code = Said { code: 403, ..SAID };
        for said in texts.chain(flags).chain([code]) {
            let (other, other_record) = keys(&said, "id", times);
            assert_eq!(other, request);
            assert_ne!(other_record, record);
        }
        assert_ne!(keys(&SAID, "id", [times[0], 1_000_003]).1, record);
    }

    #[test]
    fn rounded_times_tell_nothing_apart() {
        assert_eq!(keys(&SAID, "id", [2_000, 5_000]).1, None);
        assert!(keys(&SAID, "id", [2_000, 5_001]).1.is_some());
        assert!(keys(&SAID, "id", [-1, 5_000]).1.is_some());
        assert_eq!(keys(&SAID, "id", [2_001; 2]).1, None);
        let arrival = Said {
            is_arrival: true,
            ..SAID
        };
        assert!(keys(&arrival, "id", [2_000; 2]).1.is_some());
        let hasher = SeedableRandomState::fixed();
        let identity = Identity::default();
        assert_eq!(identity.record(&hasher, 1, [Some(1), None]), None);
        assert_eq!(identity.record(&hasher, 1, [None, Some(1)]), None);
    }
}
