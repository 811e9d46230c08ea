//! `virtual_rules` and `static_rules`.

use std::net::IpAddr;

use base::Span;

use super::Keepalived;
use super::instance::entries;
use super::routes::{is_any, network, protocol, table};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::line::{Line, Word};
use crate::vip::{Network, Rule, Then};

/// How entries are written, for the manual.
pub(super) const ENTRIES: &str = "{ [not] [from <network>] [to <network>] [iif <name>] [oif <name>] [fwmark <m>] \
     [tos <t>] preference <n> table <t>|nop|blackhole|unreachable|prohibit }";

/// What an entry may have, and we run.
const OPTIONS: [&str; 25] = [
    "inet",
    "inet6",
    "from",
    "to",
    "table",
    "lookup",
    "not",
    "preference",
    "order",
    "priority",
    "tos",
    "dsfield",
    "fwmark",
    "dev",
    "iif",
    "oif",
    "protocol",
    "suppress_prefixlength",
    "sup_pl",
    "no_track",
    "type",
    "nop",
    "blackhole",
    "unreachable",
    "prohibit",
];

/// What 2.2.7 knows beside.
const LATER: [&str; 11] = [
    "goto",
    "ipproto",
    "sport",
    "dport",
    "l3mdev",
    "realms",
    "sup_group",
    "suppress_ifgroup",
    "track_group",
    "tunnel-id",
    "uidrange",
];

/// The highest number that keepalived gives a rule that has none; the next one gets one less.
const FIRST_PREFERENCE: u32 = 16_384;

/// A rule as it is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WrittenRule {
    pub rule: Rule,
    pub span: Span,
    /// The file says its number.
    pub has_preference: bool,
}

pub(super) fn rules(line: &mut Line<'_>) -> Result<Vec<WrittenRule>, Diagnostic> {
    let of = line.taken().next().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for words in entries(line, &of)? {
        match rule(words) {
            Ok(rule) => found.push(rule),
            Err(finding) => line.report(finding),
        }
    }
    Ok(found)
}

/// One entry while it is read.
#[derive(Default)]
struct Entry {
    is_v6: Option<bool>,
    is_inverted: bool,
    priority: Option<u32>,
    from: Option<Word>,
    to: Option<Word>,
    input: Option<String>,
    output: Option<String>,
    mark: Option<(u32, Option<u32>)>,
    tos: u8,
    then: Option<Then>,
    suppressed: Option<u32>,
    protocol: Option<u8>,
    is_untracked: bool,
}

fn rule(words: Vec<Word>) -> Result<WrittenRule, Diagnostic> {
    let span = words.first().map_or_else(Span::default, |word| word.span);
    let mut entry = Entry::default();
    let mut words = words.into_iter();
    while let Some(option) = words.next() {
        entry.read(&option, &mut words)?;
    }
    entry.finish(span)
}

impl Entry {
    fn read(
        &mut self,
        option: &Word,
        words: &mut impl Iterator<Item = Word>,
    ) -> Result<(), Diagnostic> {
        let mut value = || {
            let message = format!("expected a value behind `{}`", option.text);
            words.next().ok_or_else(|| Diagnostic::error(option.span, "missing-word", message))
        };
        match option.text.as_str() {
            "type" => return self.act(&value()?),
            "table" | "lookup" => {
                let word = value()?;
                let number = table(&word)?;
                if number == 0 {
                    return Err(word.wrong("a table other than 0"));
                }
                return self.set_then(Then::Table(number), option);
            }
            "inet" | "inet6" => return self.family(option.text == "inet6", option),
            "from" => self.from = Some(value()?),
            "to" => self.to = Some(value()?),
            "not" => self.is_inverted = true,
            "preference" | "order" | "priority" => {
                let word = value()?;
                let number = plain_number(&word.text);
                self.priority =
                    Some(number.ok_or_else(|| word.wrong("a number up to 4294967295"))?);
            }
            "tos" | "dsfield" => {
                let word = value()?;
                let number = plain_number(&word.text).and_then(|number| u8::try_from(number).ok());
                self.tos = number.ok_or_else(|| word.wrong("a number up to 255"))?;
            }
            "fwmark" => {
                let word = value()?;
                let mark = match word.text.split_once('/') {
                    Some((mark, mask)) => plain_number(mark).zip(plain_number(mask).map(Some)),
                    None => plain_number(&word.text).map(|mark| (mark, None)),
                };
                self.mark = Some(mark.ok_or_else(|| word.wrong("a mark like 7 or 0x10/0xff"))?);
            }
            "dev" | "iif" => self.input = Some(value()?.text),
            "oif" => self.output = Some(value()?.text),
            "protocol" => self.protocol = Some(protocol(&value()?)?),
            "suppress_prefixlength" | "sup_pl" => {
                self.suppressed = Some(value()?.parse("a length of networks")?);
            }
            "no_track" => self.is_untracked = true,
            _ => return self.act(option),
        }
        Ok(())
    }

    fn family(&mut self, is_v6: bool, at: &Word) -> Result<(), Diagnostic> {
        match self.is_v6.replace(is_v6) {
            Some(before) if before != is_v6 => {
                let message = "a rule is for one version of IP";
                Err(Diagnostic::error(at.span, "bad-value", message))
            }
            _ => Ok(()),
        }
    }

    fn act(&mut self, word: &Word) -> Result<(), Diagnostic> {
        let then = match word.text.as_str() {
            "nop" => Then::Nothing,
            "blackhole" => Then::Blackhole,
            "unreachable" => Then::Unreachable,
            "prohibit" => Then::Prohibit,
            text if LATER.contains(&text) => {
                return Err(Diagnostic::not_yet(word.span, format!("`{text}` of a rule")));
            }
            text => {
                let message = format!("`{text}` is no option of a rule");
                let finding = Diagnostic::error(word.span, "unknown-keyword", message);
                return Err(guess::suggest(finding, text, OPTIONS.into_iter().chain(LATER)));
            }
        };
        self.set_then(then, word)
    }

    fn set_then(&mut self, then: Then, at: &Word) -> Result<(), Diagnostic> {
        match self.then.replace(then) {
            Some(_) => {
                let message = "a rule does one thing only";
                Err(Diagnostic::error(at.span, "bad-value", message))
            }
            None => Ok(()),
        }
    }

    fn finish(mut self, span: Span) -> Result<WrittenRule, Diagnostic> {
        let (from, to) = (self.from.take(), self.to.take());
        for word in from.iter().chain(&to).filter(|word| !is_any(&word.text)) {
            self.family(word.text.contains(':'), word)?;
        }
        let is_v6 = self.is_v6.unwrap_or(false);
        let of = |word: Option<Word>| -> Result<Option<Network>, Diagnostic> {
            let Some(word) = word else { return Ok(None) };
            Ok(Some(network(&word, is_v6)?).filter(|(_, prefix): &(IpAddr, u8)| *prefix > 0))
        };
        let Some(then) = self.then else {
            let finding = Diagnostic::error(span, "missing-word", "this rule does nothing");
            return Err(
                finding.help("write `table` and a table, or blackhole, unreachable, prohibit, nop")
            );
        };
        if self.suppressed.is_some() && !matches!(then, Then::Table(_)) {
            let message = "`suppress_prefixlength` is for rules with a table";
            return Err(Diagnostic::error(span, "bad-value", message));
        }
        // One that is looked after is known by its protocol, as with keepalived.
        let own = self.protocol.filter(|_| self.is_untracked);
        let rule = Rule {
            is_v6,
            is_inverted: self.is_inverted,
            priority: self.priority.unwrap_or(FIRST_PREFERENCE),
            from: of(from)?,
            to: of(to)?,
            input: self.input,
            output: self.output,
            mark: self.mark,
            tos: self.tos,
            then,
            suppressed: self.suppressed,
            protocol: own.unwrap_or(if self.is_untracked { 0 } else { KEEPALIVED }),
        };
        Ok(WrittenRule { rule, span, has_preference: self.priority.is_some() })
    }
}

/// `RTPROT_KEEPALIVED`
const KEEPALIVED: u8 = 18;

/// As `strtoul` with base 0 has it.
fn plain_number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}

/// Rules without a number get one, from the first of the file on.
pub(super) fn number(read: &mut Keepalived, found: &mut Vec<Diagnostic>) {
    let of_instances = read.instances.iter_mut().flat_map(|instance| &mut instance.rules);
    let mut all: Vec<&mut WrittenRule> = read.fixed.rules.iter_mut().chain(of_instances).collect();
    all.retain(|written| !written.has_preference);
    all.sort_by_key(|written| written.span.start);
    let mut next = [FIRST_PREFERENCE; 2];
    for written in all {
        let next = &mut next[usize::from(written.rule.is_v6)];
        written.rule.priority = *next;
        let message = format!("this rule has no preference: it gets {next}, as from keepalived");
        let finding = Diagnostic::warning(written.span, "no-preference", message);
        found.push(finding.help(format!("write `preference {next}`, or another number")));
        *next = next.saturating_sub(1);
    }
}
