//! The file that neutron's L3 agent writes for a router, and mistakes in routes.

use expect_test::expect;
use outlast_config::{Source, load, render};

/// As `neutron/agent/linux/keepalived.py` builds it, with all that it can be told to write.
const FILE: &str = "global_defs {
    notification_email_from neutron@openstack.local
    router_id neutron
}

vrrp_script ha_health_check_1 {
    script \"/var/lib/neutron/ha_confs/router/ha_check_script_1.sh\"
    interval 30
    fall 2
    rise 2
}

vrrp_instance VR_1 {
    state BACKUP
    interface ha-1
    virtual_router_id 1
    priority 50
    garp_master_delay 60
    nopreempt
    advert_int 2
    authentication {
        auth_type PASS
        auth_pass secret
    }
    mcast_src_ip 169.254.192.5
    track_interface {
        ha-1
    }
    virtual_ipaddress {
        169.254.0.1/24 dev ha-1
    }
    virtual_ipaddress_excluded {
        10.1.0.1/24 dev qr-1 no_track
        172.24.4.77/32 dev qg-1 no_track
        fe80::f816:3eff:fe00:1/64 dev qg-1 scope link no_track
    }
    virtual_routes {
        0.0.0.0/0 via 172.24.4.1 dev qg-1 no_track protocol static
        ::/0 via fe80::1 dev qg-1 no_track protocol static
        10.9.0.0/16 via 10.1.0.9 no_track protocol static
        172.24.5.0/24 dev qg-1 scope link no_track protocol static
    }
    track_script {
        ha_health_check_1
    }
}";

fn source(text: &str) -> Source {
    Source { path: "keepalived.conf".to_owned(), text: text.to_owned() }
}

fn told(text: &str) -> String {
    let loaded = load(vec![source(text)]);
    render(&loaded.sources, &loaded.diagnostics)
}

fn with_routes(routes: &str) -> String {
    let (before, rest) = FILE.split_once("virtual_routes {\n").unwrap();
    let (_, after) = rest.split_once("    }\n").unwrap();
    format!("{before}virtual_routes {{\n{routes}\n    }}\n{after}")
}

fn routes(text: &str) -> Vec<String> {
    let loaded = load(vec![source(text)]);
    let instance = &loaded.keepalived.as_ref().unwrap().instances[0];
    instance.routes.iter().map(ToString::to_string).collect()
}

#[test]
fn a_router_of_neutron_is_read_without_a_finding() {
    assert_eq!(told(FILE), "");
    expect![[r#"
        0.0.0.0/0 via 172.24.4.1 dev qg-1 protocol 4
        ::/0 via fe80::1 dev qg-1 protocol 4
        10.9.0.0/16 via 10.1.0.9 protocol 4
        172.24.5.0/24 dev qg-1 scope 253 protocol 4"#]]
    .assert_eq(&routes(FILE).join("\n"));
}

#[test]
fn a_route_may_be_written_in_every_way_that_keepalived_knows() {
    let check = |written: &str, read: &str| {
        let text = with_routes(written);
        assert_eq!((told(&text).as_str(), routes(&text)), ("", vec![read.to_owned()]), "{written}");
    };
    check("default via 10.1.0.9", "0.0.0.0/0 via 10.1.0.9");
    check("default via fe80::1 dev qg-1", "::/0 via fe80::1 dev qg-1");
    check("inet6 any dev qg-1", "::/0 dev qg-1");
    check("all via inet 10.1.0.9 oif qg-1", "0.0.0.0/0 via 10.1.0.9 dev qg-1");
    check("to 10.9.0.1 gw 10.1.0.9 src 10.1.0.1", "10.9.0.1/32 via 10.1.0.9 src 10.1.0.1");
    check("10.9.0.0/16 dev a table 100 metric 7", "10.9.0.0/16 dev a table 100 metric 7");
    check("10.9.0.0/16 dev a table main scope global protocol keepalived", "10.9.0.0/16 dev a");
}

#[test]
fn a_mistake_in_a_route_is_told_with_its_place() {
    let text = with_routes(
        "        0.0.0.0/0 via 172.24.4.1 dev
        10.9.1.0/16 via 10.1.0.9
        10.9.0.0/33 via 10.1.0.9
        10.9.0.0/16 via 10.1.0.999
        10.9.0.0/16 via 2001:db8::1
        10.9.0.0/16 protocol static
        via 10.1.0.9
        10.9.0.0/16 vai 10.1.0.9
        10.9.0.0/16 via 10.1.0.9 scope everywhere
        10.9.0.0/16 via 10.1.0.9 table 4294967296
        10.9.0.0/16 via 10.1.0.9 mtu 1400
        blackhole 10.9.0.0/16",
    );
    assert_eq!(routes(&text), Vec::<String>::new());
    expect![[r#"
        error[missing-word]: expected a value behind `dev`
          --> keepalived.conf:38:34
           |
        38 |         0.0.0.0/0 via 172.24.4.1 dev
           |                                  ^^^

        error[bad-value]: `10.9.1.0/16` is no network, it is an address in one
          --> keepalived.conf:39:9
           |
        39 |         10.9.1.0/16 via 10.1.0.9
           |         ^^^^^^^^^^^
           = help: write 10.9.0.0/16, or 10.9.1.0/32

        error[bad-value]: expected a length up to /32, found `10.9.0.0/33`
          --> keepalived.conf:40:9
           |
        40 |         10.9.0.0/33 via 10.1.0.9
           |         ^^^^^^^^^^^

        error[bad-value]: expected the IP address of a gateway, found `10.1.0.999`
          --> keepalived.conf:41:25
           |
        41 |         10.9.0.0/16 via 10.1.0.999
           |                         ^^^^^^^^^^

        error[bad-value]: the network and the way to it are of different versions of IP
          --> keepalived.conf:42:9
           |
        42 |         10.9.0.0/16 via 2001:db8::1
           |         ^^^^^^^^^^^

        error[missing-word]: this route leads nowhere
          --> keepalived.conf:43:9
           |
        43 |         10.9.0.0/16 protocol static
           |         ^^^^^^^^^^^
           = help: write `via` and a gateway, `dev` and a device, or both

        error[missing-word]: expected a network like 10.0.0.0/24, or `default`
          --> keepalived.conf:44:9
           |
        44 |         via 10.1.0.9
           |         ^^^

        error[unknown-keyword]: `vai` is no option of a route
          --> keepalived.conf:45:21
           |
        45 |         10.9.0.0/16 vai 10.1.0.9
           |                     ^^^
           = help: did you mean `via`?

        error[bad-value]: expected global, site, link, host or a number, found `everywhere`
          --> keepalived.conf:46:40
           |
        46 |         10.9.0.0/16 via 10.1.0.9 scope everywhere
           |                                        ^^^^^^^^^^

        error[bad-value]: expected main, default, local or a number, found `4294967296`
          --> keepalived.conf:47:40
           |
        47 |         10.9.0.0/16 via 10.1.0.9 table 4294967296
           |                                        ^^^^^^^^^^

        note[not-run-yet]: `mtu` of a route is not run yet
          --> keepalived.conf:48:34
           |
        48 |         10.9.0.0/16 via 10.1.0.9 mtu 1400
           |                                  ^^^

        note[not-run-yet]: `blackhole` of a route is not run yet
          --> keepalived.conf:49:9
           |
        49 |         blackhole 10.9.0.0/16
           |         ^^^^^^^^^

        10 errors, 2 notes
    "#]]
    .assert_eq(&told(&text));
}
