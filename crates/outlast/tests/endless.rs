//! What never ends fills no memory: 100 MB in one line, to every parser of the running program.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

const OUTLAST: &str = env!("CARGO_BIN_EXE_outlast");
const LINE: usize = 100 * MEGABYTE;
const MEGABYTE: usize = 1 << 20;
const KILOBYTE: usize = 1 << 10;
/// What takes a second on an idle machine may take this long on a loaded one.
const PATIENCE: Duration = Duration::from_secs(30);

/// Address space that `config check` needs before it reads anything: its own text, stacks, the C
/// library's arenas (kilobytes).
const BASE: usize = 160 * KILOBYTE;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("outlast-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the machine of a test can do this");
        Self(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("the machine of a test can do this");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Runs `config check` in so much address space: what needs more is killed by its allocator.
fn check(file: &Path, kilobytes: usize) -> Output {
    let limited = format!("ulimit -v {kilobytes}; exec \"$0\" config check \"$1\"");
    Command::new("sh")
        .args(["-c", &limited, OUTLAST])
        .arg(file)
        .output()
        .expect("the machine of a test can do this")
}

const FILES: [(&str, &str); 3] = [
    ("haproxy.cfg", "listen a\n bind :80\n # "),
    ("keepalived.conf", "vrrp_instance a {\n interface "),
    ("outlast.toml", "[cluster]\nname = \""),
];

#[test]
fn a_file_with_a_line_of_100_mb_is_refused_unread() {
    let folder = Folder::new("endless-files");
    for (name, start) in FILES {
        let mut text = start.as_bytes().to_vec();
        text.resize(LINE, b'x');
        let output = check(&folder.write(name, text), BASE);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{name}: {output:?}");
        assert!(said.contains(name) && said.contains("larger than 16777216 bytes"), "{said}");
    }
}

#[test]
fn a_device_that_never_ends_is_refused() {
    let output = check(Path::new("/dev/zero"), BASE + 4 * 16 * KILOBYTE);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("larger than"), "{output:?}");
}

/// One line of 16 MB of each kind that is worst for a reader, in memory of six times that.
#[test]
fn the_largest_line_that_is_read_takes_a_few_times_its_size() {
    let folder = Folder::new("large-lines");
    let most = 16 * MEGABYTE - KILOBYTE;
    let look = |name: &str, start: &str| {
        for piece in ["x", "x ", "}", "\n", "[", "\u{1}", "\nlisten a\n", "\ndefaults a\n"] {
            let text = format!("{start}{}", piece.repeat(most / piece.len()));
            let began = sys::clock::now();
            let output = check(&folder.write(name, text), BASE + 6 * 16 * KILOBYTE);
            eprintln!("{name} of {piece:?}: {:?}", sys::clock::now().since(began));
            assert!(output.status.code().is_some(), "{name} of {piece:?}: {output:?}");
            let said = output.stdout.len();
            assert!(said < 2 * MEGABYTE, "{name} of {piece:?}: {said} bytes of output");
        }
    };
    // Each reader by itself: a program that is not optimised takes a second for a line.
    thread::scope(|scope| {
        for (name, start) in FILES {
            scope.spawn(move || look(name, start));
        }
    });
}

/// The balancer, called as haproxy, with a web listener, a database that is checked, a statistics socket.
struct Balancer {
    child: Child,
    folder: Folder,
    server: TcpListener,
    database: TcpListener,
}

impl Balancer {
    fn start(name: &str) -> Self {
        let folder = Folder::new(name);
        let listen = || {
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the machine of a test can do this")
        };
        let (server, database) = (listen(), listen());
        let at = |listener: &TcpListener| {
            listener.local_addr().expect("the machine of a test can do this")
        };
        let text = format!(
            "global\n nbthread 1\n stats socket {0}/stats level admin\ndefaults\n mode http\n \
             timeout connect 5s\n timeout client 30s\n timeout server 30s\n timeout check 10s\n\
             listen web\n bind unix@{0}/web\n server s {1}\n\
             listen db\n mode tcp\n bind unix@{0}/db\n option mysql-check user haproxy\n \
             server s {2} check inter 200ms\n",
            folder.0.display(),
            at(&server),
            at(&database),
        );
        let file = folder.write("haproxy.cfg", text);
        let haproxy = folder.0.join("haproxy");
        symlink(OUTLAST, &haproxy).expect("the machine of a test can do this");
        let mut command = Command::new(haproxy);
        command.arg("-db").arg("-f").arg(file).stdin(Stdio::null()).stdout(Stdio::null());
        let log =
            fs::File::create(folder.0.join("log")).expect("the machine of a test can do this");
        let child = command.stderr(log).spawn().expect("the machine of a test can do this");
        let balancer = Self { child, folder, server, database };
        // The sockets are there before those who serve them; what starts still grows.
        balancer
            .until("it answers", || balancer.ask("show info").is_ok_and(|said| !said.is_empty()));
        let (mut seen, mut since) = (Vec::new(), sys::clock::now());
        balancer.until("nothing starts any more", || {
            let now = sys::clock::now();
            let sizes = balancer.processes().into_iter().map(|pid| (pid, peak(pid))).collect();
            let sizes: Vec<_> = sizes;
            if seen != sizes {
                seen = sizes;
                since = now;
            }
            now.since(since) > Duration::from_secs(1)
        });
        balancer
    }

    fn connect(&self, name: &str) -> io::Result<UnixStream> {
        let stream = UnixStream::connect(self.folder.0.join(name))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // A reader that has stopped reading has stopped growing.
        stream.set_write_timeout(Some(Duration::from_secs(3)))?;
        Ok(stream)
    }

    fn ask(&self, command: &str) -> io::Result<String> {
        let mut stream = self.connect("stats")?;
        stream.write_all(command.as_bytes())?;
        stream.write_all(b"\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text)
    }

    fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let end = sys::clock::now() + PATIENCE;
        while !condition() {
            let log = fs::read_to_string(self.folder.0.join("log")).unwrap_or_default();
            assert!(sys::clock::now() < end, "waited {PATIENCE:?} in vain: {what}\n{log}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// It and its children, as the kernel lists them.
    fn processes(&self) -> Vec<u32> {
        let mut all = vec![self.child.id()];
        let mut at = 0;
        while let Some(pid) = all.get(at).copied() {
            at += 1;
            for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                let children = fs::read_to_string(task.path().join("children"));
                let children = children.unwrap_or_default();
                all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            }
        }
        all
    }

    /// By how many kilobytes the peak of any process grew while `attack` ran.
    fn growth(&self, attack: impl FnOnce()) -> usize {
        // From here on the peak is counted anew (proc_pid_clear_refs(5)).
        let anew = |pid| {
            fs::write(format!("/proc/{pid}/clear_refs"), "5").ok()?;
            Some((pid, peak(pid)?))
        };
        let before: Vec<(u32, usize)> = self.processes().into_iter().filter_map(anew).collect();
        assert!(before.len() >= 2, "supervisor and proxy: {before:?}");
        attack();
        let grown = before.iter().map(|(pid, before)| {
            let after = peak(*pid).unwrap_or_else(|| panic!("process {pid} has ended"));
            let who = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let own = if who.contains("agent") { OF_AGENT } else { 0 };
            (after.saturating_sub(before + own), who)
        });
        let (most, who) = grown.max().unwrap_or_default();
        eprintln!("the largest growth of a process: {most} KB ({})", who.replace('\0', " "));
        most
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // In order, so that its folder goes with it.
        drop(Command::new("kill").arg(self.child.id().to_string()).status());
        drop(self.child.wait());
    }
}

/// VmHWM in kilobytes; none: it has ended.
fn peak(pid: u32) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Writes up to 100 MB of `piece` and says how much was taken before the other side had enough.
fn flood(stream: &mut impl Write, piece: &str) -> usize {
    let block = piece.repeat(64 * KILOBYTE / piece.len());
    let mut sent = 0;
    while sent < LINE {
        match stream.write(block.as_bytes()) {
            Ok(count) => sent += count,
            Err(_) => break,
        }
    }
    sent
}

fn answer(mut stream: impl Read) -> String {
    let mut text = vec![0; 4096];
    let count = stream.read(&mut text).unwrap_or(0);
    String::from_utf8_lossy(&text[..count]).into_owned()
}

/// What the agent takes for work of its own meanwhile (KB); no client reaches it.
const OF_AGENT: usize = 1024;
/// Pages of the allocator, of buffers kept for the next one, and of code touched for the first time.
const FEW: usize = 400;

#[test]
fn endless_heads_chunk_sizes_and_commands_fill_nothing() {
    let balancer = Balancer::start("endless");
    let floods = [
        ("web", "GET / HTTP/1.1\r\nA: ", "x", "HTTP/1.1 400 "),
        ("web", "GET /", "a", "HTTP/1.1 400 "),
        ("web", "GET / HTTP/1.1\r\n", "A: b\r\n", "HTTP/1.1 400 "),
        (
            "web",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "1",
            "HTTP/1.1 400 ",
        ),
        ("web", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", "e", "HTTP/1.1 400 "),
        (
            "web",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            "T: x\r\n",
            "HTTP/1.1 400 ",
        ),
        ("stats", "show ", "info ", ""),
        ("stats", "", "show stat;", ""),
        ("stats", "prompt\n", "show stat\n", ""),
    ];
    // The first of everything touches code and buffers that stay.
    for (socket, start, ..) in floods {
        let mut stream = balancer.connect(socket).unwrap();
        stream.write_all(start.as_bytes()).unwrap();
    }
    for (socket, start, piece, expected) in floods {
        let grown = balancer.growth(|| {
            let mut stream = balancer.connect(socket).unwrap();
            stream.write_all(start.as_bytes()).unwrap();
            let sent = flood(&mut stream, piece);
            assert!(sent < LINE, "{start:?} {piece:?}: all {sent} bytes were taken");
            let said = answer(stream);
            assert!(said.starts_with(expected), "{start:?} {piece:?}: {said:?}");
        });
        assert!(grown <= FEW, "{start:?} and endless {piece:?}: {grown} KB");
    }
    drop(balancer.server.set_nonblocking(true));
}

#[test]
fn an_endless_greeting_of_a_database_fills_nothing() {
    let balancer = Balancer::start("greeting");
    // No packet, then one of 16 KB, then many small ones.
    for start in [&b"\xff\xff\xff\x00"[..], b"\xf0\x3f\x00\x00\x0a", b""] {
        let greet = || {
            let (mut stream, _) = balancer.database.accept().unwrap();
            stream.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
            drop(stream.write_all(start));
            flood(&mut stream, "x")
        };
        greet();
        let grown = balancer.growth(|| {
            let sent = greet();
            assert!(sent < LINE, "{start:?}: all {sent} bytes were taken");
        });
        assert!(grown <= FEW, "{start:?}: {grown} KB");
    }
    let text = balancer.ask("show stat").unwrap();
    let row = text.lines().find(|line| line.starts_with("db,s,")).unwrap();
    assert!(row.contains("DOWN") || row.contains("L7RSP"), "{row}");
}

#[test]
fn an_endless_answer_of_a_server_fills_nothing() {
    let balancer = Balancer::start("answers");
    for (start, piece) in
        [("HTTP/1.1 200 OK\r\nA: ", "x"), ("HTTP/1.1 200 OK\r\n", "A: b\r\n"), ("", "x")]
    {
        let grown = balancer.growth(|| {
            let mut client = balancer.connect("web").unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            let (mut server, _) = balancer.server.accept().unwrap();
            server.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
            server.write_all(start.as_bytes()).unwrap();
            let sent = flood(&mut server, piece);
            assert!(sent < LINE, "{start:?} {piece:?}: all {sent} bytes were taken");
            let said = answer(client);
            assert!(said.starts_with("HTTP/1.1 502 "), "{start:?} {piece:?}: {said:?}");
        });
        assert!(grown <= FEW, "{start:?} and endless {piece:?}: {grown} KB");
    }
}

#[test]
fn a_client_that_reads_nothing_holds_a_server_back() {
    let balancer = Balancer::start("slow");
    // The first request touches code and buffers that stay.
    let mut client = balancer.connect("web").unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let (mut server, _) = balancer.server.accept().unwrap();
    server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    assert!(answer(client).starts_with("HTTP/1.1 200 "));
    drop(server);
    let grown = balancer.growth(|| {
        let mut client = balancer.connect("web").unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let (mut server, _): (TcpStream, _) = balancer.server.accept().unwrap();
        server.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
        server.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n").unwrap();
        let sent = flood(&mut server, "x");
        assert!(sent < LINE, "all {sent} bytes were taken, and nobody reads them");
    });
    assert!(grown <= FEW, "{grown} KB");
}
