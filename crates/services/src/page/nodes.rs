//! The table of nodes by networks (row S2-065 of the requirements).

use api::{Cell, Listed, NodeLine, Standing, Status};
use maud::{Markup, html};

use super::{Fragment, Place, View, absent, bar, link, section};
use crate::mark::{self, Grade, Mark};

/// From here on a machine is worth a look: less than a tenth is left.
const HIGH: u8 = 90;

/// A report older than this is shown with its age: several are missing.
const OLD: std::time::Duration = std::time::Duration::from_secs(3);

/// On one page of all nodes.
const LEAF: usize = 100;

pub(super) fn fragment(view: &View, status: &Status) -> Fragment {
    let listed = status.listed(false);
    let inside = html! { (table(view, status, &listed.lines)) (rest(&listed)) };
    section("nodes", "nodes", "Nodes", &inside)
}

/// What became of those that have no line, and where they have one.
pub(super) fn rest(listed: &Listed<'_>) -> Markup {
    html! {
        @if let Some(words) = listed.words() {
            p.none.plain { (words) ": " a href=(Place::Nodes(1).path()) { "all nodes" } }
        }
    }
}

/// How many pages of [`LEAF`] nodes there are; one at least.
pub(super) fn leaves(status: &Status) -> usize {
    status.nodes.len().div_ceil(LEAF).max(1)
}

/// The nodes of one page of all, by the order of the cluster file; pages are counted from 1.
pub(crate) fn leaf(status: &Status, number: u16) -> &[NodeLine] {
    let from = usize::from(number).saturating_sub(1).saturating_mul(LEAF);
    let to = from.saturating_add(LEAF).min(status.nodes.len());
    status.nodes.get(from..to).unwrap_or_default()
}

/// One page of all nodes, with the ways to the others.
pub(super) fn parts(view: &View, number: u16, parts: &mut Vec<Fragment>) {
    let Some(status) = &view.heard.status else { return parts.push(absent("nodes")) };
    let lines: Vec<_> = leaf(status, number).iter().collect();
    let all = leaves(status);
    let inside = html! {
        (table(view, status, &lines))
        p.none.plain {
            "page " (number) " of " (all) " · " (status.nodes.len()) " nodes"
            @if number > 1 { " · " a rel="prev" href=(Place::Nodes(number - 1).path()) { "previous" } }
            @if usize::from(number) < all { " · " a rel="next" href=(Place::Nodes(number + 1).path()) { "next" } }
        }
    };
    parts.push(section("nodes", "nodes", "Nodes", &inside));
}

fn table(view: &View, status: &Status, lines: &[&NodeLine]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th scope="col" { "Node" }
                th scope="col" { "CPU" }
                th scope="col" { "Memory" }
                @for network in &status.networks {
                    th scope="col" { (network) " network" }
                }
                th scope="col" { "FC storage" }
                th scope="col" { "Server SAN" }
            } }
            tbody {
                @for line in lines { (row(view, status, line)) }
            }
        } }
    }
}

fn row(view: &View, status: &Status, line: &NodeLine) -> Markup {
    let node = &line.state;
    let verdict = mark::verdict(node);
    let here = node.node == status.node;
    html! {
        tr id=(format!("node-{}", node.node)) class=(verdict.grade.class()) data-find=(node.node) {
            th scope="row" {
                a.name href=(link("node", &node.node)) title=(node.why) { (verdict.only_sign()) " " (node.node) }
                span.sub {
                    @if verdict.grade != Grade::Well { span { (verdict.word) } }
                    @if here { span { "this node" } }
                    @for vip in &line.holds { span.holds { "holds " (vip) } }
                }
            }
            td data-label="CPU" { (share(line, |load| load.cpu_percent)) }
            td data-label="Memory" { (share(line, |load| load.memory_percent)) }
            @for network in &status.networks {
                td data-label=(format!("{network} network")) { (network_cell(view, line, network)) }
            }
            td data-label="FC storage" { (fibre(line)) }
            td data-label="Server SAN" { (mark::NOT_WATCHED.shown()) }
        }
    }
}

fn share(line: &NodeLine, pick: impl Fn(&api::Load) -> u8) -> Markup {
    let Some(load) = &line.load else { return mark::NEVER.shown() };
    let percent = pick(load);
    let class = if percent >= HIGH { "warning" } else { "" };
    // The line on top says it where all of the page is old.
    let age = std::time::Duration::from_millis(load.age_ms);
    html! {
        span class=(format!("share {class}")) {
            span.number { (percent) " %" @if percent >= HIGH { " " span.sign { "!" } } }
            (bar(percent, class))
            @if age >= OLD { span.age { (mark::age(age)) " ago" } }
        }
    }
}

/// One node on one network: its sign, its word, the age of the last proof.
pub(super) fn network_cell(view: &View, line: &NodeLine, network: &str) -> Markup {
    let cell = line.state.cells.iter().find(|cell| cell.network == network);
    let Some(cell) = cell else { return mark::NOT_WATCHED.shown() };
    let mark = cell_mark(line.state.standing, cell);
    html! {
        (mark.shown())
        @if let Some(age_ms) = cell.age_ms {
            " " span.age title="age of the last proof" { (mark::age(view.age_now(age_ms))) }
        }
    }
}

pub(super) fn cell_mark(standing: Standing, cell: &Cell) -> Mark {
    match (cell.alive, standing, cell.age_ms) {
        (true, _, _) => mark::OK,
        (false, Standing::Left, _) => mark::standing(Standing::Left),
        (false, Standing::Unknown, None) => mark::NEVER,
        (false, Standing::Unknown | Standing::Alive | Standing::Suspect, _) => mark::SILENT,
    }
}

pub(super) fn fibre(line: &NodeLine) -> Markup {
    let Some(load) = line.load else { return mark::NEVER.shown() };
    let (online, all) = (load.fibre_online, load.fibre_ports);
    if all == 0 {
        return mark::NONE.shown();
    }
    let mark = if online == all {
        mark::OK
    } else if online == 0 {
        Mark { grade: Grade::Bad, sign: "✗", word: "offline" }
    } else {
        Mark { grade: Grade::Warning, sign: "!", word: "ports offline" }
    };
    html! { (mark.shown()) " " span.age { (online) " of " (all) } }
}
