//! Listeners with one writer: the machine's choices carried out in two steps.
//!
//! ```text
//! Use{new}: every worker closes sessions with the old server, holds new ones, answers
//!           -> when all answered: every worker sends new ones to the new server
//! ```

use api::{Break, Choice, Report, VipState};
use config::cluster::{Cluster, ServiceKind};
use config::haproxy::{BindAddress, Mode, Proxy};
use engine::Buffer;
use engine::writer::{Action, Input, Writer};

use super::{Await, Control};
use crate::shared::{Chosen, Letter, Shared};
use crate::view::View;

/// One listener with one writer.
#[derive(Debug)]
pub(super) struct Seat {
    proxy: usize,
    writer: Writer,
    /// Virtual addresses (by instance) that its clients come to; empty: none that is known.
    instances: Vec<usize>,
    /// Sessions that the present change has closed.
    closed: usize,
    /// The present step is an operator's word.
    asked: bool,
}

/// Which proxies have one writer: in adaptive mode those the cluster file calls databases, and TCP
/// ones with `backup` servers (that is what operators mean by it).
pub(super) fn seats(
    view: &View,
    cluster: Option<&Cluster>,
    start: &api::Start,
    shared: &Shared,
) -> Vec<Seat> {
    if !view.adaptive() {
        return Vec::new();
    }
    let nodes = cluster.map_or(&[][..], |cluster| &cluster.nodes);
    let me = nodes.iter().position(|node| node.name == start.node).unwrap_or(0);
    let me = u16::try_from(me).unwrap_or(u16::MAX);
    let proxies = view.config.proxies.iter().enumerate();
    let databases = proxies.filter(|(_, proxy)| is_database(proxy, cluster));
    databases
        .map(|(index, proxy)| {
            let mut writer = Writer::of(proxy, me);
            if shared.breaks(Break::FailBack) {
                writer.break_fail_back();
            }
            let instances = instances(view, index, cluster, usize::from(me));
            Seat { proxy: index, writer, instances, closed: 0, asked: false }
        })
        .collect()
}

fn is_database(proxy: &Proxy, cluster: Option<&Cluster>) -> bool {
    let services = cluster.map_or(&[][..], |cluster| &cluster.services);
    let service = services.iter().find(|service| service.proxy == proxy.name);
    let by_file = || proxy.mode == Mode::Tcp && proxy.servers.iter().any(|server| server.backup);
    !proxy.servers.is_empty()
        && service.map_or_else(by_file, |service| service.kind == ServiceKind::Database)
}

/// Virtual addresses of the cluster file that clients of this backend come to, numbered as the vip
/// process of node `me` does: those that this node may hold.
fn instances(view: &View, back: usize, cluster: Option<&Cluster>, me: usize) -> Vec<usize> {
    let Some(cluster) = cluster else { return Vec::new() };
    let name = &view.config.proxies[back].name;
    let fronts = view.config.proxies.iter().filter(|p| p.default_backend.as_ref() == Some(name));
    let binds = fronts.chain([&view.config.proxies[back]]).flat_map(|proxy| &proxy.binds);
    let addresses: Vec<_> = binds
        .filter_map(|bind| match bind.address {
            BindAddress::Tcp(address) => Some(address.ip()),
            BindAddress::Unix(_) | BindAddress::Descriptor(_) => None,
        })
        .collect();
    let comes = |vip: &config::cluster::Vip| {
        addresses.iter().any(|a| a.is_unspecified() || vip.addresses.contains(a))
    };
    let vips = cluster.vips.iter().filter(|vip| vip.order.contains(&me)).enumerate();
    vips.filter(|(_, vip)| comes(vip)).map(|(instance, _)| instance).collect()
}

impl Control {
    /// Until the first choice is known, sessions wait.
    pub(super) fn hold_writers(&mut self) {
        for seat in 0..self.writers.len() {
            let proxy = self.writers[seat].proxy;
            self.ask(&Letter::Choose { proxy, choice: Chosen::Changing }, Await::Nothing);
            self.hold_addresses(seat);
        }
    }

    /// Only the proxy that serves chooses.
    pub(super) fn start_writers(&mut self) {
        for seat in 0..self.writers.len() {
            let proxy = self.writers[seat].proxy;
            // The machine judges after each fact: the one in use first, or it would be left for the
            // first of the file; then in the order of preference.
            let present = self.writers[seat].writer.server();
            let servers = &self.view.config.proxies[proxy].servers;
            let mut order: Vec<usize> = (0..servers.len()).collect();
            order.sort_by_key(|index| (Some(*index) != present, servers[*index].backup));
            for index in order {
                let usable = self.is_usable(proxy, index);
                self.step_writer(seat, Input::Server { index, usable });
            }
            if self.writers[seat].writer.server().is_none() {
                // Nobody is usable: clients are refused, not held.
                let choice = Chosen::Only(0);
                self.ask(&Letter::Choose { proxy, choice }, Await::Nothing);
            }
        }
    }

    pub(super) fn writer_hears(&mut self, proxy: usize, index: usize) {
        if let Some(seat) = self.writers.iter().position(|seat| seat.proxy == proxy) {
            let usable = self.is_usable(proxy, index);
            self.step_writer(seat, Input::Server { index, usable });
        }
    }

    /// A peer's choice, or that of the process before.
    pub(super) fn told(&mut self, choice: &Choice) {
        let proxies = &self.view.config.proxies;
        let Some(seat) = self.writers.iter().position(|s| proxies[s.proxy].name == choice.proxy)
        else {
            return;
        };
        let servers = &proxies[self.writers[seat].proxy].servers;
        if let Some(server) = servers.iter().position(|server| server.name == choice.server) {
            let (term, by) = (choice.term, choice.by);
            self.step_writer(seat, Input::Told { server, term, by });
        }
    }

    /// An operator's word; only the proxy that serves chooses.
    pub(super) fn writer_asked(&mut self, proxy: &str, server: &str) {
        if !self.is_active {
            return;
        }
        let proxies = &self.view.config.proxies;
        let Some(seat) = self.writers.iter().position(|s| proxies[s.proxy].name == proxy) else {
            return;
        };
        let servers = &proxies[self.writers[seat].proxy].servers;
        if let Some(server) = servers.iter().position(|known| known.name == server) {
            self.writers[seat].asked = true;
            self.step_writer(seat, Input::Asked { server });
            self.writers[seat].asked = false;
        }
    }

    pub(super) fn vip_changed(&mut self, state: &VipState) {
        let instance = usize::from(state.instance);
        if self.holding.len() <= instance {
            self.holding.resize(instance + 1, false);
        }
        self.holding[instance] = state.holding;
        for seat in 0..self.writers.len() {
            self.hold_addresses(seat);
        }
    }

    /// A listener on an address of this node alone is always its own.
    fn hold_addresses(&mut self, seat: usize) {
        let instances = &self.writers[seat].instances;
        let held = |instance: &usize| self.holding.get(*instance).copied().unwrap_or(false);
        let holding = instances.is_empty() || instances.iter().any(held);
        self.step_writer(seat, Input::Holding(holding));
    }

    fn step_writer(&mut self, seat: usize, input: Input) {
        let mut actions = Buffer::new();
        let former = self.writers[seat].writer.server();
        self.writers[seat].writer.step(input, &mut actions);
        for action in actions.drain() {
            match action {
                // Workers close whatever is not the new one, see `choose`.
                Action::CloseSessions { .. } => {}
                Action::Use { server, term, by } => self.choose(seat, former, server, term, by),
            }
        }
    }

    fn choose(&mut self, seat: usize, former: Option<usize>, server: usize, term: u64, by: u16) {
        let proxy = self.writers[seat].proxy;
        let names = &self.view.config.proxies[proxy];
        let choice = Choice {
            proxy: names.name.clone(),
            server: names.servers[server].name.clone(),
            term,
            by,
        };
        if self.is_active {
            self.say(&Report::Choice(choice));
        }
        if former == Some(server) {
            return;
        }
        let is_asked = self.writers[seat].asked;
        self.tell_choice(proxy, former, (server, term), is_asked);
        self.writers[seat].closed = 0;
        self.ask(&Letter::Choose { proxy, choice: Chosen::Changing }, Await::Closed { seat });
    }

    /// Every worker has closed what had to be closed.
    pub(super) fn open_writer(&mut self, seat: usize) {
        let Seat { proxy, closed, .. } = self.writers[seat];
        let Some(server) = self.writers[seat].writer.server() else { return };
        let again =
            |(_, then): &(u64, Await)| matches!(then, Await::Closed { seat: s } if *s == seat);
        if self.awaited.iter().any(again) {
            return; // It changed once more meanwhile.
        }
        self.ask(&Letter::Choose { proxy, choice: Chosen::Only(server) }, Await::Nothing);
        self.tell_closed(proxy, server, closed);
    }

    pub(super) fn sessions_closed(&mut self, proxy: usize, count: usize) {
        if let Some(seat) = self.writers.iter_mut().find(|seat| seat.proxy == proxy) {
            seat.closed += count;
        }
    }
}
