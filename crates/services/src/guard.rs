//! Who may look: everybody on loopback unless `[access] viewer` says who, elsewhere who knows the token.

use std::net::SocketAddr;
use std::sync::Arc;

use api::access::{self, Deed, Denied, Role, Who};
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::gate::Peer;
use crate::grants::Grants;
use crate::keeper;

/// The cookie that stands for the token.
const COOKIE: &str = "outlast_token";

/// Nothing from elsewhere, nothing inline, nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// How one listener is guarded.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    /// On loopback: whoever is on this machine; the name must be one of this machine, so that a
    /// page of another site cannot read it through a name that it controls (DNS rebinding).
    Loopback,
    /// The token of the file, which may look, or one of a program, which may what it says; over TLS also a
    /// certificate of the cluster.
    Token(Option<Arc<str>>, Arc<Grants>),
}

impl Door {
    /// None: it would stand open to the network.
    pub(crate) fn at(
        address: SocketAddr,
        token: Option<Arc<str>>,
        (is_for_all, grants): (bool, Arc<Grants>),
        is_sealed: bool,
    ) -> Option<Self> {
        match (address.ip().is_loopback(), token) {
            (true, _) if is_for_all => Some(Self::Loopback),
            (false, None) if !is_sealed => None,
            (_, token) => Some(Self::Token(token, grants)),
        }
    }
}

/// Lets in or not, and adds to each answer what keeps browsers strict.
pub(crate) async fn guard(State(door): State<Door>, request: Request, next: Next) -> Response {
    // What is shared while the agent is asked has no body in it.
    let (parts, body) = request.into_parts();
    let mut response = match refusal(&door, &parts).await {
        Some(response) => response,
        None => next.run(Request::from_parts(parts, body)).await,
    };
    let headers = response.headers_mut();
    let fixed = |name: HeaderName, value: &'static str| (name, HeaderValue::from_static(value));
    for (name, value) in [
        fixed(header::CONTENT_SECURITY_POLICY, POLICY),
        fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        fixed(header::REFERRER_POLICY, "no-referrer"),
        fixed(HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, value);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn refusal(door: &Door, request: &Parts) -> Option<Response> {
    match door {
        Door::Loopback => {
            let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
            let known = host.is_none_or(is_of_this_machine);
            (!known).then(|| {
                let text = "this dashboard answers to localhost only\n";
                (StatusCode::MISDIRECTED_REQUEST, text).into_response()
            })
        }
        Door::Token(fixed, grants) => {
            let (uri, headers) = (&request.uri, &request.headers);
            let deed = Deed::of_path(uri.path());
            let peer = request.extensions.get::<Peer>();
            if let Some(given) = parameter(uri, "token") {
                return Some(match may(given, fixed.as_deref(), grants, deed).await {
                    Ok(()) => welcome(uri, given, peer.is_some()),
                    Err(refused) => refused.into_response(),
                });
            }
            let given = bearer(headers).and_then(|given| std::str::from_utf8(given).ok());
            let given = given.map(str::to_owned).or_else(|| cookie(headers).and_then(unspelled));
            let refused = match given {
                Some(given) => may(&given, fixed.as_deref(), grants, deed).await.err(),
                None => shown(peer, deed).err(),
            };
            refused.map(IntoResponse::into_response)
        }
    }
}

/// The token of the file is a viewer's; all others are known to the agent.
async fn may(given: &str, fixed: Option<&str>, grants: &Grants, deed: Deed) -> Result<(), Refused> {
    if fixed.is_some_and(|fixed| same(given.as_bytes(), fixed.as_bytes())) {
        return access::allows(Who::Person(Role::Viewer), deed).map_err(Refused::Denied);
    }
    match grants.of(given).await {
        Ok(Some(grant)) => {
            access::allows(Who::Program(&grant.scopes), deed).map_err(Refused::Denied)
        }
        Ok(None) => Err(Refused::Stranger),
        Err(_) => Err(Refused::Silent),
    }
}

/// What who showed a certificate of the cluster may.
fn shown(peer: Option<&Peer>, deed: Deed) -> Result<(), Refused> {
    let Some(peer) = peer.filter(|peer| peer.has_certificate()) else {
        return Err(Refused::Stranger);
    };
    match peer.grant() {
        Ok(Some(grant)) => {
            access::allows(Who::Program(&grant.scopes), deed).map_err(Refused::Denied)
        }
        Ok(None) => Err(Refused::PutOut),
        Err(_) => Err(Refused::Silent),
    }
}

enum Refused {
    Stranger,
    /// The certificate is of the cluster's authority, and nobody's of its roster.
    PutOut,
    Denied(Denied),
    /// The agent, who knows the tokens, does not say.
    Silent,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Stranger => stranger(),
            Self::PutOut => {
                let text =
                    "nobody in the cluster has the certificate that was shown, or not any more\n";
                (StatusCode::FORBIDDEN, text).into_response()
            }
            Self::Denied(denied) => (StatusCode::FORBIDDEN, format!("{denied}\n")).into_response(),
            Self::Silent => {
                let text = "the agent of this node does not say whose token that is; ask again\n";
                (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
            }
        }
    }
}

/// `localhost`, `127.0.0.1:8080`, `[::1]`: names that no foreign DNS server can give out.
fn is_of_this_machine(host: &str) -> bool {
    let name = if let Some(rest) = host.strip_prefix('[') {
        rest.split(']').next().unwrap_or_default()
    } else {
        host.split(':').next().unwrap_or_default()
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn stranger() -> Response {
    let text = "The dashboard of this node asks for its token, or a certificate of its cluster.\n\n\
                Browser: open the address once with ?token=TOKEN at its end.\n\
                Program: send the header Authorization: Bearer TOKEN.\n";
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, text).into_response()
}

/// Keeps the token as a cookie and takes it out of the address.
fn welcome(uri: &Uri, token: &str, is_sealed: bool) -> Response {
    // Then no browser sends it in the clear.
    let only = if is_sealed { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict{only}", spelled(token));
    let headers = [(header::SET_COOKIE, cookie), (header::LOCATION, inside(uri.path()))];
    (StatusCode::SEE_OTHER, headers).into_response()
}

/// A path of this host: two slashes at the beginning would be another one, and to browsers a
/// backslash is a slash.
fn inside(path: &str) -> String {
    format!("/{}", path.trim_start_matches(['/', '\\']))
}

/// As hexadecimal digits: a cookie has few letters.
fn spelled(token: &str) -> String {
    keeper::digits(token.as_bytes())
}

fn unspelled(digits: &str) -> Option<String> {
    String::from_utf8(keeper::bytes(digits)?).ok()
}

fn parameter<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let pairs = uri.query()?.split('&');
    pairs.filter_map(|pair| pair.split_once('=')).find(|pair| pair.0 == name).map(|pair| pair.1)
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(rest.trim_ascii())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|pair| pair.0 == COOKIE)
        .map(|pair| pair.1)
}

/// In a time that says nothing about where they differ; only the length may show.
fn same(given: &[u8], expected: &[u8]) -> bool {
    let differing =
        given.iter().zip(expected).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    given.len() == expected.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1", "127.9.9.9:1", "[::1]:8", "[::1]"] {
            assert!(is_of_this_machine(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "", "[::2]", "1"] {
            assert!(!is_of_this_machine(host), "{host}");
        }
    }

    #[test]
    fn nobody_is_sent_to_another_host() {
        for path in
            ["//evil.example/x", "/\\evil.example/x", "/\\/evil.example/x", "\\\\evil.example/x"]
        {
            assert_eq!(inside(path), "/evil.example/x", "{path}");
        }
        assert_eq!(inside("/node/node01"), "/node/node01");
        assert_eq!(inside("/"), "/");
    }

    #[test]
    fn tokens_are_the_same_or_not() {
        assert!(same(b"secret", b"secret"));
        assert!(!same(b"secret", b"secreT") && !same(b"secre", b"secret") && !same(b"", b"x"));
    }

    #[test]
    fn a_listener_for_the_network_without_a_token_is_refused() {
        let anywhere = SocketAddr::from(([0, 0, 0, 0], 80));
        let grants = || Arc::new(Grants::new(std::path::PathBuf::new()));
        let door = |address, token: Option<&str>, is_for_all| {
            Door::at(address, token.map(Into::into), (is_for_all, grants()), false)
        };
        let sealed = Door::at(anywhere, None, (true, grants()), true);
        assert!(matches!(sealed, Some(Door::Token(None, _))), "certificates and programs' tokens");
        assert!(door(anywhere, None, true).is_none() && door(anywhere, None, false).is_none());
        assert!(matches!(door(anywhere, Some("t"), true), Some(Door::Token(..))));
        let loopback = SocketAddr::from(([127, 0, 0, 1], 80));
        assert!(matches!(door(loopback, Some("t"), true), Some(Door::Loopback)));
        assert!(matches!(door(loopback, None, false), Some(Door::Token(None, _))));
    }

    #[test]
    fn a_cookie_is_read_as_it_was_spelled() {
        assert_eq!(unspelled(&spelled("outlast_0a")).as_deref(), Some("outlast_0a"));
        assert_eq!(unspelled("0g"), None);
        assert_eq!(unspelled("0"), Some("\0".to_owned()), "as good as any other wrong one");
        assert_eq!(unspelled("ff"), None, "no text");
    }
}
