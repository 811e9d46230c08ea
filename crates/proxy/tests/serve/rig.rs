//! A proxy in a thread, its supervisor's end of the channel, clients, and servers that keep a diary.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use api::{Change, Order, Report, SocketName};
use sys::channel::Channel;

/// Nothing in these tests takes this long unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A proxy under test.
pub(crate) struct Rig {
    channel: Option<Channel>,
    thread: Option<JoinHandle<Result<(), outlast_proxy::Error>>>,
    addresses: HashMap<String, SocketAddr>,
    reports: Vec<Report>,
}

pub(crate) struct Plan<'a> {
    pub(crate) mode: api::Mode,
    pub(crate) text: &'a str,
    pub(crate) cluster: Option<&'a str>,
    pub(crate) breaks: Vec<api::Break>,
    pub(crate) choices: Vec<api::Choice>,
    pub(crate) active: bool,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(mode: api::Mode, text: &'a str) -> Self {
        let (breaks, choices) = (Vec::new(), Vec::new());
        Self { mode, text, cluster: None, breaks, choices, active: true }
    }
}

pub(crate) fn strict(text: &str) -> Rig {
    Rig::start(Plan::new(api::Mode::Strict, text))
}

pub(crate) fn adaptive(text: &str) -> Rig {
    Rig::start(Plan::new(api::Mode::Adaptive, text))
}

impl Rig {
    /// Every `bind` gets a port of the kernel's choice, whatever its line says.
    pub(crate) fn start(plan: Plan<'_>) -> Self {
        let source = config::Source { path: "test.cfg".into(), text: plan.text.to_owned() };
        let (file, problems) = config::haproxy::parse(&[source], 0);
        let errors: Vec<_> =
            problems.iter().filter(|p| p.severity == config::Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let cluster = plan.cluster.and_then(|text| {
            let source = config::Source { path: "outlast.toml".into(), text: text.to_owned() };
            config::cluster::parse(&source, 0).0
        });
        let (mut sockets, mut addresses) = (Vec::new(), HashMap::new());
        for proxy in &file.proxies {
            for index in 0..u16::try_from(proxy.binds.len()).unwrap() {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                listener.set_nonblocking(true).unwrap();
                addresses.insert(proxy.name.clone(), listener.local_addr().unwrap());
                let name = SocketName::Bind { proxy: proxy.name.clone(), index };
                sockets.push((name, OwnedFd::from(listener)));
            }
        }
        let (ours, theirs) = Channel::pair().unwrap();
        let start = start_message(&plan);
        let setup = outlast_proxy::Setup {
            start,
            config: file,
            cluster,
            sockets,
            life: None,
            channel: theirs,
        };
        let thread = std::thread::spawn(move || outlast_proxy::run(setup));
        let mut rig =
            Self { channel: Some(ours), thread: Some(thread), addresses, reports: Vec::new() };
        rig.wait_for(|report| matches!(report, Report::Ready { .. }));
        if plan.active {
            rig.order(&Order::Activate);
            rig.wait_for(|report| matches!(report, Report::Serving { .. }));
        }
        rig
    }

    pub(crate) fn address(&self, proxy: &str) -> SocketAddr {
        self.addresses[proxy]
    }

    pub(crate) fn order(&self, order: &Order) {
        let mut bytes = Vec::new();
        api::encode(order, &mut bytes);
        self.channel.as_ref().unwrap().send(&bytes, &[]).unwrap();
    }

    /// As a supervisor that dies.
    pub(crate) fn hang_up(&mut self) {
        self.channel = None;
    }

    pub(crate) fn change(&self, change: Change) {
        self.order(&Order::Change(change));
    }

    /// The first report of a kind, now or later; those before it are kept.
    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&Report) -> bool) -> Report {
        let end = sys::clock::now() + PATIENCE;
        let mut seen = 0;
        let channel = self.channel.as_ref().unwrap();
        let poller = sys::poll::Poller::new().unwrap();
        poller.add(channel.as_fd(), 0, sys::poll::Interest::READ).unwrap();
        let mut buffer = vec![0; api::MAX_MESSAGE];
        loop {
            if let Some(place) = self.reports[seen..].iter().position(&wanted) {
                return self.reports.remove(seen + place);
            }
            seen = self.reports.len();
            let mut ready = Vec::new();
            poller.wait(&mut ready, Some(PATIENCE)).unwrap();
            // Others may come all the time: what counts is the time, not that something came.
            let is_over = ready.is_empty() || sys::clock::now() > end;
            assert!(!is_over, "no such report; had {:?}", self.reports);
            match channel.receive(&mut buffer, &mut Vec::new()) {
                Ok(0) => panic!("the proxy ended: {:?}", self.thread.take().map(JoinHandle::join)),
                Ok(count) => self.reports.push(api::decode(&buffer[..count]).unwrap()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Among what came with earlier waits and was not asked for.
    pub(crate) fn has(&self, wanted: impl Fn(&Report) -> bool) -> bool {
        self.reports.iter().any(wanted)
    }

    /// A later word on a server than the last one that was waited for.
    pub(crate) fn wait_for_server(
        &mut self,
        server: &str,
        wanted: impl Fn(&api::ServerState) -> bool,
    ) {
        self.wait_for_servers(&[server], wanted);
    }

    /// Later words on several servers, in one report or in several, in any order.
    pub(crate) fn wait_for_servers(
        &mut self,
        servers: &[&str],
        wanted: impl Fn(&api::ServerState) -> bool,
    ) {
        let mut missing = servers.to_vec();
        let end = sys::clock::now() + PATIENCE;
        while !missing.is_empty() {
            assert!(sys::clock::now() < end, "nothing as wanted of {missing:?}");
            let next = self.wait_for(|report| matches!(report, Report::Servers(_)));
            let Report::Servers(states) = next else { continue };
            for state in states.iter().filter(|state| wanted(state)) {
                missing.retain(|server| *server != state.server);
            }
        }
    }

    /// How it ended; it must end by itself.
    pub(crate) fn wait_for_end(&mut self) -> Result<(), outlast_proxy::Error> {
        self.thread.take().unwrap().join().unwrap()
    }

    pub(crate) fn connect(&self, proxy: &str) -> Client {
        Client::connect(self.address(proxy))
    }

    /// One request on a connection of its own.
    pub(crate) fn get(&self, proxy: &str, target: &str) -> Answer {
        let mut client = self.connect(proxy);
        client.send(&format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        client.answer()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // Without a channel it ends by itself.
        self.channel = None;
        let ended = thread.join();
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

fn start_message(plan: &Plan<'_>) -> api::Start {
    api::Start {
        mode: plan.mode,
        node: "node01".into(),
        generation: 1,
        run_dir: String::new(),
        state_dir: String::new(),
        life: 1,
        breaks: plan.breaks.clone(),
        files: Vec::new(),
        sockets: Vec::new(),
        adopt: Vec::new(),
        leftovers: Vec::new(),
        closed: false,
        heir: false,
        voters: None,
        servers: Vec::new(),
        choices: plan.choices.clone(),
        nodes: Vec::new(),
    }
}

/// A client's connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    rest: Vec<u8>,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, rest: Vec::new() }
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Ends the sending half.
    pub(crate) fn shut(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer).unwrap_or(0);
        self.rest.extend_from_slice(&buffer[..count]);
        count > 0
    }

    /// One answer: by Content-Length, chunked, or to the end.
    pub(crate) fn answer(&mut self) -> Answer {
        self.answer_to(true)
    }

    pub(crate) fn answer_to(&mut self, with_body: bool) -> Answer {
        let mut answer = Answer::default();
        let end = loop {
            if let Some(end) = find(&self.rest, b"\r\n\r\n") {
                break end + 4;
            }
            if !self.fill() {
                answer.body = String::from_utf8_lossy(&self.rest).into_owned();
                return answer;
            }
        };
        answer.head = String::from_utf8_lossy(&self.rest.drain(..end).collect::<Vec<_>>()).into();
        answer.status = answer.head[9..12].parse().unwrap();
        let empty = !with_body || matches!(answer.status, 100..=199 | 204 | 304);
        let length = answer.header("content-length").map(|length| length.parse::<usize>().unwrap());
        if answer.header("transfer-encoding").is_some() && with_body {
            while !self.rest.ends_with(b"0\r\n\r\n") && self.fill() {}
            answer.body = String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned();
        } else if !empty {
            let wanted = length.unwrap_or(usize::MAX);
            while self.rest.len() < wanted && self.fill() {}
            let taken = wanted.min(self.rest.len());
            let body: Vec<u8> = self.rest.drain(..taken).collect();
            answer.body = String::from_utf8_lossy(&body).into_owned();
        }
        answer
    }

    /// Everything until the other side closes.
    pub(crate) fn read_all(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.rest)
    }

    pub(crate) fn read_text(&mut self) -> String {
        String::from_utf8_lossy(&self.read_all()).into_owned()
    }

    /// At least `count` bytes, or what there was before the end.
    pub(crate) fn read_some(&mut self, count: usize) -> String {
        while self.rest.len() < count && self.fill() {}
        let taken = count.min(self.rest.len());
        String::from_utf8_lossy(&self.rest.drain(..taken).collect::<Vec<_>>()).into_owned()
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// A server with a diary of what it received.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    listener: TcpListener,
    open: AtomicBool,
    diary: Mutex<Vec<String>>,
    streams: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
}

/// What a server does with each connection.
pub(crate) type Behaviour = dyn Fn(&mut Guest<'_>) + Send + Sync;

/// A connection as the server's behaviour sees it.
pub(crate) struct Guest<'a> {
    pub(crate) client: Client,
    state: &'a State,
}

impl Guest<'_> {
    /// A request's head and its body by Content-Length, also written into the diary.
    pub(crate) fn request(&mut self) -> Option<String> {
        let end = loop {
            if let Some(end) = find(&self.client.rest, b"\r\n\r\n") {
                break end + 4;
            }
            if !self.client.fill() {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&self.client.rest[..end]).into_owned();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let whole = end + length.map_or(0, |length| length.parse::<usize>().unwrap());
        if head.contains("transfer-encoding: chunked") {
            while !self.client.rest.ends_with(b"0\r\n\r\n") && self.client.fill() {}
            let all = std::mem::take(&mut self.client.rest);
            self.note(String::from_utf8_lossy(&all).into_owned());
            return Some(head);
        }
        while self.client.rest.len() < whole && self.client.fill() {}
        let all: Vec<u8> = self.client.rest.drain(..whole.min(self.client.rest.len())).collect();
        self.note(String::from_utf8_lossy(&all).into_owned());
        Some(head)
    }

    pub(crate) fn note(&self, line: String) {
        self.state.diary.lock().unwrap().push(line);
    }

    /// May fail: the proxy may have gone.
    pub(crate) fn say(&mut self, text: &str) {
        drop(self.client.stream.write_all(text.as_bytes()));
    }
}

impl Server {
    pub(crate) fn start(behaviour: impl Fn(&mut Guest<'_>) + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1:0".parse().unwrap(), Arc::new(behaviour))
    }

    pub(crate) fn on(address: SocketAddr, behaviour: Arc<Behaviour>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            listener,
            open: AtomicBool::new(true),
            diary: Mutex::default(),
            streams: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || accept(&shared, &behaviour));
        Self { address, state }
    }

    /// Answers every request with its name.
    pub(crate) fn named(name: &'static str) -> Self {
        Self::start(move |guest| answer_by_name(guest, name))
    }

    /// Answers as the target says: `/kHEX` keeps the connection, `/cHEX` closes it, after the bytes.
    pub(crate) fn scripted() -> Self {
        Self::start(|guest| {
            while let Some(head) = guest.request() {
                let target = head.split(' ').nth(1).unwrap_or("/c");
                let text = decode(&target[2..]);
                guest.say(&text);
                if target.starts_with("/c") {
                    return;
                }
            }
        })
    }

    pub(crate) fn diary(&self) -> Vec<String> {
        self.state.diary.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }

    /// As a killed process: its port refuses, its connections are reset.
    pub(crate) fn kill(&self) {
        self.state.open.store(false, SeqCst);
        let _ = rustix::net::shutdown(self.state.listener.as_fd(), rustix::net::Shutdown::Both);
        for stream in self.state.streams.lock().unwrap().drain(..) {
            drop(sys::socket::reset_on_close(stream.as_fd()));
            let _ = rustix::net::shutdown(stream.as_fd(), rustix::net::Shutdown::Both);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn answer_by_name(guest: &mut Guest<'_>, name: &str) {
    while guest.request().is_some() {
        let length = name.len();
        guest.say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}"));
    }
}

fn accept(state: &Arc<State>, behaviour: &Arc<Behaviour>) {
    while let Ok((stream, _)) = state.listener.accept() {
        if !state.open.load(SeqCst) {
            return;
        }
        state.connections.fetch_add(1, SeqCst);
        drop(stream.set_read_timeout(Some(PATIENCE)));
        drop(stream.set_nodelay(true));
        state.streams.lock().unwrap().push(stream.try_clone().unwrap());
        let (state, behaviour) = (Arc::clone(state), Arc::clone(behaviour));
        std::thread::spawn(move || {
            let client = Client { stream, rest: Vec::new() };
            let mut guest = Guest { client, state: &state };
            behaviour(&mut guest);
            drop(guest.client.stream.shutdown(std::net::Shutdown::Both));
        });
    }
}

/// For [`Server::scripted`].
pub(crate) fn script(keep: bool, answer: &str) -> String {
    let hex: String = answer.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("/{}{hex}", if keep { 'k' } else { 'c' })
}

fn decode(hex: &str) -> String {
    let digits = hex.as_bytes().chunks(2);
    let bytes = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16));
    String::from_utf8(bytes.map(Result::unwrap).collect()).unwrap()
}

/// Waits for something that another thread does.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = sys::clock::now() + PATIENCE;
    while !holds() {
        assert!(sys::clock::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}
