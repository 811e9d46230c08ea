//! Processes and files that are tracked.

use std::time::Duration;

/// Processes whose number changes the priority, or takes the address away.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrackedProcess {
    pub name: String,
    /// Program and arguments; not empty.
    pub command: Vec<String>,
    pub matching: Matching,
    /// So many have to run.
    pub least: u32,
    /// More may not; none: any number may.
    pub most: Option<u32>,
    /// So long a number has to be right before it counts.
    pub fork_delay: Duration,
    /// So long it has to be wrong.
    pub terminate_delay: Duration,
    /// 0: without enough of them the address goes; else added to the priority, or taken from it.
    pub weight: i16,
    /// It is good while they do not run.
    pub reversed: bool,
}

/// What of a process has to be as written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Matching {
    /// What the kernel calls it: its program without the folder, at most 15 bytes.
    Name,
    /// The program as it was started, whatever arguments it has.
    Program,
    /// Program and arguments, no more and no less.
    Exact,
    /// The same; the last argument may be longer.
    Initial,
    /// The first arguments.
    Partial,
}

/// Of the name of a process so much is in the kernel.
const NAME_BYTES: usize = 15;

impl TrackedProcess {
    /// What no file says is as keepalived has it.
    #[must_use]
    pub fn plain(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            command: Vec::new(),
            matching: Matching::Name,
            least: 1,
            most: None,
            fork_delay: Duration::ZERO,
            terminate_delay: Duration::ZERO,
            weight: 1,
            reversed: false,
        }
    }

    /// Whether the kernel calls a process so.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        let Some(program) = self.command.first() else { return false };
        let kept = program.as_bytes().get(..NAME_BYTES).unwrap_or(program.as_bytes());
        kept == name.as_bytes()
    }

    /// Whether a process was started with these words, the program first.
    #[must_use]
    pub fn matches(&self, words: &[Vec<u8>]) -> bool {
        let wanted = || self.command.iter().map(String::as_bytes);
        let found = words.iter().map(Vec::as_slice);
        if words.len() < self.command.len() || self.command.is_empty() {
            return false;
        }
        match self.matching {
            Matching::Name => false,
            Matching::Program | Matching::Partial => wanted().eq(found.take(self.command.len())),
            Matching::Exact => wanted().eq(found),
            Matching::Initial => {
                let last = self.command.len() - 1;
                wanted().take(last).eq(found.take(last))
                    && words[last].starts_with(self.command[last].as_bytes())
            }
        }
    }
}

/// A file with a number that is added to the priority.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrackedFile {
    pub name: String,
    pub path: String,
    /// The number is multiplied by it. 0: any number but 0 takes the address away.
    pub weight: i32,
    /// The number is taken from the priority; with a weight of 0 the number 0 takes the address away.
    pub reversed: bool,
}

/// How long a change of a device has to last until it counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InterfaceDelay {
    pub name: String,
    pub down: Duration,
    pub up: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<u8>> {
        text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn a_process_is_known_by_its_name_or_by_its_words() {
        let of = |command: &str, matching| TrackedProcess {
            command: command.split(' ').map(str::to_owned).collect(),
            matching,
            ..TrackedProcess::plain("it")
        };
        let named = of("a-program-with-a-long-name", Matching::Name);
        assert!(named.is_named("a-program-with-") && !named.is_named("a-program-with-a"));
        let rows = [
            (Matching::Program, "/bin/a", "/bin/a -x", true),
            (Matching::Program, "a", "/bin/a -x", false),
            (Matching::Exact, "/bin/a -x", "/bin/a -x", true),
            (Matching::Exact, "/bin/a", "/bin/a -x", false),
            (Matching::Exact, "/bin/a -x -y", "/bin/a -x", false),
            (Matching::Initial, "/bin/a -x f", "/bin/a -x file more", true),
            (Matching::Initial, "/bin/a -y f", "/bin/a -x file", false),
            (Matching::Partial, "/bin/a -x", "/bin/a -x file", true),
            (Matching::Partial, "/bin/a -", "/bin/a -x file", false),
        ];
        for (matching, wanted, found, answer) in rows {
            assert_eq!(of(wanted, matching).matches(&words(found)), answer, "{wanted} {found}");
        }
    }
}

/// A file that is made at the start of the node (`init_file`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MadeFile {
    pub path: String,
    pub number: i64,
    /// Whatever is in it.
    pub overwrites: bool,
}
