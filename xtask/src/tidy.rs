//! `cargo xtask tidy`: the rules of the house that no compiler checks.

mod code;
mod docs;
mod imports;
mod lengths;
mod names;
mod proofs;
mod tree;

use std::fmt;

use crate::shell::{Failure, Outcome};
use tree::Tree;

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Finding {
    file: String,
    line: usize,
    message: String,
}

impl Finding {
    fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

pub(crate) fn run(update: bool) -> Outcome {
    let tree = Tree::read()?;
    let mut findings = imports::check(&tree)?;
    findings.extend(lengths::check(&tree, update)?);
    for file in &tree.files {
        findings.extend(names::check(file));
        findings.extend(docs::check(file));
    }
    findings.extend(proofs::check(&tree));
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(Failure::new(format!("tidy: {count} findings"))),
    }
}
