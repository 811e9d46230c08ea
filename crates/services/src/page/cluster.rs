//! The cluster as this node sees it: who reaches whom, what is concluded, and what orders decisions.

use api::{NodeLine, Role, Status};
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
        @else { div.scroll { table {
            thead { tr {
                th scope="col" { "Node" } th scope="col" { "Verdict" } th scope="col" { "Rule" }
                @for network in &status.networks { th scope="col" { (network) " network" } }
                th scope="col" { "Holds" }
            } }
            tbody { @for line in &status.nodes { (row(view, status, line)) } }
        } } }
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

/// Whether its process runs is known here; leader and lag are asked of the store itself.
fn store(status: &Status) -> Markup {
    let process = status.processes.iter().find(|process| process.role == Role::Store);
    html! {
        @if let Some(process) = process {
            p { "the store's process of this node: " (mark::process(process.running).shown()) }
            p.none { "Leader, term and lag: " code { "outlast store status" } " on this node." }
        } @else {
            p { (mark::NONE.only_sign()) " no store is configured" }
            p.none {
                "So there is no leader, no lag, and nothing is committed: verdicts are opinion, and what is \
                 below is ordered by terms that nodes tell each other."
            }
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
