//! `outlast move OBJECT NODE` for every role, by real processes: the database in use, the coordinator, the
//! store's leader.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/trio.rs"]
mod trio;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use api::{IntentState, Role};
use lonely::{alone, kill, until};
use trio::{NODES, Trio};

const DATABASE: &str = "listen db
  bind ADDRESS:3306
  server one 127.0.0.2:9306 check inter 200ms
  server two 127.0.0.3:9306 check inter 200ms backup
  server three 127.0.0.4:9306 check inter 200ms backup
";

/// A database that says its name to everybody and then listens, until it is told to end.
fn database(host: u8, name: &'static str) -> Arc<AtomicBool> {
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, host), 9306)).expect("a port");
    let ends = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&ends);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if told.load(Ordering::SeqCst) {
                return;
            }
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                // A check does not listen.
                let _ = writeln!(stream, "{name}");
                let _ = stream.read(&mut [0; 64]);
            });
        }
    });
    ends
}

/// A session through the balancer of a node, and the name of the database that answered.
fn session(node: &str) -> Option<(TcpStream, String)> {
    let at = NODES.iter().position(|name| *name == node).expect("one of three");
    let host = u8::try_from(at + 2).expect("a small number");
    let stream = TcpStream::connect((Ipv4Addr::new(127, 0, 0, host), 3306)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket takes it");
    let mut name = String::new();
    BufReader::new(stream.try_clone().expect("a descriptor")).read_line(&mut name).ok()?;
    Some((stream, name.trim().to_owned()))
}

fn answers(node: &str, name: &str) -> bool {
    session(node).is_some_and(|(_, answered)| answered == name)
}

/// What every balancer says that it uses.
fn all_use(trio: &Trio, server: &str) -> bool {
    NODES.iter().all(|node| {
        let choices = trio.status(node).map(|status| status.choices).unwrap_or_default();
        choices.iter().any(|choice| choice.proxy == "db" && choice.server == server)
    })
}

fn is_up(trio: &Trio, node: &str, server: &str, up: bool) -> bool {
    let servers = trio.status(node).map(|status| status.servers).unwrap_or_default();
    let found = servers.iter().find(|state| state.proxy == "db" && state.server == server);
    // A server of a node that rested is doubted until its return is known.
    let is_in_doubt = |state: &api::ServerState| state.suspect || state.resting;
    found.is_some_and(|state| {
        (state.check == api::ServerCheck::Up) == up && !(up && is_in_doubt(state))
    })
}

fn says(trio: &Trio, on: &str, words: &[&str], expected: (i32, &str)) {
    let (code, said) = trio.types(on, words);
    assert_eq!(code, Some(expected.0), "{words:?} on {on}: {said}");
    assert!(said.contains(expected.1), "{words:?} on {on}: {said}");
}

/// What speaks against moving the database, which is on node02, is told by name.
fn refuses(trio: &Trio) {
    let at_rest = "node01 is on standby: `outlast node resume node01` makes it hold again";
    for (on, to, expected) in [
        ("node01", "node02", (1, "pool/db uses two already")),
        ("node02", "node03", (1, "three of pool/db is down, suspect or out of service")),
        ("node02", "node9", (2, "there is no node9 here")),
    ] {
        says(trio, on, &["move", "pool/db", to], expected);
    }
    says(trio, "node01", &["move", "pool/api", "node03"], (1, "uses all of its servers at once"));
    says(trio, "node01", &["node", "standby", "node01"], (0, "on standby"));
    until("all know that it rests", || {
        NODES.iter().all(|node| {
            let nodes = trio.status(node).map(|status| status.nodes).unwrap_or_default();
            nodes.iter().any(|line| line.state.node == "node01" && !line.state.duty.is_on())
        })
    });
    says(trio, "node03", &["move", "pool/db", "node01"], (1, at_rest));
    says(trio, "node01", &["node", "resume", "node01"], (0, "on duty"));
}

#[test]
fn the_database_in_use_moves_on_every_balancer_and_stays_over_reload_and_restart() {
    alone("the_database_in_use_moves_on_every_balancer_and_stays_over_reload_and_restart", || {
        let _one = database(2, "one");
        let _two = database(3, "two");
        let mut trio = Trio::of(Some(""), "", DATABASE);
        trio.leads();
        until("all use the first", || NODES.iter().all(|node| answers(node, "one")));
        until("the third is down", || NODES.iter().all(|node| is_up(&trio, node, "three", false)));
        until("the second is up", || NODES.iter().all(|node| is_up(&trio, node, "two", true)));
        let former: Vec<_> = NODES.iter().map(|node| session(node).expect("it answers")).collect();

        says(&trio, "node03", &["move", "pool/db", "node02"], (0, "pool/db uses two"));
        until("all use the second", || all_use(&trio, "two"));
        for (mut stream, name) in former {
            assert_eq!(name, "one");
            let ended = match stream.read(&mut [0; 8]) {
                Ok(count) => count == 0,
                Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
            };
            assert!(ended, "sessions with the former are closed");
        }
        assert!(NODES.iter().all(|node| answers(node, "two")));
        let intent = trio.intent("node01", 1).expect("it was decided");
        assert_eq!((intent.what.as_str(), intent.object.as_str()), ("move", "pool/db"));
        assert_eq!(intent.state, IntentState::Done);
        let wanted = "one was in use; an operator wants two";
        let chosen = NODES.iter().flat_map(|node| trio.events(node, "writer-chosen"));
        let evidence: Vec<_> = chosen.map(|event| event.evidence).collect();
        assert!(evidence.iter().any(|text| text == wanted), "{evidence:?}");

        refuses(&trio);

        // The first one of the file is up all the time, and nothing goes back to it.
        let proxy = trio.pid("node02", Role::Proxy);
        kill(trio.supervisor("node02"), "HUP");
        until("another proxy serves", || {
            let now = trio.pid("node02", Role::Proxy);
            now.is_some() && now != proxy
        });
        until("it uses the second", || answers("node02", "two"));
        // Its own node's end would be evidence against the server.
        let place = trio.nodes.iter().position(|(name, _)| *name == "node03").expect("it runs");
        let (_, mut child) = trio.nodes.remove(place);
        kill(i32::try_from(child.id()).expect("a pid"), "TERM");
        child.wait().expect("a child can be waited for");
        trio.start("node03");
        until("it is told", || all_use(&trio, "two"));
        until("it uses it", || NODES.iter().all(|node| answers(node, "two")));
        // And it moves back by the same command.
        until("the first is up", || NODES.iter().all(|node| is_up(&trio, node, "one", true)));
        says(&trio, "node02", &["move", "proxy/db", "node01"], (0, "pool/db uses one"));
        until("all use the first again", || NODES.iter().all(|node| answers(node, "one")));
        let logs: String = NODES.iter().map(|node| trio.types(node, &["audit"]).1).collect();
        assert!(logs.contains("  move db to node01: done"), "{logs}");
    });
}

#[test]
fn without_a_store_the_database_moves_by_a_direct_command_and_other_roles_are_refused() {
    alone(
        "without_a_store_the_database_moves_by_a_direct_command_and_other_roles_are_refused",
        || {
            let _one = database(2, "one");
            let ends = database(4, "three");
            let trio = Trio::of(None, "", DATABASE);
            until("all use the first", || NODES.iter().all(|node| answers(node, "one")));
            until("the third is up", || is_up(&trio, "node02", "three", true));
            says(&trio, "node02", &["move", "pool/db", "node03"], (0, "pool/db uses three"));
            until("all use it", || NODES.iter().all(|node| answers(node, "three")));
            let none = "there is no [store] in this node's outlast.toml, so no";
            says(&trio, "node01", &["move", "coordinator", "node02"], (1, none));
            says(&trio, "node01", &["move", "store", "node02"], (1, none));
            // It stays until it fails, as any choice does.
            ends.store(true, Ordering::SeqCst);
            drop(TcpStream::connect((Ipv4Addr::new(127, 0, 0, 4), 9306)));
            until("all use the first again", || NODES.iter().all(|node| answers(node, "one")));
        },
    );
}

#[test]
fn the_coordinator_moves_to_the_node_that_is_named_and_goes_on_with_what_is_open() {
    alone("the_coordinator_moves_to_the_node_that_is_named_and_goes_on_with_what_is_open", || {
        let trio = Trio::new("");
        // A drain waits for a session with a server on node03.
        let server = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 4), 9000)).expect("a port");
        let client = TcpStream::connect((Ipv4Addr::new(127, 0, 0, 2), 8080)).expect("it listens");
        let session = server.accept().expect("the balancer connects");
        let mut drain = trio.typed("node01", &["node", "drain", "node03", "--limit", "500"]);
        let mut drain = drain.stdout(Stdio::null()).spawn().expect("the tool runs");
        let mut number = None;
        until("the drain waits", || {
            let intents = trio.intents("node01");
            let waits = |intent: &&api::Intent| intent.what == "drain" && intent.next == Some(1);
            number = intents.iter().find(waits).map(|intent| intent.number);
            number.is_some()
        });
        let number = number.expect("it was waited for");

        // A coordinator at rest gives the name away.
        until("who coordinates is on duty", || trio.leads().1 != "node03");
        let (before, first) = trio.leads();
        let other = |node: &&str| *node != first && *node != "node03";
        let heir = NODES.into_iter().find(other).expect("one of three");
        says(&trio, heir, &["move", "coordinator", first], (1, "coordinates already"));
        says(&trio, first, &["move", "coordinator", "node9"], (2, "there is no node9 here"));
        let rests = "node03 is on standby";
        says(&trio, "node01", &["move", "coordinator", "node03"], (1, rests));
        let begun = sys::clock::now();
        let said = format!("{heir} coordinates");
        says(&trio, "node03", &["move", "coordinator", heir], (0, &said));
        let took = sys::clock::now().since(begun);
        assert!(took < Duration::from_secs(6), "no time of a holder had to pass: {took:?}");
        assert_eq!(trio.coordinator(), Some(heir));
        let (token, _) = trio.newest(&[heir]).expect("it began");
        assert!(token > before, "{token} after {before}");
        until("the former one knows", || {
            let ended = trio.events(first, "coordinator-ended");
            ended.iter().any(|event| event.evidence.starts_with(&format!("token {before}: ")))
        });
        let moved = trio.intents("node01").into_iter().rfind(|intent| intent.what == "move");
        let moved = moved.expect("it was decided");
        assert_eq!((moved.object.as_str(), moved.state), ("coordinator", IntentState::Done));

        let kept = trio.intent("node01", number).expect("it is kept");
        assert_eq!(kept.state, IntentState::Committed, "nobody closed the session: {kept:?}");
        drop((session, client));
        until("the new one ends it", || {
            let intent = trio.intent("node01", number);
            intent.is_some_and(|intent| intent.state == IntentState::Done)
        });
        assert_eq!(drain.wait().expect("it ends").code(), Some(0));
    });
}

#[test]
fn the_lead_of_the_store_moves_under_writes_and_none_is_lost_or_refused() {
    alone("the_lead_of_the_store_moves_under_writes_and_none_is_lost_or_refused", || {
        let trio = Trio::new("");
        let leader = || {
            let status = trio.status("node01")?;
            status.store?.leader.and_then(|name| NODES.into_iter().find(|node| *node == name))
        };
        until("all know who leads", || {
            NODES.iter().all(|node| {
                let store = trio.status(node).and_then(|status| status.store);
                store.is_some_and(|store| store.leader.is_some())
            })
        });
        let first = leader().expect("it was waited for");
        let already = format!("{first} leads the store already");
        says(&trio, "node02", &["move", "store", first], (1, &already));
        let others: Vec<_> = NODES.into_iter().filter(|node| *node != first).collect();
        let ends = AtomicBool::new(false);
        let written = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut written = 0;
                while !ends.load(Ordering::SeqCst) {
                    let (key, value) = (format!("k{written}"), written.to_string());
                    let (code, said) = trio.types("node01", &["store", "put", &key, &value]);
                    assert_eq!(code, Some(0), "{said}");
                    written += 1;
                }
                written
            });
            for to in [others[0], others[1], first] {
                let said = format!("{to} leads the store");
                says(&trio, others[0], &["move", "store", to], (0, &said));
                until("all follow it", || {
                    NODES.iter().all(|node| {
                        let store = trio.status(node).and_then(|status| status.store);
                        store.is_some_and(|store| store.leader.as_deref() == Some(to))
                    })
                });
            }
            ends.store(true, Ordering::SeqCst);
            writer.join().expect("every write was done")
        });
        assert!(written > 3, "{written}");
        for number in 0..written {
            let (_, said) = trio.types("node02", &["store", "get", &format!("k{number}")]);
            assert_eq!(said.trim(), number.to_string(), "an acknowledged write");
        }
        // One that does not run does not catch up: the leader leads on, and takes writes again.
        let leads = trio.leads().1;
        let idle = *others.iter().find(|node| **node != leads).expect("two others");
        let stopped = trio.pid(idle, Role::Store).expect("it runs");
        // With its supervisor, which would replace it.
        let supervisor = trio.supervisor(idle);
        kill(supervisor, "STOP");
        kill(stopped, "STOP");
        let on = first;
        let (code, said) = trio.types(on, &["move", "store", idle]);
        kill(stopped, "CONT");
        kill(supervisor, "CONT");
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("the lead of the store is not given away"), "{said}");
        let (code, said) = trio.types(on, &["store", "put", "after", "1"]);
        assert_eq!(code, Some(0), "{said}");
    });
}

/// Whom all follow as the store's leader.
fn led(trio: &Trio) -> Option<&'static str> {
    let leader = |node: &&str| trio.status(node)?.store?.leader;
    let leaders: Option<Vec<String>> = NODES.iter().map(leader).collect();
    let leaders = leaders?;
    let first = NODES.into_iter().find(|node| *node == leaders[0])?;
    leaders.iter().all(|leader| leader == first).then_some(first)
}

#[test]
fn a_node_at_rest_gives_the_lead_of_the_store_away_and_on_duty_again_it_takes_nothing_back() {
    alone(
        "a_node_at_rest_gives_the_lead_of_the_store_away_and_on_duty_again_it_takes_nothing_back",
        || {
            let trio = Trio::new("");
            let follows = |what: &str, is: &dyn Fn(&str) -> bool| {
                let mut found = None;
                until(what, || {
                    found = led(&trio);
                    found.is_some_and(is)
                });
                found.expect("it was waited for")
            };
            let term =
                || trio.status("node01").and_then(|status| status.store).map(|store| store.term);
            // What the node says itself at the moment at which the command has returned.
            let leads_no_more = |node: &str| {
                let store = trio.status(node).and_then(|status| status.store);
                let leader = store.expect("it has a store").leader;
                assert_ne!(leader.as_deref(), Some(node), "it still leads when the command ends");
            };
            let leaderless = || NODES.map(|node| trio.events(node, "store-leaderless").len());
            let before = leaderless();
            // More than once: a lead that goes by itself a moment later is often gone by then.
            for _ in 0..4 {
                let leads = follows("all follow one", &|_| true);
                says(&trio, leads, &["node", "standby", leads], (0, "is on standby"));
                leads_no_more(leads);
                follows("another one leads", &|leader| leader != leads);
                says(&trio, leads, &["node", "resume", leads], (0, "on duty again"));
            }
            let first = follows("all follow one", &|_| true);
            says(&trio, first, &["node", "standby", first], (0, "is on standby"));
            leads_no_more(first);
            let second = follows("another one leads", &|leader| leader != first);
            // Not by an election after a silence.
            let (code, said) = trio.types(first, &["store", "put", "k", "1"]);
            assert_eq!(code, Some(0), "{said}");
            assert_eq!(leaderless(), before, "nobody was without a leader");
            let kept = term();
            says(&trio, second, &["node", "resume", first], (0, "on duty again"));

            // A drain as well, typed elsewhere; who has ended its rest may have it.
            let other =
                NODES.into_iter().find(|node| *node != first && *node != second).expect("three");
            assert_eq!((led(&trio), term()), (Some(second), kept), "nothing is taken back");
            says(&trio, other, &["node", "drain", second], (0, "is drained"));
            leads_no_more(second);
            let third = follows("another one leads", &|leader| leader != second);
            // Whoever has it now: where all others rest, too, it stays.
            let last =
                NODES.into_iter().find(|node| *node != second && *node != third).expect("three");
            says(&trio, third, &["node", "standby", last], (0, "is on standby"));
            let kept = term();
            says(&trio, second, &["node", "standby", third], (0, "is on standby"));
            assert_eq!((led(&trio), term()), (Some(third), kept), "nobody else is on duty");
            assert_eq!(leaderless(), before, "nobody was without a leader");
        },
    );
}

/// A server that holds every request until its letter, the first byte, is called.
struct Patient(Arc<(Mutex<Vec<u8>>, Condvar)>);

impl Patient {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 4), 9000)).expect("a port");
        let called = Arc::new((Mutex::default(), Condvar::new()));
        let patient = Self(Arc::clone(&called));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let called = Arc::clone(&called);
                std::thread::spawn(move || {
                    let mut letter = [0];
                    if stream.read_exact(&mut letter).is_ok() {
                        let (called, more) = &*called;
                        let called = called.lock().expect("nobody panics with it");
                        let held = |called: &mut Vec<u8>| !called.contains(&letter[0]);
                        let limit = Duration::from_secs(120);
                        drop(more.wait_timeout_while(called, limit, held).expect("nor here"));
                        // A client that has gone is counted by its test.
                        let _ = stream.write_all(b"done");
                    }
                });
            }
        });
        patient
    }

    /// Its request is answered, and nothing of it is lost on the way.
    fn answers(&self, (letter, mut client): (u8, TcpStream)) {
        let (called, more) = &*self.0;
        called.lock().expect("nobody panics with it").push(letter);
        more.notify_all();
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("the connection ends in order");
        assert_eq!(answer, "done", "no request is lost");
    }
}

/// Reads what the drain says until its last lines are that these balancers have something under way.
fn shows(drain: &mut impl Iterator<Item = String>, balancers: &[&str]) {
    let wanted: Vec<_> =
        balancers.iter().map(|node| format!("  {node} has 1 under way with api/three")).collect();
    let mut said = vec![];
    while !said.ends_with(&wanted) {
        let line = drain.next();
        said.push(line.unwrap_or_else(|| panic!("it ended without {wanted:?}: {said:?}")));
    }
}

fn drains(trio: &Trio, server: &Patient) {
    let clients = [(b'a', 2), (b'b', 3), (b'c', 4)].map(|(letter, host)| {
        let address = (Ipv4Addr::new(127, 0, 0, host), 8080);
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(&[letter]).expect("it is taken");
        (letter, stream)
    });
    let mut drain = trio.typed("node01", &["node", "drain", "node03", "--limit", "60"]);
    let mut drain = drain.stdout(Stdio::piped()).spawn().expect("the tool runs");
    let out = BufReader::new(drain.stdout.take().expect("it was asked for"));
    let mut said = out.lines().map_while(Result::ok);
    // It waits for the last one, whatever else has ended.
    for (at, client) in clients.into_iter().enumerate() {
        shows(&mut said, &NODES[at..]);
        server.answers(client);
    }
    let last = said.last();
    assert_eq!(last.as_deref(), Some("node03 is drained: nothing is under way with its servers"));
    assert!(drain.wait().expect("it ends").success());
}

#[test]
fn a_node_at_rest_loses_the_database_and_a_drained_one_no_request_under_way() {
    alone("a_node_at_rest_loses_the_database_and_a_drained_one_no_request_under_way", || {
        let _one = database(2, "one");
        let _two = database(3, "two");
        let server = Patient::new();
        let trio = Trio::of(Some(""), "", DATABASE);
        trio.leads();
        until("all use the first", || NODES.iter().all(|node| answers(node, "one")));
        until("the second is up", || NODES.iter().all(|node| is_up(&trio, node, "two", true)));
        says(&trio, "node02", &["node", "standby", "node01"], (0, "node01 is on standby"));
        until("all use the second", || all_use(&trio, "two"));
        until("it answers", || NODES.iter().all(|node| answers(node, "two")));
        says(&trio, "node02", &["node", "resume", "node01"], (0, "on duty again"));
        until("the first is up", || NODES.iter().all(|node| is_up(&trio, node, "one", true)));
        assert!(all_use(&trio, "two"), "nothing goes back");
        drains(&trio, &server);
    });
}
