//! What comes from sockets and devices, for the machine it is meant for, and its beats.

use std::net::IpAddr;
use std::sync::Arc;

use engine::gossip;
use engine::member::Input;
use engine::packet::MAX_BODY;

use super::beats::Beats;
use super::core::Core;
use super::{Agent, lock};

/// Datagrams read from one network before the others get their turn: four intervals of 64 nodes.
const BATCH: usize = 256;

impl Agent<'_> {
    pub(super) fn devices(&mut self) {
        let Some(beats) = &mut self.beats else { return };
        for (network, up) in beats.devices() {
            self.step(Input::Carrier { network, up });
            self.gossip(gossip::Input::Carrier { network, up });
        }
    }

    /// Tells all peers on this network that this node lives, or one of them.
    pub(super) fn beat(&mut self, core: &mut Core, network: u8, only: Option<u16>) {
        if let (Some(member), Some(beats)) = (&mut core.member, &mut self.beats) {
            beats.send(network, only, |to, packet| member.beat(to, network, packet));
        }
    }

    /// What the kernel says about a socket towards a peer.
    pub(super) fn refusals(&mut self, node: u64) {
        if let (Ok(node), Some(beats)) = (u16::try_from(node), &mut self.beats) {
            beats.look_at(node);
        }
        self.tell_refused();
    }

    pub(super) fn tell_refused(&mut self) {
        let refused = self.beats.as_mut().map(Beats::refused).unwrap_or_default();
        for node in refused {
            self.step(Input::Refused { node });
        }
    }

    pub(super) fn datagrams(&mut self, network: u64) {
        let Ok(network) = u8::try_from(network) else { return };
        let mut buffer = [0; engine::packet::MAX_PACKET];
        for _ in 0..BATCH {
            let Some(beats) = &self.beats else { return };
            match beats.receive(network, &mut buffer) {
                Some((length, from)) => self.packet(network, (from, &buffer[..length])),
                None => return,
            }
        }
    }

    /// The machines are fed what was opened, so that a recording needs no keys.
    fn packet(&mut self, network: u8, packet: (IpAddr, &[u8])) {
        let mut body = [0; MAX_BODY];
        let shared = Arc::clone(&self.core);
        let (opened, event) = lock(&shared).hear(sys::clock::now(), packet, &mut body);
        event.into_iter().for_each(|event| self.journal.add(event));
        match opened {
            Some((packet, true)) => self.gossip(gossip::Input::Opened { network, packet }),
            Some((packet, false)) => self.step(Input::Opened { network, packet }),
            None => self.step(Input::Timeout),
        }
    }
}
