//! Versions of VRRP: which one, how often, by which checksum.

use std::time::Duration;

use expect_test::{Expect, expect};
use outlast_config::vip::{Checksum, Protocol};
use outlast_config::{Source, effective_vips, keepalived, load, render};

const PSEUDO: Protocol = Protocol::V3 { sends: Checksum::Pseudo };
const MESSAGE: Protocol = Protocol::V3 { sends: Checksum::Message };

/// What an instance with these lines speaks and how often (milliseconds), and the messages of the findings.
fn asked(global: &str, lines: &str) -> (Protocol, u128, Vec<String>) {
    let lines = lines.replace(';', "\n ");
    // Behind the instance, where keepalived counts it as well.
    let text = format!(
        "vrrp_instance a {{\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {{\n 10.0.0.9\n }}\n {lines}\n}}\n\
         global_defs {{\n {}\n}}\n",
        global.replace(';', "\n ")
    );
    let source = Source { path: "keepalived.conf".to_owned(), text };
    let (read, findings) = keepalived::parse(&source, 0);
    let vips = effective_vips(None, Some(&read), None, false, &|_| None).unwrap();
    let messages = findings.into_iter().map(|finding| finding.message).collect();
    assert!(vips[0].password.is_none() || vips[0].protocol == Protocol::V2);
    (vips[0].protocol, vips[0].advert_interval.as_millis(), messages)
}

#[test]
fn an_instance_speaks_its_own_version_or_that_of_all() {
    let rows = [
        ("", "", Protocol::V2, 1000),
        ("vrrp_version 3", "", PSEUDO, 1000),
        ("vrrp_version 3", "version 2; advert_int 2", Protocol::V2, 2000),
        ("vrrp_version 2", "advert_int 0.1; version 3", PSEUDO, 100),
        ("vrrp_version 3", "advert_int 0.01", PSEUDO, 10),
        ("", "version 3; advert_int 40.95", PSEUDO, 40_950),
        ("", "version 3; v3_checksum_as_v2", MESSAGE, 1000),
        ("v3_checksum_as_v2; vrrp_version 3", "", MESSAGE, 1000),
        ("v3_checksum_as_v2 yes", "version 3; v3_checksum_as_v2 false", PSEUDO, 1000),
        ("v3_checksum_as_v2", "", Protocol::V2, 1000),
        ("", "version 3; old_unicast_checksum never", PSEUDO, 1000),
        ("", "old_unicast_checksum", Protocol::V2, 1000),
    ];
    for (global, lines, protocol, interval) in rows {
        assert_eq!(asked(global, lines), (protocol, interval, vec![]), "{global} | {lines}");
    }
}

#[test]
fn what_a_version_cannot_say_is_rounded_as_keepalived_rounds_and_told() {
    let whole = |seconds: &str| format!("VRRP version 2 counts whole seconds: this is {seconds} s");
    let parts = |seconds: &str| {
        format!("VRRP version 3 counts hundredths of seconds up to 40.95: this is {seconds} s")
    };
    let rows = [
        ("advert_int 1.4", 1000, whole("1")),
        ("advert_int 1.5", 2000, whole("2")),
        ("advert_int 0.1", 1000, whole("1")),
        ("version 3; advert_int 0.014", 10, parts("0.01")),
        ("version 3; advert_int 0.015", 20, parts("0.02")),
        ("version 3; advert_int 41", 40_950, parts("40.95")),
        ("version 3; advert_int 255", 40_950, parts("40.95")),
    ];
    for (lines, interval, message) in rows {
        let (_, is, messages) = asked("", lines);
        assert_eq!((is, messages), (interval, vec![message]), "{lines}");
    }
    for lines in ["advert_int 0", "advert_int 0.009", "advert_int 256", "advert_int 1.x"] {
        let (_, is, messages) = asked("version 3", lines);
        assert_eq!(is, 1000, "{lines}");
        assert!(messages.iter().any(|message| message.contains("0.01 to 255")), "{messages:?}");
    }
}

#[test]
fn a_password_is_not_used_in_version_3_and_an_old_checksum_is_not_run() {
    let password = "authentication {; auth_type PASS; auth_pass secret12; }";
    let (protocol, _, messages) = asked("", &format!("version 3; {password}"));
    assert_eq!(protocol, PSEUDO);
    assert_eq!(messages, ["VRRP version 3 has no password: this one is not used"]);
    let (_, _, messages) = asked("", "version 3; old_unicast_checksum");
    assert_eq!(messages, ["`old_unicast_checksum` in VRRP version 3 is not run yet"]);
    assert_eq!(asked("", password).2, Vec::<String>::new());
}

fn cluster(keys: &str, expected: Expect) -> Option<(Protocol, Duration)> {
    let text = format!(
        "[cluster]\nname = \"c\"\n[node.a]\nnetworks = {{ m = \"10.0.0.1\" }}\n[node.b]\nnetworks = {{ m = \"10.0.0.2\" }}\n[vip.one]\naddress = \"10.0.0.9\"\n\
         router_id = 7\n{keys}\n"
    );
    let loaded = load(vec![Source { path: "outlast.toml".to_owned(), text }]);
    expected.assert_eq(&render(&loaded.sources, &loaded.diagnostics));
    loaded.cluster.map(|cluster| (cluster.vips[0].protocol, cluster.vips[0].advert_interval))
}

#[test]
fn the_cluster_file_says_version_interval_and_checksum() {
    let third = "version = 3\nadvert_interval = \"100ms\"\nv3_checksum_as_v2 = true";
    let read = cluster(third, expect![[""]]);
    assert_eq!(read, Some((MESSAGE, Duration::from_millis(100))));
}

#[test]
fn what_does_not_go_together_is_told() {
    cluster(
        "version = 4",
        expect![[r#"
        error[bad-value]: expected a version from 2 to 3, found 4
          --> outlast.toml:10:11
           |
        10 | version = 4
           |           ^
           = help: write `version = 3`

        1 error
    "#]],
    );
    cluster(
        "advert_interval = \"100ms\"",
        expect![[r#"
        error[bad-value]: VRRP version 2 counts whole seconds up to 255
          --> outlast.toml:10:19
           |
        10 | advert_interval = "100ms"
           |                   ^^^^^^^
           = help: write `"1s"`, or `version = 3` beside it

        1 error
    "#]],
    );
    cluster(
        "version = 3\nadvert_interval = \"15ms\"",
        expect![[r#"
        error[bad-value]: VRRP version 3 counts hundredths of seconds up to 40.95
          --> outlast.toml:11:19
           |
        11 | advert_interval = "15ms"
           |                   ^^^^^^
           = help: write a multiple of `"10ms"` up to `"40950ms"`

        1 error
    "#]],
    );
    cluster(
        "version = 3\nadvert_interval = \"41s\"",
        expect![[r#"
        error[bad-value]: VRRP version 3 counts hundredths of seconds up to 40.95
          --> outlast.toml:11:19
           |
        11 | advert_interval = "41s"
           |                   ^^^^^
           = help: write a multiple of `"10ms"` up to `"40950ms"`

        1 error
    "#]],
    );
    cluster(
        "version = 3\npassword = \"secret12\"",
        expect![[r#"
        error[bad-value]: VRRP version 3 has no password
          --> outlast.toml:11:12
           |
        11 | password = (secret)
           |            ^^^^^^^^
           = help: remove it; own nodes know each other by `secret_file`

        1 error
    "#]],
    );
    cluster(
        "v3_checksum_as_v2 = true",
        expect![[r#"
        error[bad-value]: VRRP version 2 has one checksum
          --> outlast.toml:10:21
           |
        10 | v3_checksum_as_v2 = true
           |                     ^^^^
           = help: remove it, or write `version = 3`

        1 error
    "#]],
    );
}

/// The `preempt_delay` of an instance with these lines, and the messages of the findings.
fn delay(lines: &str) -> (Duration, Vec<String>) {
    let lines = lines.replace(';', "\n ");
    let text = format!(
        "vrrp_instance a {{\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {{\n 10.0.0.9\n }}\n {lines}\n}}\n"
    );
    let source = Source { path: "keepalived.conf".to_owned(), text };
    let (read, findings) = keepalived::parse(&source, 0);
    let vips = effective_vips(None, Some(&read), None, false, &|_| None).unwrap();
    (vips[0].preempt_delay, findings.into_iter().map(|finding| finding.message).collect())
}

#[test]
fn a_preempt_delay_is_taken_where_keepalived_takes_it() {
    let unused = "`preempt_delay` does not work with `state MASTER`: it is not used";
    let nothing =
        "`preempt_delay` means nothing with `nopreempt`, which leaves the address for good";
    let rows = [
        ("preempt_delay 300", 300_000, vec![]),
        ("preempt_delay 0.5", 500, vec![]),
        ("preempt_delay 1000", 1_000_000, vec![]),
        ("preempt_delay 0; nopreempt", 0, vec![]),
        ("preempt_delay 5; state MASTER", 0, vec![unused]),
        ("nopreempt; preempt_delay 5", 0, vec![nothing]),
        ("preempt_delay 1001", 0, vec!["expected seconds from 0 to 1000, found `1001`"]),
        ("preempt_delay -1", 0, vec!["expected seconds from 0 to 1000, found `-1`"]),
    ];
    for (lines, expected, messages) in rows {
        let messages = messages.into_iter().map(str::to_owned).collect();
        assert_eq!(delay(lines), (Duration::from_millis(expected), messages), "{lines}");
    }
}

#[test]
fn how_many_adverts_may_be_missing_is_said_for_all_or_for_one() {
    let rows = [
        ("", "", 3, 0),
        ("vrrp_down_timer_adverts 5", "", 5, 0),
        ("vrrp_down_timer_adverts 5", "down_timer_adverts 2", 2, 0),
        ("", "down_timer_adverts 100; dont_track_primary", 100, 0),
        ("", "down_timer_adverts 0", 3, 1),
        ("", "down_timer_adverts 101", 3, 1),
        (
            "vrrp_skip_check_adv_addr; vrrp_higher_prio_send_advert true",
            "lower_prio_no_advert",
            3,
            0,
        ),
    ];
    for (global, lines, expected, findings) in rows {
        let text = format!(
            "global_defs {{\n{}\n}}\nvrrp_instance a {{\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {{\n 10.0.0.9\n }}\n {}\n}}\n",
            global.replace(';', "\n"),
            lines.replace(';', "\n")
        );
        let source = Source { path: "keepalived.conf".to_owned(), text };
        let (read, found) = keepalived::parse(&source, 0);
        let vips = effective_vips(None, Some(&read), None, false, &|_| None).unwrap();
        assert_eq!((vips[0].down_timer_adverts, found.len()), (expected, findings), "{lines}");
        assert_eq!(vips[0].ignores_interface, lines.contains("dont_track"), "{lines}");
    }
}
