//! A small configuration for the tests of checks, logs and statistics.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::{Span, Time};
use config::haproxy::{
    Check, Global, Haproxy, LogFormat, LogTarget, LogTo, Mode, Proxy, ProxyKind, Server, StatsPage,
};

use crate::view::View;

pub(crate) fn server(name: &str, address: SocketAddr) -> Server {
    Server {
        name: name.to_owned(),
        address,
        backup: false,
        disabled: false,
        weight: 1,
        maxconn: None,
        check: Some(Check {
            interval: Duration::from_secs(2),
            fast_interval: None,
            down_interval: None,
            rise: 2,
            fall: 3,
            address: None,
            port: None,
        }),
        span: Span::default(),
    }
}

pub(crate) fn proxy(name: &str, mode: Mode, servers: Vec<Server>) -> Proxy {
    let log_format = match mode {
        Mode::Http => LogFormat::Http,
        Mode::Tcp => LogFormat::Tcp,
    };
    Proxy { mode, servers, log_format, ..Proxy::new(name, ProxyKind::Listen) }
}

pub(crate) fn page(auth: &[(&str, &str)]) -> StatsPage {
    StatsPage {
        uri: "/".to_owned(),
        refresh: Some(Duration::from_secs(15)),
        realm: "Haproxy Stats".to_owned(),
        auth: auth.iter().map(|(user, word)| ((*user).to_owned(), (*word).to_owned())).collect(),
        admin: false,
        hide_version: false,
    }
}

pub(crate) fn log_to(address: SocketAddr) -> LogTarget {
    LogTarget { to: LogTo::Udp(address), facility: 17, level: 7, min_level: 0 }
}

/// `api` (HTTP: node01, node02, node03 as backup), `db` (TCP: node01), `stats` (a page).
pub(crate) fn three_proxies() -> Vec<Proxy> {
    let at = |host: u8, port: u16| SocketAddr::from(([127, 10, 0, host], port));
    let mut third = server("node03", at(43, 9000));
    third.backup = true;
    let api = vec![server("node01", at(41, 9000)), server("node02", at(42, 9000)), third];
    let mut stats = proxy("stats", Mode::Http, Vec::new());
    stats.stats = Some(page(&[("openstack", "secret")]));
    vec![
        proxy("api", Mode::Http, api),
        proxy("db", Mode::Tcp, vec![server("node01", at(41, 3306))]),
        stats,
    ]
}

pub(crate) fn view(proxies: Vec<Proxy>, mode: api::Mode) -> Arc<View> {
    let config = Haproxy { global: Global::default(), proxies };
    let start = api::Start {
        mode,
        node: "node01".to_owned(),
        generation: 1,
        run_dir: String::new(),
        state_dir: String::new(),
        breaks: Vec::new(),
        files: Vec::new(),
        sockets: Vec::new(),
        adopt: Vec::new(),
        servers: Vec::new(),
        choices: Vec::new(),
        nodes: Vec::new(),
    };
    View::new(config, &start, 1, 1000, Time::from_nanos(1_000_000_000), 1_795_478_760_000)
}
