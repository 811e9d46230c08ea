//! `auth_hmac`, which keepalived has since 2.4: adverts are signed.

use base::Span;

use super::Instance;
use super::instance::{entries, unknown_entry};
use crate::diagnostic::Diagnostic;
use crate::line::{Line, Word};
use crate::vip::{Hmac, Key, KeyValue, Mode, Replay, WINDOW};

pub(super) const SYNTAX: &str = "{ key <1-255> hex:<digits>|file:<path>|<text> active_key <id> [anti_replay time|monotonic] \
     [time_window <1-300>] [mode enforce|permissive|receive-only] }";
pub(super) const DOES: &str = "signs adverts, and obeys only those that are signed and new";

/// Every word of the block.
const WORDS: [&str; 5] = ["key", "active_key", "anti_replay", "time_window", "mode"];

/// What was written where.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Signed {
    pub at: Span,
    /// Of the word behind `active_key`.
    pub active: Option<Span>,
    /// `time_window`, seconds.
    pub window: Option<u16>,
}

pub(super) fn read(instance: &mut Instance, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    let mut signed = Signed { at: line.head(), ..Signed::default() };
    let mut hmac = Hmac::new();
    for words in entries(line, "auth_hmac")? {
        if let Err(finding) = entry(&words, &mut hmac, &mut signed) {
            line.report(finding);
        }
    }
    (instance.hmac, instance.written.hmac) = (Some(hmac), Some(signed));
    Ok(())
}

fn entry(words: &[Word], hmac: &mut Hmac, signed: &mut Signed) -> Result<(), Diagnostic> {
    let [name, values @ ..] = words else { return Ok(()) };
    match (name.text.as_str(), values) {
        ("key", [id, value]) => {
            let id = number(id)?;
            if hmac.keys.iter().any(|key| key.id == id) {
                let message = format!("there is a key {id} already");
                return Err(Diagnostic::error(name.span, "duplicate-name", message));
            }
            let value = KeyValue::of(&value.text).map_err(|why| {
                let help = "write hex: and what openssl rand -hex 32 says, or file: and a path";
                Diagnostic::error(value.span, "bad-value", why).help(help)
            })?;
            hmac.keys.push(Key { id, value });
        }
        ("active_key", [id]) => {
            hmac.active = number(id)?;
            signed.active = Some(id.span);
        }
        ("anti_replay", [word]) => {
            hmac.replay = match word.text.as_str() {
                "time" => Replay::Time { window: 0 },
                "monotonic" => Replay::Monotonic,
                _ => return Err(word.wrong("time or monotonic")),
            };
        }
        ("time_window", [word]) => {
            let seconds = word.number("seconds", *WINDOW.start(), *WINDOW.end())?;
            signed.window = u16::try_from(seconds).ok();
        }
        ("mode", [word]) => {
            let mode = Mode::named(&word.text);
            hmac.mode = mode.ok_or_else(|| word.wrong("enforce, permissive or receive-only"))?;
        }
        (known, _) if WORDS.contains(&known) => {
            let many = if known == "key" { "an id and a key" } else { "one word" };
            let message = format!("expected {many} behind `{known}`");
            return Err(Diagnostic::error(name.span, "missing-word", message));
        }
        _ => return Err(unknown_entry(name, "auth_hmac", &WORDS)),
    }
    Ok(())
}

fn number(word: &Word) -> Result<u8, Diagnostic> {
    let number = word.number("the id of a key", 1, 255)?;
    Ok(u8::try_from(number).unwrap_or(255))
}

/// When all of the instance was read.
pub(super) fn settle(instance: &mut Instance, found: &mut Vec<Diagnostic>) {
    let (Some(hmac), Some(signed)) = (&mut instance.hmac, instance.written.hmac) else { return };
    if let Replay::Time { .. } = hmac.replay {
        hmac.replay = Replay::by_time(signed.window, instance.advert_interval);
    }
    let mut wrong = |at: Span, message: &str, help: &str| {
        found.push(Diagnostic::error(at, "auth-hmac", message).help(help));
    };
    if let Some(authentication) = &instance.authentication {
        let message = "a password does not go with `auth_hmac`";
        wrong(authentication.span, message, "remove `authentication`");
    }
    if !hmac.keys.iter().any(|key| key.id == hmac.active) {
        // keepalived goes on and signs nothing, which nobody wants who writes this block.
        let message = "`auth_hmac` does not say which of its keys signs";
        let at = signed.active.unwrap_or(signed.at);
        wrong(at, message, "write `active_key` with the id of a `key`");
    }
}
