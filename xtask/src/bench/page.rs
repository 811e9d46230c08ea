//! docs/benchmarks.md: one section per bench; writing one leaves the others as they are.

use std::process::Command;

use crate::shell::{self, Outcome};

/// The last measurements that somebody found worth keeping.
const PAGE: &str = "docs/benchmarks.md";

/// Replaces one section's text; one that is not there comes to the end.
pub(super) fn write(section: &str, command: &str, body: &str) -> Outcome {
    let path = shell::root().join(PAGE);
    let text = format!("`{command}`, {}.\n\n{}", today(), body.trim_end());
    shell::write(&path, &replace(&shell::read(&path)?, section, &text))
}

fn replace(page: &str, section: &str, text: &str) -> String {
    let title = format!("## {section}\n");
    let new = format!("{title}\n{}\n", text.trim_end());
    let Some(start) = page.find(&title) else {
        return format!("{}\n\n{new}", page.trim_end());
    };
    let rest = &page[start + title.len()..];
    match rest.find("\n## ") {
        Some(end) => format!("{}{new}{}", &page[..start], &rest[end..]),
        None => format!("{}{new}", &page[..start]),
    }
}

/// The day, as `date` says it: xtask imports no crate that knows calendars.
fn today() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    let day = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    day.unwrap_or_else(|_| "day unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_others_stay() {
        let page = "# B\n\nhead\n\n## One\n\nold\n\n## Two\n\nkept\n";
        assert_eq!(replace(page, "One", "new"), "# B\n\nhead\n\n## One\n\nnew\n\n## Two\n\nkept\n");
        assert_eq!(replace(page, "Two", "new"), "# B\n\nhead\n\n## One\n\nold\n\n## Two\n\nnew\n");
        assert!(replace(page, "Three", "more").ends_with("kept\n\n## Three\n\nmore\n"));
    }
}
