//! Configuration languages.

use base::Span;
use config::keepalived::Node;
use config::{Around, Diagnostic, Source};

/// No rendered finding is longer: a line is shown around its mistake, a message is cut (bytes).
const MOST_PER_FINDING: usize = 16 * 1024;
/// More findings than this help nobody.
const MOST_FINDINGS: usize = 1100;
/// In no file of UTF-8 text, so it parts several files in one input.
const BETWEEN_FILES: u8 = 0xff;

pub(crate) fn haproxy(bytes: &[u8]) {
    let source = source("haproxy.cfg", bytes);
    let one = std::slice::from_ref(&source);
    let (read, findings) = config::haproxy::parse(one, 0);
    judge(one, &findings);
    // For some: it takes as long as the rest.
    if bytes.len().is_multiple_of(8) {
        assert_eq!(config::haproxy::parse(one, 0), (read, findings), "read twice it is the same");
    }
}

pub(crate) fn keepalived(bytes: &[u8]) {
    let source = source("keepalived.conf", bytes);
    let (read, findings) = config::keepalived::parse(&source, 0);
    judge(std::slice::from_ref(&source), &findings);
    let is_well =
        |findings: &[Diagnostic]| findings.iter().all(|it| it.severity != config::Severity::Error);
    // What a process of the node is given means the same: it has no name, and no other files.
    let node = Node { id: Some("a"), folder: Some("/etc"), needs_all: false };
    let one = std::slice::from_ref(&source);
    if let Some(text) = config::keepalived::flattened(one, 0, node) {
        let around = Around { node, ..Around::default() };
        let written = config::load_with(vec![source.clone()], around);
        if let (Some(written), true) = (&written.keepalived, !written.has_errors()) {
            let flat = Source { path: source.path.clone(), text };
            let (given, findings) = config::keepalived::parse(&flat, 0);
            assert!(is_well(&findings), "{findings:?}\n{}", flat.text);
            let vips = |read| config::effective_vips(None, Some(read), None, true, &|_| None);
            assert_eq!(vips(written), vips(&given), "{}", flat.text);
        }
    }
    // What a check passes can be run: every instance becomes one of the engine's.
    if findings.iter().all(|finding| finding.severity != config::Severity::Error) {
        let vips = config::effective_vips(None, Some(&read), None, true, &|_| None);
        assert_eq!(vips.map(|vips| vips.len()), Ok(read.instances.len()));
    }
}

pub(crate) fn cluster(bytes: &[u8]) {
    let source = source("outlast.toml", bytes);
    let (read, findings) = config::cluster::parse(&source, 0);
    judge(std::slice::from_ref(&source), &findings);
    let Some(read) = read else {
        assert!(!findings.is_empty(), "a file without a cluster in it says why");
        return;
    };
    if findings.iter().all(|finding| finding.severity != config::Severity::Error) {
        for node in 0..read.nodes.len() {
            let known = config::effective_vips(Some(&read), None, Some(node), true, &|_| {
                Some("eth0".to_owned())
            });
            for vip in known.unwrap_or_default() {
                assert!(vip.priority > 0 && vip.router_id > 0, "{vip:?}");
            }
        }
    }
}

/// Several files, read, linted and shown together.
pub(crate) fn files(bytes: &[u8]) {
    let texts = bytes.split(|byte| *byte == BETWEEN_FILES).take(4);
    let sources: Vec<_> = texts.enumerate().map(|(at, text)| named(at, text)).collect();
    let script = |_: &str| Some("socat unix-connect:/x.sock stdio".into());
    let node = Node { id: Some("keepalived"), ..Node::default() };
    let loaded = config::load_with(sources, Around { node, script: &script });
    judge(&loaded.sources, &loaded.diagnostics);
    let places = loaded.diagnostics.iter().map(|finding| (finding.file, finding.span.start));
    assert!(places.is_sorted(), "findings come in the order of files and places");
    assert_eq!(
        loaded.has_errors(),
        loaded.diagnostics.iter().any(|f| f.severity == config::Severity::Error)
    );
    let refusals = config::refusals(&loaded);
    assert!(refusals.len() <= loaded.diagnostics.len());
}

/// The same files, repaired, and as one cluster file.
pub(crate) fn changes(bytes: &[u8]) {
    // Each edit may be tried by itself, each time with all files.
    let texts = bytes.split(|byte| *byte == BETWEEN_FILES).take(3);
    let sources: Vec<_> = texts.enumerate().map(|(at, text)| named(at, text)).collect();
    let script = |_: &str| Some("socat unix-connect:/x.sock stdio".to_owned());
    let around = Around { script: &script, ..Around::default() };
    let before = config::load_with(sources.clone(), around);
    let repair = config::repair(sources.clone(), around);
    assert!(errors(&repair.loaded) <= errors(&before), "a repair does no harm");
    assert!(!repair.files.iter().any(|file| sources.contains(file)), "only what changed is told");
    assert!(repair.files.is_empty() || !repair.changes.is_empty(), "every change is told");
    judge(&repair.loaded.sources, &repair.loaded.diagnostics);
    if before.has_errors() {
        return;
    }
    let node = |name: &str, last| (name.to_owned(), [10, 0, 0, last].into(), None);
    let wishes = config::import::Wishes {
        name: "cloud".to_owned(),
        haproxy: vec!["haproxy.cfg".to_owned()],
        nodes: vec![node("a", 1), node("b", 2)],
    };
    let imported = config::import::import(&before, &wishes);
    assert!(imported.text.len() <= 4096 + 64 * bytes.len(), "{} bytes", imported.text.len());
    let written = Source { path: "outlast.toml".to_owned(), text: imported.text };
    let (read, findings) = config::cluster::parse(&written, 0);
    let broken = findings.iter().find(|finding| finding.code == "toml");
    assert_eq!(broken, None, "what we write is TOML:\n{}", written.text);
    assert!(read.is_some(), "and has a cluster:\n{}", written.text);
    judge(std::slice::from_ref(&written), &findings);
}

fn errors(loaded: &config::Loaded) -> usize {
    let is_error = |finding: &&Diagnostic| finding.severity == config::Severity::Error;
    loaded.diagnostics.iter().filter(is_error).count()
}

fn named(at: usize, text: &[u8]) -> Source {
    const NAMES: [&str; 4] = ["haproxy.cfg", "keepalived.conf", "outlast.toml", "b.cfg"];
    source(NAMES[at % NAMES.len()], text)
}

fn source(path: &str, bytes: &[u8]) -> Source {
    Source { path: path.to_owned(), text: String::from_utf8_lossy(bytes).into_owned() }
}

/// Every finding lies in its file, says something, and can be shown in bounded space.
fn judge(sources: &[Source], findings: &[Diagnostic]) {
    assert!(findings.len() <= MOST_FINDINGS, "{} findings", findings.len());
    let lines: Vec<usize> = sources.iter().map(|s| s.text.matches('\n').count() + 1).collect();
    for finding in findings {
        let text = &sources[finding.file].text;
        let Span { start, end } = finding.span;
        assert!(start <= end && start <= text.len(), "{finding:?} in {} bytes", text.len());
        assert!(!finding.message.is_empty() && !finding.code.is_empty(), "{finding:?}");
        let place = config::place(text, start);
        assert!(place.line <= lines[finding.file], "{finding:?} {place:?}");
    }
    let shown = config::render(sources, findings);
    assert!(shown.len() <= (findings.len() + 1) * MOST_PER_FINDING, "{} bytes", shown.len());
    assert_eq!(shown.is_empty(), findings.is_empty());
    let control = shown.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(control, None, "a file does not get at the operator's terminal");
}
