//! Whether a sample matches patterns.

use std::borrow::Cow;
use std::net::IpAddr;

use config::haproxy::expr::{How, Matcher, Network, Range};

use super::Sample;

pub(crate) fn matches(matcher: &Matcher, sample: Sample<'_>) -> bool {
    match matcher {
        Matcher::Found => true,
        Matcher::Bool => sample.int().is_some_and(|number| number != 0),
        Matcher::Int(ranges) => sample.int().is_some_and(|number| within(ranges, number)),
        Matcher::Length(ranges) => {
            let length = i64::try_from(sample.text().len()).unwrap_or(i64::MAX);
            within(ranges, length)
        }
        Matcher::Ip(networks) => {
            sample.ip().is_some_and(|ip| networks.iter().any(|network| contains(*network, ip)))
        }
        Matcher::Words { how, words, ignores_case } => {
            let text = sample.text();
            if *how == How::Exact && !ignores_case {
                return words.binary_search_by(|word| word.as_slice().cmp(&text)).is_ok();
            }
            words.iter().any(|word| fits(*how, word, &text, *ignores_case))
        }
        Matcher::Regular(all) => {
            let text = sample.text();
            all.iter().any(|one| one.is_match(&text))
        }
    }
}

/// Of names, which are no samples.
pub(crate) fn names(matcher: &Matcher, name: &str) -> bool {
    // Regular expressions see them in small letters, as HAProxy has them.
    let name: Cow<'_, [u8]> = if matches!(matcher, Matcher::Regular(_)) {
        Cow::Owned(name.to_ascii_lowercase().into_bytes())
    } else {
        Cow::Borrowed(name.as_bytes())
    };
    matches(matcher, Sample::Str(name))
}

pub(crate) fn within(ranges: &[Range], number: i64) -> bool {
    let is_in = |range: &Range| {
        range.least.is_none_or(|least| least <= number)
            && range.most.is_none_or(|most| number <= most)
    };
    ranges.iter().any(is_in)
}

/// An IPv4 address in an IPv6 one is of IPv4 networks, too.
pub(crate) fn contains(network: Network, ip: IpAddr) -> bool {
    let prefix = u32::from(network.prefix);
    match (network.address, ip) {
        (IpAddr::V4(net), IpAddr::V4(ip)) => {
            (net.to_bits() ^ ip.to_bits()).leading_zeros() >= prefix
        }
        (IpAddr::V6(net), IpAddr::V6(ip)) => {
            (net.to_bits() ^ ip.to_bits()).leading_zeros() >= prefix
        }
        (IpAddr::V4(_), IpAddr::V6(ip)) => {
            ip.to_ipv4_mapped().is_some_and(|ip| contains(network, ip.into()))
        }
        (IpAddr::V6(_), IpAddr::V4(ip)) => {
            let net_is_mapped =
                matches!(network.address, IpAddr::V6(net) if net.to_ipv4_mapped().is_some());
            net_is_mapped && contains(network, ip.to_ipv6_mapped().into())
        }
    }
}

pub(crate) fn fits(how: How, word: &[u8], text: &[u8], ignores_case: bool) -> bool {
    let same = |part: &[u8]| {
        if ignores_case { part.eq_ignore_ascii_case(word) } else { part == word }
    };
    match how {
        How::Exact => same(text),
        How::Begins => text.get(..word.len()).is_some_and(same),
        How::Ends => {
            text.len().checked_sub(word.len()).and_then(|at| text.get(at..)).is_some_and(same)
        }
        How::Contains if word.is_empty() => true,
        How::Contains if ignores_case => text.windows(word.len()).any(same),
        How::Contains => memchr::memmem::find(text, word).is_some(),
        How::Directory => between(b"/?", word, text, ignores_case),
        How::Domain => between(b"/?.:", word, text, ignores_case),
    }
}

/// Whether the word stands in the text with a delimiter, or nothing, on both sides.
fn between(delimiters: &[u8], word: &[u8], text: &[u8], ignores_case: bool) -> bool {
    let divides = |byte: &u8| delimiters.contains(byte);
    let start = word.iter().position(|byte| !divides(byte)).unwrap_or(word.len());
    let end = word.iter().rposition(|byte| !divides(byte)).map_or(start, |at| at + 1);
    let word = &word[start..end];
    let mut may_begin = true;
    for (at, byte) in text.iter().enumerate() {
        if divides(byte) {
            may_begin = true;
        } else if std::mem::take(&mut may_begin)
            && let Some(part) = text.get(at..at + word.len())
        {
            let same = if ignores_case { part.eq_ignore_ascii_case(word) } else { part == word };
            if same && text.get(at + word.len()).is_none_or(divides) {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn words_fit_as_in_haproxy() {
        for (how, word, text, wanted) in [
            (How::Begins, "/api", "/api/v1", true),
            (How::Begins, "/api/v1/x", "/api/v1", false),
            (How::Ends, ".png", "/a.png", true),
            (How::Contains, "", "x", true),
            (How::Contains, "dmi", "/admin", true),
            (How::Directory, "/img/", "/a/img/b", true),
            (How::Directory, "img", "/images", false),
            (How::Directory, "a/img", "/a/img?x", true),
            (How::Domain, "www", "www.example.com:80", true),
            (How::Domain, "example.com", "www.example.com", true),
            (How::Domain, "ample.com", "www.example.com", false),
        ] {
            assert_eq!(
                fits(how, word.as_bytes(), text.as_bytes(), false),
                wanted,
                "{word} in {text}"
            );
        }
        assert!(fits(How::Domain, b"EXAMPLE", b"www.example.com", true));
    }

    #[test]
    fn an_address_is_of_a_network_of_either_family() {
        let network = |text: &str, prefix| Network { address: text.parse().unwrap(), prefix };
        let ip = |text: &str| text.parse().unwrap();
        assert!(contains(network("10.0.0.0", 8), ip("10.9.8.7")));
        assert!(!contains(network("10.0.0.0", 8), ip("11.0.0.0")));
        assert!(contains(network("0.0.0.0", 0), ip("1.2.3.4")));
        assert!(contains(network("10.0.0.0", 8), ip("::ffff:10.1.1.1")));
        assert!(!contains(network("fe80::", 10), ip("10.1.1.1")));
    }
}
