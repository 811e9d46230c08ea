//! The cluster as this node sees it: who reaches whom, what is concluded, and what orders decisions.

use api::{Coordinator, NodeLine, Role, Status, StoreDisk, StoreState};
use maud::{Markup, html};

use super::{Fragment, View, absent, link, nodes, section};
use crate::mark;
use crate::trouble;

pub(super) fn parts(view: &View, parts: &mut Vec<Fragment>) {
    let Some(status) = &view.heard.status else {
        parts.extend(["mesh", "store", "terms", "configuration"].map(absent));
        return;
    };
    parts.push(section("mesh", "nodes", "Nodes by networks", &mesh(view, status)));
    parts.push(section("store", "about", "Store", &store(status)));
    parts.push(section("terms", "about", "Terms", &terms(status)));
    parts.push(section("configuration", "about", "Configuration", &configuration(status)));
}

fn mesh(view: &View, status: &Status) -> Markup {
    html! {
        @if status.nodes.is_empty() { p.none { "No cluster file: this node knows of no other." } }
        @else { @let listed = status.listed(false); div.scroll { table {
            thead { tr {
                th scope="col" { "Node" } th scope="col" { "Verdict" } th scope="col" { "Rule" }
                @for network in &status.networks { th scope="col" { (network) " network" } }
                th scope="col" { "Holds" }
            } }
            tbody { @for line in &listed.lines { (row(view, status, line)) } }
        } } (nodes::rest(&listed)) }
    }
}

fn row(view: &View, status: &Status, line: &NodeLine) -> Markup {
    let node = &line.state;
    let mark = mark::verdict(node);
    html! {
        tr id=(format!("mesh-{}", node.node)) class=(mark.grade.class()) data-find=(node.node) {
            th scope="row" {
                a.name href=(link("node", &node.node)) title=(node.why) { (mark.only_sign()) " " (node.node) }
                @if node.node == status.node { span.sub { "this node" } }
            }
            td data-label="Verdict" {
                (mark.word)
                @if !node.opinion.networks.is_empty() { " on " (node.opinion.networks.join(", ")) }
                @if status.plan_of(&node.node).is_some() { ", planned" }
            }
            td data-label="Rule" {
                @if node.opinion.rule.is_empty() { (mark::NONE.shown()) } @else { (node.opinion.rule) }
            }
            @for network in &status.networks {
                td data-label=(format!("{network} network")) { (nodes::network_cell(view, line, network)) }
            }
            td data-label="Holds" {
                @if line.holds.is_empty() { "–" } @else { (line.holds.join(" ")) }
            }
        }
    }
}

/// What the store's process of this node says.
fn store(status: &Status) -> Markup {
    let process = status.processes.iter().find(|process| process.role == Role::Store);
    html! {
        @if let Some(process) = process {
            p { "the store's process of this node: " (mark::process(process.running).shown()) }
        } @else {
            p { (mark::NONE.only_sign()) " no store is configured" }
            p.none {
                "So there is no leader, no lag, and nothing is committed: verdicts are opinion, and what is \
                 below is ordered by terms that nodes tell each other."
            }
        }
        @if let Some((reached, of)) = status.minority() {
            p {
                (mark::MINORITY.only_sign()) " " (mark::MINORITY.word) ": " (reached) " of " (of) " controllers are \
                 reached. Nothing is decided here and nobody is accused; addresses and the balancer go on."
            }
        }
        @if let Some(coordinator) = &status.coordinator { p { (decides(status, coordinator)) } }
        @if let Some(store) = &status.store { (facts(status, store)) (members(status, store)) }
    }
}

/// Who decides for the cluster.
fn decides(status: &Status, coordinator: &Coordinator) -> String {
    let Coordinator { node, token, since_ms, stale_orders } = coordinator;
    let who = if node.is_empty() {
        "nobody coordinates as far as this node knows: commands wait".to_owned()
    } else {
        let seconds = status.at_ms.saturating_sub(*since_ms) / 1000;
        format!("{node} coordinates under token {token}, seen here for {seconds} s")
    };
    match stale_orders {
        0 => who,
        refused => format!("{who}; orders of former coordinators refused here: {refused}"),
    }
}

fn facts(status: &Status, store: &StoreState) -> Markup {
    let disk = match store.disk {
        StoreDisk::Whole => "whole".to_owned(),
        StoreDisk::FillsUp { upto } | StoreDisk::WentBack { upto: Some(upto) } => {
            format!("does not count until it is filled up to entry {upto}")
        }
        StoreDisk::WentBack { upto: None } => "went back in time, was filled up since".to_owned(),
    };
    let snapshot = store.snapshot.map(|snapshot| {
        let made = snapshot.at_ms.map_or_else(
            || "before its process started".to_owned(),
            |at_ms| format!("{} s ago", status.at_ms.saturating_sub(at_ms) / 1000),
        );
        format!("of entry {}, made {made}", snapshot.index)
    });
    html! {
        dl {
            dt { "Engine" } dd { (store.engine) }
            dt { "Leader" } dd {
                @if let Some(leader) = &store.leader { (leader) ", term " (store.term) }
                @else { "nobody: no majority, reads and writes wait" }
            }
            @if let Some(trouble) = &store.trouble { dt { "It says" } dd { (trouble) } }
            dt { "Log" } dd {
                "entry " (store.last) ", committed " (store.committed) ", applied here " (store.applied)
            }
            dt { "Content" } dd {
                "revision " (store.revision) ", keys " (store.keys) ", bytes " (store.bytes)
            }
            dt { "Disk" } dd { (disk) ", bytes " (store.file_bytes) }
            dt { "Snapshot" } dd { (snapshot.as_deref().unwrap_or("none yet")) }
        }
    }
}

fn members(status: &Status, store: &StoreState) -> Markup {
    let lag = |node: &str| store.lags(&status.node).find(|(name, _)| *name == node);
    html! {
        @if !store.members.is_empty() { div.scroll { table {
            thead { tr {
                th scope="col" { "Member" } th scope="col" { "Part" } th.right scope="col" { "Entries behind" }
            } }
            tbody { @for member in &store.members {
                tr id=(format!("store-{}", member.node)) data-find=(member.node) {
                    th scope="row" { a href=(link("node", &member.node)) { (member.node) } }
                    td {
                        @if store.leader.as_deref() == Some(&member.node) { "leads" }
                        @else if member.votes { "votes" }
                        @else { "is filled up, no vote yet" }
                    }
                    td.right { @if let Some((_, lag)) = lag(&member.node) { (lag) } @else { "–" } }
                }
            } }
        } }
        p.none { "Only the leader knows how far the others are; any other node knows its own part." }
        }
    }
}

fn terms(status: &Status) -> Markup {
    let by = |position: u16| status.nodes.get(usize::from(position)).map(|line| &line.state.node);
    html! {
        @if status.vips.is_empty() && status.choices.is_empty() {
            p.none { "Nothing here is held by one node at a time." }
        } @else { div.scroll { table {
            thead { tr {
                th scope="col" { "What" } th scope="col" { "Where" } th.right scope="col" { "Term" }
                th scope="col" { "Next, or chosen by" }
            } }
            tbody {
                @for vip in &status.vips {
                    tr id=(format!("term-vip-{}", vip.name)) data-find=(vip.name) {
                        th scope="row" { a href=(link("vip", &vip.name)) { "vip/" (vip.name) } }
                        td { @if vip.holders.is_empty() { "nobody" } @else { (vip.holders.join(" and ")) } }
                        td.right { (vip.state.term) }
                        td { (vip.successor.as_deref().unwrap_or("nobody")) }
                    }
                }
                @for choice in &status.choices {
                    tr id=(format!("term-pool-{}", choice.proxy)) data-find=(choice.proxy) {
                        th scope="row" { a href=(link("pool", &choice.proxy)) { "pool/" (choice.proxy) } }
                        td { (choice.server) }
                        td.right { (choice.term) }
                        td { (by(choice.by).map_or("–", String::as_str)) }
                    }
                }
            }
        } } }
        p.none { "A term grows with each holder or choice; the higher one wins." }
    }
}

/// Generations are counted by each node for itself.
fn configuration(status: &Status) -> Markup {
    let others = status.processes.iter().filter(|process| process.generation != status.generation);
    let others: Vec<_> = others.collect();
    html! {
        dl {
            dt { "Of this node" } dd { "generation " (status.generation) }
            @for process in &others {
                dt { (trouble::role(process.role)) } dd { "generation " (process.generation) }
            }
        }
        p.none { "A node begins with 1 and counts each reload; what the others run, their pages say." }
    }
}
