//! Rust source with comments and the insides of strings blanked, so that words can be searched.
//!
//! Not a parser: it knows just enough to tell code from text, and keeps every line where it was.

#[derive(Debug)]
pub(super) struct Code(String);

/// A word of the code and where it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Word<'a> {
    pub line: usize,
    pub text: &'a str,
    /// What stands between this word and the next, without blanks.
    pub then: char,
}

impl Code {
    pub(super) fn strip(text: &str) -> Self {
        let characters: Vec<char> = text.chars().collect();
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while at < characters.len() {
            let end = end_of_text(&characters, at).unwrap_or(at);
            if end == at {
                out.push(characters[at]);
                at += 1;
                continue;
            }
            for character in &characters[at..end] {
                out.push(if *character == '\n' { '\n' } else { ' ' });
            }
            at = end;
        }
        Self(out)
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.0.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    pub(super) fn words(&self) -> impl Iterator<Item = Word<'_>> {
        self.lines().flat_map(|(line, text)| {
            let mut rest = text;
            std::iter::from_fn(move || {
                let start = rest.find(is_word)?;
                let length = rest[start..].find(|c| !is_word(c)).unwrap_or(rest.len() - start);
                let word = &rest[start..start + length];
                rest = &rest[start + length..];
                let then = rest.trim_start().chars().next().unwrap_or('\n');
                Some(Word { line, text: word, then })
            })
        })
    }

    /// Every function with a body: its name, its first line and how many lines of code it has.
    /// Blank lines, comments and the insides of strings are not code.
    pub(super) fn functions(&self) -> Vec<Function> {
        let mut functions = vec![];
        let mut waiting: Option<(String, usize)> = None;
        let mut open: Vec<Option<(String, usize)>> = vec![];
        let mut after_fn = None;
        let mut code = vec![0]; // up to each line
        for (line, text) in self.lines() {
            code.push(code[line - 1] + usize::from(!text.trim().is_empty()));
            for token in tokens(text) {
                match token {
                    "fn" => after_fn = Some(line),
                    ";" => waiting = None,
                    "{" => open.push(waiting.take()),
                    "}" => {
                        if let Some(Some((name, first))) = open.pop() {
                            let length = code[line] - code[first - 1];
                            functions.push(Function { name, line: first, length });
                        }
                    }
                    name if name.starts_with(is_word) => {
                        if let Some(first) = after_fn.take() {
                            waiting = Some((name.to_owned(), first));
                        }
                    }
                    // `fn(` is a type.
                    _ => after_fn = None,
                }
            }
        }
        functions
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Function {
    pub name: String,
    pub line: usize,
    pub length: usize,
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Words, and every other visible character by itself. A `;` within brackets is an array's.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    let mut brackets = 0_usize;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start();
            let first = rest.chars().next()?;
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else {
                first.len_utf8()
            };
            let token = &rest[..length];
            rest = &rest[length..];
            match first {
                '[' => brackets += 1,
                ']' => brackets = brackets.saturating_sub(1),
                ';' if brackets > 0 => continue,
                _ => {}
            }
            return Some(token);
        }
    })
}

/// Where the comment, string or character that starts here ends; `None` if none starts here.
fn end_of_text(text: &[char], at: usize) -> Option<usize> {
    let next = text.get(at + 1).copied();
    match text[at] {
        '/' if next == Some('/') => {
            Some(text[at..].iter().position(|c| *c == '\n').map_or(text.len(), |n| at + n))
        }
        '/' if next == Some('*') => Some(end_of_comment(text, at)),
        '"' => Some(end_of_string(text, at + 1)),
        'r' if at == 0 || !is_word(text[at - 1]) || text[at - 1] == 'b' => {
            let hashes = text[at + 1..].iter().take_while(|c| **c == '#').count();
            (text.get(at + 1 + hashes) == Some(&'"'))
                .then(|| end_of_raw_string(text, at + 2 + hashes, hashes))
        }
        // 'a' and '\n' are characters, 'a is a lifetime.
        '\'' if next == Some('\\') => {
            Some(text[at + 3..].iter().position(|c| *c == '\'').map_or(text.len(), |n| at + n + 4))
        }
        '\'' if text.get(at + 2) == Some(&'\'') => Some(at + 3),
        _ => None,
    }
}

fn end_of_comment(text: &[char], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < text.len() {
        match (text[at], text.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) if depth == 1 => return at + 2,
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    text.len()
}

fn end_of_string(text: &[char], mut at: usize) -> usize {
    while at < text.len() {
        match text[at] {
            '"' => return at + 1,
            '\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

fn end_of_raw_string(text: &[char], mut at: usize, hashes: usize) -> usize {
    while at < text.len() {
        let closes = text[at] == '"' && text[at + 1..].iter().take(hashes).all(|c| *c == '#');
        if closes && text.len() > at + hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(Code::strip(text).0, expected);
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        check("a // unsafe\nb", "a          \nb");
        check("a /* x /* y */ z */ b", "a                   b");
        check("f(\"unsafe \\\" {\") + 1", "f(             ) + 1");
        check("f(r#\"a \" b\"#);", "f(          );");
        check("let x = 'a'; let y: &'static str", "let x =    ; let y: &'static str");
        check("['{', '\\'', '\\u{7b}']", "[   ,     ,         ]");
    }

    #[test]
    fn functions_are_measured_from_their_name_to_their_brace() {
        let code = Code::strip(
            "trait T { fn none(&self) -> [u8; 2]; }\nfn one() {}\nfn three(f: fn(u8)) -> [u8; 2] {\n\n  // x\n  if x { y }\n}\n",
        );
        let lengths: Vec<_> =
            code.functions().into_iter().map(|f| (f.name, f.line, f.length)).collect();
        assert_eq!(lengths, [("one".to_owned(), 2, 1), ("three".to_owned(), 3, 3)]);
    }
}
