//! ACLs and conditions (HAProxy's manual, 7.1 and 7.2).
//!
//! ```text
//! acl NAME CRITERION [FLAGS] [PATTERNS]      lines of one name: any of them
//! condition = and { ("or" | "||") and }      and = { ["!"] (NAME | "{ CRITERION ... }") }
//! ```

use base::Span;

use super::pattern::{METHODS, Method, Patterns};
use super::{Expr, FETCHES, Fetch, Matcher, Moment, read};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::line::{Line, Word};

/// All lines of one name, or one `{ ... }`, which has none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acl {
    pub name: String,
    /// It holds if one of them does.
    pub tests: Vec<Test>,
}

/// One line: an expression and what it is compared with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Test {
    pub expr: Expr,
    pub matcher: Matcher,
    /// As it is written.
    pub text: String,
}

/// `if` or `unless`: any of the lists in which every term holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Condition {
    pub unless: bool,
    pub any: Vec<Vec<Term>>,
    /// As it is written.
    pub text: String,
}

/// `[!]NAME`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Term {
    pub negated: bool,
    /// Among those of its proxy.
    pub acl: usize,
}

/// Names that every proxy may use (HAProxy's manual, 7.4), and what they stand for; nothing: not run
/// yet.
const PREDEFINED: [(&str, &str); 23] = [
    ("FALSE", "always_false"),
    ("HTTP", "req.proto_http"),
    ("HTTP_1.0", "req.ver 1.0"),
    ("HTTP_1.1", "req.ver 1.1"),
    ("HTTP_2.0", "req.ver 2.0"),
    ("HTTP_3.0", "req.ver 3.0"),
    ("HTTP_CONTENT", "req.hdr_val(content-length) gt 0"),
    ("HTTP_URL_ABS", "url_reg ^[^/:]*://"),
    ("HTTP_URL_SLASH", "url_beg /"),
    ("HTTP_URL_STAR", "url *"),
    ("LOCALHOST", "src 127.0.0.1/8"),
    ("METH_CONNECT", "method CONNECT"),
    ("METH_DELETE", "method DELETE"),
    ("METH_GET", "method GET HEAD"),
    ("METH_HEAD", "method HEAD"),
    ("METH_OPTIONS", "method OPTIONS"),
    ("METH_POST", "method POST"),
    ("METH_PUT", "method PUT"),
    ("METH_TRACE", "method TRACE"),
    ("RDP_COOKIE", ""),
    ("REQ_CONTENT", ""),
    ("TRUE", "always_true"),
    ("WAIT_END", ""),
];

/// Words before a `_beg` and its like, and what they fetch.
const FAMILIES: [(&str, &str); 8] = [
    ("base", "base"),
    ("cook", "req.cook"),
    ("hdr", "hdr"),
    ("path", "path"),
    ("scook", "res.cook"),
    ("shdr", "res.hdr"),
    ("url", "url"),
    ("urlp", "urlp"),
];

/// Their ends.
const ENDS: [&str; 7] = ["beg", "dir", "dom", "end", "len", "reg", "sub"];

/// Reads `acl NAME CRITERION ...`, of which `name` is taken already.
///
/// ACLs are read before it is known which rules use them: what they look at is not checked.
pub(crate) fn acl(acls: &mut Vec<Acl>, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let name = line.expect("the name of the ACL")?;
    if ["or", "OR", "||"].contains(&name.text.as_str()) {
        let message = format!("`{}` divides conditions, so no ACL can have this name", name.text);
        return Err(Diagnostic::error(name.span, "bad-value", message));
    }
    let words = line.rest();
    let end = Span::new(name.span.end, name.span.end + 1);
    let read = test(&words, end, Moment::Request, line);
    match acls.iter_mut().find(|acl| acl.name == name.text) {
        Some(acl) => acl.tests.push(read?),
        None => {
            acls.push(Acl { name: name.text, tests: Vec::new() });
            let read = read?;
            if let Some(acl) = acls.last_mut() {
                acl.tests.push(read);
            }
        }
    }
    Ok(())
}

/// A criterion with its flags and patterns; `end` is where one is missed.
fn test(
    words: &[Word],
    end: Span,
    moment: Moment,
    line: &mut Line<'_>,
) -> Result<Test, Diagnostic> {
    let Some((criterion, rest)) = words.split_first() else {
        let message = "expected a criterion like path_beg here";
        return Err(Diagnostic::error(end, "missing-word", message));
    };
    let (expr, method) = subject(criterion, moment)?;
    let (matcher, told) = patterns(&expr, method, criterion, rest)?;
    if let Some(finding) = told {
        line.report(finding);
    }
    let text = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    Ok(Test { expr, matcher, text })
}

/// What is looked at, and how it is compared where nothing is said.
fn subject(criterion: &Word, moment: Moment) -> Result<(Expr, Option<Method>), Diagnostic> {
    let (text, span) = (criterion.text.as_str(), criterion.span);
    let (name, rest) = read::name(text);
    let family =
        name.rsplit_once('_').filter(|(_, end)| ENDS.contains(end)).and_then(|(head, end)| {
            let (_, fetch) = FAMILIES.iter().find(|(family, _)| *family == head)?;
            Some((*fetch, Method::named(end)?))
        });
    let (wanted, method) = family.map_or((name, None), |(fetch, method)| (fetch, Some(method)));
    let Some(row) = FETCHES.iter().find(|row| row.name == wanted) else {
        let finding = read::unknown_fetch(name, span);
        return Err(finding);
    };
    let moment = match row.moments & moment as u8 {
        0 if row.moments & Moment::Response as u8 != 0 => Moment::Response,
        _ => moment,
    };
    let made = read::fetch(row, name, rest, moment).map_err(|wrong| wrong.at(span))?;
    let expr = read::finish(text, made.0, made.1, made.2, span)?;
    // A converter takes away what the name says.
    let method = method.filter(|_| expr.converters.is_empty());
    Ok((expr, method))
}

/// Flags and patterns; the finding is a warning.
fn patterns(
    expr: &Expr,
    method: Option<Method>,
    criterion: &Word,
    words: &[Word],
) -> Result<(Matcher, Option<Diagnostic>), Diagnostic> {
    let mut method = method.or_else(|| Method::of(expr.kind));
    let (mut ignores_case, mut files, mut at, mut divided) = (false, Vec::new(), 0, false);
    while let Some(flag) = words.get(at).filter(|word| word.text.starts_with('-')) {
        let value = words.get(at + 1);
        let wants = |what: &str| {
            let message = format!("expected {what} behind `{}`", flag.text);
            value.ok_or_else(|| Diagnostic::error(flag.span, "missing-word", message))
        };
        at += 2;
        match flag.text.as_str() {
            "-i" => (ignores_case, at) = (true, at - 1),
            "-n" => at -= 1,
            "-m" => method = Some(named(wants("a way to compare like beg")?, expr)?),
            "-f" => files.push(wants("a file")?),
            "-u" => drop(wants("a number")?),
            "-M" => return Err(Diagnostic::not_yet(flag.span, "`-M` of a condition")),
            "--" => {
                (at, divided) = (at - 1, true);
                break;
            }
            other => {
                let message = format!("`{other}` is no flag of a condition");
                return Err(Diagnostic::error(flag.span, "unknown-keyword", message)
                    .help("write `--` before a value that starts with `-`"));
            }
        }
    }
    let Some(method) = method else {
        let message = format!("how `{}` is compared must be said", criterion.text);
        return Err(Diagnostic::error(criterion.span, "bad-value", message)
            .help("write `-m str`, `-m int` or another one behind it"));
    };
    let mut patterns = Patterns::new(method, ignores_case);
    for file in files {
        patterns.file(&file.text).map_err(|wrong| wrong.at(file.span))?;
    }
    for word in words.get(at..).unwrap_or_default() {
        patterns.push(&word.text).map_err(|wrong| wrong.at(word.span))?;
    }
    let told = (patterns.is_empty() && !divided && at == words.len()).then(|| {
        let message = format!("`{}` is compared with nothing, so it never holds", criterion.text);
        Diagnostic::warning(criterion.span, "no-pattern", message)
            .help("write `-m found` if it only has to be there")
    });
    Ok((patterns.finish(), told))
}

fn named(word: &Word, expr: &Expr) -> Result<Method, Diagnostic> {
    if word.text == "bin" {
        return Err(Diagnostic::not_yet(word.span, "`-m bin`"));
    }
    let Some(method) = Method::named(&word.text) else {
        let message = format!("`{}` is no way to compare", word.text);
        let finding = Diagnostic::error(word.span, "unknown-keyword", message);
        return Err(guess::suggest(finding, &word.text, METHODS.map(|(name, _)| name)));
    };
    if !expr.kind.becomes(method.wants()) {
        let message = format!(
            "`{}` gives a {}, which `-m {}` cannot compare",
            expr.text,
            expr.kind.name(),
            word.text
        );
        return Err(Diagnostic::error(word.span, "bad-value", message));
    }
    Ok(method)
}

/// `[if|unless CONDITION]` at the end of a line; none: it always holds.
pub(crate) fn condition(
    acls: &mut Vec<Acl>,
    moment: Moment,
    line: &mut Line<'_>,
) -> Result<Option<Condition>, Diagnostic> {
    let Some(word) = line.peek().cloned() else { return Ok(None) };
    let unless = match word.text.as_str() {
        "if" => false,
        "unless" => true,
        _ => return Err(expected_condition(line)),
    };
    line.take();
    let (mut any, mut all) = (Vec::new(), Vec::new());
    let mut text = word.text;
    let mut negated = false;
    while let Some(word) = line.take() {
        text.push(' ');
        text.push_str(&word.text);
        let bare = word.text.trim_start_matches('!');
        negated ^= (word.text.len() - bare.len()) % 2 == 1;
        let acl = match bare {
            "" => continue,
            "or" | "OR" | "||" => {
                any.push(std::mem::take(&mut all));
                negated = false;
                continue;
            }
            "{" => {
                let words = braced(word.span, line)?;
                for word in &words {
                    text.push(' ');
                    text.push_str(&word.text);
                }
                text.push_str(" }");
                let test = test(&words, word.span, moment, line)?;
                acls.push(Acl { name: String::new(), tests: vec![test] });
                acls.len() - 1
            }
            name => find(name, word.span, acls, line)?,
        };
        all.push(Term { negated: std::mem::take(&mut negated), acl });
    }
    any.push(all);
    let condition = Condition { unless, any, text };
    warn(&condition, acls, moment, line);
    Ok(Some(condition).filter(|condition| !condition.always(acls)))
}

/// What stands before the closing brace.
fn braced(open: Span, line: &mut Line<'_>) -> Result<Vec<Word>, Diagnostic> {
    let mut words = Vec::new();
    while let Some(word) = line.take() {
        if word.text == "}" {
            return Ok(words);
        }
        words.push(word);
    }
    Err(Diagnostic::error(open, "bad-condition", "this `{` has no `}`")
        .help("braces stand between blanks: `if { ssl_fc }`"))
}

/// The ACL of that name: the proxy's own, or one that every proxy has.
fn find(
    name: &str,
    span: Span,
    acls: &mut Vec<Acl>,
    line: &mut Line<'_>,
) -> Result<usize, Diagnostic> {
    if let Some(known) = acls.iter().position(|acl| acl.name == name) {
        return Ok(known);
    }
    let Some((_, stands_for)) = PREDEFINED.iter().find(|(known, _)| *known == name) else {
        let message = format!("there is no ACL `{name}` above this line");
        let finding = Diagnostic::error(span, "unknown-acl", message);
        let own = acls.iter().map(|acl| acl.name.as_str()).filter(|name| !name.is_empty());
        let known = own.chain(PREDEFINED.iter().map(|(name, _)| *name));
        let finding = guess::near(finding, name, known);
        return Err(finding.help_if_none(|| format!("define it with `acl {name} ...`")));
    };
    if stands_for.is_empty() {
        return Err(Diagnostic::not_yet(span, format!("`{name}`")));
    }
    let word = |text: &str| Word { text: text.to_owned(), span };
    let words: Vec<Word> = stands_for.split(' ').map(word).collect();
    let test = test(&words, span, Moment::Request, line)?;
    acls.push(Acl { name: name.to_owned(), tests: vec![test] });
    Ok(acls.len() - 1)
}

/// What can never hold here is told, as by HAProxy.
fn warn(condition: &Condition, acls: &[Acl], moment: Moment, line: &mut Line<'_>) {
    for acl in condition.any.iter().flatten().filter_map(|term| acls.get(term.acl)) {
        let blind = acl.tests.iter().filter(|test| !test.expr.fetch.is_there(moment)).count();
        if blind > 0 && blind == acl.tests.len() {
            let what = acl.tests.first().map_or("", |test| test.text.as_str());
            let message = format!("`{what}` has nothing to look at {}", moment.name());
            line.report(
                Diagnostic::warning(line.head(), "never-holds", message).help(
                    "keep what is needed in a variable: `http-request set-var(txn.NAME) ...`",
                ),
            );
        }
    }
}

impl Condition {
    /// Whether it is known to hold before anything is looked at.
    fn always(&self, acls: &[Acl]) -> bool {
        let [all] = self.any.as_slice() else { return false };
        let is_true = |term: &Term| {
            let constant = acls.get(term.acl).and_then(Acl::constant);
            constant.is_some_and(|holds| holds != term.negated)
        };
        if self.unless {
            let is_false = |term: &Term| {
                let constant = acls.get(term.acl).and_then(Acl::constant);
                constant.is_some_and(|holds| holds == term.negated)
            };
            return all.iter().any(is_false);
        }
        all.iter().all(is_true)
    }
}

impl Acl {
    /// What is known of it before anything is looked at.
    #[must_use]
    pub fn constant(&self) -> Option<bool> {
        let [test] = self.tests.as_slice() else { return None };
        match (&test.expr.fetch, &test.matcher) {
            (Fetch::Constant(super::Value::Bool(holds)), Matcher::Bool)
                if test.expr.converters.is_empty() =>
            {
                Some(*holds)
            }
            _ => None,
        }
    }
}

pub(crate) fn expected_condition(line: &Line<'_>) -> Diagnostic {
    let word = line.look(0).unwrap_or_default();
    Diagnostic::error(
        line.span(),
        "extra-word",
        format!("expected `if` or `unless` and a condition here, found `{word}`"),
    )
    .help("a value with blanks is written in quotes")
}

/// ACL keywords beyond the names of fetches: `path_beg` and its like.
pub(crate) fn keywords() -> Vec<String> {
    let of = |family: &str| ENDS.map(|end| format!("{family}_{end}"));
    FAMILIES.iter().flat_map(|(family, _)| of(family)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Word> {
        let word = |text: &str| Word { text: text.to_owned(), span: Span::default() };
        text.split_ascii_whitespace().map(word).collect()
    }

    fn read(text: &str) -> Result<(Vec<Acl>, Option<Condition>), String> {
        let (mut acls, mut findings) = (Vec::new(), Vec::new());
        let mut line = Line::new(words("admin path_beg -i /a /b"), 0, 0, &mut findings);
        acl(&mut acls, &mut line).unwrap();
        let mut line = Line::new(words(text), 0, 0, &mut findings);
        let read = condition(&mut acls, Moment::Request, &mut line);
        read.map(|read| (acls, read)).map_err(|finding| finding.message)
    }

    fn shape(text: &str) -> Vec<Vec<(bool, usize)>> {
        let condition = read(text).unwrap().1.unwrap();
        let terms = |all: &Vec<Term>| all.iter().map(|term| (term.negated, term.acl)).collect();
        condition.any.iter().map(terms).collect()
    }

    #[test]
    fn terms_side_by_side_must_all_hold_and_or_divides_them() {
        assert_eq!(
            shape("if admin !METH_GET or { src 127.0.0.1 }"),
            [vec![(false, 0), (true, 1)], vec![(false, 2)]]
        );
        assert_eq!(shape("unless ! admin || !!admin"), [vec![(true, 0)], vec![(false, 0)]]);
        assert_eq!(read("if TRUE").unwrap().1, None);
        assert_eq!(read("unless FALSE").unwrap().1, None);
        assert!(read("if FALSE").unwrap().1.is_some());
    }

    #[test]
    fn a_keyword_says_how_it_is_compared_unless_a_converter_follows() {
        let (acls, _) = read("if { path_beg,lower /x }").unwrap();
        let how = |acl: &Acl| {
            let Matcher::Words { how, .. } = &acl.tests[0].matcher else { panic!("{acl:?}") };
            *how
        };
        assert_eq!(how(&acls[0]), super::super::pattern::How::Begins);
        assert_eq!(how(&acls[1]), super::super::pattern::How::Exact);
    }

    #[test]
    fn mistakes_are_named() {
        let told = |text| read(text).unwrap_err();
        assert_eq!(told("if admn"), "there is no ACL `admn` above this line");
        assert_eq!(told("if { pth /x }"), "`pth` is nothing that can be fetched");
        assert_eq!(told("if { path /x"), "this `{` has no `}`");
        assert_eq!(told("if { path -m fast /x }"), "`fast` is no way to compare");
        assert_eq!(told("if { path -z /x }"), "`-z` is no flag of a condition");
        assert_eq!(
            told("if { ssl_fc -m ip 1.2.3.4 }"),
            "`ssl_fc` gives a bool, which `-m ip` cannot compare"
        );
        assert_eq!(told("if { var(txn.a) x }"), "how `var(txn.a)` is compared must be said");
        assert_eq!(told("if { dst_port x }"), "`x` is no number");
        assert_eq!(
            told("when admin"),
            "expected `if` or `unless` and a condition here, found `when`"
        );
    }

    #[test]
    fn what_every_proxy_may_use_is_read() {
        for (name, stands_for) in PREDEFINED {
            let read = read(&format!("if !{name}"));
            assert_eq!(read.is_ok(), !stands_for.is_empty(), "{name}: {read:?}");
        }
    }
}
