//! All files of one start or one check, read together.

use std::fmt;

use base::Span;

use crate::cluster::{self, Cluster};
use crate::haproxy::{self, Haproxy};
use crate::keepalived::{self, AtHand, Keepalived, Node};
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
    /// Those that it includes.
    pub included: Vec<usize>,
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
        if line.starts_with(['$', '@', '~']) {
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

/// What texts are read with.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// The node that keepalived's file is read for.
    pub node: Node<'a>,
    /// Gets the text of a check script, so that the lint can look into it.
    pub script: &'a dyn Fn(&str) -> Option<String>,
}

impl Default for Around<'_> {
    fn default() -> Self {
        Self { node: Node::default(), script: &|_| None }
    }
}

impl fmt::Debug for Around<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Around").field("node", &self.node).finish_non_exhaustive()
    }
}

/// Reads all files, and looks at what only several of them together can get wrong.
#[must_use]
pub fn load(sources: Vec<Source>) -> Loaded {
    load_with(sources, Around::default())
}

/// The same, on a node of that name. What a file in keepalived's language includes is no file of its own.
#[must_use]
pub fn load_with(sources: Vec<Source>, around: Around<'_>) -> Loaded {
    load_without(sources, None, around)
}

/// The same as if file `left_out` were not there; files keep their numbers.
#[must_use]
pub fn load_without(sources: Vec<Source>, left_out: Option<usize>, around: Around<'_>) -> Loaded {
    let mut loaded = Loaded::default();
    let mut proxies: Vec<(usize, &Source)> = Vec::new();
    let kinds: Vec<Kind> = sources.iter().map(recognise).collect();
    let is_in = |file: &usize| Some(*file) != left_out;
    let files = (0..sources.len()).filter(is_in);
    let virtual_ips: Vec<usize> = files.filter(|file| kinds[*file] == Kind::Keepalived).collect();
    let read = virtual_ips.into_iter().map(|main| {
        let mut files = AtHand { sources: &sources, main, taken: Vec::new() };
        let (read, findings) = keepalived::parse_at_hand(&mut files, around.node);
        (main, files.taken, read, findings)
    });
    let read: Vec<_> = read.collect();
    let takes = |main: usize, file: usize| {
        read.iter().any(|(own, taken, ..)| *own == main && taken.contains(&file))
    };
    // Of files that include each other the first one given is meant.
    let is_taken = |file: usize| {
        let mut others = read.iter().map(|(main, ..)| *main).filter(|main| *main != file);
        others.any(|main| takes(main, file) && (main < file || !takes(file, main)))
    };
    for (file, source) in sources.iter().enumerate() {
        if Some(file) == left_out || is_taken(file) {
            continue;
        }
        match kinds[file] {
            Kind::Haproxy => proxies.push((file, source)),
            Kind::Keepalived => {}
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
    let own = read.iter().map(|(main, ..)| !is_taken(*main)).collect::<Vec<_>>();
    for ((main, taken, read, findings), _) in read.into_iter().zip(own).filter(|(_, own)| *own) {
        if loaded.keepalived.is_some() {
            loaded.diagnostics.push(second(&sources[main], main, "in keepalived's language"));
            let files = AtHand { sources: &sources, main, taken };
            loaded.diagnostics.extend(findings.into_iter().map(|it| located(it, &files)));
        } else {
            (loaded.keepalived, loaded.keepalived_file) = (Some(read), main);
            (loaded.included, loaded.diagnostics) =
                (taken, [loaded.diagnostics, findings].concat());
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
    let text = |path: &String| Some(Source { path: path.clone(), text: (around.script)(path)? });
    loaded.scripts = programs.filter_map(text).collect();
    let found = lint::check(&loaded);
    loaded.diagnostics.extend(found);
    let found = std::mem::take(&mut loaded.diagnostics);
    loaded.diagnostics = found.into_iter().map(|it| loaded.at_its_place(it)).collect();
    loaded.diagnostics.sort_by_key(|finding| (finding.file, finding.span.start));
    diagnostic::limit(&mut loaded.diagnostics);
    secret::hide(&loaded.sources, &mut loaded.diagnostics);
    loaded
}

impl Loaded {
    /// A place in what was read of keepalived's file: it may be of a file that this one includes.
    pub(crate) fn locate(&self, file: usize, span: Span) -> (usize, Span) {
        if self.included.is_empty() || self.keepalived.is_none() || file != self.keepalived_file {
            return (file, span);
        }
        AtHand { sources: &self.sources, main: file, taken: Vec::new() }.locate(span)
    }

    fn at_its_place(&self, finding: Diagnostic) -> Diagnostic {
        if self.keepalived.is_none() || finding.file != self.keepalived_file {
            return finding;
        }
        located(
            finding,
            &AtHand { sources: &self.sources, main: self.keepalived_file, taken: vec![] },
        )
    }
}

/// With the file that it is of; without a change to what stands for something else.
fn located(mut finding: Diagnostic, files: &AtHand<'_>) -> Diagnostic {
    (finding.file, finding.span) = files.locate(finding.span);
    if let Some(fix) = finding.fix.as_mut().filter(|fix| fix.file.is_none()) {
        let (file, span) = files.locate(fix.span);
        fix.span = span;
        let text = files.sources.get(file).map_or("", |source| source.text.as_str());
        let is_plain = text.get(span.start..span.end).is_some_and(|text| !text.contains('$'));
        if file != finding.file || !is_plain {
            finding.fix = None;
        }
    }
    finding
}

fn second(source: &Source, file: usize, what: &str) -> Diagnostic {
    let end = source.text.find('\n').unwrap_or(source.text.len());
    let span = Span::new(0, end);
    Diagnostic::error(span, "second-file", format!("this is the second file {what}"))
        .help("give one")
        .in_file(file)
}

/// Findings because of which `run` must refuse what `check` lets pass.
#[must_use]
pub fn refusals(loaded: &Loaded) -> Vec<&Diagnostic> {
    loaded.diagnostics.iter().filter(|finding| finding.code == NOT_RUN_YET).collect()
}
