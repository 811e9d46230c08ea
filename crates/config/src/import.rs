//! Files of HAProxy and keepalived as one `outlast.toml` that means the same.
//!
//! What `outlast.toml` cannot say is a comment in the text, where it would have stood, and a warning
//! at the place in the original. Nothing is left out in silence.

use std::fmt::Write as _;
use std::net::IpAddr;

use base::Span;

use crate::haproxy::{Mode, Proxy};
use crate::{Diagnostic, Loaded, NOT_RUN_YET, place};

mod nodes;
mod vip;

use nodes::Network;

/// What only the operator knows.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Name of the cluster.
    pub name: String,
    /// Paths of the files in HAProxy's language, as `outlast.toml` shall name them.
    pub haproxy: Vec<String>,
    /// Nodes: name, address, and the device that has it where that is not the first one's.
    pub nodes: Vec<(String, IpAddr, Option<String>)>,
}

/// What an `outlast.toml` cannot say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lost {
    /// The instance it was said of.
    pub instance: Option<String>,
    /// The part of [`crate::vip::Vip`] that differs, or `all`.
    pub part: &'static str,
    /// Comment and warning.
    pub message: String,
    pub file: usize,
    pub span: Span,
}

/// The result.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    pub text: String,
    pub lost: Vec<Lost>,
}

/// The code of the warnings.
pub const LOST: &str = "import-lost";

impl Imported {
    /// What was lost, as warnings about the files given.
    #[must_use]
    pub fn findings(&self) -> Vec<Diagnostic> {
        let warn = |lost: &Lost| {
            Diagnostic::warning(lost.span, LOST, lost.message.as_str()).in_file(lost.file)
        };
        let mut found: Vec<Diagnostic> = self.lost.iter().map(warn).collect();
        found.sort_by_key(|finding| (finding.file, finding.span.start));
        found
    }
}

/// The `outlast.toml` that means the same as the files read.
#[must_use]
pub fn import(loaded: &Loaded, wishes: &Wishes) -> Imported {
    let mut found = Imported::default();
    let networks = nodes::networks(loaded, wishes);
    let names = nodes::names(&networks);
    head(loaded, wishes, &mut found);
    node_sections(&networks, &names, &mut found);
    of_the_node(loaded, &mut found);
    let instances = loaded.keepalived.iter().flat_map(|file| &file.instances);
    for instance in instances {
        vip::section(instance, loaded, &networks, &names, &mut found);
    }
    if loaded.keepalived.as_ref().is_none_or(|file| file.instances.is_empty()) {
        let message = "the files have no virtual IP: import keepalived.conf with them, or write a \
                       [vip.NAME] with address and router_id";
        found.text.push('\n');
        lose(&mut found, None, "vips", message.to_owned(), 0, Span::new(0, 1));
    }
    services(loaded, &mut found);
    for lost in &mut found.lost {
        (lost.file, lost.span) = loaded.locate(lost.file, lost.span);
    }
    found
}

fn head(loaded: &Loaded, wishes: &Wishes, found: &mut Imported) {
    let text = &mut found.text;
    text.push_str(
        "# Written by `outlast config import`. The same file on every node.\n\n[cluster]\n",
    );
    let _ = writeln!(text, "name = {}", quoted(&wishes.name));
    text.push_str(
        "# secret_file = \"/etc/outlast/secret\"   # 32 bytes or more, the same on every node: ",
    );
    text.push_str("beats and named successors need it\n");
    match wishes.haproxy.as_slice() {
        [] => {}
        [one] => {
            let _ = writeln!(text, "haproxy = {}", quoted(one));
        }
        several => {
            let _ = writeln!(text, "haproxy = {}", quoted(&several[0]));
            let message = format!(
                "one file or one folder can be named; put these into a folder: {}",
                several.join(", ")
            );
            let file = loaded.haproxy.as_ref().and_then(|file| file.proxies.first());
            lose(
                found,
                None,
                "haproxy",
                message,
                file.map_or(0, |proxy| proxy.file),
                Span::new(0, 1),
            );
        }
    }
    let notes = loaded.diagnostics.iter().filter(|finding| {
        finding.code == NOT_RUN_YET
            && loaded.keepalived.is_some()
            && (finding.file == loaded.keepalived_file || loaded.included.contains(&finding.file))
    });
    for note in notes {
        let source = loaded.sources.get(note.file);
        let line = source.map_or(0, |source| place(&source.text, note.span.start).line);
        let of = match (note.file == loaded.keepalived_file, source) {
            (false, Some(source)) => source.path.as_str(),
            _ => "keepalived's file",
        };
        let message = format!("line {line} of {of}: {}", note.message);
        lose(found, None, "not-run-yet", message, note.file, note.span);
    }
    if let Some(id) = loaded.keepalived.as_ref().and_then(|file| file.global.router_id.as_ref()) {
        let _ = writeln!(found.text, "# keepalived's router_id was {id}; nodes have names here");
    }
}

fn node_sections(networks: &[Network], names: &[String], found: &mut Imported) {
    for (at, name) in names.iter().enumerate() {
        let on: Vec<String> = networks
            .iter()
            .filter_map(|network| {
                let ip = network.addresses.get(at).copied().flatten()?;
                Some(format!("{} = \"{ip}\"", key(&network.name)))
            })
            .collect();
        let _ = write!(found.text, "\n[node.{}]\nnetworks = {{ {} }}\n", key(name), on.join(", "));
    }
    if names.is_empty() {
        let message = "no file tells the nodes: give each with --node NAME=ADDRESS";
        found.text.push('\n');
        lose(found, None, "nodes", message.to_owned(), 0, Span::new(0, 1));
    }
}

/// What the node had, whoever held an address.
fn of_the_node(loaded: &Loaded, found: &mut Imported) {
    let Some(file) = &loaded.keepalived else { return };
    let global = &file.global;
    let mut told: Vec<String> = Vec::new();
    let programs = [("start", &global.startup), ("end", &global.shutdown)];
    for (when, hook) in programs {
        let command = hook.program.as_ref().map(|program| program.command.join(" "));
        told.extend(command.map(|it| format!("{it} ran at the {when} of keepalived")));
    }
    told.extend(file.fixed.addresses.iter().map(|it| format!("{} was a static address", it.ip)));
    told.extend(file.fixed.routes.iter().map(|route| format!("the route {route} was static")));
    told.extend(file.fixed.rules.iter().map(|rule| format!("the {} was static", rule.rule)));
    if !global.startup_delay.is_zero() {
        let seconds = global.startup_delay.as_secs_f64();
        told.push(format!("for {seconds} s after a start silence of others counted for nothing"));
    }
    if let Some(name) = &global.net_namespace {
        told.push(format!("it ran in the network namespace {name}: start outlast there"));
    }
    for message in told {
        lose(found, None, "node", message, loaded.keepalived_file, Span::new(0, 1));
    }
}

/// Proxies of which one server serves at a time are said to be databases.
fn services(loaded: &Loaded, found: &mut Imported) {
    let proxies = loaded.haproxy.iter().flat_map(|file| &file.proxies);
    let mut told: Vec<String> = Vec::new();
    for proxy in proxies.filter(|proxy| is_database(proxy)) {
        let mut name = plain(&proxy.name);
        while told.contains(&name) {
            name.push('_');
        }
        let _ = writeln!(found.text, "\n# One server at a time, and no way back by itself.");
        let _ = writeln!(found.text, "[service.{name}]");
        if name != proxy.name {
            let _ = writeln!(found.text, "proxy = {}", quoted(&proxy.name));
        }
        found.text.push_str("kind = \"database\"\n");
        told.push(name);
    }
}

fn is_database(proxy: &Proxy) -> bool {
    proxy.is_backend() && proxy.mode == Mode::Tcp && proxy.servers.iter().any(|s| s.backup)
}

/// Writes the comment, and remembers the warning.
fn lose(
    found: &mut Imported,
    instance: Option<&str>,
    part: &'static str,
    message: String,
    file: usize,
    span: Span,
) {
    let _ = writeln!(found.text, "# NOT THE SAME: {}", message.replace(['\n', '\r'], " "));
    let instance = instance.map(str::to_owned);
    found.lost.push(Lost { instance, part, message, file, span });
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(character);
            }
            _ if character.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// A name of a section that needs no quotes.
fn plain(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let plain: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    if plain.is_empty() { "_".to_owned() } else { plain }
}

/// A key of TOML; devices like `eth0.100` need quotes.
fn key(name: &str) -> String {
    if plain(name) == name { name.to_owned() } else { quoted(name) }
}

fn listed(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", quoted.join(", "))
}
