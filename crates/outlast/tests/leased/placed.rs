//! Several addresses over three nodes: spread, moved by an operator, and one that follows the coordinator.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::Time;
use sys::netlink::AddressOptions;

use super::*;

const ADDRESSES: [Ipv4Addr; 3] = [VIP, Ipv4Addr::new(10, 79, 0, 50), Ipv4Addr::new(10, 79, 0, 51)];
/// Where clients are, on the switch.
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 20);
const SERVER: u16 = 9000;
const BALANCER: u16 = 8080;
/// A request that has no answer then has failed.
const LOST: Duration = Duration::from_secs(3);
/// Five seconds of calm, and twice as long again for a machine that stands still in them.
const EVEN_WITHIN: Duration = Duration::from_secs(60);

const MORE: &str = "spread = \"web\"\n\
    [vip.second]\naddress = \"10.79.0.50\"\nnetwork = \"mgmt\"\nrouter_id = 122\nlease = true\nspread = \"web\"\n\
    [vip.third]\naddress = \"10.79.0.51\"\nnetwork = \"mgmt\"\nrouter_id = 123\nlease = true\nspread = \"web\"\n";

/// Answers every request, and counts them by the balancer that they came from.
fn serve(stage: &Stage) -> Arc<[AtomicUsize; NODES]> {
    let counts = Arc::<[AtomicUsize; NODES]>::default();
    let listens = || TcpListener::bind((OWN, SERVER)).expect("it is its address");
    let listener = stage.cluster.within(0, listens).expect("it is on");
    let theirs = Arc::clone(&counts);
    std::thread::spawn(move || {
        for mut guest in listener.incoming().flatten() {
            let from = guest.peer_addr().map(|at| at.ip());
            let node = (0..NODES).find(|node| from.as_ref().is_ok_and(|ip| *ip == balancer(*node)));
            if let Some(count) = node.and_then(|node| theirs.get(node)) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            std::thread::spawn(move || {
                let mut bytes = [0; 1024];
                let _ = guest.read(&mut bytes);
                let _ = guest.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
                );
            });
        }
    });
    counts
}

fn balancer(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 79, 0, 41 + u8::try_from(node).expect("three"))
}

/// One request on a connection of its own.
fn ask(address: Ipv4Addr) -> Result<(), String> {
    let asked = || -> std::io::Result<String> {
        let mut client = TcpStream::connect_timeout(&SocketAddr::from((address, BALANCER)), LOST)?;
        client.set_read_timeout(Some(LOST))?;
        client.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")?;
        let mut said = String::new();
        client.read_to_string(&mut said)?;
        Ok(said)
    };
    let said = asked().map_err(|error| error.to_string())?;
    if said.ends_with("ok") { Ok(()) } else { Err(format!("answered {said:?}")) }
}

/// When, which address, and what came of it.
type Asked = (Time, Ipv4Addr, Result<(), String>);

/// A client that asks one address after the other, again and again, until it is told to end.
fn client() -> (Arc<AtomicBool>, Arc<Mutex<Vec<Asked>>>, std::thread::JoinHandle<()>) {
    let (ends, asked) = <(Arc<AtomicBool>, Arc<Mutex<Vec<Asked>>>)>::default();
    let (stop, told) = (Arc::clone(&ends), Arc::clone(&asked));
    let thread = std::thread::spawn(move || {
        for address in ADDRESSES.into_iter().cycle() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let (at, came) = (sys::clock::now(), ask(address));
            told.lock().expect("nobody panics with it").push((at, address, came));
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    (ends, asked, thread)
}

impl Stage {
    /// Who holds each address, as they say themselves.
    fn places(&self) -> Vec<Option<usize>> {
        let held = |node: usize| -> Vec<bool> {
            let vips = self.cluster.status(node).map(|status| status.vips).unwrap_or_default();
            vips.iter().map(|vip| vip.state.holding).collect()
        };
        let all: Vec<_> = (0..NODES).map(held).collect();
        let holder = |vip: usize| (0..NODES).find(|node| all[*node].get(vip) == Some(&true));
        (0..ADDRESSES.len()).map(holder).collect()
    }

    fn counts(&self) -> [usize; NODES] {
        let places = self.places();
        std::array::from_fn(|node| places.iter().filter(|place| **place == Some(node)).count())
    }

    fn comes_to(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let end = sys::clock::now() + EVEN_WITHIN;
        while !is_so(self) {
            assert!(sys::clock::now() < end, "{what}: {:?}", self.places());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn three_balancers_share_three_addresses_and_share_them_again_when_one_is_back() {
    let name =
        "placed::three_balancers_share_three_addresses_and_share_them_again_when_one_is_back";
    contained(name, || {
        std::fs::create_dir_all(FOLDER).expect("a folder of the test");
        let file = Path::new(FOLDER).join("haproxy.cfg");
        let lines = format!(
            "defaults\n mode http\n timeout connect 2s\n timeout client 5s\n timeout server 5s\n\
             listen web\n bind 0.0.0.0:{BALANCER}\n server only {OWN}:{SERVER}\n"
        );
        std::fs::write(&file, lines).expect("it can be written");
        let head = format!("haproxy = \"{}\"\n", file.display());
        let Some(mut stage) = Stage::laid_out(name, &format!("{head}{LINES}{MORE}")) else {
            return;
        };
        let counts = serve(&stage);
        on_device("sw1", |netlink, index| {
            netlink.add_address(index, CLIENT.into(), 24, AddressOptions::default()).map(drop)
        });
        stage.comes_to("each node holds one", |stage| stage.counts() == [1, 1, 1]);
        shares(&counts);
        an_operator_moves_one(&stage);

        let (ends, asked, thread) = client();
        let first = stage.holds();
        let since = sys::clock::now();
        stage.cluster.kill_all(first).expect("its processes can be killed");
        let (_, took) = stage.followed(first, since);
        says("the holder of one of three killed", took);
        stage.comes_to("two nodes hold three", |stage| {
            let counts = stage.counts();
            counts[first] == 0 && counts.iter().sum::<usize>() == 3
        });
        let moved = sys::clock::now();
        stage.cluster.start(first).expect("it can be started");
        until("it grants what others ask for", || stage.votes(first));
        let back = sys::clock::now();
        stage.comes_to("each node holds one again", |stage| stage.counts() == [1, 1, 1]);
        eprintln!("even again {:?} after the node was back", sys::clock::now().since(back));
        ends.store(true, Ordering::Relaxed);
        thread.join().expect("it does not panic");
        let disturbed = stage.was_lost(moved);
        let asked = asked.lock().expect("nobody panics with it");
        let failed = |from: Time| {
            let later = asked.iter().filter(move |(at, _, _)| *at >= from);
            later.filter(|(_, _, came)| came.is_err()).collect::<Vec<_>>()
        };
        eprintln!("{} requests; failed: {:?}", asked.len(), failed(since));
        // Of a move a request that is under way may fail, and those to the dead node's address until that is followed.
        assert!(failed(moved).len() <= 1 || disturbed, "{:?}", failed(moved));
        shares(&counts);
        stage.never_two();
    });
}

/// Clients that know all three addresses give each balancer a third of their requests.
fn shares(counts: &[AtomicUsize; NODES]) {
    const EACH: usize = 40;
    let before = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    for address in ADDRESSES.into_iter().cycle().take(EACH * ADDRESSES.len()) {
        ask(address).expect("an answer");
    }
    let shares: [usize; NODES] =
        std::array::from_fn(|node| counts[node].load(Ordering::Relaxed) - before[node]);
    eprintln!("requests by balancer: {shares:?}");
    assert!(shares.iter().all(|share| share.abs_diff(EACH) <= EACH / 10), "{shares:?}");
}

/// It stays where it was moved until he says otherwise.
fn an_operator_moves_one(stage: &Stage) {
    let places = stage.places();
    let (from, to) = (places[1].expect("it is held"), places[2].expect("it is held"));
    let name = stage.cluster.name(to);
    let mut said = stage.types(from, &["move", "vip/second", name]);
    until("it is moved", || {
        if stage.places()[1] != Some(to) {
            said = stage.types(from, &["move", "vip/second", name]);
        }
        stage.places()[1] == Some(to)
    });
    until(&format!("that is told; {said}"), || {
        let why = stage.types(from, &["why", "vip/second"]);
        stage.types(from, &["status"]).contains("moved by an operator, and stays")
            && why.contains("outlast move vip/second --anywhere")
            && why.contains("it is spread with internal, third")
    });
    // What may be moved goes: the third one of that node.
    stage.comes_to("another one makes it even", |stage| stage.counts() == [1, 1, 1]);
    assert_eq!(stage.places()[1], Some(to), "it was moved by an operator");
    let said = stage.types(from, &["move", "vip/second", "--anywhere"]);
    assert!(said.contains("goes by its rules again"), "{said}");
    let again = stage.types(from, &["move", "vip/second", "--anywhere"]);
    assert!(again.contains("no operator moved it"), "{again}");
}

#[test]
fn the_address_of_the_coordinator_goes_where_that_goes_and_is_never_at_two() {
    let name = "placed::the_address_of_the_coordinator_goes_where_that_goes_and_is_never_at_two";
    contained(name, || {
        let lines = format!("{LINES}follows = \"coordinator\"\n[store]\n");
        let Some(mut stage) = Stage::laid_out(name, &lines) else { return };
        let coordinator = |stage: &Stage, by: usize| {
            let found = stage.cluster.status(by)?.coordinator?.node;
            (0..NODES).find(|node| stage.cluster.name(*node) == found)
        };
        let is_there = |stage: &Stage| {
            let all: Vec<_> = (0..NODES).filter_map(|node| coordinator(stage, node)).collect();
            all.len() > 1
                && all.iter().all(|node| *node == all[0])
                && stage.holder() == Some(all[0])
        };
        stage.comes_to("it is on the node that coordinates", is_there);

        let first = stage.holds();
        let to = (first + 1) % NODES;
        let since = sys::clock::now();
        let said = stage.types(first, &["move", "coordinator", stage.cluster.name(to)]);
        let (next, took) = stage.followed(first, since);
        eprintln!("{said}the coordinator moved: the address follows {took:?} after it was typed");
        assert!(next == to || stage.was_lost(since), "{next} answers, not {to}: {said}");
        stage.comes_to("it is on the next one", is_there);

        let second = stage.holds();
        stage.cluster.kill_all(second).expect("its processes can be killed");
        let since = sys::clock::now();
        let (_, took) = stage.followed(second, since);
        says("the coordinator killed", took);
        stage.comes_to("it is on the one after that", |stage| {
            stage.holder().is_some_and(|holder| holder != second) && {
                let by = stage.holder().expect("it was seen");
                coordinator(stage, by) == Some(by)
            }
        });
        stage.never_two();
    });
}
