//! What stands in parentheses behind the name of a fetch or converter.

use base::Span;

use crate::diagnostic::Diagnostic;

/// Arguments at the head of `text`, and what follows them; without parentheses there are none.
///
/// Quotes and backslashes hide commas and parentheses, as in HAProxy's `make_arg_list`.
pub(crate) fn split(text: &str) -> Result<(Vec<String>, &str), String> {
    let Some(inside) = text.strip_prefix('(') else { return Ok((Vec::new(), text)) };
    let (mut all, mut one) = (Vec::new(), String::new());
    let mut quote = None;
    let mut chars = inside.char_indices();
    while let Some((at, char)) = chars.next() {
        match (char, quote) {
            ('"' | '\'', None) => quote = Some(char),
            (_, Some(open)) if char == open => quote = None,
            ('\\', None | Some('"')) => match chars.next().map(|(_, char)| char) {
                Some('n') => one.push('\n'),
                Some('r') => one.push('\r'),
                Some('t') => one.push('\t'),
                Some(other) => one.push(other),
                None => break,
            },
            (',', None) => all.push(std::mem::take(&mut one)),
            (')', None) => {
                all.push(one);
                if all.len() == 1 && all[0].is_empty() {
                    all.clear();
                }
                return Ok((all, &inside[at + 1..]));
            }
            _ => one.push(char),
        }
    }
    Err(match quote {
        Some(_) => "a quote in the arguments is not closed".to_owned(),
        None => "this `(` has no `)`".to_owned(),
    })
}

/// Why an expression is not run.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Wrong {
    /// HAProxy would refuse it, too.
    Mistake(String),
    /// What we do not run yet.
    NotYet(String),
}

impl From<String> for Wrong {
    fn from(message: String) -> Self {
        Self::Mistake(message)
    }
}

impl Wrong {
    pub(crate) fn at(self, span: Span) -> Diagnostic {
        match self {
            Self::Mistake(message) => Diagnostic::error(span, "bad-value", message),
            Self::NotYet(what) => Diagnostic::not_yet(span, what),
        }
    }
}

/// One call: its arguments, each of which may be left out or empty.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) name: &'a str,
    pub(crate) arguments: &'a [String],
}

impl<'a> Call<'a> {
    pub(crate) fn text(&self, at: usize) -> Option<&'a str> {
        self.arguments.get(at).map(String::as_str).filter(|text| !text.is_empty())
    }

    pub(crate) fn required(&self, at: usize, what: &str) -> Result<&'a str, String> {
        let missing = || format!("`{}` wants {what} in parentheses", self.name);
        self.arguments.get(at).map(String::as_str).ok_or_else(missing)
    }

    pub(crate) fn number(&self, at: usize) -> Result<Option<i64>, String> {
        let Some(text) = self.text(at) else { return Ok(None) };
        let wrong = |_| format!("`{text}` in `{}` is no number", self.name);
        text.parse().map(Some).map_err(wrong)
    }

    pub(crate) fn small(&self, at: usize) -> Result<Option<i32>, String> {
        let wrong = |_| format!("a number in `{}` is too large", self.name);
        self.number(at)?.map(|number| i32::try_from(number).map_err(wrong)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Vec<String>, String), String> {
        split(text).map(|(all, rest)| (all, rest.to_owned()))
    }

    fn is(all: &[&str], rest: &str) -> Result<(Vec<String>, String), String> {
        Ok((all.iter().map(|&one| one.to_owned()).collect(), rest.to_owned()))
    }

    #[test]
    fn arguments_are_divided_by_commas_that_nothing_hides() {
        assert_eq!(read("(host,-1),lower"), is(&["host", "-1"], ",lower"));
        assert_eq!(read(",lower"), is(&[], ",lower"));
        assert_eq!(read("()"), is(&[], ""));
        assert_eq!(read("(,b)"), is(&["", "b"], ""));
        assert_eq!(read("(\"a,b)\",'c\\d',e\\,f,\\n)x"), is(&["a,b)", "c\\d", "e,f", "\n"], "x"));
    }

    #[test]
    fn what_is_open_at_the_end_is_an_error() {
        assert_eq!(read("(host"), Err("this `(` has no `)`".to_owned()));
        assert_eq!(read("(\"host)"), Err("a quote in the arguments is not closed".to_owned()));
    }
}
