//! What clients notice: what the vip processes know of a node that is gone, the balancers know at once; and how long an address was away.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use api::ServerState;
use base::Time;

use super::lonely::{VIP, contained, until};
use super::{FOLDER, NODES, Stage};

const SERVER: u16 = 9000;
const BALANCER: u16 = 8080;
/// A request that has no answer then has failed.
const LOST: Duration = Duration::from_secs(5);
/// The agents take four times as long (`detect` is 2 s), and a connect to a machine that is gone a fifth of this.
const SOON: Duration = Duration::from_millis(500);

fn balancer() -> String {
    let server = |node| format!(" server s{node} {}:{SERVER}\n", address(node));
    let servers: String = (0..NODES).map(server).collect();
    format!(
        "defaults\n mode http\n timeout connect 4s\n timeout client 30s\n timeout server 30s\n\
         listen web\n bind 127.0.0.1:{BALANCER}\n{servers}"
    )
}

fn address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 79, 0, 41 + u8::try_from(node).expect("three"))
}

/// Answers each request with the number of the node, for as long as the machine is there.
fn serve(stage: &Stage, node: usize) {
    let listens = || TcpListener::bind((address(node), SERVER)).expect("it is its address");
    let listener = stage.cluster.within(node, listens).expect("it is on");
    std::thread::spawn(move || {
        for guest in listener.incoming().flatten() {
            std::thread::spawn(move || answer(&guest, node));
        }
    });
}

fn answer(mut guest: &TcpStream, node: usize) {
    let lines = BufReader::new(guest).lines().map_while(Result::ok);
    for line in lines {
        if line.is_empty() {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
            if guest.write_all(format!("{head}{node}").as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// One request on a connection of its own: who answered, and how long that took.
fn ask() -> Result<(usize, Duration), String> {
    let begin = sys::clock::now();
    let asked = || -> std::io::Result<String> {
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, BALANCER))?;
        client.set_read_timeout(Some(LOST))?;
        client.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")?;
        let mut said = String::new();
        client.read_to_string(&mut said)?;
        Ok(said)
    };
    let said = asked().map_err(|error| error.to_string())?;
    let node = said.chars().next_back().and_then(|last| last.to_digit(10));
    let is_answer = said.starts_with("HTTP/1.1 200 ");
    let node = node.filter(|_| is_answer).ok_or_else(|| format!("no answer: {said:?}"))?;
    Ok((node as usize, sys::clock::now().since(begin)))
}

/// What this node's balancer thinks of the server on another one.
fn server(stage: &Stage, at: usize, of: usize) -> Option<ServerState> {
    let name = format!("s{of}");
    stage.cluster.status(at)?.servers.into_iter().find(|server| server.server == name)
}

/// Waits until the balancer of a node thinks that of the server of another one; says when it was so.
fn is_suspect(stage: &Stage, at: usize, of: usize, suspect: bool) -> Time {
    until("the balancer knows", || {
        server(stage, at, of).is_some_and(|server| server.suspect == suspect)
    });
    sys::clock::now()
}

/// Clients of one node that ask its balancer, each again and again.
struct Clients {
    asked: Arc<Mutex<Vec<Asked>>>,
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// When, and what came of it.
type Asked = (Time, Result<(usize, Duration), String>);

impl Clients {
    const MANY: usize = 3;

    /// In the network of the caller.
    fn start() -> Self {
        let (asked, ends) = <(Arc<Mutex<Vec<Asked>>>, Arc<AtomicBool>)>::default();
        let threads = (0..Self::MANY).map(|_| {
            let (asked, ends) = (Arc::clone(&asked), Arc::clone(&ends));
            std::thread::spawn(move || {
                while !ends.load(Ordering::Relaxed) {
                    let (at, came) = (sys::clock::now(), ask());
                    asked.lock().expect("nobody panics with it").push((at, came));
                }
            })
        });
        let threads = threads.collect();
        Self { asked, ends, threads }
    }

    /// All that was asked, once nobody asks any more.
    fn end(self) -> Vec<Asked> {
        self.ends.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        std::mem::take(&mut *self.asked.lock().expect("nobody panics with it"))
    }
}

impl Stage {
    /// Whom a client asks says how long each stage of the move took: together not less than nobody answered.
    pub(super) fn tells_stages(&self, from: usize, to: usize, since: Time) -> Result<(), String> {
        let client = NODES - from - to;
        let asks = || {
            let closed = (VIP, 9).into();
            drop(TcpStream::connect_timeout(&closed, Duration::from_millis(100)));
        };
        let mut told = None;
        until("what the move took is told", || {
            self.cluster.within(client, asks);
            told = self.events(to, "vip-answers", since).pop();
            told.is_some() || self.was_lost(since)
        });
        let Some(event) = told else { return Err("the next holder lost it".to_owned()) };
        let moved = event.moved.expect("it moved");
        assert_eq!(moved.from.as_deref(), Some(self.cluster.name(from)), "{moved:?}");
        assert_eq!(
            (moved.to.as_str(), event.took_us),
            (self.cluster.name(to), moved.took.total_us())
        );
        let mut stages = moved.took.stages().into_iter();
        assert!(stages.all(|(_, micros)| micros.is_some()), "{moved:?}");
        // What was promised to the holder had to end: longer than it may hold.
        assert!(moved.took.detect_us >= Some(35_000), "{moved:?}");
        eprintln!("{}", event.action);
        until("`why` tells it", || {
            let why = self.types(to, &["why", "vip/internal"]);
            why.contains(&event.action) || self.was_lost(since)
        });
        Ok(())
    }
}

#[test]
fn a_balancer_avoids_a_node_as_soon_as_its_vip_beats_are_missed_and_until_the_next() {
    let name =
        "balanced::a_balancer_avoids_a_node_as_soon_as_its_vip_beats_are_missed_and_until_the_next";
    contained(name, || {
        std::fs::create_dir_all(FOLDER).expect("a folder of the test");
        let file = Path::new(FOLDER).join("haproxy.cfg");
        std::fs::write(&file, balancer()).expect("it can be written");
        let line = format!("haproxy = \"{}\"\n", file.display());
        let Some(mut stage) = Stage::with(name, &line) else { return };
        (0..NODES).for_each(|node| serve(&stage, node));
        let (at, gone) = (0, 2);
        until("every server is asked", || {
            let asked: Vec<_> = (0..NODES)
                .filter_map(|_| stage.cluster.within(at, ask)?.ok().map(|(node, _)| node))
                .collect();
            (0..NODES).all(|node| asked.contains(&node))
        });

        // What the machine itself notices is of no help: it stands still, and its cables are there.
        let since = sys::clock::now();
        stage.cluster.pause(gone).expect("it can be stopped");
        let known = is_suspect(&stage, at, gone, true);
        let why = server(&stage, at, gone).expect("it is known").why;
        eprintln!("known after {:?}: {why}", known.since(since));
        assert!(why.contains("silent in vip beats"), "{why}");
        assert!(known.since(since) < SOON, "{:?}", known.since(since));
        stage.cluster.resume(gone).expect("it can go on");
        is_suspect(&stage, at, gone, false);

        let clients = stage.cluster.within(at, Clients::start).expect("it is on");
        until("clients are served by all", || {
            let asked = clients.asked.lock().expect("nobody panics with it");
            let by =
                |node| asked.iter().any(|(_, came)| came.as_ref().is_ok_and(|it| it.0 == node));
            (0..NODES).all(by)
        });
        let since = sys::clock::now();
        stage.cluster.power_off(gone).expect("it can be switched off");
        let known = is_suspect(&stage, at, gone, true);
        let asked = clients.end();
        let after = asked.iter().filter(|(at, _)| *at >= since);
        let took: Vec<Duration> =
            after.map(|(_, came)| came.as_ref().expect("an answer").1).collect();
        let slowest = took.iter().max().expect("somebody asked meanwhile");
        eprintln!(
            "off: known after {:?}; of {} requests the slowest took {slowest:?}",
            known.since(since),
            took.len()
        );
        assert!(*slowest < SOON, "{slowest:?}");
        let late = asked.iter().filter(|(at, _)| *at > known);
        assert!(late.into_iter().all(|(_, came)| came.as_ref().is_ok_and(|it| it.0 != gone)));
        stage.never_two();
    });
}
