//! One VRRP group on one switch: ours and Debian's keepalived, a client, a recording.

use std::ffi::OsStr;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use base::Time;
use sys::netlink::{AddressOptions, Netlink};
use sys::process::{Child, SIGTERM, SpawnOptions};

use crate::client::Client;
use crate::lonely::PATIENCE;
use crate::member::{DEVICE, Maker, Manner, Member};

pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 40);
pub(crate) const GROUP: u8 = 51;
const CLIENT: u8 = 100;

/// The address of IPv6 of who has `ip`.
pub(crate) const fn far(ip: Ipv4Addr) -> IpAddr {
    let [.., last] = ip.octets();
    IpAddr::V6(Ipv6Addr::new(0xfd79, 0, 0, 0, 0, 0, 0, last as u16))
}

const SWITCH: &str = "switch";
/// How often holders are looked for.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) members: Vec<Member>,
    pub(crate) client: Client,
    pub(crate) recording: PathBuf,
    recorder: Option<Child>,
    wires: Netlink,
    bridge: u32,
    /// The switch's ends of the members' cables.
    ports: Vec<u32>,
    switch: OwnedFd,
}

/// A namespace whose `eth0` is plugged into the switch; and the switch's port.
fn plug(switch: &OwnedFd, bridge: u32, port: &str, ip: Ipv4Addr) -> (OwnedFd, u32) {
    let netns = sys::netns::create().expect("a namespace");
    let index = sys::netns::within(switch.as_fd(), || {
        let netlink = Netlink::open()?;
        netlink.create_veth(port, DEVICE, Some(netns.as_fd()))?;
        let index = netlink.link(port)?.map_or(0, |link| link.index);
        netlink.set_master(index, Some(bridge))?;
        netlink.set_up(index, true).map(|()| index)
    });
    let index = index.expect("a namespace").expect("a cable can be made");
    let inside = sys::netns::within(netns.as_fd(), || {
        let netlink = Netlink::open()?;
        let device = netlink.link(DEVICE)?.map_or(0, |link| link.index);
        // No kernel asks for seconds whether its own address is free.
        fs::write(format!("/proc/sys/net/ipv6/conf/{DEVICE}/accept_dad"), "0")?;
        netlink.add_address(device, ip.into(), 24, AddressOptions::default())?;
        netlink.set_up(device, true)?;
        netlink.add_address(device, far(ip), 64, AddressOptions::default()).map(drop)
    });
    inside.expect("a namespace").expect("a device can be set up");
    (netns, index)
}

impl Group {
    /// Members as maker and priority; nothing runs but the client and the recording.
    pub(crate) fn new(folder: &Path, members: &[(Maker, u8)], manner: Manner) -> Self {
        let switch = sys::netns::create().expect("a namespace");
        let made = sys::netns::within(switch.as_fd(), || {
            let netlink = Netlink::open()?;
            netlink.create_bridge(SWITCH)?;
            let bridge = netlink.link(SWITCH)?.map_or(0, |link| link.index);
            netlink.set_up(bridge, true).map(|()| (netlink, bridge))
        });
        let (wires, bridge) = made.expect("a namespace").expect("a switch can be made");
        let all: Vec<(Maker, u8, Ipv4Addr)> = (41..)
            .zip(members)
            .map(|(last, (maker, priority))| (*maker, *priority, Ipv4Addr::new(10, 79, 0, last)))
            .collect();
        let (mut routers, mut ports) = (Vec::new(), Vec::new());
        for (maker, priority, ip) in &all {
            let name = format!("port{priority}");
            let (netns, port) = plug(&switch, bridge, &name, *ip);
            let mut member = Member::new(*maker, *priority, *ip, netns, folder.join(&name));
            member.configure(manner, &all);
            routers.push(member);
            ports.push(port);
        }
        let (netns, _) = plug(&switch, bridge, "client", Ipv4Addr::new(10, 79, 0, CLIENT));
        let client = Client::start(netns);
        let recording = folder.join("recording.pcap");
        let recorder = Some(record(&switch, &recording));
        let members = routers;
        Self { members, client, recording, recorder, wires, bridge, ports, switch }
    }

    /// The namespace of the switch and its ports.
    pub(crate) fn switch(&self) -> std::os::fd::BorrowedFd<'_> {
        self.switch.as_fd()
    }

    /// Who has the address, among those that the switch connects.
    pub(crate) fn holders(&self) -> Vec<usize> {
        let holds = |(_, member): &(usize, &Member)| member.connected && member.holds();
        self.members.iter().enumerate().filter(holds).map(|(at, _)| at).collect()
    }

    /// Looks until it is as wanted; the time it took since `from`, at most `within`.
    pub(crate) fn until(
        &mut self,
        from: Time,
        within: Duration,
        mut wanted: impl FnMut(&Self) -> bool,
    ) -> Result<Duration, Duration> {
        loop {
            self.client.listen();
            let took = sys::clock::now().since(from);
            if wanted(self) {
                return Ok(took);
            }
            if took > within {
                return Err(took);
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    pub(crate) fn set_carrier(&mut self, member: usize, up: bool) {
        self.members[member].connected = up;
        self.wires.set_up(self.ports[member], up).expect("a port of the switch");
    }

    /// The member notices nothing.
    pub(crate) fn set_cut(&mut self, member: usize, cut: bool) {
        self.members[member].connected = !cut;
        let master = (!cut).then_some(self.bridge);
        self.wires.set_master(self.ports[member], master).expect("a port of the switch");
    }

    /// The strongest of the others that run and are connected.
    pub(crate) fn strongest_but(&self, member: usize) -> usize {
        let others = self.members.iter().enumerate();
        others
            .filter(|(at, other)| *at != member && other.connected && other.runs())
            .max_by_key(|(_, other)| other.priority)
            .map_or(member, |(at, _)| at)
    }

    /// Bytes of the recording: each advert is written at once.
    pub(crate) fn recorded(&self) -> u64 {
        fs::metadata(&self.recording).map_or(0, |file| file.len())
    }

    /// Everything that was recorded is in the file after this.
    pub(crate) fn stop_recording(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            recorder.signal(SIGTERM).expect("a child that was not reaped");
            let _ended = recorder.wait().expect("a child that was not reaped");
        }
    }
}

/// Starts tcpdump on the switch and waits until it records.
fn record(switch: &OwnedFd, path: &Path) -> Child {
    let said = path.with_extension("log");
    let log = fs::File::create(&said).expect("a file of the test");
    let options = SpawnOptions {
        netns: Some(switch.as_fd()),
        stderr: Some(log.into()),
        new_session: true,
        ..SpawnOptions::default()
    };
    // Without the mode what came in the last second is lost with its end.
    let words = ["-Z", "root", "--immediate-mode", "-U", "-n", "-i", SWITCH, "-w"].map(OsStr::new);
    let words =
        [&words[..], &[path.as_os_str()], &["ip proto 112 or ip6 proto 112"].map(OsStr::new)]
            .concat();
    let program = Path::new("/usr/bin/tcpdump");
    let child = sys::process::spawn(program, None, &words, None, options).expect("tcpdump starts");
    let end = sys::clock::now() + PATIENCE;
    while !fs::read_to_string(&said).unwrap_or_default().contains("listening on") {
        assert!(sys::clock::now() < end, "tcpdump does not listen");
        thread::sleep(LOOK_EVERY);
    }
    child
}

impl Group {
    pub(crate) fn strongest_of_all(&self) -> usize {
        let all = self.members.iter().enumerate();
        all.max_by_key(|(_, member)| member.priority).map_or(0, |(at, _)| at)
    }

    pub(crate) fn weakest_of_all(&self) -> usize {
        let all = self.members.iter().enumerate();
        all.min_by_key(|(_, member)| member.priority).map_or(0, |(at, _)| at)
    }
}
