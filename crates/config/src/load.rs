//! All files of one start or one check, read together.

use crate::cluster::{self, Cluster};
use crate::haproxy::{self, Haproxy};
use crate::keepalived::{self, Keepalived};
use crate::{Diagnostic, NOT_RUN_YET, Severity, Source, diagnostic, lint, secret};

/// The language of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Haproxy,
    Keepalived,
    Cluster,
}

impl Kind {
    /// As the operator knows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "HAProxy's language",
            Self::Keepalived => "keepalived's language",
            Self::Cluster => "the language of outlast.toml",
        }
    }

    /// The option of `outlast run` that takes such a file.
    #[must_use]
    pub const fn option(self) -> &'static str {
        match self {
            Self::Haproxy => "--haproxy",
            Self::Keepalived => "--keepalived",
            Self::Cluster => "--config",
        }
    }
}

/// Files with what they say and what is wrong with them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    pub sources: Vec<Source>,
    /// All files in HAProxy's language, as one configuration.
    pub haproxy: Option<Haproxy>,
    pub keepalived: Option<Keepalived>,
    pub cluster: Option<Cluster>,
    /// In the order of files and places.
    pub diagnostics: Vec<Diagnostic>,
    /// Texts of check scripts, for the lint; as the files name them.
    pub scripts: Vec<Source>,
    /// The file that `keepalived` came from.
    pub keepalived_file: usize,
    /// The file that `cluster` came from.
    pub cluster_file: usize,
}

impl Loaded {
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// The language of a file, by its content, and by its name where the content says nothing.
#[must_use]
pub fn recognise(source: &Source) -> Kind {
    let name = source.path.rsplit('/').next().unwrap_or_default();
    for line in source.text.lines().map(str::trim) {
        let word = line.split([' ', '\t', '{', '=']).next().unwrap_or_default();
        if line.is_empty() || line.starts_with(['#', '!', ';']) {
            continue;
        }
        if line.starts_with('.') {
            return Kind::Haproxy;
        }
        if line.starts_with(['$', '@']) {
            return Kind::Keepalived;
        }
        if line.starts_with('[') || line.contains(" = ") {
            return Kind::Cluster;
        }
        if line.contains('{') && !line.contains("{ ") || keepalived::is_block(word) {
            return Kind::Keepalived;
        }
        if haproxy::is_section(word) {
            return Kind::Haproxy;
        }
    }
    match name.rsplit('.').next() {
        Some("toml") => Kind::Cluster,
        Some("conf") if name.contains("keepalived") => Kind::Keepalived,
        _ => Kind::Haproxy,
    }
}

/// Reads all files, and looks at what only several of them together can get wrong.
#[must_use]
pub fn load(sources: Vec<Source>) -> Loaded {
    load_with(sources, &|_| None)
}

/// The same; `read` gets the text of a check script, so that the lint can look into it.
#[must_use]
pub fn load_with(sources: Vec<Source>, read: &dyn Fn(&str) -> Option<String>) -> Loaded {
    load_without(sources, None, read)
}

/// The same as if file `left_out` were not there; files keep their numbers.
#[must_use]
pub fn load_without(
    sources: Vec<Source>,
    left_out: Option<usize>,
    read: &dyn Fn(&str) -> Option<String>,
) -> Loaded {
    let mut loaded = Loaded::default();
    let mut proxies: Vec<(usize, &Source)> = Vec::new();
    for (file, source) in sources.iter().enumerate() {
        if Some(file) == left_out {
            continue;
        }
        match recognise(source) {
            Kind::Haproxy => proxies.push((file, source)),
            Kind::Keepalived => {
                let (read, findings) = keepalived::parse(source, file);
                loaded.diagnostics.extend(findings);
                if loaded.keepalived.is_some() {
                    loaded.diagnostics.push(second(source, file, "in keepalived's language"));
                } else {
                    (loaded.keepalived, loaded.keepalived_file) = (Some(read), file);
                }
            }
            Kind::Cluster => {
                let (read, findings) = cluster::parse(source, file);
                loaded.diagnostics.extend(findings);
                if loaded.cluster.is_some() {
                    loaded.diagnostics.push(second(source, file, "with a cluster"));
                } else {
                    (loaded.cluster, loaded.cluster_file) = (read, file);
                }
            }
        }
    }
    if !proxies.is_empty() {
        let (read, findings) = haproxy::parse_numbered(&proxies);
        loaded.haproxy = Some(read);
        loaded.diagnostics.extend(findings);
    }
    loaded.sources = sources;
    let blocks = loaded.keepalived.iter().flat_map(|read| &read.scripts);
    let programs = blocks.filter_map(|block| block.script.command.first());
    let texts = programs.filter_map(|path| Some(Source { path: path.clone(), text: read(path)? }));
    loaded.scripts = texts.collect();
    let found = lint::check(&loaded);
    loaded.diagnostics.extend(found);
    loaded.diagnostics.sort_by_key(|finding| (finding.file, finding.span.start));
    diagnostic::limit(&mut loaded.diagnostics);
    secret::hide(&loaded.sources, &mut loaded.diagnostics);
    loaded
}

fn second(source: &Source, file: usize, what: &str) -> Diagnostic {
    let end = source.text.find('\n').unwrap_or(source.text.len());
    let span = base::Span::new(0, end);
    Diagnostic::error(span, "second-file", format!("this is the second file {what}"))
        .help("give one")
        .in_file(file)
}

/// Findings because of which `run` must refuse what `check` lets pass.
#[must_use]
pub fn refusals(loaded: &Loaded) -> Vec<&Diagnostic> {
    loaded.diagnostics.iter().filter(|finding| finding.code == NOT_RUN_YET).collect()
}
