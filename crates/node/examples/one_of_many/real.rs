//! The nodes that are real, and what is asked of them.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use api::{Answer, Ask, Status};

const FOLDER: &str = "/run/many";
pub(crate) const PORT: u16 = 7411;
/// Of the first node's dashboard; each has its own.
const DASHBOARD: u16 = 7500;
pub(crate) const SECRET: &str = "a secret of very many nodes on one loopback device";
pub(crate) const CLUSTER: &str = "many";
/// How often each thing is looked at.
const LOOKS: usize = 5;

/// Who is who.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub members: u16,
    /// So many of the first nodes are controllers.
    pub controllers: u16,
    pub networks: u8,
    /// Positions of the nodes that are real.
    pub real: Range<u16>,
    pub program: PathBuf,
    /// Begins the names of the numbers.
    pub word: &'static str,
}

impl Plan {
    /// The last node is the real one.
    pub(crate) fn of_a_compute_node(members: u16, program: PathBuf) -> Self {
        let real = members - 1..members;
        Self { members, controllers: 5, networks: 2, real, program, word: "member" }
    }

    pub(crate) fn of_controllers(members: u16, program: PathBuf) -> Self {
        Self { members, controllers: 3, networks: 2, real: 0..3, program, word: "controller" }
    }

    /// Controllers serve pages and metrics, and keep a store.
    pub(crate) fn has_dashboards(&self) -> bool {
        self.real.start < self.controllers
    }

    fn file(&self, node: u16) -> String {
        let mut text = format!(
            "[cluster]\nname = \"{CLUSTER}\"\nsecret_file = \"secret\"\nport = {PORT}\n[dashboard]\n"
        );
        // A text takes all of it.
        let _ = if self.has_dashboards() {
            writeln!(text, "listen = \"{}\"\n[store]", dashboard(node))
        } else {
            writeln!(text, "listen = \"none\"")
        };
        text.push_str("[node]\n");
        for node in 0..self.members {
            let role = if node < self.controllers { "controller" } else { "compute" };
            let (one, two) = (address(node, 0), address(node, 1));
            let _ = writeln!(
                text,
                "{} = {{ role = \"{role}\", networks = {{ one = \"{one}\", two = \"{two}\" }} }}",
                name(node)
            );
        }
        text
    }
}

fn name(node: u16) -> String {
    format!("n{node:04}")
}

pub(crate) fn address(node: u16, network: u8) -> Ipv4Addr {
    let [high, low] = (node + 1).to_be_bytes();
    Ipv4Addr::new(127, network + 1, high, low)
}

fn dashboard(node: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), DASHBOARD + node)
}

/// Their processes; they end with it.
#[derive(Debug)]
pub(crate) struct Real {
    nodes: Vec<(u16, Child)>,
}

impl Real {
    pub(crate) fn start(plan: &Plan) -> io::Result<Self> {
        let mut real = Self { nodes: vec![] };
        for node in plan.real.clone() {
            let folder = PathBuf::from(FOLDER).join(name(node));
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join("outlast.toml"), plan.file(node))?;
            std::fs::write(folder.join("secret"), SECRET)?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(folder.join("secret"), mode)?;
            let mut run = Command::new(&plan.program);
            run.args(["run", "--node", &name(node), "--config"]).arg(folder.join("outlast.toml"));
            run.arg("--run-dir").arg(folder.join("run"));
            run.arg("--state-dir").arg(folder.join("state")).stdout(io::stderr());
            real.nodes.push((node, run.spawn()?));
        }
        Ok(real)
    }

    pub(crate) fn nodes(&self) -> impl ExactSizeIterator<Item = u16> + '_ {
        self.nodes.iter().map(|(node, _)| *node)
    }

    pub(crate) fn run_dir(&self, node: u16) -> PathBuf {
        Path::new(FOLDER).join(name(node)).join("run")
    }

    pub(crate) fn dashboard(&self, node: u16) -> SocketAddr {
        dashboard(node)
    }

    pub(crate) fn status(&self, node: u16) -> io::Result<Status> {
        match api::decode(asked(&self.run_dir(node))?.trim_ascii()) {
            Ok(Answer::Status(status)) => Ok(*status),
            Ok(_) | Err(_) => Err(io::Error::other("no status")),
        }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        for (_, supervisor) in &mut self.nodes {
            // The namespace ends what a SIGKILL of the supervisor leaves.
            drop(supervisor.kill());
            drop(supervisor.wait());
        }
    }
}

/// The agent's answer to a question for the status.
fn asked(run_dir: &Path) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(run_dir.join("control.sock"))?;
    let mut line = vec![];
    api::encode(&Ask::Status, &mut line);
    line.push(b'\n');
    stream.write_all(&line)?;
    line.clear();
    BufReader::new(stream).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// The body of a page.
pub(crate) fn get(at: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(at)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {at}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("{path}: {}", text.lines().next().unwrap_or_default()))),
    }
}

/// Largest size and longest time of everything that is looked at, with their names.
pub(crate) fn looks(
    at: SocketAddr,
    run_dir: &Path,
    program: &Path,
) -> io::Result<Vec<(String, f64)>> {
    let mut seen = vec![];
    let mut note = |name: &str, value: f64| match seen.iter_mut().find(|(of, _)| of == name) {
        Some((_, most)) => *most = value.max(*most),
        None => seen.push((name.to_owned(), value)),
    };
    let count = |number: usize| super::float(u64::try_from(number).unwrap_or(u64::MAX));
    let since = |begin| sys::clock::now().since(begin).as_secs_f64() * 1e3;
    for _ in 0..LOOKS {
        for (path, what) in
            [("/", "first page"), ("/cluster", "cluster page"), ("/metrics", "metrics")]
        {
            let begin = sys::clock::now();
            let body = get(at, path)?;
            note(&format!("{what} ms"), since(begin));
            note(&format!("{what} bytes"), count(body.len()));
            if path == "/metrics" {
                let samples = body.lines().filter(|line| !line.starts_with('#'));
                note("metrics samples", count(samples.count()));
            }
        }
        let begin = sys::clock::now();
        let output = Command::new(program).arg("status").arg("--run-dir").arg(run_dir).output()?;
        note("status ms", since(begin));
        let lines = output.stdout.iter().filter(|byte| **byte == b'\n').count();
        if lines == 0 {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        note("status lines", count(lines));
        note("status bytes", count(output.stdout.len()));
        let begin = sys::clock::now();
        let answer = asked(run_dir)?;
        note("answer ms", since(begin));
        note("answer bytes", count(answer.len()));
    }
    Ok(seen)
}
