//! A small configuration for the tests of checks, logs and statistics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::{Span, Time};
use config::haproxy::{
    Check, Global, Haproxy, LogFormat, LogTarget, LogTo, Mode, Proxy, ProxyKind, Server, StatsPage,
};

use crate::view::View;

pub(crate) fn server(name: &str, address: SocketAddr) -> Server {
    Server {
        name: name.to_owned(),
        address,
        backup: false,
        disabled: false,
        weight: 1,
        maxconn: None,
        check: Some(Check {
            interval: Duration::from_secs(2),
            fast_interval: None,
            down_interval: None,
            rise: 2,
            fall: 3,
            address: None,
            port: None,
        }),
        rise: 2,
        span: Span::default(),
    }
}

pub(crate) fn proxy(name: &str, mode: Mode, servers: Vec<Server>) -> Proxy {
    let log_format = match mode {
        Mode::Http => LogFormat::Http,
        Mode::Tcp => LogFormat::Tcp,
    };
    Proxy { mode, servers, log_format, ..Proxy::new(name, ProxyKind::Listen) }
}

pub(crate) fn page(auth: &[(&str, &str)]) -> StatsPage {
    StatsPage {
        uri: "/".to_owned(),
        refresh: Some(Duration::from_secs(15)),
        realm: "Haproxy Stats".to_owned(),
        auth: auth.iter().map(|(user, word)| ((*user).to_owned(), (*word).to_owned())).collect(),
        admin: false,
        hide_version: false,
        scope: Vec::new(),
        legends: false,
        node: None,
        description: None,
    }
}

pub(crate) fn log_to(address: SocketAddr) -> LogTarget {
    LogTarget { to: LogTo::Udp(address), facility: 17, level: 7, min_level: 0 }
}

/// `api` (HTTP: node01, node02, node03 as backup), `db` (TCP: node01), `stats` (a page).
pub(crate) fn three_proxies() -> Vec<Proxy> {
    let at = |host: u8, port: u16| SocketAddr::from(([127, 10, 0, host], port));
    let mut third = server("node03", at(43, 9000));
    third.backup = true;
    let api = vec![server("node01", at(41, 9000)), server("node02", at(42, 9000)), third];
    let mut stats = proxy("stats", Mode::Http, Vec::new());
    stats.stats = Some(page(&[("openstack", "secret")]));
    vec![
        proxy("api", Mode::Http, api),
        proxy("db", Mode::Tcp, vec![server("node01", at(41, 3306))]),
        stats,
    ]
}

pub(crate) fn view(proxies: Vec<Proxy>, mode: api::Mode) -> Arc<View> {
    let config = Haproxy { global: Global::default(), proxies };
    View::new(config, mode, "node01", 1, 1000, Time::from_nanos(1_000_000_000), 1_795_478_760_000)
}

/// The same, from a text in HAProxy's language.
pub(crate) fn parsed(text: &str, mode: api::Mode) -> Arc<View> {
    let source = config::Source { path: "haproxy.cfg".to_owned(), text: text.to_owned() };
    let (config, diagnostics) = config::haproxy::parse(&[source], 0);
    let errors: Vec<_> =
        diagnostics.iter().filter(|d| d.severity == config::Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let view = view(config.proxies, mode);
    let mut view = Arc::into_inner(view).expect("nobody else has it yet");
    view.config.global = config.global;
    Arc::new(view)
}

/// Debian's haproxy on a file of ours, until it is dropped.
pub(crate) struct RealHaproxy {
    process: std::process::Child,
    folder: std::path::PathBuf,
}

impl RealHaproxy {
    /// `text` may name `{folder}`. None, after saying so, where there is no haproxy.
    pub(crate) fn start(test: &str, text: &str) -> Option<Self> {
        const PROGRAM: &str = "/usr/sbin/haproxy";
        if !std::path::Path::new(PROGRAM).exists() {
            skip(test, &format!("there is no {PROGRAM}"));
            return None;
        }
        let name = test.rsplit("::").next().unwrap_or(test);
        let folder = std::env::temp_dir().join(format!("outlast-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("haproxy.cfg");
        let text = text.replace("{folder}", folder.to_str().unwrap());
        std::fs::write(&file, text).unwrap();
        let process = std::process::Command::new(PROGRAM)
            .args(["-db", "-f"])
            .arg(file)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { process, folder })
    }

    /// What the stats socket `{folder}/stats` answers.
    pub(crate) fn ask(&self, command: &str) -> String {
        use std::io::{Read, Write};
        let end = sys::clock::now() + Duration::from_secs(20);
        let mut stream = loop {
            match std::os::unix::net::UnixStream::connect(self.folder.join("stats")) {
                Ok(stream) => break stream,
                Err(error) => assert!(sys::clock::now() < end, "haproxy has no socket: {error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for RealHaproxy {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// The line that `cargo xtask test` looks for.
fn skip(test: &str, reason: &str) {
    use std::io::Write;
    let line = format!("SKIP {test}: {reason}\n");
    drop(std::io::stderr().write_all(line.as_bytes()));
    if let Some(path) = std::env::var_os("OUTLAST_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        drop(file.and_then(|mut file| file.write_all(line.as_bytes())));
    }
}
