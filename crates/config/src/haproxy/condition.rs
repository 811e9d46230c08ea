//! Conditions about the program itself: `haproxy -cc 'version_atleast(2.4) && feature(OPENSSL)'`
//! (HAProxy's manual, 2.4).
//!
//! ```text
//! expression = and [ "||" expression ]
//! and        = term [ "&&" and ]
//! term       = "!"* ( number | "(" expression ")" | predicate "(" text [ "," text ] ")" )
//! ```

use std::cmp::Ordering;

use super::words::{self, Environment, Here};

/// Parentheses nest no deeper, as in HAProxy (`MAX_CFG_RECURSION`): each takes a piece of stack.
const MAX_DEPTH: usize = 1024 / 16;

/// What the program says about itself.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// `2.6.12`.
    pub version: &'a str,
    /// Names of the parts that are there.
    pub features: &'a [&'a str],
}

/// Whether it holds; nothing at all does not.
///
/// # Errors
/// What cannot be read, in a sentence.
pub fn holds(text: &str, facts: Facts<'_>) -> Result<bool, String> {
    let here = Here { path: "-cc", line: 1, section: "" };
    let words = words::split(text, 0, &Environment::default(), here)
        .map_err(|finding| finding.message.clone())?;
    let text = words.into_iter().map(|word| word.text).collect::<Vec<_>>().join(" ");
    let mut reader = Reader { text: &text, rest: &text, facts };
    reader.skip_blanks();
    if reader.rest.is_empty() {
        return Ok(false);
    }
    let value = reader.expression(MAX_DEPTH)?;
    reader.skip_blanks();
    match reader.rest.chars().next() {
        None => Ok(value),
        Some(char) => Err(format!(
            "unexpected character '{char}' at the end of conditional expression '{text}'"
        )),
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    facts: Facts<'a>,
}

impl<'a> Reader<'a> {
    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn accept(&mut self, what: &str) -> bool {
        self.skip_blanks();
        let found = self.rest.strip_prefix(what);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn unreadable<T>(&self) -> Result<T, String> {
        Err(format!("unparsable conditional expression '{}'", self.rest))
    }

    fn expression(&mut self, depth: usize) -> Result<bool, String> {
        let mut value = self.and(depth)?;
        while self.accept("||") {
            // Read even where it changes nothing: a mistake behind a truth is a mistake.
            value |= self.and(depth)?;
        }
        Ok(value)
    }

    fn and(&mut self, depth: usize) -> Result<bool, String> {
        let mut value = self.term(depth)?;
        while self.accept("&&") {
            value &= self.term(depth)?;
        }
        Ok(value)
    }

    fn term(&mut self, depth: usize) -> Result<bool, String> {
        if depth == 0 {
            return self.unreadable();
        }
        let mut negated = false;
        while self.accept("!") {
            negated = !negated;
        }
        if let Some(number) = self.number() {
            return Ok(number != negated);
        }
        if self.accept("(") {
            let value = self.expression(depth - 1)?;
            if !self.accept(")") {
                return Err(format!("expected ')' after conditional expression '{}'", self.text));
            }
            return Ok(value != negated);
        }
        Ok(self.predicate()? != negated)
    }

    /// C's `strtol` with any base: whether it is not zero.
    fn number(&mut self) -> Option<bool> {
        self.skip_blanks();
        let unsigned = self.rest.strip_prefix(['-', '+']).unwrap_or(self.rest);
        let (digits, base): (&str, fn(&char) -> bool) =
            match unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
                Some(hex) => (hex, char::is_ascii_hexdigit),
                None => (unsigned, char::is_ascii_digit),
            };
        let length = digits.chars().take_while(base).count();
        if length == 0 {
            return None;
        }
        let (number, rest) = digits.split_at(length);
        self.rest = rest;
        Some(number.chars().any(|digit| digit != '0'))
    }

    fn predicate(&mut self) -> Result<bool, String> {
        let end = self.rest.find([' ', '(']).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        let wanted = match name {
            "streq" | "strneq" => 2,
            "defined"
            | "feature"
            | "version_atleast"
            | "version_before"
            | "openssl_version_atleast"
            | "openssl_version_before"
            | "ssllib_name_startswith" => 1,
            _ => return self.unreadable(),
        };
        let arguments = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let Some((arguments, rest)) = arguments else {
            return Err(format!("expected ')' behind the arguments of predicate '{name}'"));
        };
        let arguments: Vec<&str> = arguments.split(',').collect();
        if arguments.len() != wanted || arguments[0].is_empty() {
            let got = arguments.iter().filter(|text| !text.is_empty()).count();
            return Err(format!("predicate '{name}' takes {wanted} arguments, got {got}"));
        }
        self.rest = rest;
        self.evaluate(name, &arguments)
    }

    fn evaluate(&self, name: &str, arguments: &[&'a str]) -> Result<bool, String> {
        let first = arguments[0];
        Ok(match name {
            "streq" => first == arguments[1],
            "strneq" => first != arguments[1],
            "defined" => std::env::var_os(first).is_some(),
            "feature" => self.facts.features.contains(&first),
            "version_atleast" => compare(self.facts.version, first) != Ordering::Less,
            "version_before" => compare(self.facts.version, first) == Ordering::Less,
            // There is no OpenSSL in it, so it is of no version and has no name.
            "ssllib_name_startswith" => false,
            _ => return Err(format!("'{name}' needs OpenSSL, which is not part of this program")),
        })
    }
}

/// `2.5-dev0` is before `2.5`, which is before `2.5.1`.
fn compare(ours: &str, theirs: &str) -> Ordering {
    let (ours, theirs) = (parts(ours), parts(theirs));
    ours.cmp(&theirs)
}

/// Numbers, then whether it is a release and the number of what came before one.
fn parts(version: &str) -> (Vec<u32>, bool, u32) {
    let (numbers, rest) = version.split_once('-').unwrap_or((version, ""));
    let mut numbers: Vec<u32> =
        numbers.split('.').map(|number| number.parse().unwrap_or(0)).collect();
    numbers.resize(3, 0);
    let before = rest.strip_prefix("dev").map(|number| number.parse().unwrap_or(0));
    (numbers, before.is_none(), before.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts<'_> = Facts { version: "2.6.12", features: &["EPOLL", "THREAD"] };

    /// What `haproxy -cc` of Debian's 2.6.12 answers: exit 0, 1, or 2 for what it cannot read.
    #[test]
    fn conditions_hold_as_in_the_real_haproxy() {
        for (text, wanted) in [
            ("", Some(false)),
            ("1", Some(true)),
            ("0", Some(false)),
            ("-5", Some(true)),
            ("-1000 && 200", Some(true)),
            ("200rrr", None),
            ("!(0))", None),
            ("1 2", None),
            ("(1", None),
            ("1&&", None),
            ("!", None),
            ("1||foo", None),
            ("foo(1)", None),
            ("streq(a)", None),
            ("streq(a,b,c)", None),
            ("streq(a,\"a)", None),
            ("streq(a b,a\\ b)", Some(true)),
            ("streq(\"a b\",'a b')", Some(true)),
            ("1 && !0 && !((streq(a,b) || !streq(a,a) && 1) || strneq(a,a))", Some(true)),
            ("1&&!0&&!((streq(a,b)||!streq(a,a)&&1)||strneq(a,b))", Some(false)),
            ("version_atleast(2.5-dev0)", Some(true)),
            ("version_atleast(2)", Some(true)),
            ("version_atleast(1024)", Some(false)),
            ("version_before(2.7)", Some(true)),
            ("version_before(2.6.12)", Some(false)),
            ("version_atleast(2.6.12-dev1)", Some(true)),
            ("feature(EPOLL) && !feature(POL)", Some(true)),
            ("defined(NOBODY_SETS_THIS)", Some(false)),
        ] {
            assert_eq!(holds(text, FACTS).ok(), wanted, "{text}: {:?}", holds(text, FACTS));
        }
    }

    #[test]
    fn a_thousand_parentheses_are_refused_and_no_stack_overflows() {
        assert!(holds(&"(".repeat(100_000), FACTS).is_err());
        assert!(holds(&format!("{}1", "!".repeat(10_000)), FACTS).is_ok());
    }
}
