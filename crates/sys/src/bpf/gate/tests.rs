//! The programs' verdicts, frame by frame, and filters of devices that each test makes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::*;
use crate::netns;

const VIP: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 40);
const OTHER_VIP: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 50);
const HERE: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 41);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 42);
const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x40);
/// Apart from [`VIP6`] in one part of four each.
const NEAR: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0x2001, 0xdb9, 0, 0, 0, 0, 0, 0x40),
    Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x40),
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 1, 0, 0, 0x40),
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x41),
];
const IN: usize = 0;
const OUT: usize = 1;

/// Cell 0 is for [`VIP`] and [`VIP6`], cell 1 for [`OTHER_VIP`]; none where this process may not load programs, which
/// a test says.
fn gate(test: &str) -> Option<Gate> {
    let addresses: [&[IpAddr]; 2] = [&[VIP.into(), VIP6.into()], &[OTHER_VIP.into()]];
    match Gate::open(&addresses) {
        Ok(gate) => Some(gate),
        Err(refused @ (Refused::NotAllowed | Refused::Missing(_))) => {
            skip(test, &refused.to_string());
            None
        }
        Err(refused) => panic!("{refused:?}"),
    }
}

fn skip(test: &str, reason: &str) {
    let line = format!("SKIP sys::{test}: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("OUTLAST_SKIPS") {
        let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}

fn frame(protocol: u16, payload: &[&[u8]]) -> Vec<u8> {
    let ethernet = [[2; 6], [4; 6]].concat();
    [&ethernet, &protocol.to_be_bytes()[..], &payload.concat()].concat()
}

fn arp(operation: u8, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, operation];
    frame(0x0806, &[&head, &[4; 6], &sender.octets(), &[0; 6], &target.octets()])
}

fn v4(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let head = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0];
    frame(0x0800, &[&head, &from.octets(), &to.octets()])
}

/// The payload is `kind`, seven bytes, an address: as of neighbour discovery.
fn v6(from: Ipv6Addr, to: Ipv6Addr, next: u8, (kind, about): (u8, Ipv6Addr)) -> Vec<u8> {
    let head = [0x60, 0, 0, 0, 0, 24, next, 255];
    let payload = [&[kind, 0, 0, 0, 0, 0, 0, 0], &about.octets()[..]].concat();
    frame(0x86dd, &[&head, &from.octets(), &to.octets(), &payload])
}

/// Number of the cell that decides over a frame; none: it passes always.
type Case = (usize, Vec<u8>, Option<usize>);

fn cases() -> Vec<Case> {
    let nobody = Ipv4Addr::UNSPECIFIED;
    let mut cases = vec![
        // A question, also without a source, as to find out whether the address is in use.
        (IN, arp(1, HERE, VIP), Some(0)),
        (IN, arp(1, nobody, VIP), Some(0)),
        (IN, arp(1, HERE, OTHER_VIP), Some(1)),
        (IN, arp(1, HERE, THERE), None),
        // Others' announcements, their answers, and what the holder asks itself.
        (IN, arp(1, VIP, VIP), None),
        (IN, arp(2, VIP, VIP), None),
        (IN, arp(2, VIP, THERE), None),
        (IN, arp(2, HERE, VIP), None),
        (IN, arp(1, VIP, THERE), None),
        (OUT, arp(1, VIP, VIP), Some(0)),
        (OUT, arp(2, VIP, HERE), Some(0)),
        (OUT, arp(1, VIP, HERE), Some(0)),
        (OUT, arp(1, THERE, VIP), None),
        (OUT, arp(2, THERE, HERE), None),
        (IN, v4(HERE, VIP), Some(0)),
        (IN, v4(HERE, OTHER_VIP), Some(1)),
        (IN, v4(VIP, THERE), None),
        (IN, v4(HERE, THERE), None),
        (OUT, v4(VIP, HERE), Some(0)),
        (OUT, v4(OTHER_VIP, HERE), Some(1)),
        (OUT, v4(THERE, VIP), None),
        (OUT, v4(THERE, HERE), None),
        // Too short to tell, and of another protocol. (Half a header of IPv4 the kernel does not run it on.)
        (IN, arp(1, HERE, VIP)[..14 + 27].to_vec(), None),
        (IN, frame(0x88cc, &[&v4(HERE, VIP)[14..]]), None),
    ];
    let (here, group) = (NEAR[3], Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0x40));
    let (question, answer) = ((135, VIP6), (136, VIP6));
    cases.extend([
        (IN, v6(here, VIP6, 17, question), Some(0)),
        (IN, v6(VIP6, here, 17, question), None),
        (OUT, v6(VIP6, here, 17, question), Some(0)),
        (OUT, v6(here, VIP6, 17, answer), None),
        (IN, v6(here, group, 58, question), Some(0)),
        (IN, v6(Ipv6Addr::UNSPECIFIED, group, 58, question), Some(0)),
        (IN, v6(here, group, 58, answer), None),
        (OUT, v6(here, group, 58, answer), Some(0)),
        (OUT, v6(here, group, 58, question), None),
        // The same bytes in a datagram are none of these messages.
        (IN, v6(here, group, 17, question), None),
        (OUT, v6(here, group, 17, answer), None),
        (IN, v6(here, group, 58, question)[..14 + 63].to_vec(), None),
        (IN, v6(here, group, 58, question)[..14 + 40].to_vec(), None),
    ]);
    for near in NEAR {
        cases.extend([
            (IN, v6(here, near, 17, question), None),
            (IN, v6(here, group, 58, (135, near)), None),
            (OUT, v6(near, here, 17, answer), None),
            (OUT, v6(here, group, 58, (136, near)), None),
        ]);
    }
    cases
}

fn verdict(gate: &Gate, direction: usize, frame: &[u8]) -> i32 {
    kernel::run(gate.programs[direction].0.as_fd(), frame).unwrap()
}

#[test]
fn a_gate_program_judges_every_frame_by_the_moment_of_its_cell() {
    let Some(gate) = gate("a_gate_program_judges_every_frame_by_the_moment_of_its_cell") else {
        return;
    };
    let mut dropped = [0, 0];
    for (direction, frame, decides) in cases() {
        for open in [[false, false], [true, false], [false, true]] {
            for (cell, open) in open.into_iter().enumerate() {
                let passed = clock::now() - Duration::from_nanos(1);
                gate.set(cell, if open { Time::NEVER } else { passed });
            }
            let drops = decides.is_some_and(|cell| !open[cell]);
            let expected = if drops { assemble::DROP } else { assemble::PASS };
            let seen = verdict(&gate, direction, &frame);
            assert_eq!(seen, expected, "{direction} {open:?} {frame:02x?}");
            if let Some(cell) = decides.filter(|_| drops) {
                dropped[cell] += 1;
            }
        }
    }
    assert_eq!([gate.dropped(0), gate.dropped(1)], dropped);
    assert!(dropped.iter().all(|count| *count > 0));
}

/// Longer than a page: of such a frame the kernel keeps Ethernet's header in one piece and the rest in others.
const LONG: usize = 5000;

#[test]
fn a_gate_program_reads_packets_that_are_in_pieces() {
    const TEST: &str = "a_gate_program_reads_packets_that_are_in_pieces";
    let Some(mut gate) = gate(TEST) else { return };
    on_device(|netlink, near| {
        let far = netlink.link("eth1").unwrap().unwrap().index;
        for (name, device) in [("eth0", near), ("eth1", far)] {
            let words = ["link", "set", "dev", name, "mtu", "9000"];
            if !std::process::Command::new("ip").args(words).status().is_ok_and(|is| is.success()) {
                skip(TEST, "no `ip` here");
                return;
            }
            netlink.set_up(device, true).unwrap();
        }
        let is_running = |name| netlink.link(name).unwrap().unwrap().running;
        wait_until(|| is_running("eth0") && is_running("eth1"));
        gate.attach(netlink, far).unwrap();
        let [before, behind] = ["eth0", "eth1"].map(|on| crate::arp::Socket::open(on).unwrap());
        let mut expected = [0, 0];
        for (direction, mut frame, decides) in cases() {
            frame.resize(LONG, 0);
            let socket = if direction == IN { &before } else { &behind };
            let sent = rustix::net::send(socket, &frame, rustix::net::SendFlags::empty());
            let drops_at_once = direction == OUT && decides.is_some();
            assert_eq!(sent.is_err(), drops_at_once, "{direction} {sent:?} {:02x?}", &frame[..80]);
            if let Some(cell) = decides {
                expected[cell] += 1;
                wait_until(|| gate.dropped(cell) >= expected[cell]);
            }
            assert_eq!([gate.dropped(0), gate.dropped(1)], expected);
        }
    });
}

fn wait_until(is_so: impl Fn() -> bool) {
    let patience = clock::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(clock::now() < patience, "it did not come in time");
        std::thread::yield_now();
    }
}

#[test]
fn a_gate_tells_when_the_first_answer_left_after_it_was_opened() {
    let Some(gate) = gate("a_gate_tells_when_the_first_answer_left_after_it_was_opened") else {
        return;
    };
    let send = |frame: &[u8]| verdict(&gate, OUT, frame);
    assert_eq!(gate.first_answer(0), None, "what the clock was asked for is forgotten");
    send(&v4(VIP, HERE));
    gate.set(0, Time::NEVER);
    // Dropped before; an announcement; somebody else's.
    send(&arp(1, VIP, VIP));
    send(&v4(THERE, HERE));
    verdict(&gate, IN, &v4(HERE, VIP));
    assert_eq!(gate.first_answer(0), None);
    let before = clock::now();
    send(&v4(VIP, HERE));
    let first = gate.first_answer(0).unwrap();
    assert!((before..=clock::now()).contains(&first));
    gate.set(0, clock::now() + Duration::from_secs(3600));
    send(&v6(VIP6, NEAR[3], 17, (0, VIP6)));
    assert_eq!(gate.first_answer(0), Some(first), "it is renewed, not opened");
    gate.set(0, Time::ZERO);
    assert_eq!(gate.first_answer(0), Some(first), "until it is opened again");
    gate.set(0, Time::NEVER);
    assert_eq!((gate.first_answer(0), gate.first_answer(1)), (None, None));
}

#[test]
fn the_programs_of_a_gate_are_these_words() {
    let addresses: [&[IpAddr]; 2] = [&[VIP.into(), VIP6.into()], &[OTHER_VIP.into()]];
    let mut listing = String::new();
    for direction in DIRECTIONS {
        writeln!(listing, "{direction:?}: code, registers, jump or offset, number").unwrap();
        let words = assemble::gate(direction, &addresses, 0).unwrap();
        for (at, word) in words.iter().enumerate() {
            writeln!(listing, "{at:3} {word}").unwrap();
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/gate.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, &listing).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    // Constants of the wire stand as this machine reads them.
    if cfg!(target_endian = "little") {
        assert!(golden == listing, "other programs: run with UPDATE_EXPECT=1 and read the change");
    }
}

#[test]
fn a_gate_program_that_the_verifier_refuses_is_told_in_its_words() {
    let test = "a_gate_program_that_the_verifier_refuses_is_told_in_its_words";
    if gate(test).is_none() {
        return;
    }
    let mut program = super::super::program::Program::default();
    program.exit();
    let refused = kernel::load(&program.finish().unwrap()).unwrap_err();
    let Refused::Verifier { log, .. } = &refused else { panic!("{refused:?}") };
    assert!(log.contains("R0 !read_ok"), "{log}");
    assert!(refused.to_string().ends_with("R0 !read_ok"), "{refused}");
}

#[test]
fn a_gate_without_the_right_says_so() {
    let addresses = [[IpAddr::from(VIP)]];
    let without_rights = || {
        crate::rights::drop_capabilities().unwrap();
        Gate::open(&addresses).unwrap_err()
    };
    // Of the thread alone.
    let refused = std::thread::scope(|scope| scope.spawn(without_rights).join().unwrap());
    assert!(matches!(refused, Refused::NotAllowed), "{refused:?}");
    assert!(refused.to_string().contains("CAP_BPF"), "{refused}");
    let Some(mut gate) = gate("a_gate_without_the_right_says_so") else { return };
    on_device(|netlink, device| {
        crate::rights::drop_capabilities().unwrap();
        let refused = gate.attach(netlink, device).unwrap_err();
        assert!(matches!(refused, Refused::NotAllowed), "{refused:?}");
        assert!(!gate.is_attached(netlink, device).unwrap());
    });
}

#[test]
fn a_gate_is_not_opened_under_another_clock() {
    const TEST: &str = "a_gate_is_not_opened_under_another_clock";
    if gate(TEST).is_none() {
        return;
    }
    if std::env::var_os("OUTLAST_TEST_OTHER_CLOCK").is_some() {
        unreachable!("the gate was opened");
    }
    let unshare = |words: &[&std::ffi::OsStr]| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--time", "--boottime", "86400", "--fork"]).args(words);
        command.env("OUTLAST_TEST_OTHER_CLOCK", "1").output()
    };
    if !unshare(&["true".as_ref()]).is_ok_and(|output| output.status.success()) {
        skip(TEST, "this machine makes no time namespaces");
        return;
    }
    let program = std::env::current_exe().unwrap();
    let name = format!("bpf::gate::tests::{TEST}");
    let output =
        unshare(&[program.as_ref(), "--exact".as_ref(), name.as_ref(), "--nocapture".as_ref()]);
    let output = output.unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(String::from_utf8_lossy(&said).contains("OtherClock"), "{}", said.escape_ascii());
    assert!(!output.status.success());
}

/// Runs `work` in a namespace of its own, beside one end of a cable.
fn on_device(work: impl FnOnce(&Netlink, u32) + Send) {
    let netns = netns::create().unwrap();
    let work = || {
        let netlink = Netlink::open().unwrap();
        netlink.create_veth("eth0", "eth1", None).unwrap();
        work(&netlink, netlink.link("eth0").unwrap().unwrap().index);
    };
    netns::within(netns.as_fd(), work).unwrap();
}

/// A filter of somebody else, and its program: it lets everything through to the next.
fn foreign(gate: &Gate, direction: Direction) -> (Filter, OwnedFd) {
    let program = kernel::load(&assemble::clock(gate.map.as_raw_fd()).unwrap()).unwrap();
    let id = kernel::id(program.as_fd()).unwrap();
    let name = "somebody".to_owned();
    (Filter { direction, priority: 7, handle: 9, name, program: id }, program)
}

#[test]
fn a_gate_leaves_what_others_hung_into_the_same_queue() {
    let Some(mut gate) = gate("a_gate_leaves_what_others_hung_into_the_same_queue") else {
        return;
    };
    on_device(|netlink, device| {
        let list = |direction| netlink.filters(device, direction).unwrap();
        // Its own queue goes with it.
        gate.attach(netlink, device).unwrap();
        assert!(gate.is_attached(netlink, device).unwrap());
        gate.detach(netlink, device).unwrap();
        assert!(netlink.add_clsact(device).unwrap(), "there was none left");
        // Somebody else's stays, with and without a filter in it.
        gate.attach(netlink, device).unwrap();
        gate.detach(netlink, device).unwrap();
        assert!(!netlink.add_clsact(device).unwrap(), "it is still there");
        let theirs = DIRECTIONS.map(|direction| foreign(&gate, direction));
        for (filter, program) in &theirs {
            netlink.set_filter(device, filter, program.as_fd()).unwrap();
        }
        gate.attach(netlink, device).unwrap();
        assert_eq!(list(Direction::In).len(), 2);
        assert!(detach(netlink, device).unwrap());
        assert!(!detach(netlink, device).unwrap());
        for (filter, _program) in &theirs {
            assert_eq!(list(filter.direction), std::slice::from_ref(filter));
        }
        // Neither does its own queue go with a filter of somebody else in it.
        netlink.delete_clsact(device).unwrap();
        gate.attach(netlink, device).unwrap();
        let (filter, program) = &theirs[1];
        netlink.set_filter(device, filter, program.as_fd()).unwrap();
        gate.detach(netlink, device).unwrap();
        assert_eq!((list(Direction::In), list(Direction::Out)), (vec![], vec![filter.clone()]));
    });
}

#[test]
fn a_gate_says_where_somebody_else_has_its_place() {
    let Some(mut gate) = gate("a_gate_says_where_somebody_else_has_its_place") else { return };
    on_device(|netlink, device| {
        let tc = |words: &str| {
            let words = words.split_whitespace();
            let status = std::process::Command::new("tc").args(words).status();
            status.is_ok_and(|status| status.success())
        };
        if !tc("qdisc add dev eth0 ingress") {
            skip("a_gate_says_where_somebody_else_has_its_place", "no `tc` here");
            return;
        }
        // A queue of one direction would take the program of the other one there.
        let refused = gate.attach(netlink, device).unwrap_err();
        assert_eq!(refused.to_string(), "somebody else's ingress queue is in its place");
        assert!(tc("qdisc del dev eth0 ingress") && tc("qdisc add dev eth0 clsact"));
        let any = "egress prio 1 protocol all u32 match u32 0 0 flowid 1:1";
        assert!(tc(&format!("filter add dev eth0 {any}")));
        let refused = gate.attach(netlink, device).unwrap_err();
        let expected = "somebody else's filter of the first priority is in its place";
        assert_eq!(refused.to_string(), expected);
        // Of the side that was free nothing is left.
        assert_eq!(netlink.filters(device, Direction::In).unwrap(), []);
    });
}

#[test]
fn a_gate_is_gone_with_its_device_and_its_former_one_is_replaced() {
    let test = "a_gate_is_gone_with_its_device_and_its_former_one_is_replaced";
    let (Some(mut former), Some(mut gate)) = (gate(test), gate(test)) else { return };
    on_device(|netlink, device| {
        former.attach(netlink, device).unwrap();
        gate.attach(netlink, device).unwrap();
        assert!(!former.is_attached(netlink, device).unwrap());
        assert!(gate.is_attached(netlink, device).unwrap());
        assert_eq!(netlink.filters(device, Direction::In).unwrap().len(), 1);
        netlink.delete_link(device).unwrap();
        assert!(!gate.is_attached(netlink, device).unwrap(), "and it is no error");
        gate.detach(netlink, device).unwrap();
        netlink.create_veth("eth0", "eth1", None).unwrap();
        let again = netlink.link("eth0").unwrap().unwrap().index;
        assert!(!gate.is_attached(netlink, again).unwrap());
        assert!(matches!(gate.attach(netlink, 9999).unwrap_err(), Refused::Failed(_)));
        gate.attach(netlink, again).unwrap();
        assert!(gate.is_attached(netlink, again).unwrap());
    });
}

#[test]
fn a_gate_is_shut_by_whoever_has_its_descriptor() {
    let Some(gate) = gate("a_gate_is_shut_by_whoever_has_its_descriptor") else { return };
    let supervisor = Cells::of(gate.fd(), 2).unwrap();
    gate.set(1, Time::NEVER);
    assert_eq!((supervisor.until(0), supervisor.until(1)), (Time::ZERO, Time::NEVER));
    supervisor.set(1, Time::ZERO);
    assert_eq!(verdict(&gate, OUT, &v4(OTHER_VIP, HERE)), assemble::DROP);
    assert_eq!(supervisor.dropped(1), 1);
    // More than the map has: it is a page, and another program's memory begins behind it.
    assert!(Cells::of(gate.fd(), 1000).is_err());
}
