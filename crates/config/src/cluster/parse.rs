//! `outlast.toml` to a cluster: tables of keys first, then what refers to something else.

use std::net::IpAddr;
use std::path::PathBuf;

use base::Span;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::access::ACCESS;
use super::bfd;
use super::check::CheckDraft;
use super::dashboard;
use super::fields::{
    At, CLUSTER, ClusterDraft, DASHBOARD, DashboardDraft, NODE, NodeDraft, SERVICE, ServiceDraft,
    unknown_section,
};
use super::lease::{self, After, Wish};
use super::notify::{self, NOTIFY, NotifyDraft};
use super::place::{self, Place};
use super::read::{Field, Value, fields, in_order, wrong};
use super::reference;
use super::same;
use super::store::{self, STORE, StoreDraft};
use super::together;
use super::track;
use super::vips::{VIP, VipDraft};
use super::virtual_mac;
use super::{Access, Cluster, Dashboard, Node, NodeRole, Service, ServiceKind, Vip, VipCheck};
use crate::diagnostic::{Diagnostic, MAX_FINDINGS};
use crate::guess;

/// UDP port of the beats unless the file says another.
const PORT: u16 = 7411;

/// A named section: name, place of the name, what its keys say.
pub(super) struct Named<T> {
    pub(super) name: String,
    pub(super) at: Span,
    pub(super) draft: T,
}

pub(crate) fn parse(text: &str, findings: &mut Vec<Diagnostic>) -> Option<Cluster> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let broken = !errors.is_empty();
    let mut places = Vec::new();
    for error in errors.into_iter().take(MAX_FINDINGS) {
        let at = error.span().map_or_else(Span::default, Span::from);
        // One mistake may be found by several rules; the first is the nearest.
        if !places.contains(&at.start) {
            let message = error.message().trim_end().to_owned();
            findings.push(Diagnostic::error(at, "toml", message));
            places.push(at.start);
        }
    }
    let mut head: Option<(ClusterDraft, Span)> = None;
    let (mut nodes, mut vips, mut services) = (Vec::new(), Vec::new(), Vec::new());
    let (mut dashboard, mut access) = (DashboardDraft::default(), Access::default());
    let mut receivers: Vec<Named<NotifyDraft>> = Vec::new();
    let mut store: Option<(StoreDraft, Span)> = None;
    for ((key, at), value) in in_order(document.get_ref()) {
        match key {
            "cluster" => {
                let mut draft = ClusterDraft::default();
                if let Some(table) = table(value, "[cluster]", findings) {
                    fields(CLUSTER, "[cluster]", at, table, &mut draft, findings);
                }
                head = Some((draft, at));
            }
            "node" => nodes = named(NODE, "node", value, findings),
            "vip" => vips = named(VIP, "vip", value, findings),
            "service" => services = named(SERVICE, "service", value, findings),
            "notify" => receivers = named(NOTIFY, "notify", value, findings),
            "dashboard" => {
                if let Some(table) = table(value, "[dashboard]", findings) {
                    fields(DASHBOARD, "[dashboard]", at, table, &mut dashboard, findings);
                }
            }
            "access" => {
                if let Some(table) = table(value, "[access]", findings) {
                    fields(ACCESS, "[access]", at, table, &mut access, findings);
                }
            }
            "store" => {
                let mut draft = StoreDraft::default();
                if let Some(table) = table(value, "[store]", findings) {
                    fields(STORE, "[store]", at, table, &mut draft, findings);
                }
                store = Some((draft, at));
            }
            _ => findings.push(unknown_section((key, at))),
        }
    }
    let Some((head, at)) = head else {
        if !broken {
            findings.push(no_cluster());
        }
        return None;
    };
    if nodes.is_empty() && !broken {
        let finding = Diagnostic::error(at, "missing-section", "the cluster has no nodes");
        findings.push(finding.help("add a section [node.NAME] for each node"));
    }
    // Without a name the rest is looked at all the same.
    let named = head.name.is_some();
    let mut cluster = assemble((head, at), nodes, vips, services, findings);
    cluster.dashboard = dashboard::resolve(dashboard, &cluster, findings);
    cluster.access = access;
    cluster.notify = notify::resolve_all(apart(receivers), findings);
    cluster.store = store.map(|draft| store::resolve(draft, &cluster, findings));
    place::check(&cluster, findings);
    // What stands where the text is broken was made up by the reader.
    findings.retain(|found| found.code == "toml" || !places.contains(&found.span.start));
    named.then_some(cluster)
}

fn apart<T>(sections: Vec<Named<T>>) -> Vec<(String, Span, T)> {
    sections.into_iter().map(|Named { name, at, draft }| (name, at, draft)).collect()
}

fn no_cluster() -> Diagnostic {
    let finding = Diagnostic::error(Span::new(0, 1), "missing-section", "there is no [cluster]");
    finding.help("add `[cluster]` and `name = \"cloud\"`")
}

fn table<'t, 'a>(
    value: &'t Value<'a>,
    what: &str,
    findings: &mut Vec<Diagnostic>,
) -> Option<&'t DeTable<'a>> {
    let table = value.get_ref().as_table();
    if table.is_none() {
        findings.push(wrong(value, &format!("a section {what}")));
    }
    table
}

fn named<T: Default>(
    rows: &[Field<T>],
    kind: &str,
    value: &Spanned<DeValue<'_>>,
    findings: &mut Vec<Diagnostic>,
) -> Vec<Named<T>> {
    let mut found = Vec::new();
    let Some(sections) = table(value, &format!("[{kind}.NAME]"), findings) else { return found };
    for ((name, at), value) in in_order(sections) {
        let section = format!("[{kind}.{name}]");
        let mut draft = T::default();
        let DeValue::Table(keys) = value.get_ref() else {
            let finding = wrong(value, &format!("a section [{kind}.NAME]"));
            findings.push(finding.help(format!("write `[{kind}.NAME]` above `{name} = ...`")));
            continue;
        };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            let message = format!("`{name}` cannot be a name");
            let finding = Diagnostic::error(at, "bad-name", message);
            findings.push(finding.help("names are made of letters, digits and - _ ."));
        }
        fields(rows, &section, at, keys, &mut draft, findings);
        found.push(Named { name: name.to_owned(), at, draft });
    }
    found
}

fn assemble(
    (head, at): (ClusterDraft, Span),
    mut nodes: Vec<Named<NodeDraft>>,
    mut vips: Vec<Named<VipDraft>>,
    services: Vec<Named<ServiceDraft>>,
    findings: &mut Vec<Diagnostic>,
) -> Cluster {
    let mut networks: Vec<String> = Vec::new();
    for ((network, _), _) in nodes.iter().flat_map(|node| &node.draft.networks) {
        if !networks.contains(network) {
            networks.push(network.clone());
        }
    }
    count(&nodes, at, findings);
    nodes.sort_by_key(|node| node.draft.role == NodeRole::Compute);
    same::addresses(&nodes, &vips, findings);
    let nodes: Vec<Node> = nodes.into_iter().map(|node| node_of(node, &networks)).collect();
    findings.extend(shared_with_computes(&head, &nodes));
    let wishes: Vec<_> = vips
        .iter()
        .map(|vip| Wish {
            has_lease: vip.draft.has_lease,
            after: vip.draft.after,
            last_man: vip.draft.last_man.or(head.last_man),
            is_own: vip.draft.last_man.is_some(),
        })
        .collect();
    let places: Vec<_> = vips.iter_mut().map(|vip| Place::of(&mut vip.draft)).collect();
    let has_secret = head.secret_file.is_some() || head.trust_dir.is_some();
    let has_balancer = head.haproxy.is_some();
    let name = head.name.unwrap_or_default();
    let mut vips: Vec<Vip> = vips
        .into_iter()
        .map(|vip| vip_of(vip, &nodes, &networks, has_balancer, findings))
        .collect();
    place::resolve(places, &mut vips, findings);
    same::groups(&vips, findings);
    virtual_mac::check(&vips, findings);
    bfd::check(&vips, findings);
    track::check(&vips, findings);
    lease::check(has_secret, &nodes, vips.iter_mut().zip(wishes), findings);
    together::check(&vips, findings);
    let reference = reference::resolve(head.reference, (&nodes, networks.len()), &vips, findings);
    Cluster {
        reference,
        run_dir: head.run_dir.unwrap_or_else(|| PathBuf::from(format!("/run/outlast/{name}"))),
        state_dir: head
            .state_dir
            .unwrap_or_else(|| PathBuf::from(format!("/var/lib/outlast/{name}"))),
        name,
        secret_file: head.secret_file,
        trust_dir: head.trust_dir,
        haproxy: head.haproxy,
        keepalived: head.keepalived,
        port: head.port.unwrap_or(PORT),
        detect: head.detect.unwrap_or(super::DEFAULT_DETECT),
        vip_beat: head.vip_beat.unwrap_or(super::LONGEST_VIP_BEAT),
        record_mb: head.record_mb.unwrap_or(super::DEFAULT_RECORD_MB),
        networks,
        nodes,
        vips,
        services: services.into_iter().map(service_of).collect(),
        dashboard: Dashboard::default(),
        access: Access::default(),
        notify: vec![],
        store: None,
    }
}

/// With one secret for all, whoever takes a compute node over can speak for a controller. Nodes on loopback are
/// all of one machine, and have no secrets from each other.
fn shared_with_computes(head: &ClusterDraft, nodes: &[Node]) -> Option<Diagnostic> {
    if head.secret_file.is_none() || head.trust_dir.is_some() {
        return None;
    }
    let is_elsewhere = |node: &&Node| {
        node.role == NodeRole::Compute && !node.addresses.iter().flatten().all(IpAddr::is_loopback)
    };
    let compute = nodes.iter().find(is_elsewhere)?;
    let message = format!(
        "with a secret that all nodes share, {} could speak for a controller",
        compute.name
    );
    let finding = Diagnostic::error(compute.span, "shared-secret", message);
    Some(finding.help(
        "write `trust_dir = \"/var/lib/outlast/trust\"` in place of `secret_file`, after `outlast init` and `join`",
    ))
}

/// How many nodes of each role there may be.
fn count(nodes: &[Named<NodeDraft>], at: Span, findings: &mut Vec<Diagnostic>) {
    let (most, all) = (Cluster::MAX_CONTROLLERS, Cluster::MAX_NODES);
    if let Some(node) = nodes.get(all) {
        let message = format!("a cluster has at most {all} nodes");
        findings.push(Diagnostic::error(node.at, "too-many-nodes", message));
    }
    let mut controllers = nodes.iter().filter(|node| node.draft.role.decides());
    if let Some(node) = controllers.clone().nth(most) {
        let message = format!("a cluster has at most {most} controllers");
        let finding = Diagnostic::error(node.at, "too-many-controllers", message);
        findings
            .push(finding.help("write `role = \"compute\"` in sections of nodes that run guests"));
    }
    if !nodes.is_empty() && controllers.next().is_none() {
        let message = "all nodes are compute nodes: nobody decides";
        let finding = Diagnostic::error(at, "no-controller", message);
        findings.push(finding.help("leave `role` out in the sections of three nodes"));
    }
}

fn node_of(node: Named<NodeDraft>, networks: &[String]) -> Node {
    let address = |network: &String| {
        let found = node.draft.networks.iter().find(|((name, _), _)| name == network);
        found.map(|(_, (ip, _))| *ip)
    };
    Node {
        addresses: networks.iter().map(address).collect(),
        name: node.name,
        priority: node.draft.priority,
        role: node.draft.role,
        span: node.at,
    }
}

fn service_of(service: Named<ServiceDraft>) -> Service {
    let (proxy, span) = service.draft.proxy.unwrap_or_else(|| (service.name.clone(), service.at));
    let kind = service.draft.kind.unwrap_or(ServiceKind::Api);
    Service { name: service.name, proxy, kind, span }
}

fn vip_of(
    vip: Named<VipDraft>,
    nodes: &[Node],
    networks: &[String],
    has_balancer: bool,
    findings: &mut Vec<Diagnostic>,
) -> Vip {
    let Named { name, at, draft } = vip;
    let addresses = place::addresses(&draft.addresses, findings);
    let network = match &draft.network {
        Some(wanted) => known(wanted, networks.iter().map(String::as_str), "network", findings),
        None => nearest_network(&addresses, nodes, networks.len()),
    };
    let order = match &draft.order {
        None => lease::holders(nodes),
        Some(names) => {
            lease::refuse_voters(names, nodes, findings);
            order_of(names, nodes, findings)
        }
    };
    let v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let prefix = prefix_of(draft.prefix, v6, findings);
    let network = network.unwrap_or(0);
    if let Some(absent) = order.iter().find(|node| !is_on(nodes, **node, network)) {
        let message = format!("node {} is not on the network of `{name}`", nodes[*absent].name);
        let at = draft.network.as_ref().map_or(at, |(_, at)| *at);
        let finding = Diagnostic::error(at, "unknown-name", message);
        findings.push(finding.help("add its address there, or leave it out of `order`"));
    }
    let (protocol, advert_interval) = draft.protocol(v6, findings);
    if let Some((password, at)) = draft.password.as_ref().filter(|(text, _)| text.len() > 8) {
        findings.push(crate::vip::cut_password(*at, password));
    }
    let mut vip = Vip {
        addresses,
        prefix,
        network,
        router_id: draft.router_id.map_or(0, |(id, _)| id),
        order,
        check: check_of(&name, draft.check, has_balancer, findings),
        hmac: draft.hmac.settle(advert_interval, draft.password.as_ref(), findings),
        password: draft.password.map(|(password, _)| password),
        unicast: draft.unicast,
        interface: draft.interface,
        source: draft.source.map(|(source, _)| source),
        advert_interval,
        protocol,
        track_interfaces: Vec::new(),
        reversed_interfaces: Vec::new(),
        weighed_interfaces: Vec::new(),
        track_processes: Vec::new(),
        track_files: Vec::new(),
        sync_group: draft.sync_group.map(|(name, _)| name),
        has_lease: draft.has_lease.is_some_and(|(has_lease, _)| has_lease),
        last_man: None,
        needs_proof: draft.after.is_some_and(|(after, _)| after == After::ProvenDead),
        has_virtual_mac: draft.virtual_mac.is_some_and(|(wanted, _)| wanted),
        accepts: draft.accept.unwrap_or(true),
        bfd: bfd::settle(draft.bfd, &name),
        spread: None,
        apart_from: Vec::new(),
        never_with: Vec::new(),
        follows: false,
        notify: draft.notify,
        span: at,
        name,
    };
    draft.track.settle(&mut vip);
    vip
}

fn prefix_of(written: Option<At<u8>>, v6: bool, findings: &mut Vec<Diagnostic>) -> u8 {
    let longest = if v6 { 128 } else { 32 };
    match written {
        Some((prefix, at)) if prefix > longest => {
            let message = format!("a prefix of IPv4 has at most {longest} bits, found {prefix}");
            findings.push(Diagnostic::error(at, "bad-value", message).help("write `prefix = 32`"));
            longest
        }
        Some((prefix, _)) => prefix,
        None => longest,
    }
}

fn is_on(nodes: &[Node], node: usize, network: usize) -> bool {
    nodes.get(node).and_then(|node| node.addresses.get(network)).is_some_and(Option::is_some)
}

fn check_of(
    name: &str,
    check: Option<CheckDraft>,
    has_balancer: bool,
    findings: &mut Vec<Diagnostic>,
) -> VipCheck {
    match check {
        None if has_balancer => VipCheck::Balancer,
        None | Some(CheckDraft::None) => VipCheck::None,
        Some(CheckDraft::Balancer(at)) => {
            if !has_balancer {
                let message = "there is no balancer to check";
                let finding = Diagnostic::error(at, "no-balancer", message);
                findings.push(finding.help("write `haproxy = \"haproxy.cfg\"` in [cluster]"));
            }
            VipCheck::Balancer
        }
        Some(CheckDraft::All(drafts)) => {
            let number = |at| if at == 0 { name.to_owned() } else { format!("{name}-{}", at + 1) };
            let each = drafts.into_iter().enumerate();
            let checks =
                each.map(|(at, draft)| check_of(&number(at), Some(draft), has_balancer, findings));
            VipCheck::All(checks.collect())
        }
        Some(CheckDraft::Script(mut script)) => {
            name.clone_into(&mut script.name);
            if script.timeout.is_zero() {
                script.timeout = script.interval;
            }
            if std::mem::take(&mut script.reversed) {
                script = script.reverse();
            }
            VipCheck::Script(script)
        }
    }
}

/// Positions of the controllers.
pub(super) fn deciders(nodes: &[Node]) -> Vec<usize> {
    (0..nodes.len()).filter(|node| nodes[*node].role.decides()).collect()
}

/// Positions of controllers by their names.
pub(super) fn order_of(
    names: &[At<String>],
    nodes: &[Node],
    findings: &mut Vec<Diagnostic>,
) -> Vec<usize> {
    let mut order = Vec::new();
    for wanted in names {
        let Some(node) =
            known(wanted, nodes.iter().map(|node| node.name.as_str()), "node", findings)
        else {
            continue;
        };
        if order.contains(&node) {
            let message = format!("node {} stands here twice", wanted.0);
            findings.push(Diagnostic::error(wanted.1, "duplicate-name", message));
        } else if nodes[node].role == NodeRole::Compute {
            let message =
                format!("{} is a compute node: it neither holds this nor votes", wanted.0);
            let finding = Diagnostic::error(wanted.1, "compute-node", message);
            findings.push(finding.help("name controllers here"));
        } else {
            order.push(node);
        }
    }
    order
}

pub(super) fn known<'a>(
    (name, at): &At<String>,
    names: impl Iterator<Item = &'a str> + Clone,
    kind: &str,
    findings: &mut Vec<Diagnostic>,
) -> Option<usize> {
    let found = names.clone().position(|known| known == name);
    if found.is_none() {
        let finding =
            Diagnostic::error(*at, "unknown-name", format!("there is no {kind} `{name}`"));
        let all: Vec<&str> = names.collect();
        findings.push(guess::suggest(finding, name, all));
    }
    found
}

/// The network on which some node's address shares the most leading bits with the virtual IP.
fn nearest_network(addresses: &[IpAddr], nodes: &[Node], networks: usize) -> Option<usize> {
    let vip = addresses.first()?;
    let shared = |network: &usize| {
        nodes
            .iter()
            .filter_map(|node| node.addresses[*network])
            .map(|ip| shared_bits(vip, &ip))
            .max()
    };
    (0..networks).rev().max_by_key(|network| shared(network))
}

pub(super) fn shared_bits(a: &IpAddr, b: &IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u32::from(*a) ^ u32::from(*b)).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(*a) ^ u128::from(*b)).leading_zeros(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => 0,
    }
}
