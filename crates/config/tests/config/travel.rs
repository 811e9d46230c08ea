//! Where adverts go, and over how many routers.

use std::net::IpAddr;

use outlast_config::vip::{Routed, Travel, Vip};
use outlast_config::{Source, effective_vips, keepalived};

/// The instances with these lines for all, and these of each; and what is found.
fn asked(global: &str, instances: &[&str]) -> (Vec<Vip>, Vec<(String, String)>) {
    let mut text = format!("global_defs {{\n {}\n}}\n", global.replace(';', "\n "));
    for (name, lines) in ('a'..).zip(instances) {
        let lines = lines.replace(';', "\n ");
        text.push_str(&format!(
            "vrrp_instance {name} {{\n interface eth0\n virtual_router_id 1\n {lines}\n}}\n"
        ));
    }
    let source = Source { path: "keepalived.conf".to_owned(), text };
    let (read, findings) = keepalived::parse(&source, 0);
    let vips = effective_vips(None, Some(&read), None, false, &|_| None).unwrap();
    (vips, findings.into_iter().map(|it| (it.code.to_owned(), it.message)).collect())
}

const V4: &str = "virtual_ipaddress {; 10.0.0.9; }";
const V6: &str = "virtual_ipaddress {; fe80::9/64; }";

fn group(ip: &str) -> Travel {
    Travel { group: Some(ip.parse().unwrap()), ..Travel::default() }
}

#[test]
fn adverts_go_to_the_group_of_the_instance_or_to_that_of_all() {
    let of_all = "vrrp_mcast_group4 224.0.0.98; vrrp_mcast_group6 ff02::98";
    let rows = [
        ("", String::from(V4), Travel::default()),
        ("", format!("{V4}; mcast_dst_ip 224.0.0.99"), group("224.0.0.99")),
        ("", format!("{V6}; mcast_dst_ip ff02::99"), group("ff02::99")),
        (of_all, V4.to_owned(), group("224.0.0.98")),
        (of_all, V6.to_owned(), group("ff02::98")),
        (of_all, format!("mcast_dst_ip 224.0.0.99; {V4}"), group("224.0.0.99")),
        // That of RFC 9568 is no other one.
        (of_all, format!("{V4}; mcast_dst_ip 224.0.0.18"), Travel::default()),
        ("vrrp_mcast_group4 224.0.0.18", V4.to_owned(), Travel::default()),
    ];
    for (global, lines, expected) in rows {
        let (vips, found) = asked(global, &[&lines]);
        assert_eq!((&vips[0].travel, found), (&expected, vec![]), "{global} | {lines}");
    }
}

#[test]
fn peers_may_be_behind_as_many_routers_as_their_file_says() {
    let lines = format!(
        "{V4}; unicast_ttl 64; unicast_peer {{; 10.1.0.2 min_ttl 250; 10.1.0.3; 10.1.0.4 max_ttl 254 min_ttl 3; }}"
    );
    let (vips, found) = asked("vrrp_mcast_group4 224.0.0.98", &[&lines]);
    let peers: Vec<IpAddr> = (2..5).map(|last| IpAddr::from([10, 1, 0, last])).collect();
    let routed = vec![
        Routed { peer: peers[0], least: 250, most: 255 },
        Routed { peer: peers[2], least: 3, most: 254 },
    ];
    assert_eq!(found, []);
    assert_eq!(vips[0].travel, Travel { group: None, hops: 64, routed });
    assert_eq!(vips[0].unicast_peers, peers);
    let takes = |last: usize, hops| vips[0].travel.takes(peers[last - 2], hops);
    assert_eq!([takes(2, 249), takes(2, 250)], [Some(false), Some(true)]);
    assert_eq!([takes(3, 254), takes(4, 255), takes(4, 3)], [None, Some(false), Some(true)]);
}

#[test]
fn one_number_serves_two_groups_of_an_interface() {
    let (a, b) =
        (format!("{V4}; mcast_dst_ip 224.0.0.97"), format!("{V4}; mcast_dst_ip 224.0.0.98"));
    let codes = |instances: &[&str]| -> Vec<String> {
        asked("", instances).1.into_iter().map(|(code, _)| code).collect()
    };
    assert_eq!(codes(&[&a, &b, V4]), [""; 0]);
    assert_eq!(codes(&[&a, &a]), ["duplicate-router-id"]);
}

#[test]
fn what_cannot_be_a_group_or_a_number_of_routers_is_told() {
    let rows = [
        (format!("{V4}; mcast_dst_ip 10.0.0.1"), "bad-value"),
        (format!("{V4}; mcast_dst_ip"), "missing-word"),
        (format!("{V4}; mcast_dst_ip ff02::99"), "ip-version"),
        (format!("{V6}; mcast_dst_ip 224.0.0.99"), "ip-version"),
        (format!("{V4}; mcast_dst_ip 224.0.0.99; unicast_peer {{; 10.1.0.2; }}"), "group-unused"),
        (format!("{V4}; unicast_ttl 0"), "bad-value"),
        (format!("{V4}; unicast_ttl 256"), "bad-value"),
        (format!("{V4}; unicast_peer {{; 10.1.0.2 min_ttl; }}"), "missing-word"),
        (format!("{V4}; unicast_peer {{; 10.1.0.2 min_ttl 9 max_ttl 8; }}"), "bad-value"),
        (format!("{V4}; unicast_peer {{; 10.1.0.2 ttl 9; }}"), "bad-value"),
        (format!("{V4}; unicast_peer {{; 10.1.0.999; }}"), "bad-value"),
    ];
    for (lines, code) in rows {
        let found = asked("", &[&lines]).1;
        assert_eq!(found.len(), 1, "{lines}: {found:?}");
        assert_eq!(found[0].0, code, "{lines}: {found:?}");
    }
    for global in ["vrrp_mcast_group4 ff02::99", "vrrp_mcast_group6 fe80::1"] {
        assert_eq!(asked(global, &[V4]).1[0].0, "bad-value", "{global}");
    }
}
