//! Rules of routing, and what a node has from its start to its end.

use std::time::Duration;

use outlast_config::{
    Severity, Source, effective_fixed, effective_hooks, effective_vips, keepalived, place,
};

const INSTANCE: &str = "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 10.0.0.9\n }\n";

fn read(text: &str) -> (keepalived::Keepalived, Vec<String>) {
    let source = Source { path: "keepalived.conf".to_owned(), text: text.to_owned() };
    let (read, findings) = keepalived::parse(&source, 0);
    let told = findings.iter().map(|found| {
        let at = place(text, found.span.start);
        let grave = match found.severity {
            Severity::Note => "note ",
            Severity::Warning => "warning ",
            Severity::Error => "",
        };
        format!("{}:{} {grave}{}", at.line, at.column, found.message)
    });
    (read, told.collect())
}

fn rules(entries: &str) -> (Vec<String>, Vec<String>) {
    let (read, told) = read(&format!("{INSTANCE} virtual_rules {{\n{entries}\n }}\n}}\n"));
    let vips = effective_vips(None, Some(&read), None, false, &|_| None).unwrap();
    (vips[0].ways.iter().map(ToString::to_string).collect(), told)
}

#[test]
fn a_rule_may_be_written_in_every_way_that_keepalived_knows() {
    let rows = [
        ("from 10.1.0.0/16 table 7 preference 5", "rule 5: from 10.1.0.0/16 lookup 7"),
        (
            "to 10.1.0.1 lookup main priority 0x10",
            "rule 16: from 0.0.0.0/0 to 10.1.0.1/32 lookup 254",
        ),
        (
            "inet6 from all to 2001:db8::/64 prohibit order 1",
            "rule 1: from ::/0 to 2001:db8::/64 prohibit",
        ),
        (
            "not dev eth0 oif eth1 fwmark 0x1f/7 tos 0x10 type unreachable preference 2",
            "rule 2: not from 0.0.0.0/0 tos 0x10 fwmark 0x1f/0x7 iif eth0 oif eth1 unreachable",
        ),
        ("fwmark 3 nop no_track protocol 5 preference 2", "rule 2: from 0.0.0.0/0 fwmark 0x3 nop"),
        (
            "inet6 table 7 sup_pl 0 preference 2",
            "rule 2: from ::/0 lookup 7 suppress_prefixlength 0",
        ),
    ];
    for (written, shown) in rows {
        assert_eq!(rules(written), (vec![shown.to_owned()], vec![]), "{written}");
    }
}

#[test]
fn rules_without_a_number_get_those_of_keepalived_in_the_order_of_the_file() {
    let static_rules = "static_rules {\n from 10.7.0.0/16 table 7\n}\n";
    let text = format!(
        "{INSTANCE} virtual_rules {{\n from 10.8.0.0/16 table 7\n inet6 table 7\n }}\n}}\n{static_rules}"
    );
    let (read, told) = read(&text);
    let vips = effective_vips(None, Some(&read), None, false, &|_| None).unwrap();
    let shown: Vec<String> = vips[0].ways.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["rule 16384: from 10.8.0.0/16 lookup 7", "rule 16384: from ::/0 lookup 7"]);
    let fixed = effective_fixed(Some(&read)).ways;
    assert_eq!(fixed[0].to_string(), "rule 16383: from 10.7.0.0/16 lookup 7");
    assert_eq!(
        told[2],
        "13:2 warning this rule has no preference: it gets 16383, as from keepalived"
    );
}

#[test]
fn a_mistake_in_a_rule_is_told_with_its_place() {
    let rows = [
        ("from 10.1.0.0/16 preference 5", "8:1 this rule does nothing"),
        ("from 10.1.0.0/16 tabel 7", "8:18 `tabel` is no option of a rule"),
        ("from 10.1.0.1/16 table 7", "8:6 `10.1.0.1/16` is no network, it is an address in one"),
        ("from 10.1.0.0/16 to 2001:db8::/32 table 7", "8:21 a rule is for one version of IP"),
        ("table 7 blackhole preference 3", "8:9 a rule does one thing only"),
        ("table 0 preference 3", "8:7 expected a table other than 0, found `0`"),
        ("table 7 fwmark x preference 3", "8:16 expected a mark like 7 or 0x10/0xff, found `x`"),
        ("table 7 preference -1", "8:20 expected a number up to 4294967295, found `-1`"),
        ("table 7 preference", "8:9 expected a value behind `preference`"),
        (
            "blackhole sup_pl 3 preference 3",
            "8:1 `suppress_prefixlength` is for rules with a table",
        ),
        ("table 7 uidrange 1-2 preference 3", "8:9 note `uidrange` of a rule is not run yet"),
    ];
    for (written, message) in rows {
        assert_eq!(rules(written), (vec![], vec![message.to_owned()]), "{written}");
    }
}

#[test]
fn what_is_static_has_a_device_and_programs_of_start_and_end_have_a_user_and_a_limit() {
    let (read, told) = read(
        "global_defs {\n default_interface eth7\n script_user root\n startup_script \"/bin/a 'b c'\"\n \
         shutdown_script /bin/d nobody\n shutdown_script_timeout 3\n vrrp_startup_delay 5.5\n}\n\
         static_ipaddress {\n 10.0.0.1/24\n 10.0.0.2 dev eth1 track_group x\n 10.0.0.3 dev eth1 use_vmac\n}\n",
    );
    assert_eq!(
        told,
        [
            "12:2 note `use_vmac` of a static address is not run yet",
            "11:32 there is no `track_group x`",
        ]
    );
    let fixed = effective_fixed(Some(&read));
    let devices = fixed.addresses.iter().map(|address| address.device.as_deref());
    assert_eq!(devices.collect::<Vec<_>>(), [Some("eth7"), Some("eth1"), Some("eth1")]);
    let [start, end] = effective_hooks(Some(&read));
    let program = start.program.unwrap();
    assert_eq!(
        (program.command, program.user.as_deref()),
        (vec!["/bin/a".to_owned(), "b c".to_owned()], Some("root"))
    );
    assert_eq!(start.timeout, Duration::from_secs(10));
    assert_eq!(end.program.unwrap().user.as_deref(), Some("nobody"));
    assert_eq!(
        (end.timeout, read.global.startup_delay),
        (Duration::from_secs(3), Duration::from_millis(5500))
    );
}

#[test]
fn instances_of_a_track_group_need_the_devices_of_what_is_static_and_in_it() {
    let fixed = "static_ipaddress {\n 10.0.0.1/24 track_group one\n 10.0.0.2 dev eth1 track_group two\n}\n\
                 static_routes {\n 10.7.0.0/16 via 10.0.0.9 dev eth2 track_group one\n 10.8.0.0/16 via 10.0.0.9 track_group one\n}\n\
                 static_rules {\n from 10.7.0.0/16 iif eth3 table 7 preference 3 track_group one\n}\n\
                 track_group one {\n group {\n a\n }\n}\ntrack_group two {\n group {\n b\n }\n}\n";
    let text = format!("{INSTANCE} track_interface {{\n eth2\n eth9\n }}\n}}\n{fixed}");
    let (read, told) = read(&text);
    let vips = effective_vips(None, Some(&read), None, false, &|_| None).unwrap();
    assert_eq!(vips[0].track_interfaces, ["eth2", "eth9", "eth0", "eth3"]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].ends_with("warning nothing is followed of what names no device"), "{told:?}");
    assert!(told[1].ends_with("there is no `vrrp_instance b`"), "{told:?}");
}
