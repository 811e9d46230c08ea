//! What changes between two configurations: nothing is forgotten, nothing is made up.

use std::fs;
use std::path::Path;

use expect_test::{Expect, expect};
use outlast_config::diff::{HIDDEN, How, Needs, diff};
use outlast_config::{Loaded, Source, load};
use proptest::prelude::*;

fn example(name: &str) -> Source {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/three-controllers");
    Source { path: name.to_owned(), text: fs::read_to_string(folder.join(name)).unwrap() }
}

fn loaded(path: &str, text: &str) -> Loaded {
    load(vec![Source { path: path.to_owned(), text: text.to_owned() }])
}

/// Every kind of line of a cluster file, once.
const CLUSTER: &str = r#"
[cluster]
name = "cloud"
secret_file = "/etc/outlast/secret"
haproxy = "haproxy.cfg"
keepalived = "keepalived.conf"
run_dir = "/run/outlast/other"
state_dir = "/var/lib/outlast/other"
port = 7500

[node.node01]
networks = { management = "10.79.0.41", storage = "10.80.0.41" }
priority = 120

[node.node02]
networks = { management = "10.79.0.42", storage = "10.80.0.42" }

[vip.internal]
address = ["10.79.0.40", "10.79.0.39"]
network = "management"
router_id = 121
check = ["balancer", { script = ["/bin/check", "x"], interval = "1s", fall = 3, rise = 4 }]
order = ["node02", "node01"]
prefix = 24
password = "sesame11"
unicast = true
interface = "eth7"
source = "10.79.0.44"
advert_interval = "2s"
track_interfaces = ["eth8", { name = "eth1", weight = -2, reverse = true }, { name = "eth2", reverse = true }]
track_processes = ["nginx", { process = ["/bin/one", "-x"], match = "partial", least = 2, most = 4, up_delay = "1s", down_delay = "2s", weight = 4, reverse = true }]
track_files = ["/run/drain", { file = "/run/load1", weight = 2, reverse = true }]

[vip.signed]
address = "10.79.0.38"
router_id = 122
hmac_keys = { 1 = "/etc/one", 5 = "/etc/other" }
hmac_active = 1
hmac_replay = "time"
hmac_window = "9s"
hmac_mode = "permissive"

[service.database]
proxy = "mariadb"
kind = "database"

[store]
members = ["node01"]
port = 7415
directory = "/srv/store"

[dashboard]
listen = ["management:7413", "127.0.0.1:7413"]
token_file = "/etc/outlast/token"
tls_cert = "/etc/outlast/dashboard.crt"
tls_key = "/etc/outlast/dashboard.key"

[notify.ops]
events = ["move", "loss"]
retry_for = "2h"
smtp = { server = "mail.example.org:588", tls = "tls", from = "outlast@example.org", to = ["ops@example.org", "night@example.org"], user = "outlast", password_file = "/etc/outlast/mail", ca_file = "/etc/mail.pem", timeout = "5s" }

[notify.chat]
webhook = { url = "https://hooks.example.org/x", secret_file = "/etc/hook", headers_file = "/etc/headers", ca_file = "/etc/hook.pem", timeout = "6s" }

[notify.secret]
webhook = { url_file = "/etc/url" }
"#;

/// Every kind of line of a file in keepalived's language, once.
const KEEPALIVED: &str = "
global_defs {
    router_id controller
    script_user nobody nogroup
    enable_script_security
    vrrp_mcast_group4 224.0.0.98
    startup_script \"/bin/begin one\" nobody
    startup_script_timeout 2
    shutdown_script /bin/end
    shutdown_script_timeout 4
    vrrp_startup_delay 1.5
    default_interface eth1
}
net_namespace blue
static_ipaddress {
    10.1.0.1/24 label one track_group all
}
track_group all {
    group {
        one
        signed
    }
}
static_routes {
    10.2.0.0/24 dev eth1
}
static_rules {
    from 10.2.0.0/24 table 12 preference 14
}
vrrp_script answers {
    script \"/bin/check it\"
    interval 3
    timeout 2
    fall 4
    rise 5
    weight -20 reverse
    init_fail
    user nobody
}
vrrp_track_process web {
    process nginx -g two
    param_match initial
    weight 1 reverse
    quorum 2
    quorum_max 4
    delay 1
    fork_delay 2
    terminate_delay 4
}
vrrp_track_file number {
    file /run/number/two
    init_file 1 overwrite
    weight 2 reverse
}
vrrp_instance one {
    state MASTER
    nopreempt
    interface eth0
    virtual_router_id 51
    priority 150
    advert_int 2
    notify_master_rx_lower_pri \"/bin/other 1\" nobody
    virtual_ipaddress {
        10.0.0.9/24 dev eth1 label eth1:v brd 10.0.0.255
        10.0.0.8
    }
    virtual_ipaddress_excluded {
        10.0.0.7 scope 21
    }
    virtual_routes {
        10.4.0.0/24 via 10.0.0.4 dev eth1 src 10.0.0.2 table 1 metric 2 scope 4 protocol 1
        default dev eth2
    }
    virtual_rules {
        to 10.1.0.0/16 iif eth1 oif eth2 fwmark 1/2 tos 4 blackhole preference 24
        from 10.4.0.0/24 lookup 21 priority 22 suppress_prefixlength 1
    }
    authentication {
        auth_type PASS
        auth_pass sesame22
    }
    track_script {
        answers weight 3 reverse
    }
    track_interface {
        eth3
        eth4 weight 2 reverse
    }
    track_process {
        web weight 4
    }
    track_file {
        number weight 4
    }
    unicast_src_ip 10.0.0.1
    unicast_ttl 9
    unicast_peer {
        10.0.0.2 min_ttl 2 max_ttl 200
    }
}
vrrp_instance elsewhere {
    interface eth0
    virtual_router_id 56
    virtual_ipaddress {
        10.0.0.5
    }
    mcast_dst_ip 224.0.0.97
}
vrrp_instance signed {
    interface eth0
    virtual_router_id 55
    virtual_ipaddress {
        10.0.0.6
    }
    virtual_ipaddress_excluded {
        2001:db8::1 preferred_lft 24
    }
    auth_hmac {
        key 1 file:/etc/one
        key 5 file:/etc/other
        active_key 1
        anti_replay time
        time_window 9
        mode permissive
    }
}
";

const PROXIES: &str = include_str!("many_keywords.cfg");

/// The typed values without the places where they stand.
fn values(loaded: &Loaded) -> String {
    let Loaded { haproxy, keepalived, cluster, .. } = loaded;
    let mut rest = format!("{haproxy:?} {keepalived:?} {cluster:?}");
    let mut values = String::new();
    while let Some(at) = rest.find("Span {") {
        values.push_str(&rest[..at]);
        let end = rest[at..].find('}').unwrap();
        rest = rest.split_off(at + end + 1);
    }
    values.push_str(&rest);
    // Whether a default was written or not is only known by its place.
    values.replace("Some()", "None")
}

/// Each line taken out, doubled, and each number on it made another: what that does to the typed
/// values, the difference says. Returns how many were different.
fn check_every_line(path: &str, text: &str) -> usize {
    let whole = loaded(path, text);
    assert!(!whole.has_errors(), "{:?}", whole.diagnostics);
    let lines: Vec<&str> = text.lines().collect();
    let mut told = 0;
    for (at, line) in lines.iter().enumerate() {
        let (head, tail) = (lines[..at].join("\n"), lines[at + 1..].join("\n"));
        let number = line.replace(['1', '2', '4'], "3");
        let word = line.replace('e', "i");
        for instead in [String::new(), format!("{line}\n{line}"), number, word] {
            let other = loaded(path, &format!("{head}\n{instead}\n{tail}"));
            let changes = diff(&whole, &other);
            let is_same = values(&whole) == values(&other);
            assert_eq!(changes.is_empty(), is_same, "`{line}` as `{instead}`: {changes:?}");
            assert_eq!(diff(&other, &whole).is_empty(), is_same, "`{line}` as `{instead}`, back");
            told += usize::from(!is_same);
        }
    }
    told
}

#[test]
fn no_line_that_is_run_can_change_without_being_told() {
    for (path, text, least) in [
        ("outlast.toml", CLUSTER, 70),
        ("keepalived.conf", KEEPALIVED, 60),
        ("haproxy.cfg", PROXIES, 200),
    ] {
        let told = check_every_line(path, text);
        assert!(told >= least, "{path}: only {told} changes changed anything");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn nothing_changes_from_a_configuration_to_itself(
        lines in prop::collection::vec(0..1000_usize, 1..60),
        file in 0..3_usize,
    ) {
        let (path, text) =
            [("outlast.toml", CLUSTER), ("keepalived.conf", KEEPALIVED), ("haproxy.cfg", PROXIES)]
                [file];
        let all: Vec<&str> = text.lines().collect();
        let some: Vec<&str> = lines.iter().map(|line| all[line % all.len()]).collect();
        let some = loaded(path, &some.join("\n"));
        prop_assert_eq!(diff(&some, &some.clone()), vec![]);
        // And from nothing to it everything is new.
        let all = diff(&Loaded::default(), &some);
        prop_assert!(all.iter().all(|change| change.how == How::Added), "{:?}", all);
    }
}

#[test]
fn comments_blanks_and_the_order_of_sections_change_nothing() {
    let (cluster, proxies) = (example("outlast.toml"), example("haproxy.cfg"));
    let old = load(vec![cluster.clone(), proxies.clone()]);
    let commented = |text: &str| {
        let lines = text.lines().map(|line| format!("{line}   # seen\n"));
        format!("# a comment\n\n{}", lines.collect::<String>())
    };
    let again = |source: &Source| Source { text: commented(&source.text), ..source.clone() };
    let new = load(vec![again(&proxies), again(&cluster)]);
    assert_eq!(diff(&old, &new), vec![]);
}

fn shown(old: &str, from: &str, to: &str, path: &str) -> String {
    assert!(old.contains(from), "{from}");
    let new = old.replacen(from, to, 1);
    let changes = diff(&loaded(path, old), &loaded(path, &new));
    let mut lines = vec![];
    for change in changes {
        let needs = change.needs.name();
        match change.how {
            How::Added => lines.push(format!("+ {} [{needs}]", change.object)),
            How::Removed => lines.push(format!("- {} [{needs}]", change.object)),
            How::Altered(fields) => {
                lines.push(format!("~ {} [{needs}]", change.object));
                for field in fields {
                    let (name, old, new) = (field.field, field.old, field.new);
                    lines.push(format!("    {name}: {old} -> {new} [{}]", field.needs.name()));
                }
            }
        }
    }
    lines.join("\n")
}

fn check(old: &str, from: &str, to: &str, path: &str, expected: &Expect) {
    expected.assert_eq(&shown(old, from, to, path));
}

#[test]
fn each_change_says_the_mildest_thing_that_does() {
    let cluster = |from, to, expected: Expect| check(CLUSTER, from, to, "outlast.toml", &expected);
    cluster(
        "advert_interval = \"2s\"",
        "advert_interval = \"1s\"",
        expect![[r#"
        ~ vip/internal [vip]
            advert_interval: 2s -> 1s [vip]"#]],
    );
    cluster(
        "10.79.0.39",
        "10.79.0.38",
        expect![[r#"
        ~ vip/internal [move]
            address: 10.79.0.40, 10.79.0.39 -> 10.79.0.40, 10.79.0.38 [move]"#]],
    );
    cluster(
        "[vip.internal]",
        "[vip.external]",
        expect![[r#"
        + vip/external [move]
        - vip/internal [move]"#]],
    );
    cluster(
        "10.80.0.42",
        "10.80.0.43",
        expect![[r#"
        ~ node/node02 [vip]
            networks: management 10.79.0.42, storage 10.80.0.42 -> management 10.79.0.42, storage 10.80.0.43 [vip]"#]],
    );
    cluster(
        "\"/etc/outlast/token\"",
        "\"/etc/token\"",
        expect![[r#"
        ~ dashboard [dashboard]
            token_file: /etc/outlast/token -> /etc/token [dashboard]"#]],
    );
    cluster(
        "7415",
        "7416",
        expect![[r#"
        ~ store [store]
            port: 7415 -> 7416 [store]"#]],
    );
    cluster(
        "/run/outlast/other",
        "/run/outlast/cloud",
        expect![[r#"
        ~ cluster [node]
            run_dir: /run/outlast/other -> /run/outlast/cloud [node]"#]],
    );
    cluster(
        "kind = \"database\"",
        "kind = \"api\"",
        expect![[r#"
        ~ service/database [proxy]
            kind: database -> api [proxy]"#]],
    );
    let proxies = |from, to, expected: Expect| check(PROXIES, from, to, "haproxy.cfg", &expected);
    proxies(
        "maxconn 4000",
        "maxconn 5000",
        expect![[r#"
        ~ global [proxy]
            maxconn: 4000 -> 5000 [proxy]"#]],
    );
    proxies(
        "    daemon\n",
        "",
        expect![[r#"
        ~ global [nothing]
            daemon: on -> - [nothing]"#]],
    );
    proxies(
        "frontend ",
        "frontend x",
        expect![[r#"
        + frontend/xweb [proxy]
        + listener/xweb/127.0.0.1:8080 [proxy]
        + listener/xweb/127.0.0.1:8081 [proxy]
        + listener/xweb/127.0.0.1:8082 [proxy]
        + listener/xweb/127.0.0.1:8083 [proxy]
        + listener/xweb/127.0.0.1:8084 [proxy]
        - frontend/web [proxy]
        - listener/web/127.0.0.1:8080 [proxy]
        - listener/web/127.0.0.1:8081 [proxy]
        - listener/web/127.0.0.1:8082 [proxy]
        - listener/web/127.0.0.1:8083 [proxy]
        - listener/web/127.0.0.1:8084 [proxy]"#]],
    );
}

#[test]
fn passwords_are_told_as_changed_and_never_shown() {
    let rows = [
        (CLUSTER, "sesame11", "outlast.toml"),
        (KEEPALIVED, "sesame22", "keepalived.conf"),
        (PROXIES, "stats auth ", "haproxy.cfg"),
    ];
    for (text, secret, path) in rows {
        let told = shown(text, secret, &format!("{secret}new"), path);
        assert!(told.contains(&format!("{HIDDEN} -> {HIDDEN}")), "{told}");
        assert!(!told.contains("sesame") && !told.contains("new"), "{told}");
    }
}

#[test]
fn what_is_harsher_comes_later() {
    let mut sorted = Needs::ALL;
    sorted.sort_unstable();
    assert_eq!(sorted, Needs::ALL);
}
