//! Addresses and names that aren't the public internet: the gateway's own machine, its network, its
//! cloud's metadata, and addresses that only look public because an IPv4 address is hidden in them.
//!
//! They come from IANA's registries of special-purpose addresses (RFC 6890) and of special-use
//! names (RFC 6761). `envoy/*.yaml` have the same ranges, which a test ensures. The filter judges
//! what a URL says, Envoy judges what a name resolves to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A range of addresses and what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialPurposeRange {
    /// The addresses.
    pub network: IpNet,
    /// What they are, in a few words.
    pub meaning: &'static str,
}

/// Every range that an allow-list includes only if it is named. The first range that contains an
/// address describes it.
pub static SPECIAL_PURPOSE_RANGES: [SpecialPurposeRange; 41] = [
    v4([0, 0, 0, 0], 8, "\"this\" network"),
    v4([10, 0, 0, 0], 8, "private"),
    v4([100, 64, 0, 0], 10, "shared by carriers (CGNAT)"),
    v4([127, 0, 0, 0], 8, "loopback"),
    v4([168, 63, 129, 16], 32, "Azure's platform"),
    v4([169, 254, 0, 0], 16, "link-local, as cloud metadata is"),
    v4([172, 16, 0, 0], 12, "private"),
    v4([192, 0, 0, 0], 24, "for protocol assignments"),
    v4([192, 0, 2, 0], 24, "documentation"),
    v4([192, 88, 99, 0], 24, "6to4 relays"),
    v4([192, 168, 0, 0], 16, "private"),
    v4([198, 18, 0, 0], 15, "benchmarking"),
    v4([198, 51, 100, 0], 24, "documentation"),
    v4([203, 0, 113, 0], 24, "documentation"),
    v4([224, 0, 0, 0], 4, "multicast"),
    v4([255, 255, 255, 255], 32, "broadcast"),
    v4([240, 0, 0, 0], 4, "reserved"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, "unspecified"),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),
    v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, "IPv4-mapped"),
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, "IPv4-translated"),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96, "IPv4-compatible"),
    v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, "NAT64"),
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "local NAT64"),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard-only"),
    v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64, "a dummy prefix"),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "Teredo"),
    v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, "benchmarking"),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation"),
    v6(
        [0x2001, 0, 0, 0, 0, 0, 0, 0],
        23,
        "for protocol assignments",
    ),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4"),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "segment routing"),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "unique local"),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local"),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
    // Only 2000::/3 has been assigned so far (RFC 4291 §2.4). These are all other addresses.
    v6([0, 0, 0, 0, 0, 0, 0, 0], 3, NOT_GLOBAL),
    v6([0x4000, 0, 0, 0, 0, 0, 0, 0], 2, NOT_GLOBAL),
    v6([0x8000, 0, 0, 0, 0, 0, 0, 0], 2, NOT_GLOBAL),
    v6([0xc000, 0, 0, 0, 0, 0, 0, 0], 2, NOT_GLOBAL),
];

const NOT_GLOBAL: &str = "outside global unicast";

/// Names at the end of a name that never mean a public host: RFC 6761 and 6762 with its appendix G,
/// RFC 8375, ICANN's `internal`, and what clouds and Kubernetes resolve to themselves.
const LOCAL_SUFFIXES: [&str; 14] = [
    "corp",
    "home",
    "home.arpa",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "metadata.goog",
    "private",
    "svc",
    "test",
];

/// Returns what makes an address special, if it is special, or if an IPv4 address within it is.
#[must_use]
pub fn special_purpose_address(address: IpAddr) -> Option<&'static str> {
    let of_itself = SPECIAL_PURPOSE_RANGES
        .iter()
        .find(|range| range.network.contains(&address))
        .map(|range| range.meaning);
    let IpAddr::V6(address) = address else {
        return of_itself;
    };
    let within = || embedded(address).find_map(|inner| special_purpose_address(IpAddr::V4(inner)));
    of_itself.or_else(within)
}

/// Returns whether a name, in lower case and without a trailing dot, means something on the
/// gateway's own network: it has a single label, or ends in a name that is never public.
#[must_use]
pub fn is_local_name(name: &str) -> bool {
    !name.contains('.')
        || LOCAL_SUFFIXES.iter().any(|suffix| {
            name.strip_suffix(suffix)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
}

/// Returns the IPv4 addresses to which an IPv6 address would lead: 6to4 (RFC 3056 §2), Teredo's
/// server and its inverted client (RFC 4380 §4), ISATAP (RFC 5214 §6.1), NAT64 and all others that
/// end in one (RFC 6052 §2.2, RFC 4291 §2.5.5).
fn embedded(address: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let join = |high: u16, low: u16| {
        Some(Ipv4Addr::from_bits(
            (u32::from(high) << 16) | u32::from(low),
        ))
    };
    let ends_in_one = match (a, b, c, d) {
        (0, 0, 0, 0) => e == 0 && (f == 0 || f == 0xffff) || e == 0xffff && f == 0,
        (0x64, 0xff9b, ..) => true,
        _ => e & 0xfdff == 0 && f == 0x5efe,
    };
    let is_teredo = a == 0x2001 && b == 0;
    [
        ends_in_one.then(|| join(g, h)).flatten(),
        (a == 0x2002).then(|| join(b, c)).flatten(),
        is_teredo.then(|| join(c, d)).flatten(),
        is_teredo.then(|| join(!g, !h)).flatten(),
    ]
    .into_iter()
    .flatten()
}

const fn v4(address: [u8; 4], length: u8, meaning: &'static str) -> SpecialPurposeRange {
    let [a, b, c, d] = address;
    let network = Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length);
    SpecialPurposeRange {
        network: IpNet::V4(network),
        meaning,
    }
}

const fn v6(segments: [u16; 8], length: u8, meaning: &'static str) -> SpecialPurposeRange {
    let [a, b, c, d, e, f, g, h] = segments;
    let network = Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length);
    SpecialPurposeRange {
        network: IpNet::V6(network),
        meaning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(address: &str) -> Option<&'static str> {
        special_purpose_address(address.parse().unwrap())
    }

    #[test]
    fn ranges_end_where_they_should() {
        for (inside, outside) in [
            ("10.255.255.255", "11.0.0.0"),
            ("100.64.0.0", "100.63.255.255"),
            ("100.127.255.255", "100.128.0.0"),
            ("172.31.255.255", "172.32.0.0"),
            ("198.19.255.255", "198.20.0.0"),
            ("224.0.0.0", "223.255.255.255"),
            ("2001:1ff::", "2001:200::"),
            ("1fff::", "2000::"),
            ("4000::", "3ffe:ffff::"),
        ] {
            assert!(meaning(inside).is_some(), "{inside}");
            assert_eq!(meaning(outside), None, "{outside}");
        }
    }

    #[test]
    fn the_narrowest_range_names_an_address() {
        for (address, expected) in [
            ("::1", "loopback"),
            ("::", "unspecified"),
            ("::ffff:8.8.8.8", "IPv4-mapped"),
            ("fd00:ec2::254", "unique local"),
            ("255.255.255.255", "broadcast"),
            ("2001::1", "Teredo"),
        ] {
            assert_eq!(meaning(address), Some(expected), "{address}");
        }
    }

    #[test]
    fn an_address_within_an_address_is_judged_too() {
        assert_eq!(meaning("2606:4700::5efe:10.0.0.1"), Some("private"));
        assert_eq!(meaning("2606:4700::200:5efe:127.0.0.1"), Some("loopback"));
        assert_eq!(meaning("2606:4700::5efe:8.8.8.8"), None);
        let inner = |address: &str| embedded(address.parse().unwrap()).collect::<Vec<_>>();
        assert_eq!(inner("2002:a00:1::"), [Ipv4Addr::new(10, 0, 0, 1)]);
        assert_eq!(inner("64:ff9b::127.0.0.1"), [Ipv4Addr::new(127, 0, 0, 1)]);
        assert_eq!(
            inner("2001:0:a00:1::80ff:fffe"),
            [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 1)]
        );
        assert!(inner("2606:4700::1").is_empty());
    }

    #[test]
    fn local_names_end_in_whole_labels() {
        for name in [
            "localhost",
            "a.localhost",
            "router",
            "db.internal",
            "x.home.arpa",
        ] {
            assert!(is_local_name(name), "{name}");
        }
        for name in [
            "notlocalhost.example",
            "internal.example",
            "a.arpa",
            "mylocal.net",
        ] {
            assert!(!is_local_name(name), "{name}");
        }
    }
}
