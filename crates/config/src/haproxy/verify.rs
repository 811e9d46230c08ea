//! What HAProxy checks beyond single lines: who may say what where, and names that must fit.

use std::collections::HashMap;

use base::Span;

use super::proxy::Draft;
use super::{LogFormat, Mode, Proxy, ProxyKind, format};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::keyword::Keyword;
use crate::keyword::places::{BACKEND, DEFAULTS, FRONTEND, LISTEN, NAMED, STRICT};
use crate::line::{Line, Word};

/// Whether `row` may stand in a `defaults` section.
pub(crate) fn in_defaults(
    row: &Keyword<Draft>,
    is_named: bool,
    line: &Line<'_>,
) -> Result<(), Diagnostic> {
    if row.places == 0 || row.places & DEFAULTS != 0 || (row.places & NAMED != 0 && is_named) {
        return Ok(());
    }
    let span = line.head();
    let message = format!("`{}` cannot stand in a `defaults` section", row.name);
    let finding = Diagnostic::error(span, "wrong-section", message);
    Err(if row.places & NAMED != 0 {
        finding.help("give the section a name and write `from NAME` behind the proxies' names")
    } else {
        finding.help("write it in each proxy that needs it")
    })
}

/// Whether `row` counts in this proxy; what counts only in the other half is a warning.
pub(crate) fn in_proxy(
    row: &Keyword<Draft>,
    proxy: &Proxy,
    line: &mut Line<'_>,
) -> Result<bool, Diagnostic> {
    let place = match proxy.kind {
        ProxyKind::Listen => LISTEN,
        ProxyKind::Frontend => FRONTEND,
        ProxyKind::Backend => BACKEND,
    };
    if row.places == 0 || row.places & place != 0 {
        return Ok(true);
    }
    let kind = proxy.kind.name();
    let message = format!("`{}` means nothing in a `{kind}` section", row.name);
    if row.places & STRICT != 0 {
        let finding = Diagnostic::error(line.head(), "wrong-section", message);
        return Err(finding.help("make it a `listen` section, or write it in a `backend`"));
    }
    line.report(Diagnostic::warning(line.head(), "wrong-section", message).help("it is ignored"));
    Ok(false)
}

/// All findings that need the whole configuration.
pub(crate) fn check(drafts: &[Draft], trusts_servers: bool, findings: &mut Vec<Diagnostic>) {
    same_names(drafts, findings);
    for draft in drafts {
        let file = draft.proxy.file;
        let first = findings.len();
        same_servers(&draft.proxy, findings);
        unverified(draft, trusts_servers, findings);
        backends(draft, drafts, findings);
        modes(draft, findings);
        shape(&draft.proxy, findings);
        for finding in &mut findings[first..] {
            finding.file = file;
        }
        log_line(draft, findings);
    }
}

fn same_names(drafts: &[Draft], findings: &mut Vec<Diagnostic>) {
    for (half, is_in) in
        [("frontend", Proxy::is_frontend as fn(&Proxy) -> bool), ("backend", Proxy::is_backend)]
    {
        let mut seen: HashMap<&str, &Proxy> = HashMap::new();
        for proxy in drafts.iter().map(|draft| &draft.proxy).filter(|proxy| is_in(proxy)) {
            let Some(other) = seen.insert(&proxy.name, proxy) else { continue };
            let told = half == "backend" && proxy.is_frontend() && other.is_frontend();
            if !told {
                let kind = other.kind.name();
                let message = format!("there is a {kind} `{}` already", proxy.name);
                let finding = Diagnostic::error(proxy.span, "duplicate-name", message);
                findings.push(finding.help("give it another name").in_file(proxy.file));
            }
        }
    }
}

fn same_servers(proxy: &Proxy, findings: &mut Vec<Diagnostic>) {
    let mut seen = HashMap::new();
    for server in &proxy.servers {
        if seen.insert(server.name.as_str(), server).is_some() {
            let message = format!("`{}` has a server `{}` already", proxy.name, server.name);
            let finding = Diagnostic::error(server.span, "duplicate-name", message);
            findings.push(finding.help("give it another name"));
        }
    }
}

/// A certificate that is checked against no authority is a mistake to HAProxy, whether or not it
/// was meant.
fn unverified(draft: &Draft, trusts_servers: bool, findings: &mut Vec<Diagnostic>) {
    for (span, always) in &draft.unverified {
        if *always || !trusts_servers {
            let message = "the server's certificate is checked, and no `ca-file` says against what";
            let finding = Diagnostic::error(*span, "no-authority", message);
            findings
                .push(finding.help("add `ca-file FILE`, or `verify none` in a network you trust"));
        }
    }
}

/// A proxy cannot be its own backend.
pub(crate) fn no_loop(draft: &Draft) -> Result<(), Diagnostic> {
    match &draft.default_backend {
        Some(name) if draft.proxy.is_backend() && name.text == draft.proxy.name => {
            let message = format!("`{}` is its own backend", name.text);
            let finding = Diagnostic::error(name.span, "unknown-name", message);
            Err(finding.help("name another backend, or remove the line"))
        }
        _ => Ok(()),
    }
}

fn backends(draft: &Draft, drafts: &[Draft], findings: &mut Vec<Diagnostic>) {
    if !draft.proxy.is_frontend() {
        return;
    }
    findings.extend(no_loop(draft).err());
    for name in draft.default_backend.iter().chain(&draft.use_backends) {
        let found =
            drafts.iter().find(|other| other.proxy.is_backend() && other.proxy.name == name.text);
        match found {
            None => findings.push(no_backend(name, drafts)),
            Some(other) if (draft.proxy.mode, other.proxy.mode) == (Mode::Tcp, Mode::Http) => {
                let what = "a frontend in mode tcp before a backend in mode http";
                findings.push(Diagnostic::not_yet(name.span, what));
            }
            Some(other) if other.proxy.mode != draft.proxy.mode => {
                let message = format!(
                    "`{}` is in mode {} and `{}` in mode {}",
                    draft.proxy.name,
                    mode(draft.proxy.mode),
                    name.text,
                    mode(other.proxy.mode)
                );
                findings.push(
                    Diagnostic::error(name.span, "mixed-modes", message)
                        .help("write the same `mode` in both"),
                );
            }
            Some(_) => {}
        }
    }
}

/// `log-format` of `defaults` is read for each proxy with its mode, and told of once.
fn log_line(draft: &Draft, findings: &mut Vec<Diagnostic>) {
    let Some((word, file)) =
        draft.log_line.as_ref().filter(|_| draft.proxy.is_frontend() && !draft.proxy.disabled)
    else {
        return;
    };
    let told = match format::compile(word, draft.proxy.mode) {
        Ok((_, notes)) => notes,
        Err(finding) => vec![finding],
    };
    for finding in told.into_iter().map(|finding| finding.in_file(*file)) {
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Tcp => "tcp",
        Mode::Http => "http",
    }
}

fn no_backend(name: &Word, drafts: &[Draft]) -> Diagnostic {
    let message = format!("there is no backend `{}`", name.text);
    let finding = Diagnostic::error(name.span, "unknown-name", message);
    let known = drafts.iter().filter(|draft| draft.proxy.is_backend());
    guess::near(finding, &name.text, known.map(|draft| draft.proxy.name.as_str()))
}

/// What only HTTP can do, in a proxy that speaks TCP.
fn modes(draft: &Draft, findings: &mut Vec<Diagnostic>) {
    let proxy = &draft.proxy;
    if proxy.mode == Mode::Http {
        return;
    }
    let ignored = |span: Span, what: &str| {
        let message = format!("{what} in `{}`, which is not in mode http", proxy.name);
        Diagnostic::warning(span, "needs-http", message).help("write `mode http` in it")
    };
    if let (LogFormat::Http, Some(span), None) =
        (&proxy.log_format, draft.log_format_at, &draft.log_line)
    {
        findings.push(ignored(span, "`option httplog` works as `option tcplog`"));
    }
    if let Some(span) = draft.http_rule_at {
        findings.push(ignored(span, "HTTP rules are ignored"));
    }
}

/// A proxy that cannot do its work.
fn shape(proxy: &Proxy, findings: &mut Vec<Diagnostic>) {
    if proxy.disabled {
        return;
    }
    if proxy.is_frontend() && proxy.binds.is_empty() {
        let message = format!("`{}` has no `bind`, so nobody can connect to it", proxy.name);
        let finding = Diagnostic::warning(proxy.span, "no-bind", message);
        findings.push(finding.help("add `bind ADDRESS:PORT`, or make it a `backend`"));
    }
    let mut missing = Vec::new();
    let times = &proxy.timeouts;
    if proxy.is_frontend() && times.client.is_none() {
        missing.push("client");
    }
    if proxy.is_backend() && !proxy.servers.is_empty() {
        missing.extend(times.connect.is_none().then_some("connect"));
        missing.extend(times.server.is_none().then_some("server"));
    }
    if !missing.is_empty() && proxy.stats.is_none() {
        let message =
            format!("`{}` waits without limit: no timeout {}", proxy.name, missing.join(", "));
        let finding = Diagnostic::warning(proxy.span, "no-timeout", message);
        findings.push(finding.help(format!("write `timeout {} 1m`", missing[0])));
    }
}
