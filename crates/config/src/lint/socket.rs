//! A check that asks the balancer's socket must ask the one the balancer has.

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
        if sockets.iter().any(|socket| same(socket, &asked)) {
            continue;
        }
        let message = format!(
            "check `{}` asks {asked}, which is not the balancer's socket",
            block.script.name
        );
        let finding = Diagnostic::warning(block.command_span, "check-socket", message);
        let help = match sockets.as_slice() {
            [] => format!("write `stats socket {asked}` in `global`"),
            [one] => format!("write {one}"),
            _ => {
                let near = guess::nearest(&asked, sockets.iter().map(String::as_str));
                format!("write {}", near.unwrap_or(&sockets[0]))
            }
        };
        found.push(finding.help(help).in_file(loaded.keepalived_file));
    }
}

/// The socket that a script asks: in its command, in its text, or in the lines around it.
fn asked(block: &ScriptBlock, loaded: &Loaded) -> Option<String> {
    let program = block.script.command.first();
    let text = loaded.scripts.iter().find(|source| Some(&source.path) == program);
    let file = loaded.sources.get(loaded.keepalived_file).map(|source| source.text.as_str());
    let around = file.map(|text| around(text, block.command_span.start)).unwrap_or_default();
    socket_in(&block.text)
        .or_else(|| text.and_then(|source| socket_in(&source.text)))
        .or_else(|| socket_in(&around))
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
