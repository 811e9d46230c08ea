//! The virtual IPs of one node.

use std::net::IpAddr;

use expect_test::expect;
use outlast_config::{Source, cluster, effective_vips, keepalived};

const CLUSTER: &str = "[cluster]
name = \"c\"
haproxy = \"lb.cfg\"
[node.a]
networks = { m = \"10.0.0.1\" }
[node.b]
networks = { m = \"10.0.0.2\" }
[node.c]
networks = { m = \"10.0.0.3\" }
";

const VIP: &str = "[vip.v]
address = \"10.0.0.9\"
network = \"m\"
router_id = 7
";

const KEEPALIVED: &str = "vrrp_script s {
 script \"/check one 'two words'\"
 interval 3
 weight -20
}
vrrp_instance i {
 interface eth1
 virtual_router_id 9
 priority 1
 virtual_ipaddress {
  10.0.0.8/24 brd 10.0.0.255 dev eth2 label eth2:1
 }
 virtual_ipaddress_excluded {
  10.0.0.7
 }
 track_script {
  s weight 5
 }
 track_interface {
  eth3
 }
}
";

fn cluster(text: &str) -> cluster::Cluster {
    let source = Source { path: "outlast.toml".to_owned(), text: text.to_owned() };
    let (cluster, findings) = cluster::parse(&source, 0);
    assert_eq!(findings, []);
    cluster.unwrap()
}

fn file() -> keepalived::Keepalived {
    let source = Source { path: "keepalived.conf".to_owned(), text: KEEPALIVED.to_owned() };
    let (file, findings) = keepalived::parse(&source, 0);
    assert_eq!(findings, []);
    file
}

fn eth0(_: IpAddr) -> Option<String> {
    Some("eth0".to_owned())
}

/// Priority of the first virtual IP on each node.
fn priorities(cluster: &cluster::Cluster, file: Option<&keepalived::Keepalived>) -> Vec<u8> {
    let nodes = 0..cluster.nodes.len();
    let of = |node| effective_vips(Some(cluster), file, Some(node), false, &eth0).unwrap();
    nodes.filter_map(|node| of(node).first().map(|vip| vip.priority)).collect()
}

#[test]
fn a_virtual_ip_of_the_cluster_file_is_complete() {
    let cluster = cluster(&format!("{CLUSTER}{VIP}"));
    let vips = effective_vips(Some(&cluster), None, Some(1), false, &eth0).unwrap();
    expect![[r#"
        [
            Vip {
                name: "v",
                interface: "eth0",
                router_id: 7,
                priority: 150,
                advert_interval: 1s,
                down_timer_adverts: 3,
                protocol: V2,
                startup_delay: 0ns,
                starts_as_master: false,
                preempt: false,
                preempt_delay: 0ns,
                sync_group: None,
                password: None,
                hmac: None,
                addresses: [
                    Address {
                        ip: 10.0.0.9,
                        prefix: 32,
                        device: None,
                        label: None,
                        broadcast: None,
                        is_excluded: false,
                        scope: 0,
                        preferred: None,
                        uses_virtual_mac: false,
                    },
                ],
                ways: [],
                virtual_macs: [],
                advert_mac: None,
                source: Some(
                    10.0.0.2,
                ),
                unicast_peers: [],
                travel: Travel {
                    group: None,
                    hops: 255,
                    routed: [],
                },
                track_interfaces: [],
                reversed_interfaces: [],
                ignores_interface: false,
                weighed_interfaces: [],
                track_processes: [],
                track_files: [],
                track_bfds: [],
                interface_delays: [],
                promotes_secondaries: false,
                accepts: true,
                track_scripts: [],
                track_balancer: true,
                has_lease: false,
                votes_only: false,
                notify: Notify {
                    every: None,
                    master: None,
                    backup: None,
                    fault: None,
                    stop: None,
                    deleted: None,
                    weaker_rival: None,
                    says_deleted: false,
                    priority_changes: false,
                },
            },
        ]
    "#]]
    .assert_debug_eq(&vips);
}

#[test]
fn a_virtual_ip_of_keepaliveds_file_is_complete() {
    let vips = effective_vips(None, Some(&file()), None, false, &|_| None).unwrap();
    expect![[r#"
        [
            Vip {
                name: "i",
                interface: "eth1",
                router_id: 9,
                priority: 1,
                advert_interval: 1s,
                down_timer_adverts: 3,
                protocol: V2,
                startup_delay: 0ns,
                starts_as_master: false,
                preempt: true,
                preempt_delay: 0ns,
                sync_group: None,
                password: None,
                hmac: None,
                addresses: [
                    Address {
                        ip: 10.0.0.8,
                        prefix: 24,
                        device: Some(
                            "eth2",
                        ),
                        label: Some(
                            "eth2:1",
                        ),
                        broadcast: Some(
                            10.0.0.255,
                        ),
                        is_excluded: false,
                        scope: 0,
                        preferred: None,
                        uses_virtual_mac: false,
                    },
                    Address {
                        ip: 10.0.0.7,
                        prefix: 32,
                        device: None,
                        label: None,
                        broadcast: None,
                        is_excluded: true,
                        scope: 0,
                        preferred: None,
                        uses_virtual_mac: false,
                    },
                ],
                ways: [],
                virtual_macs: [],
                advert_mac: None,
                source: None,
                unicast_peers: [],
                travel: Travel {
                    group: None,
                    hops: 255,
                    routed: [],
                },
                track_interfaces: [
                    "eth3",
                ],
                reversed_interfaces: [],
                ignores_interface: false,
                weighed_interfaces: [],
                track_processes: [],
                track_files: [],
                track_bfds: [],
                interface_delays: [],
                promotes_secondaries: false,
                accepts: true,
                track_scripts: [
                    Script {
                        name: "s",
                        command: [
                            "/check",
                            "one",
                            "two words",
                        ],
                        interval: 3s,
                        timeout: 3s,
                        fall: 1,
                        rise: 1,
                        weight: 5,
                        starts_failed: false,
                        user: None,
                        group: None,
                        secure: false,
                        reversed: false,
                    },
                ],
                track_balancer: false,
                has_lease: false,
                votes_only: false,
                notify: Notify {
                    every: None,
                    master: None,
                    backup: None,
                    fault: None,
                    stop: None,
                    deleted: None,
                    weaker_rival: None,
                    says_deleted: false,
                    priority_changes: false,
                },
            },
        ]
    "#]]
    .assert_debug_eq(&vips);
}

#[test]
fn the_order_makes_the_priorities() {
    let text = format!("{CLUSTER}{VIP}");
    assert_eq!(priorities(&cluster(&text), None), [200, 150, 100]);
    let text = format!("{text}order = [\"c\", \"a\"]\n");
    assert_eq!(priorities(&cluster(&text), None), [150, 200]);
}

#[test]
fn nodes_that_share_keepaliveds_file_differ_by_their_order_or_by_what_they_say() {
    assert_eq!(priorities(&cluster(CLUSTER), Some(&file())), [200, 150, 100]);
    let text = CLUSTER.replace("[node.c]", "[node.c]\npriority = 250");
    assert_eq!(priorities(&cluster(&text), Some(&file())), [200, 150, 250]);
}

#[test]
fn unicast_goes_to_the_other_nodes() {
    let cluster = cluster(&format!("{CLUSTER}{VIP}unicast = true\n"));
    let vips = effective_vips(Some(&cluster), None, Some(1), false, &eth0).unwrap();
    let peers: Vec<String> = vips[0].unicast_peers.iter().map(ToString::to_string).collect();
    assert_eq!(peers, ["10.0.0.1", "10.0.0.3"]);
}

#[test]
fn where_no_device_has_the_address_yet_the_interface_is_not_known() {
    let cluster = cluster(&format!("{CLUSTER}{VIP}"));
    let vips = effective_vips(Some(&cluster), None, Some(0), false, &|_| None).unwrap();
    assert_eq!(vips[0].interface, "");
    assert_eq!(cluster.address_beside("v", 0), Some("10.0.0.1".parse().unwrap()));
    assert_eq!(cluster.address_beside("of nobody", 0), None);
}

#[test]
fn a_balancer_beside_keepalived_s_file_is_watched_without_a_script() {
    let vips = effective_vips(None, Some(&file()), None, true, &|_| None).unwrap();
    assert!(vips.iter().all(|vip| vip.track_balancer));
    let vips = effective_vips(None, Some(&file()), None, false, &|_| None).unwrap();
    assert!(vips.iter().all(|vip| !vip.track_balancer));
}
