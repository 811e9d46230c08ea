//! Who speaks in the name of a node and is not it: a copy of a machine, or a machine of another cluster. Neither is
//! believed; here the cause is told, which the counters of refused packets do not have.

use std::net::{IpAddr, SocketAddr};

use api::{Event, Evidence};
use base::Time;
use engine::packet::{Body, Opened};
use engine::strangers::{Speakers, Strangers};
use engine::twins::Twins;
use trust::JoinError;

use super::core::Core;
use others::Others;

mod others;

/// Who speaks in the name of others.
#[derive(Debug, Default)]
pub(super) struct Strange {
    twins: Twins,
    strangers: Strangers,
    others: Others,
}

impl Core {
    /// Once in a while: when something was last not believed.
    pub(super) fn note_refused(&mut self) {
        let now = api::RefusedPackets { last_at_ms: self.noted.last_at_ms, ..self.refused() };
        if now != self.noted {
            self.noted = api::RefusedPackets { last_at_ms: Some(sys::clock::wall_ms()), ..now };
        }
    }

    /// Opens a packet that came from this address; an event where it says that somebody is not who it says.
    pub(super) fn hear<'a>(
        &mut self,
        now: Time,
        (from, bytes): (IpAddr, &[u8]),
        body: &'a mut Body,
    ) -> (Option<(Opened<'a>, bool)>, Option<Event>) {
        let forged = self.refused().forged;
        let opened = self.open(bytes, body);
        let event = match &opened {
            Some((packet, _)) if self.strange.twins.heard(now, packet) => self.two(packet),
            None if self.refused().forged > forged && self.strange.strangers.refused(now, from) => {
                self.other_keys(now)
            }
            Some(_) | None => None,
        };
        (opened, event)
    }

    fn two(&self, packet: &Opened<'_>) -> Option<Event> {
        let node = self.picture.names.get(usize::from(packet.sender))?;
        Some(Event {
            what: "two-machines".to_owned(),
            object: format!("node/{node}"),
            evidence: format!(
                "beats of its life {} go on though a later one began, sealed with its keys",
                packet.incarnation
            ),
            decision: format!("two machines speak as {node}: the later life alone is believed"),
            not_done: format!(
                "end one of them and restart outlast on the one that stays; if its folders were copied by somebody \
                 else: `outlast trust revoke {node}`, and join it anew"
            ),
            ..Event::default()
        })
    }

    fn other_keys(&self, now: Time) -> Option<Event> {
        let speakers = self.strange.strangers.lasting(now)?;
        Some(Event {
            what: "other-keys".to_owned(),
            object: format!("node/{}", self.picture.node),
            evidence: self.spoken(speakers),
            decision: "believe nothing of it, and accuse nobody for it".to_owned(),
            not_done: "after `outlast node replace`, `trust rotate` or a revocation it ends by itself when all have the new roster, \
                       within a minute; else look at the machines that have these addresses: one of another cluster \
                       or with an old secret gets other addresses or this cluster's keys; else somebody forges"
                .to_owned(),
            ..Event::default()
        })
    }

    fn spoken(&self, speakers: &Speakers) -> String {
        let addresses: Vec<String> = speakers.addresses.iter().map(IpAddr::to_string).collect();
        format!(
            "somebody at {}{} speaks for the cluster {} with other keys",
            addresses.join(", "),
            if speakers.more { " and more addresses" } else { "" },
            self.picture.cluster.as_deref().unwrap_or_default()
        )
    }

    /// What came of asking a node for the roster: who answers in its place may be of another cluster, whose keys open
    /// nothing here. Beats alone cannot tell it from forged ones.
    pub(super) fn asked(
        &mut self,
        now: Time,
        (node, address): (&str, SocketAddr),
        error: Option<&JoinError>,
    ) -> Option<Event> {
        let text = self.strange.others.asked(now, (node, address), error)?;
        Some(Event {
            what: "another-cluster".to_owned(),
            object: format!("node/{node}"),
            evidence: text,
            decision: "believe nothing that it says, and accuse nobody for it".to_owned(),
            not_done: format!(
                "`outlast join` there with a token of this cluster (after `outlast trust revoke {node}` here, if it \
                 was in before), or give it other addresses"
            ),
            ..Event::default()
        })
    }

    /// One after the other of the addresses where another cluster answers, with the node whose they are.
    pub(super) fn another(&self, now: Time, round: usize) -> Option<(String, SocketAddr)> {
        let lasting = || self.strange.others.lasting(now);
        let (node, address, _) = lasting().nth(round % lasting().count().max(1))?;
        Some((node.to_owned(), address))
    }

    /// For `status`, as long as it lasts.
    pub(super) fn strange(&self, now: Time) -> Vec<String> {
        let name = |node: u16| self.picture.names.get(usize::from(node));
        let twins = self.strange.twins.lasting(now).filter_map(name).map(|node| {
            format!("two machines speak as {node}: the one that was started later is believed (`outlast why {node}`)")
        });
        let others = self.strange.others.lasting(now);
        let others = others.map(|(.., text)| format!("{text}; nothing that it says is believed"));
        let strangers = self.strange.strangers.lasting(now);
        let strangers = strangers
            .map(|speakers| format!("{}; nothing that it says is believed", self.spoken(speakers)));
        twins.chain(others).chain(strangers).collect()
    }

    /// For `why`: what speaks in the name of this node, beside what it says itself.
    pub(super) fn strange_about(&self, now: Time, node: u16) -> Vec<Evidence> {
        let name = self.picture.names.get(usize::from(node)).map_or("", String::as_str);
        let twins = self.strange.twins.lasting(now).filter(|twin| *twin == node).map(|_| {
            format!("two machines speak as {name}, with its keys: the one that was started later is believed")
        });
        let others = self.strange.others.lasting(now).filter(|(node, ..)| *node == name);
        let others = others.map(|(.., text)| text.to_owned());
        let own = self.cluster.as_ref().and_then(|cluster| cluster.nodes.get(usize::from(node)));
        let has = |from: &IpAddr| {
            own.is_some_and(|own| own.addresses.iter().flatten().any(|address| address == from))
        };
        let strangers = self.strange.strangers.lasting(now);
        let strangers = strangers.filter(|speakers| speakers.addresses.iter().any(has));
        let strangers = strangers.map(|speakers| self.spoken(speakers));
        let lines = twins.chain(others).chain(strangers);
        lines.map(|what| Evidence { what, age_ms: None }).collect()
    }
}
