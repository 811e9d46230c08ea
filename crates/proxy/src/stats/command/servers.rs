//! Commands about servers.

use std::fmt::Write;

use super::Desk;
use crate::stats::rows;
use crate::view::{Admin, ServerStatus, View, Wish};
use base::{Layer, Time};

/// `show servers state`, version 1 of haproxy's format.
const STATE_VERSION: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state \
    srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status \
    srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id \
    srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr \
    srv_agent_addr srv_agent_port\n";

/// `set server` without or with an unknown setting.
const USAGE: &str = "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | \
    agent-send | check-addr | check-port | fqdn | health | ssl | state | weight\n";

pub(super) fn state(only: Option<&str>, desk: &Desk<'_>, out: &mut String) {
    let config = &desk.view.config;
    if only.is_some_and(|name| backend(desk.view, name).is_none()) {
        out.push_str("Can't find backend.\n");
        return;
    }
    out.push_str(STATE_VERSION);
    let board = desk.view.board();
    for (number, proxy) in config.proxies.iter().enumerate() {
        if !proxy.is_backend() || only.is_some_and(|name| name != proxy.name) {
            continue;
        }
        for (position, status) in board[number].iter().enumerate() {
            let entry = &proxy.servers[position];
            let ids = (number + rows::FIRST_PROXY, position + 1);
            write_state(out, ids, &proxy.name, entry, (status, desk.now));
        }
    }
}

fn write_state(
    out: &mut String,
    (backend, server): (usize, usize),
    backend_name: &str,
    entry: &config::haproxy::Server,
    (status, now): (&ServerStatus, Time),
) {
    // SRV_ST_STOPPED, SRV_ST_RUNNING.
    let operational = if status.serves() { 2 } else { 0 };
    // SRV_ADMF_FMAINT, with SRV_ADMF_CMAINT if the file says so, SRV_ADMF_FDRAIN.
    let administrative = match status.admin {
        Admin::Ready => 0,
        Admin::Maintenance if entry.disabled => 5,
        Admin::Maintenance => 1,
        Admin::Drain => 8,
    };
    let (check_status, result) = check_numbers(status);
    let check = entry.check.as_ref();
    let health = match check {
        _ if status.admin == Admin::Maintenance => 0,
        Some(check) => rows::health(status, check.rise, check.fall),
        None => entry.rise,
    };
    // CHK_ST_CONFIGURED, CHK_ST_ENABLED, CHK_ST_PAUSED.
    let check_state = match (check, status.admin) {
        (None, _) => 0,
        (Some(_), Admin::Maintenance) => 14,
        (Some(_), Admin::Ready | Admin::Drain) => 6,
    };
    writeln!(
        out,
        "{backend} {backend_name} {server} {} {} {operational} {administrative} {} {} {} \
         {check_status} {result} {health} {check_state} 0 0 0 - {} - 0 {} {} - 0",
        entry.name,
        entry.address.ip(),
        entry.weight,
        entry.weight,
        now.since(status.changed).as_secs(),
        entry.address.port(),
        check.and_then(|check| check.port).unwrap_or(0),
        check.and_then(|check| check.address).map_or_else(|| "-".to_owned(), |ip| ip.to_string()),
    )
    .expect("a String takes every byte");
}

/// haproxy's numbers of `HCHK_STATUS_*` and `CHK_RES_*`.
fn check_numbers(status: &ServerStatus) -> (u8, u8) {
    let Some(report) = &status.report else { return (1, 0) };
    let check = match report.layer {
        Layer::Socket => 5,
        Layer::ConnectOk => 6,
        Layer::ConnectTimeout => 7,
        Layer::ConnectError => 8,
        Layer::AnswerTimeout => 12,
        Layer::AnswerInvalid => 13,
        Layer::AnswerOk => 15,
        Layer::AnswerBad => 17,
    };
    (check, if report.passed { 3 } else { 2 })
}

pub(super) fn weight(target: &str, view: &View, out: &mut String) {
    match find(target, view) {
        Ok((proxy, server)) => {
            let weight = view.config.proxies[proxy].servers[server].weight;
            out.push_str(&format!("{weight} (initial {weight})\n"));
        }
        Err(why) => out.push_str(why),
    }
}

/// `set server B/S state ready|drain|maint`, `set server B/S weight N`.
pub(super) fn set(words: &[&str], desk: &mut Desk<'_>, out: &mut String) {
    let (proxy, server) = match find(words.first().copied().unwrap_or_default(), desk.view) {
        Ok(found) => found,
        Err(why) => return out.push_str(why),
    };
    match &words[1..] {
        ["state", state, ..] => match *state {
            "ready" => wish(desk, proxy, server, Admin::Ready),
            "drain" => wish(desk, proxy, server, Admin::Drain),
            "maint" => wish(desk, proxy, server, Admin::Maintenance),
            _ => out.push_str("'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n"),
        },
        ["state"] => {
            out.push_str("'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n");
        }
        ["weight", weight, ..] => weigh(desk, (proxy, server), weight, out),
        ["weight"] => out.push_str("Require <weight> or <weight%>.\n"),
        [
            "addr" | "agent" | "agent-addr" | "agent-port" | "agent-send" | "check-addr"
            | "check-port" | "fqdn" | "health" | "ssl",
            ..,
        ] => out
            .push_str("Not supported: change the file and reload. Only 'state' can be set here.\n"),
        _ => out.push_str(USAGE),
    }
}

/// `set weight B/S N`.
pub(super) fn set_weight(words: &[&str], desk: &mut Desk<'_>, out: &mut String) {
    match (find(words.first().copied().unwrap_or_default(), desk.view), words.get(1)) {
        (Ok(at), Some(weight)) => weigh(desk, at, weight, out),
        (Ok(_), None) => out.push_str("Require <weight> or <weight%>.\n"),
        (Err(why), _) => out.push_str(why),
    }
}

/// `disable server B/S`, `enable server B/S`.
pub(super) fn switch(enable: bool, words: &[&str], desk: &mut Desk<'_>, out: &mut String) {
    match find(words.first().copied().unwrap_or_default(), desk.view) {
        Ok((proxy, server)) => {
            wish(desk, proxy, server, if enable { Admin::Ready } else { Admin::Maintenance });
        }
        Err(why) => out.push_str(why),
    }
}

/// Nothing and everything of the file's weight can be had by draining; other weights are the file's.
fn weigh(desk: &mut Desk<'_>, (proxy, server): (usize, usize), weight: &str, out: &mut String) {
    let initial = u32::from(desk.view.config.proxies[proxy].servers[server].weight);
    let wanted = match weight.strip_suffix('%') {
        Some(percent) => percent.parse::<u32>().map(|p| initial.saturating_mul(p) / 100),
        None => weight.parse::<u32>(),
    };
    match wanted {
        Ok(0) => wish(desk, proxy, server, Admin::Drain),
        Ok(wanted) if wanted == initial => wish(desk, proxy, server, Admin::Ready),
        Ok(wanted) if wanted > 256 => {
            out.push_str("Absolute weight can only be between 0 and 256 inclusive.\n");
        }
        Ok(_) => out.push_str(
            "Not supported: only 0 and the file's weight can be set; change the file and reload.\n",
        ),
        Err(_) => out.push_str("Malformed argument.\n"),
    }
}

fn wish(desk: &mut Desk<'_>, proxy: usize, server: usize, to: Admin) {
    desk.wishes.push(Wish::SetServer { proxy, server, to });
}

/// `BACKEND/SERVER`.
fn find(target: &str, view: &View) -> Result<(usize, usize), &'static str> {
    let (backend_name, server) = target.split_once('/').ok_or("Require 'backend/server'.\n")?;
    let number = backend(view, backend_name).ok_or("No such backend.\n")?;
    let servers = &view.config.proxies[number].servers;
    let position = servers.iter().position(|entry| entry.name == server);
    position.map(|position| (number, position)).ok_or("No such server.\n")
}

fn backend(view: &View, name: &str) -> Option<usize> {
    view.config.proxies.iter().position(|proxy| proxy.is_backend() && proxy.name == name)
}
