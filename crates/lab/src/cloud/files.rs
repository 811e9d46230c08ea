//! The configuration files of the demo, put into its network.
//!
//! Whatever addresses, devices and folders the given files name, a copy with those of the demo is
//! what runs; every replacement is told. Nothing else is changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use super::network::{VIP, address};

pub(crate) const NODES: u8 = 3;
const EXAMPLE_HAPROXY: &str = include_str!("../../../../examples/three-controllers/haproxy.cfg");
const EXAMPLE_KEEPALIVED: &str =
    include_str!("../../../../examples/three-controllers/keepalived.conf");
const EXAMPLE_CLUSTER: &str = include_str!("../../../../examples/three-controllers/outlast.toml");
/// Only the demo's own packets are sealed with it, inside namespaces nobody else is in.
const SECRET: &str = "the-demo-runs-in-namespaces-of-its-own-0123456789abcdef";

/// Files as the user has them.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    haproxy: String,
    keepalived: String,
    /// None: the demo writes one that names the two files.
    cluster: Option<String>,
}

impl Given {
    #[must_use]
    pub(crate) fn example() -> Self {
        Self {
            haproxy: EXAMPLE_HAPROXY.into(),
            keepalived: EXAMPLE_KEEPALIVED.into(),
            cluster: Some(EXAMPLE_CLUSTER.into()),
        }
    }

    #[must_use]
    pub(crate) fn own(haproxy: String, keepalived: Option<String>) -> Self {
        let keepalived = keepalived.unwrap_or_else(|| EXAMPLE_KEEPALIVED.into());
        Self { haproxy, keepalived, cluster: None }
    }
}

/// Why the files cannot run in the demo.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    #[error("the balancer file names {0} servers' addresses, the demo has {NODES} nodes")]
    Servers(usize),
    #[error("the balancer file has no listener on an address that is not a server's own")]
    NoListener,
    #[error("the demo measures a database listener too: add one with `option mysql-check`")]
    NoDatabase,
}

/// What the demo runs, for every node.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    haproxy: String,
    keepalived: String,
    cluster: Option<String>,
    plain: bool,
    /// Listener the client asks over HTTP.
    pub(crate) api: u16,
    /// Listener the client asks in MySQL's language.
    pub(crate) database: u16,
    /// Ports of HTTP servers on every node.
    pub(crate) web_ports: Vec<u16>,
    pub(crate) database_ports: Vec<u16>,
    /// The virtual IP of the cluster file is held by votes.
    voted: bool,
    /// Between two beats of vip processes, in milliseconds, if not as usual.
    vip_beat_ms: Option<u8>,
    /// Ports of log servers; one is on every node.
    pub(crate) log_ports: Vec<u16>,
    /// What was replaced, for the user.
    pub(crate) notes: Vec<String>,
}

/// One proxy, as far as the demo has to know it.
#[derive(Clone, Debug, Default)]
struct Proxy {
    tcp: bool,
    mysql: bool,
    binds: Vec<(Ipv4Addr, u16)>,
    servers: Vec<(Ipv4Addr, u16)>,
}

impl Files {
    /// Reads what has to be known and works out the replacements. `plain`: without the rights of
    /// root, so without users and a changed root folder.
    ///
    /// # Errors
    /// When the files do not fit a cloud of three nodes.
    pub(crate) fn new(given: &Given, plain: bool) -> Result<Self, FilesError> {
        let proxies = proxies(&given.haproxy);
        let (addresses, notes) = replacements(given, &proxies)?;
        let serving = |p: &&Proxy| !p.servers.is_empty() && !p.binds.is_empty();
        let api = proxies.iter().filter(serving).filter(|p| !p.tcp).map(|p| p.binds[0].1);
        let api = api.clone().find(|port| *port == 5000).or_else(|| api.clone().next());
        let database = proxies.iter().filter(serving).find(|p| p.mysql).map(|p| p.binds[0].1);
        let ports = |mysql: bool| {
            let chosen = proxies.iter().filter(|p| p.mysql == mysql);
            let mut ports: Vec<u16> = chosen.flat_map(|p| p.servers.iter().map(|s| s.1)).collect();
            ports.sort_unstable();
            ports.dedup();
            ports
        };
        Ok(Self {
            haproxy: replace_addresses(&given.haproxy, &addresses),
            keepalived: replace_addresses(&given.keepalived, &addresses),
            cluster: given.cluster.as_ref().map(|text| replace_addresses(text, &addresses)),
            plain,
            voted: false,
            vip_beat_ms: None,
            api: api.ok_or(FilesError::NoListener)?,
            database: database.ok_or(FilesError::NoDatabase)?,
            web_ports: ports(false),
            database_ports: ports(true),
            log_ports: log_ports(&given.haproxy),
            notes,
        })
    }

    /// Virtual IPs from keepalived's file, as a group with foreign routers needs them.
    #[must_use]
    pub(crate) fn without_cluster_file(given: Given) -> Given {
        Given { cluster: None, ..given }
    }

    /// The same, with a vip lease.
    #[must_use]
    pub(crate) fn by_votes(self, vip_beat_ms: Option<u8>) -> Self {
        Self { voted: true, vip_beat_ms, ..self }
    }

    /// Writes the files of one node into its folder. `server_timeout` replaces that of the
    /// `defaults` sections.
    pub(crate) fn write(
        &self,
        folder: &Path,
        priority: u8,
        server_timeout: Option<&str>,
    ) -> std::io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        std::fs::create_dir_all(folder.join("chroot"))?;
        std::fs::write(folder.join("haproxy.cfg"), self.haproxy_of(folder, server_timeout))?;
        std::fs::write(folder.join("keepalived.conf"), self.keepalived_of(folder, priority))?;
        std::fs::write(folder.join("outlast.toml"), self.cluster_file())?;
        std::fs::write(folder.join("secret"), SECRET)?;
        let mode = |name: &str, mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder.join(name), permissions)
        };
        mode("secret", 0o600)?;
        let check = format!(
            "#!/bin/sh\necho 'show info' | socat unix-connect:{}/haproxy.sock stdio > /dev/null\n",
            folder.display()
        );
        std::fs::write(folder.join("check_alive.sh"), check)?;
        mode("check_alive.sh", 0o755)
    }

    /// Folders of the node, its users only where they can be had.
    fn haproxy_of(&self, folder: &Path, server_timeout: Option<&str>) -> String {
        let mut text = String::new();
        let mut section = String::new();
        for line in self.haproxy.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let first = words.first().copied().unwrap_or_default();
            if SECTIONS.contains(&first) {
                section = first.to_owned();
            }
            let folder = folder.display();
            let replaced = match (first, words.get(1).copied()) {
                ("user" | "group", _) if self.plain && section == "global" => continue,
                ("chroot", _) if self.plain => continue,
                ("chroot", _) => format!("chroot {folder}/chroot"),
                ("pidfile", _) => format!("pidfile {folder}/haproxy.pid"),
                ("stats", Some("socket")) => {
                    let rest = words.get(3..).unwrap_or_default().join(" ");
                    format!("stats socket {folder}/haproxy.sock {rest}").trim_end().to_owned()
                }
                ("timeout", Some("server")) if section == "defaults" => server_timeout
                    .map_or_else(|| line.to_owned(), |t| format!("timeout server {t}")),
                _ => line.to_owned(),
            };
            text.push_str(&replaced);
            text.push('\n');
        }
        text
    }

    /// The demo's device, a check script that asks this node's balancer, a priority per node.
    fn keepalived_of(&self, folder: &Path, priority: u8) -> String {
        let user = if self.keepalived.contains("script_user") { "" } else { "script_user root" };
        let mut text = format!("global_defs {{\n    {user}\n}}\n");
        for line in self.keepalived.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let replaced = match words[..] {
                ["interface", _] => "    interface eth0".to_owned(),
                ["priority", _] => format!("    priority {priority}"),
                ["script", ..] => format!("    script \"{}/check_alive.sh\"", folder.display()),
                [ip, "dev", _, ..] => format!("        {ip} dev eth0"),
                _ => line.to_owned(),
            };
            text.push_str(&replaced);
            text.push('\n');
        }
        text
    }

    fn cluster_file(&self) -> String {
        let mut text = String::new();
        let Some(given) = &self.cluster else {
            text.push_str("[cluster]\nname = \"demo\"\nsecret_file = \"secret\"\n");
            text.push_str("haproxy = \"haproxy.cfg\"\nkeepalived = \"keepalived.conf\"\n");
            for node in 0..NODES {
                let (management, storage) = (address(node, 0), address(node, 1));
                let number = node + 1;
                let _infallible = write!(
                    text,
                    "[node.node0{number}]\n\
                     networks = {{ management = \"{management}\", storage = \"{storage}\" }}\n"
                );
            }
            return text;
        };
        for line in given.lines() {
            let key = line.split('=').next().unwrap_or_default().trim();
            let replaced = match key {
                "secret_file" => "secret_file = \"secret\"",
                "haproxy" => "haproxy = \"haproxy.cfg\"",
                "keepalived" => "keepalived = \"keepalived.conf\"",
                "run_dir" | "state_dir" => continue,
                "router_id" if self.voted => {
                    text.push_str("lease = true\n");
                    line
                }
                _ => line,
            };
            text.push_str(replaced);
            text.push('\n');
            if let Some(beat) = self.vip_beat_ms.filter(|_| line.trim() == "[cluster]") {
                text.push_str(&format!("vip_beat = \"{beat}ms\"\n"));
            }
        }
        text
    }
}

const SECTIONS: [&str; 6] = ["global", "defaults", "listen", "frontend", "backend", "peers"];

fn proxies(text: &str) -> Vec<Proxy> {
    let mut proxies: Vec<Proxy> = Vec::new();
    let mut default_tcp = true;
    let mut section = "";
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(&first) = words.first() else { continue };
        if SECTIONS.contains(&first) {
            section = first;
            match first {
                // HAProxy's own default mode is tcp.
                "defaults" => default_tcp = true,
                _ => proxies.push(Proxy { tcp: default_tcp, ..Proxy::default() }),
            }
            continue;
        }
        let tcp = (words.len() > 1 && first == "mode").then(|| words[1] == "tcp");
        if section == "defaults" {
            default_tcp = tcp.unwrap_or(default_tcp);
            continue;
        }
        let Some(proxy) = proxies.last_mut() else { continue };
        proxy.tcp = tcp.unwrap_or(proxy.tcp);
        match words[..] {
            ["bind", place, ..] => proxy.binds.extend(place.split(',').filter_map(socket_of)),
            ["server", _, place, ..] => proxy.servers.extend(socket_of(place)),
            ["option", "mysql-check", ..] => proxy.mysql = true,
            _ => {}
        }
    }
    proxies
}

/// Where lines are logged to over UDP.
fn log_ports(text: &str) -> Vec<u16> {
    let target = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["log", target, ..] => socket_of(target).map(|(_, port)| port),
        _ => None,
    };
    let mut ports: Vec<u16> = text.lines().filter_map(target).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn socket_of(text: &str) -> Option<(Ipv4Addr, u16)> {
    let (ip, port) = text.split_once(':')?;
    Some((ip.parse().ok()?, port.parse().ok()?))
}

type Replacements = BTreeMap<Ipv4Addr, Ipv4Addr>;

/// Server addresses become nodes in the order of their appearance; the other listening addresses,
/// and those keepalived holds, become virtual IPs.
fn replacements(
    given: &Given,
    proxies: &[Proxy],
) -> Result<(Replacements, Vec<String>), FilesError> {
    let mut nodes: Vec<Ipv4Addr> = Vec::new();
    for (ip, _) in proxies.iter().flat_map(|p| &p.servers) {
        if !nodes.contains(ip) {
            nodes.push(*ip);
        }
    }
    if nodes.len() > usize::from(NODES) {
        return Err(FilesError::Servers(nodes.len()));
    }
    let mut vips: Vec<Ipv4Addr> = Vec::new();
    let bound = proxies.iter().flat_map(|p| &p.binds).map(|(ip, _)| *ip);
    let held = given.keepalived.lines().filter_map(|line| {
        let word = line.split_whitespace().next()?;
        word.split('/').next()?.parse().ok()
    });
    for ip in bound.chain(held) {
        if !nodes.contains(&ip) && !vips.contains(&ip) && !ip.is_unspecified() {
            vips.push(ip);
        }
    }
    if vips.is_empty() {
        return Err(FilesError::NoListener);
    }
    let mut all = Replacements::new();
    let mut notes = Vec::new();
    let mut map = |from: Ipv4Addr, to: Ipv4Addr, what: &str| {
        all.insert(from, to);
        if from != to {
            notes.push(format!("{from} -> {to} ({what})"));
        }
    };
    for (number, ip) in (0_u8..).zip(&nodes) {
        map(*ip, address(number, 0), &format!("node0{}", number + 1));
    }
    for (number, ip) in (0_u8..).zip(&vips) {
        let [a, b, c, d] = VIP.octets();
        map(*ip, Ipv4Addr::new(a, b, c, d.saturating_sub(number)), "virtual IP");
    }
    Ok((all, notes))
}

fn replace_addresses(text: &str, addresses: &Replacements) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let tail = &rest[start..];
        let end = tail.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(tail.len());
        out.push_str(&rest[..start]);
        let word = &tail[..end];
        match word.parse().ok().and_then(|ip: Ipv4Addr| addresses.get(&ip)) {
            Some(to) => out.push_str(&to.to_string()),
            None => out.push_str(word),
        }
        rest = &tail[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
