//! Which sections take their defaults from where, and what HAProxy refuses there (its manual, 4).

use base::Span;

use super::ProxyKind;
use crate::diagnostic::Diagnostic;

/// Every `defaults` section with what was made from it.
#[derive(Debug, Default)]
pub(crate) struct Inheritance {
    sections: Vec<Section>,
}

#[derive(Debug, Default)]
struct Section {
    name: Option<String>,
    /// Has rules for requests or responses.
    has_rules: bool,
    /// Named with `from`.
    explicit: bool,
    /// Used because it stood above.
    implicit: bool,
    /// The kind of the first proxy made from it.
    kind: Option<ProxyKind>,
}

impl Inheritance {
    /// A section begins; its number.
    pub(crate) fn open(&mut self, name: Option<String>) -> usize {
        self.sections.push(Section { name, ..Section::default() });
        self.sections.len() - 1
    }

    /// A keyword stands in section `number`.
    pub(crate) fn keyword(&mut self, number: usize, name: &str) {
        let family = name.split(' ').next().unwrap_or_default();
        let is_rule = matches!(
            family,
            "http-request"
                | "http-response"
                | "http-after-response"
                | "tcp-request"
                | "tcp-response"
        );
        if let Some(section) = self.sections.get_mut(number) {
            section.has_rules |= is_rule;
        }
    }

    /// A section at `at` takes its defaults from section `number`; `kind` is none for `defaults`.
    pub(crate) fn derive(
        &mut self,
        number: usize,
        kind: Option<ProxyKind>,
        explicit: bool,
        at: Span,
    ) -> Result<(), Diagnostic> {
        let Some(section) = self.sections.get_mut(number) else { return Ok(()) };
        // An alert of HAProxy which does not keep it from starting.
        section.explicit |= explicit;
        section.implicit |= !explicit;
        if let (Some(name), true, true) = (&section.name, section.explicit, section.implicit) {
            let message = format!("`defaults {name}` is used with `from` and without it");
            let finding = Diagnostic::warning(at, "ambiguous-name", message);
            return Err(
                finding.help(format!("write `from {name}` behind every name that means it"))
            );
        }
        if !section.has_rules {
            return Ok(());
        }
        let refused = |who: &str| {
            let message = format!("{who} cannot inherit rules from `defaults`");
            Err(Diagnostic::error(at, "wrong-section", message)
                .help("write the rules in each section that needs them"))
        };
        match (kind, section.kind) {
            (None, _) => refused("a `defaults` section"),
            (Some(ProxyKind::Listen), _) => refused("a `listen` section"),
            (Some(now), Some(before)) if now != before => {
                refused("frontends and backends together")
            }
            (Some(now), _) => {
                section.kind = Some(now);
                Ok(())
            }
        }
    }
}
