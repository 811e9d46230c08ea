//! What a sample is compared with: patterns on the line and in files.

use std::net::{IpAddr, Ipv4Addr};

use super::Kind;
use super::arguments::Wrong;
use super::regular::Regular;

/// A file of patterns or of a map is no larger (bytes): a million entries.
const MAX_FILE: u64 = 64 << 20;

/// How texts are compared (HAProxy's manual, 7.1.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    Exact,
    Begins,
    Ends,
    Contains,
    /// Between `/` and `?`.
    Directory,
    /// Between `/`, `?`, `.` and `:`.
    Domain,
}

/// Both ends belong to it; none: no limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Range {
    pub least: Option<i64>,
    pub most: Option<i64>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    pub address: IpAddr,
    pub prefix: u8,
}

/// Holds for a sample that matches one of its patterns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Matcher {
    /// There is a sample.
    Found,
    /// It is true, or not zero.
    Bool,
    Int(Vec<Range>),
    Length(Vec<Range>),
    Ip(Vec<Network>),
    /// In order where they are exact and case counts.
    Words {
        how: How,
        words: Vec<Vec<u8>>,
        ignores_case: bool,
    },
    Regular(Vec<Regular>),
}

/// What `-m` names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Method {
    Found,
    Bool,
    Int,
    Ip,
    Length,
    Words(How),
    Regular,
}

/// Names of `-m` and of the ends of ACL keywords.
pub(crate) const METHODS: [(&str, Method); 12] = [
    ("found", Method::Found),
    ("bool", Method::Bool),
    ("int", Method::Int),
    ("ip", Method::Ip),
    ("len", Method::Length),
    ("str", Method::Words(How::Exact)),
    ("beg", Method::Words(How::Begins)),
    ("sub", Method::Words(How::Contains)),
    ("dir", Method::Words(How::Directory)),
    ("dom", Method::Words(How::Domain)),
    ("end", Method::Words(How::Ends)),
    ("reg", Method::Regular),
];

impl Method {
    pub(crate) fn named(name: &str) -> Option<Self> {
        METHODS.iter().find(|(known, _)| *known == name).map(|(_, method)| *method)
    }

    /// How a sample of this type is compared where nothing is said.
    pub(crate) const fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Bool => Some(Self::Bool),
            Kind::Int => Some(Self::Int),
            Kind::Ip => Some(Self::Ip),
            Kind::Str | Kind::Method => Some(Self::Words(How::Exact)),
            Kind::Any | Kind::Bin => None,
        }
    }

    /// What a sample must become for it.
    pub(crate) const fn wants(self) -> Kind {
        match self {
            Self::Found => Kind::Any,
            Self::Bool | Self::Int => Kind::Int,
            Self::Ip => Kind::Ip,
            Self::Length | Self::Words(_) | Self::Regular => Kind::Str,
        }
    }
}

/// Reads patterns one by one; those of files are like those on the line.
#[derive(Debug)]
pub(crate) struct Patterns {
    method: Method,
    ignores_case: bool,
    ranges: Vec<Range>,
    networks: Vec<Network>,
    words: Vec<Vec<u8>>,
    regular: Vec<Regular>,
    /// `gt` and its like stand for all that follow.
    operator: Operator,
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    Equal,
    Least,
    More,
    Most,
    Less,
}

impl Patterns {
    pub(crate) const fn new(method: Method, ignores_case: bool) -> Self {
        Self {
            method,
            ignores_case,
            ranges: Vec::new(),
            networks: Vec::new(),
            words: Vec::new(),
            regular: Vec::new(),
            operator: Operator::Equal,
        }
    }

    pub(crate) fn push(&mut self, text: &str) -> Result<(), Wrong> {
        match self.method {
            Method::Found | Method::Bool => {}
            Method::Int | Method::Length => {
                if let Some(operator) = operator(text) {
                    self.operator = operator;
                } else {
                    self.ranges.push(self.range(text)?);
                }
            }
            Method::Ip => self.networks.push(network(text)?),
            Method::Words(_) => self.words.push(text.as_bytes().to_vec()),
            Method::Regular => self.regular.push(Regular::new(text, self.ignores_case)?),
        }
        Ok(())
    }

    /// All lines of a file.
    pub(crate) fn file(&mut self, path: &str) -> Result<(), Wrong> {
        for (number, line) in lines(path)? {
            self.push(&line).map_err(|wrong| wrong.inside(path, number))?;
        }
        Ok(())
    }

    /// Whether there is nothing that could match.
    pub(crate) fn is_empty(&self) -> bool {
        let lists = [self.ranges.len(), self.networks.len(), self.words.len(), self.regular.len()];
        !matches!(self.method, Method::Found | Method::Bool) && lists == [0; 4]
    }

    pub(crate) fn finish(mut self) -> Matcher {
        match self.method {
            Method::Found => Matcher::Found,
            Method::Bool => Matcher::Bool,
            Method::Int => Matcher::Int(self.ranges),
            Method::Length => Matcher::Length(self.ranges),
            Method::Ip => Matcher::Ip(self.networks),
            Method::Words(how) => {
                if how == How::Exact && !self.ignores_case {
                    self.words.sort_unstable();
                }
                Matcher::Words { how, words: self.words, ignores_case: self.ignores_case }
            }
            Method::Regular => Matcher::Regular(self.regular),
        }
    }

    fn range(&self, text: &str) -> Result<Range, Wrong> {
        if text.contains([':', '-']) {
            return range(text);
        }
        let number = number(text)?;
        let (least, most) = match self.operator {
            Operator::Equal => (Some(number), Some(number)),
            Operator::Least => (Some(number), None),
            Operator::More => (Some(number.saturating_add(1)), None),
            Operator::Most => (None, Some(number)),
            Operator::Less => (None, Some(number.saturating_sub(1))),
        };
        Ok(Range { least, most })
    }
}

impl Wrong {
    /// Where in a file of patterns it is.
    pub(crate) fn inside(self, path: &str, line: usize) -> Self {
        match self {
            Self::Mistake(message) => Self::Mistake(format!("{path}:{line}: {message}")),
            Self::NotYet(what) => Self::NotYet(format!("{what}, {path}:{line},")),
        }
    }
}

fn operator(text: &str) -> Option<Operator> {
    Some(match text {
        "eq" => Operator::Equal,
        "ge" => Operator::Least,
        "gt" => Operator::More,
        "le" => Operator::Most,
        "lt" => Operator::Less,
        _ => return None,
    })
}

fn number(text: &str) -> Result<i64, Wrong> {
    text.parse().map_err(|_| Wrong::Mistake(format!("`{text}` is no number")))
}

/// `80`, `80:90`, `:90`, `80:`; `-` divides as `:` does.
pub(crate) fn range(text: &str) -> Result<Range, Wrong> {
    let wrong = || Wrong::Mistake(format!("`{text}` is no number and no range like 80:90"));
    let Some((least, most)) = text.split_once([':', '-']) else {
        let number = number(text)?;
        return Ok(Range { least: Some(number), most: Some(number) });
    };
    let limit = |part: &str| match part {
        "" => Ok(None),
        _ => part.parse::<i64>().map(Some).map_err(|_| wrong()),
    };
    let range = Range { least: limit(least)?, most: limit(most)? };
    let is_upside_down =
        matches!((range.least, range.most), (Some(least), Some(most)) if least > most);
    if is_upside_down || (range.least, range.most) == (None, None) {
        return Err(wrong());
    }
    Ok(range)
}

/// `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `fe80::/10`, or one address.
pub(crate) fn network(text: &str) -> Result<Network, Wrong> {
    let wrong = || Wrong::Mistake(format!("`{text}` is no address and no network like 10.0.0.0/8"));
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let Ok(ip) = address.parse::<IpAddr>() else {
        let is_name = address.bytes().any(|byte| byte.is_ascii_alphabetic())
            && address.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
        return Err(match is_name {
            true => Wrong::NotYet(format!("looking up the name `{address}`")),
            false => wrong(),
        });
    };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => most,
        Some(prefix) => match (prefix.parse::<u8>(), prefix.parse::<Ipv4Addr>()) {
            (Ok(prefix), _) if prefix <= most => prefix,
            (_, Ok(mask)) if ip.is_ipv4() => prefix_of(mask).ok_or_else(wrong)?,
            _ => return Err(wrong()),
        },
    };
    Ok(Network { address: ip, prefix })
}

/// Of a mask without holes.
pub(crate) fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let whole = bits.leading_ones() + bits.trailing_zeros() >= 32;
    u8::try_from(bits.leading_ones()).ok().filter(|_| whole)
}

/// Lines of a file that say something, with their numbers.
pub(crate) fn lines(path: &str) -> Result<Vec<(usize, String)>, Wrong> {
    let failed = |why: String| Wrong::Mistake(format!("cannot read `{path}`: {why}"));
    let about = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if !about.is_file() {
        return Err(failed("it is no file".to_owned()));
    }
    if about.len() > MAX_FILE {
        return Err(failed(format!("it has more than {MAX_FILE} bytes")));
    }
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
    let lines = lines.map(|(at, line)| (at + 1, line.trim().to_owned()));
    Ok(lines.filter(|(_, line)| !line.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ranges_by_operator_or_by_colon() {
        let mut patterns = Patterns::new(Method::Int, false);
        for text in ["5", "gt", "10", "7:9", "le", "3", ":2", "100:"] {
            patterns.push(text).unwrap();
        }
        let is = |least, most| Range { least, most };
        let wanted = [
            is(Some(5), Some(5)),
            is(Some(11), None),
            is(Some(7), Some(9)),
            is(None, Some(3)),
            is(None, Some(2)),
            is(Some(100), None),
        ];
        assert_eq!(patterns.finish(), Matcher::Int(wanted.to_vec()));
        for wrong in ["x", "9:7", ":", "1:x"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks_have_prefixes_or_masks() {
        let is = |ip: &str, prefix| Ok(Network { address: ip.parse().unwrap(), prefix });
        assert_eq!(network("10.0.0.0/8"), is("10.0.0.0", 8));
        assert_eq!(network("10.0.0.0/255.255.0.0"), is("10.0.0.0", 16));
        assert_eq!(network("fe80::1"), is("fe80::1", 128));
        assert!(matches!(network("db.example"), Err(Wrong::NotYet(_))));
        for wrong in ["10.0.0.0/33", "10.0.0.0/255.0.255.0", "10.0.0.256", "fe80::/129"] {
            assert!(matches!(network(wrong), Err(Wrong::Mistake(_))), "{wrong}");
        }
    }
}
