//! Header rules of a frontend and its backend, folded once into what happens to every head.
//!
//! Values are constants and the only condition is `ssl_fc`, which is settled per listener, so the
//! order of rules can be worked out before the first request: names that vanish, lines that are
//! added behind the rest.

use std::net::IpAddr;

use config::haproxy::{Action, Condition, ForwardFor, HeaderRule, Proxy};

/// What happens to the heads that pass one frontend on their way to its backend.
#[derive(Clone, Debug, Default)]
pub(crate) struct Program {
    pub(crate) request: Edits,
    pub(crate) response: Edits,
    pub(crate) forward_for: Option<Forward>,
    /// `option httpclose`.
    pub(crate) close: bool,
    /// `option http-server-close`, or `close`.
    pub(crate) close_server: bool,
}

/// Changes of one head.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Edits {
    /// Lower-case names that do not pass.
    pub(crate) deleted: Vec<String>,
    /// Whole lines, ends included.
    pub(crate) added: Vec<u8>,
    /// The rules end in a refusal.
    pub(crate) deny: Option<u16>,
}

/// `option forwardfor`.
#[derive(Clone, Debug)]
pub(crate) struct Forward {
    /// Lower-case.
    pub(crate) name: String,
    except: Option<(IpAddr, u8)>,
    pub(crate) if_none: bool,
}

impl Program {
    /// HAProxy runs the frontend's request rules before the backend's, response rules the other way.
    pub(crate) fn new(frontend: &Proxy, backend: Option<&Proxy>, tls: bool) -> Self {
        let own = |f: fn(&Proxy) -> &Vec<HeaderRule>| f(frontend).iter();
        let other = |f: fn(&Proxy) -> &Vec<HeaderRule>| backend.map(f).into_iter().flatten();
        let request: fn(&Proxy) -> &Vec<HeaderRule> = |proxy| &proxy.request_rules;
        let response: fn(&Proxy) -> &Vec<HeaderRule> = |proxy| &proxy.response_rules;
        let forward =
            backend.and_then(|b| b.forward_for.as_ref()).or(frontend.forward_for.as_ref());
        let any = |has: fn(&Proxy) -> bool| has(frontend) || backend.is_some_and(has);
        Self {
            request: Edits::fold(own(request).chain(other(request)), tls),
            response: Edits::fold(other(response).chain(own(response)), tls),
            forward_for: forward.map(Forward::new),
            close: any(|proxy| proxy.http_close),
            close_server: any(|proxy| proxy.http_close || proxy.http_server_close),
        }
    }
}

impl Edits {
    fn fold<'r>(rules: impl Iterator<Item = &'r HeaderRule>, tls: bool) -> Self {
        let mut deleted: Vec<String> = Vec::new();
        let mut added: Vec<(String, &str)> = Vec::new();
        let mut deny = None;
        let applies = |rule: &&HeaderRule| match rule.condition {
            None => true,
            Some(Condition::SslFrontend) => tls,
            Some(Condition::NotSslFrontend) => !tls,
        };
        for rule in rules.filter(applies) {
            match &rule.action {
                Action::DeleteHeader(name) => delete(name, &mut deleted, &mut added),
                Action::SetHeader(name, value) => {
                    delete(name, &mut deleted, &mut added);
                    added.push((name.to_ascii_lowercase(), value));
                }
                Action::AddHeader(name, value) => added.push((name.to_ascii_lowercase(), value)),
                Action::Deny { status } => {
                    deny = Some(*status);
                    break;
                }
            }
        }
        let lines = added
            .iter()
            .flat_map(|(name, value)| [name, ": ", value, "\r\n"].concat().into_bytes());
        Self { added: lines.collect(), deleted, deny }
    }

    pub(crate) fn deletes(&self, name: &str) -> bool {
        self.deleted.iter().any(|gone| gone.eq_ignore_ascii_case(name))
    }
}

fn delete(name: &str, deleted: &mut Vec<String>, added: &mut Vec<(String, &str)>) {
    let name = name.to_ascii_lowercase();
    added.retain(|(earlier, _)| *earlier != name);
    if !deleted.contains(&name) {
        deleted.push(name);
    }
}

impl Forward {
    fn new(option: &ForwardFor) -> Self {
        Self {
            name: option.header.to_ascii_lowercase(),
            except: option.except,
            if_none: option.if_none,
        }
    }

    /// Whether requests of this client get the header.
    pub(crate) fn applies(&self, client: IpAddr) -> bool {
        self.except.is_none_or(|(net, prefix)| !contains(net, prefix, client))
    }
}

fn contains(net: IpAddr, prefix: u8, address: IpAddr) -> bool {
    let differing = match (net, address) {
        (IpAddr::V4(net), IpAddr::V4(address)) => {
            (net.to_bits() ^ address.to_bits()).leading_zeros()
        }
        (IpAddr::V6(net), IpAddr::V6(address)) => {
            (net.to_bits() ^ address.to_bits()).leading_zeros()
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    differing >= u32::from(prefix)
}
