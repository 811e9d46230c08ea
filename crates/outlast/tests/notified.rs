//! Who is told how a virtual IP stands, as `keepalived` tells it and as we do.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use lonely::{Lonely, OUTLAST, VIP, alone, has_vip, until};
use sys::netlink::Netlink;

const FILE: &str = "global_defs {
    script_user root
    vrrp_version 3
    notify_fifo FOLDER/NAME.all
    notify_fifo_script \"FOLDER/reader first\"
    vrrp_notify_fifo FOLDER/NAME.vrrp nobody nogroup
    vrrp_notify_fifo_script \"FOLDER/reader second\"
}
vrrp_instance internal {
    interface eth0
    virtual_router_id 121
    priority 100
    advert_int 0.1
    virtual_ipaddress {
        10.79.0.40 dev eth0
    }
    track_interface {
        one
        two weight -30
    }
    notify_priority_changes
    notify_master \"FOLDER/teller master 'of one'\"
    notify_backup \"FOLDER/teller backup\" nobody nogroup
    notify_fault \"FOLDER/teller fault\" nobody
    notify_stop FOLDER/teller
    notify_master_rx_lower_pri \"FOLDER/teller rival\"
    notify \"FOLDER/teller every\"
}
vrrp_instance quiet {
    interface eth0
    virtual_router_id 122
    priority 90
    advert_int 0.1
    virtual_ipaddress {
        10.79.0.44 dev eth0
    }
}
";

/// Says with which words and as whom it was called.
const TELLER: &str = "#!/bin/sh
echo \"$(id -u) $(id -G): $*\" >> FOLDER/said
";

/// Reads the pipe that it is given to its end, into a file of its own.
const READER: &str = "#!/bin/sh
trap '' TERM
echo \"$# $1 ${2##*.}\" >> FOLDER/read.$1
exec cat \"$2\" >> FOLDER/read.$1
";

fn switch(device: &str, up: bool) {
    let netlink = Netlink::open().expect("a socket");
    let index = netlink.link(device).expect("an answer").expect("the device is there").index;
    netlink.set_up(index, up).expect("root may");
}

/// A weaker router at the other end of the cable says once that it holds the address.
fn rival_speaks() {
    let (source, group) = (Ipv4Addr::new(10, 79, 0, 99), Ipv4Addr::new(224, 0, 0, 18));
    let mut advert = [&[0x31, 121, 50, 1, 0, 10, 0, 0], VIP.octets().as_slice()].concat();
    // Over a pseudo header, too, as keepalived wants it (RFC 1071).
    let pseudo = [source.octets(), group.octets(), [0, 112, 0, 12]].concat();
    let all = [pseudo, advert.clone()].concat();
    let words = all.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).expect("few words");
    advert[6..8].copy_from_slice(&(!folded).to_be_bytes());
    let socket = sys::vrrp::Socket::open("wire", true).expect("a socket");
    socket.send(source.into(), group.into(), &advert).expect("it leaves");
}

fn program(node: &Lonely, name: &str, text: &str) {
    node.write(name, text);
    fs::set_permissions(node.path(name), fs::Permissions::from_mode(0o755)).expect("a mode");
}

/// What was said since the last time, when so many lines were: programs of one change run at once with keepalived.
fn said(node: &Lonely, of: &str, lines: usize) -> Vec<String> {
    let path = node.path("said");
    let read = || fs::read_to_string(&path).unwrap_or_default();
    until(&format!("programs were told of {of}"), || read().lines().count() >= lines);
    let mut all: Vec<String> = read().lines().map(str::to_owned).collect();
    fs::write(&path, "").expect("a file of the test");
    all.sort();
    all
}

/// All that programs and pipes were told while this program ran.
fn told_by(node: &mut Lonely, program: &Path, name: &str) -> Vec<String> {
    let mut told = Vec::new();
    for device in ["one", "two"] {
        switch(device, true);
    }
    fs::write(node.path("said"), "").expect("a file of the test");
    fs::set_permissions(node.path("said"), fs::Permissions::from_mode(0o666)).expect("a mode");
    node.write("keepalived.conf", &FILE.replace("NAME", name));
    let mut command = Command::new(program);
    command.args(["-nlD", "-f"]).arg(node.path("keepalived.conf"));
    command.arg("-p").arg(node.path("pid")).arg("-r").arg(node.path("vrrp"));
    node.start_with(command);
    until("it holds the address", has_vip);
    told.extend(said(node, "BACKUP and MASTER", 4));
    for pipe in ["all", "vrrp"] {
        let pipe = fs::metadata(node.path(&format!("{name}.{pipe}"))).expect("it is there");
        told.push(format!("{:o} {} {}", pipe.mode(), pipe.uid(), pipe.gid()));
    }
    switch("two", false);
    let folder = node.folder.clone();
    let read = |number: &str| fs::read_to_string(folder.join(format!("read.{number}")));
    let has = |words: &str| read("first").is_ok_and(|text| text.contains(words));
    until("the priority is told", || has("internal\" MASTER_PRIORITY 70"));
    rival_speaks();
    told.extend(said(node, "a weaker router", 1));
    until("pipes are told of it, too", || has("internal\" MASTER_RX_LOWER_PRI 70"));
    switch("one", false);
    told.extend(said(node, "FAULT", 2));
    switch("one", true);
    told.extend(said(node, "BACKUP and MASTER again", 4));
    until("the other one holds its address", || has("\"quiet\" MASTER 90"));
    node.signal("TERM");
    assert_eq!(node.ended().code(), Some(0), "{}", node.log());
    told.extend(said(node, "STOP", 2));
    for number in ["first", "second"] {
        until("its last line is read", || {
            read(number).is_ok_and(|text| text.contains("\"quiet\" STOP"))
        });
        let text = read(number).expect("its reader wrote it");
        fs::remove_file(node.path(&format!("read.{number}"))).expect("it is there");
        // Instances do not wait for each other.
        let (quiet, internal): (Vec<_>, Vec<_>) =
            text.lines().partition(|line| line.contains("quiet"));
        told.extend(internal.iter().chain(&quiet).map(|line| format!("{number}: {line}")));
    }
    for pipe in ["all", "vrrp"] {
        assert!(!node.path(&format!("{name}.{pipe}")).exists(), "{name} leaves its pipe");
    }
    told
}

#[test]
fn programs_and_pipes_are_told_what_keepalived_tells_them() {
    let test = "programs_and_pipes_are_told_what_keepalived_tells_them";
    alone(test, || {
        let netlink = Netlink::open().expect("a socket");
        for device in ["one", "two"] {
            let far = format!("{device}-far");
            netlink.create_veth(device, &far, None).expect("a cable");
            switch(&far, true);
        }
        let mut node = Lonely::new();
        program(&node, "teller", TELLER);
        program(&node, "reader", READER);
        let ours = node.path("keepalived");
        symlink(OUTLAST, &ours).expect("a name");
        let ours = told_by(&mut node, &ours, "ours");
        let peer = Path::new("keepalived");
        if Command::new(peer).arg("--version").output().is_err() {
            let test = "outlast::programs_and_pipes_are_told_what_keepalived_tells_them";
            return lab::skip::note(test, "keepalived is not installed");
        }
        let theirs = told_by(&mut node, peer, "theirs");
        assert_eq!(ours, theirs);
    });
}
