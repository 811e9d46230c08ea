//! In keepalived's place: its language beyond one file, its arguments, what it says of files, what it does at start and end.
//! keepalived 2.2.7 is asked beside.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;

use lonely::{Lonely, OUTLAST, alone, kill, runs, until};
use sys::netlink::Netlink;

const PEER: &str = "keepalived";

/// Ours, by the name that makes it keepalived.
fn ours(node: &Lonely) -> PathBuf {
    let program = node.path("keepalived");
    if !program.exists() {
        symlink(OUTLAST, &program).expect("a name");
    }
    program
}

/// Both programs; keepalived's only where it is installed.
fn both(node: &Lonely, test: &str) -> Vec<PathBuf> {
    let mut programs = vec![ours(node)];
    if Command::new(PEER).arg("--version").output().is_ok() {
        programs.push(PathBuf::from(PEER));
    } else {
        lab::skip::note(&format!("outlast::{test}"), "keepalived is not installed");
    }
    programs
}

fn held() -> BTreeSet<String> {
    let found = Netlink::open().and_then(|netlink| netlink.addresses()).expect("an answer");
    let shown = found.iter().map(|at| format!("{}/{}", at.ip, at.prefix));
    shown.filter(|text| text.starts_with("10.1.") || text.starts_with("10.2.")).collect()
}

/// Runs a program in the foreground with these arguments until `is_done`, then ends it; what `seen` sees before that.
fn while_it_runs<T>(
    node: &Lonely,
    program: &PathBuf,
    arguments: &[&str],
    is_done: impl Fn() -> bool,
    seen: impl FnOnce(i32) -> T,
) -> T {
    let log = fs::File::create(node.path("dropin.log")).expect("a file of the test");
    let mut command = Command::new(program);
    command.args(["-n", "-l", "-D", "-P", "-p"]).arg(node.path("pid"));
    command.arg("-r").arg(node.path("pid-vrrp")).args(arguments);
    command.stdout(log.try_clone().expect("a descriptor")).stderr(log);
    let mut child = command.current_dir(&node.folder).spawn().expect("it runs");
    let pid = child.id().cast_signed();
    until("it is there", || {
        if let Ok(Some(ended)) = child.try_wait() {
            let log = fs::read_to_string(node.path("dropin.log")).unwrap_or_default();
            panic!("{} {ended}: {log}", program.display());
        }
        is_done()
    });
    let seen = seen(pid);
    kill(pid, "TERM");
    until("it is gone", || child.try_wait().is_ok_and(|ended| ended.is_some()) || !runs(pid));
    seen
}

const MAIN: &str = "global_defs {\n vrrp_version 3\n @one router_id first\n @two bogus\n}\n\
    $NET=10.1.0\n$I= \\\nvrrp_instance v${N} { \\\n interface eth0 \\\n virtual_router_id ${N} \\\n \
    @one priority 150 \\\n @^one priority 90 \\\n advert_int 0.1 \\\n virtual_ipaddress { \\\n \
    ${NET}.${N}/24 \\\n } \\\n }\n\
    include conf.d/*.conf\n~SEQ(N, 5, 6) $I\n~LST({N, NET}, {7, 10.2.0}) $I\n";
const PART: &str = "vrrp_instance a { interface eth0\n virtual_router_id 51 # one\n advert_int 0.1\n\
    virtual_ipaddress {\n include ../addresses\n} } \n";

#[test]
fn files_that_are_included_and_parameters_give_the_addresses_that_keepalived_gives() {
    const TEST: &str =
        "files_that_are_included_and_parameters_give_the_addresses_that_keepalived_gives";
    alone(TEST, || {
        let node = Lonely::new();
        fs::create_dir(node.path("conf.d")).expect("a folder of the test");
        node.write("k.conf", MAIN);
        node.write("conf.d/a.conf", PART);
        node.write("conf.d/.b.conf", "bogus\n");
        node.write("addresses", "10.1.0.9/32\n@one 10.1.0.10/32\n@two 10.1.0.11/32\n");
        let expected = ["10.1.0.10/32", "10.1.0.5/24", "10.1.0.6/24", "10.1.0.9/32", "10.2.0.7/24"];
        let expected: BTreeSet<String> = expected.map(str::to_owned).into();
        for program in both(&node, TEST) {
            let all = || held() == expected;
            let found =
                while_it_runs(&node, &program, &["-i", "one", "-f", "k.conf"], all, |_| held());
            assert_eq!(found, expected, "{}", program.display());
            assert_eq!(held(), BTreeSet::new(), "{} leaves nothing", program.display());
        }
    });
}

const GOOD: &str = "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n \
    10.1.0.9 dev eth0\n }\n}\n";

/// A file, the arguments, and the code with which both end; where we mean another one, ours behind it.
fn files() -> Vec<(&'static str, String, &'static str, i32, Option<i32>)> {
    let with = |before: &str| format!("{before}{GOOD}");
    let other = |from: &str, to: &str| GOOD.replace(from, to);
    let global = |line: &str| format!("global_defs {{\n {line}\n}}\n{GOOD}");
    let script = |command: &str, line: &str| {
        let script = format!("{line}\nvrrp_script s {{\n script \"{command}\"\n}}\n");
        script + &other("virtual_router_id 1", "virtual_router_id 1\n track_script {\n s\n }")
    };
    let secure = "global_defs {\n enable_script_security\n script_user root\n}";
    let notify = other("interface eth0", "interface eth0\n notify /bin/true");
    vec![
        ("a good file", with(""), "", 0, None),
        ("an empty file", "\n".to_owned(), "", 0, Some(5)),
        ("an unknown keyword", global("bogus 1"), "", 5, None),
        ("a device that is not there", other("eth0", "nosuch0"), "", 5, None),
        (
            "a block that is not closed",
            GOOD.trim_end().trim_end_matches('}').to_owned(),
            "",
            5,
            None,
        ),
        ("a number that is too large", other("router_id 1", "router_id 300"), "", 5, None),
        ("no number", other(" virtual_router_id 1\n", ""), "", 5, None),
        ("no address", other("10.1.0.9", "10.1.0.999"), "", 5, None),
        ("an unknown state", other("interface eth0", "interface eth0\n state SLAVE"), "", 5, None),
        ("a quote that is not closed", global("router_id \"a"), "", 5, None),
        ("a script as root", script("/bin/true", ""), "", 6, None),
        ("a script with security", script("/bin/true", secure), "", 0, None),
        ("a script that is not there", script("/nowhere/x", ""), "", 5, None),
        ("a program that is told, as root", notify, "", 6, None),
        ("a missing file", with("include none\n"), "", 0, None),
        ("a missing file that must be there", with("includea none\n"), "", 6, None),
        ("a missing file, read and said so", with("includer none\n"), "", 0, None),
        ("no file of that kind", with("includem *.none\n"), "", 0, None),
        ("no file of that kind, and said so", with("includew *.none\n"), "", 6, None),
        ("all must be there", with("include none\n"), "-e", 6, None),
        ("another check", global("include_check sometimes"), "", 5, None),
        ("for another node", global("@three bogus"), "-i one", 0, None),
        ("for this node", global("@three bogus"), "-i three", 5, None),
        ("a parameter", with("$V=1\n").replace("router_id 1", "router_id ${V}"), "", 0, None),
        ("no parameter", with("$W=1\n").replace("router_id 1", "router_id ${V}"), "", 5, None),
        ("a sequence without end", with("~SEQ(N, 1, -1, 5) x\n"), "", 5, None),
        ("a start that is no time", global("vrrp_startup_delay x"), "", 5, None),
        (
            "everything that is accepted",
            with(""),
            "-P -B -x -X -V -I -R -a -m -G -d -D -D --all -S 3",
            0,
            None,
        ),
        ("files and masks", with(""), "-u 077 -A /x -c /c -b /b -r /r -p /p -M", 0, None),
        ("an unknown option", with(""), "-Z", 1, None),
        ("an unknown long option", with(""), "--bogus", 1, None),
        ("an option without its value", with(""), "-i", 1, None),
        ("a log file", with(""), "-g", 1, None),
        ("one word more", with(""), "word", 0, None),
        ("a name that is cut off", with(""), "--config-i=x", 0, None),
        ("a name that may be two", with(""), "--log", 1, None),
        ("the health checker alone", with(""), "-C", 0, Some(1)),
    ]
}

#[test]
fn a_check_of_a_file_ends_as_with_keepalived() {
    const TEST: &str = "a_check_of_a_file_ends_as_with_keepalived";
    alone(TEST, || {
        let node = Lonely::new();
        let programs = both(&node, TEST);
        let mut wrong = vec![];
        for (name, text, more, theirs, of_ours) in files() {
            node.write("k.conf", &text);
            let expected = [of_ours.unwrap_or(theirs), theirs];
            for (program, code) in programs.iter().zip(expected) {
                let mut command = Command::new(program);
                command.args(["-t", "-f", "k.conf"]).args(more.split_whitespace());
                let output = command.current_dir(&node.folder).output().expect("it runs");
                if output.status.code() != Some(code) {
                    let said = String::from_utf8_lossy(&output.stderr).into_owned();
                    wrong.push(format!("{name}: {} {} {said}", program.display(), output.status));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        // No file: keepalived says that all is well.
        let output = Command::new(ours(&node)).args(["-t", "-f", "/nowhere"]).output();
        assert_eq!(output.expect("it runs").status.code(), Some(4));
        node.write("k.conf", &GOOD.replace("interface", "interfase"));
        let log = node.path("log");
        let words = [format!("-t{}", log.display()), "-f".to_owned(), "k.conf".to_owned()];
        let output = Command::new(ours(&node)).args(words).current_dir(&node.folder).output();
        let output = output.expect("it runs");
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(5), b"".as_slice()));
        assert!(
            fs::read_to_string(&log).expect("it was written").contains("did you mean `interface`?")
        );
        assert_eq!(log.metadata().expect("it is there").permissions().mode() & 0o777, 0o644);
    });
}

#[test]
fn it_runs_in_the_network_namespace_that_is_named_by_the_file_or_on_the_command_line() {
    const TEST: &str =
        "it_runs_in_the_network_namespace_that_is_named_by_the_file_or_on_the_command_line";
    alone(TEST, || {
        let node = Lonely::new();
        let ip = |words: &str| {
            let status = Command::new("ip").args(words.split_whitespace()).status();
            assert!(status.expect("ip is part of every Debian").success(), "{words}");
        };
        for name in ["blue", "green"] {
            ip(&format!("netns add {name}"));
            ip(&format!("-n {name} link add eth0 type veth peer name far"));
            ip(&format!("-n {name} link set far up"));
            ip(&format!("-n {name} link set eth0 up"));
            ip(&format!("-n {name} addr add 10.1.9.1/24 dev eth0"));
        }
        let has = |name: &str| {
            let shown = Command::new("ip").args(["-n", name, "addr"]).output().expect("it runs");
            String::from_utf8_lossy(&shown.stdout).contains("10.1.0.9/32")
        };
        node.write(
            "k.conf",
            &format!(
                "net_namespace blue\n{}",
                GOOD.replace("router_id 1", "router_id 1\n version 3\n advert_int 0.1")
            ),
        );
        for (more, inside) in [(vec![], "blue"), (vec!["-s", "green"], "green")] {
            let words = [vec!["-f", "k.conf"], more].concat();
            while_it_runs(
                &node,
                &ours(&node),
                &words,
                || has(inside),
                |_| {
                    assert!(!has(if inside == "blue" { "green" } else { "blue" }));
                    assert_eq!(held(), BTreeSet::new());
                },
            );
            assert!(!has(inside), "nothing stays");
        }
        let output = Command::new(ours(&node))
            .args(["-n", "-s", "red", "-f", "k.conf"])
            .current_dir(&node.folder)
            .output();
        let output = output.expect("it runs");
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("cannot enter the network namespace red"), "{said}");
    });
}

/// What a command prints, line by line.
fn said(line: &str) -> Vec<String> {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().expect("a command"));
    let output = command.args(words).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn done(line: &str) {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().expect("a command"));
    let output = command.args(words).output().expect("it runs");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Addresses, routes and rules that a file of these tests may have made.
fn ways() -> BTreeSet<String> {
    let tables = ["main", "77", "78"].map(|table| said(&format!("ip route show table {table}")));
    let is_ours = |line: &String| line.contains("10.9.") || line.contains("10.1.");
    let routes = tables.into_iter().flatten().filter(is_ours);
    let rules = said("ip rule").into_iter().chain(said("ip -6 rule"));
    let rules = rules.filter(|rule| !rule.contains("from all lookup"));
    // Those of IPv6, and whether they are a source of what is sent.
    let sixth = said("ip -6 -o addr show dev eth0").into_iter();
    let sixth = sixth.filter(|line| line.contains("2001:db8:")).map(|line| {
        let address = line.split(' ').find(|word| word.starts_with("2001:")).unwrap_or_default();
        format!(
            "{address} {}",
            if line.contains("deprecated") { "deprecated" } else { "preferred" }
        )
    });
    held().into_iter().chain(routes).chain(rules).chain(sixth).collect()
}

const WAYS: &str = "static_ipaddress {\n 10.1.7.1/24 dev eth0\n 10.1.8.1/32\n}\n\
    static_routes {\n 10.9.7.0/24 via 10.1.7.9 dev eth0\n}\n\
    static_rules {\n from 10.1.7.0/24 table 77 preference 700\n}\n\
    vrrp_instance a {\n interface eth0\n virtual_router_id 1\n version 3\n advert_int 0.1\n\
    virtual_ipaddress {\n 10.1.0.9/24\n }\n\
    virtual_ipaddress_excluded {\n 2001:db8:1::9 dev eth0\n 2001:db8:2::9/64 dev eth0\n\
    2001:db8:3::9/128 dev eth0 preferred_lft forever\n 2001:db8:4::9/64 dev eth0 preferred_lft 0\n }\n\
    virtual_routes {\n 10.9.1.0/24 via 10.1.0.8 dev eth0 table 78\n }\n\
    virtual_rules {\n from 10.1.0.9 to 10.9.0.0/16 iif eth0 fwmark 0x10/0xff table 78 preference 800\n\
    from 10.1.0.9 tos 0x10 blackhole priority 801\n not to 10.0.0.0/8 table 78 preference 804\n\
    from 2001:db8::/32 table 78 preference 802\n\
    to 10.9.5.0/24 oif eth0 lookup 78 suppress_prefixlength 0 order 803\n }\n}\n";

#[test]
fn static_addresses_and_rules_are_those_of_keepalived_and_what_somebody_removes_is_put_back() {
    const TEST: &str =
        "static_addresses_and_rules_are_those_of_keepalived_and_what_somebody_removes_is_put_back";
    alone(TEST, || {
        let node = Lonely::new();
        node.write("k.conf", WAYS);
        let is_there = || {
            let ways = ways();
            let rules = ["700:", "800:", "801:", "802:", "803:", "804:"];
            held().contains("10.1.0.9/24")
                && rules.iter().all(|rule| ways.iter().any(|way| way.starts_with(rule)))
        };
        let before = ways();
        let mut found = vec![];
        for program in both(&node, TEST) {
            found.push(while_it_runs(&node, &program, &["-f", "k.conf"], is_there, |pid| {
                let stands = ways();
                if program == ours(&node) {
                    removed_by_somebody(pid, &stands);
                    changed_at_sighup(&node, pid, &stands);
                }
                stands
            }));
            until("nothing stays", || ways() == before);
        }
        let first = found.first().expect("ours ran");
        assert!(found.iter().all(|other| other == first), "{found:#?}");
    });
}

/// Each comes back, and is told.
fn removed_by_somebody(pid: i32, stands: &BTreeSet<String>) {
    for line in [
        "ip addr del 10.1.0.9/24 dev eth0",
        "ip route del 10.9.1.0/24 table 78",
        "ip rule del preference 800",
        "ip -6 rule del preference 802",
        // With it goes the route that needs it.
        "ip addr del 10.1.7.1/24 dev eth0",
        "ip route del 10.9.7.0/24",
        "ip rule del preference 700",
    ] {
        done(line);
        until(&format!("after {line} all is there"), || ways() == *stands);
    }
    let events = || {
        let folder = format!("/run/outlast/keepalived-{pid}");
        said(&format!("{OUTLAST} events --run-dir {folder}")).join("\n")
    };
    until("it is told", || events().contains("vip-put-back"));
    let told = events();
    assert!(told.contains("10.1.0.9: gone, and not by this program"), "{told}");
    assert!(told.contains("static-put-back") && told.contains("10.1.7.1/24 dev eth0"), "{told}");
}

/// What is static and stays was never gone; what is new comes, and what is not in the file any more goes.
fn changed_at_sighup(node: &Lonely, pid: i32, stands: &BTreeSet<String>) {
    node.write(
        "k.conf",
        &WAYS.replace("10.1.8.1/32", "10.1.8.2/32").replace("preference 700", "preference 701"),
    );
    kill(pid, "HUP");
    until("the new ones are there", || {
        let ways = ways();
        let has = |start: &str| ways.iter().any(|way| way.starts_with(start));
        has("10.1.8.2/32")
            && has("701:")
            && !has("10.1.8.1/32")
            && !has("700:")
            && has("10.9.7.0/24")
    });
    // A device that is not there yet: what is on it is tried again when it comes.
    node.write("k.conf", &WAYS.replace("10.1.8.1/32", "10.1.8.1/32\n 10.1.8.3/32 dev late0"));
    kill(pid, "HUP");
    until("the one that can be is there again", || held().contains("10.1.8.1/32"));
    done("ip link add late0 type veth peer name late1");
    until("so is the other one", || held().contains("10.1.8.3/32"));
    done("ip link del late0");
    node.write("k.conf", WAYS);
    kill(pid, "HUP");
    until("it is as before", || ways() == *stands);
}

const HOOKS: &str = "global_defs {\n script_user root\n startup_script \"FOLDER/hook start 'a b'\"\n\
    shutdown_script \"FOLDER/hook end\"\n shutdown_script_timeout 5\n vrrp_startup_delay 1.5\n}\n\
    track_file number {\n file FOLDER/number\n weight 1\n init_file 5\n}\n\
    track_file other {\n file FOLDER/other\n weight 1\n init_file 7 overwrite\n}\n\
    vrrp_instance a {\n interface eth0\n virtual_router_id 1\n version 3\n advert_int 0.1\n\
    track_file {\n number\n other\n }\n track_interface {\n eth1 weight 0 reverse\n }\n virtual_ipaddress {\n 10.1.0.9/24\n }\n}\n";
const HOOK: &str = "#!/bin/sh\nheld=$(ip -o addr | grep -c 10.1.0.9)\n\
    echo \"$# $1 $2 $held\" >> FOLDER/hooks\n[ $1 = start ] && date +%s.%N > FOLDER/started\nexit 0\n";

#[test]
fn programs_of_start_and_end_and_the_delay_are_those_of_keepalived() {
    const TEST: &str = "programs_of_start_and_end_and_the_delay_are_those_of_keepalived";
    alone(TEST, || {
        let node = Lonely::new();
        done("ip link add eth1 type veth peer name far1");
        node.write("k.conf", HOOKS);
        node.write("hook", HOOK);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(node.path("hook"), mode).expect("a mode can be set");
        for program in both(&node, TEST) {
            fs::write(node.path("other"), "1\n").expect("a file of the test");
            let is_held = || held().contains("10.1.0.9/24");
            let late = while_it_runs(&node, &program, &["-f", "k.conf"], is_held, |_| {
                let started = fs::read_to_string(node.path("started")).expect("it ran");
                let started: f64 = started.trim().parse().expect("seconds");
                let late = f64::from(
                    u32::try_from(sys::clock::wall_ms() % 1_000_000_000).expect("it fits"),
                ) / 1000.0;
                let late = late - started % 1_000_000.0;
                // A device that must not have a carrier has one.
                done("ip link set far1 up");
                done("ip link set eth1 up");
                until("it is given up", || !is_held());
                done("ip link set eth1 down");
                until("it is taken again", is_held);
                late
            });
            let hooks = fs::read_to_string(node.path("hooks")).expect("they ran");
            assert_eq!(hooks, "2 start a b 0\n1 end  0\n", "{}", program.display());
            assert!((1.5..10.0).contains(&late), "{} took it after {late} s", program.display());
            fs::remove_file(node.path("hooks")).expect("it is there");
            let number = |name: &str| fs::read_to_string(node.path(name)).expect("it was made");
            let numbers = ["number", "other"].map(|name| number(name).trim().to_owned());
            assert_eq!(numbers, ["5", "7"], "{}", program.display());
            fs::remove_file(node.path("number")).expect("it is there");
            done("ip link set far1 down");
        }
        // One that does not end is ended, and nothing waits for it for longer.
        // What tells this program that some process ended, ends no program that it waits for.
        let whole = "[ $1 = start ] || exit 0\nkill -CHLD $PPID\nsleep 0.2\necho > FOLDER/whole\n";
        node.write("hook", &format!("#!/bin/sh\n{whole}"));
        node.write("k.conf", &HOOKS.replace(" vrrp_startup_delay 1.5\n", ""));
        let is_held = || held().contains("10.1.0.9/24");
        while_it_runs(&node, &ours(&node), &["-f", "k.conf"], is_held, |_| {});
        assert!(node.path("whole").exists(), "the program of the start ran to its end");
        node.write("hook", "#!/bin/sh\ntrap '' TERM\n[ $1 = start ] && sleep 600\nexit 0\n");
        node.write("k.conf", &HOOKS.replace("vrrp_startup_delay 1.5", "startup_script_timeout 1"));
        while_it_runs(&node, &ours(&node), &["-f", "k.conf"], is_held, |_| {});
        let log = fs::read_to_string(node.path("dropin.log")).expect("a log");
        assert!(log.contains("did not end by itself and was killed"), "{log}");
    });
}
