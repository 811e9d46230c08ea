//! `[dashboard]`: where it answers, on a node of its own choice, and how strangers are kept out.

use std::net::SocketAddr;

use base::Span;

use super::fields::{At, DashboardDraft};
use super::{Cluster, Dashboard, DashboardTls, Listen};
use crate::diagnostic::Diagnostic;

/// Whoever can reach the node would see its inside: elsewhere than on loopback TLS is spoken, and strangers
/// are asked who they are.
pub(super) fn resolve(
    draft: DashboardDraft,
    cluster: &Cluster,
    findings: &mut Vec<Diagnostic>,
) -> Dashboard {
    let (networks, has_trust) = (&cluster.networks, cluster.trust_dir.is_some());
    let is_insecure = draft.insecure.is_some_and(|(is, _)| is);
    let tls = tls(&draft, has_trust, findings);
    let Some(texts) = draft.listen else {
        return Dashboard { token_file: draft.token_file, tls, ..Dashboard::default() };
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
        // A node of a founded cluster knows certificates of it and tokens of programs.
        if !is_local && draft.token_file.is_none() && (!has_trust || is_insecure) {
            let message = format!("without a token the dashboard is not shown on {text}");
            let finding = Diagnostic::error(at, "missing-key", message);
            findings.push(finding.help("add `token_file = \"/etc/outlast/token\"`"));
        }
        if !is_local {
            findings.extend(heard_by_others(&text, at, &tls, is_insecure));
        }
        listen.push(found);
    }
    Dashboard { listen, is_asked_for: true, token_file: draft.token_file, tls }
}

fn tls(draft: &DashboardDraft, has_trust: bool, findings: &mut Vec<Diagnostic>) -> DashboardTls {
    let both = match (&draft.tls_cert, &draft.tls_key) {
        (Some((certificate, at)), Some((key, _))) => Some((certificate, key, *at)),
        (Some((_, at)), None) => {
            findings.push(Diagnostic::error(*at, "missing-key", "`tls_cert` needs `tls_key`"));
            None
        }
        (None, Some((_, at))) => {
            findings.push(Diagnostic::error(*at, "missing-key", "`tls_key` needs `tls_cert`"));
            None
        }
        (None, None) => None,
    };
    match (draft.insecure, both) {
        (Some((true, at)), Some(_)) => {
            let message = "either `tls_cert` and `tls_key`, or `insecure = true`";
            findings.push(Diagnostic::error(at, "bad-value", message));
            DashboardTls::None
        }
        (Some((true, _)), None) => DashboardTls::None,
        (_, Some((certificate, key, _))) => {
            DashboardTls::Files { certificate: certificate.clone(), key: key.clone() }
        }
        (_, None) if has_trust => DashboardTls::Node,
        (_, None) => DashboardTls::None,
    }
}

fn heard_by_others(
    text: &str,
    at: Span,
    tls: &DashboardTls,
    is_insecure: bool,
) -> Option<Diagnostic> {
    if is_insecure {
        let message = format!("whoever hears the network of {text} reads the pages and the token");
        let finding = Diagnostic::note(at, "no-tls", message);
        return Some(finding.help("take `insecure = true` out once there is a certificate"));
    }
    (*tls == DashboardTls::None).then(|| {
        let message = format!("without a certificate the dashboard is not shown on {text}");
        let finding = Diagnostic::error(at, "no-tls", message);
        finding.help(
            "add `tls_cert` and `tls_key`, or `trust_dir` to [cluster] after `outlast init`; \
             `insecure = true` shows it in the clear",
        )
    })
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
