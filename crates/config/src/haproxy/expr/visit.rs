//! Names of other proxies in expressions, looked up when all proxies are known.

use super::{Expr, Fetch, Gauge, Where};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::haproxy::{Proxy, ProxyKind};

/// Who can be meant: name, whether it is a frontend, a backend, its servers.
struct Known {
    name: String,
    kind: ProxyKind,
    servers: Vec<String>,
}

/// Fills in where figures come from; what is nowhere is told.
pub(crate) fn resolve(proxies: &mut [Proxy], findings: &mut Vec<Diagnostic>) {
    let uses = |proxy: &Proxy| proxy.has_expressions();
    if !proxies.iter().any(uses) {
        return;
    }
    let known: Vec<Known> = proxies
        .iter()
        .map(|proxy| Known {
            name: proxy.name.clone(),
            kind: proxy.kind,
            servers: proxy.servers.iter().map(|server| server.name.clone()).collect(),
        })
        .collect();
    for (own, proxy) in proxies.iter_mut().enumerate() {
        let (file, span) = (proxy.file, proxy.span);
        proxy.each_expression(&mut |expr: &mut Expr| {
            let Fetch::Gauge(gauge, place) = &mut expr.fetch else { return };
            if let Err((message, name)) = fill(*gauge, place, own, &known) {
                let finding = Diagnostic::error(span, "unknown-name", message).in_file(file);
                findings.push(guess::near(finding, &name, known.iter().map(|k| k.name.as_str())));
            }
        });
    }
}

fn fill(
    gauge: Gauge,
    place: &mut Where,
    own: usize,
    known: &[Known],
) -> Result<(), (String, String)> {
    let Some(name) = place.name.clone() else {
        place.proxy = Some(own);
        return Ok(());
    };
    let is_server = matches!(gauge, Gauge::ServerSessions | Gauge::ServerIsUp);
    let (proxy, server) = match name.rsplit_once('/') {
        Some((proxy, server)) if is_server => (Some(proxy), Some(server)),
        _ if is_server => (None, Some(name.as_str())),
        _ => (Some(name.as_str()), None),
    };
    let fits = |one: &Known| match gauge {
        Gauge::FrontendSessions => one.kind != ProxyKind::Backend,
        Gauge::UsableServers
        | Gauge::Queued
        | Gauge::AverageQueue
        | Gauge::BackendSessions
        | Gauge::ServerSessions
        | Gauge::ServerIsUp => one.kind != ProxyKind::Frontend,
    };
    let at = match proxy {
        Some(proxy) => known.iter().position(|one| one.name == proxy && fits(one)),
        None => Some(own),
    };
    let Some(at) = at else {
        return Err((format!("there is no proxy `{name}` to look at"), name));
    };
    place.proxy = Some(at);
    if let Some(server) = server {
        place.server = known[at].servers.iter().position(|other| other == server);
        if place.server.is_none() {
            return Err((format!("there is no server `{name}` to look at"), name));
        }
    }
    Ok(())
}
