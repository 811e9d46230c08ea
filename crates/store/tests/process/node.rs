//! What a process does that was started as a node.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use engine::kv::Condition;
use outlast_store::embedded::SNAPSHOT_EVERY;
use outlast_store::{
    Accepted, Duplex, Embedded, Error, Later, Options, Plain, Store, Timing, Transport,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// `NODE PEER=PORT PEER=PORT`.
pub(crate) const ROLE: &str = "OUTLAST_STORE_NODE";
pub(crate) const FOLDER: &str = "OUTLAST_STORE_FOLDER";
pub(crate) const WITNESS: &str = "OUTLAST_STORE_WITNESS";

/// The store of this process has stopped for good.
const FAILED: i32 = 3;

/// Reaches every other node by the port of its proxy.
#[derive(Debug)]
struct Proxied {
    plain: Plain,
    ports: BTreeMap<u64, u16>,
}

impl Transport for Proxied {
    fn connect<'a>(&'a self, to: u64, _: &'a str) -> Later<'a, io::Result<Box<dyn Duplex>>> {
        Box::pin(async move {
            let port = self.ports.get(&to).ok_or(io::ErrorKind::NotFound)?;
            self.plain.connect(to, &format!("127.0.0.1:{port}")).await
        })
    }

    fn accept(&self) -> Later<'_, io::Result<Accepted>> {
        self.plain.accept()
    }
}

/// Runs as a node until killed, if the environment says so.
pub(crate) fn run_if_told() {
    let Ok(role) = std::env::var(ROLE) else { return };
    // Whoever started this process is gone.
    std::thread::spawn(|| {
        drop(io::copy(&mut io::stdin(), &mut io::sink()));
        std::process::exit(0);
    });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(run(&role));
}

async fn run(role: &str) {
    let mut words = role.split(' ');
    let me = words.next().unwrap().parse().unwrap();
    let peers = words.map(|pair| pair.split_once('=').unwrap());
    let ports = peers.map(|(to, port)| (to.parse().unwrap(), port.parse().unwrap())).collect();
    let plain = Plain::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let clients = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (raft, client) = (plain.address().unwrap(), clients.local_addr().unwrap());
    say(&format!("\nPORTS {} {}\n", raft.port(), client.port())).await;
    let options = Options {
        folder: PathBuf::from(std::env::var_os(FOLDER).unwrap()),
        cluster: "test".to_owned(),
        me,
        founders: super::NODES.map(|node| (node, format!("node{node}"))).into(),
        timing: Timing::default(),
        witness: std::env::var_os(WITNESS).map(PathBuf::from),
        trusted: false,
        known: 0,
        snapshot_every: SNAPSHOT_EVERY,
    };
    let store = match Embedded::start(options, Arc::new(Proxied { plain, ports })).await {
        Ok(store) => Arc::new(store),
        Err(error) => fail(&base::Chain(&error).to_string()),
    };
    let watched = Arc::clone(&store);
    tokio::spawn(async move {
        loop {
            if let Some(why) = watched.failure() {
                fail(&why);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    loop {
        if let Ok((stream, _)) = clients.accept().await {
            tokio::spawn(converse(stream, Arc::clone(&store)));
        }
    }
}

async fn say(line: &str) {
    let mut out = tokio::io::stdout();
    out.write_all(line.as_bytes()).await.unwrap();
    out.flush().await.unwrap();
}

fn fail(why: &str) -> ! {
    eprintln!("the store has stopped: {why}");
    std::process::exit(FAILED);
}

async fn converse(stream: TcpStream, store: Arc<Embedded>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (from, mut to) = stream.into_split();
    let mut lines = BufReader::new(from).lines();
    while let Some(line) = lines.next_line().await? {
        let words: Vec<_> = line.split(' ').collect();
        let answer = match answer(&store, &words).await {
            Ok(answer) => answer,
            Err(Error::NoLeader(_)) => "no-leader".to_owned(),
            Err(Error::Refused(refusal)) => format!("refused {refusal}"),
            Err(_) => "unknown".to_owned(),
        };
        to.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

async fn answer(store: &Embedded, words: &[&str]) -> Result<String, Error> {
    Ok(match *words {
        ["r", key] => store.get(key).await?.map_or_else(
            || "none".to_owned(),
            |item| format!("v {}", String::from_utf8_lossy(&item.value)),
        ),
        ["w", key, value] => {
            store.put(key, value.as_bytes(), None).await?;
            "done".to_owned()
        }
        ["s", key, old, new] => {
            let is = match old {
                "-" => Condition::Missing,
                old => Condition::Value(old.as_bytes().into()),
            };
            let held = store.swap(key, is, new.as_bytes()).await?;
            (if held { "held" } else { "not" }).to_owned()
        }
        ["f", key, number, length] => {
            let zeros = length.parse::<usize>().unwrap_or(0).saturating_sub(number.len());
            store.put(key, ("0".repeat(zeros) + number).as_bytes(), None).await?;
            "done".to_owned()
        }
        ["status"] => {
            let status = store.status();
            let (leader, term, keys) = (status.leader.unwrap_or(0), status.term, status.keys);
            let (syncs, last) = (status.syncs, status.last);
            format!("leader={leader} term={term} keys={keys} syncs={syncs} last={last}")
        }
        _ => "refused: no such question".to_owned(),
    })
}
