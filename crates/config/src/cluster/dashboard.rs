//! `[dashboard]`: where it answers, on a node of its own choice.

use std::net::SocketAddr;

use super::fields::{At, DashboardDraft};
use super::{Dashboard, Listen};
use crate::diagnostic::Diagnostic;

/// Whoever can reach the node would see its inside: elsewhere than on loopback a token is needed.
pub(super) fn resolve(
    draft: DashboardDraft,
    networks: &[String],
    findings: &mut Vec<Diagnostic>,
) -> Dashboard {
    let Some(texts) = draft.listen else {
        return Dashboard { token_file: draft.token_file, ..Dashboard::default() };
    };
    let mut listen = vec![];
    for (text, at) in texts {
        let Some(found) = place(&(text.clone(), at), networks, findings) else { continue };
        if listen.contains(&found) {
            let message = format!("{text} stands here twice");
            findings.push(Diagnostic::error(at, "duplicate-address", message));
            continue;
        }
        let is_local = matches!(found, Listen::Address(address) if address.ip().is_loopback());
        if !is_local && draft.token_file.is_none() {
            let message = format!("without a token the dashboard is not shown on {text}");
            let finding = Diagnostic::error(at, "missing-key", message);
            findings.push(finding.help("add `token_file = \"/etc/outlast/token\"`"));
        }
        listen.push(found);
    }
    Dashboard { listen, is_asked_for: true, token_file: draft.token_file }
}

fn place(
    (text, at): &At<String>,
    networks: &[String],
    findings: &mut Vec<Diagnostic>,
) -> Option<Listen> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(Listen::Address(address));
    }
    let parts = text.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?)));
    let (name, port) = parts.unwrap_or((text, Dashboard::PORT));
    if let Some(network) = networks.iter().position(|known| known == name) {
        return Some(Listen::Network { network, port });
    }
    let message = format!("`{text}` is no address with a port, nor a network of this file");
    let finding = Diagnostic::error(*at, "bad-value", message);
    let port = Dashboard::PORT;
    let known = networks.join(", ");
    let help = format!("write `listen = \"127.0.0.1:{port}\"`, or one of {known} and a port");
    findings.push(finding.help(help));
    None
}
