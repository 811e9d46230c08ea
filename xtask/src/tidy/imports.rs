//! Who may import whom: the table of ARCHITECTURE.md over `cargo metadata`, and what `engine` may
//! not even list.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Finding;
use super::tree::{File, Tree};
use crate::shell::{self, Failure, Outcome};

#[derive(Debug)]
struct Layer {
    name: &'static str,
    imports: &'static [&'static str],
    /// More, for its tests only.
    tests_import: &'static [&'static str],
}

const fn layer(name: &'static str, imports: &'static [&'static str]) -> Layer {
    Layer { name, imports, tests_import: &[] }
}

const LAYERS: [Layer; 18] = [
    layer("base", &[]),
    layer("config", &["base"]),
    layer("engine", &["base", "config"]),
    layer("sys", &["base"]),
    layer("trust", &["base", "sys"]),
    layer("remote", &["base"]),
    layer("api", &["base"]),
    layer("proxy", &["base", "config", "engine", "sys", "remote", "api"]),
    layer("store", &["base", "engine", "sys"]),
    layer("services", &["base", "config", "sys", "api"]),
    layer(
        "node",
        &[
            "base", "config", "engine", "sys", "remote", "api", "proxy", "services", "store",
            "trust",
        ],
    ),
    layer("cli", &["base", "config", "engine", "sys", "api", "store", "trust"]),
    layer("scenario", &[]),
    layer("sim", &["base", "config", "engine", "scenario"]),
    layer("lab", &["base", "config", "sys", "remote", "api", "cli", "scenario"]),
    Layer {
        name: "outlast",
        // The two of them in which an executable says what its arguments mean, and what went wrong.
        imports: &["node", "cli", "lab", "api", "base"],
        // Tests of whole processes look at the kernel.
        tests_import: &["config", "scenario", "sys"],
    },
    layer("fuzz", &["base", "config", "engine", "sys", "remote", "api", "proxy", "store", "trust"]),
    layer("xtask", &[]),
];

/// Where a layer may use only some modules of another.
const ONLY: [(&str, &str, &[&str]); 4] = [
    ("proxy", "engine", &["balance", "health", "writer"]),
    ("proxy", "remote", &["probe"]),
    ("store", "engine", &["kv"]),
    ("cli", "engine", &["generation", "kv", "maintenance", "replay", "matrix", "quorum"]),
];

/// What others wrote that `engine` may list: none of it does I/O, reads a clock or rolls dice.
const ENGINE_MAY_LIST: [&str; 12] = [
    "aes-gcm-siv",
    "arrayvec",
    "bytes",
    "expect-test",
    "foca",
    "hkdf",
    "proptest",
    "rand_core",
    "serde",
    "sha2",
    "thiserror",
    "zeroize",
];

/// Paths into the standard library that are I/O or time. Addresses (`std::net::IpAddr`) are not.
const ENGINE_MAY_NOT_SAY: [&str; 10] = [
    "std::fs",
    "std::io",
    "std::env",
    "std::process",
    "std::thread",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "time::Instant",
    "time::SystemTime",
];

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build` or nothing.
    kind: Option<String>,
    /// Only ours have one.
    path: Option<String>,
}

pub(super) fn check(tree: &Tree) -> Outcome<Vec<Finding>> {
    let output = shell::cargo(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .output()
        .map_err(Failure::trying("starting cargo metadata"))?;
    if !output.status.success() {
        return Err(Failure::new(String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::new(format!("reading cargo metadata: {error}")))?;
    let mut findings = manifests(tree, &metadata);
    for file in &tree.files {
        findings.extend(sources(file));
    }
    Ok(findings)
}

fn manifests(tree: &Tree, metadata: &Metadata) -> Vec<Finding> {
    let layers: BTreeMap<_, _> = LAYERS.iter().map(|layer| (layer.name, layer)).collect();
    let mut findings = vec![];
    for package in &metadata.packages {
        let name = short(&package.name);
        let manifest = match name {
            "xtask" => "xtask/Cargo.toml".to_owned(),
            name => format!("crates/{name}/Cargo.toml"),
        };
        let Some(layer) = layers.get(name) else {
            let message = format!("{name} is in no layer: add it to xtask/src/tidy/imports.rs");
            findings.push(Finding::new(&manifest, 1, message));
            continue;
        };
        for dependency in &package.dependencies {
            if let Some(message) = refusal(layer, dependency) {
                let wanted = short(&dependency.name);
                let line = tree.file(&manifest).map_or(1, |file| line_of(file, wanted));
                findings.push(Finding::new(&manifest, line, message));
            }
        }
    }
    findings
}

fn refusal(layer: &Layer, dependency: &Dependency) -> Option<String> {
    let wanted = short(&dependency.name);
    if dependency.path.is_none() {
        let refused = layer.name == "engine" && !ENGINE_MAY_LIST.contains(&wanted);
        return refused.then(|| format!("engine decides without I/O and may not list {wanted}"));
    }
    let for_tests = dependency.kind.as_deref() == Some("dev");
    let allowed = layer.imports.contains(&wanted)
        || (for_tests && (layer.tests_import.contains(&wanted) || wanted == layer.name));
    (!allowed).then(|| format!("{} may not import {wanted} (ARCHITECTURE.md)", layer.name))
}

fn short(package: &str) -> &str {
    package.strip_prefix("outlast-").unwrap_or(package)
}

fn line_of(manifest: &File, name: &str) -> usize {
    let mut lines = manifest.lines();
    lines.find(|(_, line)| line.starts_with(name)).map_or(1, |(line, _)| line)
}

fn sources(file: &File) -> Vec<Finding> {
    let (Some(code), Some(layer)) = (&file.code, file.layer()) else { return vec![] };
    let mut findings = vec![];
    for (line, text) in code.lines() {
        if layer == "engine" && file.is_source() {
            for banned in ENGINE_MAY_NOT_SAY.iter().filter(|banned| text.contains(**banned)) {
                let message = format!("engine decides without I/O and clocks: `{banned}`");
                findings.push(Finding::new(&file.path, line, message));
            }
        }
        for (from, to, modules) in ONLY {
            if from == layer
                && let Some(module) = used_module(text, to)
                && !modules.contains(&module)
            {
                let message = format!("{from} may use of {to} only {}", modules.join(", "));
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

/// The first module of `layer` that this line names.
fn used_module<'a>(text: &'a str, layer: &str) -> Option<&'a str> {
    let at = text.find(&format!("{layer}::"))?;
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    if text[..at].ends_with(|before| is_word(before) || before == ':') {
        return None;
    }
    let module = &text[at + layer.len() + 2..];
    let end = module.find(|character| !is_word(character)).unwrap_or(module.len());
    // A type of the layer itself belongs to no module.
    Some(&module[..end]).filter(|module| module.starts_with(|c: char| c.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependency(name: &str, kind: Option<&str>, ours: bool) -> Dependency {
        let path = ours.then(|| "somewhere".to_owned());
        Dependency { name: name.to_owned(), kind: kind.map(str::to_owned), path }
    }

    fn check(layer: &str, dependency: &Dependency, expected: Option<&str>) {
        let layer = LAYERS.iter().find(|known| known.name == layer).unwrap();
        assert_eq!(refusal(layer, dependency).as_deref(), expected);
    }

    #[test]
    fn a_layer_imports_only_what_is_below_it() {
        check("engine", &dependency("outlast-config", None, true), None);
        let expected = Some("engine may not import sys (ARCHITECTURE.md)");
        check("engine", &dependency("outlast-sys", None, true), expected);
        check("engine", &dependency("outlast-sys", Some("dev"), true), expected);
        check("outlast", &dependency("outlast-sys", Some("dev"), true), None);
    }

    #[test]
    fn a_socket_in_a_decision_is_refused_in_the_manifest() {
        check("engine", &dependency("sha2", None, false), None);
        let expected = Some("engine decides without I/O and may not list libc");
        check("engine", &dependency("libc", None, false), expected);
        check("sys", &dependency("libc", None, false), None);
    }

    #[test]
    fn a_clock_in_a_decision_is_refused_in_the_source() {
        let file = File::new(
            "crates/engine/src/vip.rs",
            "use std::net::IpAddr;\nuse std::time::Instant;\n// std::fs\n",
        );
        let lines: Vec<_> = sources(&file).into_iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [2]);
    }

    #[test]
    fn the_data_plane_sees_only_its_part_of_the_engine() {
        let file = File::new(
            "crates/proxy/src/worker.rs",
            "use engine::balance::Pool;\nuse engine::vip::Vip;\nlet x = self::engine::y;\n",
        );
        let lines: Vec<_> = sources(&file).into_iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [2]);
    }
}
