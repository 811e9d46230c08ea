//! Which seat of the machine an instance has, and what that is told of it.

use config::cluster::Cluster;
use config::vip::Vip;
use engine::vip::lease::together::are_one;
use engine::vip::lease::{Rule, SeatConfig};

/// Where an instance is among those with a vip lease. Those of a sync group have one seat.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Place {
    pub(in super::super) seat: usize,
    pub(in super::super) cell: usize,
    /// Of interfaces and of checks.
    pub(in super::super) facts_at: (usize, usize),
}

pub(super) fn bit(network: usize) -> u8 {
    u32::try_from(network).ok().and_then(|network| 1_u8.checked_shl(network)).unwrap_or(0)
}

/// `network_of`: which network of the cluster is on a device.
pub(in super::super) fn seat(
    vip: &Vip,
    cluster: &Cluster,
    network_of: &dyn Fn(&str) -> Option<u8>,
) -> SeatConfig {
    let written = cluster.vips.iter().find(|written| written.name == vip.name);
    let order = written.map(|written| written.order.as_slice()).unwrap_or_default();
    let order = order.iter().filter_map(|node| u16::try_from(*node).ok()).collect();
    let network = written.and_then(|written| match &written.interface {
        Some(device) => network_of(device),
        // It is on the device of its network, also of one that is not there yet.
        None => u8::try_from(written.network).ok(),
    });
    // As long as a backup of VRRP takes to miss a holder, so long a cold start listens for one.
    let (listens, rule) = (vip.advert_interval * 3, Rule::default());
    SeatConfig {
        vip: vip.clone(),
        beside: vec![],
        order,
        networks: network.map_or(0, |network| bit(network.into())),
        listens,
        needs_proof: written.is_some_and(|written| written.needs_proof),
        last_man: written.and_then(|written| written.last_man),
        rule,
    }
}

/// All of them, each with its place beside the others; and by virtual IP where it is.
pub(super) fn seats(
    voted: &[&Vip],
    cluster: &Cluster,
    network_of: &dyn Fn(&str) -> Option<u8>,
) -> (Vec<SeatConfig>, Vec<Place>) {
    let mut seats: Vec<SeatConfig> = Vec::new();
    let mut places = Vec::new();
    for (cell, vip) in voted.iter().enumerate() {
        let own = seat(vip, cluster, network_of);
        let known = seats.iter_mut().enumerate().find(|(_, known)| are_one(&known.vip, vip));
        let (seat, member) = match known {
            Some((seat, group)) => {
                group.beside.push(own.vip);
                group.networks |= own.networks;
                (seat, group.beside.len())
            }
            None => {
                seats.push(own);
                (seats.len() - 1, 0)
            }
        };
        places.push(Place { seat, cell, facts_at: seats[seat].facts_at(member) });
    }
    let seat_of = |name: &str| voted.iter().position(|vip| vip.name == name);
    let seat_of = |name: &str| seat_of(name).map(|cell| places[cell].seat);
    let rules: Vec<Rule> = seats.iter().map(|seat| rule(&seat.vip, cluster, &seat_of)).collect();
    seats.iter_mut().zip(rules).for_each(|(seat, rule)| seat.rule = rule);
    (seats, places)
}

/// Where one should be beside others. `seat_of`: which seat has that name.
fn rule(vip: &Vip, cluster: &Cluster, seat_of: &dyn Fn(&str) -> Option<usize>) -> Rule {
    let written = cluster.vips.iter().find(|written| written.name == vip.name);
    let Some(written) = written else { return Rule::default() };
    // A group has the number of the first address that is in it.
    let group = written.spread.as_ref().and_then(|group| {
        let first = cluster.vips.iter().position(|other| other.spread.as_ref() == Some(group));
        u16::try_from(first?).ok()
    });
    let seats = |others: &[usize]| {
        let others = others.iter().filter_map(|other| cluster.vips.get(*other));
        let others = others.filter_map(|other| u32::try_from(seat_of(&other.name)?).ok());
        others.fold(0, |all, at| all | 1_u64.checked_shl(at).unwrap_or(0))
    };
    let (apart, never) = (seats(&written.apart_from), seats(&written.never_with));
    Rule { group, apart, never, follows: written.follows }
}
