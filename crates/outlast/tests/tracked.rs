//! What is tracked with a weight, as `keepalived` weighs it and as we do.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use lonely::{Lonely, OUTLAST, alone, has_vip, until};
use sys::netlink::Netlink;

const FILE: &str = "global_defs {
    script_user root
}
vrrp_script good {
    script \"/bin/true\"
    interval 1
    weight 3 reverse
}
vrrp_script bad {
    script \"/bin/false\"
    interval 1
    weight 9
}
vrrp_instance internal {
    interface eth0
    virtual_router_id 121
    priority 100
    virtual_ipaddress {
        10.79.0.40 dev eth0
    }
    track_interface {
        one weight 20
        two weight -30
        three weight 5 reverse
    }
    track_script {
        good
        bad weight -4 reverse
    }
}
";

fn switch(device: &str, up: bool) {
    let netlink = Netlink::open().expect("a socket");
    let index = netlink.link(device).expect("an answer").expect("the device is there").index;
    netlink.set_up(index, up).expect("root may");
}

/// Its priority as it writes it down itself, all devices up, then one after the other down.
fn judge(node: &mut Lonely, program: &Path, name: &str) {
    let folder = node.path(name);
    fs::create_dir(&folder).expect("a folder of the test");
    for device in ["one", "two", "three"] {
        switch(device, true);
    }
    let mut command = Command::new(program);
    command.env("TMPDIR", &folder).args(["-nlD", "-f"]).arg(node.path("keepalived.conf"));
    command.arg("-p").arg(folder.join("pid")).arg("-r").arg(folder.join("vrrp"));
    node.start_with(command);
    until("it holds the address", has_vip);
    let priority = || {
        node.signal("36");
        let text = fs::read_to_string(folder.join("keepalived.json")).ok()?;
        let all: serde_json::Value = serde_json::from_str(&text).ok()?;
        all[0]["data"]["effective_priority"].as_u64()
    };
    let becomes = |expected: u64| {
        until(&format!("{name} has {expected}"), || priority() == Some(expected));
    };
    // 20 for the first interface, 5 less for the third; 3 less for the good script, 4 more for the bad one.
    becomes(116);
    switch("one", false);
    becomes(96);
    switch("two", false);
    becomes(66);
    switch("three", false);
    becomes(71);
    switch("two", true);
    becomes(101);
    assert!(has_vip(), "none of them takes the address: {}", node.log());
    node.signal("TERM");
    assert_eq!(node.ended().code(), Some(0), "{}", node.log());
}

#[test]
fn what_is_tracked_with_a_weight_weighs_as_in_keepalived_and_takes_the_address_from_nobody() {
    let test =
        "what_is_tracked_with_a_weight_weighs_as_in_keepalived_and_takes_the_address_from_nobody";
    alone(test, || {
        let netlink = Netlink::open().expect("a socket");
        for device in ["one", "two", "three"] {
            let far = format!("{device}-far");
            netlink.create_veth(device, &far, None).expect("a cable");
            switch(&far, true);
        }
        let mut node = Lonely::new();
        node.write("keepalived.conf", FILE);
        let program = node.path("keepalived");
        symlink(OUTLAST, &program).expect("a name");
        judge(&mut node, &program, "ours");
        let peer = Path::new("keepalived");
        if Command::new(peer).arg("--version").output().is_err() {
            let test = "outlast::what_is_tracked_with_a_weight_weighs_as_in_keepalived_and_takes_the_address_from_nobody";
            return lab::skip::note(test, "keepalived is not installed");
        }
        judge(&mut node, peer, "theirs");
    });
}
