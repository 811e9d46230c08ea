//! Pages: whole documents, made of fragments that the live stream replaces one by one.

use std::sync::Arc;
use std::time::Duration;

use api::{Status, Why};
use base::Time;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::heard::Heard;
use crate::stats::Table;

mod addresses;
mod cluster;
mod events;
mod node;
pub(crate) mod nodes;
mod overview;
mod pool;
mod pools;
mod state;
mod told;
mod vip;
mod why;

/// Which page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Overview,
    Cluster,
    /// All nodes, so many a page; counted from 1.
    Nodes(u16),
    Events,
    Vip(String),
    Pool(String),
    Node(String),
}

/// All that a page is made of.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// The node whose dashboard this is.
    pub(crate) host: Arc<str>,
    pub(crate) heard: Arc<Heard>,
    pub(crate) now: Time,
    /// Of the object of the page, or why there is none; none on pages without object.
    pub(crate) why: Option<Result<Why, String>>,
    pub(crate) counters: Option<Table>,
}

/// A part of a page that changes as one; its outermost element has this id.
#[derive(Clone, Debug)]
pub(crate) struct Fragment {
    pub(crate) id: &'static str,
    pub(crate) markup: Markup,
}

impl Place {
    /// What the path of a URL means; none: no page.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path {
            "/" => return Some(Self::Overview),
            "/cluster" => return Some(Self::Cluster),
            "/nodes" => return Some(Self::Nodes(1)),
            "/events" => return Some(Self::Events),
            _ => {}
        }
        let (kind, name) = path.strip_prefix('/')?.split_once('/')?;
        let name = decoded(name).filter(|name| !name.is_empty())?;
        match kind {
            "vip" => Some(Self::Vip(name)),
            "pool" => Some(Self::Pool(name)),
            "node" => Some(Self::Node(name)),
            "nodes" => name.parse().ok().filter(|number| *number > 0).map(Self::Nodes),
            _ => None,
        }
    }

    pub(crate) fn path(&self) -> String {
        match self {
            Self::Overview => "/".to_owned(),
            Self::Cluster => "/cluster".to_owned(),
            Self::Nodes(1) => "/nodes".to_owned(),
            Self::Nodes(number) => format!("/nodes/{number}"),
            Self::Events => "/events".to_owned(),
            Self::Vip(name) => link("vip", name),
            Self::Pool(name) => link("pool", name),
            Self::Node(name) => link("node", name),
        }
    }

    /// Where the same is said for programs.
    pub(crate) fn twin(&self) -> String {
        match self {
            Self::Overview => "/index.json".to_owned(),
            Self::Cluster
            | Self::Nodes(_)
            | Self::Events
            | Self::Vip(_)
            | Self::Pool(_)
            | Self::Node(_) => format!("{}.json", self.path()),
        }
    }

    /// As the agent calls it; none: not one object.
    pub(crate) fn object(&self) -> Option<String> {
        match self {
            Self::Overview | Self::Cluster | Self::Nodes(_) | Self::Events => None,
            Self::Vip(name) => Some(format!("vip/{name}")),
            Self::Pool(name) => Some(format!("proxy/{name}")),
            Self::Node(name) => Some(format!("node/{name}")),
        }
    }

    pub(crate) fn wants_counters(&self) -> bool {
        matches!(self, Self::Pool(_))
    }

    /// Whether there is such an object; before the first status everything may be.
    pub(crate) fn exists(&self, status: &Status) -> bool {
        match self {
            Self::Overview | Self::Cluster | Self::Events => true,
            Self::Nodes(number) => usize::from(*number) <= nodes::leaves(status),
            Self::Vip(name) => status.vips.iter().any(|vip| vip.name == *name),
            Self::Pool(name) => {
                status.servers.iter().any(|server| server.proxy == *name)
                    || status.proxies.iter().any(|proxy| proxy.name == *name)
            }
            Self::Node(name) => {
                *name == status.node || status.nodes.iter().any(|node| node.state.node == *name)
            }
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Overview => "overview".to_owned(),
            Self::Cluster => "cluster".to_owned(),
            Self::Nodes(number) => format!("nodes, page {number}"),
            Self::Events => "events".to_owned(),
            Self::Vip(name) | Self::Pool(name) | Self::Node(name) => name.clone(),
        }
    }
}

impl View {
    /// What was added to ages since the status came.
    fn since(&self) -> Duration {
        self.heard.age(self.now)
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.heard.is_stale(self.now)
    }

    /// How old an observation is now that was `age_ms` old when the status came.
    fn age_now(&self, age_ms: u64) -> Duration {
        // Below the pace of questions it is as fresh as it can be.
        if self.is_stale() {
            Duration::from_millis(age_ms) + self.since()
        } else {
            Duration::from_millis(age_ms)
        }
    }
}

/// All parts of a page, in the order in which they stand.
pub(crate) fn fragments(place: &Place, view: &View) -> Vec<Fragment> {
    let mut parts = vec![state::fragment(view)];
    match place {
        Place::Overview => overview::parts(view, &mut parts),
        Place::Cluster => cluster::parts(view, &mut parts),
        Place::Nodes(number) => nodes::parts(view, *number, &mut parts),
        Place::Events => parts.push(events::whole(view)),
        Place::Vip(name) => vip::parts(view, name, &mut parts),
        Place::Pool(name) => pool::parts(view, name, &mut parts),
        Place::Node(name) => node::parts(view, name, &mut parts),
    }
    parts
}

/// The whole document.
pub(crate) fn document(place: &Place, view: &View) -> Markup {
    let mut parts = fragments(place, view);
    let state = parts.remove(0).markup;
    let cluster = view.heard.status.as_ref().and_then(|status| status.cluster.clone());
    let title = format!("{} · {}", state::title(view), place.title());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="dark light";
                meta name="htmx-config" content=(HTMX);
                title { (title) }
                link rel="icon" href="/assets/outlast.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/outlast.css";
                link rel="alternate" type="application/json" href=(place.twin());
                noscript { meta http-equiv="refresh" content="5"; }
                script src="/assets/htmx-sse-4.0.1.min.js" defer {}
                script src="/assets/live.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (top(place, view, cluster.as_deref()))
                p #lost role="alert" hidden {}
                (state)
                main #main tabindex="-1" class=(shape(place)) {
                    @if let Some(name) = heading(place) { h1 { (name) } }
                    @for part in &parts { (part.markup) }
                }
                // Where the stream is attached; what comes names its own places.
                div hx-sse:connect=(format!("/live?page={}", encoded(&place.path())))
                    hx-swap="none" {}
                (bottom(place, view))
            }
        }
    }
}

/// What is shown where no page is.
pub(crate) fn nowhere(view: &View) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Nothing here" }
                link rel="icon" href="/assets/outlast.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/outlast.css";
            }
            body {
                header.top { a.brand href="/" { "outlast" } span.where { span.by { "seen by " (view.host) } } }
                main #main .object { section {
                    h2 { "Nothing here" }
                    p { "There is no page of this name; the object may be gone from the configuration." }
                    p.plain { a href="/" { "To the overview" } }
                } }
            }
        }
    }
}

/// No style of its own, nothing evaluated, and back soon after an interruption.
const HTMX: &str = r#"{"includeIndicatorCSS":false,"history":false,"sse":{"reconnectDelay":500,"reconnectMaxDelay":2000}}"#;

fn top(place: &Place, view: &View, cluster: Option<&str>) -> Markup {
    let current = |here: Place| (*place == here).then_some("page");
    html! {
        header.top {
            a.brand href="/" { "outlast" }
            span.where {
                @if let Some(cluster) = cluster { b { (cluster) } " " }
                span.by { "seen by " (view.host) }
            }
            nav aria-label="Pages" {
                a href="/" aria-current=[current(Place::Overview)] { "Overview" }
                a href="/cluster" aria-current=[current(Place::Cluster)] { "Cluster" }
                a href="/events" aria-current=[current(Place::Events)] { "Events" }
            }
            input #find type="search" placeholder="Find  /" aria-label="Find a node, address or pool"
                autocomplete="off" spellcheck="false" hidden;
            span #pulse { noscript { "live only with JavaScript; reloads every 5 s" } }
        }
    }
}

fn bottom(place: &Place, view: &View) -> Markup {
    html! {
        footer {
            @if let Some(status) = &view.heard.status {
                span { "outlast " (status.version) }
                span { "configuration " (status.generation) }
            }
            a href=(place.twin()) { "this page as JSON" }
            a href="/metrics" { "metrics" }
            span.keys aria-hidden="true" { kbd { "/" } " find " kbd { "j" } kbd { "k" } " next, previous " kbd { "o" } " overview " kbd { "c" } " cluster " kbd { "e" } " events" }
        }
    }
}

fn heading(place: &Place) -> Option<Markup> {
    let (kind, name) = match place {
        Place::Overview | Place::Nodes(_) => return None,
        Place::Cluster => return Some(html! { "Cluster" }),
        Place::Events => return Some(html! { "Events" }),
        Place::Vip(name) => ("address", name),
        Place::Pool(name) => ("pool", name),
        Place::Node(name) => ("node", name),
    };
    Some(html! { span.kind { (kind) } " " (name) })
}

const fn shape(place: &Place) -> &'static str {
    match place {
        Place::Overview => "overview",
        Place::Cluster | Place::Nodes(_) | Place::Events => "long",
        Place::Vip(_) | Place::Pool(_) | Place::Node(_) => "object",
    }
}

/// `/KIND/NAME` as it stands in a link.
pub(crate) fn link(kind: &str, name: &str) -> String {
    format!("/{kind}/{}", encoded(name))
}

/// The page of an event's object.
pub(crate) fn page_of(object: &str, node: &str) -> String {
    match object.split_once('/') {
        Some(("vip", name)) => link("vip", name),
        Some(("server", path)) => link("pool", path.split('/').next().unwrap_or(path)),
        Some(("proxy" | "pool", name)) => link("pool", name),
        Some(("node", name)) => link("node", name),
        // Processes and what is yet to come belong to the node that tells.
        _ => link("node", node),
    }
}

/// Everything but letters, digits and what RFC 3986 calls unreserved, so that it is one segment.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// None: it is not UTF-8, or the percent signs are not followed by two digits.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = vec![];
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let value = digit(rest.next())? * 16 + digit(rest.next())?;
            u8::try_from(value).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(bytes).ok()
}

/// A section with a heading.
fn section(id: &'static str, class: &str, heading: &str, inside: &Markup) -> Fragment {
    let markup = html! {
        section id=(id) class=(class) aria-labelledby=(format!("{id}-heading")) {
            h2 id=(format!("{id}-heading")) { (heading) }
            (inside)
        }
    };
    Fragment { id, markup }
}

/// The place of a section that there is nothing to say in yet, so that it can come later.
fn absent(id: &'static str) -> Fragment {
    Fragment { id, markup: html! { section id=(id) hidden {} } }
}

/// A bar for a share of a hundred. Sizes are attributes: inline style is forbidden here.
fn bar(percent: u8, class: &str) -> Markup {
    let width = percent.min(100);
    PreEscaped(format!(
        "<svg class=\"bar {class}\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" \
         aria-hidden=\"true\"><rect class=\"all\" width=\"100\" height=\"6\"/>\
         <rect class=\"used\" width=\"{width}\" height=\"6\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_odd_letters_is_one_segment_and_comes_back() {
        for name in ["node01", "a/b c", "größe", "100%", ".."] {
            let place = Place::Pool(name.to_owned());
            assert_eq!(Place::of(&place.path()), Some(place.clone()), "{name}");
            assert_eq!(place.path().matches('/').count(), 2, "{name}");
        }
        assert_eq!(Place::of("/pool/%zz"), None);
        assert_eq!(Place::of("/pool/%f"), None);
        assert_eq!(Place::of("/pool/%ff"), None);
        assert_eq!(Place::of("/pool/"), None);
        assert_eq!(Place::of("/nothing/x"), None);
        assert_eq!((Place::of("/nodes"), Place::of("/nodes/0")), (Some(Place::Nodes(1)), None));
        assert_eq!(Place::of("/nodes/7").unwrap().path(), "/nodes/7");
    }

    #[test]
    fn events_lead_to_the_page_that_explains_them() {
        assert_eq!(page_of("server/keystone/node01", "n"), "/pool/keystone");
        assert_eq!(page_of("vip/internal", "n"), "/vip/internal");
        assert_eq!(page_of("process/proxy", "node02"), "/node/node02");
    }
}
