//! An agent and a proxy that say what the test wants over the real sockets; the services process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::{
    Answer, Ask, BalancerState, Cell, Choice, Event, Evidence, Load, Mode, NodeLine, NodeState,
    ProcessState, ProxyLine, ServerCheck, ServerState, Standing, Status, VipLine, Why,
};
use outlast_services as services;
#[path = "history.rs"]
mod history;
pub use history::darken;
#[path = "seats.rs"]
pub mod seats;

/// What the stand-ins say.
#[derive(Debug)]
pub struct Story {
    pub status: Status,
    pub events: Vec<Event>,
    pub is_answering: bool,
    /// The token of a program that may read; none: the agent cannot say.
    pub program: Option<String>,
    pub statistics: String,
    pub seats: seats::Seats,
    followers: Vec<Sender<Event>>,
}

/// A dashboard with its stand-ins.
#[derive(Debug)]
pub struct Face {
    pub address: SocketAddr,
    pub story: Arc<Mutex<Story>>,
    /// The supervisor's end; dropping it ends the services.
    pub supervisor: Option<sys::channel::Channel>,
    pub thread: Option<std::thread::JoinHandle<Result<(), services::ServiceError>>>,
    folder: PathBuf,
}

static COUNT: AtomicU32 = AtomicU32::new(0);
static SEQUENCE: AtomicU64 = AtomicU64::new(100);

impl Face {
    #[must_use]
    pub fn new(status: Status) -> Self {
        Self::at(status, "127.0.0.1:0".parse().unwrap(), None)
    }

    /// The agent does not answer from the beginning.
    #[must_use]
    pub fn silent(status: Status) -> Self {
        Self::with(status, "127.0.0.1:0".parse().unwrap(), None, false)
    }

    #[must_use]
    pub fn at(status: Status, address: SocketAddr, token: Option<&str>) -> Self {
        Self::with(status, address, token, true)
    }

    fn with(status: Status, address: SocketAddr, token: Option<&str>, is_answering: bool) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("outlast-face-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let story = Arc::new(Mutex::new(Story {
            status,
            events: events(),
            is_answering,
            program: Some("outlast_0".to_owned()),
            statistics: statistics(),
            seats: Default::default(),
            followers: vec![],
        }));
        let control = UnixListener::bind(folder.join("control.sock")).unwrap();
        let stats = UnixListener::bind(folder.join("stats.sock")).unwrap();
        let told = Arc::clone(&story);
        std::thread::spawn(move || each(&control, move |client| agent(client, &told)));
        let told = Arc::clone(&story);
        std::thread::spawn(move || each(&stats, move |client| proxy(client, &told)));
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = sys::channel::Channel::pair().unwrap();
        let setup = services::Setup {
            is_for_all: true,
            node: "node01".to_owned(),
            control: folder.join("control.sock"),
            stats: folder.join("stats.sock"),
            listeners: vec![listener],
            token: token.map(str::to_owned),
            keeper: None,
            generation: 1,
        };
        let thread = std::thread::spawn(move || services::run(setup, theirs));
        Self { address, story, supervisor: Some(ours), thread: Some(thread), folder }
    }

    pub fn tell(&self, change: impl FnOnce(&mut Story)) {
        change(&mut self.story.lock().unwrap());
    }

    /// Something happens: a new state and the event that says so.
    pub fn happen(&self, event: Event, change: impl FnOnce(&mut Status)) {
        let mut story = self.story.lock().unwrap();
        change(&mut story.status);
        story.events.push(event.clone());
        story.followers.retain(|follower| follower.send(event.clone()).is_ok());
    }

    /// The agent's process ends: who follows it is cut off, who asks hears nothing.
    pub fn kill_agent(&self) {
        let mut story = self.story.lock().unwrap();
        story.is_answering = false;
        story.followers.clear();
    }

    #[must_use]
    pub fn get(&self, path: &str) -> Reply {
        self.ask_for(path, "")
    }

    /// `headers`: lines with their ends; without a `Host` among them a proper one is sent.
    #[must_use]
    pub fn ask_for(&self, path: &str, headers: &str) -> Reply {
        let host = if headers.to_ascii_lowercase().contains("host:") {
            String::new()
        } else {
            format!("Host: {}\r\n", self.address)
        };
        let request = format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n{headers}\r\n");
        ask(self.address, &request)
    }
}

impl Drop for Face {
    fn drop(&mut self) {
        drop(self.supervisor.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// An answer over HTTP.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|line| line.0.eq_ignore_ascii_case(name)).map(|line| line.1)
    }
}

/// One question on one connection that closes.
pub fn ask(address: SocketAddr, request: &str) -> Reply {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = vec![];
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let mut body = body.to_owned();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body = unchunked(&body);
    }
    Reply { status, head: head.to_owned(), body }
}

fn unchunked(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        out.push_str(&rest[..size]);
        body = &rest[size + 2..];
    }
    out
}

fn each(listener: &UnixListener, answer: impl Fn(UnixStream) + Clone + Send + 'static) {
    for client in listener.incoming().flatten() {
        let answer = answer.clone();
        std::thread::spawn(move || answer(client));
    }
}

fn agent(mut client: UnixStream, story: &Mutex<Story>) {
    let mut line = vec![];
    if BufReader::new(client.try_clone().unwrap()).read_until(b'\n', &mut line).is_err() {
        return;
    }
    let mut follow: Option<Receiver<Event>> = None;
    let mut answers = vec![];
    {
        let mut story = story.lock().unwrap();
        if !story.is_answering {
            return;
        }
        match api::decode::<Ask>(&line) {
            Ok(Ask::Status) => {
                let mut status = story.status.clone();
                status.at_ms = sys::clock::wall_ms();
                answers.push(Answer::Status(Box::new(status)));
            }
            Ok(Ask::Timeline { last, .. }) => {
                let skip = story.events.len().saturating_sub(last as usize);
                answers.extend(story.events.iter().skip(skip).cloned().map(Answer::Event));
                let (tell, told) = channel();
                story.followers.push(tell);
                follow = Some(told);
            }
            Ok(Ask::Why { object }) => {
                story.seats.sit(&object);
                answers.push(Answer::Why(Box::new(why(&story, &object))));
            }
            Ok(Ask::Access(api::access::AccessAsk::Show { token })) => {
                answers.push(history::of_token(story.program.as_deref(), &token.0));
            }
            Ok(_) | Err(_) => {
                answers.push(Answer::Refused("the stand-in does not know this".to_owned()));
            }
        }
    }
    if let [Answer::Why(_)] = answers.as_slice() {
        std::thread::sleep(Duration::from_millis(20));
        story.lock().unwrap().seats.now -= 1;
    }
    for answer in answers.into_iter().chain(follow.into_iter().flatten().map(Answer::Event)) {
        let mut line = vec![];
        api::encode(&answer, &mut line);
        line.push(b'\n');
        if client.write_all(&line).is_err() {
            return;
        }
    }
}

fn proxy(mut client: UnixStream, story: &Mutex<Story>) {
    let mut line = String::new();
    let _ = BufReader::new(client.try_clone().unwrap()).read_line(&mut line);
    let text = story.lock().unwrap().statistics.clone();
    let _ = client.write_all(text.as_bytes());
}

fn why(story: &Story, object: &str) -> Why {
    let evidence = |what: &str, age_ms| Evidence { what: what.to_owned(), age_ms };
    let events = story.events.iter().filter(|event| event.object.contains(object)).cloned();
    Why {
        object: object.to_owned(),
        state: format!("{object} is as it should be"),
        evidence: vec![
            evidence("node01 sends adverts with priority 103", Some(400)),
            evidence("beats of node01 arrive on management and storage", Some(120)),
            evidence("`check = \"balancer\"`: the balancer of node01 serves", None),
            evidence("view: node03 hears it", Some(80)),
            evidence("view: node01 hears it", Some(60)),
        ],
        rule: "the node that holds the address keeps it (no preemption)".to_owned(),
        rules: vec![],
        would_change: vec![
            "no advert for 3.6 s: node02 claims it".to_owned(),
            "the balancer of node01 not serving for 100 ms: handed over to node02".to_owned(),
        ],
        events: events.collect(),
        ..history::of_node(object)
    }
}

/// An event with a number of its own.
#[must_use]
pub fn event(node: &str, what: &str, object: &str, evidence: &str, action: &str) -> Event {
    Event {
        seq: SEQUENCE.fetch_add(1, Ordering::Relaxed),
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: what.to_owned(),
        object: object.to_owned(),
        evidence: evidence.to_owned(),
        decision: "the rule that applied".to_owned(),
        action: action.to_owned(),
        took_us: 1234,
        not_done: String::new(),
        moved: None,
    }
}

fn events() -> Vec<Event> {
    let mut events = vec![
        event(
            "node01",
            "vip-claimed",
            "vip/internal",
            "nobody advertised for 3.6 s",
            "address on eth0, 5 gratuitous ARPs",
        ),
        event(
            "node02",
            "node-alive",
            "node/node02",
            "first beat on management",
            "its servers get requests",
        ),
        event(
            "node03",
            "server-up",
            "server/keystone_internal/node03",
            "2 checks in a row passed",
            "gets requests",
        ),
        event(
            "node01",
            "writer-chosen",
            "proxy/mariadb",
            "first server that is up",
            "node01 is written to",
        ),
        event("node01", "reloaded", "node/node01", "SIGHUP", "configuration 2 is in use"),
    ];
    let now = sys::clock::wall_ms();
    for (event, ago) in events.iter_mut().zip([86_400_000u64, 700_000, 650_000, 60_000, 20_000]) {
        event.at_ms = now - ago;
    }
    events
}

const POOLS: [(&str, u16); 15] = [
    ("rabbitmq_management", 15672),
    ("keystone_internal", 5000),
    ("keystone_admin", 35357),
    ("glance_registry", 9191),
    ("glance_api", 9292),
    ("nova_api", 8774),
    ("nova_metadata", 8775),
    ("nova_novncproxy", 6080),
    ("neutron_server", 9696),
    ("horizon", 80),
    ("cinder_api", 8776),
    ("heat_api", 8004),
    ("heat_api_cfn", 8000),
    ("magnum_api", 9511),
    ("mariadb", 3306),
];

const NODES: [&str; 3] = ["node01", "node02", "node03"];

/// Three controllers, three networks, one address, fifteen pools; all well, as row S2-068 has it.
#[must_use]
pub fn status() -> Status {
    let networks = ["manager", "storage", "business"].map(str::to_owned).to_vec();
    let cell = |name: &String| Cell { network: name.clone(), alive: true, age_ms: Some(120) };
    let node = |(name, cpu, memory): (&str, u8, u8)| NodeLine {
        state: NodeState {
            node: name.to_owned(),
            standing: Standing::Alive,
            cells: networks.iter().map(cell).collect(),
            why: "beats arrive".to_owned(),
            opinion: api::Opinion { verdict: api::Verdict::Alive, ..api::Opinion::default() },
            duty: api::Duty::On,
        },
        holds: if name == "node01" { vec!["internal".to_owned()] } else { vec![] },
        load: Some(Load {
            cpu_percent: cpu,
            memory_percent: memory,
            fibre_online: 2,
            fibre_ports: 2,
            age_ms: 300,
        }),
        compute: false,
        just_started: false,
    };
    let process = |(role, pid)| ProcessState { role, pid, running: true, generation: 1, starts: 1 };
    let (proxy, server) = ("mariadb".to_owned(), "node01".to_owned());
    Status {
        duty: api::Duty::On,
        store: None,
        refused: api::RefusedPackets { forged: 7, replayed: 2, astray: 1, ..Default::default() },
        turned_away: crate::stored::turned_away(),
        vip_refused: api::RefusedPackets::default(),
        adverts_refused: crate::stored::adverts(),
        vip_process: Some(crate::stored::vip_process()),
        at_ms: 0,
        version: "0.1.0".to_owned(),
        node: "node01".to_owned(),
        cluster: Some("cloud".to_owned()),
        mode: Mode::Adaptive,
        generation: 2,
        limits: vec![],
        processes: crate::stored::PROCESSES.map(process).to_vec(),
        nodes: [("node01", 23, 61), ("node02", 12, 48), ("node03", 50, 64)].map(node).to_vec(),
        networks: networks.clone(),
        vips: vec![vip()],
        balancer: BalancerState::Serving,
        proxies: proxies(),
        servers: servers(),
        choices: vec![Choice { proxy, server, term: 3, by: 0 }],
        planned: vec![],
        own_doubts: vec![],
        reference: vec![],
        coordinator: None,
        voters_wait: None,
        notify: Some(Box::new(crate::stored::notifying())),
        dashboard: vec![],
    }
}

fn vip() -> VipLine {
    VipLine {
        name: "internal".to_owned(),
        addresses: vec!["10.79.0.40/24".to_owned()],
        state: crate::stored::holder(),
        successor: Some("node02".to_owned()),
        holders: vec!["node01".to_owned()],
        interface: "eth0".to_owned(),
        router_id: 121,
        priority: 103,
        order: NODES.map(str::to_owned).to_vec(),
    }
}

fn proxies() -> Vec<ProxyLine> {
    let proxy = |(name, port): &(&str, u16)| ProxyLine {
        name: (*name).to_owned(),
        kind: "listen".to_owned(),
        mode: if *name == "mariadb" { "tcp" } else { "http" }.to_owned(),
        binds: vec![format!("10.79.0.40:{port}")],
        balance: "roundrobin".to_owned(),
        default_backend: None,
        one_writer: *name == "mariadb",
    };
    POOLS.iter().map(proxy).collect()
}

fn servers() -> Vec<ServerState> {
    let server = |proxy: &str, server: &str| ServerState {
        proxy: proxy.to_owned(),
        server: server.to_owned(),
        check: ServerCheck::Up,
        suspect: false,
        why: "Layer4 check passed".to_owned(),
        count: 0,
        resting: false,
    };
    POOLS.iter().flat_map(|(name, _)| NODES.map(|node| server(name, node))).collect()
}

/// As `show stat` writes it, with the columns that are read.
fn statistics() -> String {
    let mut text = String::from(
        "# pxname,svname,qcur,scur,slim,stot,bin,bout,ereq,econ,eresp,wretr,wredis,status,type,\
         rate,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,req_rate,req_tot,last_chk,\n",
    );
    for (name, port) in POOLS {
        let total = u64::from(port) * 3;
        text.push_str(&format!(
            "{name},FRONTEND,,4,4000,{total},{},{},0,,,,,OPEN,0,9,0,{total},0,0,0,0,9,{total},,\n",
            total * 300,
            total * 9000
        ));
        for node in NODES {
            text.push_str(&format!(
                "{name},{node},0,1,,{port},{},{},,0,0,0,0,UP,2,3,0,{port},0,0,0,0,,{port},\"ok, really\",\n",
                u64::from(port) * 100,
                u64::from(port) * 3000
            ));
        }
        text.push_str(&format!(
            "{name},BACKEND,0,3,400,{total},1,2,,0,0,0,0,UP,1,9,0,1,0,0,0,0,,1,,\n"
        ));
    }
    text.push('\n');
    text
}
