//! Keywords of `vrrp_instance`.

use std::net::IpAddr;
use std::time::Duration;

use base::Span;

use super::hmac;
use super::notify;
use super::protocol::{self, Written};
use super::routes::{self, routes, scope};
use super::rules::{self, rules};
use super::strict;
use super::travel;
use super::vmac::{self, VirtualMac};
use super::{Authentication, Instance, State, Track};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::keyword::{Keyword, idle, later, now};
use crate::line::{Line, Statement, Word};
use crate::notify::Notify;
use crate::vip::{self, Address, PASSWORD_BYTES, Protocol, Travel};

const ANNOUNCE: &str = "announcements have times of our own";
pub(super) const LOSER: &str = "a holder that gives way to a stronger one always speaks once more";
pub(super) const WINNER: &str =
    "a holder answers a weaker one as RFC 9568 wants it, at most once in 10 ms";
pub(super) const LISTS: &str = "an advert with another list of addresses is obeyed, and told";
pub(super) const MISSING: &str = "adverts that have to be missing until a holder is gone";

const LATE: &str = "a holder that did not run for as long as others wait lets go before it looks";

/// Every keyword of keepalived 2.2 in this block, and of 2.4 `auth_hmac` and what is done about late holders.
pub(crate) const KEYWORDS: &[Keyword<Instance>] = &[
    now("accept", "", "", strict::ACCEPT, |instance, line| {
        instance.written.accept = Some(true);
        done(line)
    }),
    now("advert_int", "<seconds>", "1", INTERVAL, protocol::advert_interval),
    now("auth_hmac", hmac::SYNTAX, "none", hmac::DOES, hmac::read),
    now(
        "authentication",
        "{ auth_type PASS auth_pass <text> }",
        "none",
        "password",
        authentication,
    ),
    now("dont_track_primary", "", "", "held whatever becomes of `interface`", |instance, line| {
        instance.dont_track_primary = true;
        done(line)
    }),
    now("down_timer_adverts", "<1-100>", "that of `global_defs`", MISSING, |instance, line| {
        instance.written.down_timer_adverts = Some(protocol::down_timer_adverts(line)?);
        Ok(())
    }),
    now("interface", "<name>", "", "device of adverts and addresses", |instance, line| {
        instance.interface = line.expect("the name of an interface")?.text;
        done(line)
    }),
    now("mcast_dst_ip", "<ip>", OF_ALL, travel::GROUP, travel::group),
    now("mcast_src_ip", "<ip>", "the interface's", "source of the adverts", source),
    now("native_ipv6", "", "", "says that the adverts go over IPv6", |instance, line| {
        instance.written.native_ipv6 = Some(line.head());
        done(line)
    }),
    now("no_accept", "", "", strict::NO_ACCEPT, |instance, line| {
        instance.written.accept = Some(false);
        done(line)
    }),
    now(
        "nopreempt",
        "",
        "",
        "a stronger node that returns leaves the address",
        |instance, line| {
            instance.nopreempt = true;
            done(line)
        },
    ),
    now("notify", notify::COMMAND, "", notify::EVERY, |instance, line| {
        notify::once(&mut instance.notify.every, line)
    }),
    now("notify_backup", notify::COMMAND, "", "run when it is a backup", |instance, line| {
        notify::once(&mut instance.notify.backup, line)
    }),
    now("notify_deleted", GONE, "said as `FAULT`", "run when it left the file", |i, line| {
        i.notify.says_deleted = true;
        if line.peek().is_some() { notify::once(&mut i.notify.deleted, line) } else { Ok(()) }
    }),
    now("notify_fault", notify::COMMAND, "", "run when it cannot hold", |instance, line| {
        notify::once(&mut instance.notify.fault, line)
    }),
    now("notify_master", notify::COMMAND, "", "run when it holds", |instance, line| {
        notify::once(&mut instance.notify.master, line)
    }),
    now("notify_master_rx_lower_pri", notify::COMMAND, "", notify::RIVAL, |instance, line| {
        notify::once(&mut instance.notify.weaker_rival, line)
    }),
    now("notify_priority_changes", "[true|false]", OF_ALL, notify::PRIORITY, |instance, line| {
        instance.says_priority = Some(protocol::yes_or_no(line)?);
        Ok(())
    }),
    now("notify_stop", notify::COMMAND, "", "run when the program ends", |instance, line| {
        notify::once(&mut instance.notify.stop, line)
    }),
    now("old_unicast_checksum", "[never]", "", "no effect in VRRP version 2", |instance, line| {
        let (span, is_never) = (line.head(), line.accept("never"));
        instance.written.old_checksum = (!is_never).then_some(span);
        done(line)
    }),
    now("preempt", "", "", "undoes `nopreempt`", |instance, line| {
        instance.nopreempt = false;
        done(line)
    }),
    now("preempt_delay", "<seconds>", "0", DELAY, |instance, line| {
        let word = line.expect("seconds")?;
        let bounds = Duration::ZERO..=Duration::from_secs(1000);
        instance.preempt_delay = protocol::seconds(&word, bounds, "seconds from 0 to 1000")?;
        instance.preempt_delay_span = Some(word.span);
        done(line)
    }),
    now("priority", "<1-255>", "100", "the higher one holds the address", |instance, line| {
        let word = line.expect("a priority")?;
        let priority = word.number("a priority", 1, 255)?;
        instance.priority = u8::try_from(priority).unwrap_or(255);
        instance.priority_span = Some(word.span);
        done(line)
    }),
    now("promote_secondaries", "", "", PROMOTES, |instance, line| {
        instance.promotes_secondaries = true;
        done(line)
    }),
    now("state", "MASTER|BACKUP", "BACKUP", "whether it holds the address at start", |i, line| {
        let word = line.expect("MASTER or BACKUP")?;
        i.state = match word.text.as_str() {
            "MASTER" => State::Master,
            "BACKUP" => State::Backup,
            text => {
                let finding = word.wrong("MASTER or BACKUP");
                let typed = text.to_ascii_uppercase();
                let finding = guess::near(finding, &typed, ["MASTER", "BACKUP"]);
                return Err(match ["MASTER", "BACKUP"].into_iter().find(|known| *known == typed) {
                    Some(known) => finding.fix_here(known),
                    None => finding,
                });
            }
        };
        i.state_span = Some(word.span);
        done(line)
    }),
    now("strict_mode", "[true|false]", OF_ALL, strict::STRICT, |instance, line| {
        instance.written.strict = Some(protocol::yes_or_no(line)?);
        Ok(())
    }),
    now("track_interface", TRACKED, "", "gives up when one has no carrier", |i, line| {
        i.track_interfaces.extend(tracks(line)?);
        Ok(())
    }),
    now("track_script", TRACKED, "", "gives up when one fails", |i, line| {
        i.track_scripts.extend(tracks(line)?);
        Ok(())
    }),
    now("track_bfd", TRACKED, "", "gives up, or weighs, when the way to it fails", |i, line| {
        i.track_bfds.extend(tracks(line)?);
        Ok(())
    }),
    now("track_file", TRACKED, "", "adds the number in a file to the priority", |i, line| {
        i.track_files.extend(tracks(line)?);
        Ok(())
    }),
    now("track_process", TRACKED, "", "gives up, or weighs, when one does not run", |i, line| {
        i.track_processes.extend(tracks(line)?);
        Ok(())
    }),
    now("unicast_peer", travel::PEERS, "multicast", "who gets the adverts", travel::peers),
    now("unicast_src_ip", "<ip>", "the interface's", "source of the adverts", source),
    now("unicast_ttl", "<1-255>", "255", "hop limit of the adverts to peers", travel::hops),
    now("use_vmac", vmac::SYNTAX, "the device's own", vmac::DOES, vmac::read),
    now("use_vmac_addr", "", "", vmac::ELSEWHERE, |instance, line| {
        instance.virtual_mac.elsewhere = true;
        done(line)
    }),
    now("v3_checksum_as_v2", "[true|false]", OF_ALL, CHECKSUM, |i, line| {
        i.written.checksum_as_v2 = Some(protocol::yes_or_no(line)?);
        Ok(())
    }),
    now("version", "2|3", "that of `vrrp_version`", "of the protocol", |instance, line| {
        instance.written.version = Some(protocol::version(line)?);
        Ok(())
    }),
    now("virtual_ipaddress", ADDRESSES, "", IPS, |i, line| {
        let (addresses, spans) = addresses(line, "virtual_ipaddress")?;
        i.addresses.extend(addresses);
        i.address_spans.extend(spans);
        Ok(())
    }),
    now("virtual_ipaddress_excluded", "{ <ip>[/<mask>] ... }", "", EXCLUDED, |i, line| {
        let (excluded, _) = addresses(line, "virtual_ipaddress_excluded")?;
        i.excluded.extend(excluded.into_iter().map(|it| Address { is_excluded: true, ..it }));
        Ok(())
    }),
    now("virtual_router_id", "<1-255>", "", "number of the group on its network", |i, line| {
        let id = line.number("a number", 1, 255)?;
        i.router_id = u8::try_from(id).unwrap_or(255);
        done(line)
    }),
    now("virtual_routes", routes::ENTRIES, "", "made and removed with the addresses", |i, line| {
        i.routes.extend(routes(line)?);
        Ok(())
    }),
    now("virtual_rules", rules::ENTRIES, "", "made and removed with the addresses", |i, line| {
        i.rules.extend(rules(line)?);
        Ok(())
    }),
    now("vmac_xmit_base", "", "", vmac::FROM_BASE, |instance, line| {
        instance.virtual_mac.speaks_from_base = true;
        done(line)
    }),
    idle("check_unicast_src", "adverts from others than the peers are never taken"),
    idle("debug", "events tell everything"),
    idle("garp_extra_if", ANNOUNCE),
    idle("garp_lower_prio_delay", ANNOUNCE),
    idle("garp_lower_prio_repeat", ANNOUNCE),
    idle("garp_master_delay", ANNOUNCE),
    idle("garp_master_refresh", ANNOUNCE),
    idle("garp_master_refresh_repeat", ANNOUNCE),
    idle("garp_master_repeat", ANNOUNCE),
    idle("higher_prio_send_advert", LOSER),
    idle("kernel_rx_buf_size", "one packet at a time is read"),
    idle("linkbeat_use_polling", "the kernel tells when a carrier goes"),
    idle("lower_prio_no_advert", WINNER),
    idle("skip_check_adv_addr", LISTS),
    idle("thread_timer_expired", LATE),
    idle("timer_expired_backup", LATE),
    later("lvs_sync_daemon_interface"),
    later("no_virtual_ipaddress"),
    later("smtp_alert"),
    later("track_src_ip"),
    later("unicast_fault_no_peer"),
    later("use_ipvlan"),
    later("vrf"),
];

/// What may be said for all instances.
pub(super) const OF_ALL: &str = "that of `global_defs`";
const GONE: &str = "[\"<command>\" [<user> [<group>]]]";
const IPS: &str = "the virtual IPs";
const EXCLUDED: &str = "virtual IPs that adverts do not name";
const ADDRESSES: &str =
    "{ <ip>[/<mask>] [dev <name>] [label <l>] [brd <ip>] [scope <s>] [use_vmac] }";
pub(super) const TRACKED: &str = "{ <name> [weight <-253..253> [reverse]] ... }";
const PROMOTES: &str = "the kernel keeps other addresses of a network when its first one goes";
const DELAY: &str = "how long it leaves a weaker holder in peace before it takes the address";
const INTERVAL: &str =
    "between two adverts of the holder; in version 2 whole seconds, in version 3 hundredths";
pub(super) const CHECKSUM: &str =
    "sends the checksum of RFC 9568, over the message alone; both are taken";

pub(crate) fn new(name: Word) -> Instance {
    Instance {
        name: name.text,
        span: name.span,
        state: State::Backup,
        state_span: None,
        nopreempt: false,
        preempt_delay: Duration::ZERO,
        preempt_delay_span: None,
        interface: String::new(),
        router_id: 0,
        priority: 100,
        priority_span: None,
        advert_interval: Duration::from_secs(1),
        down_timer_adverts: vip::DOWN_TIMER_ADVERTS,
        protocol: Protocol::V2,
        written: Written::default(),
        addresses: Vec::new(),
        address_spans: Vec::new(),
        excluded: Vec::new(),
        routes: Vec::new(),
        rules: Vec::new(),
        virtual_mac: VirtualMac::default(),
        accepts: true,
        authentication: None,
        hmac: None,
        track_scripts: Vec::new(),
        track_interfaces: Vec::new(),
        track_processes: Vec::new(),
        track_files: Vec::new(),
        track_bfds: Vec::new(),
        promotes_secondaries: false,
        dont_track_primary: false,
        source: None,
        unicast_peers: Vec::new(),
        travel: Travel::default(),
        notify: Notify::default(),
        says_priority: None,
    }
}

fn done(line: &mut Line<'_>) -> Result<(), Diagnostic> {
    line.finish();
    Ok(())
}

fn source(instance: &mut Instance, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    instance.source = Some(line.expect("an IP address")?.parse("an IP address")?);
    done(line)
}

/// The lines of a block, without empty ones.
pub(crate) fn entries(line: &mut Line<'_>, of: &str) -> Result<Vec<Vec<Word>>, Diagnostic> {
    let Some(block) = line.block.take() else {
        return Err(Diagnostic::error(
            line.whole(),
            "missing-block",
            format!("`{of}` has no block"),
        )
        .help(format!("write `{of} {{`, the entries on lines of their own, and `}}`")));
    };
    let mut found = Vec::new();
    for Statement { words, block, .. } in block {
        if let (Some(_), Some(first)) = (&block, words.first()) {
            let message = format!("nothing with a block can stand in `{of}`");
            line.report(Diagnostic::error(first.span, "unknown-keyword", message));
            continue;
        }
        found.push(words);
    }
    Ok(found.into_iter().filter(|words| !words.is_empty()).collect())
}

pub(super) fn tracks(line: &mut Line<'_>) -> Result<Vec<Track>, Diagnostic> {
    let of = line.taken().next().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for mut words in entries(line, &of)? {
        let name = words.remove(0);
        let mut track = Track { name: name.text, weight: None, reverse: None, span: name.span };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.text.as_str() {
                "weight" => {
                    let message = "expected a weight behind this";
                    let missing = || Diagnostic::error(word.span, "missing-word", message);
                    track.weight = Some(weight(&words.next().ok_or_else(missing)?)?);
                }
                "reverse" if track.weight.is_some() => track.reverse = Some(true),
                "noreverse" if track.weight.is_some() => track.reverse = Some(false),
                "reverse" | "noreverse" => return Err(word.wrong("`weight` and a number before")),
                _ => return Err(word.wrong("weight")),
            }
        }
        found.push(track);
    }
    Ok(found)
}

pub(crate) fn weight(word: &Word) -> Result<i16, Diagnostic> {
    let weight: i16 = word.parse("a weight from -253 to 253")?;
    if (-253..=253).contains(&weight) {
        return Ok(weight);
    }
    Err(word.wrong("a weight from -253 to 253"))
}

fn authentication(instance: &mut Instance, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    for words in entries(line, "authentication")? {
        match words.as_slice() {
            [key, value] if key.text == "auth_type" => match value.text.as_str() {
                "PASS" => {}
                "AH" => line.report(Diagnostic::not_yet(value.span, "`auth_type AH`")),
                _ => line.report(value.wrong("PASS or AH")),
            },
            [key, value] if key.text == "auth_pass" => {
                if value.text.len() > PASSWORD_BYTES {
                    line.report(vip::cut_password(value.span, &value.text));
                }
                let (password, span) = (value.text.clone(), value.span);
                instance.authentication = Some(Authentication { password, span });
            }
            [key, ..] if matches!(key.text.as_str(), "auth_type" | "auth_pass") => {
                let message = format!("expected one word behind `{}`", key.text);
                line.report(Diagnostic::error(key.span, "missing-word", message));
            }
            [key, ..] => {
                line.report(unknown_entry(key, "authentication", &["auth_type", "auth_pass"]));
            }
            [] => {}
        }
    }
    Ok(())
}

pub(super) fn unknown_entry(word: &Word, of: &str, known: &[&str]) -> Diagnostic {
    let message = format!("`{}` is no keyword of `{of}`", word.text);
    let finding = Diagnostic::error(word.span, "unknown-keyword", message);
    guess::suggest(finding, &word.text, known.iter().copied())
}

/// Options of an address that change nothing for IPv4.
const LATER_OPTIONS: [&str; 6] =
    ["home", "mngtmpaddr", "noprefixroute", "autojoin", "peer", "track_group"];

/// What is so without it: no address waits for duplicate address detection, and one that somebody removes is put back.
const IDLE_OPTIONS: [&str; 2] = ["-nodad", "no_track"];

pub(super) fn addresses(
    line: &mut Line<'_>,
    of: &str,
) -> Result<(Vec<Address>, Vec<Span>), Diagnostic> {
    let (mut found, mut spans) = (Vec::new(), Vec::new());
    for words in entries(line, of)? {
        let span = words.first().map_or_else(Span::default, |word| word.span);
        match address(words, line) {
            Ok(address) => {
                found.push(address);
                spans.push(span);
            }
            Err(finding) => line.report(finding),
        }
    }
    Ok((found, spans))
}

/// An address and its length; without one that of a single address.
pub(super) fn with_length(word: &Word, what: &str) -> Result<(IpAddr, u8), Diagnostic> {
    let (ip, prefix) = match word.text.split_once('/') {
        Some((ip, prefix)) => (ip, Some(prefix)),
        None => (word.text.as_str(), None),
    };
    let ip: IpAddr = ip.parse().map_err(|_| word.wrong(what))?;
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let Some(text) = prefix else { return Ok((ip, longest)) };
    let prefix = text.parse::<u8>().ok().filter(|prefix| *prefix <= longest);
    Ok((ip, prefix.ok_or_else(|| word.wrong(&format!("a length up to /{longest}")))?))
}

fn address(words: Vec<Word>, line: &mut Line<'_>) -> Result<Address, Diagnostic> {
    let mut words = words.into_iter();
    let Some(first) = words.next() else { return Err(line_error(line)) };
    let (ip, prefix) = with_length(&first, "an IP address like 10.0.0.40/24")?;
    let preferred = Address::preferred_by_length(ip, prefix);
    let mut address = Address { prefix, preferred, ..Address::plain(ip) };
    while let Some(option) = words.next() {
        let mut value = || {
            let message = format!("expected a value behind `{}`", option.text);
            words.next().ok_or_else(|| Diagnostic::error(option.span, "missing-word", message))
        };
        match option.text.as_str() {
            "dev" => address.device = Some(value()?.text),
            "label" => address.label = Some(value()?.text),
            "brd" | "broadcast" => {
                let word = value()?;
                if !matches!(word.text.as_str(), "+" | "-") {
                    address.broadcast = Some(word.parse("an IPv4 address")?);
                }
            }
            "scope" => address.scope = scope(&value()?)?,
            "preferred_lft" => {
                let word = value()?;
                let seconds = match word.text.as_str() {
                    "forever" => None,
                    _ => Some(word.parse("seconds, or `forever`")?),
                };
                if ip.is_ipv6() {
                    address.preferred = seconds;
                }
            }
            "use_vmac" => address.uses_virtual_mac = true,
            text if IDLE_OPTIONS.contains(&text) => {}
            text if LATER_OPTIONS.contains(&text) => {
                line.report(Diagnostic::not_yet(option.span, format!("`{text}` of an address")));
                if matches!(text, "peer" | "track_group") {
                    value()?;
                }
            }
            text => {
                let known =
                    ["dev", "label", "brd", "scope", "preferred_lft", "use_vmac"].into_iter();
                let known = known.chain(LATER_OPTIONS).chain(IDLE_OPTIONS);
                let message = format!("`{text}` is no option of an address");
                let finding = Diagnostic::error(option.span, "unknown-keyword", message);
                return Err(guess::suggest(finding, text, known));
            }
        }
    }
    Ok(address)
}

fn line_error(line: &Line<'_>) -> Diagnostic {
    Diagnostic::error(line.whole(), "missing-word", "expected an IP address")
}
