//! The virtual IPs of one node, from whatever files there are.

use std::net::IpAddr;

use crate::cluster::{self, Cluster, VipCheck};
use crate::keepalived::vmac;
use crate::keepalived::{Instance, Keepalived, State, Track};
use crate::notify::{Fifo, Group, Hook, Notify};
use crate::vip::{
    Address, Fixed, MadeFile, Script, TrackedFile, TrackedProcess, Vip, Way, Weighed, password,
};

/// Priority of the first node of the order.
const FIRST_PRIORITY: u8 = 200;

/// Between two nodes of the order, unless there are so many that less must do.
const PRIORITY_STEP: u8 = 50;

/// The instances that the vip process of `node` runs: those that it may hold, and those by votes that it grants to others.
///
/// Priorities come from the order in `outlast.toml`; in keepalived's file from `node.NAME.priority`,
/// and where all nodes share the file without it, from the order of the nodes. `balancer`: this start
/// runs proxies, too. `interface_of` says which device has an address; where none has it yet, the instance has no
/// `interface`.
///
/// # Errors
/// In words, when an address that an instance needs is missing.
pub fn effective_vips(
    cluster: Option<&Cluster>,
    keepalived: Option<&Keepalived>,
    node: Option<usize>,
    balancer: bool,
    interface_of: &dyn Fn(IpAddr) -> Option<String>,
) -> Result<Vec<Vip>, Vec<String>> {
    let (mut vips, mut wrong) = (Vec::new(), Vec::new());
    // Of the devices that groups have of their own.
    let mut names = Vec::new();
    if let (Some(cluster), Some(node)) = (cluster, node)
        && cluster.is_compute(node)
    {
        return Ok(vips);
    }
    if let (Some(cluster), Some(node)) = (cluster, node) {
        for vip in &cluster.vips {
            match from_cluster(cluster, vip, node, interface_of, &mut names) {
                Ok(found) => vips.extend(found),
                Err(why) => wrong.push(why),
            }
        }
    }
    let serves = cluster.zip(node).is_none_or(|(cluster, node)| cluster.serves(node));
    let keepalived = keepalived.filter(|_| serves);
    for instance in keepalived.map(|file| file.instances.as_slice()).unwrap_or_default() {
        let has_balancer = balancer || cluster.is_some_and(|cluster| cluster.haproxy.is_some());
        let Some(file) = keepalived else { continue };
        let mut vip = from_keepalived(instance, file, has_balancer);
        vmac::place(instance, &mut vip, &mut names);
        if let (Some(cluster), Some(node)) = (cluster, node) {
            vip.priority = file_priority(cluster, node, instance.priority);
        }
        vips.push(vip);
    }
    if wrong.is_empty() { Ok(vips) } else { Err(wrong) }
}

/// The pipes that are told how instances stand, and whether they are told again after a reload.
#[must_use]
pub fn effective_fifos(keepalived: Option<&Keepalived>) -> (Vec<Fifo>, bool) {
    let Some(file) = keepalived else { return (Vec::new(), false) };
    (file.fifos(), file.global.says_states_on_reload)
}

/// What a node has from its start to its end.
#[must_use]
pub fn effective_fixed(keepalived: Option<&Keepalived>) -> Fixed {
    keepalived.map(Keepalived::fixed).unwrap_or_default()
}

/// The programs that run before all else starts, and when all else has ended.
#[must_use]
pub fn effective_hooks(keepalived: Option<&Keepalived>) -> [Hook; 2] {
    keepalived.map(Keepalived::hooks).unwrap_or_default()
}

/// Files that are made at the start of the node, if they are not there.
#[must_use]
pub fn effective_made_files(keepalived: Option<&Keepalived>) -> Vec<MadeFile> {
    let blocks = keepalived.into_iter().flat_map(|file| &file.files);
    blocks.filter_map(|block| block.made()).collect()
}

/// Groups whose programs and pipes are told how they stand.
#[must_use]
pub fn effective_groups(keepalived: Option<&Keepalived>) -> Vec<Group> {
    keepalived.map(Keepalived::told_groups).unwrap_or_default()
}

fn from_cluster(
    cluster: &Cluster,
    vip: &cluster::Vip,
    node: usize,
    interface_of: &dyn Fn(IpAddr) -> Option<String>,
    names: &mut Vec<String>,
) -> Result<Option<Vip>, String> {
    let address = |ip: &IpAddr| {
        let prefix = if ip.is_ipv6() && vip.prefix == 32 { 128 } else { vip.prefix };
        let preferred = Address::preferred_by_length(*ip, prefix);
        Address { prefix, preferred, ..Address::plain(*ip) }
    };
    let addresses: Vec<Address> = vip.addresses.iter().map(address).collect();
    let Some(rank) = vip.order.iter().position(|known| *known == node) else {
        return Ok(vip.has_lease.then(|| voter(vip, addresses)));
    };
    let on_network = |node: usize| {
        cluster.nodes.get(node).and_then(|node| node.addresses.get(vip.network).copied().flatten())
    };
    let name = cluster.nodes.get(node).map_or("?", |node| node.name.as_str());
    let own = on_network(node)
        .ok_or_else(|| format!("vip {}: node {name} is not on its network", vip.name))?;
    let interface = match &vip.interface {
        Some(interface) => interface.clone(),
        None => interface_of(own).unwrap_or_default(),
    };
    let is_v6 = vip.addresses.first().is_some_and(IpAddr::is_ipv6);
    let same_kind = |ip: &IpAddr| ip.is_ipv6() == is_v6;
    // Over IPv6 what is for all of a link comes from an address of the link.
    let own_source = Some(own).filter(|own| same_kind(own) && (!is_v6 || vip.unicast));
    let peers = vip.order.iter().filter(|peer| **peer != node).filter_map(|peer| on_network(*peer));
    let (mut track_balancer, mut track_scripts) = (false, Vec::new());
    checks(&vip.check, &mut track_balancer, &mut track_scripts);
    let mut effective = Vip {
        interface,
        priority: priority_of(rank, vip.order.len()),
        advert_interval: vip.advert_interval,
        protocol: vip.protocol,
        sync_group: vip.sync_group.clone(),
        password: vip.password.as_deref().map(password),
        hmac: vip.hmac.clone(),
        source: vip.source.or(own_source),
        unicast_peers: if vip.unicast { peers.filter(same_kind).collect() } else { Vec::new() },
        track_interfaces: vip.track_interfaces.clone(),
        reversed_interfaces: vip.reversed_interfaces.clone(),
        weighed_interfaces: vip.weighed_interfaces.clone(),
        track_processes: vip.track_processes.clone(),
        track_files: vip.track_files.clone(),
        track_bfds: vip.bfd.iter().cloned().collect(),
        accepts: vip.accepts,
        track_scripts,
        track_balancer,
        has_lease: vip.has_lease,
        notify: Notify { every: vip.notify.clone(), ..Notify::default() },
        ..Vip::plain(&vip.name, "", vip.router_id, addresses)
    };
    if vip.has_virtual_mac {
        effective.place_on_virtual_mac(names);
    }
    Ok(Some(effective))
}

/// Of a node that grants it to others and never holds it.
fn voter(vip: &cluster::Vip, addresses: Vec<Address>) -> Vip {
    Vip {
        priority: 1,
        protocol: vip.protocol,
        has_lease: true,
        votes_only: true,
        ..Vip::plain(&vip.name, "", vip.router_id, addresses)
    }
}

fn checks(check: &VipCheck, balancer: &mut bool, scripts: &mut Vec<Script>) {
    match check {
        VipCheck::None => {}
        VipCheck::Balancer => *balancer = true,
        VipCheck::Script(script) => scripts.push(script.clone()),
        VipCheck::All(all) => all.iter().for_each(|check| checks(check, balancer, scripts)),
    }
}

/// 200, 150, 100, 50; closer together for more than four nodes.
pub(crate) fn priority_of(rank: usize, of: usize) -> u8 {
    let nodes = u8::try_from(of.max(1)).unwrap_or(u8::MAX);
    let step = PRIORITY_STEP.min((FIRST_PRIORITY / nodes).max(1));
    let rank = u8::try_from(rank).unwrap_or(u8::MAX);
    FIRST_PRIORITY.saturating_sub(step.saturating_mul(rank)).max(1)
}

/// The priority of `node` in keepalived's file.
pub(crate) fn file_priority(cluster: &Cluster, node: usize, written: u8) -> u8 {
    match cluster.nodes.get(node).and_then(|node| node.priority) {
        Some(priority) => priority,
        None if cluster.controllers().len() > 1 => priority_of(node, cluster.controllers().len()),
        None => written,
    }
}

/// Routes before the rules that lead to them.
fn ways(instance: &Instance) -> Vec<Way> {
    let routes = instance.routes.iter().cloned().map(Way::Route);
    routes.chain(instance.rules.iter().map(|written| Way::Rule(written.rule.clone()))).collect()
}

fn weigh(track: &Track) -> Option<Weighed> {
    let (weight, reversed) = (track.weight?, track.reverse == Some(true));
    let weight = if reversed { -weight } else { weight };
    Some(Weighed { name: track.name.clone(), weight, reversed })
}

fn processes(instance: &Instance, file: &Keepalived) -> Vec<TrackedProcess> {
    let of = |track: &Track| {
        let block = file.processes.iter().find(|block| block.process.name == track.name)?;
        let mut process = block.process.clone();
        process.weight = track.weight.unwrap_or(process.weight);
        process.reversed = track.reverse.unwrap_or(process.reversed);
        Some(process)
    };
    file.tracked_processes(instance).iter().filter_map(of).collect()
}

fn files(instance: &Instance, file: &Keepalived) -> Vec<TrackedFile> {
    let of = |track: &Track| {
        let block = file.files.iter().find(|block| block.file.name == track.name)?;
        let mut tracked = block.file.clone();
        tracked.weight = track.weight.map_or(tracked.weight, i32::from);
        tracked.reversed = track.reverse.unwrap_or(tracked.reversed);
        Some(tracked)
    };
    file.tracked_files(instance).iter().filter_map(of).collect()
}

/// Devices that take the address away, and those of something static that do (`track_group`).
fn with_followed(fatal: &[&Track], followed: Vec<String>) -> Vec<String> {
    let mut all: Vec<String> = fatal.iter().map(|track| track.name.clone()).collect();
    all.extend(followed.into_iter().filter(|device| !fatal.iter().any(|it| it.name == *device)));
    all
}

/// Where a balancer runs beside, it is ours: its death takes the address away at once.
pub(crate) fn from_keepalived(instance: &Instance, file: &Keepalived, track_balancer: bool) -> Vip {
    let (scripts, interfaces) = file.tracked(instance);
    let track_scripts: Vec<Script> = scripts
        .iter()
        .filter_map(|track| {
            let block = file.scripts.iter().find(|block| block.script.name == track.name)?;
            let mut script = block.script.clone();
            script.secure = file.global.script_security;
            script.weight = track.weight.unwrap_or(script.weight);
            if script.user.is_none() {
                script.user.clone_from(&file.global.script_user);
                script.group.clone_from(&file.global.script_group);
            }
            let reverse = track.reverse.unwrap_or(block.reverse);
            Some(if reverse { script.reverse() } else { script })
        })
        .collect();
    let (fatal, weighed): (Vec<_>, Vec<_>) = interfaces.iter().partition(|track| track.is_fatal());
    Vip {
        name: instance.name.clone(),
        interface: instance.interface.clone(),
        router_id: instance.router_id,
        priority: instance.priority,
        advert_interval: instance.advert_interval,
        down_timer_adverts: instance.down_timer_adverts,
        protocol: instance.protocol,
        startup_delay: file.global.startup_delay,
        starts_as_master: instance.state == State::Master,
        preempt: !instance.nopreempt,
        preempt_delay: instance.preempt_delay,
        sync_group: file.sync_group(&instance.name).map(|group| group.name.clone()),
        password: instance.authentication.as_ref().map(|auth| password(&auth.password)),
        hmac: instance.hmac.clone(),
        addresses: instance.addresses.iter().chain(&instance.excluded).cloned().collect(),
        virtual_macs: Vec::new(),
        advert_mac: None,
        ways: ways(instance),
        source: instance.source,
        unicast_peers: instance.unicast_peers.clone(),
        travel: instance.travel.clone(),
        ignores_interface: instance.dont_track_primary,
        reversed_interfaces: fatal
            .iter()
            .filter(|track| track.reverse == Some(true))
            .map(|track| track.name.clone())
            .collect(),
        track_interfaces: with_followed(&fatal, file.followed_devices(instance)),
        weighed_interfaces: weighed.into_iter().filter_map(weigh).collect(),
        track_processes: processes(instance, file),
        track_files: files(instance, file),
        track_bfds: file.tracked_bfds(instance),
        interface_delays: file.delays.clone(),
        promotes_secondaries: instance.promotes_secondaries,
        accepts: instance.accepts,
        track_scripts,
        track_balancer,
        has_lease: false,
        votes_only: false,
        notify: file.notify_of(instance),
    }
}
