//! A check that asks the balancer's socket must ask the one the balancer has.

use base::Span;

use crate::haproxy::BindAddress;
use crate::keepalived::ScriptBlock;
use crate::{Diagnostic, Loaded, guess};

/// How far around the script a comment may tell its command.
const LINES_AROUND: usize = 3;

/// Every socket that a check script names must be a `stats socket` of the proxies.
pub(super) fn check(loaded: &Loaded, found: &mut Vec<Diagnostic>) {
    let (Some(haproxy), Some(keepalived)) = (&loaded.haproxy, &loaded.keepalived) else { return };
    let sockets: Vec<String> = haproxy
        .global
        .stats_sockets
        .iter()
        .filter_map(|socket| match &socket.address {
            BindAddress::Unix(path) => Some(path.to_string_lossy().into_owned()),
            BindAddress::Tcp(_) | BindAddress::Descriptor(_) => None,
        })
        .collect();
    for block in &keepalived.scripts {
        let Some(asked) = asked(block, loaded) else { continue };
        if sockets.iter().any(|socket| same(socket, &asked.path)) {
            continue;
        }
        let message = format!(
            "check `{}` asks {}, which is not the balancer's socket",
            block.script.name, asked.path
        );
        let finding = Diagnostic::warning(block.command_span, "check-socket", message);
        let near = guess::nearest(&asked.path, sockets.iter().map(String::as_str));
        let meant = match sockets.as_slice() {
            [one] => Some(one.as_str()),
            _ => near,
        };
        let finding = match (meant, sockets.first().map(String::as_str)) {
            (Some(socket), _) | (None, Some(socket)) => finding.help(format!("write {socket}")),
            (None, None) => {
                finding.help(format!("write `stats socket {}` in `global`", asked.path))
            }
        };
        let finding = match (meant, asked.at) {
            (Some(socket), Some((file, span))) => finding.fix(span, socket).fix_in(file),
            _ => finding,
        };
        found.push(finding.in_file(loaded.keepalived_file));
    }
}

/// The path of a socket, and where a change of it would change the check: file and place.
struct Asked {
    path: String,
    at: Option<(usize, Span)>,
}

/// The socket that a script asks: in its command, in its text, or in the lines around it.
fn asked(block: &ScriptBlock, loaded: &Loaded) -> Option<Asked> {
    let program = block.script.command.first();
    let file = loaded.sources.get(loaded.keepalived_file).map(|source| source.text.as_str());
    if let Some(path) = socket_in(&block.text) {
        let Span { start, end } = block.command_span;
        let at = file.and_then(|text| text.get(start..end)?.find(&path)).map(|at| {
            let start = start + at;
            (loaded.keepalived_file, Span::new(start, start + path.len()))
        });
        return Some(Asked { path, at });
    }
    let script = loaded.scripts.iter().position(|source| Some(&source.path) == program);
    if let Some((at, path)) = script.and_then(|at| Some((at, socket_in(&loaded.scripts[at].text)?)))
    {
        let start = loaded.scripts[at].text.find(&path).unwrap_or_default();
        let span = Span::new(start, start + path.len());
        return Some(Asked { path, at: Some((loaded.sources.len() + at, span)) });
    }
    // A comment only tells what the script does; to change it would change nothing.
    let around = around(file?, block.command_span.start);
    socket_in(&around).map(|path| Asked { path, at: None })
}

/// Whether the script asks a socket, which is what `outlast` watches by itself.
pub(crate) fn asks_a_socket(block: &ScriptBlock, loaded: &Loaded) -> bool {
    asked(block, loaded).is_some()
}

fn around(text: &str, offset: usize) -> String {
    let line = text.get(..offset).unwrap_or_default().matches('\n').count();
    let first = line.saturating_sub(LINES_AROUND);
    text.lines().skip(first).take(2 * LINES_AROUND + 1).collect::<Vec<_>>().join("\n")
}

/// The first path of a socket in a text: behind `unix-connect:`, or what ends like one.
fn socket_in(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || "\"'`|;()<>,".contains(c));
    for word in words {
        let lower = word.to_ascii_lowercase();
        let behind = ["unix-connect:", "unix-client:", "unix:", "unix@"]
            .into_iter()
            .find(|prefix| lower.starts_with(prefix))
            .and_then(|prefix| word.get(prefix.len()..));
        let path = behind.unwrap_or(word);
        let is_socket = behind.is_some() || path.ends_with(".sock") || path.ends_with(".socket");
        if is_socket && path.contains('/') {
            return Some(path.to_owned());
        }
    }
    None
}

fn same(a: &str, b: &str) -> bool {
    let plain = |path: &str| path.trim_start_matches("./").replace("//", "/");
    plain(a) == plain(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_of_the_published_check_is_found() {
        let text = "echo \"show info\" | socat /var/lib/kola/haproxy/haproxy.sock stdio";
        assert_eq!(socket_in(text).as_deref(), Some("/var/lib/kola/haproxy/haproxy.sock"));
        let text = "#!/bin/bash\necho show info | socat unix-connect:/run/lb.ctl stdio\n";
        assert_eq!(socket_in(text).as_deref(), Some("/run/lb.ctl"));
        assert_eq!(socket_in("/check_alive.sh"), None);
    }
}
