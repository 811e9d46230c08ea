//! One pool: its listener and its servers with their counters.

use api::{ProxyLine, ServerState, Status};
use maud::{Markup, html};

use super::{Fragment, View, absent, link, section, why};
use crate::mark;
use crate::pool::{self, Pool};
use crate::stats::{Row, Side, Table};

pub(super) fn parts(view: &View, name: &str, parts: &mut Vec<Fragment>) {
    let Some(status) = &view.heard.status else {
        parts.push(absent("about"));
        why::fragments(view, parts);
        return;
    };
    let pools = pool::all(status);
    let pool = pools.iter().find(|pool| pool.name == name);
    let line = status.proxies.iter().find(|line| line.name == name);
    let counters = view.counters.clone().unwrap_or_default();
    let inside = html! {
        @if let Some(line) = line { (facts(status, line, &counters)) }
        @if let Some(pool) = pool { (servers(pool, &counters)) }
        @if pool.is_none() && line.is_none() { p.none { "No pool has this name any more." } }
        @if let Some(silence) = &counters.silence { p.none { "No counters: " (silence) "." } }
    };
    parts.push(section("about", "about", "Servers", &inside));
    why::fragments(view, parts);
}

fn facts(status: &Status, line: &ProxyLine, counters: &Table) -> Markup {
    let fed_by = status
        .proxies
        .iter()
        .filter(|other| other.default_backend.as_deref() == Some(line.name.as_str()));
    let fed_by: Vec<&str> = fed_by.map(|other| other.name.as_str()).collect();
    html! {
        dl {
            dt { "Kind" } dd { (line.kind) ", " (line.mode) }
            @if !line.binds.is_empty() { dt { "Listens on" } dd { code { (line.binds.join(" ")) } } }
            @if !line.balance.is_empty() { dt { "Balance" } dd { (line.balance) @if line.one_writer { ", one server at a time" } } }
            @if let Some(backend) = &line.default_backend { dt { "Sends to" } dd { a href=(link("pool", backend)) { (backend) } } }
            @if !fed_by.is_empty() { dt { "Fed by" } dd { @for name in fed_by { a href=(link("pool", name)) { (name) } " " } } }
            @if let Some(front) = counters.side(&line.name, Side::Frontend) {
                dt { "Sessions now" } dd { (number(front, "scur")) " of at most " (number(front, "slim")) }
                dt { "Per second" } dd { (number(front, "rate")) " sessions, " (number(front, "req_rate")) " requests" }
            }
        }
    }
}

fn servers(pool: &Pool<'_>, counters: &Table) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { "Server" } th scope="col" { "State" } th scope="col" { "Last evidence" }
                th.right scope="col" { "Sessions" } th.right scope="col" { "Per second" } th.right scope="col" { "In all" }
                th.right scope="col" { "Errors" } th.right scope="col" { "Received" } th.right scope="col" { "Sent" }
            } }
            tbody { @for server in &pool.servers { (server_row(pool, server, counters)) } }
        } }
    }
}

fn server_row(pool: &Pool<'_>, server: &ServerState, counters: &Table) -> Markup {
    let mark = mark::server(server);
    let row = counters.server(pool.name, &server.server);
    let writer = pool.writer == Some(server.server.as_str());
    let cell = |column| row.map_or_else(|| "–".to_owned(), |row| number(row, column));
    html! {
        tr id=(format!("server-{}", server.server)) class=(mark.grade.class()) data-find=(server.server) {
            th scope="row" { (server.server) @if writer { span.sub { "written to" } } }
            td { (mark.shown()) }
            td.evidence { @if server.why.is_empty() { "–" } @else { (server.why) } }
            td.right { (cell("scur")) }
            td.right { (cell("rate")) }
            td.right { (cell("stot")) }
            td.right { (row.map_or_else(|| "–".to_owned(), errors)) }
            td.right { (row.map_or_else(|| "–".to_owned(), |row| bytes(row.number("bin")))) }
            td.right { (row.map_or_else(|| "–".to_owned(), |row| bytes(row.number("bout")))) }
        }
    }
}

fn errors(row: &Row) -> String {
    let all = ["econ", "eresp"].iter().filter_map(|column| row.number(column));
    all.sum::<u64>().to_string()
}

fn number(row: &Row, column: &str) -> String {
    row.number(column).map_or_else(|| "–".to_owned(), |number| number.to_string())
}

fn bytes(number: Option<u64>) -> String {
    let Some(number) = number else { return "–".to_owned() };
    match number {
        0..10_000 => format!("{number} B"),
        10_000..10_000_000 => format!("{} kB", number / 1000),
        10_000_000..10_000_000_000 => format!("{} MB", number / 1_000_000),
        _ => format!("{} GB", number / 1_000_000_000),
    }
}
