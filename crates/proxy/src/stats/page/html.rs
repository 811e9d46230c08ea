//! The page for people. One card per proxy, haproxy's columns, readable in the dark and on a telephone.

use std::fmt::Write;

use base::Time;
use config::haproxy::{Mode, Proxy, StatsPage};

use super::Options;
use crate::stats::command::age;
use crate::stats::info;
use crate::stats::rows::{self, Kind, Row};
use crate::view::{ServerStatus, View};

const STYLE: &str = include_str!("style.css");

/// Groups of columns and their names, as haproxy's page has them.
const GROUPS: [(&str, &[&str]); 8] = [
    ("Queue", &["Cur", "Max", "Limit"]),
    ("Session rate", &["Cur", "Max", "Limit"]),
    ("Sessions", &["Cur", "Max", "Limit", "Total", "LbTot", "Last"]),
    ("Bytes", &["In", "Out"]),
    ("Denied", &["Req", "Resp"]),
    ("Errors", &["Req", "Conn", "Resp"]),
    ("Warnings", &["Retr", "Redis"]),
    ("Server", &["Status", "LastChk", "Wght", "Act", "Bck", "Chk", "Dwn", "Dwntme", "Thrtle"]),
];

/// What one page shows.
#[derive(Debug)]
pub(super) struct Sheet<'a> {
    pub(super) view: &'a View,
    /// The proxy that serves the page.
    pub(super) own: &'a Proxy,
    pub(super) page: &'a StatsPage,
    pub(super) options: &'a Options,
    pub(super) rows: &'a [Row],
    pub(super) now: Time,
}

pub(super) fn document(sheet: &Sheet<'_>) -> String {
    let Sheet { view, rows, .. } = *sheet;
    let mut out = String::with_capacity(16 * 1024);
    head(&mut out, sheet);
    let board = view.board();
    for (number, proxy) in view.config.proxies.iter().enumerate() {
        let own: Vec<&Row> = rows.iter().filter(|row| row.proxy == number).collect();
        if own.is_empty() {
            continue;
        }
        let mode = match proxy.mode {
            Mode::Tcp => "tcp",
            Mode::Http => "http",
        };
        let name = escaped(&proxy.name);
        let balance = if proxy.servers.is_empty() {
            String::new()
        } else {
            format!(" · {}", rows::algorithm(&proxy.balance))
        };
        put(
            &mut out,
            format_args!(
                "<section id=\"{name}\"><h2><a href=\"#{name}\">{name}</a> \
                 <small>{mode}{balance}</small></h2><div class=\"wide\"><table>"
            ),
        );
        columns(&mut out);
        for row in own {
            let status = row.id.checked_sub(1).and_then(|at| board[number].get(at));
            line(&mut out, view, row, status);
        }
        out.push_str("</table></div></section>\n");
    }
    out.push_str("</main></body></html>\n");
    out
}

fn head(out: &mut String, sheet: &Sheet<'_>) {
    let Sheet { view, page, options, now, .. } = *sheet;
    let shown = page.node.as_ref().and_then(Option::as_deref);
    let node = shown.or(view.config.global.node.as_deref()).unwrap_or(&view.node);
    let node = escaped(node);
    let process = &view.counters.process;
    let mode = match view.mode {
        api::Mode::Strict => "strict (as haproxy)",
        api::Mode::Rfc => "rfc",
        api::Mode::Adaptive => "adaptive",
    };
    let description =
        description(sheet).map_or_else(String::new, |text| format!("<p>{}</p>", escaped(text)));
    let version =
        if page.hide_version { String::new() } else { format!(" {}", env!("CARGO_PKG_VERSION")) };
    put(
        out,
        format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>Balancer on {node}</title><link rel=\"icon\" href=\"data:,\">\
             <style>{STYLE}</style></head>\n<body><header><h1>Balancer on {node}</h1>{description}<dl>\
             <div><dt>program</dt><dd>outlast{version}</dd></div>\
             <div><dt>mode</dt><dd>{mode}</dd></div>\
             <div><dt>pid</dt><dd>{}</dd></div>\
             <div><dt>up for</dt><dd>{}</dd></div>\
             <div><dt>sessions</dt><dd>{} of {}</dd></div>\
             <div><dt>sessions/s</dt><dd>{}</dd></div>\
             <div><dt>threads</dt><dd>{}</dd></div></dl>",
            std::process::id(),
            info::uptime(now.since(view.started)),
            process.current(),
            view.maxconn,
            process.rate(),
            view.workers,
        ),
    );
    let uri = escaped(&page.uri);
    let (other, word) =
        if options.up { ("", "Show all servers") } else { (";up", "Hide 'DOWN' servers") };
    put(
        out,
        format_args!(
            "<nav><a href=\"{uri}\">Refresh now</a> <a href=\"{uri}{other}\">{word}</a> \
             <a href=\"{uri};norefresh\">Disable refresh</a> <a href=\"{uri};csv\">CSV export</a>\
             </nav></header>\n<main>\n"
        ),
    );
}

/// `stats show-desc`: its own text, or the proxy's, or the program's.
fn description<'a>(sheet: &Sheet<'a>) -> Option<&'a str> {
    let Sheet { view, own, page, .. } = *sheet;
    let text = page.description.as_ref()?.as_deref();
    text.or(own.description.as_deref()).or(view.config.global.description.as_deref())
}

fn columns(out: &mut String) {
    out.push_str("<thead><tr><th rowspan=\"2\"></th>");
    for (group, names) in GROUPS {
        put(out, format_args!("<th colspan=\"{}\" class=\"group\">{group}</th>", names.len()));
    }
    out.push_str("</tr><tr>");
    for (_, names) in GROUPS {
        for (at, name) in names.iter().enumerate() {
            let class = match (*name, at) {
                ("Status", _) => " class=\"first state\"",
                ("LastChk", _) => " class=\"state\"",
                (_, 0) => " class=\"first\"",
                _ => "",
            };
            put(out, format_args!("<th{class}>{name}</th>"));
        }
    }
    out.push_str("</tr></thead>\n");
}

fn line(out: &mut String, view: &View, row: &Row, status: Option<&ServerStatus>) {
    let (kind, name) = match row.kind {
        Kind::Frontend => ("frontend", "Frontend".to_owned()),
        Kind::Backend => ("backend", "Backend".to_owned()),
        Kind::Server => ("server", escaped(row.value("svname"))),
    };
    // Empty unless legends are shown.
    let name = match row.value("addr") {
        "" => name,
        address => format!("{name} <small>{}</small>", escaped(address)),
    };
    let class = class(row.value("status"), status);
    put(
        out,
        format_args!("<tr class=\"{kind}\"><th scope=\"row\"><i class=\"{class}\"></i>{name}</th>"),
    );
    let numbers = [
        ["qcur", "qmax", "qlimit"].as_slice(),
        &["rate", "rate_max", "rate_lim"],
        &["scur", "smax", "slim", "stot", "lbtot", "lastsess"],
        &["bin", "bout"],
        &["dreq", "dresp"],
        &["ereq", "econ", "eresp"],
        &["wretr", "wredis"],
    ];
    for group in numbers {
        for (at, column) in group.iter().enumerate() {
            let class = if at == 0 { " class=\"first\"" } else { "" };
            put(out, format_args!("<td{class}>{}</td>", number(column, row.value(column))));
        }
    }
    state(out, view, row, status);
    for column in ["weight", "act", "bck", "chkfail", "chkdown"] {
        put(out, format_args!("<td>{}</td>", row.value(column)));
    }
    let downtime = row.value("downtime").parse().map_or_else(|_| String::new(), age);
    put(out, format_args!("<td>{downtime}</td><td></td></tr>\n"));
}

/// The colour of a row; the word beside it says the same.
fn class(word: &str, status: Option<&ServerStatus>) -> &'static str {
    match word {
        _ if status.is_some_and(|status| status.suspect && status.up) => "suspect",
        "UP" | "OPEN" => "up",
        "MAINT" | "DRAIN" | "STOP" => "out",
        "no check" => "unchecked",
        _ if word.starts_with("UP") => "falling",
        _ if word.starts_with("DOWN ") => "rising",
        _ => "down",
    }
}

/// `Status` and `LastChk`.
fn state(out: &mut String, view: &View, row: &Row, status: Option<&ServerStatus>) {
    let word = row.value("status");
    let class = class(word, status);
    let since = row.value("lastchg").parse().map_or_else(|_| String::new(), age);
    let suspect = match status {
        Some(status) if status.suspect => {
            format!("<span class=\"why\">suspect: {}</span>", escaped(&status.why))
        }
        Some(_) | None => String::new(),
    };
    put(
        out,
        format_args!(
            "<td class=\"first state\"><b class=\"{class}\">{word}</b> {since}{suspect}</td>"
        ),
    );
    let check = view.config.proxies[row.proxy].servers.get(row.id.wrapping_sub(1));
    if check.is_none_or(|server| server.check.is_none()) {
        out.push_str("<td></td>");
        return;
    }
    let mut text = row.value("check_status").to_owned();
    if !row.value("check_code").is_empty() {
        text.push('/');
        text.push_str(row.value("check_code"));
    }
    if !row.value("check_duration").is_empty() {
        put(&mut text, format_args!(" in {}ms", row.value("check_duration")));
    }
    let mut long = row.value("check_desc").to_owned();
    if !row.value("last_chk").is_empty() {
        put(&mut long, format_args!(": {}", row.value("last_chk")));
    }
    put(out, format_args!("<td class=\"state\" title=\"{}\">{text}</td>", escaped(&long)));
}

/// Bytes with their unit (the exact number on hovering), ages in words, the rest as it is.
fn number(column: &str, value: &str) -> String {
    match column {
        "rate_lim" if value == "0" => String::new(),
        "lastsess" if value == "-1" => "?".to_owned(),
        "lastsess" => value.parse().map_or_else(|_| String::new(), age),
        "bin" | "bout" => {
            let Ok(bytes) = value.parse::<u64>() else { return String::new() };
            format!("<span title=\"{bytes}\">{}</span>", size(bytes))
        }
        _ => value.to_owned(),
    }
}

/// Three digits are enough for a look.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["", " k", " M", " G", " T"];
    let (mut whole, mut tenth, mut unit) = (bytes, 0, 0);
    while whole >= 1000 && unit + 1 < UNITS.len() {
        tenth = whole % 1000 / 100;
        whole /= 1000;
        unit += 1;
    }
    if unit > 0 && whole < 100 {
        format!("{whole}.{tenth}{}", UNITS[unit])
    } else {
        format!("{whole}{}", UNITS[unit])
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(char),
        }
    }
    out
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes every byte");
}
