//! Addresses: what their text says about where they are.

use std::net::IpAddr;

/// Returns the network of an address as it is usually handed out: /24 of IPv4, /48 of IPv6.
pub(super) fn network(address: &str) -> Option<String> {
    match address.parse().ok()? {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Some(format!("{a}.{b}.{c}.0/24"))
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            Some(format!("{a:x}:{b:x}:{c:x}::/48"))
        }
    }
}

/// Returns whether the addresses may all be one host or gateway: one network of each family at most.
pub(super) fn are_neighbours<'a>(addresses: impl IntoIterator<Item = &'a str>) -> bool {
    let mut networks = Vec::new();
    for address in addresses {
        let Some(network) = network(address) else {
            return false;
        };
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    let of_v6 = networks
        .iter()
        .filter(|network| network.contains(':'))
        .count();
    of_v6 <= 1 && networks.len() - of_v6 <= 1
}

/// Returns whether one of the addresses is of IPv4 and the other of IPv6.
pub(super) fn is_other_family(one: &str, other: &str) -> bool {
    match (one.parse::<IpAddr>(), other.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one.is_ipv4() != other.is_ipv4(),
        _ => false,
    }
}

/// Returns whether the address is one that the internet routes; what is no address is not.
pub fn is_public(address: &str) -> bool {
    const CARRIER_NAT: [u8; 2] = [100, 64];
    match address
        .parse::<IpAddr>()
        .map(|address| address.to_canonical())
    {
        Ok(IpAddr::V4(address)) => {
            let [a, b, ..] = address.octets();
            let is_shared = a == CARRIER_NAT[0] && b & 0xc0 == CARRIER_NAT[1];
            !(address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || is_shared)
        }
        Ok(IpAddr::V6(address)) => {
            !(address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local())
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_network_of_each_family() {
        let check = |addresses: &[&str], expected: bool| {
            assert_eq!(
                are_neighbours(addresses.iter().copied()),
                expected,
                "{addresses:?}"
            );
        };
        check(&["10.0.0.1", "10.0.0.200"], true);
        check(&["10.0.0.1", "10.0.1.1"], false);
        check(&["10.0.0.1", "fd00::1"], true);
        check(&["2001:db8::1", "2001:db8:0:1::2", "10.0.0.1"], true);
        check(&["2001:db8::1", "2001:db9::2"], false);
        check(&["gce-internal-ip", "10.0.0.1"], false);
    }

    #[test]
    fn private_addresses_are_not_public() {
        for address in [
            "203.0.113.7",
            "100.128.0.1",
            "2001:db8::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(address), "{address}");
        }
        for address in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "0.0.0.0",
            "proxy",
        ] {
            assert!(!is_public(address), "{address}");
        }
    }

    #[test]
    fn networks_are_cut_by_family() {
        assert_eq!(network("10.1.2.3").as_deref(), Some("10.1.2.0/24"));
        assert_eq!(
            network("2001:db8:7:8::1").as_deref(),
            Some("2001:db8:7::/48")
        );
        assert_eq!(network("private"), None);
    }
}
