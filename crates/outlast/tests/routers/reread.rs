//! The file of a router is read again: another driver is in its namespace from then on, and nobody notices.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use base::Time;
use sys::arp::Socket;

use super::*;
use host::{Adverts, enter};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
/// Of host `b`.
const OWN: Ipv4Addr = Ipv4Addr::new(169, 254, 192, 2);
const EVERY: Duration = Duration::from_millis(2);
/// Without an answer, on a machine that does more than this.
const GAP: Duration = Duration::from_millis(300);
/// Others wait for more than three.
const ADVERTS: Duration = Duration::from_millis(2000);

/// Asks from host `b`'s end of a router's cable all the time who has its address.
struct Answers {
    ending: Arc<AtomicBool>,
    asking: JoinHandle<(Duration, BTreeSet<[u8; 6]>)>,
}

impl Answers {
    fn start(router: &str) -> Self {
        let netns = enter(&format!("b-{router}"));
        let ending = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ending);
        let asking = std::thread::spawn(move || {
            sys::netns::enter(netns.as_fd()).expect("a namespace");
            let socket = Socket::open_to_hear("ha-1").expect("a socket");
            ask(&socket, &is_over)
        });
        Self { ending, asking }
    }

    /// The longest time without an answer, and who answered.
    fn end(self) -> (Duration, usize) {
        self.ending.store(true, Ordering::Relaxed);
        let (longest, macs) = self.asking.join().expect("it does not panic");
        (longest, macs.len())
    }
}

fn ask(socket: &Socket, is_over: &AtomicBool) -> (Duration, BTreeSet<[u8; 6]>) {
    let (mut longest, mut macs) = (Duration::ZERO, BTreeSet::new());
    let mut last: Time = sys::clock::now();
    while !is_over.load(Ordering::Relaxed) {
        socket.probe(OWN, ADDRESS).expect("it can be asked");
        sleep(EVERY);
        while let Ok(heard) = socket.receive() {
            if heard.reply && heard.sender == ADDRESS && heard.target == OWN {
                let now = sys::clock::now();
                longest = longest.max(now.since(last));
                last = now;
                macs.insert(heard.sender_mac);
            }
        }
    }
    (longest.max(sys::clock::now().since(last)), macs)
}

/// What it writes of itself has this.
fn writes(host: &Host, router: &str, parts: &[&str]) {
    until("the other file is in force", || {
        kill(host.pid(router), "USR1");
        let text = fs::read_to_string(host.path(router, "keepalived.data")).unwrap_or_default();
        parts.iter().all(|part| text.contains(part))
    });
}

#[test]
fn a_router_whose_file_is_read_again_answers_and_speaks_on_and_its_backup_stays_one() {
    let test =
        "reread::a_router_whose_file_is_read_again_answers_and_speaks_on_and_its_backup_stays_one";
    contained(test, || {
        let (mut ours, mut theirs) = (Host::new("a"), Host::new("b"));
        let agent = Agent::start(&ours);
        ours.start_desk();
        theirs.start_desk();
        let both = ["r1", "r2"];
        for router in both {
            cable(router);
            ours.write(router, "10.1.0.1/24");
            ours.watch(router);
            ours.start(router);
        }
        until("this host has both", || both.iter().all(|router| ours.holds(router)));
        until("neutron knows it", || both.iter().all(|router| agent.last(router) == "primary"));
        for router in both {
            theirs.write(router, "10.1.0.1/24");
            theirs.start(router);
        }
        until("the other host serves both", || theirs.listed().len() == both.len());
        let watched = both.map(Watched::start);
        let answers = both.map(Answers::start);
        let adverts = both.map(|router| Adverts::at(&format!("b-{router}"), "ha-1"));

        for tenant in 2..5 {
            let address = |tenant| format!("10.1.0.{tenant}/24");
            ours.write("r1", &address(tenant));
            kill(ours.pid("r1"), "HUP");
            until("the new address is there, the one before is not", || {
                ours.has("r1", &address(tenant)) && !ours.has("r1", &address(tenant - 1))
            });
        }
        // Whatever becomes of the first signal, the newest file is in force.
        ours.write("r1", "10.1.0.5/24");
        kill(ours.pid("r1"), "HUP");
        ours.write("r1", "10.1.0.6/24");
        kill(ours.pid("r1"), "HUP");
        theirs.write("r1", "10.1.0.6/24");
        kill(theirs.pid("r1"), "HUP");
        writes(&ours, "r1", &["State = MASTER", "10.1.0.6/24"]);
        writes(&theirs, "r1", &["State = BACKUP", "10.1.0.6/24"]);
        until("only the newest is there", || {
            ours.has("r1", "10.1.0.6/24") && !ours.has("r1", "10.1.0.5/24")
        });

        watched.into_iter().for_each(Watched::end);
        for (router, (answers, adverts)) in both.iter().zip(answers.into_iter().zip(adverts)) {
            let ((silent, holders), unheard) = (answers.end(), adverts.end());
            eprintln!("{router}: no answer for {silent:?}, no advert for {unheard:?}");
            assert_eq!(holders, 1, "{router}: another one answered");
            assert!(silent < GAP && unheard < ADVERTS, "{router}");
            assert!(ours.holds(router) && !theirs.holds(router));
            assert_eq!(agent.all(router), ["backup", "primary"], "it was told nothing else");
        }
        assert!(ours.has("r2", "10.1.0.1/24"), "another router is as it was");
    });
}
