//! What the files say, in the words in which `status` shows it.

use std::collections::HashMap;
use std::net::IpAddr;

use api::ProxyLine;
use config::cluster::Cluster;
use config::haproxy::{Balance, BindAddress, Haproxy, Mode, Proxy, ProxyKind};
use config::vip::{Protocol, Vip};
use engine::member;

use crate::files::Texts;

/// A virtual IP as the files of this node describe it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct VipName {
    pub(crate) name: String,
    pub(crate) addresses: Vec<String>,
    /// Of this node, on the network of the virtual IP; none: of keepalived's file.
    pub(crate) own: Option<IpAddr>,
    pub(crate) router_id: u8,
    pub(crate) priority: u8,
    /// Nodes that may hold it, the preferred one first.
    pub(crate) order: Vec<String>,
    /// Its check, in words; empty if it has none.
    pub(crate) checks: Vec<String>,
    pub(crate) advert_ms: u64,
    /// Adverts that have to be missing until a holder is gone.
    pub(crate) missing: u8,
    pub(crate) protocol: Protocol,
    pub(crate) preempt: bool,
    /// Where it should be beside others, in words; empty: that is all the same.
    pub(crate) place: Vec<String>,
}

/// Everything that the files name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Instances of this node, by their position in its vip process.
    pub(crate) vips: Vec<VipName>,
    /// Names of the instances of each node, by its position in the cluster file.
    pub(crate) peers: Vec<Vec<String>>,
    /// Addresses of nodes, with their positions in the cluster file.
    pub(crate) addresses: Vec<(IpAddr, usize)>,
    pub(crate) proxies: Vec<ProxyLine>,
    /// Names behind the numbers that travel in beats: proxy, then its servers.
    pub(crate) hashed: HashMap<u32, (String, HashMap<u32, String>)>,
    /// On which node each server's address lives, position in the cluster file: proxy, then server.
    pub(crate) homes: HashMap<String, HashMap<String, usize>>,
    pub(crate) haproxy: Haproxy,
}

impl Names {
    pub(crate) fn new(texts: &Texts, cluster: Option<&Cluster>, me: Option<u16>) -> Self {
        let keepalived =
            texts.keepalived.as_ref().map(|source| config::keepalived::parse(source, 0).0);
        let of = |node: Option<usize>| {
            // Which device it is, the vip process says.
            config::effective_vips(cluster, keepalived.as_ref(), node, false, &|_| None)
                .unwrap_or_default()
        };
        let nodes = cluster.map_or(&[][..], |cluster| &cluster.nodes);
        let everybody: Vec<Vec<Vip>> = (0..cluster
            .map_or(0, |cluster| cluster.controllers().len()))
            .map(|node| of(Some(node)))
            .collect();
        let order = |name: &str| {
            let rank = |node: usize| {
                let vip = everybody[node].iter().find(|vip| vip.name == name && !vip.votes_only)?;
                Some((std::cmp::Reverse(vip.priority), node))
            };
            let mut ranks: Vec<_> = (0..everybody.len()).filter_map(rank).collect();
            ranks.sort_unstable();
            ranks.into_iter().map(|(_, node)| nodes[node].name.clone()).collect()
        };
        let own = |name: &str| cluster?.address_beside(name, usize::from(me?));
        let (haproxy, _) = config::haproxy::parse(&texts.haproxy, 0);
        Self {
            vips: of(me.map(usize::from))
                .into_iter()
                .map(|vip| {
                    let place = cluster.map(|cluster| place(cluster, &vip.name));
                    let place = place.unwrap_or_default();
                    VipName { place, ..vip_name(order(&vip.name), own(&vip.name), vip) }
                })
                .collect(),
            peers: everybody
                .iter()
                .map(|vips| vips.iter().map(|vip| vip.name.clone()).collect())
                .collect(),
            addresses: (0..)
                .zip(nodes)
                .flat_map(|(position, node)| {
                    node.addresses.iter().flatten().map(move |address| (*address, position))
                })
                .collect(),
            proxies: haproxy.proxies.iter().map(|proxy| proxy_line(proxy, cluster)).collect(),
            hashed: hashed(&haproxy),
            homes: homes(&haproxy, nodes),
            haproxy,
        }
    }

    /// The position of the node that has this address.
    pub(crate) fn node_of(&self, address: IpAddr) -> Option<usize> {
        self.addresses.iter().find(|(known, _)| *known == address).map(|(_, node)| *node)
    }

    pub(crate) fn vip(&self, name: &str) -> Option<&VipName> {
        self.vips.iter().find(|vip| vip.name == name)
    }
}

fn vip_name(order: Vec<String>, own: Option<IpAddr>, vip: Vip) -> VipName {
    let scripts = vip.track_scripts.iter().map(|script| format!("script {}", script.name));
    let interfaces = vip.track_interfaces.iter().map(|name| format!("interface {name}"));
    let weighed = vip.weighed_interfaces.iter();
    let weighed = weighed.map(|it| format!("interface {} for the priority", it.name));
    let processes = vip.track_processes.iter().map(|it| format!("processes {}", it.name));
    let files = vip.track_files.iter().map(|it| format!("file {}", it.name));
    let balancer = vip.track_balancer.then(|| "balancer".to_owned());
    VipName {
        addresses: vip.addresses.iter().map(|at| at.ip.to_string()).collect(),
        checks: balancer
            .into_iter()
            .chain(scripts)
            .chain(interfaces)
            .chain(weighed)
            .chain(processes)
            .chain(files)
            .collect(),
        advert_ms: u64::try_from(vip.advert_interval.as_millis()).unwrap_or(u64::MAX),
        missing: vip.down_timer_adverts,
        protocol: vip.protocol,
        name: vip.name,
        own,
        router_id: vip.router_id,
        priority: vip.priority,
        preempt: vip.preempt,
        place: vec![],
        order,
    }
}

/// Where the file wants an address to be beside others.
fn place(cluster: &Cluster, name: &str) -> Vec<String> {
    let Some(vip) = cluster.vips.iter().find(|vip| vip.name == name) else { return vec![] };
    let list = |all: Vec<&str>| all.join(", ");
    let spread = vip.spread.as_ref().map(|group| {
        let others = cluster.vips.iter().filter(|other| other.name != name);
        let others = others.filter(|other| other.spread.as_ref() == Some(group));
        let others = list(others.map(|other| other.name.as_str()).collect());
        format!(
            "it is spread with {others}: five seconds after the last change one moves to a node that holds two fewer"
        )
    });
    let apart = vip.apart_from.iter().filter_map(|other| cluster.vips.get(*other));
    let apart: Vec<&str> = apart.map(|other| other.name.as_str()).collect();
    let apart = (!apart.is_empty())
        .then(|| format!("it shares a node with {} only where no other is left", list(apart)));
    let never = vip.never_with.iter().filter_map(|other| cluster.vips.get(*other));
    let never: Vec<&str> = never.map(|other| other.name.as_str()).collect();
    let never = (!never.is_empty())
        .then(|| format!("it is never on one node with {}, rather nobody holds it", list(never)));
    let follows = vip.follows.then(|| "it moves to the node that coordinates at once".to_owned());
    let others = cluster.vips.iter().filter(|other| other.name != name);
    let bound = others
        .filter(|it| vip.has_lease && it.sync_group.is_some() && it.sync_group == vip.sync_group);
    let bound: Vec<&str> = bound.map(|other| other.name.as_str()).collect();
    let bound = (!bound.is_empty()).then(|| {
        format!("it has one vip lease with {}: one node holds all of them, or none", list(bound))
    });
    bound.into_iter().chain(spread).chain(apart).chain(never).chain(follows).collect()
}

fn proxy_line(proxy: &Proxy, cluster: Option<&Cluster>) -> ProxyLine {
    let balance = match proxy.balance {
        _ if proxy.kind == ProxyKind::Frontend => "",
        Balance::RoundRobin => "roundrobin",
        Balance::Source => "source",
        Balance::LeastConnections => "leastconn",
        Balance::First => "first",
    };
    let by_shape = || proxy.mode == Mode::Tcp && proxy.servers.iter().any(|server| server.backup);
    let is_database = cluster.map_or_else(by_shape, |cluster| cluster.is_database(proxy));
    let kind = match proxy.kind {
        ProxyKind::Listen => "listen",
        ProxyKind::Frontend => "frontend",
        ProxyKind::Backend => "backend",
    };
    let mode = match proxy.mode {
        Mode::Tcp => "tcp",
        Mode::Http => "http",
    };
    ProxyLine {
        name: proxy.name.clone(),
        kind: kind.to_owned(),
        mode: mode.to_owned(),
        binds: proxy.binds.iter().map(|bind| shown(&bind.address)).collect(),
        balance: balance.to_owned(),
        default_backend: proxy.default_backend.clone(),
        one_writer: is_database && !proxy.servers.is_empty(),
    }
}

fn shown(address: &BindAddress) -> String {
    match address {
        BindAddress::Tcp(address) => address.to_string(),
        BindAddress::Unix(path) => path.display().to_string(),
        BindAddress::Descriptor(number) => format!("fd@{number}"),
    }
}

fn homes(
    file: &Haproxy,
    nodes: &[config::cluster::Node],
) -> HashMap<String, HashMap<String, usize>> {
    let home = |address: IpAddr| {
        nodes.iter().position(|node| node.addresses.iter().flatten().any(|own| *own == address))
    };
    file.proxies
        .iter()
        .map(|proxy| {
            let servers = proxy.servers.iter();
            let at = servers.filter_map(|s| Some((s.name.clone(), home(s.address.ip())?)));
            (proxy.name.clone(), at.collect())
        })
        .collect()
}

fn hashed(file: &Haproxy) -> HashMap<u32, (String, HashMap<u32, String>)> {
    let hash = member::Choice::hash;
    file.proxies
        .iter()
        .map(|proxy| {
            let servers =
                proxy.servers.iter().map(|server| (hash(&server.name), server.name.clone()));
            (hash(&proxy.name), (proxy.name.clone(), servers.collect()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "[cluster]\nname = \"c\"\nhaproxy = \"h\"\n\
        [node.node01]\nnetworks = { m = \"10.0.0.1\" }\n\
        [node.node02]\nnetworks = { m = \"10.0.0.2\" }\n\
        [node.node03]\nnetworks = { m = \"10.0.0.3\" }\n\
        [vip.only]\naddress = \"10.0.0.9\"\nrouter_id = 7\norder = [\"node03\", \"node01\"]\n\
        [vip.all]\naddress = \"10.0.0.8\"\nrouter_id = 8\n";
    const HAPROXY: &str = "defaults\n  timeout connect 1s\n  timeout client 1s\n  timeout server 1s\n\
        frontend web\n  mode http\n  bind 10.0.0.8:80\n  default_backend api\n\
        backend api\n  mode http\n  balance source\n  server one 10.0.0.1:8080\n\
        listen mariadb\n  mode tcp\n  bind 10.0.0.8:3306\n  server one 10.0.0.1:3306\n  \
        server two 10.0.0.2:3306 backup\n";

    fn names() -> Names {
        let source =
            |path: &str, text: &str| config::Source { path: path.into(), text: text.into() };
        let texts = Texts {
            haproxy: vec![source("haproxy.cfg", HAPROXY)],
            cluster: Some(source("outlast.toml", CLUSTER)),
            ..Texts::default()
        };
        let (cluster, findings) = config::cluster::parse(texts.cluster.as_ref().unwrap(), 0);
        let cluster = cluster.unwrap_or_else(|| panic!("{findings:?}"));
        Names::new(&texts, Some(&cluster), Some(0))
    }

    #[test]
    fn a_virtual_ip_is_told_with_who_may_hold_it() {
        let names = names();
        let told = |vip: &VipName| (vip.name.clone(), vip.router_id, vip.order.join(" "));
        let told: Vec<_> = names.vips.iter().map(told).collect();
        let expected = [("only", 7, "node03 node01"), ("all", 8, "node01 node02 node03")];
        let expected = expected.map(|(name, id, order)| (name.to_owned(), id, order.to_owned()));
        assert_eq!(told, expected);
        assert_eq!(names.vips[1].checks, ["balancer"]);
        // The numbers of instances differ between nodes: node02 never holds the first one.
        assert_eq!(names.peers[1], ["all"]);
        assert_eq!(names.peers[2], ["only", "all"]);
    }

    #[test]
    fn proxies_are_told_as_in_their_file() {
        let told: Vec<_> = names()
            .proxies
            .iter()
            .map(|p| {
                format!(
                    "{} {} {} {:?} {} {:?} {}",
                    p.kind, p.name, p.mode, p.binds, p.balance, p.default_backend, p.one_writer
                )
            })
            .collect();
        expect_test::expect![[r#"
            frontend web http ["10.0.0.8:80"]  Some("api") false
            backend api http [] source None false
            listen mariadb tcp ["10.0.0.8:3306"] roundrobin None true"#]]
        .assert_eq(&told.join("\n"));
    }
}
