//! Configuration languages.

use base::Span;
use config::{Diagnostic, Source};

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
    assert_eq!(config::haproxy::parse(one, 0), (read, findings), "read twice, it reads the same");
}

pub(crate) fn keepalived(bytes: &[u8]) {
    let source = source("keepalived.conf", bytes);
    let (read, findings) = config::keepalived::parse(&source, 0);
    judge(std::slice::from_ref(&source), &findings);
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
    let loaded = config::load_with(sources, &|_| Some("socat unix-connect:/x.sock stdio".into()));
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
    for finding in findings {
        let text = &sources[finding.file].text;
        let Span { start, end } = finding.span;
        assert!(start <= end && start <= text.len(), "{finding:?} in {} bytes", text.len());
        assert!(!finding.message.is_empty() && !finding.code.is_empty(), "{finding:?}");
        let place = config::place(text, start);
        assert!(place.line <= text.matches('\n').count() + 1, "{finding:?} {place:?}");
    }
    let shown = config::render(sources, findings);
    assert!(shown.len() <= (findings.len() + 1) * MOST_PER_FINDING, "{} bytes", shown.len());
    assert_eq!(shown.is_empty(), findings.is_empty());
    let control = shown.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(control, None, "a file does not get at the operator's terminal");
}
