//! `[access]`: people and their roles.

use super::fields::At;
use super::read::{Field, Value, texts, wrong};
use super::{Access, Person};
use crate::diagnostic::Diagnostic;

/// A site that names more gives the role to a group.
const MAX_PEOPLE: usize = 64;
/// As `useradd` and `groupadd` take them.
const MAX_NAME: usize = 32;

pub(crate) const ACCESS: &[Field<Access>] = &[
    Field {
        name: "admin",
        form: "[\"root\", \"@wheel\"]",
        default: "root and the user of the daemon, who are it in any case",
        does: "users, and groups after `@`, by name or number, who may do everything; also give tokens to programs and read the audit log",
        set: |draft, value, findings| {
            draft.admin = people(value, findings)?;
            Ok(())
        },
    },
    Field {
        name: "operator",
        form: "[\"@ops\"]",
        default: "nobody",
        does: "who may move addresses and take nodes out of service, too",
        set: |draft, value, findings| {
            draft.operator = people(value, findings)?;
            Ok(())
        },
    },
    Field {
        name: "viewer",
        form: "[\"@staff\"]",
        default: "everybody on the machine",
        does: "who may look; with a list, all others are refused, and the dashboard asks for a token on loopback, too",
        set: |draft, value, findings| {
            draft.viewer = Some(people(value, findings)?);
            Ok(())
        },
    },
];

fn people(value: &Value<'_>, findings: &mut Vec<Diagnostic>) -> Result<Vec<Person>, Diagnostic> {
    let texts = texts(value, "a user, or a group after @")?;
    if texts.len() > MAX_PEOPLE {
        return Err(wrong(value, &format!("at most {MAX_PEOPLE} users and groups")));
    }
    let mut people = vec![];
    for text in texts {
        match person(&text) {
            Ok(person) => people.push(person),
            Err(finding) => findings.push(finding),
        }
    }
    Ok(people)
}

fn person((text, at): &At<String>) -> Result<Person, Diagnostic> {
    let (is_group, name) = match text.strip_prefix('@') {
        Some(name) => (true, name),
        None => (false, text.as_str()),
    };
    if !name.is_empty() && name.chars().all(|c| c.is_ascii_digit()) {
        let number = name.parse().map_err(|_| bad(text, *at))?;
        return Ok(if is_group { Person::Gid(number) } else { Person::Uid(number) });
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.$".contains(c);
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(fits) {
        return Err(bad(text, *at));
    }
    let name = name.to_owned();
    Ok(if is_group { Person::Group(name) } else { Person::User(name) })
}

fn bad(text: &str, at: base::Span) -> Diagnostic {
    let message = format!("`{text}` is no name of a user or of a group");
    let help = "write \"alice\", \"1000\", \"@ops\" or \"@1000\"";
    Diagnostic::error(at, "bad-value", message).help(help)
}
