//! Groups whose adverts go over IPv6.

use outlast_config::vip::{Checksum, Protocol, Vip};
use outlast_config::{Source, effective_vips, keepalived, load};

const THIRD: Protocol = Protocol::V3 { sends: Checksum::Pseudo };

/// What these lines come to, and what is said of them.
fn asked(global: &str, addresses: &str, lines: &str) -> (Vip, Vec<String>) {
    let split = |text: &str| text.replace(';', "\n ");
    let text = format!(
        "global_defs {{\n {}\n}}\nvrrp_instance a {{\n interface eth0\n virtual_router_id 1\n {}\n \
         virtual_ipaddress {{\n {}\n }}\n}}\n",
        split(global),
        split(lines),
        split(addresses)
    );
    let source = Source { path: "keepalived.conf".to_owned(), text };
    let (read, findings) = keepalived::parse(&source, 0);
    let vips = effective_vips(None, Some(&read), None, false, &|_| None).unwrap();
    let messages = findings.into_iter().map(|finding| finding.message).collect();
    (vips.into_iter().next().unwrap(), messages)
}

#[test]
fn a_group_speaks_as_the_addresses_that_it_names() {
    let both = "fe80::40/64; 2001:db8::40";
    let excluded = "virtual_ipaddress_excluded {;10.0.0.40;}";
    for lines in ["", "native_ipv6", "version 3", excluded, "mcast_src_ip fe80::1"] {
        // No version but 3 is known to IPv6, so that of all does not hold here.
        let (vip, said) = asked("vrrp_version 2", both, lines);
        assert_eq!((vip.is_v6(), vip.protocol, said), (true, THIRD, vec![]), "{lines}");
        assert_eq!(vip.advertised().count(), 2, "{lines}");
    }
    let (vip, said) = asked("", "10.0.0.40", "virtual_ipaddress_excluded {;2001:db8::40;}");
    assert_eq!((vip.is_v6(), vip.protocol, said), (false, Protocol::V2, vec![]));
    let peers = "unicast_src_ip 2001:db8::1;unicast_peer {;2001:db8::2;}";
    let (vip, said) = asked("", "2001:db8::40", peers);
    assert_eq!(
        (vip.unicast_peers.len(), vip.source, said),
        (1, "2001:db8::1".parse().ok(), vec![])
    );
    let (vip, said) = asked("", "fe80::40", "authentication {;auth_type PASS;auth_pass secret12;}");
    assert_eq!(said, ["VRRP version 3 has no password: this one is not used"]);
    assert_eq!(vip.password, None);
}

#[test]
fn what_does_not_go_together_over_ipv6_is_told() {
    let rows = [
        ("10.0.0.40", "native_ipv6", "`native_ipv6` does not go with addresses of IPv4"),
        ("fe80::40; 10.0.0.40", "", "an advert over IPv6 names addresses of IPv6 only"),
        ("10.0.0.40; fe80::40", "", "an advert over IPv4 names addresses of IPv4 only"),
        ("fe80::40", "version 2", "VRRP version 2 knows no IPv6"),
        (
            "fe80::40",
            "mcast_src_ip 10.0.0.1",
            "10.0.0.1 cannot be the source: the adverts go over IPv6",
        ),
        (
            "10.0.0.40",
            "unicast_peer {;fe80::2;}",
            "fe80::2 cannot be a peer: the adverts go over IPv4",
        ),
        ("2001:db8::40", "", "the first address of a group over IPv6 should be for its link"),
    ];
    for (addresses, lines, message) in rows {
        assert_eq!(asked("", addresses, lines).1, [message], "{addresses} | {lines}");
    }
    let many = |count: u32| (0..count).map(|at| format!("fe80::{at:x};")).collect::<String>();
    assert_eq!(asked("", &many(90), "").1, Vec::<String>::new());
    assert_eq!(asked("", &many(91), "").1, ["an advert over IPv6 names at most 90 addresses"]);
}

#[test]
fn one_number_serves_both_kinds_on_a_network() {
    let instance = |name: &str, address: &str| {
        format!(
            "vrrp_instance {name} {{\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {{\n {address}\n }}\n}}\n"
        )
    };
    let said = |second: &str| {
        let text = instance("a", "10.0.0.40") + &instance("b", second);
        let source = Source { path: "keepalived.conf".to_owned(), text };
        let findings = keepalived::parse(&source, 0).1;
        findings.into_iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    assert_eq!(said("fe80::40"), Vec::<&str>::new());
    assert_eq!(said("10.0.0.41"), ["duplicate-router-id"]);
}

#[test]
fn outlast_toml_says_the_same() {
    let asked = |more: &str| {
        let text = format!(
            "[cluster]\nname = \"c\"\nsecret_file = \"secret\"\n\
             [node.n1]\nnetworks = {{ lan = \"2001:db8::1\" }}\n[node.n2]\nnetworks = {{ lan = \"2001:db8::2\" }}\n\
             [vip.a]\naddress = [\"fe80::40\", \"2001:db8::40\"]\nrouter_id = 1\ncheck = \"none\"\n{more}\n"
        );
        let source = Source { path: "outlast.toml".to_owned(), text };
        let loaded = load(vec![source]);
        let said: Vec<String> =
            loaded.diagnostics.iter().map(|found| found.message.clone()).collect();
        let device = |_| Some("eth0".to_owned());
        let vips = loaded.cluster.as_ref().map(|cluster| {
            effective_vips(Some(cluster), None, Some(0), false, &device).unwrap().remove(0)
        });
        (vips, said)
    };
    let (vip, said) = asked("");
    let vip = vip.unwrap();
    assert_eq!((vip.is_v6(), vip.protocol, vip.source, said), (true, THIRD, None, vec![]));
    let (vip, said) = asked("unicast = true");
    let vip = vip.unwrap();
    assert_eq!((vip.source, said), ("2001:db8::1".parse().ok(), vec![]));
    assert_eq!(vip.unicast_peers, ["2001:db8::2".parse::<std::net::IpAddr>().unwrap()]);
    let (_, said) = asked("version = 2");
    assert_eq!(said, ["VRRP version 2 knows no IPv6"]);
    let (_, said) = asked("source = \"10.0.0.1\"");
    assert_eq!(said, ["10.0.0.1 cannot be the source of adverts for this address"]);
}
