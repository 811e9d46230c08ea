//! `/metrics`: the same facts for Prometheus, in its text format.
//!
//! What stands on a status is left out once that is stale: an old number would look like a new one.
//! `outlast_agent_up` and `outlast_status_age_seconds` say so.

use api::BalancerState;
use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base::Time;

use crate::heard::Heard;
use crate::live;
use crate::site::Site;
use crate::stats::Table;

mod counters;
mod facts;
mod family;
mod manual;

pub use family::{FAMILIES, Family, Kind};
pub use manual::page;

use family::Text;

/// Kinds that alert rules name. Each has a sample before it happens: a counter that begins with 1 has
/// not grown in Prometheus's eyes.
pub const ALARMING: [&str; 5] =
    ["events-lost", "events-not-written", "journal-unwritable", "lives-unkept", "log-lines-lost"];

/// The format's version is part of its type.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) async fn scrape(State(site): State<Site>) -> Response {
    let heard = site.watch.fresh().await;
    let table = site.counters.table().await;
    let mut text = Text::default();
    text.put(
        "outlast_dashboard_followers",
        &[],
        count(site.watch.followers().min(live::FOLLOWERS)),
    );
    for (outcome, handshakes) in site.handshakes.all() {
        let labels = [("outcome", outcome)];
        text.put("outlast_dashboard_handshakes_total", &labels, float(handshakes));
    }
    write(&mut text, &site.host, &heard, &table, sys::clock::now());
    ([(header::CONTENT_TYPE, TEXT)], text.finish()).into_response()
}

fn write(text: &mut Text, host: &str, heard: &Heard, table: &Table, now: Time) {
    let is_up = !heard.is_stale(now) && heard.silence.is_none();
    text.put("outlast_agent_up", &[], flag(is_up));
    if heard.status.is_some() {
        text.put("outlast_status_age_seconds", &[], heard.age(now).as_secs_f64());
    }
    for (node, kind) in quiet(host, heard) {
        text.put("outlast_events_total", &[("node", node), ("kind", kind)], 0.0);
    }
    for ((node, kind), told) in &heard.told {
        text.put("outlast_events_total", &[("node", node), ("kind", kind)], float(*told));
    }
    if let Some(status) = heard.status.as_ref().filter(|_| !heard.is_stale(now)) {
        facts::write(text, host, status);
    }
    // A node without a balancer has no proxy that could be silent.
    let has_proxy =
        heard.status.as_ref().is_none_or(|status| status.balancer != BalancerState::Absent);
    if has_proxy {
        text.put("outlast_proxy_statistics_up", &[], flag(table.silence.is_none()));
    }
    counters::write(text, table);
}

/// Alarming kinds that no node told yet.
fn quiet<'a>(host: &'a str, heard: &'a Heard) -> impl Iterator<Item = (&'a str, &'static str)> {
    let lines = heard.status.iter().flat_map(|status| &status.nodes);
    // A compute node tells nobody but itself.
    let controllers = lines.filter(|line| !line.compute);
    let mut nodes: BTreeSet<&str> = controllers.map(|line| line.state.node.as_str()).collect();
    nodes.insert(host);
    let all = nodes.into_iter().flat_map(|node| ALARMING.map(|kind| (node, kind)));
    all.filter(|(node, kind)| !heard.told.contains_key(&((*node).to_owned(), (*kind).to_owned())))
}

const fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

fn count(number: usize) -> f64 {
    float(u64::try_from(number).unwrap_or(u64::MAX))
}

/// Prometheus has no other numbers; above 2^53 the last digits are lost, as with any exporter.
#[expect(clippy::cast_precision_loss, reason = "the format has doubles only")]
fn float(number: u64) -> f64 {
    number as f64
}
