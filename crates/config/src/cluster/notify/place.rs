//! Where a receiver is: a name or an address with a port, and a URL.

use std::fmt;
use std::net::IpAddr;

/// As long as a name of the DNS may be (bytes).
const MAX_HOST: usize = 253;
/// More is no address of a webhook (bytes).
const MAX_URL: usize = 2048;

/// A name or an address, and a TCP port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// Without brackets.
    pub host: String,
    pub port: u16,
}

impl Place {
    /// `name`, `name:port`, `10.0.0.1:25`, `[fd00::1]:25`; without a port the usual one.
    #[must_use]
    pub fn of(text: &str, usual: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, rest)
            }
            None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
        };
        let port = match port.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port != 0)?
            }
            Some(_) => return None,
            None if port.is_empty() => usual,
            None => return None,
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        let is_host = !host.is_empty() && host.len() <= MAX_HOST && host.chars().all(fits);
        is_host.then(|| Self { host: host.to_owned(), port })
    }

    /// It does not leave the machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// `http` or `https`. What is shown of it is its place alone: paths of webhooks are often secrets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Url {
    pub is_tls: bool,
    pub place: Place,
    /// With its query, begins with `/`.
    pub path: String,
}

impl Url {
    /// None: it is no such URL, or has a name and password in it.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let (is_tls, rest) = match text.split_once("://")? {
            ("https", rest) => (true, rest),
            ("http", rest) => (false, rest),
            _ => return None,
        };
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        if text.len() > MAX_URL || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (place, path) = rest.split_at(at);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let place = Place::of(place, if is_tls { 443 } else { 80 })?;
        Some(Self { is_tls, place, path })
    }

    /// What is sent there is heard by whoever hears the network.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        !self.is_tls && !self.place.is_local()
    }

    /// All of it.
    #[must_use]
    pub fn whole(&self) -> String {
        format!("{self}{}", self.path)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_a_port_or_get_the_usual_one() {
        let of = |text| Place::of(text, 25).map(|place| place.to_string());
        for (text, shown) in [
            ("mail.example.org", "mail.example.org:25"),
            ("mail:587", "mail:587"),
            ("10.0.0.1:1025", "10.0.0.1:1025"),
            ("[fd00::1]:25", "[fd00::1]:25"),
            ("[fd00::1]", "[fd00::1]:25"),
        ] {
            assert_eq!(of(text).as_deref(), Some(shown));
        }
        for wrong in [
            "",
            ":25",
            "mail:",
            "mail:0",
            "mail:+1",
            "mail:70000",
            "fd00::1",
            "[mail]:1",
            "a b",
            "[::1]x",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        let is_local = |text| Place::of(text, 1).is_some_and(|place| place.is_local());
        assert!(is_local("localhost") && is_local("127.0.0.2") && is_local("[::1]:2"));
        assert!(!is_local("10.0.0.1") && !is_local("local"));
    }

    #[test]
    fn of_a_url_the_place_is_shown_and_the_path_is_not() {
        let url = Url::of("https://hooks.example.org/services/T0/B1/xyz?a=1#part").unwrap();
        assert_eq!(url.to_string(), "https://hooks.example.org:443");
        assert_eq!((url.is_tls, url.path.as_str()), (true, "/services/T0/B1/xyz?a=1"));
        assert_eq!(Url::of("http://10.0.0.1:8080?x").unwrap().path, "/?x");
        assert_eq!(Url::of("http://a").unwrap().whole(), "http://a:80/");
        for wrong in
            ["", "ftp://a/", "a/b", "https://", "https://u:p@a/", "http://a/ b", "http://a:x/"]
        {
            assert_eq!(Url::of(wrong), None, "{wrong}");
        }
    }
}
