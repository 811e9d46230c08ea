//! `show stat`: one row per frontend, server and backend, with haproxy 2.6's columns.
//!
//! A column is empty where haproxy leaves it empty or where we do not measure it; it is never a
//! guess.

use std::fmt::Display;
use std::time::Duration;

use base::Time;
use config::haproxy::{Balance, Mode, Proxy};

use crate::counters::{Average, Count, Side};
use crate::view::{Admin, ServerStatus, View};

/// All of them, in haproxy's order. Programs look them up by name.
pub(crate) const COLUMNS: [&str; 128] = [
    "pxname",
    "svname",
    "qcur",
    "qmax",
    "scur",
    "smax",
    "slim",
    "stot",
    "bin",
    "bout",
    "dreq",
    "dresp",
    "ereq",
    "econ",
    "eresp",
    "wretr",
    "wredis",
    "status",
    "weight",
    "act",
    "bck",
    "chkfail",
    "chkdown",
    "lastchg",
    "downtime",
    "qlimit",
    "pid",
    "iid",
    "sid",
    "throttle",
    "lbtot",
    "tracked",
    "type",
    "rate",
    "rate_lim",
    "rate_max",
    "check_status",
    "check_code",
    "check_duration",
    "hrsp_1xx",
    "hrsp_2xx",
    "hrsp_3xx",
    "hrsp_4xx",
    "hrsp_5xx",
    "hrsp_other",
    "hanafail",
    "req_rate",
    "req_rate_max",
    "req_tot",
    "cli_abrt",
    "srv_abrt",
    "comp_in",
    "comp_out",
    "comp_byp",
    "comp_rsp",
    "lastsess",
    "last_chk",
    "last_agt",
    "qtime",
    "ctime",
    "rtime",
    "ttime",
    "agent_status",
    "agent_code",
    "agent_duration",
    "check_desc",
    "agent_desc",
    "check_rise",
    "check_fall",
    "check_health",
    "agent_rise",
    "agent_fall",
    "agent_health",
    "addr",
    "cookie",
    "mode",
    "algo",
    "conn_rate",
    "conn_rate_max",
    "conn_tot",
    "intercepted",
    "dcon",
    "dses",
    "wrew",
    "connect",
    "reuse",
    "cache_lookups",
    "cache_hits",
    "srv_icur",
    "src_ilim",
    "qtime_max",
    "ctime_max",
    "rtime_max",
    "ttime_max",
    "eint",
    "idle_conn_cur",
    "safe_conn_cur",
    "used_conn_cur",
    "need_conn_est",
    "uweight",
    "agg_server_status",
    "agg_server_check_status",
    "agg_check_status",
    "-",
    "ssl_sess",
    "ssl_reused_sess",
    "ssl_failed_handshake",
    "h2_headers_rcvd",
    "h2_data_rcvd",
    "h2_settings_rcvd",
    "h2_rst_stream_rcvd",
    "h2_goaway_rcvd",
    "h2_detected_conn_protocol_errors",
    "h2_detected_strm_protocol_errors",
    "h2_rst_stream_resp",
    "h2_goaway_resp",
    "h2_open_connections",
    "h2_backend_open_streams",
    "h2_total_connections",
    "h2_backend_total_streams",
    "h1_open_connections",
    "h1_open_streams",
    "h1_total_connections",
    "h1_total_streams",
    "h1_bytes_in",
    "h1_bytes_out",
    "h1_spliced_bytes_in",
    "h1_spliced_bytes_out",
];

/// What a row is about, with the numbers of column `type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Frontend = 0,
    Backend = 1,
    Server = 2,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    /// Position among the proxies.
    pub(crate) proxy: usize,
    /// `sid`: of a server, from 1; otherwise 0.
    pub(crate) id: usize,
    values: Box<[String; COLUMNS.len()]>,
}

impl Row {
    fn new(kind: Kind, proxy: usize, id: usize, names: (&str, &str)) -> Self {
        let values = Box::new([const { String::new() }; COLUMNS.len()]);
        let mut row = Self { kind, proxy, id, values };
        row.put("pxname", names.0);
        row.put("svname", names.1);
        row.put("pid", 1);
        row.put("iid", proxy + FIRST_PROXY);
        row.put("sid", id);
        row.put("type", kind as u8);
        row.put("-", "-");
        row
    }

    pub(crate) fn value(&self, column: &str) -> &str {
        COLUMNS.iter().position(|name| *name == column).map_or("", |at| &self.values[at])
    }

    fn put(&mut self, column: &'static str, value: impl Display) {
        let at = COLUMNS.iter().position(|name| *name == column);
        self.values[at.expect("the name is one of the columns")] = value.to_string();
    }

    fn zeros(&mut self, columns: &[&'static str]) {
        for column in columns {
            self.put(column, 0);
        }
    }

    /// Comma-separated, with haproxy's comma behind the last value.
    pub(crate) fn csv(&self, out: &mut String) {
        for value in self.values.iter() {
            if value.contains(['"', ',', '\n', '\r']) {
                out.push('"');
                out.push_str(&value.replace('"', "\"\"").replace(['\n', '\r'], " "));
                out.push('"');
            } else {
                out.push_str(value);
            }
            out.push(',');
        }
        out.push('\n');
    }
}

/// The stats socket itself is proxy 1, as in haproxy.
pub(crate) const FIRST_PROXY: usize = 2;

/// The line above the rows.
pub(crate) fn header(out: &mut String) {
    out.push_str("# ");
    for name in COLUMNS {
        out.push_str(name);
        out.push(',');
    }
    out.push('\n');
}

/// All rows. `legends`: with the addresses of servers and the algorithm, which only the operator of
/// the socket sees.
pub(crate) fn all(view: &View, now: Time, legends: bool) -> Vec<Row> {
    let board = view.board();
    let mut rows = Vec::new();
    for (number, proxy) in view.config.proxies.iter().enumerate() {
        if proxy.disabled {
            continue;
        }
        if proxy.is_frontend() {
            rows.push(frontend(view, number, proxy));
        }
        if proxy.is_backend() {
            for (position, status) in board[number].iter().enumerate() {
                rows.push(server(view, (number, position), proxy, status, (now, legends)));
            }
            rows.push(backend(view, number, proxy, &board[number], (now, legends)));
        }
    }
    rows
}

fn frontend(view: &View, number: usize, proxy: &Proxy) -> Row {
    let side = &view.counters.proxies[number].frontend;
    let mut row = Row::new(Kind::Frontend, number, 0, (&proxy.name, "FRONTEND"));
    traffic(&mut row, side);
    row.put("slim", proxy.maxconn.unwrap_or(view.maxconn));
    row.put("dreq", side.total(Count::DeniedRequests));
    row.put("ereq", side.total(Count::RequestErrors));
    row.put("status", if view.is_draining() { "STOP" } else { "OPEN" });
    row.put("mode", mode(proxy));
    row.put("rate_lim", 0);
    row.put("req_rate", side.request_rate());
    row.put("req_rate_max", side.most_request_rate());
    row.put("req_tot", side.total(Count::Requests));
    row.put("conn_rate", side.rate());
    row.put("conn_rate_max", side.most_rate());
    row.put("conn_tot", side.total(Count::Connections));
    row.zeros(&["dcon", "dses", "comp_in", "comp_out", "comp_byp", "comp_rsp"]);
    if proxy.mode == Mode::Http {
        responses(&mut row, side);
        row.put("intercepted", side.total(Count::Intercepted));
        row.zeros(&["cache_lookups", "cache_hits"]);
    }
    h2(&mut row);
    row
}

fn server(
    view: &View,
    at: (usize, usize),
    proxy: &Proxy,
    status: &ServerStatus,
    (now, legends): (Time, bool),
) -> Row {
    let entry = &proxy.servers[at.1];
    let side = &view.counters.proxies[at.0].servers[at.1];
    let mut row = Row::new(Kind::Server, at.0, at.1 + 1, (&proxy.name, &entry.name));
    traffic(&mut row, side);
    queue(&mut row, side);
    serving(&mut row, side, now);
    if let Some(limit) = entry.maxconn {
        row.put("slim", limit);
    }
    row.put("status", status_word(status, entry));
    row.put("weight", if status.admin == Admin::Drain { 0 } else { entry.weight });
    row.put("uweight", entry.weight);
    row.put("act", u8::from(!entry.backup));
    row.put("bck", u8::from(entry.backup));
    row.put("mode", mode(proxy));
    if legends {
        row.put("addr", entry.address);
    }
    if proxy.mode == Mode::Http {
        responses(&mut row, side);
        row.put("req_tot", side.total(Count::Requests));
    }
    row.put("lastchg", now.since(status.changed).as_secs());
    if entry.check.is_some() {
        row.put("downtime", downtime(status, now).as_secs());
        row.put("chkfail", status.failed_checks);
        row.put("chkdown", status.downs);
    }
    // In maintenance nothing is checked.
    if let Some(check) = entry.check.as_ref().filter(|_| status.admin != Admin::Maintenance) {
        row.put("check_rise", check.rise);
        row.put("check_fall", check.fall);
        row.put("check_health", health(status, check.rise, check.fall));
        last_check(&mut row, status);
    }
    row
}

fn last_check(row: &mut Row, status: &ServerStatus) {
    let Some(report) = &status.report else {
        row.put("check_status", "INI");
        row.put("check_desc", "Initializing");
        return;
    };
    row.put("check_status", report.layer.code());
    if let Some(code) = report.code {
        row.put("check_code", code);
    }
    row.put("check_duration", report.duration.as_millis());
    row.put("last_chk", &report.info);
    row.put("check_desc", report.layer);
}

fn backend(
    view: &View,
    number: usize,
    proxy: &Proxy,
    servers: &[ServerStatus],
    (now, legends): (Time, bool),
) -> Row {
    let side = &view.counters.proxies[number].backend;
    let mut row = Row::new(Kind::Backend, number, 0, (&proxy.name, "BACKEND"));
    traffic(&mut row, side);
    queue(&mut row, side);
    serving(&mut row, side, now);
    row.put("slim", proxy.maxconn.unwrap_or(view.maxconn).saturating_add(9) / 10);
    row.put("dreq", side.total(Count::DeniedRequests));
    row.put("mode", mode(proxy));
    if legends {
        row.put("algo", algorithm(&proxy.balance));
    }
    let usable = |backup: bool| {
        let entries = proxy.servers.iter().zip(servers);
        entries.filter(move |(e, s)| e.backup == backup && s.serves() && s.admin == Admin::Ready)
    };
    let (active, backup) = (usable(false).count(), usable(true).count());
    let serves = active + backup > 0 || servers.is_empty();
    row.put("status", if serves { "UP" } else { "DOWN" });
    let weight: u32 = usable(active == 0).map(|(entry, _)| u32::from(entry.weight)).sum();
    row.put("weight", weight);
    row.put("uweight", weight);
    row.put("act", active);
    row.put("bck", backup);
    row.zeros(&["comp_in", "comp_out", "comp_byp", "comp_rsp"]);
    if proxy.mode == Mode::Http {
        responses(&mut row, side);
        row.put("req_tot", side.total(Count::Requests));
        row.zeros(&["cache_lookups", "cache_hits"]);
    }
    h2(&mut row);
    row
}

/// What every row has.
fn traffic(row: &mut Row, side: &Side) {
    row.put("scur", side.current());
    row.put("smax", side.most());
    row.put("stot", side.total(Count::Sessions));
    row.put("bin", side.total(Count::BytesIn));
    row.put("bout", side.total(Count::BytesOut));
    row.put("dresp", side.total(Count::DeniedResponses));
    row.put("rate", side.rate());
    row.put("rate_max", side.most_rate());
    row.zeros(&["wrew", "eint", "ssl_sess", "ssl_reused_sess", "ssl_failed_handshake"]);
}

fn queue(row: &mut Row, side: &Side) {
    row.put("qcur", side.queued());
    row.put("qmax", side.most_queued());
}

/// What servers and backends have.
fn serving(row: &mut Row, side: &Side, now: Time) {
    row.put("econ", side.total(Count::ConnectErrors));
    row.put("eresp", side.total(Count::ResponseErrors));
    row.put("wretr", side.total(Count::Retries));
    row.put("wredis", side.total(Count::Redispatches));
    row.put("lbtot", side.total(Count::Chosen));
    row.put("cli_abrt", side.total(Count::ClientAborts));
    row.put("srv_abrt", side.total(Count::ServerAborts));
    row.put("connect", side.total(Count::Connects));
    row.put("reuse", side.total(Count::Reuses));
    match side.last_used() {
        Some(last) => row.put("lastsess", now.since(last).as_secs()),
        None => row.put("lastsess", -1),
    }
    row.put("qtime", side.average(Average::Queue));
    row.put("ctime", side.average(Average::Connect));
    row.put("rtime", side.average(Average::Response));
    row.put("ttime", side.average(Average::Total));
}

fn responses(row: &mut Row, side: &Side) {
    row.put("hrsp_1xx", side.total(Count::Status1xx));
    row.put("hrsp_2xx", side.total(Count::Status2xx));
    row.put("hrsp_3xx", side.total(Count::Status3xx));
    row.put("hrsp_4xx", side.total(Count::Status4xx));
    row.put("hrsp_5xx", side.total(Count::Status5xx));
    row.put("hrsp_other", side.total(Count::StatusOther));
}

/// HTTP/2 is not spoken: these are facts.
fn h2(row: &mut Row) {
    let names: Vec<_> = COLUMNS.into_iter().filter(|name| name.starts_with("h2_")).collect();
    row.zeros(&names);
}

/// `UP`, `UP 1/3` on its way down, `DOWN 1/2` on its way up, `MAINT`, `DRAIN`, `no check`.
pub(crate) fn status_word(status: &ServerStatus, entry: &config::haproxy::Server) -> String {
    let Some(check) = &entry.check else {
        return match status.admin {
            Admin::Maintenance => "MAINT".to_owned(),
            Admin::Drain => "DRAIN".to_owned(),
            Admin::Ready => "no check".to_owned(),
        };
    };
    let count = u32::from(status.count);
    match status.admin {
        Admin::Maintenance => "MAINT".to_owned(),
        Admin::Drain if status.up => "DRAIN".to_owned(),
        Admin::Ready | Admin::Drain if status.up && count == 0 => "UP".to_owned(),
        Admin::Ready | Admin::Drain if status.up => {
            format!("UP {}/{}", check.fall.saturating_sub(count), check.fall)
        }
        Admin::Ready | Admin::Drain if count == 0 => "DOWN".to_owned(),
        Admin::Ready | Admin::Drain => format!("DOWN {count}/{}", check.rise),
    }
}

/// haproxy's counter: 0 is down, `rise + fall - 1` fully up.
pub(crate) fn health(status: &ServerStatus, rise: u32, fall: u32) -> u32 {
    let count = u32::from(status.count);
    if status.up { (rise + fall).saturating_sub(1 + count) } else { count }
}

/// All of it, the present one included.
fn downtime(status: &ServerStatus, now: Time) -> Duration {
    let present = if status.up { Duration::ZERO } else { now.since(status.changed) };
    status.downtime + present
}

fn mode(proxy: &Proxy) -> &'static str {
    match proxy.mode {
        Mode::Tcp => "tcp",
        Mode::Http => "http",
    }
}

pub(crate) fn algorithm(balance: &Balance) -> &'static str {
    match balance {
        Balance::RoundRobin => "roundrobin",
        Balance::Source => "source",
        Balance::LeastConnections => "leastconn",
        Balance::First => "first",
    }
}
