//! Both programs on the same file, and the log lines of each.

use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
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

/// A port that nobody else gets: bound and not listening, so a connect is refused. Who shares it by
/// SO_REUSEPORT, as haproxy does, may listen on it.
#[derive(Debug)]
pub(crate) struct Reserved {
    fd: OwnedFd,
    pub(crate) port: u16,
}

impl Reserved {
    pub(crate) fn new() -> Self {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_reuseport(&fd, true).unwrap();
        bind(&fd, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = SocketAddr::try_from(getsockname(&fd).unwrap()).unwrap();
        Self { fd, port: address.port() }
    }
}

impl AsFd for Reserved {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// One program, its file, and the socket its log lines come to.
pub(crate) struct Bench {
    text: String,
    proxies: &'static [&'static str],
    ports: Vec<Reserved>,
    log: UdpSocket,
    folder: PathBuf,
    running: Option<Running>,
}

enum Running {
    Ours(Channel),
    Theirs(Child),
}

impl Bench {
    /// Both programs, running; none, after saying so, where there is no haproxy. In `file`, a proxy's
    /// name in braces is its port, `{log}` the log's, `{folder}` a folder, `more` what else is named.
    pub(crate) fn pair(
        test: &str,
        file: &str,
        proxies: &'static [&'static str],
        more: &[(&str, u16)],
    ) -> Option<(Self, Self)> {
        if !std::path::Path::new(HAPROXY).exists() {
            skip(test, &format!("there is no {HAPROXY}"));
            return None;
        }
        let new = |who: &str| Self::new(&format!("{test}-{who}"), file, proxies, more);
        let (mut ours, mut theirs) = (new("ours"), new("theirs"));
        ours.running = Some(Running::Ours(ours.start_ours()));
        theirs.running = Some(Running::Theirs(theirs.start_haproxy()));
        Some((ours, theirs))
    }

    fn new(name: &str, file: &str, proxies: &'static [&'static str], more: &[(&str, u16)]) -> Self {
        let name = name.replace("::", "-");
        let folder = std::env::temp_dir().join(format!("outlast-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let log = UdpSocket::bind("127.0.0.1:0").unwrap();
        log.set_read_timeout(Some(PATIENCE / 2)).unwrap();
        let ports: Vec<Reserved> = proxies.iter().map(|_| Reserved::new()).collect();
        let mut text = file.replace("{folder}", folder.to_str().unwrap());
        let named = proxies.iter().copied().zip(ports.iter().map(|reserved| reserved.port));
        let log_port = log.local_addr().unwrap().port();
        for (name, port) in named.chain(more.iter().copied()).chain([("log", log_port)]) {
            text = text.replace(&format!("{{{name}}}"), &port.to_string());
        }
        Self { text, proxies, ports, log, folder, running: None }
    }

    pub(crate) fn at(&self, name: &str) -> SocketAddr {
        let position = self.proxies.iter().position(|known| *known == name).unwrap();
        SocketAddr::from(([127, 0, 0, 1], self.ports[position].port))
    }

    /// The next log line; none: nothing came.
    pub(crate) fn line(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let count = self.log.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..count]).into_owned())
    }

    /// Says something over the statistics socket `{folder}/stats`.
    pub(crate) fn ask(&self, command: &str) -> String {
        let end = sys::clock::now() + PATIENCE;
        let mut stream = loop {
            match UnixStream::connect(self.stats()) {
                Ok(stream) => break stream,
                Err(error) => assert!(sys::clock::now() < end, "no statistics socket: {error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn stats(&self) -> PathBuf {
        self.folder.join("stats")
    }

    /// This program's proxy, in a thread.
    fn start_ours(&self) -> Channel {
        let source = config::Source { path: "haproxy.cfg".to_owned(), text: self.text.clone() };
        let (config, diagnostics) = config::haproxy::parse(&[source], 0);
        let errors: Vec<_> =
            diagnostics.iter().filter(|d| d.severity == config::Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:?}");
        let options = sys::socket::Listen {
            backlog: 64,
            transparent: false,
            reuse_port: true,
            interface: None,
        };
        let bind = |name: &&str| {
            let fd = sys::socket::listen_tcp(self.at(name), &options).unwrap();
            (SocketName::Bind { proxy: (*name).to_owned(), index: 0 }, fd)
        };
        let mut sockets: Vec<(SocketName, OwnedFd)> = self.proxies.iter().map(bind).collect();
        let stats = sys::socket::listen_unix(&self.stats(), Some(0o600)).unwrap();
        sockets.push((SocketName::Stats { index: 0 }, stats));
        let (supervisor, channel) = Channel::pair().unwrap();
        std::thread::spawn(move || {
            let (start, cluster, life) = (start(), None, None);
            drop(outlast_proxy::run(outlast_proxy::Setup {
                start,
                config,
                cluster,
                sockets,
                life,
                channel,
            }));
        });
        let mut bytes = Vec::new();
        api::encode(&Order::Activate, &mut bytes);
        supervisor.send(&bytes, &[]).unwrap();
        until_serving(&supervisor);
        supervisor
    }

    fn start_haproxy(&self) -> Child {
        let file = self.folder.join("haproxy.cfg");
        std::fs::write(&file, &self.text).unwrap();
        let process = Command::new(HAPROXY)
            .args(["-db", "-f"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It answers once everything listens.
        self.ask("show backend");
        process
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        match self.running.take() {
            // Its threads end when the supervisor's side of the channel is gone.
            Some(Running::Ours(channel)) => drop(channel),
            Some(Running::Theirs(mut process)) => {
                drop(process.kill());
                drop(process.wait());
            }
            None => {}
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn start() -> api::Start {
    api::Start {
        mode: api::Mode::Strict,
        node: "node01".to_owned(),
        generation: 1,
        life: 1,
        run_dir: String::new(),
        state_dir: String::new(),
        breaks: Vec::new(),
        files: Vec::new(),
        sockets: Vec::new(),
        adopt: Vec::new(),
        leftovers: Vec::new(),
        closed: false,
        heir: false,
        voters: None,
        servers: Vec::new(),
        choices: Vec::new(),
        nodes: Vec::new(),
    }
}

fn until_serving(channel: &Channel) {
    let poller = Poller::new().unwrap();
    poller.add(channel.as_fd(), 0, Interest::READ).unwrap();
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

fn skip(test: &str, reason: &str) {
    let line = format!("SKIP {test}: {reason}\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
    if let Some(path) = std::env::var_os("OUTLAST_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        drop(file.and_then(|mut file| file.write_all(line.as_bytes())));
    }
}
