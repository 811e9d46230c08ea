//! The machine's words in those of `api`.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use api::{Event, Gained, LeaseState, VipCause, VipRole, VipState};
use base::Time;
use engine::vip::lease as voted;
use engine::vip::lease::pace::{MARGIN, Pace};
use engine::vip::{Cause, Role};

use super::instance::{Instance, Kept};
use super::scripts::guard::Refused;
use super::taking::Taking;
use super::words::set;

mod links;

pub(super) use links::{bfd, followed, kept_out, virtual_mac, watch};

/// `name` and `former`: memory that may be used again.
pub(super) fn state(
    instance: &Instance,
    name: Option<String>,
    former: Option<LeaseState>,
) -> VipState {
    let machine = &instance.machine;
    let seat = instance.seat.as_ref();
    let interface = Some(&instance.vip.interface).filter(|name| !name.is_empty());
    let interface = interface.map(|interface| {
        let mut name = name.unwrap_or_default();
        name.clone_from(interface);
        name
    });
    VipState {
        instance: instance.number,
        role: match instance.role() {
            Role::Backup => VipRole::Backup,
            Role::Master => VipRole::Master,
            Role::Fault => VipRole::Fault,
        },
        holding: instance.holding(),
        successor: instance.successor(),
        successor_life: machine.successor_life(),
        cause: cause_here(instance),
        term: seat.map_or_else(|| machine.term(), |seat| seat.view.term),
        disabled_scripts: instance.disabled_scripts.clone(),
        interface,
        in_use_by: instance.in_use_by().map(mac),
        priority: Some(machine.priority()),
        vip_lease: seat.map(|seat| {
            let mut not_enforced = former.and_then(|former| former.not_enforced);
            not_enforced.clone_from(&seat.not_enforced);
            LeaseState {
                holder: seat.view.holder,
                votes: seat.votes,
                not_enforced,
                gained: seat.view.gained.as_ref().map(gained),
                votes_only: instance.vip.votes_only,
                awaits: seat.view.awaits,
                alone: seat.view.alone,
                stays: seat.view.stays,
            }
        }),
        took: instance.taking.as_ref().map(Taking::took),
    }
}

/// What moved it last, or keeps it away.
fn cause_here(instance: &Instance) -> Option<VipCause> {
    let told = match &instance.seat {
        Some(seat) => seat.view.cause.map(cause_of_lease),
        None => instance.machine.cause().map(cause),
    };
    told.map(|cause| instance.told_apart(cause))
}

/// Of an instance nothing is known.
pub(super) const fn unknown() -> VipState {
    VipState {
        instance: 0,
        role: VipRole::Fault,
        holding: false,
        successor: None,
        successor_life: None,
        cause: None,
        term: 0,
        disabled_scripts: vec![],
        interface: None,
        in_use_by: None,
        priority: None,
        vip_lease: None,
        took: None,
    }
}

/// What moved it last, and its number.
pub(super) fn cause_and_term(instance: &Instance) -> (Option<VipCause>, u64) {
    let term = match &instance.seat {
        Some(seat) => seat.view.term,
        None => instance.machine.term(),
    };
    (cause_here(instance), term)
}

fn mac(bytes: engine::vip::Mac) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

pub(super) fn gained(of: &voted::Gained) -> Gained {
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let (unheard_us, granted_us) = (micros(of.unheard), micros(of.granted));
    Gained { from: of.from, unheard_us, granted_us, lapsed: of.lapsed }
}

fn cause_of_lease(of: voted::Cause) -> VipCause {
    match of {
        voted::Cause::Expired => VipCause::Expired,
        voted::Cause::Named => VipCause::Named,
        voted::Cause::Majority => VipCause::Majority,
        voted::Cause::Unheard => VipCause::Unheard,
        voted::Cause::Unreached => VipCause::Unreached,
        voted::Cause::Foreign => VipCause::Foreign,
        voted::Cause::Unproven => VipCause::Unproven,
        voted::Cause::LastMan => VipCause::LastMan,
        voted::Cause::Granted => VipCause::Granted,
        voted::Cause::Spread => VipCause::Spread,
        voted::Cause::Apart => VipCause::Apart,
        voted::Cause::Room => VipCause::Room,
        voted::Cause::Follows => VipCause::Follows,
        voted::Cause::Barred => VipCause::Barred,
        voted::Cause::Fact(fact) => cause(fact),
    }
}

fn cause(cause: Cause) -> VipCause {
    match cause {
        Cause::Silence => VipCause::Silence,
        Cause::Goodbye => VipCause::Goodbye,
        Cause::Named => VipCause::Named,
        Cause::Stronger => VipCause::Stronger,
        Cause::Stalled => VipCause::Stalled,
        Cause::Script => VipCause::Script,
        Cause::Carrier => VipCause::Carrier,
        Cause::NoDevice => VipCause::NoDevice,
        Cause::NoNetwork => VipCause::NoNetwork,
        Cause::Balancer => VipCause::Balancer,
        Cause::Refused => VipCause::Refused,
        Cause::Stopping => VipCause::Stopping,
        Cause::Adopted => VipCause::Adopted,
        Cause::Standby => VipCause::Standby,
        Cause::Moved => VipCause::Moved,
        Cause::ProvenDead => VipCause::ProvenDead,
        Cause::InUse => VipCause::InUse,
        Cause::Together => VipCause::Together,
    }
}

/// What was seen, in words.
fn evidence(cause: Option<Cause>) -> &'static str {
    cause.map_or("", Cause::words)
}

/// The addresses came or went: writes it into an event that says nothing yet.
pub(super) fn event(event: &mut Event, instance: &Instance, nodes: &[String], began: Time) {
    let name = |node: u16| nodes.get(usize::from(node)).map(String::as_str);
    for (number, address) in instance.vip.addresses.iter().enumerate() {
        let between = if number == 0 { "" } else { ", " };
        // A String takes every text.
        let _ = write!(event.action, "{between}{}", address.ip);
    }
    if instance.held {
        let _ = write!(event.action, " on {}, neighbours told", instance.vip.interface);
        event.what.push_str("vip-claimed");
        event.decision.push_str("hold the address");
    } else {
        let said = if instance.seat.is_some() { "and said so" } else { "goodbye said" };
        let _ = write!(event.action, " removed, {said}");
        event.what.push_str("vip-released");
        match instance.successor().and_then(name) {
            Some(name) => set(&mut event.decision, format_args!("let go; {name} is named")),
            None => event.decision.push_str("let go; nobody is there to be named"),
        }
    }
    // A String takes every text.
    let _ = write!(event.evidence, "{}", instance.seen(instance.evidence()));
    let _ = match instance.seat.as_ref().and_then(|seat| seat.view.gained.as_ref()) {
        Some(of) => {
            if let Some(of) = of.lapsed.and_then(name) {
                let _ = write!(event.evidence, "; {}", Gained::lapse(of));
            }
            write!(event.evidence, "; {}", gained(of).shown(of.from.and_then(name)))
        }
        None => write!(event.evidence, "{}", instance.renamed()),
    };
    let took = sys::clock::now().since(began).as_micros();
    event.took_us = u64::try_from(took).unwrap_or(u64::MAX);
}

/// What the supervisor did not take in time.
pub(super) fn lost(node: &str, words: u64) -> Event {
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: "vip-words-lost".to_owned(),
        object: format!("node/{node}"),
        evidence: format!("the supervisor did not take {words} messages of the vip process"),
        decision: "wait for nobody: beats and addresses go first".to_owned(),
        action: "how each virtual IP is was told again".to_owned(),
        not_done: "what else these messages said is told by later ones, or not at all".to_owned(),
        ..Event::default()
    }
}

/// This node cannot hold, and does not, or (none) could again: writes it into an event that says nothing yet.
pub(super) fn fault(event: &mut Event, instance: &Instance, cause: Option<Cause>) {
    let (what, decision) = match cause {
        Some(_) => ("vip-fault", "do not stand for the address until that is mended"),
        None => ("vip-standby", "stand for the address again"),
    };
    event.what.push_str(what);
    // A String takes every text.
    let _ = say_fault(&mut event.evidence, instance, cause);
    event.decision.push_str(decision);
}

fn say_fault(out: &mut String, instance: &Instance, cause: Option<Cause>) -> fmt::Result {
    let seen = evidence(cause);
    match cause {
        Some(Cause::Carrier | Cause::NoDevice) => {
            for (position, device) in instance.needed_devices().enumerate() {
                let (before, between) = if position == 0 { (seen, ": ") } else { ("", ", ") };
                write!(out, "{before}{between}{device}")?;
            }
            write!(out, "{}", instance.renamed())
        }
        Some(Cause::InUse) => {
            write!(out, "{seen}: ")?;
            instance.in_use_by().map_or(Ok(()), |who| write!(out, "{}", mac(who)))
        }
        Some(Cause::Together) => {
            write!(out, "{seen}: {}", instance.vip.sync_group.as_deref().unwrap_or_default())
        }
        Some(Cause::NoNetwork) => match instance.awaits.as_ref().map(|awaited| awaited.own) {
            Some(Some(own)) => write!(out, "{seen}, {own}"),
            Some(None) => {
                let device = &instance.vip.interface;
                write!(out, "no network yet: {device} has no address for adverts over IPv6")
            }
            None => out.write_str(seen),
        },
        Some(_) => write!(out, "{}", instance.seen(seen)),
        None => out.write_str("nothing keeps this node from holding any more"),
    }
}

/// Nobody holds it, and this node would if it knew that the one which may is dead.
pub(super) fn unproven(instance: &Instance, node: &str, nodes: &[String], awaited: u16) -> Event {
    let of = nodes.get(usize::from(awaited)).map_or("a node that is not known", String::as_str);
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: "vip-unproven".to_owned(),
        object: format!("vip/{}", instance.vip.name),
        evidence: format!("{of} may hold it, is not heard, and is not proven dead"),
        decision: "wait (`after = \"proven-dead\"`)".to_owned(),
        not_done: format!(
            "nobody answers until {of} is heard, or somebody who saw that it is off types `outlast node confirm-off {of} --i-know-it-is-off`"
        ),
        ..Event::default()
    }
}

/// This node holds it without a majority, or (false) with one again.
pub(super) fn alone(instance: &Instance, node: &str, alone: bool) -> Event {
    let (what, evidence, decision, not_done) = if alone {
        (
            "vip-alone",
            "no other controller is heard, its networks have a carrier, and a reference point answers where there is one",
            "hold the address without a majority (`last_man`)",
            "if the others are only cut off, two nodes hold it until they hear each other again",
        )
    } else {
        let evidence = "others are heard again, and a majority of the controllers grants it";
        ("vip-granted", evidence, "hold the address by votes", "")
    };
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: what.to_owned(),
        object: format!("vip/{}", instance.vip.name),
        evidence: evidence.to_owned(),
        decision: decision.to_owned(),
        not_done: not_done.to_owned(),
        ..Event::default()
    }
}

/// Addresses stay that this node no longer stands for.
pub(super) fn release_failed(instance: &Instance, node: &str, kept: &Kept) -> Event {
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: "vip-release-failed".to_owned(),
        object: format!("vip/{}", instance.vip.name),
        evidence: format!("the kernel keeps {}", kept.0),
        decision: "let go, but name nobody: a successor would be a second holder".to_owned(),
        action: "tried on its device, then on every device".to_owned(),
        not_done: "an address may still be here and has to be removed by hand".to_owned(),
        ..Event::default()
    }
}

/// An address stays that no virtual IP of the new configuration has.
pub(super) fn leftover(node: &str, ip: IpAddr, error: &std::io::Error) -> Event {
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: "vip-release-failed".to_owned(),
        object: format!("node/{node}"),
        evidence: format!("the kernel keeps {ip}, which went out of the configuration: {error}"),
        decision: "run the new configuration all the same".to_owned(),
        not_done: "the address may still be here and has to be removed by hand".to_owned(),
        ..Event::default()
    }
}

/// What the kernel did not do with the routes of an instance; empty: it did all.
pub(super) fn routes(instance: &Instance, node: &str, refused: &str) -> Event {
    let (what, decision, not_done) = match (refused, instance.held) {
        ("", _) => ("vip-routes-made", "the routes are as they are written", ""),
        (_, true) => (
            "vip-routes-refused",
            "hold the address without them, and try again when a device or an address comes",
            "what goes that way goes nowhere",
        ),
        (_, false) => (
            "vip-routes-refused",
            "let the address go all the same",
            "a route may still be here and has to be removed by hand",
        ),
    };
    let evidence = match refused {
        "" => "the kernel refuses none of them any more".to_owned(),
        refused => format!("the kernel refuses {refused}"),
    };
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: what.to_owned(),
        object: format!("vip/{}", instance.vip.name),
        evidence,
        decision: decision.to_owned(),
        not_done: not_done.to_owned(),
        ..Event::default()
    }
}

/// A script is not run.
pub(super) fn disabled(instance: &Instance, node: &str, refused: &Refused) -> Event {
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: "vip-script-disabled".to_owned(),
        object: format!("vip/{}", instance.vip.name),
        evidence: format!("script {}: {}", refused.script, refused.why),
        decision: "do not run it; the address goes on without that check".to_owned(),
        not_done: "what it would find is not seen".to_owned(),
        ..Event::default()
    }
}

/// Vip leases end by this process alone (a reason), or by the kernel again (none).
pub(super) fn enforced(node: &str, names: &[String], why: Option<&str>) -> Event {
    let (what, evidence, decision, not_done) = match why {
        Some(why) => (
            "vip-unenforced",
            why.to_owned(),
            "hold them all the same, and let go in time",
            "if this process stands still while it holds one, two nodes may answer until it goes on or is killed; if all \
             processes of this node die at once, until they are started again",
        ),
        None => (
            "vip-enforced",
            "the kernel takes the programs that end vip leases".to_owned(),
            "hold no address but behind them",
            "",
        ),
    };
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: what.to_owned(),
        object: format!("node/{node}"),
        evidence: format!("{evidence} ({})", names.join(", ")),
        decision: decision.to_owned(),
        not_done: not_done.to_owned(),
        ..Event::default()
    }
}

/// Whether beats are as short as the file says, as far as this process is concerned.
pub(super) fn beats(node: &str, pace: &Pace) -> Event {
    let millis = |span: Duration| format!("{:.1} ms", span.as_secs_f64() * 1000.0);
    let (wanted, wish) = (millis(pace.wanted), millis(pace.wish));
    let late = pace.usual.unwrap_or_default();
    let measured = format!(
        "the vip process does what is due {} late once in a thousand times; five times that are {}",
        millis(late),
        millis(late * MARGIN)
    );
    let (what, decision, not_done) = if pace.wish > pace.wanted {
        let decision = format!("beat each {wish}, and so do all nodes that hear this one");
        ("vip-beats-refused", decision, format!("no beat each {wanted}, as the file wants it"))
    } else {
        let decision = format!("beat each {wanted} where all others can, too");
        ("vip-beats-taken", decision, String::new())
    };
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: what.to_owned(),
        object: format!("node/{node}"),
        evidence: measured,
        decision,
        not_done,
        ..Event::default()
    }
}

/// Somebody took the gate off a device, and it is on it again.
pub(super) fn taken(node: &str, device: &str, times: u64, noticed: Time) -> Event {
    let often = if times == 1 {
        String::new()
    } else {
        format!(", {times} times since the last word of it")
    };
    let took = sys::clock::now().since(noticed).as_micros();
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: "vip-gate-taken".to_owned(),
        object: format!("node/{node}"),
        evidence: format!("the filter that ends vip leases was taken off {device}{often}"),
        decision: "put it there again at once".to_owned(),
        action: format!("the kernel of this node ends vip leases on {device}"),
        took_us: u64::try_from(took).unwrap_or(u64::MAX),
        ..Event::default()
    }
}

/// This process has to wait for others to run.
pub(super) fn ordinary(node: &str, error: &std::io::Error) -> Event {
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: "vip-ordinary".to_owned(),
        object: format!("node/{node}"),
        evidence: format!("the kernel refuses real-time scheduling or locked memory: {error}"),
        decision: "hold addresses with ordinary scheduling".to_owned(),
        not_done: "a busy machine may delay adverts and take-overs: CAP_SYS_NICE and \
                   CAP_IPC_LOCK are missing"
            .to_owned(),
        ..Event::default()
    }
}
