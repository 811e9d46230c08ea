//! `accept`, `no_accept` and `strict_mode`.

use outlast_config::vip::Vip;
use outlast_config::{Source, effective_vips, keepalived, load};

fn read(global: &str, lines: &str) -> (Vip, Vec<String>) {
    let text = format!(
        "global_defs {{\n{global}\n}}\nvrrp_instance a {{\n interface eth0\n virtual_router_id 7\n{}\n}}\n",
        lines.replace(';', "\n")
    );
    let source = Source { path: "keepalived.conf".to_owned(), text };
    let (read, findings) = keepalived::parse(&source, 0);
    let told = findings.into_iter().map(|finding| finding.message).collect();
    let mut vips = effective_vips(None, Some(&read), None, false, &|_| None).unwrap();
    (vips.remove(0), told)
}

const V4: &str = "virtual_ipaddress {; 10.0.0.9; }";

/// What `keepalived -t` of 2.2.7 says of the same lines: it takes, resets or refuses the same.
#[test]
fn strict_mode_makes_of_an_instance_what_keepalived_makes_of_it() {
    let v6 = "virtual_ipaddress {; 2001:db8::9; }";
    let rows = [
        ("version 3", V4, vec![]),
        ("version 3; accept", V4, vec![]),
        ("version 2; no_accept", V4, vec![]),
        ("version 3; state MASTER; priority 255", V4, vec![]),
        ("version 3; use_vmac", V4, vec![]),
        (
            "version 2; accept",
            V4,
            vec!["`accept` in VRRP version 2 is against RFC 3768: it is not used"],
        ),
        (
            "version 3; state MASTER",
            V4,
            vec!["in strict mode `state MASTER` is of the owner of the address (priority 255)"],
        ),
        (
            "version 3; priority 255",
            V4,
            vec!["in strict mode `state MASTER` is of the owner of the address (priority 255)"],
        ),
        (
            "version 2; authentication {; auth_type PASS; auth_pass abc; }",
            V4,
            vec!["in strict mode there is no password: this one is not used"],
        ),
        (
            "version 3; preempt_delay 5",
            V4,
            vec!["`preempt_delay` does not go with strict mode: it is not used"],
        ),
        (
            "version 3; use_vmac; vmac_xmit_base",
            V4,
            vec!["`vmac_xmit_base` does not go with strict mode: it is not used"],
        ),
        (
            "version 3",
            v6,
            vec![
                "in strict mode the first address of IPv6 has to be for the link",
                "the first address of a group over IPv6 should be for its link",
            ],
        ),
    ];
    for (lines, addresses, expected) in rows {
        let (vip, told) = read("", &format!("strict_mode; {lines}; {addresses}"));
        assert_eq!(told, expected, "{lines}");
        assert_eq!(vip.starts_as_master, vip.priority == 255, "{lines}");
        assert!(vip.password.is_none() && vip.preempt_delay.is_zero(), "{lines}");
        assert_eq!(vip.advert_mac.is_some(), lines.contains("use_vmac"), "{lines}");
    }
}

#[test]
fn who_accepts_is_said_by_the_instance_by_strict_mode_or_by_nobody() {
    let rows = [
        ("", "", true),
        ("", "no_accept", false),
        ("", "no_accept; accept", true),
        ("", "strict_mode", false),
        ("", "strict_mode; accept; version 3", true),
        ("", "strict_mode; priority 255; state MASTER", true),
        ("vrrp_strict", "", false),
        ("vrrp_strict", "strict_mode off", true),
    ];
    for (global, lines, accepts) in rows {
        let (vip, told) = read(global, &format!("{lines}; {V4}"));
        assert_eq!((vip.accepts, told), (accepts, vec![]), "{global} {lines}");
    }
    let text = "[cluster]\nname = \"c\"\n[node.one]\nnetworks = { lan = \"10.0.0.1\" }\n[vip.v]\naddress = \"10.0.0.9\"\nrouter_id = 7\naccept = false\n";
    let loaded = load(vec![Source { path: "outlast.toml".to_owned(), text: text.to_owned() }]);
    let vips = effective_vips(loaded.cluster.as_ref(), None, Some(0), false, &|_| None);
    assert!(!vips.unwrap()[0].accepts);
}
