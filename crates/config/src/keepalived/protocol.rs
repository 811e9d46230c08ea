//! Version, interval and checksum of the adverts: what a file means by them when all of it has been read, as `vrrp_version` may
//! stand behind the instances that it is for.

use std::ops::RangeInclusive;
use std::time::Duration;

use base::Span;

use super::{Global, Instance, Keepalived, Signed, State, hmac, strict, travel};
use crate::diagnostic::Diagnostic;
use crate::line::{Line, Word};
use crate::vip::{Checksum, DOWN_TIMER_ADVERTS, Protocol};

/// As one instance writes it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Written {
    /// `version`, 2 or 3.
    pub version: Option<u8>,
    /// `v3_checksum_as_v2`.
    pub checksum_as_v2: Option<bool>,
    /// `down_timer_adverts`.
    pub down_timer_adverts: Option<u8>,
    /// Where `old_unicast_checksum` stands.
    pub old_checksum: Option<Span>,
    /// Where `mcast_dst_ip` says its group.
    pub group: Option<Span>,
    /// `accept` or `no_accept`, the last one.
    pub accept: Option<bool>,
    /// `strict_mode`.
    pub strict: Option<bool>,
    /// Where `native_ipv6` stands.
    pub native_ipv6: Option<Span>,
    /// Where `advert_int` says its number.
    pub interval: Option<Span>,
    /// What `auth_hmac` says where.
    pub hmac: Option<Signed>,
}

/// `advert_int` has up to six digits behind the point (microseconds), as keepalived's `TIMER_HZ`.
const DIGITS: usize = 6;
/// What keepalived's parser takes for either version.
const LONGEST: Duration = Duration::from_secs(255);
const SHORTEST: Duration = Duration::from_millis(10);

/// `version`, also `vrrp_version`.
pub(super) fn version(line: &mut Line<'_>) -> Result<u8, Diagnostic> {
    let word = line.expect("2 or 3")?;
    let version = match word.text.as_str() {
        "2" => 2,
        "3" => 3,
        _ => return Err(word.wrong("2 or 3")),
    };
    line.finish();
    Ok(version)
}

/// `down_timer_adverts`, also `vrrp_down_timer_adverts`.
pub(super) fn down_timer_adverts(line: &mut Line<'_>) -> Result<u8, Diagnostic> {
    let adverts = line.number("a number of adverts", 1, 100)?;
    line.finish();
    Ok(u8::try_from(adverts).unwrap_or(DOWN_TIMER_ADVERTS))
}

/// `v3_checksum_as_v2 [<BOOL>]`
pub(super) fn yes_or_no(line: &mut Line<'_>) -> Result<bool, Diagnostic> {
    let Some(word) = line.take() else { return Ok(true) };
    let is_on = match word.text.as_str() {
        "true" | "on" | "yes" => true,
        "false" | "off" | "no" => false,
        _ => return Err(word.wrong("true or false")),
    };
    line.finish();
    Ok(is_on)
}

/// As written: [`settle`] rounds.
pub(super) fn advert_interval(
    instance: &mut Instance,
    line: &mut Line<'_>,
) -> Result<(), Diagnostic> {
    let word = line.expect("seconds")?;
    instance.advert_interval = seconds(&word, SHORTEST..=LONGEST, "seconds from 0.01 to 255")?;
    instance.written.interval = Some(word.span);
    line.finish();
    Ok(())
}

/// With up to six digits behind the point.
pub(super) fn seconds(
    word: &Word,
    bounds: RangeInclusive<Duration>,
    what: &str,
) -> Result<Duration, Diagnostic> {
    let wrong = || word.wrong(what);
    let (whole, fraction) = word.text.split_once('.').unwrap_or((&word.text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let digits = &fraction[..fraction.len().min(DIGITS)];
    let micros: u64 = format!("{digits:0<DIGITS$}").parse().map_err(|_| wrong())?;
    let time = Duration::from_secs(whole).saturating_add(Duration::from_micros(micros));
    if bounds.contains(&time) { Ok(time) } else { Err(wrong()) }
}

/// Makes of what is written what is run, and says where that is not the same.
pub(super) fn settle(read: &mut Keepalived, found: &mut Vec<Diagnostic>) {
    let Keepalived { global, instances, .. } = read;
    for instance in instances {
        settle_delay(instance, found);
        let adverts = instance.written.down_timer_adverts.or(global.down_timer_adverts);
        instance.down_timer_adverts = adverts.unwrap_or(DOWN_TIMER_ADVERTS);
        instance.protocol = protocol(&instance.written, global, instance.is_v6());
        travel::settle(instance, global, found);
        strict::settle(instance, global, found);
        round(instance, found);
        hmac::settle(instance, found);
        if instance.protocol == Protocol::V2 {
            continue;
        }
        if let Some(authentication) = instance.authentication.take() {
            let message = "VRRP version 3 has no password: this one is not used";
            let finding = Diagnostic::warning(authentication.span, "password-unused", message);
            found.push(finding.help("remove `authentication`, or write `version 2`"));
        }
        if let Some(span) = instance.written.old_checksum {
            let what = "`old_unicast_checksum` in VRRP version 3";
            let finding = Diagnostic::not_yet(span, what);
            found.push(finding.help(
                "it is a mistake of keepalived up to 1.3: bring the other router to 2.0, or write `version 2`",
            ));
        }
    }
}

/// What keepalived makes of a `preempt_delay` that means nothing.
fn settle_delay(instance: &mut Instance, found: &mut Vec<Diagnostic>) {
    let why = match (instance.state, instance.nopreempt) {
        _ if instance.preempt_delay.is_zero() => return,
        (State::Master, _) => "`preempt_delay` does not work with `state MASTER`: it is not used",
        (State::Backup, true) => {
            "`preempt_delay` means nothing with `nopreempt`, which leaves the address for good"
        }
        (State::Backup, false) => return,
    };
    instance.preempt_delay = Duration::ZERO;
    let at = instance.preempt_delay_span.unwrap_or(instance.span);
    let finding = Diagnostic::warning(at, "preempt", why);
    found.push(finding.help("remove one of the two"));
}

/// Over IPv6 there is no other than 3, whatever `vrrp_version` says.
fn protocol(written: &Written, global: &Global, is_v6: bool) -> Protocol {
    let of_all = if is_v6 { Some(3) } else { global.version };
    match written.version.or(of_all) {
        Some(3) => {
            let as_v2 = written.checksum_as_v2.unwrap_or(global.checksum_as_v2);
            let sends = if as_v2 { Checksum::Message } else { Checksum::Pseudo };
            Protocol::V3 { sends }
        }
        Some(_) | None => Protocol::V2,
    }
}

/// To what the version can say, as keepalived rounds: to the nearest, and at least the shortest.
fn round(instance: &mut Instance, found: &mut Vec<Diagnostic>) {
    let (tick, written) = (instance.protocol.tick(), instance.advert_interval);
    let ticks = (written + tick / 2).as_micros() / tick.as_micros();
    let ticks = u32::try_from(ticks).unwrap_or(u32::MAX).max(1);
    let rounded = tick.saturating_mul(ticks).min(instance.protocol.longest_interval());
    if rounded == written {
        return;
    }
    instance.advert_interval = rounded;
    let Some(span) = instance.written.interval else { return };
    let seconds = rounded.as_secs_f64();
    let message = match instance.protocol {
        Protocol::V2 => format!("VRRP version 2 counts whole seconds: this is {seconds} s"),
        Protocol::V3 { .. } => {
            format!("VRRP version 3 counts hundredths of seconds up to 40.95: this is {seconds} s")
        }
    };
    let finding = Diagnostic::warning(span, "rounded", message);
    let finding = finding.help(format!("write `advert_int {seconds}`"));
    found.push(finding.fix_here(seconds.to_string()));
}
