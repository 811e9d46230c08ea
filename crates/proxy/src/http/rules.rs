//! Header rules of a frontend and its backend, folded once into what happens to every head.
//!
//! Where values are constants and the only condition is `ssl_fc`, which is settled per listener, the
//! order of rules can be worked out before the first request: names that vanish, lines that are
//! added behind the rest. Any other rule is run request by request ([`super::script`]).

use std::net::IpAddr;

use config::haproxy::expr::Acl;
use config::haproxy::{Action, ForwardFor, Proxy, Rule};

use super::script;

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
    /// `requests`, `responses`: whether these are run one by one, and there is nothing to fold.
    pub(crate) fn new(
        frontend: &Proxy,
        backend: Option<&Proxy>,
        requests: bool,
        responses: bool,
    ) -> Self {
        let request = [Some(frontend), backend].map(|proxy| {
            proxy.filter(|_| !requests).map(|proxy| (&proxy.request_rules, &proxy.acls))
        });
        let response = [backend, Some(frontend)].map(|proxy| {
            proxy.filter(|_| !responses).map(|proxy| (&proxy.response_rules, &proxy.acls))
        });
        let forward =
            backend.and_then(|b| b.forward_for.as_ref()).or(frontend.forward_for.as_ref());
        let any = |has: fn(&Proxy) -> bool| has(frontend) || backend.is_some_and(has);
        Self {
            request: Edits::fold(request.into_iter().flatten()),
            response: Edits::fold(response.into_iter().flatten()),
            forward_for: forward.map(Forward::new),
            close: any(|proxy| proxy.http_close),
            close_server: any(|proxy| proxy.http_close || proxy.http_server_close),
        }
    }
}

impl Edits {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "few actions can be folded, whatever else there is"
    )]
    fn fold<'r>(of: impl Iterator<Item = (&'r Vec<Rule>, &'r Vec<Acl>)>) -> Self {
        let mut deleted: Vec<String> = Vec::new();
        let mut added: Vec<(String, String)> = Vec::new();
        let mut deny = None;
        let rules = of.flat_map(|(rules, acls)| rules.iter().map(move |rule| (rule, acls)));
        let applies = |(rule, acls): &(&Rule, &Vec<Acl>)| {
            let condition = rule.condition.as_ref();
            condition.is_none_or(|condition| script::settled(condition, acls) == Some(true))
        };
        for (rule, _) in rules.filter(applies) {
            match &rule.action {
                Action::DeleteHeader(name) => delete(name, &mut deleted, &mut added),
                Action::SetHeader(name, value) => {
                    delete(name, &mut deleted, &mut added);
                    let value = value.constant().unwrap_or_default();
                    added.push((name.to_ascii_lowercase(), value));
                }
                Action::AddHeader(name, value) => {
                    let value = value.constant().unwrap_or_default();
                    added.push((name.to_ascii_lowercase(), value));
                }
                Action::Deny(reply) => {
                    deny = Some(reply.status);
                    break;
                }
                // Run one by one: `script::is_folded`.
                _ => {}
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

fn delete(name: &str, deleted: &mut Vec<String>, added: &mut Vec<(String, String)>) {
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
