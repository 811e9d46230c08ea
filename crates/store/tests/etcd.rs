//! The external engine: the same promises of three members of Debian's etcd, and what clients saw while
//! its leader was killed has an explanation.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod conformance;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use engine::kv::Condition;
use outlast_store::etcd::{Account, Etcd};
use outlast_store::linear::{self, Deed, Operation};
use outlast_store::{Error, Store};

struct Members {
    folder: PathBuf,
    clients: Vec<u16>,
    peers: Vec<u16>,
    children: Vec<Option<Child>>,
}

impl Members {
    /// Nothing where there is no etcd.
    fn start(test: &str) -> Option<Self> {
        if Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_err() {
            skip(test, "no etcd");
            return None;
        }
        let folder = std::env::temp_dir().join(format!("outlast-{test}-{}", std::process::id()));
        // etcd wants to be told its ports; these were free a moment ago.
        let held: Vec<_> = (0..6).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<_> = held.iter().map(|port| port.local_addr().unwrap().port()).collect();
        drop(held);
        let (clients, peers) = (ports[..3].to_vec(), ports[3..].to_vec());
        let mut members = Self { folder, clients, peers, children: vec![] };
        members.children = (0..3).map(|member| Some(members.launch(member))).collect();
        Some(members)
    }

    fn launch(&self, member: usize) -> Child {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let all = (0..3).map(|member| format!("m{member}={}", url(self.peers[member])));
        let (client, peer) = (url(self.clients[member]), url(self.peers[member]));
        Command::new("etcd")
            .args(["--name", &format!("m{member}"), "--log-level", "error"])
            .arg("--data-dir")
            .arg(self.folder.join(member.to_string()))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &all.collect::<Vec<_>>().join(",")])
            .args(["--heartbeat-interval", "50", "--election-timeout", "500"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn kill(&mut self, member: usize) {
        let mut child = self.children[member].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn account(&self, first: usize) -> Account {
        let member = |at: usize| format!("127.0.0.1:{}", self.clients[at % 3]);
        Account { members: (first..first + 3).map(member).collect(), user: None }
    }

    async fn ready(&self) {
        for _ in 0..600 {
            if Etcd::new(self.account(0)).put("ready", b"", None).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("etcd never answered");
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        for child in self.children.iter_mut().flatten() {
            drop(child.kill());
            drop(child.wait());
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_external_etcd_keeps_the_same_promises() {
    let Some(members) = Members::start("an_external_etcd_keeps_the_same_promises") else { return };
    members.ready().await;
    conformance::conforms(&Etcd::new(members.account(0)), &Etcd::new(members.account(1))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_all_is_explained_while_members_of_etcd_are_killed() {
    let test = "nothing_is_lost_and_all_is_explained_while_members_of_etcd_are_killed";
    let Some(mut members) = Members::start(test) else { return };
    members.ready().await;
    let (stop, values) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(1)));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let store = Etcd::new(members.account(client));
            tokio::spawn(work(store, client as u64, Arc::clone(&stop), Arc::clone(&values)))
        })
        .collect();
    for member in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        members.kill(member);
        tokio::time::sleep(Duration::from_millis(900)).await;
        members.children[member] = Some(members.launch(member));
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    stop.store(true, Ordering::SeqCst);
    let mut history = vec![];
    for client in clients {
        history.extend(client.await.unwrap());
    }
    let answered = history.iter().filter(|operation| operation.answered.is_some()).count();
    eprintln!("{answered} answers of {}", history.len());
    assert!(answered > 100, "too little happened to judge: {answered} answers");
    linear::check(&history).unwrap();
}

fn now() -> u64 {
    sys::clock::now().as_nanos()
}

async fn work(
    store: Etcd,
    client: u64,
    stop: Arc<AtomicBool>,
    values: Arc<AtomicU64>,
) -> Vec<Operation> {
    let (mut history, mut known, mut round) = (vec![], None, client);
    while !stop.load(Ordering::SeqCst) {
        round += 1;
        let (key, new) = (round % 3, values.fetch_add(1, Ordering::SeqCst));
        let (name, text) = (format!("k{key}"), new.to_string());
        let called = now();
        let deed = match round % 5 {
            0 | 1 => store.put(&name, text.as_bytes(), None).await.map(|_| Deed::Write(new)),
            2 => {
                let is = known.map_or(Condition::Missing, |old: u64| {
                    Condition::Value(old.to_string().as_bytes().into())
                });
                let swapped = store.swap(&name, is, text.as_bytes()).await;
                swapped.map(|held| Deed::Swap { from: known, to: new, held: Some(held) })
            }
            _ => store.get(&name).await.map(|item| {
                let found = item.map(|item| str::from_utf8(&item.value).unwrap().parse().unwrap());
                // Good for a swap of another key now and then, too.
                known = found;
                Deed::Read(found)
            }),
        };
        let answered = Some(now());
        match deed {
            Ok(deed) => history.push(Operation { key, called, answered, deed }),
            Err(Error::NoLeader(_)) => {}
            Err(Error::Unknown) => {
                let deed = match round % 5 {
                    0 | 1 => Deed::Write(new),
                    _ => Deed::Swap { from: known, to: new, held: None },
                };
                history.push(Operation { key, called, answered: None, deed });
            }
            Err(other) => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    history
}

fn skip(test: &str, reason: &str) {
    let line = format!("SKIP store::{test}: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("OUTLAST_SKIPS") {
        use std::io::Write;
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
}
