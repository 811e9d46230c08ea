//! All pools: a row each, a square per server, the worst first.

use api::Status;
use maud::{Markup, html};

use super::{Fragment, link, section};
use crate::mark::{self, Grade};
use crate::pool::{self, Pool};

pub(super) fn fragment(status: &Status) -> Fragment {
    let pools = pool::worst_first(status);
    let inside = html! {
        ul.pools { @for pool in &pools { li { (row(pool)) } } }
    };
    section("pools", "pools", "Pools", &inside)
}

fn row(pool: &Pool<'_>) -> Markup {
    let (usable, all) = (pool.usable(), pool.servers.len());
    let grade = pool.grade();
    let binds = pool.line.map_or(&[][..], |line| &line.binds);
    html! {
        a id=(format!("pool-{}", pool.name)) class=(format!("pool {}", grade.class())) href=(link("pool", pool.name))
            data-find=(pool.name) {
            span.sign aria-hidden="true" { (sign(grade)) }
            span.name { (pool.name) }
            span.port { @for port in ports(binds) { (port) " " } }
            (squares(pool))
            span.count { (usable) "/" (all) }
        }
    }
}

pub(super) const fn sign(grade: Grade) -> &'static str {
    match grade {
        Grade::Well => "✓",
        Grade::Aside => "–",
        Grade::Warning => "!",
        Grade::Bad => "✗",
    }
}

/// A square per server: its sign, and for those who are read to, name and state.
fn squares(pool: &Pool<'_>) -> Markup {
    html! {
        span.squares {
            @for server in &pool.servers {
                @let mark = mark::server(server);
                @let writer = pool.writer == Some(server.server.as_str());
                span class=(format!("square {}{}", mark.grade.class(), if writer { " writer" } else { "" }))
                    title=(title(server, mark.word, writer)) {
                    span aria-hidden="true" { (if writer && mark.grade == Grade::Well { "W" } else { mark.sign }) }
                    span.unseen { (server.server) " " (mark.word) @if writer { ", written to" } " " }
                }
            }
        }
    }
}

fn title(server: &api::ServerState, word: &str, writer: bool) -> String {
    let writer = if writer { ", the one that is written to" } else { "" };
    let why = if server.why.is_empty() { String::new() } else { format!(": {}", server.why) };
    format!("{} {word}{writer}{why}", server.server)
}

/// `10.0.0.1:5000` -> `:5000`.
fn ports(binds: &[String]) -> Vec<String> {
    let mut ports: Vec<String> = binds
        .iter()
        .filter_map(|bind| bind.rsplit_once(':').map(|(_, port)| format!(":{port}")))
        .collect();
    ports.dedup();
    ports
}
