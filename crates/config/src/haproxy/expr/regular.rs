//! Regular expressions of rules, patterns and maps.

use regex::bytes::{Regex, RegexBuilder};

use super::arguments::Wrong;

/// One of a configuration is no larger compiled (bytes): HAProxy's own, PCRE2, has a like limit.
const MAX_COMPILED: usize = 1 << 20;

/// A regular expression over bytes, ready to run in a time that grows with the text only.
#[derive(Clone, Debug)]
pub struct Regular {
    text: String,
    ignores_case: bool,
    compiled: Regex,
}

impl PartialEq for Regular {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.ignores_case == other.ignores_case
    }
}

impl Eq for Regular {}

impl Regular {
    /// Reads `text` as PCRE would, but for what needs to go back in the text: look-around and
    /// references to groups.
    pub(crate) fn new(text: &str, ignores_case: bool) -> Result<Self, Wrong> {
        let compiled = RegexBuilder::new(text)
            .unicode(false)
            .case_insensitive(ignores_case)
            .size_limit(MAX_COMPILED)
            .build()
            .map_err(|error| {
                let told = error.to_string();
                let last = told.lines().last().unwrap_or_default().trim_start_matches("error: ");
                if last.contains("not supported") || last.contains("exceeds size limit") {
                    return Wrong::NotYet(format!("`{text}` ({last})"));
                }
                Wrong::Mistake(format!("`{text}` is no regular expression: {last}"))
            })?;
        Ok(Self { text: text.to_owned(), ignores_case, compiled })
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.compiled.is_match(bytes)
    }

    #[must_use]
    pub const fn compiled(&self) -> &Regex {
        &self.compiled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_matched_as_pcre_matches_them() {
        let acme = Regular::new("^/.well-known/acme-challenge/.+", false).unwrap();
        assert!(acme.is_match(b"/.well-known/acme-challenge/x"));
        assert!(!acme.is_match(b"/.well-known/acme-challenge/"));
        assert!(Regular::new("^/ADMIN", true).unwrap().is_match(b"/admin\xff"));
        assert!(Regular::new("^.$", false).unwrap().is_match(b"\xff"));
    }

    #[test]
    fn what_needs_to_go_back_is_refused_with_the_reason() {
        for text in ["(a)\\1", "(?=a)b", "(?<!a)b"] {
            assert!(matches!(Regular::new(text, false), Err(Wrong::NotYet(_))), "{text}");
        }
        assert!(matches!(Regular::new("(", false), Err(Wrong::Mistake(_))));
    }
}
