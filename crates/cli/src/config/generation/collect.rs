//! The files of a folder, per node, checked; and what they change.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::config::cluster::Cluster;
use ::config::diff::Change;
use ::config::{Loaded, Source};
use api::generation::{CLUSTER_FILE, Content, Files};

use super::GenerationError;
use crate::config::files::{self, Here};

/// What only one node has, below it by the node's name.
const NODES: &str = "nodes";

/// Nodes on which the same changes.
pub(super) struct Group {
    pub(super) nodes: Vec<String>,
    pub(super) changes: Vec<Change>,
    /// What they do not show.
    pub(super) cautions: Vec<String>,
    /// What `detect` has to be in between.
    pub(super) steps: Vec<Duration>,
    /// The texts are not the same, whatever they say.
    pub(super) differs: bool,
}

/// All files of all nodes, as a folder has them; checked as far as that can be done here.
pub(super) fn folder(folder: &Path) -> Result<Content, GenerationError> {
    let shared = read(&folder.join(CLUSTER_FILE))?;
    let names = match cluster_of(&shared) {
        Some(cluster) => cluster.nodes.into_iter().map(|node| node.name).collect::<Vec<_>>(),
        None => return Err(complaint(vec![shared])),
    };
    only_nodes(&folder.join(NODES), &names)?;
    let mut checked: BTreeMap<Files, ()> = BTreeMap::new();
    let mut nodes = BTreeMap::new();
    for name in names {
        let own = folder.join(NODES).join(&name);
        let (files, sources) = of_node(&[own, folder.to_owned()])?;
        if checked.insert(files.clone(), ()).is_none() {
            check(sources)?;
        }
        nodes.insert(name, files);
    }
    each_knows_itself(&nodes)?;
    Ok(Content::new(nodes))
}

/// The files of one node: each from the first of these folders that has it.
fn of_node(folders: &[PathBuf; 2]) -> Result<(Files, Vec<Source>), GenerationError> {
    let first = |path: &str| {
        let found = folders.iter().map(|folder| folder.join(path)).find(|path| path.exists());
        found.unwrap_or_else(|| folders[1].join(path))
    };
    let source = read(&first(CLUSTER_FILE))?;
    let Some(cluster) = cluster_of(&source) else { return Err(complaint(vec![source])) };
    let mut paths = vec![];
    for named in [cluster.haproxy, cluster.keepalived].into_iter().flatten() {
        let path = named.to_string_lossy().into_owned();
        if !engine::generation::is_beside(&path) {
            return Err(GenerationError::Wrong(format!(
                "{} names {path}: a generation has only files beside it, named without `/` at the beginning and \
                 without `..` or names that begin with a dot",
                source.path
            )));
        }
        match first(&path).is_dir() {
            false => paths.push(path),
            true => paths.extend(in_folder(folders, &path)?),
        }
    }
    let mut texts = Files::from([(CLUSTER_FILE.to_owned(), source.text.clone())]);
    let mut sources = vec![];
    for path in paths {
        let found = read(&first(&path)).map_err(|error| named(error, &source, &path))?;
        if let Some(line) = ::config::keepalived::includes(&found) {
            return Err(GenerationError::Wrong(format!(
                "{}:{line} includes other files, which a generation does not carry: write what they say into it",
                found.path
            )));
        }
        texts.insert(path, found.text.clone());
        sources.push(found);
    }
    sources.push(source);
    Ok((texts, sources))
}

/// The *.cfg of a folder, of the node and of all together.
fn in_folder(folders: &[PathBuf; 2], path: &str) -> Result<Vec<String>, GenerationError> {
    let mut names = BTreeSet::new();
    for folder in folders.iter().map(|folder| folder.join(path)).filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
            let name = entry.map_err(failed(&folder))?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".cfg") && !name.starts_with('.') {
                names.insert(format!("{path}/{name}"));
            }
        }
    }
    Ok(names.into_iter().collect())
}

/// A folder below `nodes` that is of no node is a mistake that would go unnoticed.
fn only_nodes(folder: &Path, names: &[String]) -> Result<(), GenerationError> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let name = entry.map_err(failed(folder))?.file_name().to_string_lossy().into_owned();
        if !names.contains(&name) {
            return Err(GenerationError::Wrong(format!(
                "{} is of no node: {CLUSTER_FILE} has {}",
                folder.join(name).display(),
                names.join(", ")
            )));
        }
    }
    Ok(())
}

/// Whether the files say something that `outlast run` takes, and what the next generation needs.
fn check(sources: Vec<Source>) -> Result<(), GenerationError> {
    let loaded = ::config::load_with(sources, Here::new(None).around());
    if let Some(refused) = ::config::refused(&loaded) {
        return Err(not_committed(&refused.shown));
    }
    let cluster = loaded.cluster.as_ref();
    let Some(cluster) = cluster.filter(|cluster| cluster.store.is_some()) else {
        return Err(GenerationError::Wrong(
            "outlast.toml has no [store]: with it there would be no generation after this one"
                .to_owned(),
        ));
    };
    for node in 0..cluster.nodes.len() {
        // Which device has an address is known on the node alone.
        let device = |_| Some("lo".to_owned());
        let (keepalived, balancer) = (loaded.keepalived.as_ref(), loaded.haproxy.is_some());
        let vips =
            ::config::effective_vips(Some(cluster), keepalived, Some(node), balancer, &device);
        vips.map_err(|wrong| GenerationError::Wrong(wrong.join("\n")))?;
    }
    Ok(())
}

/// A file of a node's own must have that node, and the cluster's name.
fn each_knows_itself(nodes: &BTreeMap<String, Files>) -> Result<(), GenerationError> {
    let mut clusters = BTreeSet::new();
    for (name, files) in nodes {
        let cluster = files.get(CLUSTER_FILE).and_then(|text| {
            cluster_of(&Source { path: CLUSTER_FILE.to_owned(), text: text.clone() })
        });
        let Some(cluster) = cluster else { continue };
        if !cluster.nodes.iter().any(|node| node.name == *name) {
            let text = format!("the {CLUSTER_FILE} of {name} does not have {name}");
            return Err(GenerationError::Wrong(text));
        }
        clusters.insert(cluster.name);
    }
    if clusters.len() > 1 {
        let names: Vec<_> = clusters.into_iter().collect();
        let text = format!("the nodes would be of several clusters: {}", names.join(", "));
        return Err(GenerationError::Wrong(text));
    }
    Ok(())
}

/// What changes, for nodes on which the same does.
pub(super) fn groups(before: &Content, after: &Content) -> Result<Vec<Group>, GenerationError> {
    let mut sides: BTreeMap<(Option<Files>, Option<Files>), Vec<String>> = BTreeMap::new();
    let names: BTreeSet<_> = before.nodes.keys().chain(after.nodes.keys()).collect();
    for name in names {
        let side = (before.of(name), after.of(name));
        sides.entry(side).or_default().push(name.clone());
    }
    let mut groups = vec![];
    for ((old, new), nodes) in sides {
        let differs = old != new;
        let (old, new) = (loaded(old), loaded(new));
        let changes = ::config::diff::diff(&old, &new);
        let cautions = ::config::diff::cautions(&old, &new);
        let steps = ::config::diff::steps_of_detect(&old, &new);
        groups.push(Group { nodes, changes, cautions, steps, differs });
    }
    same_cluster(before, after)?;
    Ok(groups)
}

fn same_cluster(before: &Content, after: &Content) -> Result<(), GenerationError> {
    let (Some(old), Some(new)) = (cluster(before), cluster(after)) else { return Ok(()) };
    if old.name == new.name {
        return Ok(());
    }
    let (old, new) = (old.name, new.name);
    let text = format!("this is the configuration of cluster {new}, the store is that of {old}");
    Err(GenerationError::Wrong(text))
}

/// The cluster file of a generation; that of any node, where they differ.
pub(super) fn cluster(content: &Content) -> Option<Cluster> {
    let text = content.of(content.nodes.keys().next()?)?.remove(CLUSTER_FILE)?;
    cluster_of(&Source { path: CLUSTER_FILE.to_owned(), text })
}

fn loaded(files: Option<Files>) -> Loaded {
    let sources = files.unwrap_or_default().into_iter();
    let sources = sources.map(|(path, text)| Source { path, text }).collect();
    ::config::load_with(sources, Here::new(None).around())
}

fn cluster_of(source: &Source) -> Option<Cluster> {
    ::config::cluster::parse(source, 0).0
}

fn complaint(sources: Vec<Source>) -> GenerationError {
    let loaded = ::config::load(sources);
    let shown = ::config::refused(&loaded).map(|refused| refused.shown);
    not_committed(&shown.unwrap_or_else(|| "outlast.toml is no cluster file".to_owned()))
}

/// Said last, as it is what an operator asks first.
fn not_committed(shown: &str) -> GenerationError {
    GenerationError::Wrong(format!("{shown}\nnothing was committed"))
}

/// Where the file that cannot be read is named.
fn named(error: GenerationError, source: &Source, path: &str) -> GenerationError {
    let GenerationError::File { path: file, source: why } = error else { return error };
    let lines = source.text.lines().zip(1..);
    let mut naming = lines.filter(|(line, _)| line.contains(&format!("\"{path}\"")));
    let place = naming.next().map_or_else(String::new, |(_, line)| format!(":{line}"));
    let why = io::Error::other(format!("{why}; {}{place} names it", source.path));
    GenerationError::File { path: file, source: why }
}

fn read(path: &Path) -> Result<Source, GenerationError> {
    files::read(path).map_err(|why| GenerationError::File {
        path: path.display().to_string(),
        source: io::Error::other(why),
    })
}

fn failed(path: &Path) -> impl Fn(io::Error) -> GenerationError + '_ {
    |source| GenerationError::File { path: path.display().to_string(), source }
}
