//! Where a connection may go: the target is checked before it, and the connection goes to what was checked.
//!
//! A name is resolved once; of its addresses those that may not be connected to are an error, all of them, so that a
//! name with one good and one bad address is no way around. Always refused: unspecified, link-local, multicast,
//! broadcast, documentation and reserved addresses, and those of cloud metadata services, also where IPv6 carries IPv4
//! (mapped, NAT64, 6to4). Private addresses are refused unless `allow_private` is set; a loopback address passes if the
//! configuration spells it out (`127.0.0.1`, `[::1]`, `localhost`), not if a name leads there.
//!
//! IPv4 is written in four decimal numbers: other spellings (`0x7f.1`, `2130706433`, `0177.0.0.1`), zone ids and
//! numbers with a final dot are errors, since programs disagree about what they mean.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Duration;

use thiserror::Error;

/// Where connections of a sink may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AddressRules {
    /// Whether private, shared and unique-local addresses pass, and loopback by name.
    pub allow_private: bool,
}

/// Why a target may not be connected to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// The host is no plain name or address.
    #[error("`{host}` is not a host name or an address in its usual spelling")]
    Spelling {
        /// The host as given.
        host: String,
    },
    /// The address is never a target.
    #[error("`{host}` leads to {address}, {what}, which is never a target")]
    Never {
        /// The host as given.
        host: String,
        /// The address.
        address: IpAddr,
        /// What kind of address it is.
        what: &'static str,
    },
    /// The address is private.
    #[error("`{host}` leads to {address}, a private address; `allow_private = true` permits it")]
    Private {
        /// The host as given.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// The name has no address.
    #[error("`{host}` cannot be resolved")]
    Unresolved {
        /// The host as given.
        host: String,
    },
    /// Resolving took too long.
    #[error("resolving `{host}` took more than {timeout_ms} ms")]
    Slow {
        /// The host as given.
        host: String,
        /// What it was given.
        timeout_ms: u128,
    },
}

/// Returns the addresses of `host` that a connection may go to, at least one, in the resolver's order.
///
/// # Errors
/// When the host is misspelled, cannot be resolved in time, or has an address that `rules` refuse.
pub fn resolve(
    host: &str,
    port: u16,
    rules: AddressRules,
    timeout: Duration,
) -> Result<Vec<SocketAddr>, AddressError> {
    resolve_with(host, port, rules, |name| {
        let (sender, receiver) = mpsc::sync_channel(1);
        let target = (name.to_owned(), port);
        // The system's resolver has no time-out of its own; a thread that hangs is left behind.
        std::thread::spawn(move || sender.send(target.to_socket_addrs()).ok());
        let slow = |_| AddressError::Slow {
            host: name.to_owned(),
            timeout_ms: timeout.as_millis(),
        };
        let answer = receiver.recv_timeout(timeout).map_err(slow)?;
        let unresolved = |_| AddressError::Unresolved {
            host: name.to_owned(),
        };
        Ok(answer
            .map_err(unresolved)?
            .map(|address| address.ip())
            .collect())
    })
}

/// As [`resolve`], with `look_up` in place of the system's resolver; it is asked at most once.
fn resolve_with(
    host: &str,
    port: u16,
    rules: AddressRules,
    look_up: impl FnOnce(&str) -> Result<Vec<IpAddr>, AddressError>,
) -> Result<Vec<SocketAddr>, AddressError> {
    let (addresses, is_spelled_out) = match literal(host)? {
        Some(address) => (vec![address], true),
        None => (look_up(host)?, host.eq_ignore_ascii_case("localhost")),
    };
    if addresses.is_empty() {
        return Err(AddressError::Unresolved {
            host: host.to_owned(),
        });
    }
    for &address in &addresses {
        check(host, address, rules, is_spelled_out)?;
    }
    Ok(addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect())
}

/// Checks a host as far as it goes without resolving a name.
///
/// # Errors
/// When it is misspelled, or an address that `rules` refuse.
pub fn check_host(host: &str, rules: AddressRules) -> Result<(), AddressError> {
    match literal(host)? {
        Some(address) => check(host, address, rules, true),
        None => Ok(()),
    }
}

/// Returns whether the host is a loopback address or `localhost`, as spelled.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || matches!(literal(host), Ok(Some(address)) if canonical(address).is_loopback())
}

/// Returns the address that `host` spells, `None` for a name.
fn literal(host: &str) -> Result<Option<IpAddr>, AddressError> {
    let spelling = || AddressError::Spelling {
        host: host.to_owned(),
    };
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or_else(spelling)?;
        return inner
            .parse::<Ipv6Addr>()
            .map(|address| Some(address.into()))
            .or(Err(spelling()));
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(Some(address));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.len() <= 63 && label.bytes().all(is_fine)
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err(spelling());
    }
    // What ends in a number is read as an address by some programs (WHATWG URL, "ends in a number checker").
    let last = name.rsplit('.').next().unwrap_or_default();
    let digits = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_hex = digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if is_hex || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(spelling());
    }
    Ok(None)
}

fn check(
    host: &str,
    given: IpAddr,
    rules: AddressRules,
    is_spelled_out: bool,
) -> Result<(), AddressError> {
    let address = canonical(given);
    if let Some(what) = never(address) {
        return Err(AddressError::Never {
            host: host.to_owned(),
            address: given,
            what,
        });
    }
    let is_allowed = rules.allow_private || (is_spelled_out && address.is_loopback());
    if is_private(address) && !is_allowed {
        return Err(AddressError::Private {
            host: host.to_owned(),
            address: given,
        });
    }
    Ok(())
}

/// Returns the IPv4 address inside an IPv6 address that carries one: mapped, compatible, NAT64 or 6to4.
fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let segments = v6.segments();
    let [.., high, low] = segments;
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, ..] => {
            v4(high, low)
        }
        // `::` and `::1` are addresses of their own.
        [0, 0, 0, 0, 0, 0, ..] if (high, low) > (0, 1) => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

/// Returns what the address is, if it is never a target.
fn never(address: IpAddr) -> Option<&'static str> {
    /// Metadata services outside of the link-local range: Azure, Alibaba, Oracle.
    const METADATA: [Ipv4Addr; 3] = [
        Ipv4Addr::new(168, 63, 129, 16),
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    match address {
        IpAddr::V4(v4) => match v4.octets() {
            _ if METADATA.contains(&v4) => Some("a metadata service"),
            [0, ..] => Some("an unspecified address"),
            [169, 254, ..] => Some("a link-local address"),
            [224..=239, ..] => Some("a multicast address"),
            [240..=255, ..] => Some("a reserved address"),
            [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("a reserved address"),
            _ => None,
        },
        IpAddr::V6(v6) => match v6.segments() {
            [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254] => Some("a metadata service"),
            _ if v6.is_unspecified() => Some("an unspecified address"),
            [0xfe80..=0xfebf, ..] => Some("a link-local address"),
            [0xff00..=0xffff, ..] => Some("a multicast address"),
            [0x2001, 0 | 0x0db8, ..] | [0x100, 0, 0, 0, ..] => Some("a reserved address"),
            _ => None,
        },
    }
}

/// Returns whether the address is loopback, private, shared (RFC 6598), for benchmarks, site- or unique-local.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_private()
                || matches!(v4.octets(), [100, 64..=127, ..] | [198, 18..=19, ..])
        }
        IpAddr::V6(v6) => {
            v6.is_loopback() || matches!(v6.segments()[0], 0xfc00..=0xfdff | 0xfec0..=0xfeff)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: AddressRules = AddressRules {
        allow_private: false,
    };
    const LENIENT: AddressRules = AddressRules {
        allow_private: true,
    };

    #[test]
    fn names_are_checked_by_what_they_lead_to() {
        fn check(address: &str, rules: AddressRules, passes: bool) {
            let found = resolve_with("sink.example", 443, rules, |_| {
                Ok(vec![address.parse().unwrap()])
            });
            assert_eq!(found.is_ok(), passes, "{address}: {found:?}");
        }
        check("93.184.216.34", STRICT, true);
        check("2606:2800:220:1::1", STRICT, true);
        for private in [
            "10.0.0.1",
            "127.0.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "fd00::1",
            "::1",
        ] {
            check(private, STRICT, false);
            check(private, LENIENT, true);
        }
        for never in [
            "169.254.169.254",
            "fd00:ec2::254",
            "0.0.0.0",
            "224.0.0.1",
            "fe80::1",
        ] {
            check(never, STRICT, false);
            check(never, LENIENT, false);
        }
    }

    #[test]
    fn one_bad_address_spoils_a_name() {
        let addresses = ["93.184.216.34", "169.254.169.254"].map(|text| text.parse().unwrap());
        assert!(resolve_with("x.example", 443, LENIENT, |_| Ok(addresses.to_vec())).is_err());
    }

    #[test]
    fn loopback_passes_only_as_spelled() {
        assert!(check_host("127.0.0.1", STRICT).is_ok());
        assert!(check_host("[::1]", STRICT).is_ok());
        assert!(
            is_loopback("localhost") && is_loopback("[::1]") && !is_loopback("127.0.0.1.example")
        );
        assert!(
            resolve_with("localhost", 80, STRICT, |_| Ok(vec![
                Ipv4Addr::LOCALHOST.into()
            ]))
            .is_ok()
        );
    }
}
