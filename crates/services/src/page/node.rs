//! One node: what is known of it on each network, and of this one its processes.

use api::Status;
use maud::{Markup, html};

use super::{Fragment, View, absent, nodes, section, why};
use crate::mark;
use crate::trouble;

pub(super) fn parts(view: &View, name: &str, parts: &mut Vec<Fragment>) {
    let Some(status) = &view.heard.status else {
        parts.push(absent("about"));
        why::fragments(view, parts);
        parts.push(absent("history"));
        return;
    };
    let line = status.nodes.iter().find(|line| line.state.node == name);
    let here = status.node == name;
    let inside = html! {
        @if let Some(line) = line {
            div.figure {
                (mark::verdict(&line.state).shown())
                span.next { (line.state.why) }
            }
            @if !line.state.opinion.rule.is_empty() {
                p.rule { "rule " (line.state.opinion.rule) }
            }
            @if let Some(window) = status.plan_of(name) {
                p.rule { "in maintenance: " (window.why) " (" (window.whose()) ")" }
            }
            dl {
                @for network in &status.networks {
                    dt { (network) " network" } dd { (nodes::network_cell(view, line, network)) }
                }
                dt { "Holds" } dd { @if line.holds.is_empty() { "no address" } @else { (line.holds.join(" ")) } }
                @if let Some(load) = &line.load {
                    dt { "CPU" } dd { (load.cpu_percent) " %" }
                    dt { "Memory" } dd { (load.memory_percent) " %" }
                }
                dt { "FC storage" } dd { (nodes::fibre(line)) }
                dt { "Server SAN" } dd { (mark::NOT_WATCHED.shown()) }
            }
        } @else if !here {
            p.none { "No node has this name any more." }
        }
        @if here { (processes(status)) }
    };
    parts.push(section("about", "about", "Node", &inside));
    why::fragments(view, parts);
    // What others think of this node is theirs to say.
    parts.push(if here { absent("history") } else { why::history(view) });
}

fn processes(status: &Status) -> Markup {
    html! {
        @if let Some(doubt) = status.suspects_itself() { p.rule { "This node " (doubt) "." } }
        @if !status.reference.is_empty() {
            h3 { "Reference points" }
            ul { @for point in &status.reference { li { (point.words()) } } }
        }
        h3 { "Balancer" }
        p { (mark::balancer(status.balancer).shown()) }
        h3 { "Processes" }
        div.scroll { table {
            thead { tr {
                th scope="col" { "Process" } th scope="col" { "State" } th.right scope="col" { "Pid" }
                th.right scope="col" { "Started" } th.right scope="col" { "Configuration" }
            } }
            tbody { @for process in &status.processes {
                @let mark = mark::process(process.running);
                tr id=(format!("process-{}", trouble::role(process.role))) class=(mark.grade.class()) {
                    th scope="row" { (trouble::role(process.role)) }
                    td { (mark.shown()) }
                    td.right { (process.pid) }
                    td.right { (process.starts) " ×" }
                    td.right { (process.generation) }
                }
            } }
        } }
        @if !status.limits.is_empty() {
            h3 { "What this node does not do" }
            ul { @for limit in &status.limits { li { (limit) } } }
        }
    }
}
