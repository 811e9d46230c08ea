//! Both programs on the same file, and the log lines of each.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use api::{Order, Report, SocketName};
use sys::channel::Channel;
use sys::poll::{Interest, Poller};

/// Longer than anything here takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const HAPROXY: &str = "/usr/sbin/haproxy";

/// A port that nobody has now.
fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

struct Bench {
    text: String,
    ports: Vec<(&'static str, u16)>,
    log: UdpSocket,
}

impl Bench {
    fn new(server: u16, closed: u16) -> Self {
        let log = UdpSocket::bind("127.0.0.1:0").unwrap();
        log.set_read_timeout(Some(PATIENCE / 4)).unwrap();
        let ports: Vec<_> = PROXIES.iter().map(|name| (*name, free())).collect();
        let mut text = FILE.to_owned();
        let names = ports.iter().copied();
        let more =
            [("server", server), ("closed", closed), ("log", log.local_addr().unwrap().port())];
        for (name, port) in names.chain(more) {
            text = text.replace(&format!("{{{name}}}"), &port.to_string());
        }
        Self { text, ports, log }
    }

    fn at(&self, name: &str) -> SocketAddr {
        let port = self.ports.iter().find(|(known, _)| *known == name).unwrap().1;
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// The lines of one case, masked.
    fn run(&self, case: &Case) -> Vec<String> {
        let mut stream = TcpStream::connect(self.at(case.to)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(case.send).unwrap();
        match case.end {
            End::HalfClose => {
                stream.shutdown(Shutdown::Write).unwrap();
                drop(stream.read_to_end(&mut Vec::new()));
            }
            End::AfterAnswer => {
                let mut seen = Vec::new();
                let mut buffer = [0; 1024];
                while !seen.ends_with(b"ok") {
                    let count = stream.read(&mut buffer).unwrap();
                    assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&seen));
                    seen.extend_from_slice(&buffer[..count]);
                }
            }
            End::Wait => drop(stream.read_to_end(&mut Vec::new())),
        }
        drop(stream);
        let line = || self.line().map_or_else(|| "no line".to_owned(), |line| masked(&line));
        (0..case.lines).map(|_| line()).collect()
    }

    /// None: nothing came.
    fn line(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let count = self.log.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..count]).into_owned())
    }
}

/// This program's proxy, in a thread.
fn start_ours(bench: &Bench) -> Channel {
    let source = config::Source { path: "haproxy.cfg".to_owned(), text: bench.text.clone() };
    let (config, diagnostics) = config::haproxy::parse(&[source], 0);
    assert!(diagnostics.iter().all(|d| d.severity != config::Severity::Error), "{diagnostics:?}");
    let options =
        sys::socket::Listen { backlog: 64, transparent: false, reuse_port: false, interface: None };
    let sockets: Vec<(SocketName, OwnedFd)> = PROXIES
        .iter()
        .map(|name| {
            let fd = sys::socket::listen_tcp(bench.at(name), &options).unwrap();
            (SocketName::Bind { proxy: (*name).to_owned(), index: 0 }, fd)
        })
        .collect();
    let start = api::Start {
        mode: api::Mode::Strict,
        node: "node01".to_owned(),
        generation: 1,
        run_dir: String::new(),
        state_dir: String::new(),
        breaks: Vec::new(),
        files: Vec::new(),
        sockets: Vec::new(),
        adopt: Vec::new(),
        servers: Vec::new(),
        choices: Vec::new(),
        nodes: Vec::new(),
    };
    let (supervisor, channel) = Channel::pair().unwrap();
    std::thread::spawn(move || {
        let setup = outlast_proxy::Setup { start, config, cluster: None, sockets, channel };
        drop(outlast_proxy::run(setup));
    });
    order(&supervisor, &Order::Activate);
    until_serving(&supervisor);
    supervisor
}

fn order(channel: &Channel, order: &Order) {
    let mut bytes = Vec::new();
    api::encode(order, &mut bytes);
    channel.send(&bytes, &[]).unwrap();
}

fn until_serving(channel: &Channel) {
    let poller = sys::poll::Poller::new().unwrap();
    let fd = std::os::fd::AsFd::as_fd(channel);
    poller.add(fd, 0, sys::poll::Interest::READ).unwrap();
    let end = sys::clock::now() + PATIENCE;
    let mut buffer = vec![0; api::MAX_MESSAGE];
    loop {
        let left = end.since(sys::clock::now());
        assert!(!left.is_zero(), "the proxy does not serve");
        poller.wait(&mut Vec::with_capacity(1), Some(left)).unwrap();
        while let Ok(count) = channel.receive(&mut buffer, &mut Vec::new()) {
            assert!(count > 0, "the proxy ended");
            if let Ok(Report::Serving { .. }) = api::decode(&buffer[..count]) {
                return;
            }
        }
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start_haproxy(bench: &Bench) -> Killed {
    let file = std::env::temp_dir().join(format!("outlast-as-haproxy-{}.cfg", std::process::id()));
    std::fs::write(&file, &bench.text).unwrap();
    let process = Command::new(HAPROXY)
        .args(["-db", "-f"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let process = Killed(process);
    let end = sys::clock::now() + PATIENCE;
    while TcpStream::connect(bench.at("db_refused")).is_err() {
        assert!(sys::clock::now() < end, "haproxy does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    // That connection is logged too.
    let _ = bench.line();
    drop(std::fs::remove_file(file));
    process
}

const HAPROXY: &str = "/usr/sbin/haproxy";

