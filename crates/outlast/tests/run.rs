//! One node as processes: what dies is replaced, what ends leaves nothing behind.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use sys::netlink::Netlink;

use api::{Mode, Role};
use lonely::{Lonely, OUTLAST, alone, has_vip, kill, own_memory, run_to_end, runs, until};

const MEGABYTE: u64 = 1 << 20;

#[test]
fn a_killed_proxy_is_replaced_in_place() {
    alone("a_killed_proxy_is_replaced_in_place", || {
        let mut node = Lonely::new();
        node.start();
        let before = node.process(Role::Proxy);
        node.process(Role::Spare);
        kill(before, "KILL");
        // The sockets are held: a connection waits for the spare instead of being refused.
        assert!(node.serves(node.port));
        assert!(has_vip());
        assert_ne!(node.process(Role::Proxy), before);
        until("there is a spare again", || node.process(Role::Spare) > before);
    });
}

#[test]
fn a_frozen_proxy_is_replaced() {
    alone("a_frozen_proxy_is_replaced", || {
        let mut node = Lonely::new();
        node.start();
        let before = node.process(Role::Proxy);
        node.process(Role::Spare);
        kill(before, "STOP");
        until("another one serves", || node.serves(node.port));
        until("the frozen one is gone", || !runs(before));
        assert!(has_vip());
    });
}

#[test]
fn a_killed_vip_process_leaves_no_address_without_a_holder() {
    alone("a_killed_vip_process_leaves_no_address_without_a_holder", || {
        let mut node = Lonely::new();
        node.start();
        let before = node.process(Role::Vip);
        kill(before, "KILL");
        until("a new process holds the address", || {
            node.process(Role::Vip) != before && has_vip() && node.serves(node.port)
        });
        let rescued = node.events().into_iter().find(|event| event.what == "vip-rescued");
        // It is known before the kernel has closed its sockets.
        assert_eq!(rescued.expect("it is told").evidence, "the vip process is ending");
    });
}

#[test]
fn a_killed_agent_comes_back_and_nobody_else_notices() {
    alone("a_killed_agent_comes_back_and_nobody_else_notices", || {
        let mut node = Lonely::new();
        node.start();
        let (agent, proxy, vip) =
            (node.process(Role::Agent), node.process(Role::Proxy), node.process(Role::Vip));
        kill(agent, "KILL");
        assert!(node.serves(node.port) && has_vip());
        until("there is a new agent", || node.process(Role::Agent) != agent);
        assert_eq!((node.process(Role::Proxy), node.process(Role::Vip)), (proxy, vip));
    });
}

#[test]
fn a_killed_dashboard_comes_back_and_nobody_else_notices() {
    alone("a_killed_dashboard_comes_back_and_nobody_else_notices", || {
        let mut node = Lonely::new();
        node.start();
        let others = [Role::Agent, Role::Proxy, Role::Vip];
        let (before, others_before) =
            (node.process(Role::Services), others.map(|role| node.process(role)));
        until("the dashboard answers", dashboard_answers);
        kill(before, "KILL");
        // The socket is held: a browser waits for the next process instead of being refused.
        until("the dashboard answers again", dashboard_answers);
        assert_ne!(node.process(Role::Services), before);
        assert_eq!(others.map(|role| node.process(role)), others_before);
        assert!(node.serves(node.port) && has_vip());
        let lost = node.events().into_iter().find(|event| event.what == "services-lost");
        assert!(lost.is_some_and(|event| event.evidence.contains("signal 9")));
    });
}

#[test]
fn a_dead_agent_is_not_fatal_for_the_dashboard() {
    alone("a_dead_agent_is_not_fatal_for_the_dashboard", || {
        let mut node = Lonely::new();
        node.start();
        until("the dashboard answers", dashboard_answers);
        let (services, agent) = (node.process(Role::Services), node.process(Role::Agent));
        kill(agent, "STOP");
        until("the dashboard answers without the agent", dashboard_answers);
        // Its supervisor misses it, too.
        until("there is a new agent", || node.process(Role::Agent) != agent);
        assert!(dashboard_answers());
        assert_eq!(node.process(Role::Services), services);
    });
}

#[test]
fn the_dashboard_has_no_rights() {
    alone("the_dashboard_has_no_rights", || {
        let mut node = Lonely::new();
        node.start();
        until("the dashboard answers", dashboard_answers);
        let pid = node.process(Role::Services).to_string();
        let text = fs::read_to_string(Path::new("/proc").join(pid).join("status"));
        let text = text.unwrap();
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        assert_eq!(line("CapEff:").trim(), "0000000000000000");
        assert_eq!(line("CapPrm:").trim(), "0000000000000000");
        if !sys::rights::is_contained() {
            let nobody = sys::rights::user("nobody").unwrap().0.to_string();
            assert!(line("Uid:").split_whitespace().all(|uid| uid == nobody), "{text}");
        }
    });
}

#[test]
fn another_section_for_the_dashboard_moves_it_and_nothing_else() {
    alone("another_section_for_the_dashboard_moves_it_and_nothing_else", || {
        let mut node = Lonely::new();
        node.start();
        let urls = || node.status().dashboard;
        until("it is on its usual port", || urls() == ["http://127.0.0.1:7412/"]);
        let (services, vip) = (node.process(Role::Services), node.process(Role::Vip));
        let port = lonely::free_port();
        let section = format!("[dashboard]\nlisten = \"127.0.0.1:{port}\"\n");
        node.write("outlast.toml", &(lonely::CLUSTER.to_owned() + &section));
        node.signal("HUP");
        until("it is where the file says", || urls() == [format!("http://127.0.0.1:{port}/")]);
        until("another process serves it", || node.process(Role::Services) != services);
        assert!(!dashboard_answers(), "nobody listens on the usual port");
        assert_eq!(node.process(Role::Vip), vip);
        node.write(
            "outlast.toml",
            &(lonely::CLUSTER.to_owned() + "[dashboard]\nlisten = \"none\"\n"),
        );
        node.signal("HUP");
        until("there is none", || {
            let status = node.status();
            let runs = |p: &api::ProcessState| p.role == Role::Services && p.running;
            status.dashboard.is_empty() && !status.processes.iter().any(runs)
        });
        assert_eq!(node.process(Role::Vip), vip);
    });
}

#[test]
fn a_plain_user_may_ask_for_the_status() {
    alone("a_plain_user_may_ask_for_the_status", || {
        if sys::rights::is_contained() {
            return lab::skip::note(
                "outlast::a_plain_user_may_ask_for_the_status",
                "there is no other user here to become",
            );
        }
        let mut node = Lonely::new();
        node.start();
        node.status();
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", OUTLAST, "status"]);
        command.arg("--json").arg("--run-dir").arg(node.path("run"));
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let status: api::Status = serde_json::from_slice(&output.stdout).expect(&said);
        assert_eq!(status.dashboard, ["http://127.0.0.1:7412/"]);
    });
}

/// The socket of the default, in the network of the test.
fn dashboard_answers() -> bool {
    let limit = std::time::Duration::from_secs(2);
    let ask = || -> std::io::Result<String> {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 7412));
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

#[test]
fn a_killed_supervisor_takes_everything_along() {
    alone("a_killed_supervisor_takes_everything_along", || {
        let mut node = Lonely::new();
        node.start();
        let roles = [Role::Proxy, Role::Spare, Role::Vip, Role::Agent, Role::Services];
        let pids = roles.map(|role| node.process(role));
        node.signal("KILL");
        node.ended();
        until("no process is left", || pids.iter().all(|pid| !runs(*pid)));
        assert!(!has_vip(), "an address stayed");
        node.start();
    });
}

#[test]
fn a_node_that_is_told_to_end_leaves_nothing_behind() {
    alone("a_node_that_is_told_to_end_leaves_nothing_behind", || {
        let mut node = Lonely::new();
        node.start();
        let roles = [Role::Proxy, Role::Spare, Role::Vip, Role::Agent, Role::Services];
        let pids = roles.map(|role| node.process(role));
        node.signal("TERM");
        assert_eq!(node.ended().code(), Some(0), "{}", node.log());
        assert!(pids.iter().all(|pid| !runs(*pid)), "a process stayed");
        assert!(!has_vip(), "an address stayed");
        assert!(!node.listens(), "a socket stayed");
        node.start();
    });
}

#[test]
fn an_idle_node_is_small() {
    alone("an_idle_node_is_small", || {
        let mut node = Lonely::new();
        node.start();
        for (role, megabytes) in
            [(Role::Vip, 8), (Role::Agent, 30), (Role::Proxy, 12), (Role::Services, 25)]
        {
            let used = own_memory(node.process(role));
            assert!(used < megabytes * MEGABYTE, "{role:?} uses {used} bytes");
        }
    });
}

#[test]
fn the_two_files_alone_run_and_status_says_what_is_missing() {
    alone("the_two_files_alone_run_and_status_says_what_is_missing", || {
        let mut node = Lonely::new();
        node.write("keepalived.conf", KEEPALIVED);
        let mut command = Command::new(OUTLAST);
        command.arg("run").arg("--haproxy").arg(node.path("haproxy.cfg"));
        command.arg("--keepalived").arg(node.path("keepalived.conf"));
        command.arg("--run-dir").arg(node.path("run"));
        command.arg("--state-dir").arg(node.path("state"));
        node.start_with(command);
        until("it serves behind the address of the file", || node.serves(node.port));
        let status = node.status();
        assert_eq!((status.mode, status.cluster.as_deref()), (Mode::Adaptive, None));
        let limits = status.limits.join("\n");
        assert!(limits.contains("VRRP"), "{limits}");
    });
}

const KEEPALIVED: &str = "vrrp_instance internal {
    state BACKUP
    nopreempt
    interface eth0
    virtual_router_id 121
    priority 100
    advert_int 1
    virtual_ipaddress {
        10.79.0.40 dev eth0
    }
}
";

/// The same with addresses beside it that adverts do not name.
fn file(excluded: &str) -> String {
    let more = format!("    virtual_ipaddress_excluded {{\n{excluded}\n    }}\n}}\n");
    KEEPALIVED.trim_end().trim_end_matches('}').to_owned() + &more
}

fn start_as_keepalived(node: &mut Lonely) {
    let program = node.path("keepalived");
    symlink(OUTLAST, &program).expect("a name");
    let mut command = Command::new(&program);
    command.args(["-n", "-f"]).arg(node.path("keepalived.conf"));
    node.start_with(command);
}

#[test]
fn called_as_haproxy_it_is_a_balancer_in_the_background() {
    alone("called_as_haproxy_it_is_a_balancer_in_the_background", || {
        let node = Lonely::new();
        let program = node.path("haproxy");
        symlink(OUTLAST, &program).unwrap();
        let file = node.path("haproxy.cfg");
        let (code, said) = run_to_end(Command::new(&program).arg("-c").arg("-f").arg(&file));
        assert_eq!(code, Some(0), "{said}");
        let pid_file = node.path("haproxy.pid");
        let mut start = Command::new(&program);
        start.arg("-D").arg("-f").arg(&file).arg("-p").arg(&pid_file);
        // Given an address by hand: this program only balances.
        lonely::hold_by_hand().unwrap();
        assert_eq!(start.status().unwrap().code(), Some(0));
        until("it serves", || node.serves(node.port));
        let pid: i32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
        kill(pid, "TERM");
        until("it is gone", || !runs(pid) && !node.listens());
    });
}

#[test]
fn called_as_keepalived_it_holds_addresses_only() {
    alone("called_as_keepalived_it_holds_addresses_only", || {
        let mut node = Lonely::new();
        node.write("keepalived.conf", KEEPALIVED);
        start_as_keepalived(&mut node);
        until("it holds the address", has_vip);
        assert!(!node.listens(), "it balances");
        node.signal("TERM");
        assert_eq!(node.ended().code(), Some(0), "{}", node.log());
        assert!(!has_vip());
    });
}

/// What a program that runs `keepalived.conf` of this node writes at its signals: counts, and the same as JSON.
fn dumps(node: &mut Lonely, program: &Path, name: &str) -> (String, serde_json::Value) {
    let folder = node.path(name);
    fs::create_dir(&folder).expect("a folder of the test");
    let pid = |which: &str| fs::read_to_string(folder.join(which)).ok()?.trim().parse::<i32>().ok();
    let mut command = Command::new(program);
    command.env("TMPDIR", &folder).args(["-nlD", "-f"]).arg(node.path("keepalived.conf"));
    command.arg("-p").arg(folder.join("pid")).arg("-r").arg(folder.join("vrrp"));
    node.start_with(command);
    until("it holds the address", has_vip);
    until("both numbers are there", || {
        pid("pid") == Some(node.pid()) && pid("vrrp").is_some_and(runs)
    });
    let number = |word: &str| {
        let said = Command::new(program).arg(format!("--signum={word}")).output();
        let said = said.expect("it runs");
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    };
    let numbers = ["DATA", "JSON", "STATS"].map(number);
    assert_eq!(numbers, ["10", "36", "12"], "{name}");
    let asks = |number: &str, file: &str, part: &str| {
        let mut text = String::new();
        until("it writes that down", || {
            node.signal(number);
            text = fs::read_to_string(folder.join(file)).unwrap_or_default();
            text.contains(part)
        });
        text
    };
    let data = asks(&numbers[0], "keepalived.data", "State = MASTER");
    assert!(data.contains("VRRP Instance = internal") && data.contains("10.79.0.40"), "{data}");
    asks(&numbers[2], "keepalived.stats", "Became master: 1");
    let json = asks(&numbers[1], "keepalived.json", "]");
    assert!(has_vip() && runs(node.pid()), "{}", node.log());
    // Counting begins anew; the address stays.
    asks("63", "keepalived.stats", "Became master: 0");
    let mode = fs::metadata(folder.join("keepalived.json")).map(|file| file.permissions().mode());
    assert_eq!(mode.expect("it is there") & 0o777, 0o600);
    let stats = asks(&numbers[2], "keepalived.stats", "Became master: 0");
    node.signal("TERM");
    assert_eq!(node.ended().code(), Some(0), "{}", node.log());
    assert!(!has_vip());
    assert!(pid("pid").is_none() && pid("vrrp").is_none(), "its files of numbers are gone");
    let titles = stats.lines().map(|line| line.trim_end_matches(|c: char| c.is_ascii_digit()));
    (titles.collect::<Vec<_>>().join("\n"), serde_json::from_str(&json).expect("JSON"))
}

#[test]
fn no_signal_of_keepalived_ends_it_and_what_they_ask_for_is_as_keepalived_writes_it() {
    alone(
        "no_signal_of_keepalived_ends_it_and_what_they_ask_for_is_as_keepalived_writes_it",
        || {
            let mut node = Lonely::new();
            node.write("keepalived.conf", KEEPALIVED);
            let program = node.path("keepalived");
            symlink(OUTLAST, &program).unwrap();
            let (stats, json) = dumps(&mut node, &program, "ours");
            let peer = Path::new("keepalived");
            if Command::new(peer).arg("--version").output().is_err() {
                let test = "outlast::no_signal_of_keepalived_ends_it_and_what_they_ask_for_is_as_keepalived_writes_it";
                return lab::skip::note(test, "keepalived is not installed");
            }
            let (theirs, their_json) = dumps(&mut node, peer, "theirs");
            assert_eq!(stats, theirs);
            for part in ["data", "stats"] {
                let (ours, theirs) = (&json[0][part], &their_json[0][part]);
                let ours = ours.as_object().expect("an object");
                for (key, value) in ours.iter().filter(|(key, _)| *key != "auth_data") {
                    let theirs =
                        theirs.get(key).unwrap_or_else(|| panic!("{key} is none of its keys"));
                    let is_count = part == "stats";
                    assert!(is_count || value == theirs, "{key}: {value} and {theirs}");
                    assert!(!is_count || value.is_u64() == theirs.is_u64(), "{key}");
                }
            }
            let count =
                |json: &serde_json::Value| json[0]["stats"].as_object().map(|all| all.len());
            assert_eq!(count(&json), count(&their_json), "no count is missing");
        },
    );
}

#[test]
fn what_is_held_beside_the_advertised_address_comes_and_goes_at_sighup_and_that_one_stays() {
    alone(
        "what_is_held_beside_the_advertised_address_comes_and_goes_at_sighup_and_that_one_stays",
        || {
            let mut node = Lonely::new();
            node.write("keepalived.conf", &file("10.79.1.1/24\n10.79.2.1/24"));
            start_as_keepalived(&mut node);
            let held = || -> Vec<(String, u8)> {
                let all = Netlink::open().and_then(|netlink| netlink.addresses()).unwrap();
                let ours = all.iter().map(|at| (at.ip.to_string(), at.prefix));
                ours.filter(|(ip, _)| ip.starts_with("10.79.") && ip != "10.79.0.41").collect()
            };
            let is = |wanted: &[(&str, u8)]| {
                let mut held = held();
                held.sort();
                held.iter().map(|(ip, prefix)| (ip.as_str(), *prefix)).eq(wanted.iter().copied())
            };
            let vip = ("10.79.0.40", 32);
            until("all are held", || is(&[vip, ("10.79.1.1", 24), ("10.79.2.1", 24)]));
            let ending = Arc::new(AtomicBool::new(false));
            let watch = {
                let ending = Arc::clone(&ending);
                std::thread::spawn(move || {
                    while !ending.load(Ordering::Relaxed) {
                        assert!(has_vip(), "the advertised address was gone");
                    }
                })
            };
            // One goes, one changes its length, one comes.
            node.write("keepalived.conf", &file("10.79.2.1/28\n10.79.3.1/24"));
            node.signal("HUP");
            until("the others changed", || is(&[vip, ("10.79.2.1", 28), ("10.79.3.1", 24)]));
            ending.store(true, Ordering::Relaxed);
            assert!(watch.join().is_ok(), "{}", node.log());
            node.signal("TERM");
            assert_eq!(node.ended().code(), Some(0), "{}", node.log());
            assert!(held().is_empty());
        },
    );
}

#[test]
fn a_virtual_ip_that_changes_at_sighup_leaves_no_address_behind() {
    alone("a_virtual_ip_that_changes_at_sighup_leaves_no_address_behind", || {
        let mut node = Lonely::new();
        node.start();
        let held = |wanted: &str| {
            let addresses = Netlink::open().and_then(|netlink| netlink.addresses());
            addresses.unwrap().iter().any(|address| address.ip.to_string() == wanted)
        };
        until("the address is held", || held("10.79.0.40"));
        node.write("outlast.toml", &lonely::CLUSTER.replace("10.79.0.40", "10.79.0.50"));
        node.signal("HUP");
        until("the new address is held", || held("10.79.0.50"));
        assert!(!held("10.79.0.40"), "the former address stayed: {}", node.log());
    });
}

#[test]
fn reloads_that_come_faster_than_processes_are_replaced_leave_nothing_behind() {
    alone("reloads_that_come_faster_than_processes_are_replaced_leave_nothing_behind", || {
        let mut node = Lonely::new();
        node.write("keepalived.conf", &file("10.79.200.1/24"));
        start_as_keepalived(&mut node);
        let held = |part: &str| {
            let all = Netlink::open().and_then(|netlink| netlink.addresses());
            let all = all.expect("addresses can be listed");
            all.iter().filter(|at| at.ip.to_string().starts_with(part)).count()
        };
        until("it holds both", || has_vip() && held("10.79.200.") == 1);
        // Each as soon as the one before was read, so some come while a process ends, and some before it is known.
        for round in 1..=20 {
            node.write("keepalived.conf", &file(&format!("10.79.{}.1/24", 200 + round % 7)));
            node.signal("HUP");
            until("it is read", || node.log().matches("the files are good").count() >= round);
        }
        until("the newest is held, and nothing else", || {
            has_vip() && held("10.79.206.") == 1 && held("10.79.2") == 1
        });
        // A process that holds on is followed by none.
        node.write("keepalived.conf", &file("10.79.207.1/24"));
        node.signal("HUP");
        node.signal("TERM");
        assert_eq!(node.ended().code(), Some(0), "{}", node.log());
        assert_eq!((has_vip(), held("10.79.2")), (false, 0), "{}", node.log());
    });
}
