//! What a file may say so that the process of all routers runs it.

use api::Mode;

use super::*;

const INSTANCE: &str = "vrrp_instance VR_1 {
    state BACKUP
    interface lo
    virtual_router_id 1
    priority 50
    garp_master_delay 60
    nopreempt
    advert_int 2
    virtual_ipaddress {
        169.254.0.1/24 dev lo
    }
    LINE
}
";

/// Whether a router with this line, and these lines of the file beside it, has more than a router.
fn has_more(line: &str, beside: &str, namespace: Option<&str>) -> bool {
    let name = format!("outlast-router-{}.conf", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, INSTANCE.replace("LINE", line) + beside).unwrap();
    let launch = Launch {
        mode: Mode::Rfc,
        haproxy: vec![],
        more_lines: String::new(),
        keepalived: Some(path.clone()),
        config_id: None,
        needs_all_included: false,
        network_namespace: namespace.map(str::to_owned),
        cluster: None,
        node: None,
        run_dir: None,
        state_dir: None,
        pid_file: None,
        vrrp_pid_file: None,
        daemon: false,
        replaces: vec![],
        breaks: vec![],
    };
    let plan = launch.plan().unwrap_or_else(|error| panic!("{line} {beside}: {error}"));
    std::fs::remove_file(&path).unwrap();
    has_more_than_a_router(&launch, &plan)
}

#[test]
fn a_file_that_says_what_no_process_of_all_routers_does_is_run_by_itself() {
    let global = |line: &str| format!("global_defs {{\n script_user root\n {line}\n}}\n");
    let rows = [
        ("", String::new(), false),
        ("virtual_routes {\n 10.9.9.0/24 dev lo\n }", String::new(), false),
        ("track_interface {\n lo\n }", global("vrrp_version 2"), false),
        ("notify_master /bin/true", String::new(), true),
        ("notify_master_rx_lower_pri /bin/true", String::new(), true),
        ("notify_priority_changes true", String::new(), true),
        ("", global("notify_fifo /run/outlast-no-such-pipe"), true),
        ("", global("startup_script /bin/true"), true),
        ("", global("shutdown_script /bin/true"), true),
        ("", "static_ipaddress {\n 10.9.9.9/32 dev lo\n}\n".to_owned(), true),
        ("", "static_routes {\n 10.9.9.0/24 dev lo\n}\n".to_owned(), true),
        ("", "net_namespace blue\n".to_owned(), true),
        ("", "vrrp_sync_group all {\n group {\n VR_1\n }\n notify /bin/true\n}\n".to_owned(), true),
        ("", "track_file f {\n file /run/f\n init_file 1\n}\n".to_owned(), true),
        ("", "track_file f {\n file /run/f\n}\n".to_owned(), false),
    ];
    for (line, beside, expected) in rows {
        assert_eq!(has_more(line, &beside, None), expected, "{line} {beside}");
    }
    assert!(has_more("", "", Some("blue")), "the namespace of its arguments");
}
