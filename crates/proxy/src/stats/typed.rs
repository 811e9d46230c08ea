//! Rows with the type and meaning of each value: `show stat typed`, `show stat json`, `;json`.

use std::fmt::Write;

use super::rows::{COLUMNS, FIRST_PROXY, Kind, Row};

/// haproxy's three letters (who says it, what kind of value, of what it is true) and the type.
fn shape(column: &str, kind: Kind) -> (&'static str, &'static str) {
    match (column, kind) {
        ("pxname" | "svname", _) => ("KNS", "str"),
        ("pid", _) => ("KGP", "u32"),
        ("iid" | "sid", _) => ("KGS", "u32"),
        ("type" | "check_rise" | "check_fall" | "check_health", _) => ("CGS", "u32"),
        ("mode" | "algo" | "addr" | "cookie", _) => ("CGS", "str"),
        ("slim" | "qlimit" | "rate_lim", _) => ("CLP", "u32"),
        ("status", _) => ("SGP", "str"),
        ("act" | "bck", Kind::Server) => ("SGP", "u32"),
        ("act" | "bck", _) | ("rate" | "rate_max", Kind::Backend) => ("MGP", "u32"),
        ("rate" | "req_rate" | "conn_rate", _) => ("MRP", "u32"),
        ("smax" | "qmax" | "rate_max" | "req_rate_max" | "conn_rate_max", _) => ("MMP", "u32"),
        ("qtime_max" | "ctime_max" | "rtime_max" | "ttime_max", _) => ("MMP", "u32"),
        ("qtime" | "ctime" | "rtime" | "ttime" | "weight" | "uweight", _) => ("MaP", "u32"),
        ("lastchg", _) => ("MAP", "u32"),
        ("lastsess", _) => ("MAP", "s32"),
        ("downtime", _) => ("MCP", "u32"),
        ("check_status" | "check_desc" | "last_chk", _) => ("MOP", "str"),
        ("check_code", _) => ("MOP", "u32"),
        ("check_duration", _) => ("MDP", "u64"),
        ("qcur" | "scur", _) => ("MGP", "u32"),
        (name, _) if name.ends_with("_cur") || name.starts_with("agg_") => ("MGP", "u32"),
        (name, _) if name.contains("_open_") => ("MGP", "u64"),
        _ => ("MCP", "u64"),
    }
}

const fn origin(letter: u8) -> &'static str {
    match letter {
        b'K' => "Key",
        b'C' => "Config",
        b'S' => "Status",
        _ => "Metric",
    }
}

const fn nature(letter: u8) -> &'static str {
    match letter {
        b'N' => "Name",
        b'L' => "Limit",
        b'C' => "Counter",
        b'R' => "Rate",
        b'M' => "Max",
        b'a' => "Avg",
        b'A' => "Age",
        b'D' => "Duration",
        b'O' => "Output",
        _ => "Gauge",
    }
}

const fn scope(letter: u8) -> &'static str {
    match letter {
        b'S' => "Service",
        _ => "Process",
    }
}

/// Columns that have a value, with their position. `-` only separates, and has none.
fn values(row: &Row) -> impl Iterator<Item = (usize, &'static str, &str)> {
    let names = COLUMNS.into_iter().filter(|name| *name != "-").enumerate();
    let values = names.map(|(at, name)| (at, name, row.value(name)));
    values.filter(|(_, _, value)| !value.is_empty())
}

/// `S.2.1.0.pxname.1:KNS:str:api`: type, proxy, server, column, its name, process.
pub(super) fn typed(row: &Row, out: &mut String) {
    let letter = match row.kind {
        Kind::Frontend => 'F',
        Kind::Backend => 'B',
        Kind::Server => 'S',
    };
    for (at, name, value) in values(row) {
        let (tags, kind) = shape(name, row.kind);
        let (proxy, server) = (row.proxy + FIRST_PROXY, row.id);
        let line = format_args!("{letter}.{proxy}.{server}.{at}.{name}.1:{tags}:{kind}:{value}\n");
        out.write_fmt(line).expect("a String takes every byte");
    }
    out.push('\n');
}

/// An array of rows, each an array of values. No line breaks, as from haproxy.
pub(super) fn json<'a>(rows: impl Iterator<Item = &'a Row>, out: &mut String) {
    out.push('[');
    for (number, row) in rows.enumerate() {
        out.push_str(if number == 0 { "[" } else { ",[" });
        for (number, (at, name, value)) in values(row).enumerate() {
            if number > 0 {
                out.push(',');
            }
            json_value(row, at, name, value, out);
        }
        out.push(']');
    }
    out.push(']');
}

fn json_value(row: &Row, at: usize, name: &str, value: &str, out: &mut String) {
    let object = match row.kind {
        Kind::Frontend => "Frontend",
        Kind::Backend => "Backend",
        Kind::Server => "Server",
    };
    let (tags, kind) = shape(name, row.kind);
    let tags = tags.as_bytes();
    let (proxy, id) = (row.proxy + FIRST_PROXY, row.id);
    let (origin, nature, scope) = (origin(tags[0]), nature(tags[1]), scope(tags[2]));
    let text = format_args!(
        "{{\"objType\":\"{object}\",\"proxyId\":{proxy},\"id\":{id},\
         \"field\":{{\"pos\":{at},\"name\":\"{name}\"}},\"processNum\":1,\
         \"tags\":{{\"origin\":\"{origin}\",\"nature\":\"{nature}\",\"scope\":\"{scope}\"}},\
         \"value\":{{\"type\":\"{kind}\",\"value\":"
    );
    out.write_fmt(text).expect("a String takes every byte");
    if kind == "str" {
        quoted(value, out);
    } else {
        out.push_str(value);
    }
    out.push_str("}}");
}

/// RFC 8259 7.
fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            char if char < ' ' => {
                write!(out, "\\u{:04x}", u32::from(char)).expect("a String takes every byte");
            }
            char => out.push(char),
        }
    }
    out.push('"');
}
