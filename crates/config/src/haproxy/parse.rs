//! Files in HAProxy's language to sections, with the `defaults` before each proxy applied.

use base::Span;

use super::address::{self, Port, Target};
use super::inherit::Inheritance;
use super::proxy::Draft;
use super::sections::{Argument, SECTIONS, Section};
use super::words::{Here, split};
use super::{Haproxy, ProxyKind, global, later, proxy, server, verify};
use crate::Source;
use crate::diagnostic::{Diagnostic, is_hopeless, limit};
use crate::guess;
use crate::keyword::{self, Keyword, family, find};
use crate::line::{Line, Word};

/// A cloud has a hundred; each takes some kilobytes before it says anything.
const MAX_PROXIES: usize = 10_000;

/// What a proxy section may contain.
pub(crate) const PROXY_TABLES: &[&[Keyword<Draft>]] = &[proxy::KEYWORDS, later::KEYWORDS];

/// Reads all files as one configuration, each under its number in the list given.
pub(crate) fn parse(sources: &[(usize, &Source)]) -> (Haproxy, Vec<Diagnostic>) {
    let mut parser = Parser {
        global: global::Draft::default(),
        defaults: Vec::new(),
        current_defaults: Draft::new(),
        proxies: Vec::new(),
        inheritance: Inheritance::default(),
        section: Place::Outside,
        conditions: 0,
        findings: Vec::new(),
    };
    for (file, source) in sources {
        parser.file(*file, source);
    }
    verify::check(&parser.proxies, parser.global.trusts_servers, &mut parser.findings);
    limit(&mut parser.findings);
    let global = parser.global.global;
    let proxies = parser.proxies.into_iter().map(Draft::finish).collect();
    (Haproxy { global, proxies }, parser.findings)
}

struct Parser {
    global: global::Draft,
    /// Sections with a name, for `from`.
    defaults: Vec<(String, Draft)>,
    /// The last section, for proxies without `from`.
    current_defaults: Draft,
    proxies: Vec<Draft>,
    inheritance: Inheritance,
    section: Place,
    /// Depth of `.if`; nothing inside is read, as conditions are not run yet.
    conditions: usize,
    findings: Vec<Diagnostic>,
}

/// Where the next line belongs.
#[derive(Clone, Copy)]
enum Place {
    Outside,
    Global,
    /// The section being read is `current_defaults`, and this is its place among the named ones.
    Defaults(Option<usize>),
    /// The last proxy.
    Proxy,
    Other(&'static Section),
    /// After a section line that cannot be used: nothing is said about what follows.
    Lost,
}

impl Parser {
    fn file(&mut self, file: usize, source: &Source) {
        self.section = Place::Outside;
        let text = source.text.as_str();
        let mut offset = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let content = line.strip_suffix('\n').unwrap_or(line);
            self.line(file, source, content, offset, number + 1);
            offset += line.len();
            limit(&mut self.findings);
            if is_hopeless(&self.findings) {
                return;
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            let start = text.rfind('\n').map_or(0, |at| at + 1);
            let message = "the last line does not end, perhaps the file was cut";
            let finding = Diagnostic::error(Span::new(start, text.len()), "cut-file", message);
            self.findings.push(finding.help("end it with a line break").in_file(file));
        }
    }

    fn line(&mut self, file: usize, source: &Source, text: &str, offset: usize, number: usize) {
        let here = Here { path: &source.path, line: number, section: self.section_name() };
        if let Some(at) = text.find('\0') {
            let span = Span::new(offset + at, offset + at + 1);
            let finding = Diagnostic::error(span, "bad-word", "a NUL character stands here");
            self.findings.push(finding.in_file(file));
            return;
        }
        let words = match split(text, offset, &self.global.environment, here) {
            Ok(words) => words,
            Err(finding) => return self.findings.push(finding.in_file(file)),
        };
        let Some(first) = words.first().cloned() else { return };
        let end = words.last().map_or(offset, |word| word.span.end);
        let mut findings = std::mem::take(&mut self.findings);
        let mut line = Line::new(words, file, end, &mut findings);
        line.take();
        let result = self.statement(&first, &mut line);
        if let Err(finding) = result {
            line.report(finding);
        }
        self.findings = findings;
    }

    fn section_name(&self) -> &'static str {
        match self.section {
            Place::Outside | Place::Lost => "",
            Place::Global => "global",
            Place::Defaults(_) => "defaults",
            Place::Proxy => self.proxies.last().map_or("", |draft| draft.proxy.kind.name()),
            Place::Other(section) => section.name,
        }
    }

    fn statement(&mut self, first: &Word, line: &mut Line<'_>) -> Result<(), Diagnostic> {
        if first.text.starts_with('.') {
            return self.directive(first, line);
        }
        if self.conditions > 0 {
            return Ok(());
        }
        match first.text.as_str() {
            "global" => {
                self.section = Place::Global;
                line.finish();
                return Ok(());
            }
            "defaults" => return self.open_defaults(first, line),
            "listen" => return self.open_proxy(ProxyKind::Listen, first, line),
            "frontend" => return self.open_proxy(ProxyKind::Frontend, first, line),
            "backend" => return self.open_proxy(ProxyKind::Backend, first, line),
            _ => {}
        }
        if let Some(section) = SECTIONS.iter().find(|section| section.name == first.text) {
            return self.open_other(section, first, line);
        }
        self.keyword(first, line)
    }

    /// `.if` and its like (HAProxy's manual, 2.4).
    fn directive(&mut self, first: &Word, line: &mut Line<'_>) -> Result<(), Diagnostic> {
        match first.text.as_str() {
            ".if" => {
                self.conditions += 1;
                line.report(Diagnostic::not_yet(first.span, "`.if`, with what is inside it,"));
            }
            ".elif" | ".else" | ".endif" if self.conditions == 0 => {
                let message = format!("`{}` has no `.if`", first.text);
                return Err(Diagnostic::error(first.span, "bad-condition", message));
            }
            ".endif" => self.conditions -= 1,
            ".elif" | ".else" | ".diag" | ".notice" => {}
            ".warning" | ".alert" if self.conditions > 0 => {}
            ".warning" => {
                let words: Vec<String> = line.rest().into_iter().map(|word| word.text).collect();
                line.report(Diagnostic::warning(first.span, "file-says", words.join(" ")));
            }
            ".alert" => {
                let words: Vec<String> = line.rest().into_iter().map(|word| word.text).collect();
                return Err(Diagnostic::error(first.span, "file-says", words.join(" ")));
            }
            text => {
                let known =
                    [".if", ".elif", ".else", ".endif", ".diag", ".notice", ".warning", ".alert"];
                let message = format!("`{text}` is no directive");
                let finding = Diagnostic::error(first.span, "unknown-keyword", message);
                return Err(guess::suggest(finding, text, known));
            }
        }
        Ok(())
    }

    fn open_defaults(&mut self, first: &Word, line: &mut Line<'_>) -> Result<(), Diagnostic> {
        let name = line.take();
        let mut draft = Draft::new();
        if let Some(name) = &name {
            server::check_name(name)?;
        }
        if line.accept("from") {
            let parent = line.expect("the name of a `defaults` section")?;
            draft = self.named(&parent)?;
            if let Some(number) = draft.defaults_number {
                self.inheritance.derive(number, None, true, parent.span)?;
            }
        }
        line.finish();
        let number = self.inheritance.open(name.as_ref().map(|name| name.text.clone()));
        draft.defaults_number = Some(number);
        draft.unverified.clear();
        draft.is_defaults = true;
        draft.global_logs.clone_from(&self.global.global.logs);
        draft.proxy.span = first.span;
        self.section = Place::Defaults(None);
        if let Some(name) = name {
            if self.defaults.len() >= MAX_PROXIES {
                self.section = Place::Lost;
                let message = format!("more than {MAX_PROXIES} sections");
                return Err(Diagnostic::error(first.span, "too-large", message));
            }
            self.section = Place::Defaults(Some(self.defaults.len()));
            self.defaults.push((name.text, draft.clone()));
        }
        self.current_defaults = draft;
        Ok(())
    }

    fn named(&mut self, name: &Word) -> Result<Draft, Diagnostic> {
        let mut found = self.defaults.iter().filter(|(known, _)| *known == name.text);
        match (found.next(), found.next()) {
            (Some((_, draft)), None) => Ok(draft.clone()),
            (Some(_), Some(_)) => {
                self.section = Place::Lost;
                let message = format!("there are several `defaults {}`", name.text);
                Err(Diagnostic::error(name.span, "ambiguous-name", message)
                    .help("give them different names"))
            }
            (None, _) => {
                self.section = Place::Lost;
                let message = format!("there is no `defaults {}` above this line", name.text);
                let known = self.defaults.iter().map(|(known, _)| known.as_str());
                let finding = Diagnostic::error(name.span, "unknown-name", message);
                Err(guess::suggest(finding, &name.text, known))
            }
        }
    }

    fn open_proxy(
        &mut self,
        kind: ProxyKind,
        first: &Word,
        line: &mut Line<'_>,
    ) -> Result<(), Diagnostic> {
        self.section = Place::Lost;
        let name = line.expect(&format!("the name of the {}", kind.name()))?;
        let mut draft = self.current_defaults.clone();
        let (mut explicit, mut at) = (false, first.span);
        if line.accept("from") {
            let parent = line.expect("the name of a `defaults` section")?;
            draft = self.named(&parent)?;
            (explicit, at) = (true, parent.span);
        }
        let inherited = match draft.defaults_number {
            Some(number) => self.inheritance.derive(number, Some(kind), explicit, at),
            None => Ok(()),
        };
        if let Err(finding) = inherited {
            line.report(finding);
        }
        if line.peek().is_some() {
            let message = "nothing is expected behind the name";
            let finding = Diagnostic::error(line.span(), "extra-word", message);
            let finding = finding.help("write addresses on a `bind` line of their own");
            let serves = kind != ProxyKind::Backend;
            line.report(if serves { as_bind(finding, line) } else { finding });
        }
        if self.proxies.len() >= MAX_PROXIES {
            let message = format!("more than {MAX_PROXIES} proxies");
            return Err(Diagnostic::error(first.span, "too-large", message));
        }
        draft.is_defaults = false;
        draft.global_logs.clone_from(&self.global.global.logs);
        draft.proxy.kind = kind;
        draft.proxy.name.clone_from(&name.text);
        draft.proxy.file = line.file();
        draft.proxy.span = Span::new(first.span.start, name.span.end);
        draft.log_format_at = None;
        self.proxies.push(draft);
        self.section = Place::Proxy;
        server::check_name(&name)
    }

    fn open_other(
        &mut self,
        section: &'static Section,
        first: &Word,
        line: &mut Line<'_>,
    ) -> Result<(), Diagnostic> {
        self.section = Place::Other(section);
        line.report(Diagnostic::not_yet(first.span, format!("a `{}` section", section.name)));
        if section.argument == Argument::Required {
            line.expect(&format!("the name of the `{}` section", section.name))?;
        }
        Ok(())
    }

    fn keyword(&mut self, first: &Word, line: &mut Line<'_>) -> Result<(), Diagnostic> {
        let mut head = first.clone();
        let negation = matches!(first.text.as_str(), "no" | "default")
            && matches!(self.section, Place::Global | Place::Defaults(_) | Place::Proxy);
        if negation {
            line.negated = true;
            head = line.expect(&format!("what `{}` is about", first.text))?;
        }
        match self.section {
            Place::Lost => Ok(()),
            Place::Outside => Err(unknown(&head, line, "outside of all sections", &[])
                .help("start a section: global, defaults, listen, frontend or backend")),
            Place::Global => {
                let tables: &[&[Keyword<global::Draft>]] = &[global::KEYWORDS];
                let row = look_up(tables, &head, line, "in a `global` section")?;
                check_negation(row, negation, &head)?;
                keyword::read(row, &mut self.global, line)
            }
            Place::Defaults(named) => {
                let row = look_up(PROXY_TABLES, &head, line, "in a `defaults` section")?;
                check_negation(row, negation, &head)?;
                verify::in_defaults(row, named.is_some(), line)?;
                let draft = &mut self.current_defaults;
                if let Some(number) = draft.defaults_number {
                    self.inheritance.keyword(number, row.name);
                }
                draft.global_logs.clone_from(&self.global.global.logs);
                let result = keyword::read(row, draft, line);
                if let Some((_, stored)) = named.and_then(|at| self.defaults.get_mut(at)) {
                    stored.clone_from(draft);
                }
                result
            }
            Place::Proxy => {
                let Some(draft) = self.proxies.last_mut() else { return Ok(()) };
                let place = format!("in a `{}` section", draft.proxy.kind.name());
                let row = look_up(PROXY_TABLES, &head, line, &place)?;
                check_negation(row, negation, &head)?;
                if verify::in_proxy(row, &draft.proxy, line)? {
                    return keyword::read(row, draft, line);
                }
                // Ignored by HAProxy too, but its mistakes are not.
                let mut ignored = draft.clone();
                keyword::read(row, &mut ignored, line)?;
                verify::no_loop(&ignored)
            }
            Place::Other(section) => {
                let place = format!("in a `{}` section", section.name);
                look_up(&[section.keywords], &head, line, &place).map(|_| ())
            }
        }
    }
}

/// `listen web 10.0.0.1:80` was once allowed.
fn as_bind(finding: Diagnostic, line: &Line<'_>) -> Diagnostic {
    match (line.peek(), line.look(1)) {
        (Some(word), None) if address::parse(word, &word.text).is_ok_and(has_port) => {
            let text = format!("\n    bind {}", word.text);
            finding.fix_here(text)
        }
        _ => finding,
    }
}

fn has_port(target: Target) -> bool {
    matches!(target, Target::Inet { port: Port::One(_), .. })
}

fn check_negation<T>(row: &Keyword<T>, negated: bool, head: &Word) -> Result<(), Diagnostic> {
    if negated && !row.negatable {
        let message = format!("`no` cannot stand before `{}`", row.name);
        return Err(Diagnostic::error(head.span, "bad-negation", message)
            .help("it goes with switches like `option dontlognull` and with `log`"));
    }
    Ok(())
}

/// Finds the row; takes the second word if the row has two.
fn look_up<'t, T>(
    tables: &[&'t [Keyword<T>]],
    head: &Word,
    line: &mut Line<'_>,
    place: &str,
) -> Result<&'t Keyword<T>, Diagnostic> {
    if let Some((row, two)) = find(tables, &head.text, line.look(0)) {
        if two {
            line.take();
        }
        return Ok(row);
    }
    let members = family(tables, &head.text);
    if members.is_empty() {
        let rows = tables.iter().flat_map(|table| table.iter());
        let known: Vec<&str> =
            rows.map(|row| row.name.split(' ').next().unwrap_or_default()).collect();
        return Err(unknown(head, line, place, &known));
    }
    let word = line.expect(&format!("what `{}` is about", head.text))?;
    let message = format!("there is no `{} {}`", head.text, word.text);
    let finding = Diagnostic::error(word.span, "unknown-keyword", message);
    Err(guess::suggest(finding, &word.text, members))
}

/// Longest part of a line that a help text repeats.
const MAX_REPEATED: usize = 80;

fn unknown(head: &Word, line: &mut Line<'_>, place: &str, known: &[&str]) -> Diagnostic {
    let message = format!("`{}` is no keyword {place}", head.text);
    let finding = Diagnostic::error(head.span, "unknown-keyword", message);
    let starts_like_a_word = head.text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !starts_like_a_word {
        let rest: Vec<String> = line.rest().into_iter().map(|word| word.text).collect();
        let whole = [vec![head.text.clone()], rest].concat().join(" ");
        let mut shown: String = whole.chars().take(MAX_REPEATED).collect();
        if shown.len() < whole.len() {
            shown.push_str("...");
        }
        let start = Span::new(head.span.start, head.span.start);
        let help = format!("a comment starts with `#`: write `# {shown}`");
        return finding.help(help).fix(start, "# ");
    }
    let finding = guess::near(finding, &head.text, known.iter().copied());
    if finding.help.is_some() {
        return finding;
    }
    match elsewhere(&head.text) {
        Some(home) => finding.help(format!("it belongs into {home}")),
        None => finding,
    }
}

/// The section that a keyword belongs to.
fn elsewhere(name: &str) -> Option<&'static str> {
    let is = |row: &str| row == name || row.split(' ').next() == Some(name);
    if global::KEYWORDS.iter().any(|row| is(row.name)) {
        return Some("`global`");
    }
    if PROXY_TABLES.iter().flat_map(|table| table.iter()).any(|row| is(row.name)) {
        return Some("`defaults`, `listen`, `frontend` or `backend`");
    }
    let other = SECTIONS.iter().find(|section| section.keywords.iter().any(|row| is(row.name)));
    other.map(|section| section.name)
}
