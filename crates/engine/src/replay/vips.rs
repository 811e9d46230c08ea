//! Inputs of a vip process as they are recorded, and its decisions.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use config::vip::Protocol;
use sha2::{Digest, Sha256};

use super::{Decision, Names};
use crate::keep::{Keep, kept};
use crate::vip::{
    Action, Advert, Balancer, HandOver, Hello, Input, Mac, OWN_PASSWORD, Role, Together, Vip,
    packet,
};

/// An input that owns what it says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum VipFact {
    Timeout,
    Advert { source: IpAddr, heard: Heard },
    Hello { network: u8, hello: Hello },
    HandOver(HandOver),
    Script { index: usize, passed: bool },
    Measure { index: usize, weight: i16 },
    Carrier { interface: usize, up: bool },
    NoDevice { interface: usize },
    Network { source: IpAddr, network: Option<u8> },
    Balancer(Balancer),
    PeerLost { node: u16 },
    Standby(bool),
    MoveTo { node: u16 },
    Proven { node: u16, dead: bool },
    InUse { mac: Mac },
    Together(Together),
    Refused,
    AddressLost,
    Stop,
}

/// What an advert says. Of its password only whether it is the own one: none is in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Heard {
    protocol: Protocol,
    router_id: u8,
    priority: u8,
    /// Hundredths of seconds.
    interval: u16,
    /// Outer none: no password; else whether it is the own one.
    password: Option<bool>,
    addresses: packet::Listed,
}

kept!(Heard { protocol, router_id, priority, interval, password, addresses });

/// The last of each sender, to each instance, for who reads: both repeat themselves.
#[derive(Debug, Default)]
pub(super) struct Last {
    adverts: BTreeMap<(u16, IpAddr), Heard>,
    hellos: BTreeMap<(u16, u16, u8), Hello>,
}

/// The same for who writes, in memory that was there before: of an advert as little as tells whether another one is the same.
#[derive(Debug)]
pub(super) struct Written {
    adverts: Table<(u16, IpAddr), [u8; 16]>,
    hellos: Table<(u16, u16, u8), Hello>,
}

impl Written {
    pub(super) fn new() -> Self {
        Self { adverts: Table::new(), hellos: Table::new() }
    }

    pub(super) fn clear(&mut self) {
        self.adverts.0.clear();
        self.hellos.0.clear();
    }
}

/// By key, in their order.
#[derive(Debug)]
struct Table<K, V>(Vec<(K, V)>);

impl<K: Copy + Ord, V: Copy + PartialEq> Table<K, V> {
    fn new() -> Self {
        Self(Vec::with_capacity(MOST_SENDERS))
    }

    /// As [`remember`].
    fn remember(&mut self, key: K, value: V) -> bool {
        let mut at = self.0.binary_search_by_key(&key, |(known, _)| *known);
        if at.is_ok_and(|at| self.0[at].1 == value) {
            return false;
        }
        if self.0.len() >= MOST_SENDERS {
            self.0.clear();
            at = Err(0);
        }
        match at {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
        true
    }
}

/// Senders remembered: anybody on the link may send adverts from any address.
const MOST_SENDERS: usize = 1024;

const TIMEOUT: u8 = 0;
const ADVERT: u8 = 1;
/// As the one before from there.
const SAME_ADVERT: u8 = 2;
const HELLO: u8 = 3;
const SAME_HELLO: u8 = 4;
const HAND_OVER: u8 = 5;
const SCRIPT: u8 = 6;
const CARRIER: u8 = 7;
const NO_DEVICE: u8 = 8;
const BALANCER: u8 = 9;
const PEER_LOST: u8 = 10;
const STANDBY: u8 = 11;
const MOVE_TO: u8 = 12;
const REFUSED: u8 = 13;
const ADDRESS_LOST: u8 = 14;
const STOP: u8 = 15;
const NETWORK: u8 = 16;
const PROVEN: u8 = 17;
const MEASURE: u8 = 18;
const IN_USE: u8 = 19;
const TOGETHER: u8 = 20;

/// Whether it is news; remembered in the same way by who writes and by who reads.
fn remember<K: Ord, V: PartialEq>(last: &mut BTreeMap<K, V>, key: K, value: V) -> bool {
    if last.get(&key) == Some(&value) {
        return false;
    }
    if last.len() >= MOST_SENDERS {
        last.clear();
    }
    last.insert(key, value);
    true
}

/// Written as a [`Heard`] is.
fn keep_advert(advert: &Advert<'_>, vip: &Vip, out: &mut Vec<u8>) {
    let interval = u16::try_from(advert.interval.as_millis() / 10).unwrap_or(u16::MAX);
    let password = advert.password.map(|password| vip.password() == Some(password));
    advert.protocol.keep(out);
    (advert.router_id, advert.priority).keep(out);
    (interval, password).keep(out);
    advert.addresses.keep(out);
}

impl Heard {
    fn advert(&self) -> Advert<'_> {
        // Not the same as the own one, whatever that is.
        let other = [0; 8];
        Advert {
            protocol: self.protocol,
            router_id: self.router_id,
            priority: self.priority,
            interval: Duration::from_millis(10) * self.interval.into(),
            password: self.password.map(|own| if own { OWN_PASSWORD } else { other }),
            addresses: self.addresses.addresses(),
        }
    }
}

/// Writes an input of that instance.
pub(super) fn keep(
    (instance, vip): (u16, &Vip),
    input: &Input<'_>,
    written: &mut Written,
    out: &mut Vec<u8>,
) {
    instance.keep(out);
    let mut tagged = |tag: u8, write: &dyn Fn(&mut Vec<u8>)| {
        out.push(tag);
        write(out);
    };
    match *input {
        Input::Timeout => tagged(TIMEOUT, &|_| {}),
        Input::Advert { source, advert } => {
            let tag = out.len();
            out.push(ADVERT);
            source.keep(out);
            let heard = out.len();
            keep_advert(&advert, vip, out);
            let mut sum = [0; 16];
            sum.copy_from_slice(&Sha256::digest(&out[heard..])[..16]);
            if !written.adverts.remember((instance, source), sum) {
                out.truncate(heard);
                out[tag] = SAME_ADVERT;
            }
        }
        Input::Hello { network, hello } => {
            let is_news = written.hellos.remember((instance, hello.node, network), hello);
            let tag = if is_news { HELLO } else { SAME_HELLO };
            tagged(tag, &|out| {
                network.keep(out);
                if is_news { hello.keep(out) } else { hello.node.keep(out) }
            });
        }
        Input::HandOver(message) => tagged(HAND_OVER, &|out| message.keep(out)),
        Input::Script { index, passed } => tagged(SCRIPT, &|out| (index, passed).keep(out)),
        Input::Measure { index, weight } => tagged(MEASURE, &|out| (index, weight).keep(out)),
        Input::Carrier { interface, up } => tagged(CARRIER, &|out| (interface, up).keep(out)),
        Input::NoDevice { interface } => tagged(NO_DEVICE, &|out| interface.keep(out)),
        Input::Network { source, network } => tagged(NETWORK, &|out| {
            source.keep(out);
            network.keep(out);
        }),
        Input::Balancer(balancer) => tagged(BALANCER, &|out| balancer.keep(out)),
        Input::PeerLost { node } => tagged(PEER_LOST, &|out| node.keep(out)),
        Input::Standby(on) => tagged(STANDBY, &|out| on.keep(out)),
        Input::MoveTo { node } => tagged(MOVE_TO, &|out| node.keep(out)),
        Input::Proven { node, dead } => tagged(PROVEN, &|out| (node, dead).keep(out)),
        Input::InUse { mac } => tagged(IN_USE, &|out| mac.keep(out)),
        Input::Together(told) => tagged(TOGETHER, &|out| told.keep(out)),
        Input::Refused => tagged(REFUSED, &|_| {}),
        Input::AddressLost => tagged(ADDRESS_LOST, &|_| {}),
        Input::Stop => tagged(STOP, &|_| {}),
    }
}

/// Reads an instance and an input of it; none: it cannot be read.
pub(super) fn revive(last: &mut Last, bytes: &mut &[u8]) -> Option<(u16, VipFact)> {
    let instance = u16::revive(bytes)?;
    let fact = match u8::revive(bytes)? {
        TIMEOUT => VipFact::Timeout,
        ADVERT => {
            let (source, heard): (_, Heard) = Keep::revive(bytes)?;
            let _news = remember(&mut last.adverts, (instance, source), heard.clone());
            VipFact::Advert { source, heard }
        }
        SAME_ADVERT => {
            let source = Keep::revive(bytes)?;
            let heard = last.adverts.get(&(instance, source))?.clone();
            VipFact::Advert { source, heard }
        }
        HELLO => {
            let (network, hello): (_, Hello) = Keep::revive(bytes)?;
            let _news = remember(&mut last.hellos, (instance, hello.node, network), hello);
            VipFact::Hello { network, hello }
        }
        SAME_HELLO => {
            let (network, node) = Keep::revive(bytes)?;
            VipFact::Hello { network, hello: *last.hellos.get(&(instance, node, network))? }
        }
        HAND_OVER => VipFact::HandOver(Keep::revive(bytes)?),
        SCRIPT => {
            let (index, passed) = Keep::revive(bytes)?;
            VipFact::Script { index, passed }
        }
        MEASURE => {
            let (index, weight) = Keep::revive(bytes)?;
            VipFact::Measure { index, weight }
        }
        CARRIER => {
            let (interface, up) = Keep::revive(bytes)?;
            VipFact::Carrier { interface, up }
        }
        NO_DEVICE => VipFact::NoDevice { interface: Keep::revive(bytes)? },
        NETWORK => {
            let (source, network) = (Keep::revive(bytes)?, Keep::revive(bytes)?);
            VipFact::Network { source, network }
        }
        BALANCER => VipFact::Balancer(Keep::revive(bytes)?),
        PEER_LOST => VipFact::PeerLost { node: Keep::revive(bytes)? },
        STANDBY => VipFact::Standby(Keep::revive(bytes)?),
        MOVE_TO => VipFact::MoveTo { node: Keep::revive(bytes)? },
        PROVEN => {
            let (node, dead) = Keep::revive(bytes)?;
            VipFact::Proven { node, dead }
        }
        IN_USE => VipFact::InUse { mac: Keep::revive(bytes)? },
        TOGETHER => VipFact::Together(Keep::revive(bytes)?),
        REFUSED => VipFact::Refused,
        ADDRESS_LOST => VipFact::AddressLost,
        STOP => VipFact::Stop,
        _ => return None,
    };
    Some((instance, fact))
}

impl VipFact {
    /// As the machine is fed.
    pub(super) fn input(&self) -> Input<'_> {
        match self {
            Self::Timeout => Input::Timeout,
            Self::Advert { source, heard } => {
                Input::Advert { source: *source, advert: heard.advert() }
            }
            Self::Hello { network, hello } => Input::Hello { network: *network, hello: *hello },
            Self::HandOver(message) => Input::HandOver(*message),
            Self::Script { index, passed } => Input::Script { index: *index, passed: *passed },
            Self::Measure { index, weight } => Input::Measure { index: *index, weight: *weight },
            Self::Carrier { interface, up } => Input::Carrier { interface: *interface, up: *up },
            Self::NoDevice { interface } => Input::NoDevice { interface: *interface },
            Self::Network { source, network } => {
                Input::Network { source: *source, network: *network }
            }
            Self::Balancer(balancer) => Input::Balancer(*balancer),
            Self::PeerLost { node } => Input::PeerLost { node: *node },
            Self::Standby(on) => Input::Standby(*on),
            Self::MoveTo { node } => Input::MoveTo { node: *node },
            Self::Proven { node, dead } => Input::Proven { node: *node, dead: *dead },
            Self::InUse { mac } => Input::InUse { mac: *mac },
            Self::Together(told) => Input::Together(*told),
            Self::Refused => Input::Refused,
            Self::AddressLost => Input::AddressLost,
            Self::Stop => Input::Stop,
        }
    }

    /// For people.
    pub(super) fn words(&self, names: &Names) -> String {
        match self {
            Self::Timeout => "time went on".to_owned(),
            Self::Advert { source, heard } => match heard.priority {
                0 => format!("a goodbye of {source} (an advert with priority 0)"),
                priority => format!("an advert of {source} with priority {priority}"),
            },
            Self::Hello { network, hello } => {
                let (node, network) = (names.node(hello.node), names.network(*network));
                let could = if hello.eligible { "could hold" } else { "could not hold" };
                let (role, term) = (hello.role.word(), hello.term);
                format!("a hello of {node} on {network}: {role}, {could}, term {term}")
            }
            Self::HandOver(HandOver { from, to, term, .. }) => {
                let (from, to) = (names.node(*from), names.node(*to));
                format!("a hand-over of {from} that names {to} in term {term}")
            }
            Self::Script { index, passed } => {
                let how = if *passed { "passed" } else { "failed" };
                format!("check script {} {how}", index + 1)
            }
            Self::Measure { index, weight } => {
                format!("tracked file {} adds {weight}", index + 1)
            }
            Self::Carrier { interface: 0, up } => {
                format!("the device of the address {}", if *up { "is up" } else { "is down" })
            }
            Self::Carrier { interface, up } => {
                format!("tracked device {interface} {}", if *up { "is up" } else { "is down" })
            }
            Self::NoDevice { interface: 0 } => "the device of the address is not there".to_owned(),
            Self::NoDevice { interface } => format!("tracked device {interface} is not there"),
            Self::Network { source, network } => {
                let on = network.map_or_else(|| "a device".to_owned(), |it| names.network(it));
                format!("the network of the address came: {source} on {on}")
            }
            Self::Balancer(balancer) => match balancer {
                Balancer::Serving => "the balancer serves".to_owned(),
                Balancer::Replacing => "the balancer is being replaced in place".to_owned(),
                Balancer::Failed => "the balancer does not serve".to_owned(),
            },
            Self::PeerLost { node } => format!("{} is silent, or has left", names.node(*node)),
            Self::Standby(true) => "an operator puts this node on standby".to_owned(),
            Self::Standby(false) => "an operator ends the standby".to_owned(),
            Self::MoveTo { node } => {
                format!("an operator moves the address to {}", names.node(*node))
            }
            Self::Proven { node, dead: true } => {
                format!("it is committed that {} is off", names.node(*node))
            }
            Self::Proven { node, dead: false } => {
                format!("no proof says any more that {} is off", names.node(*node))
            }
            Self::InUse { mac } => {
                let [a, b, c, d, e, f] = mac;
                format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x} has the address")
            }
            Self::Together(told) => told.words(names),
            Self::Refused => "the kernel did not take the addresses".to_owned(),
            Self::AddressLost => "somebody removed an address that is held".to_owned(),
            Self::Stop => "the program was told to end".to_owned(),
        }
    }
}

impl Together {
    fn words(&self, names: &Names) -> String {
        match self {
            Self::Others { fit: Some(true), .. } => {
                "the others of its sync group could be held here".to_owned()
            }
            Self::Others { fit: Some(false), .. } => {
                "another one of its sync group cannot be held here".to_owned()
            }
            Self::Others { fit: None, .. } => {
                "of another one of its sync group it is not known".to_owned()
            }
            Self::Take => "nobody holds any of its sync group: all are taken".to_owned(),
            Self::LetGo { .. } => "another one of its sync group was lost".to_owned(),
            Self::Move { to } => {
                format!("{} is stronger for all of its sync group", names.node(*to))
            }
        }
    }
}

impl Decision {
    /// `vip` is as it is after the step.
    pub(super) fn of_vip(action: &Action, vip: &Vip, names: &Names) -> Self {
        Self::quiet(action).unwrap_or_else(|| {
            let mut words = String::new();
            say(action, vip, names, &mut words);
            Self::Said(words)
        })
    }

    /// What goes on all the time.
    const fn quiet(action: &Action) -> Option<Self> {
        match action {
            Action::Hello(hello) => {
                let Hello { priority, role, eligible, term, .. } = *hello;
                Some(Self::Hello { priority, role, eligible, term })
            }
            Action::Announce => Some(Self::Announce),
            Action::Advertise { priority: priority @ 1.. } => Some(Self::Advert(*priority)),
            Action::Advertise { priority: 0 }
            | Action::Probe
            | Action::Claim
            | Action::Release
            | Action::HandOver(_)
            | Action::Report => None,
        }
    }

    /// As [`Self::of_vip`] is kept; `words`: memory that may be used.
    pub(super) fn keep_vip(
        (action, vip, names): (&Action, &Vip, &Names),
        words: &mut String,
        out: &mut Vec<u8>,
    ) {
        if let Some(quiet) = Self::quiet(action) {
            return quiet.keep(out);
        }
        words.clear();
        say(action, vip, names, words);
        Self::keep_said(words, out);
    }
}

/// Writes the words of an order that is no quiet one.
fn say(action: &Action, vip: &Vip, names: &Names, words: &mut String) {
    // A String takes every text.
    let _ = match action {
        Action::Advertise { priority: 0 } => {
            words.write_str("say goodbye: an advert with priority 0")
        }
        Action::Probe => words.write_str("ask whether somebody has the addresses"),
        Action::Claim => words.write_str("claim the addresses"),
        Action::Release => words.write_str("let go of the addresses"),
        Action::HandOver(HandOver { to, term, .. }) => {
            write!(words, "name {} as the next holder, in term {term}", names.of_node(*to))
        }
        Action::Report => say_report(vip, names, words),
        Action::Hello(_) | Action::Announce | Action::Advertise { .. } => Ok(()),
    };
}

fn say_report(vip: &Vip, names: &Names, words: &mut String) -> std::fmt::Result {
    write!(words, "now {}", vip.role().word())?;
    if let Some(cause) = vip.cause() {
        write!(words, ": {}", cause.words())?;
    }
    write!(words, "; term {}, ", vip.term())?;
    match vip.successor() {
        Some(node) => write!(words, "{} would be named", names.of_node(node)),
        None => words.write_str("nobody could be named"),
    }
}

impl Role {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Master => "holder",
            Self::Fault => "out of the race",
        }
    }
}
