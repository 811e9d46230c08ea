//! What one real agent costs that is one of very many. No command runs it; built for speed, by hand:
//! `cargo run --profile demo -p outlast-node --example one_of_many -- MEMBERS SECONDS OUTLAST`.
//!
//! ```text
//! outlast run (a compute node) <--- UDP on lo ---> this process: the real machine, once for each other node
//! ```
//! In namespaces of its own. The others talk to each other in this process without sockets and seals; what
//! goes to the real node is sealed and sent, what comes from it is opened. Prints a JSON object per number.

#![expect(clippy::print_stdout, reason = "a command line tool talks on its standard output")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

use api::{Answer, Ask, Role, Standing, Status};
use base::Time;
use engine::gossip::{Action, Gossip, Input, Roster};
use engine::packet::{Kind, MAX_BODY, MAX_NETWORKS, MAX_PACKET, Opened, PairSecret, Seal};
use sys::netns::{Isolated, isolate};
use sys::process::Exit;

const FOLDER: &str = "/run/many";
const PORT: u16 = 7411;
const SECRET: &str = "a secret of very many nodes on one loopback device";
const CLUSTER: &str = "many";
const CONTROLLERS: u16 = 5;
const NETWORKS: u8 = 2;
/// All know each other, and answers to newcomers have ended.
const SETTLED: Duration = Duration::from_secs(75);
/// Until the real node answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// On its way between two nodes of this process.
const DELAY: Duration = Duration::from_micros(300);
/// The kernel's unit of processor time: `USER_HZ` is 100 on every architecture we build for.
const TICK: f64 = 0.01;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [members, seconds, program] = &words[..] else {
        return complain("MEMBERS SECONDS PROGRAM");
    };
    let (Ok(members), Ok(seconds)) = (members.parse::<u16>(), seconds.parse::<u32>()) else {
        return complain("MEMBERS and SECONDS are numbers");
    };
    match isolate("outlast-many") {
        Ok(Isolated::Ended(Exit::Code(0))) => ExitCode::SUCCESS,
        Ok(Isolated::Ended(_)) => ExitCode::FAILURE,
        Ok(Isolated::Inside { .. }) => match run(members, seconds, program) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&error.to_string()),
        },
        Err(error) => complain(&format!("cannot make namespaces: {error}")),
    }
}

fn complain(text: &str) -> ExitCode {
    // Nobody is left to be told where stderr is closed.
    drop(writeln!(io::stderr(), "one_of_many: {text}"));
    ExitCode::FAILURE
}

fn tell(name: &str, value: f64) {
    println!("{{\"name\":\"{name}\",\"value\":{value}}}");
}

/// The last node is the real one.
fn run(members: u16, seconds: u32, program: &str) -> io::Result<()> {
    std::fs::create_dir_all(FOLDER)?;
    std::fs::write(format!("{FOLDER}/outlast.toml"), file(members))?;
    std::fs::write(format!("{FOLDER}/secret"), SECRET)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(format!("{FOLDER}/secret"), mode)?;
    let mut crowd = Crowd::new(members)?;
    let mut real = Command::new(program);
    real.args(["run", "--node", &name(members - 1), "--config", &format!("{FOLDER}/outlast.toml")]);
    real.args(["--run-dir", &format!("{FOLDER}/run"), "--state-dir", &format!("{FOLDER}/state")]);
    let mut real = real.stdout(io::stderr()).spawn()?;
    let outcome = measure(&mut crowd, members, seconds);
    stop(&mut real)?;
    outcome
}

fn measure(crowd: &mut Crowd, members: u16, seconds: u32) -> io::Result<()> {
    let end = sys::clock::now() + PATIENCE;
    while status().is_err() && sys::clock::now() < end {
        crowd.run(Duration::from_millis(100))?;
    }
    crowd.run(SETTLED)?;
    let all = status()?;
    let agent = all.processes.iter().find(|process| process.role == Role::Agent && process.running);
    let pid = agent.map(|agent| agent.pid).ok_or_else(|| io::Error::other("it has no agent"))?;
    let alive = all.nodes.iter().filter(|line| line.state.standing == Standing::Alive).count();
    let (before, sent) = (used(pid)?, crowd.from_real);
    crowd.worst_lag = Duration::ZERO;
    crowd.run(Duration::from_secs(seconds.into()))?;
    let span = f64::from(seconds);
    tell("member cpu", (used(pid)? - before) / span * 100.0);
    tell("member memory", resident(pid)?);
    let sent = u32::try_from(crowd.from_real - sent).unwrap_or(u32::MAX);
    tell("member bytes", f64::from(sent) / span / f64::from(NETWORKS));
    tell("member missing", f64::from(members) - f64::from(u16::try_from(alive).unwrap_or(0)));
    let heard = (0..CONTROLLERS).filter(|controller| {
        let machine = &crowd.hosts[usize::from(*controller)].machine;
        machine.standing(members - 1) == engine::member::Standing::Alive
    });
    tell("controllers that hear it", f64::from(u16::try_from(heard.count()).unwrap_or(0)));
    tell("worst lag of the others", crowd.worst_lag.as_secs_f64() * 1e3);
    Ok(())
}

fn stop(real: &mut Child) -> io::Result<()> {
    // The namespace ends what a SIGKILL of the supervisor leaves.
    real.kill()?;
    real.wait().map(drop)
}

fn name(node: u16) -> String {
    format!("n{node:04}")
}

fn address(node: u16, network: u8) -> Ipv4Addr {
    let [high, low] = (node + 1).to_be_bytes();
    Ipv4Addr::new(127, network + 1, high, low)
}

fn file(members: u16) -> String {
    let mut text = format!(
        "[cluster]\nname = \"{CLUSTER}\"\nsecret_file = \"secret\"\nport = {PORT}\n\
         [dashboard]\nlisten = \"none\"\n[node]\n"
    );
    for node in 0..members {
        let role = if node < CONTROLLERS { "controller" } else { "compute" };
        let (one, two) = (address(node, 0), address(node, 1));
        // A text takes all of it.
        let _ = writeln!(
            text,
            "{} = {{ role = \"{role}\", networks = {{ one = \"{one}\", two = \"{two}\" }} }}",
            name(node)
        );
    }
    text
}

fn status() -> io::Result<Status> {
    let mut stream = UnixStream::connect(format!("{FOLDER}/run/control.sock"))?;
    let mut line = vec![];
    api::encode(&Ask::Status, &mut line);
    line.push(b'\n');
    stream.write_all(&line)?;
    line.clear();
    BufReader::new(stream).read_until(b'\n', &mut line)?;
    match api::decode(line.trim_ascii()) {
        Ok(Answer::Status(status)) => Ok(*status),
        Ok(_) | Err(_) => Err(io::Error::other("no status")),
    }
}

/// Processor time of a process in seconds: the 14th and 15th word of `/proc/PID/stat`.
fn used(pid: i32) -> io::Result<f64> {
    let text = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))?;
    let words = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = words.skip(11).take(2).filter_map(|word| word.parse::<u32>().ok()).sum();
    Ok(f64::from(ticks) * TICK)
}

/// Resident memory of a process in megabytes.
fn resident(pid: i32) -> io::Result<f64> {
    let text = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u32>().ok());
    let kilobytes = kilobytes.ok_or_else(|| io::Error::other("no VmRSS in /proc"))?;
    Ok(f64::from(kilobytes) / 1024.0)
}

struct Host {
    machine: Gossip,
    /// What it says to the real node, and hears of it.
    seal: Seal,
    wake_at: Time,
    /// By receiver: the newest number.
    seqs: Vec<u32>,
}

#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum What {
    Wake(u16),
    Packet { from: u16, to: u16, network: u8, seq: u32, body: Vec<u8> },
}

/// All but the last node.
struct Crowd {
    hosts: Vec<Host>,
    real: u16,
    life: u64,
    coming: BinaryHeap<Reverse<(Time, u64, What)>>,
    numbers: u64,
    socket: OwnedFd,
    from_real: u64,
    worst_lag: Duration,
    out: Vec<Action>,
}

impl Crowd {
    fn new(members: u16) -> io::Result<Self> {
        let (real, life, now) = (members - 1, sys::clock::wall_ms(), sys::clock::now());
        let host = |me: u16| {
            let mut on = [false; MAX_NETWORKS];
            on[..usize::from(NETWORKS)].fill(true);
            let roster = Roster {
                controllers: CONTROLLERS,
                networks: vec!["one".to_owned(), "two".to_owned()],
                on: vec![on; usize::from(members)],
                detect: Duration::from_secs(1),
            };
            let mut seal = Seal::new(CLUSTER, me, life);
            let pair = PairSecret::shared(SECRET.as_bytes(), CLUSTER, me, real);
            seal.accept(real, 0, &pair);
            let machine = Gossip::new(roster, me, Seal::new(CLUSTER, me, life), life, now);
            Host { machine, seal, wake_at: Time::NEVER, seqs: vec![0; usize::from(members)] }
        };
        // In this namespace there is nothing but loopback; the real node has addresses of its own.
        let socket = sys::socket::udp(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT), None)?;
        let mut crowd = Self {
            hosts: (0..real).map(host).collect(),
            real,
            life,
            coming: BinaryHeap::new(),
            numbers: 0,
            socket,
            from_real: 0,
            worst_lag: Duration::ZERO,
            out: vec![],
        };
        (0..CONTROLLERS).for_each(|node| crowd.step(node, Input::Quorum(true)));
        (0..real).for_each(|node| crowd.plan(node));
        Ok(crowd)
    }

    fn run(&mut self, span: Duration) -> io::Result<()> {
        let end = sys::clock::now() + span;
        loop {
            let now = sys::clock::now();
            if now >= end {
                return Ok(());
            }
            self.hear()?;
            while self.coming.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
                let Some(Reverse((at, _, what))) = self.coming.pop() else { break };
                self.worst_lag = self.worst_lag.max(now.since(at));
                self.happens(now, what);
            }
            // As exact as timers of a process are.
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn happens(&mut self, now: Time, what: What) {
        match what {
            What::Wake(node) => {
                if self.hosts[usize::from(node)].wake_at <= now {
                    self.hosts[usize::from(node)].wake_at = Time::NEVER;
                    self.step(node, Input::Timeout);
                }
            }
            What::Packet { from, to, network, seq, body } => {
                let (kind, incarnation, seq) = (Kind::Gossip, self.life, u64::from(seq));
                let body = &body;
                let packet = Opened { sender: from, network, kind, incarnation, seq, body };
                self.step(to, Input::Opened { network, packet });
            }
        }
    }

    /// What the real node sent.
    fn hear(&mut self) -> io::Result<()> {
        let mut packet = [0; MAX_PACKET];
        loop {
            let length = match sys::socket::receive_from(self.socket.as_fd(), &mut packet) {
                Ok((length, _)) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error),
            };
            // Heads of UDP and IPv4 with it.
            self.from_real += u64::try_from(length + 28).unwrap_or(0);
            let to = u16::from_be_bytes([packet[8], packet[9]]);
            let mut body = [0; MAX_BODY];
            let Some(host) = self.hosts.get_mut(usize::from(to)) else { continue };
            let opened = host.seal.open(&packet[..length], &mut body);
            let opened = opened.map_err(|error| io::Error::other(error.to_string()))?;
            self.step(to, Input::Opened { network: opened.network, packet: opened });
        }
    }

    fn step(&mut self, node: u16, input: Input<'_>) {
        let now = sys::clock::now();
        let mut out = std::mem::take(&mut self.out);
        self.hosts[usize::from(node)].machine.step(now, input, &mut out);
        for action in out.drain(..) {
            if let Action::Send { to, network, body } = action {
                self.send(now, node, (to, network), body);
            }
        }
        self.out = out;
        self.plan(node);
    }

    fn send(&mut self, now: Time, from: u16, (to, network): (u16, u8), body: Vec<u8>) {
        let host = &mut self.hosts[usize::from(from)];
        if to == self.real {
            let mut packet = [0; MAX_PACKET];
            let length = host.seal.seal(Kind::Gossip, (to, network), &body, &mut packet);
            let address = SocketAddr::new(IpAddr::V4(address(to, network)), PORT);
            // It may not have begun yet.
            let _ = sys::socket::send_to(self.socket.as_fd(), &packet[..length], address);
            return;
        }
        let seq = &mut host.seqs[usize::from(to)];
        *seq += 1;
        let seq = *seq;
        self.push(now + DELAY, What::Packet { from, to, network, seq, body });
    }

    fn plan(&mut self, node: u16) {
        let host = &mut self.hosts[usize::from(node)];
        let at = host.machine.deadline();
        if at < host.wake_at {
            host.wake_at = at;
            self.push(at, What::Wake(node));
        }
    }

    fn push(&mut self, at: Time, what: What) {
        self.numbers += 1;
        self.coming.push(Reverse((at, self.numbers, what)));
    }
}
