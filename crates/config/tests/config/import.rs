//! Files of HAProxy and keepalived become an `outlast.toml` that means the same.

use std::collections::BTreeSet;
use std::net::IpAddr;

use expect_test::expect;
use outlast_config::cluster::Node;
use outlast_config::import::{Imported, Wishes, import};
use outlast_config::vip::Vip;
use outlast_config::{Loaded, Severity, Source, effective_vips, load};
use proptest::prelude::*;

fn wishes() -> Wishes {
    Wishes { name: "cloud".to_owned(), haproxy: vec!["haproxy.cfg".to_owned()], nodes: Vec::new() }
}

fn read(keepalived: &str, haproxy: &str) -> Loaded {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    load(vec![source("keepalived.conf", keepalived), source("haproxy.cfg", haproxy)])
}

fn again(imported: &Imported, haproxy: &str) -> Loaded {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    load(vec![source("outlast.toml", &imported.text), source("haproxy.cfg", haproxy)])
}

fn errors(loaded: &Loaded) -> Vec<String> {
    let wrong = loaded.diagnostics.iter().filter(|f| f.severity == Severity::Error);
    wrong.map(|finding| finding.message.clone()).collect()
}

const PROXIES: &str = "global
 stats socket /run/haproxy.sock
defaults
 timeout client 1m
 timeout server 1m
 timeout connect 1s
listen api
 bind 10.0.0.40:5000
 server control01 10.0.0.41:5000 check
 server control02 10.0.0.42:5000 check
 server control03 10.0.0.43:5000 check
listen mariadb
 mode tcp
 bind 10.0.0.40:3306
 server control01 10.0.0.41:3306 check
 server control02 10.0.0.42:3306 check backup
 server control03 10.0.0.43:3306 check backup
";

#[test]
fn what_kolla_writes_becomes_a_cluster_file() {
    let keepalived = "vrrp_script check_alive {
 script \"/check_alive.sh /run/haproxy.sock\"
 interval 2
 fall 2
 rise 10
}
vrrp_instance kolla_internal_vip_51 {
 state BACKUP
 nopreempt
 interface eth0
 virtual_router_id 51
 priority 40
 advert_int 1
 unicast_src_ip 10.0.0.42
 unicast_peer {
  10.0.0.41
  10.0.0.43
 }
 virtual_ipaddress {
  10.0.0.40 dev eth0
 }
 notify /notify.sh
 authentication {
  auth_type PASS
  auth_pass a\"b
 }
 track_script {
  check_alive
 }
}
";
    let loaded = read(keepalived, PROXIES);
    let imported = import(&loaded, &wishes());
    expect![[r##"
        # Written by `outlast config import`. The same file on every node.

        [cluster]
        name = "cloud"
        # secret_file = "/etc/outlast/secret"   # 32 bytes or more, the same on every node: beats and named successors need it
        haproxy = "haproxy.cfg"

        [node.control01]
        networks = { eth0 = "10.0.0.41" }

        [node.control02]
        networks = { eth0 = "10.0.0.42" }

        [node.control03]
        networks = { eth0 = "10.0.0.43" }

        [vip.kolla_internal_vip_51]
        address = "10.0.0.40"
        network = "eth0"
        interface = "eth0"
        router_id = 51
        password = "a"
        # `balancer` instead of the script check_alive: /check_alive.sh /run/haproxy.sock
        check = "balancer"
        notify = { script = ["/notify.sh"] }
        unicast = true
        # NOT THE SAME: this node's priority was 40; here `order` says who comes first, at a cold start only

        # One server at a time, and no way back by itself.
        [service.mariadb]
        kind = "database"
    "##]]
    .assert_eq(&imported.text);
}

/// One instance of a generated file.
#[derive(Clone, Debug)]
struct Shape {
    state: Option<&'static str>,
    nopreempt: bool,
    priority: u8,
    advert: u8,
    router_id: u8,
    address: u8,
    prefix: Option<u8>,
    device: Option<&'static str>,
    label: bool,
    more: Option<u8>,
    excluded: Option<u8>,
    scope: bool,
    routed: bool,
    weighed: bool,
    /// Version 3.
    third: bool,
    checksum_as_v2: bool,
    password: Option<String>,
    unicast: Option<Vec<u8>>,
    source: Option<u8>,
    interfaces: Vec<&'static str>,
    scripts: Vec<usize>,
    later: bool,
    signed: bool,
}

fn shape() -> impl Strategy<Value = Shape> {
    let who = (
        prop::option::of(prop::sample::select(vec!["BACKUP", "MASTER"])),
        any::<bool>(),
        1_u8..=254,
        1_u8..5,
        1_u8..=255,
        60_u8..80,
    );
    let address = (
        prop::option::of(8_u8..=32),
        prop::option::of(prop::sample::select(vec!["eth0", "eth7"])),
        prop::bool::weighted(0.2),
        prop::option::of(90_u8..100),
        prop::option::of(100_u8..110),
        prop::option::of("[a-zA-Z0-9.]{1,12}"),
        prop::array::uniform6(prop::bool::weighted(0.2)),
    );
    let peers = prop_oneof![
        3 => Just(None),
        2 => Just(Some(vec![42, 43])),
        1 => Just(Some(vec![42])),
    ];
    let checks = (
        peers,
        prop::option::of(prop::sample::select(vec![41_u8, 99])),
        prop::sample::subsequence(vec!["eth1", "bond0.100"], 0..=2),
        prop::sample::subsequence(vec![0_usize, 1, 2], 0..=3),
        prop::bool::weighted(0.2),
    );
    (who, address, checks).prop_map(|(who, address, checks)| {
        let (state, nopreempt, priority, advert, router_id, ip) = who;
        let (prefix, device, label, more, excluded, password, flags) = address;
        let [scope, routed, weighed, third, checksum_as_v2, signed] = flags;
        let (unicast, source, interfaces, scripts, later) = checks;
        Shape {
            state,
            nopreempt,
            priority,
            advert,
            router_id,
            address: ip,
            prefix,
            device,
            label,
            more,
            excluded,
            scope,
            routed,
            weighed,
            third,
            checksum_as_v2,
            password,
            unicast,
            source,
            interfaces,
            scripts,
            later,
            signed,
        }
    })
}

const SCRIPTS: &str = "global_defs {
 enable_script_security
 script_user nobody
}
vrrp_script alive {
 script \"/bin/sh -c 'echo show info | socat /run/haproxy.sock stdio'\"
}
vrrp_script route {
 script \"/check/route 'two words' \\\\ done\"
 interval 3
 timeout 2
 fall 4
 rise 5
 weight -20
 init_fail
}
vrrp_script other {
 script \"/check/other\"
 user daemon nogroup
}
";

const NAMES: [&str; 3] = ["alive", "route", "other"];

fn block(at: usize, shape: &Shape) -> String {
    let mut text = format!("vrrp_instance VI_{at}.x {{\n interface eth0\n");
    let mut line = |words: String| text.push_str(&format!(" {words}\n"));
    line(format!("virtual_router_id {}", shape.router_id));
    line(format!("priority {}", shape.priority));
    line(format!("advert_int {}{}", if shape.third { "0.0" } else { "" }, shape.advert));
    if shape.third {
        line("version 3".to_owned());
    }
    if shape.checksum_as_v2 {
        line("v3_checksum_as_v2".to_owned());
    }
    if let Some(state) = shape.state {
        line(format!("state {state}"));
    }
    if shape.nopreempt {
        line("nopreempt".to_owned());
    }
    let prefix = shape.prefix.map(|prefix| format!("/{prefix}")).unwrap_or_default();
    let device = shape.device.map(|device| format!(" dev {device}")).unwrap_or_default();
    let label = if shape.label { " label eth0:1" } else { "" };
    let more = shape.more.map(|ip| format!("  10.0.{at}.{ip}\n")).unwrap_or_default();
    line(format!(
        "virtual_ipaddress {{\n  10.0.{at}.{}{prefix}{device}{label}\n{more} }}",
        shape.address
    ));
    if let Some(ip) = shape.excluded {
        let scope = if shape.scope { " scope link" } else { "" };
        line(format!("virtual_ipaddress_excluded {{\n  10.0.{at}.{ip}{scope}\n }}"));
    }
    if shape.routed {
        line("virtual_routes {\n  default via 10.0.0.1\n }".to_owned());
    }
    if shape.signed {
        line("auth_hmac {\n  key 1 file:/etc/key\n  active_key 1\n }".to_owned());
    } else if let Some(password) = &shape.password {
        line(format!("authentication {{\n  auth_type PASS\n  auth_pass {password}\n }}"));
    }
    if let Some(source) = shape.source {
        line(format!("unicast_src_ip 10.0.0.{source}"));
    }
    if let Some(peers) = &shape.unicast {
        let peers: String = peers.iter().map(|ip| format!("  10.0.0.{ip}\n")).collect();
        line(format!("unicast_peer {{\n{peers} }}"));
    }
    if shape.weighed {
        line("track_interface {\n  eth5 weight 7 reverse\n  eth6 weight 0\n }".to_owned());
        line("track_script {\n  other weight 3 reverse\n }".to_owned());
    }
    for (word, names) in [
        ("track_interface", shape.interfaces.clone()),
        ("track_script", shape.scripts.iter().map(|at| NAMES[*at]).collect()),
    ] {
        if !names.is_empty() {
            line(format!("{word} {{\n  {}\n }}", names.join("\n  ")));
        }
    }
    if shape.later {
        line("notify /notify.sh".to_owned());
    }
    text.push_str("}\n");
    text
}

/// Fields in which two virtual IPs differ, without what means the same.
fn differences(before: &Vip, after: &Vip) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    let mut compare = |part: &'static str, same: bool| {
        if !same {
            found.insert(part);
        }
    };
    compare("interface", before.interface == after.interface);
    compare("router_id", before.router_id == after.router_id);
    compare("priority", before.priority == after.priority);
    compare("advert_interval", before.advert_interval == after.advert_interval);
    compare("down_timer_adverts", before.down_timer_adverts == after.down_timer_adverts);
    compare("ignores_interface", before.ignores_interface == after.ignores_interface);
    compare("protocol", before.protocol == after.protocol);
    compare("startup_delay", before.startup_delay == after.startup_delay);
    compare("starts_as_master", before.starts_as_master == after.starts_as_master);
    compare("preempt", before.preempt == after.preempt);
    compare("preempt_delay", before.preempt_delay == after.preempt_delay);
    compare("sync_group", before.sync_group == after.sync_group);
    compare("password", before.password == after.password);
    let ips = |vip: &Vip| -> Vec<IpAddr> { vip.addresses.iter().map(|a| a.ip).collect() };
    compare("hmac", before.hmac == after.hmac);
    compare("addresses", ips(before) == ips(after));
    for (a, b) in before.addresses.iter().zip(&after.addresses) {
        compare("prefix", a.prefix == b.prefix);
        let device = |address: &outlast_config::vip::Address, vip: &Vip| {
            address.device.clone().unwrap_or_else(|| vip.interface.clone())
        };
        compare("device", device(a, before) == device(b, after));
        compare("label", a.label == b.label);
        compare("broadcast", a.broadcast == b.broadcast);
        compare("scope", a.scope == b.scope);
    }
    compare("ways", before.ways == after.ways);
    // The first address of the device is the node's.
    compare("source", before.source.is_none() || before.source == after.source);
    let peers = |vip: &Vip| vip.unicast_peers.iter().copied().collect::<BTreeSet<_>>();
    compare("unicast_peers", peers(before) == peers(after));
    compare("travel", before.travel == after.travel);
    compare("track_interfaces", before.track_interfaces == after.track_interfaces);
    compare("reversed_interfaces", before.reversed_interfaces == after.reversed_interfaces);
    compare("weighed_interfaces", before.weighed_interfaces == after.weighed_interfaces);
    compare("track_processes", before.track_processes == after.track_processes);
    compare("track_files", before.track_files == after.track_files);
    compare("track_balancer", before.track_balancer == after.track_balancer);
    let scripts = |vip: &Vip| -> Vec<outlast_config::vip::Script> {
        // Its question is the balancer's life, which `track_balancer` watches.
        let others = vip.track_scripts.iter().filter(|script| script.command[0] != "/bin/sh");
        others
            .map(|script| outlast_config::vip::Script { name: String::new(), ..script.clone() })
            .collect()
    };
    compare("track_scripts", scripts(before) == scripts(after));
    found
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_imported_means_the_same_or_says_that_it_does_not(
        shapes in prop::collection::vec(shape(), 1..4)
    ) {
        let mut shapes = shapes;
        shapes.dedup_by_key(|shape| shape.router_id);
        let blocks: String =
            shapes.iter().enumerate().map(|(at, shape)| block(at, shape)).collect();
        let keepalived = format!("{SCRIPTS}{blocks}");
        let before = read(&keepalived, PROXIES);
        prop_assume!(errors(&before).is_empty());
        let imported = import(&before, &wishes());
        for lost in &imported.lost {
            let comment = format!("# NOT THE SAME: {}", lost.message);
            prop_assert!(imported.text.contains(&comment), "{comment}\n{}", imported.text);
        }
        prop_assert_eq!(imported.findings().len(), imported.lost.len());
        let after = again(&imported, PROXIES);
        prop_assert_eq!(errors(&after), Vec::<String>::new(), "{}", imported.text);
        let cluster = after.cluster.as_ref().unwrap();
        let device = |_: IpAddr| Some("eth0".to_owned());
        let wanted = effective_vips(None, before.keepalived.as_ref(), None, true, &device).unwrap();
        // The file was that of the node with its source; without one it may have been any node's.
        let source = wanted.iter().find_map(|vip| vip.source.filter(|_| !vip.unicast_peers.is_empty()));
        let is_own = |node: &Node| node.addresses.contains(&source);
        let own = cluster.nodes.iter().position(is_own).unwrap_or(0);
        let got = effective_vips(Some(cluster), None, Some(own), true, &device).unwrap();
        prop_assert_eq!(wanted.len(), got.len());
        for (wanted, got) in wanted.iter().zip(&got) {
            let told: BTreeSet<&str> = imported
                .lost
                .iter()
                .filter(|lost| lost.instance.as_ref() == Some(&wanted.name))
                .map(|lost| lost.part)
                .collect();
            let silent: Vec<&str> =
                differences(wanted, got).difference(&told).copied().collect();
            prop_assert!(silent.is_empty(), "{silent:?} of\n{keepalived}\n{}", imported.text);
        }
        let proxies = &before.haproxy.as_ref().unwrap().proxies;
        let databases: Vec<bool> =
            proxies.iter().map(|proxy| proxy.name == "mariadb").collect();
        let kinds: Vec<bool> = proxies.iter().map(|proxy| cluster.is_database(proxy)).collect();
        prop_assert_eq!(databases, kinds);
    }
}

#[test]
fn nodes_that_no_file_tells_are_asked_for_and_taken_from_the_arguments() {
    let keepalived = "vrrp_instance a {\n state BACKUP\n nopreempt\n interface eth0\n \
        virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n\
        vrrp_instance b {\n state BACKUP\n nopreempt\n interface eth1\n virtual_router_id 1\n \
        virtual_ipaddress {\n 10.1.0.9\n }\n}\n";
    let source = Source { path: "keepalived.conf".to_owned(), text: keepalived.to_owned() };
    let loaded = load(vec![source]);
    let mut wishes = Wishes { name: "cloud".to_owned(), ..Wishes::default() };
    let imported = import(&loaded, &wishes);
    assert!(imported.lost.iter().any(|lost| lost.part == "nodes"), "{}", imported.text);
    let node = |name: &str, ip: &str, device: Option<&str>| {
        (name.to_owned(), ip.parse().unwrap(), device.map(str::to_owned))
    };
    wishes.nodes = vec![node("one", "10.0.0.1", None), node("two", "10.0.0.2", None)];
    let imported = import(&loaded, &wishes);
    let lost: Vec<_> = imported.lost.iter().map(|l| (l.instance.as_deref(), l.part)).collect();
    assert!(lost.contains(&(Some("b"), "all")), "{lost:?}");
    assert!(imported.text.contains("\n# [vip.b]\n# address = \"10.1.0.9\"\n"), "{}", imported.text);
    wishes.nodes.push(node("one", "10.1.0.1", Some("eth1")));
    wishes.nodes.push(node("two", "10.1.0.2", Some("eth1")));
    let imported = import(&loaded, &wishes);
    assert!(imported.lost.iter().all(|lost| lost.part == "priority"), "{}", imported.text);
    let after = load(vec![Source { path: "outlast.toml".to_owned(), text: imported.text }]);
    assert_eq!(errors(&after), Vec::<String>::new());
    assert_eq!(after.cluster.unwrap().vips.len(), 2);
}
