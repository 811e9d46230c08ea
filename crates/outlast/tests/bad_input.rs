//! Bad input and faults of the surroundings: a clear error, and nothing is lost.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::any::Any;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use api::VipRole;
use lonely::{CLUSTER, Lonely, OUTLAST, OWN, VIP, alone, has_vip, run_to_end, until};
use sys::netlink::{AddressOptions, Netlink};

/// Starts the node as its files are now and expects it to refuse, naming each of `expected`.
fn check_refused(node: &Lonely, expected: &[&str]) {
    check_refused_by(&mut node.command(), node, expected);
}

fn check_refused_by(command: &mut Command, node: &Lonely, expected: &[&str]) {
    let (code, said) = run_to_end(command);
    assert_eq!(code, Some(2), "{said}");
    for words in expected {
        assert!(said.contains(words), "`{words}` is not in:\n{said}");
    }
    assert!(!has_vip(), "an address stayed");
    assert!(!node.listens(), "something listens");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    alone("a_file_that_is_not_there_is_named", || {
        let node = Lonely::new();
        let mut command = Command::new(OUTLAST);
        command.args(["run", "--config"]).arg(node.path("other.toml"));
        check_refused_by(&mut command, &node, &["other.toml", "No such file"]);
        fs::remove_file(node.path("haproxy.cfg")).unwrap();
        check_refused(&node, &["haproxy.cfg", "No such file"]);
    });
}

#[test]
fn a_file_that_is_no_text_is_named() {
    alone("a_file_that_is_no_text_is_named", || {
        let node = Lonely::new();
        fs::write(node.path("haproxy.cfg"), b"global\n\xff\xfe\n").unwrap();
        check_refused(&node, &["haproxy.cfg", "UTF-8"]);
    });
}

#[test]
fn nothing_to_run_is_said() {
    alone("nothing_to_run_is_said", || {
        let node = Lonely::new();
        check_refused_by(Command::new(OUTLAST).arg("run"), &node, &["--config", "--haproxy"]);
    });
}

#[test]
fn a_file_in_another_language_than_its_option_is_refused() {
    alone("a_file_in_another_language_than_its_option_is_refused", || {
        let node = Lonely::new();
        fs::write(node.path("keepalived.conf"), "vrrp_instance a {\n}\n").unwrap();
        let mut command = Command::new(OUTLAST);
        command.args(["run", "--haproxy"]).arg(node.path("keepalived.conf"));
        command.arg("--keepalived").arg(node.path("haproxy.cfg"));
        let expected = [
            "keepalived.conf is in keepalived's language, not in HAProxy's language: give it with \
             --keepalived",
            "haproxy.cfg is in HAProxy's language, not in keepalived's language: give it with --haproxy",
        ];
        check_refused_by(&mut command, &node, &expected);
    });
}

#[test]
fn mistakes_of_all_files_are_shown_at_once() {
    alone("mistakes_of_all_files_are_shown_at_once", || {
        let node = Lonely::new();
        let text = node.haproxy(&[node.port]).replace("mode http", "mode htpp");
        node.write("haproxy.cfg", &text);
        node.write("outlast.toml", &CLUSTER.replace("\"management\"\n", "\"managment\"\n"));
        let expected =
            ["haproxy.cfg:2:", "htpp", "outlast.toml:11:", "managment", "nothing was started"];
        check_refused(&node, &expected);
    });
}

#[test]
fn files_that_contradict_each_other_are_refused() {
    alone("files_that_contradict_each_other_are_refused", || {
        let node = Lonely::new();
        let text = node.haproxy(&[node.port]);
        let again = text.lines().skip(5).collect::<Vec<_>>().join("\n");
        node.write("haproxy.cfg", &format!("{text}{again}\n"));
        check_refused(&node, &["haproxy.cfg:9:"]);
    });
}

#[test]
fn a_keyword_that_is_not_run_yet_is_refused_by_name() {
    alone("a_keyword_that_is_not_run_yet_is_refused_by_name", || {
        let node = Lonely::new();
        let text = node.haproxy(&[node.port]);
        node.write("haproxy.cfg", &format!("{text}  compression algo gzip\n"));
        check_refused(&node, &["haproxy.cfg:9:", "compression"]);
    });
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    alone("a_secret_that_others_can_read_is_refused", || {
        let node = Lonely::new();
        fs::set_permissions(node.path("secret"), fs::Permissions::from_mode(0o644)).unwrap();
        check_refused(&node, &["secret", "644"]);
        fs::set_permissions(node.path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
        node.write("secret", "short");
        check_refused(&node, &["secret", "32"]);
    });
}

#[test]
fn a_node_that_is_not_in_the_file_is_told_which_are() {
    alone("a_node_that_is_not_in_the_file_is_told_which_are", || {
        let node = Lonely::new();
        check_refused_by(node.command().args(["--node", "node9"]), &node, &["node9", "node01"]);
        node.write("outlast.toml", &CLUSTER.replace("10.79.0.41", "10.79.0.49"));
        check_refused(&node, &["--node", "node01"]);
    });
}

#[test]
fn a_port_in_use_is_named_and_nothing_stays() {
    alone("a_port_in_use_is_named_and_nothing_stays", || {
        let mut node = Lonely::new();
        let other = TcpListener::bind((VIP, node.port)).unwrap();
        let address = format!("{VIP}:{}", node.port);
        let (code, said) = run_to_end(&mut node.command());
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(&address) && said.contains("another program listens"), "{said}");
        assert!(!has_vip());
        drop(other);
        node.start();
    });
}

/// A member of a store with a virtual IP and a trust: it has all the ports that a node can have.
fn with_all_ports() -> Lonely {
    let node = Lonely::new();
    let mut command = Command::new(OUTLAST);
    command.args(["init", "test", "--node", "node01", "--trust-dir"]).arg(node.path("trust"));
    assert!(command.output().expect("the tool runs").status.success());
    let text = CLUSTER.replace("secret_file = \"secret\"", "trust_dir = \"trust\"");
    node.write("outlast.toml", &(text + "[dashboard]\nlisten = \"none\"\n[store]\n"));
    node
}

/// Keeps a port until it is dropped.
type Other = Box<dyn Any>;

#[test]
fn every_port_of_a_node_that_another_program_has_is_named_with_what_it_is_for() {
    alone("every_port_of_a_node_that_another_program_has_is_named_with_what_it_is_for", || {
        let mut node = with_all_ports();
        let at = |port: u16| SocketAddr::from((OWN, port));
        let udp = |port| -> Other { Box::new(UdpSocket::bind(at(port)).expect("nobody has it")) };
        let tcp = |port| -> Other { Box::new(TcpListener::bind(at(port)).expect("nobody has it")) };
        let mut others = vec![
            ("UDP 10.79.0.41:7411 for the beats", "`port` in [cluster]", udp(7411)),
            ("UDP 10.79.0.41:7412 for hand-overs", "`port` in [cluster]", udp(7412)),
            ("TCP 10.79.0.41:7413 for joins", "`outlast trust serve` may be", tcp(7413)),
            ("TCP 10.79.0.41:7414 for the store", "`port` in [store]", tcp(7414)),
        ];
        while !others.is_empty() {
            let (code, said) = run_to_end(&mut node.command());
            assert_eq!(code, Some(2), "{said}");
            for (what, remedy, _) in &others {
                assert!(
                    said.contains(what) && said.contains(remedy),
                    "`{what}` is not in:\n{said}"
                );
            }
            assert_eq!(
                said.matches("another program has it (`ss -l").count(),
                others.len(),
                "{said}"
            );
            assert!(!has_vip() && !node.listens(), "something stayed");
            others.pop();
        }
        node.start();
        let at = at(7411);
        assert!(UdpSocket::bind(at).is_err(), "the node has its port");
    });
}

#[test]
fn a_port_that_a_former_start_still_has_is_waited_for() {
    alone("a_port_that_a_former_start_still_has_is_waited_for", || {
        let mut node = with_all_ports();
        let former = TcpListener::bind((OWN, 7414)).expect("nobody has it");
        let command = node.command();
        node.start_with(command);
        until("it has begun", || node.path("run/lock").exists());
        drop(former);
        until("the node serves behind its virtual IP", || node.serves(node.port));
    });
}

#[test]
fn a_store_whose_addresses_are_on_another_machine_is_refused_with_its_addresses() {
    alone("a_store_whose_addresses_are_on_another_machine_is_refused_with_its_addresses", || {
        let node = with_all_ports();
        sys::netns::set_sysctl("net.ipv4.ip_nonlocal_bind", "0").expect("it is ours");
        let text = fs::read_to_string(node.path("outlast.toml")).expect("a file");
        let text = text.replace("10.79.0.41", "10.79.0.49");
        // This machine is another one, and the word of an operator would make it this one.
        let other = "[node.node02]\nnetworks = { management = \"10.79.0.41\" }\n[vip.internal]";
        let text = text.replace("[vip.internal]", other).replace(LATE.0, LATE.1);
        node.write("outlast.toml", &(text + "members = [\"node01\"]\n"));
        let expected = [
            "none of the addresses of node01 is on this machine, where its store would listen (10.79.0.49:7414), and \
             10.79.0.41 of node02 is",
            "--node",
        ];
        let (code, said) = run_to_end(node.command().args(["--node", "node01"]));
        assert_eq!(code, Some(2), "{said}");
        for words in expected {
            assert!(said.contains(words), "`{words}` is not in:\n{said}");
        }
    });
}

/// The store of a node that runs leads, and its trouble is over.
fn leads(node: &Lonely) -> bool {
    let store = node.try_status().and_then(|status| status.store);
    store.is_some_and(|store| store.leader.is_some() && store.trouble.is_none())
}

/// Everything runs but the store, and it is said why, until it is mended; then it leads.
fn runs_without_its_store(node: &mut Lonely, why: &str, mend: impl FnOnce()) {
    let mut command = node.command();
    command.args(["--node", "node01"]);
    node.start_with(command);
    until("the node serves behind its virtual IP", || node.serves(node.port));
    assert!(node.log().contains("the store does not start yet"), "{}", node.log());
    until("the status says why", || {
        let trouble = node.try_status().and_then(|status| status.store?.trouble);
        trouble.is_some_and(|trouble| trouble.contains(why))
    });
    let events = |what: &str| {
        node.events().into_iter().filter(|event| event.what == what).collect::<Vec<_>>()
    };
    until("an event says why", || {
        events("store-leaderless").iter().any(|event| event.evidence.contains(why))
    });
    let mut command = Command::new(OUTLAST);
    let said = command
        .args(["why", "store", "--run-dir"])
        .arg(node.path("run"))
        .output()
        .expect("the tool runs");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains(why), "{said}");
    mend();
    until("the store leads", || leads(node));
    assert!(events("process-lost").is_empty() && node.serves(node.port));
}

#[test]
fn a_store_whose_port_another_program_has_stops_nothing_else_and_comes_when_it_is_free() {
    const TEST: &str =
        "a_store_whose_port_another_program_has_stops_nothing_else_and_comes_when_it_is_free";
    alone(TEST, || {
        let mut node = with_all_ports();
        let other = TcpListener::bind((OWN, 7414)).expect("nobody has it");
        let why = "cannot listen on TCP 10.79.0.41:7414: another program has it (`ss -ltnp";
        runs_without_its_store(&mut node, why, || drop(other));
    });
}

#[test]
fn a_store_whose_network_comes_late_stops_nothing_else_and_comes_with_it() {
    const TEST: &str = "a_store_whose_network_comes_late_stops_nothing_else_and_comes_with_it";
    alone(TEST, || {
        let mut node = with_all_ports();
        sys::netns::set_sysctl("net.ipv4.ip_nonlocal_bind", "0").expect("it is ours");
        let text = fs::read_to_string(node.path("outlast.toml")).expect("a file");
        let text = text.replace("10.79.0.41", "10.79.0.49");
        node.write("outlast.toml", &text.replace(LATE.0, LATE.1));
        let why = "cannot listen on TCP 10.79.0.49:7414: that address is not on this machine now";
        runs_without_its_store(&mut node, why, || add([10, 79, 0, 49]));
    });
}

#[test]
fn a_store_with_one_network_of_two_serves_and_says_which_is_missing() {
    alone("a_store_with_one_network_of_two_serves_and_says_which_is_missing", || {
        let mut node = with_all_ports();
        sys::netns::set_sysctl("net.ipv4.ip_nonlocal_bind", "0").expect("it is ours");
        let text = fs::read_to_string(node.path("outlast.toml")).expect("a file");
        let both = "{ management = \"10.79.0.41\", storage = \"10.80.0.41\" }";
        node.write("outlast.toml", &text.replace("{ management = \"10.79.0.41\" }", both));
        node.start();
        let store = || node.try_status().and_then(|status| status.store);
        until("it leads and says what is missing", || {
            store().is_some_and(|store| {
                let trouble = store.trouble.unwrap_or_default();
                store.leader.is_some() && trouble.contains("cannot listen on TCP 10.80.0.41:7414")
            })
        });
        add([10, 80, 0, 41]);
        until("that is over", || leads(&node));
    });
}

/// With its device in the file a virtual IP needs no address to find it by.
const LATE: (&str, &str) = ("router_id", "interface = \"eth0\"\nrouter_id");

/// An address that comes late.
fn add(address: [u8; 4]) {
    let netlink = Netlink::open().expect("this is a namespace of the test");
    let device = netlink.link("eth0").expect("links are told").expect("it is there");
    let options = AddressOptions::default();
    netlink.add_address(device.index, address.into(), 24, options).expect("it can be added");
}

#[test]
fn a_missing_capability_is_named() {
    alone("a_missing_capability_is_named", || {
        let node = Lonely::new();
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-net_admin,-net_raw", "--inh-caps=-net_admin,-net_raw"]);
        command.args([OUTLAST, "run", "--config"]).arg(node.path("outlast.toml"));
        check_refused_by(&mut command, &node, &["CAP_NET_ADMIN and CAP_NET_RAW"]);
    });
}

#[test]
fn a_second_instance_is_refused_and_the_first_serves_on() {
    alone("a_second_instance_is_refused_and_the_first_serves_on", || {
        let mut node = Lonely::new();
        node.start();
        let (code, said) = run_to_end(&mut node.command());
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("already running here as pid"), "{said}");
        assert!(said.contains(&node.pid().to_string()), "{said}");
        assert!(has_vip() && node.serves(node.port));
    });
}

#[test]
fn an_interface_that_disappears_and_returns_brings_the_address_back() {
    alone("an_interface_that_disappears_and_returns_brings_the_address_back", || {
        let mut node = Lonely::new();
        node.start();
        lonely::pull_out().unwrap();
        until("the loss is noticed", || node.vip_role() == Some(VipRole::Fault));
        lonely::plug_in().unwrap();
        until("the address is back", || has_vip() && node.serves(node.port));
        assert_eq!(node.vip_role(), Some(VipRole::Master));
        let seen = node.events();
        assert!(seen.iter().any(|event| event.object.starts_with("vip/")), "{seen:?}");
    });
}

#[test]
fn a_broken_file_at_sighup_changes_nothing_and_says_so() {
    alone("a_broken_file_at_sighup_changes_nothing_and_says_so", || {
        let mut node = Lonely::new();
        node.start();
        let good = node.haproxy(&[node.port]);
        node.write("haproxy.cfg", &good.replace("server one", "sever one"));
        node.signal("HUP");
        let refused =
            |node: &Lonely| node.events().into_iter().find(|e| e.what == "reload-refused");
        until("the refusal is an event", || refused(&node).is_some());
        let event = refused(&node).unwrap();
        assert!(event.evidence.contains("haproxy.cfg:8:"), "{}", event.evidence);
        assert!(event.decision.contains("stays in force"), "{}", event.decision);
        assert!(node.log().contains("sever"), "{}", node.log());
        // As the checker says, which needs no node that runs.
        let mut check = Command::new(OUTLAST);
        let said = check.args(["config", "check"]).arg(node.path("outlast.toml")).output().unwrap();
        let text = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        assert_eq!(said.status.code(), Some(1), "{text}");
        assert!(text.contains("haproxy.cfg:8:"), "{text}");
        assert_eq!(node.status().generation, 1);
        assert!(has_vip() && node.serves(node.port));
    });
}

/// Whatever is wrong with a line that has a password in it: the line is shown, the password is not.
#[test]
fn a_password_in_a_line_with_a_mistake_is_in_no_log_and_no_event() {
    alone("a_password_in_a_line_with_a_mistake_is_in_no_log_and_no_event", || {
        const SECRET: &str = "Hunter2Hunter2";
        let mut node = Lonely::new();
        let cluster = format!("{CLUSTER}password = \"{SECRET}\"\n");
        node.write("outlast.toml", &cluster);
        node.start();
        assert!(node.log().contains("only 8 bytes of this password are used"), "{}", node.log());
        let good = node.haproxy(&[node.port]);
        node.write("haproxy.cfg", &format!("{good}  stats auth admin:{SECRET} {SECRET}\n"));
        node.signal("HUP");
        let refused = || node.events().into_iter().any(|event| event.what == "reload-refused");
        until("the refusal is an event", refused);
        assert!(node.log().contains("extra-word"), "{}", node.log());
        let check = |more: &[&str]| {
            let mut check = Command::new(OUTLAST);
            check.args(["config", "check"]).args(more).arg(node.path("outlast.toml"));
            let said = check.output().unwrap();
            assert_eq!(said.status.code(), Some(1));
            String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned()
        };
        let told = [
            node.log(),
            format!("{:?}", node.events()),
            format!("{:?}", node.status()),
            check(&[]),
            check(&["--json"]),
            run_to_end(&mut node.command()).1,
        ];
        for text in told {
            assert!(!text.contains(&SECRET[..8]), "{text}");
        }
    });
}

#[test]
fn a_good_file_at_sighup_takes_over_without_a_refused_request() {
    alone("a_good_file_at_sighup_takes_over_without_a_refused_request", || {
        let mut node = Lonely::new();
        node.start();
        let second = lonely::free_port();
        node.write("haproxy.cfg", &node.haproxy(&[node.port, second]));
        node.signal("HUP");
        until("the new listener serves", || {
            assert!(node.serves(node.port), "the old listener refused a request");
            assert!(has_vip(), "the address was away");
            node.serves(second)
        });
        until("the new file is in force", || node.status().generation == 2);
    });
}

#[test]
fn a_dashboard_where_another_program_listens_is_refused_if_it_was_asked_for() {
    alone("a_dashboard_where_another_program_listens_is_refused_if_it_was_asked_for", || {
        let node = Lonely::new();
        let other = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = other.local_addr().unwrap();
        let section = format!("[dashboard]\nlisten = \"{address}\"\n");
        node.write("outlast.toml", &(CLUSTER.to_owned() + &section));
        check_refused(&node, &[&address.to_string(), "dashboard", "another program listens"]);
    });
}

#[test]
fn a_dashboard_that_others_can_reach_is_refused_without_a_good_token() {
    alone("a_dashboard_that_others_can_reach_is_refused_without_a_good_token", || {
        let node = Lonely::new();
        let section = "[dashboard]\nlisten = \"management:7412\"\n";
        node.write("outlast.toml", &(CLUSTER.to_owned() + section));
        check_refused(&node, &["outlast.toml:15:", "token_file"]);
        let section = section.to_owned() + "token_file = \"token\"\n";
        node.write("outlast.toml", &(CLUSTER.to_owned() + &section));
        node.write("token", "a token with more than sixteen characters");
        fs::set_permissions(node.path("token"), fs::Permissions::from_mode(0o600)).unwrap();
        check_refused(&node, &["token", "no space"]);
        node.write("token", "short");
        check_refused(&node, &["token", "16"]);
        node.write("token", "0123456789abcdef\n");
        fs::set_permissions(node.path("token"), fs::Permissions::from_mode(0o640)).unwrap();
        check_refused(&node, &["token", "640"]);
    });
}
