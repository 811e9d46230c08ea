//! Every kind of group, every holder, every order of faults; all rows at once, each on a switch of
//! its own.

use std::path::Path;
use std::thread;

use crate::have;
use crate::lonely::alone;
use crate::member::Maker::{Ours, Theirs};
use crate::member::{Maker, Transport, Version};
use crate::row::Fault::{Carrier, Kill, KillWorker, Silence, Stop};
use crate::row::{Fault, Order, Outcome, Row};

/// Who is in a group, and who is how strong: each member is the holder of a row.
const GROUPS: [[(Maker, u8); 3]; 6] = [
    [(Ours, 200), (Theirs, 150), (Theirs, 100)],
    [(Ours, 150), (Theirs, 200), (Theirs, 100)],
    [(Ours, 100), (Theirs, 200), (Theirs, 150)],
    [(Ours, 200), (Ours, 150), (Theirs, 100)],
    [(Ours, 200), (Ours, 100), (Theirs, 150)],
    [(Ours, 150), (Ours, 100), (Theirs, 200)],
];

#[test]
fn every_fault_of_every_holder_in_every_order_ends_with_one_holder() {
    let name = "matrix::every_fault_of_every_holder_in_every_order_ends_with_one_holder";
    let test = name.trim_start_matches("matrix::");
    if have(test, &["keepalived", "tcpdump", "tshark"]) {
        let _alone = lab::trial::alone();
        alone(name, || run_all(&rows(Version::Two)));
    }
}

#[test]
fn in_version_3_every_fault_of_every_holder_ends_with_one_holder() {
    let name = "matrix::in_version_3_every_fault_of_every_holder_ends_with_one_holder";
    let test = name.trim_start_matches("matrix::");
    if have(test, &["keepalived", "tcpdump", "tshark"]) {
        let _alone = lab::trial::alone();
        alone(name, || run_all(&rows(Version::Three(100))));
    }
}

/// The same over IPv6, with an address of IPv4 that is held beside those of the adverts.
#[test]
fn over_ipv6_every_fault_of_every_holder_ends_with_one_holder() {
    let name = "matrix::over_ipv6_every_fault_of_every_holder_ends_with_one_holder";
    let test = name.trim_start_matches("matrix::");
    if have(test, &["keepalived", "tcpdump", "tshark"]) {
        let _alone = lab::trial::alone();
        alone(name, || run_all(&rows(Version::Six(100))));
    }
}

fn run_all(rows: &[Row]) {
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let run = |(number, row): (usize, &Row)| {
            let (row, folder) = (row.clone(), format!("/run/matrix/{number}"));
            scope.spawn(move || row.run(Path::new(&folder)))
        };
        let running: Vec<_> = rows.iter().enumerate().map(run).collect();
        running.into_iter().map(|row| row.join().expect("a row does not panic")).collect()
    });
    let mut misses = Vec::new();
    for (row, outcome) in rows.iter().zip(&outcomes) {
        let [ours, theirs] = outcome.adverts;
        eprintln!("== {row}: {ours} adverts of ours, {theirs} of theirs");
        outcome.steps.iter().for_each(|step| eprintln!("   {step}"));
        misses.extend(outcome.misses.iter().map(|miss| format!("{row}: {miss}")));
        if ours == 0 || theirs == 0 {
            misses.push(format!("{row}: somebody never spoke"));
        }
    }
    // What went wrong comes last: of long output a reader may have the end only.
    assert!(misses.is_empty(), "{}", misses.join("\n"));
}

/// Twelve. Of groups that speak more often than once a second the waits of two differ by less than a loaded machine delays one.
fn rows(version: Version) -> Vec<Row> {
    let transports = [Transport::Multicast, Transport::Unicast];
    let each = GROUPS.iter().flat_map(|members| transports.map(|transport| (*members, transport)));
    let mut orders = orders().into_iter();
    let rows: Vec<Row> = each
        .map(|(members, transport)| {
            let first = orders.next().expect("two orders for each row");
            // Of the two ways to be killed each row has both.
            let second = orders.next().expect("two orders for each row").map(|fault| match fault {
                Kill => KillWorker,
                Stop | KillWorker | Carrier | Silence => fault,
            });
            Row { members, transport, version, orders: [first, second] }
        })
        .collect();
    assert_eq!(orders.next(), None, "every order is in a row");
    rows
}

/// All orders of the four faults; neighbours differ much, so that a row has two unlike ones.
fn orders() -> Vec<Order> {
    let faults = [Stop, Kill, Carrier, Silence];
    let mut orders = Vec::new();
    for a in faults {
        for b in faults.into_iter().filter(|b| *b != a) {
            for c in faults.into_iter().filter(|c| ![a, b].contains(c)) {
                let rest: Vec<Fault> =
                    faults.into_iter().filter(|d| ![a, b, c].contains(d)).collect();
                orders.push([a, b, c, rest[0]]);
            }
        }
    }
    let (front, back) = orders.split_at(orders.len() / 2);
    front.iter().zip(back).flat_map(|(front, back)| [*front, *back]).collect()
}
