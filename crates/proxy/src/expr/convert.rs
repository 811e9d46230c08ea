//! Converters, one behind the other.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use config::haproxy::expr::{Converter, Entries, Map, Number, Operation, Regular, Value, Variable};

use super::compare::{contains, fits, within};
use super::sample::hexadecimal;
use super::{Sample, Scene};

/// What comes out of all of them; none as soon as one has nothing to give.
pub(super) fn all<'s>(
    converters: &'s [Converter],
    sample: Sample<'s>,
    scene: &Scene<'_>,
) -> Option<Sample<'s>> {
    converters.iter().try_fold(sample, |sample, converter| one(converter, sample, scene))
}

type Text<'s> = Cow<'s, [u8]>;

fn one<'s>(converter: &'s Converter, sample: Sample<'s>, scene: &Scene<'_>) -> Option<Sample<'s>> {
    use Converter as C;
    let with_text = |change: fn(Text<'s>) -> Text<'s>, sample: Sample<'s>| {
        Some(Sample::Str(change(sample.text())))
    };
    match converter {
        C::Lower => {
            with_text(|text| changed(text, u8::is_ascii_uppercase, u8::to_ascii_lowercase), sample)
        }
        C::Upper => {
            with_text(|text| changed(text, u8::is_ascii_lowercase, u8::to_ascii_uppercase), sample)
        }
        C::Length => Some(Sample::Int(i64::try_from(sample.text().len()).ok()?)),
        C::Field { index, separators, count } => {
            part(sample.text(), separators, *index, *count, false).map(Sample::Str)
        }
        C::Word { index, separators, count } => {
            part(sample.text(), separators, *index, *count, true).map(Sample::Str)
        }
        C::Bytes { offset, length } => {
            let bytes = sample.bytes();
            let end = length.map_or(bytes.len(), |length| offset.saturating_add(length));
            let range = *offset..end.min(bytes.len());
            (range.start < range.end || bytes.len() >= *offset)
                .then(|| Sample::Bin(cut(bytes, range)))
        }
        C::Map(map) => look_up(map, sample),
        C::Base64
        | C::FromBase64
        | C::UrlDecode { .. }
        | C::UrlEncode
        | C::Hex
        | C::FromHexNumber
        | C::CutLine
        | C::HostOnly
        | C::PortOnly
        | C::TrimLeft(_)
        | C::TrimRight(_)
        | C::Replace { .. } => of_text(converter, sample),
        C::IpMask { four, six } => masked(sample.ip()?, *four, *six).map(Sample::Ip),
        C::Bool
        | C::Not
        | C::Odd
        | C::Even
        | C::Negative
        | C::Complement
        | C::Operation(..)
        | C::Choose { .. } => arithmetic(converter, sample, scene),
        C::Concat { .. } | C::Compare(_) | C::SetVariable(_) | C::UnsetVariable(_) => {
            with_variable(converter, sample, scene)
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a group of converters is run here, whatever else there is elsewhere"
)]
fn of_text<'s>(converter: &'s Converter, sample: Sample<'s>) -> Option<Sample<'s>> {
    use Converter as C;
    match converter {
        C::Base64 => Some(Sample::Str(Cow::Owned(base64(&sample.bytes())))),
        C::FromBase64 => from_base64(&sample.text()).map(|bytes| Sample::Bin(Cow::Owned(bytes))),
        C::UrlDecode { is_query } => url_decode(sample.text(), *is_query).map(Sample::Str),
        C::UrlEncode => Some(Sample::Str(url_encode(sample.text()))),
        C::Hex => Some(Sample::Str(Cow::Owned(hexadecimal(&sample.bytes())))),
        C::FromHexNumber => {
            let text = sample.text();
            let digits = text.iter().map_while(|byte| char::from(*byte).to_digit(16));
            Some(Sample::Int(
                digits.fold(0, |number: i64, digit| number.wrapping_shl(4) | i64::from(digit)),
            ))
        }
        C::CutLine => Some(Sample::Str({
            let text = sample.text();
            let end = text.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let end = end.unwrap_or(text.len());
            cut(text, 0..end)
        })),
        C::HostOnly => {
            let text = sample.text();
            let at = port_at(&text);
            Some(Sample::Str(cut(text, 0..at)))
        }
        C::PortOnly => {
            let text = sample.text();
            let port = text.get(port_at(&text) + 1..).unwrap_or_default();
            Some(Sample::Int(Sample::str(port).int().unwrap_or(0)))
        }
        C::TrimLeft(bytes) => {
            let text = sample.text();
            let start = text.iter().position(|byte| !bytes.contains(byte)).unwrap_or(text.len());
            let end = text.len();
            Some(Sample::Str(cut(text, start..end)))
        }
        C::TrimRight(bytes) => {
            let text = sample.text();
            let end = text.iter().rposition(|byte| !bytes.contains(byte)).map_or(0, |at| at + 1);
            Some(Sample::Str(cut(text, 0..end)))
        }
        C::Replace { from, to, everywhere } => {
            Some(Sample::Str(replace(sample.text(), from, to, *everywhere)))
        }
        _ => None,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a group of converters is run here, whatever else there is elsewhere"
)]
fn arithmetic<'s>(
    converter: &'s Converter,
    sample: Sample<'s>,
    scene: &Scene<'_>,
) -> Option<Sample<'s>> {
    let number = sample.int()?;
    Some(match converter {
        Converter::Bool => Sample::Bool(number != 0),
        Converter::Not => Sample::Bool(number == 0),
        Converter::Odd => Sample::Bool(number & 1 == 1),
        Converter::Even => Sample::Bool(number & 1 == 0),
        Converter::Negative => Sample::Int(number.wrapping_neg()),
        Converter::Complement => Sample::Int(!number),
        Converter::Choose { yes, no } => Sample::str(if number == 0 { no } else { yes }),
        Converter::Operation(operation, other) => {
            let other = match other {
                Number::Is(other) => *other,
                Number::Of(variable) => kept(variable, scene)?.int()?,
            };
            Sample::Int(calculated(*operation, number, other)?)
        }
        _ => return None,
    })
}

/// Sums and products end at the largest number; what cannot be divided gives the largest.
fn calculated(operation: Operation, one: i64, other: i64) -> Option<i64> {
    Some(match operation {
        Operation::Add => one.saturating_add(other),
        Operation::Subtract => one.saturating_sub(other),
        Operation::Multiply => one.saturating_mul(other),
        Operation::Divide if other == 0 => i64::MAX,
        Operation::Divide => one.saturating_div(other),
        Operation::Modulo if other == 0 => i64::MAX,
        Operation::Modulo => one.wrapping_rem(other),
        Operation::And => one & other,
        Operation::Or => one | other,
        Operation::ExclusiveOr => one ^ other,
    })
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a group of converters is run here, whatever else there is elsewhere"
)]
fn with_variable<'s>(
    converter: &'s Converter,
    sample: Sample<'s>,
    scene: &Scene<'_>,
) -> Option<Sample<'s>> {
    match converter {
        Converter::Concat { before, variable, after } => {
            let mut text = sample.text().into_owned();
            text.extend_from_slice(before);
            if let Some(value) = variable.as_ref().and_then(|variable| kept(variable, scene)) {
                text.extend_from_slice(&value.text());
            }
            text.extend_from_slice(after);
            Some(Sample::Str(Cow::Owned(text)))
        }
        Converter::Compare(variable) => {
            let other = kept(variable, scene)?.text().into_owned();
            let order = sample.text().as_ref().cmp(other.as_slice());
            Some(Sample::Int(order as i64))
        }
        Converter::SetVariable(variable) => {
            scene.variables.borrow_mut().set(variable, sample.clone().into_value());
            Some(sample)
        }
        Converter::UnsetVariable(variable) => {
            scene.variables.borrow_mut().unset(variable);
            Some(sample)
        }
        _ => None,
    }
}

fn kept<'s>(variable: &Variable, scene: &Scene<'_>) -> Option<Sample<'s>> {
    let variables = scene.variables.borrow();
    Some(match variables.value(variable)?.clone() {
        Value::Bool(is) => Sample::Bool(is),
        Value::Int(number) => Sample::Int(number),
        Value::Ip(ip) => Sample::Ip(ip),
        Value::Str(text) => Sample::Str(Cow::Owned(text)),
        Value::Bin(bytes) => Sample::Bin(Cow::Owned(bytes)),
    })
}

/// A part of a text, where it is.
fn cut(text: Text<'_>, range: std::ops::Range<usize>) -> Text<'_> {
    let range =
        range.start.min(text.len())..range.end.min(text.len()).max(range.start.min(text.len()));
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(mut text) => {
            text.truncate(range.end);
            text.drain(..range.start);
            Cow::Owned(text)
        }
    }
}

/// The text itself where nothing is to be changed.
fn changed(text: Text<'_>, is: fn(&u8) -> bool, to: fn(&u8) -> u8) -> Text<'_> {
    if !text.iter().any(is) {
        return text;
    }
    let mut text = text.into_owned();
    text.iter_mut().for_each(|byte| *byte = to(byte));
    Cow::Owned(text)
}

/// `field` and `word`: the part of this number, and those that follow.
fn part<'s>(
    text: Text<'s>,
    separators: &[u8],
    index: i32,
    count: u32,
    words: bool,
) -> Option<Text<'s>> {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    let mut start = 0;
    for at in 0..=text.len() {
        let ends = text.get(at).is_none_or(|byte| separators.contains(byte));
        if ends {
            if !words || at > start {
                parts.push((start, at));
            }
            start = at + 1;
        }
    }
    let nth = usize::try_from(index.unsigned_abs()).ok()?;
    let first = if index > 0 { nth.checked_sub(1)? } else { parts.len().checked_sub(nth)? };
    let more = usize::try_from(count).ok()?;
    // Counted from the end, parts before it belong to it.
    let (from, to) = match (index > 0, more) {
        (true, 0) => (first, parts.len().checked_sub(1)?),
        (true, more) => (first, (first + more - 1).min(parts.len().checked_sub(1)?)),
        (false, 0) => (0, first),
        (false, more) => ((first + 1).saturating_sub(more), first),
    };
    let (start, end) = (parts.get(from)?.0, parts.get(to)?.1);
    Some(cut(text, start..end))
}

fn look_up<'s>(map: &'s Map, sample: Sample<'s>) -> Option<Sample<'s>> {
    let found = match &map.entries {
        Entries::Ip(all) => {
            let ip = sample.ip();
            all.iter().find(|(net, _)| ip.is_some_and(|ip| contains(*net, ip))).map(|(_, v)| v)
        }
        Entries::Int(all) => {
            let number = sample.int();
            let is =
                |range| number.is_some_and(|number| within(std::slice::from_ref(range), number));
            all.iter().find(|(range, _)| is(range)).map(|(_, value)| value)
        }
        Entries::Words(config::haproxy::expr::How::Exact, all) => {
            let text = sample.text();
            let at = all.binary_search_by(|(key, _)| key.as_slice().cmp(&text)).ok();
            at.map(|at| &all[at].1)
        }
        Entries::Words(how, all) => {
            let text = sample.text();
            all.iter().find(|(key, _)| fits(*how, key, &text, false)).map(|(_, value)| value)
        }
        Entries::Regular(all, expands) => {
            let text = sample.text();
            let found = all.iter().find(|(key, _)| key.is_match(&text));
            if let (Some((key, Value::Str(to))), true) = (found, expands) {
                let mut out = Vec::new();
                expand(key, &text, to, &mut out);
                return Some(Sample::Str(Cow::Owned(out)));
            }
            found.map(|(_, value)| value)
        }
    };
    found.or(map.default.as_ref()).map(Sample::of)
}

/// The text of a replacement: `\1` is what the first group matched in `text`. None: no match.
pub(crate) fn expand(from: &Regular, text: &[u8], to: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let groups = from.compiled().captures(text)?;
    write_groups(&groups, to, out);
    Some(())
}

fn write_groups(groups: &regex::bytes::Captures<'_>, to: &[u8], out: &mut Vec<u8>) {
    let mut bytes = to.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next() {
                Some(digit @ b'0'..=b'9') => {
                    let group = groups.get(usize::from(digit - b'0'));
                    out.extend_from_slice(group.map_or(&[][..], |group| group.as_bytes()));
                }
                Some(b'x') => {
                    let digit = |byte: Option<u8>| char::from(byte.unwrap_or(b'0')).to_digit(16);
                    let value =
                        digit(bytes.next()).unwrap_or(0) << 4 | digit(bytes.next()).unwrap_or(0);
                    out.push(u8::try_from(value).unwrap_or(0));
                }
                Some(other) => out.push(other),
                None => {}
            },
            other => out.push(other),
        }
    }
}

fn replace<'s>(text: Text<'s>, from: &Regular, to: &[u8], everywhere: bool) -> Text<'s> {
    if !from.is_match(&text) {
        return text;
    }
    let limit = if everywhere { 0 } else { 1 };
    let replaced = from.compiled().replacen(&text, limit, |groups: &regex::bytes::Captures<'_>| {
        let mut out = Vec::new();
        write_groups(groups, to, &mut out);
        out
    });
    Cow::Owned(replaced.into_owned())
}

fn masked(ip: IpAddr, four: u8, six: Option<u8>) -> Option<IpAddr> {
    Some(match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(four)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(six?)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    })
}

/// Where the port of `host:port` or `[address]:port` begins, or the end.
fn port_at(text: &[u8]) -> usize {
    let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let at = text.len() - digits;
    let is_port = at > 0 && text[at - 1] == b':' && (digits > 0 || at == text.len());
    let host = &text[..at.saturating_sub(1)];
    let is_whole = host.last() == Some(&b']') || !host.contains(&b':');
    if is_port && is_whole { at - 1 } else { text.len() }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let six = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap_or(0);
            out.push(if at <= three.len() { ALPHABET[six] } else { b'=' });
        }
    }
    out
}

/// Both alphabets, with or without `=` at the end.
fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let (mut bits, mut held, mut out) = (0_u32, 0, Vec::new());
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |at| at + 1);
    for &byte in &text[..end] {
        let byte = match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        };
        let six = ALPHABET.iter().position(|known| *known == byte)?;
        bits = bits << 6 | u32::try_from(six).ok()?;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 255).ok()?);
        }
    }
    Some(out)
}

/// `%XX`, and `+` in query strings.
fn url_decode(text: Text<'_>, is_query: bool) -> Option<Text<'_>> {
    let has_blank = is_query && text.contains(&b'+');
    if !has_blank && !text.contains(&b'%') {
        return Some(text);
    }
    let (mut out, mut at, mut in_query) = (Vec::with_capacity(text.len()), 0, is_query);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'%' => {
                let digits = std::str::from_utf8(text.get(at + 1..at + 3)?).ok()?;
                let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                out.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
                at += 2;
            }
            b'+' if in_query => out.push(b' '),
            other => {
                in_query |= other == b'?';
                out.push(other);
            }
        }
        at += 1;
    }
    Some(Cow::Owned(out))
}

fn url_encode(text: Text<'_>) -> Text<'_> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    if text.iter().all(is_plain) {
        return text;
    }
    let mut out = Vec::with_capacity(text.len() * 2);
    for byte in text.iter() {
        if is_plain(byte) {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.extend_from_slice(&hexadecimal(std::slice::from_ref(byte)));
        }
    }
    Cow::Owned(out)
}
