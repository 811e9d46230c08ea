//! What keepalived 2.2 refuses, we refuse; what it accepts, we accept.

use std::fs;
use std::path::Path;
use std::process::Command;

use outlast_config::{Severity, Source, keepalived};

use crate::skip::{self, Folder};

const VERSION: &str = "v2.2.";

const CASES: &[(&str, &str)] = &[
    (
        "the smallest instance",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9 dev eth0\n }\n}\n",
    ),
    (
        "brackets that meet",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9 dev eth0\n } authentication {\n auth_type PASS\n auth_pass abc\n }\n}\n",
    ),
    (
        "an unknown keyword",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n prioritty 3\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n",
    ),
    (
        "no number of the group",
        "vrrp_instance a {\n interface eth0\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n",
    ),
    (
        "an unknown state",
        "vrrp_instance a {\n state SLAVE\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n",
    ),
    (
        "a broken address",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.999\n }\n}\n",
    ),
    (
        "a script that is not there",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n track_script {\n gone\n }\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n",
    ),
    (
        "a block that is not closed",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9\n }\n",
    ),
    ("an unknown block", "vrrp_instanze a {\n}\n"),
    (
        "comments of both kinds",
        "! one\n# two\nvrrp_instance a { # three\n interface eth0 ! four\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9 dev eth0 label eth0:1\n }\n}\n",
    ),
    (
        "unicast peers",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n unicast_src_ip 127.0.0.1\n unicast_peer {\n 127.0.0.2\n 127.0.0.3\n }\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n",
    ),
    (
        "a priority that is too high",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n priority 256\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n",
    ),
    (
        "options of addresses",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24 dev eth0 scope link -nodad no_track\n }\n}\n",
    ),
    (
        "a scope that has no name",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24 scope everywhere\n }\n}\n",
    ),
    (
        "routes of every kind",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n virtual_routes {\n 0.0.0.0/0 via 10.0.0.1 dev eth0 no_track protocol static\n default via 10.0.0.1 no_track\n to 10.9.0.0/16 via 10.0.0.1 src 10.0.0.9 table 100 metric 7 no_track\n 2001:db8::/64 dev eth0 scope link\n any dev eth0\n }\n}\n",
    ),
    (
        "a route without a network",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n virtual_routes {\n via 10.0.0.1 dev eth0\n }\n}\n",
    ),
    (
        "a gateway that is no address",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n virtual_routes {\n 10.9.0.0/16 via 10.0.0.999\n }\n}\n",
    ),
    (
        "a gateway of another version of IP",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n virtual_routes {\n 10.9.0.0/16 via 2001:db8::1\n }\n}\n",
    ),
    (
        "an unknown word of a route",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n virtual_routes {\n 10.9.0.0/16 vai 10.0.0.1\n }\n}\n",
    ),
    (
        "a table without a name",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n virtual_routes {\n 10.9.0.0/16 via 10.0.0.1 table mine\n }\n}\n",
    ),
    (
        "hundredths of seconds in version 3",
        "global_defs {\n vrrp_version 3\n}\nvrrp_instance a {\n interface eth0\n virtual_router_id 1\n advert_int 0.03\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n",
    ),
    (
        "a version that there is not",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n version 4\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n",
    ),
    (
        "an interval of nothing",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n version 3\n advert_int 0\n virtual_ipaddress {\n 10.0.0.9\n }\n}\n",
    ),
    (
        "a network that is too long",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n virtual_routes {\n 10.9.0.0/33 via 10.0.0.1\n }\n}\n",
    ),
    (
        "a parameter and a condition",
        "$V=1\n@^nobody $W=${V}\nvrrp_instance a {\n interface eth0\n virtual_router_id ${W}\n virtual_ipaddress {\n 10.0.0.9/24\n }\n}\n",
    ),
    (
        "a parameter that is not there",
        "vrrp_instance a {\n interface eth0\n virtual_router_id ${W}\n virtual_ipaddress {\n 10.0.0.9/24\n }\n}\n",
    ),
    (
        "a value of several lines",
        "$I= \\\nvrrp_instance a { \\\n interface eth0 \\\n virtual_router_id ${V} \\\n virtual_ipaddress { \\\n 10.0.0.9/24 \\\n } \\\n} \\\n\n$V=7\n$I\n",
    ),
    (
        "a sequence",
        "$I= \\\nvrrp_instance v${N} { \\\n interface eth0 \\\n virtual_router_id ${N} \\\n virtual_ipaddress { \\\n 10.0.0.${N} \\\n } \\\n }\n~SEQ(N, 1, 3) $I\n",
    ),
    (
        "a sequence whose numbers are too large",
        "$I= \\\nvrrp_instance v${N} { \\\n interface eth0 \\\n virtual_router_id ${N} \\\n virtual_ipaddress { \\\n 10.0.0.1 \\\n } \\\n }\n~SEQ(N, 255, 256) $I\n",
    ),
    (
        "an apostrophe in a password",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n authentication {\n auth_type PASS\n auth_pass it's # x\n }\n}\n",
    ),
    (
        "rules of every kind",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n virtual_rules {\nfrom 10.1.0.0/16 table 7 preference 5\n to 10.1.0.1 lookup main priority 0x10\n to 2001:db8::/64 prohibit order 1\n not dev eth0 fwmark 0x1f/7 tos 0x10 type unreachable preference 2\n from 2001:db8::/32 table 7 sup_pl 0 preference 3\n }\n}\n",
    ),
    (
        "a rule that does nothing",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n virtual_rules {\nfrom 10.1.0.0/16 preference 5\n }\n}\n",
    ),
    (
        "a rule with an unknown word",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n virtual_rules {\nfrom 10.1.0.0/16 tabel 7 preference 5\n }\n}\n",
    ),
    (
        "a rule for both versions of IP",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n virtual_rules {\nfrom 10.1.0.0/16 to 2001:db8::/32 table 7 preference 5\n }\n}\n",
    ),
    (
        "a rule that does two things",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n virtual_rules {\ntable 7 blackhole preference 5\n }\n}\n",
    ),
    (
        "what is static",
        "static_ipaddress {\n 10.1.0.1/24 dev eth0\n}\nstatic_routes {\n 10.2.0.0/24 via 10.1.0.2 dev eth0\n}\nstatic_rules {\n from 10.2.0.0/24 table 7 preference 9\n}\nvrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n}\n",
    ),
    (
        "a life of an address",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n virtual_ipaddress_excluded {\n 2001:db8::1 preferred_lft forever\n 2001:db8::2 preferred_lft 7\n }\n}\n",
    ),
    (
        "a life that is no number",
        "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9/24\n }\n virtual_ipaddress_excluded {\n 2001:db8::1 preferred_lft long\n }\n}\n",
    ),
];

fn refused(text: &str) -> Vec<String> {
    let source = Source { path: "keepalived.conf".to_owned(), text: text.to_owned() };
    let findings = keepalived::parse(&source, 0).1.into_iter();
    findings.filter(|f| f.severity == Severity::Error).map(|f| f.message).collect()
}

/// keepalived in a network of its own, in which there is an eth0. The verdict, and what it said.
fn theirs(keepalived: &Command, file: &Path) -> (bool, String) {
    let script = format!(
        "ip link add eth0 type veth peer name eth1 && ip link set eth0 up || exit 99; \
         exec {} -t -f {}",
        keepalived.get_program().display(),
        file.display()
    );
    let output = Command::new("unshare").args(["-rn", "sh", "-c", &script]).output();
    let output = output.expect("unshare is part of every Debian");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_ne!(output.status.code(), Some(99), "{told}");
    (!output.status.success(), told)
}

/// Whether there can be a network of its own.
fn keepalived(test: &str) -> Option<Command> {
    let program = skip::program(test, "keepalived", VERSION)?;
    let mut try_out = Command::new("unshare");
    try_out.args(["-rn", "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1"]);
    if try_out.output().is_ok_and(|output| output.status.success()) {
        return Some(program);
    }
    skip::note(test, "no network namespaces for this user");
    None
}

#[test]
fn small_files_are_refused_as_by_keepalived() {
    let test = "small_files_are_refused_as_by_keepalived";
    let Some(program) = keepalived(test) else { return };
    let folder = Folder::new("keepalived-cases");
    let file = folder.0.join("keepalived.conf");
    let mut different = Vec::new();
    for (name, text) in CASES {
        fs::write(&file, text).unwrap();
        let (they_refuse, told) = theirs(&program, &file);
        let ours = refused(text);
        if they_refuse == ours.is_empty() {
            different.push(format!("{name}: keepalived {they_refuse} {told}, outlast {ours:?}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn the_example_is_valid_for_keepalived() {
    let test = "the_example_is_valid_for_keepalived";
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/three-controllers");
    let file = example.join("keepalived.conf");
    assert_eq!(refused(&fs::read_to_string(&file).unwrap()), Vec::<String>::new());
    let Some(program) = keepalived(test) else { return };
    let (they_refuse, told) = theirs(&program, &file);
    assert!(!they_refuse, "{told}");
}
