//! The keys of `[vip.NAME]` by which adverts are signed. What signs lies in files of its own: no secret is in this one.

use std::time::Duration;

use super::fields::At;
use super::read::{Field, in_order, number, span, text, time, wrong};
use super::vips::VipDraft;
use crate::diagnostic::Diagnostic;
use crate::vip::{self, Hmac, Key, KeyValue, Mode, Replay};

#[derive(Debug, Default)]
pub(crate) struct HmacDraft {
    keys: Option<At<Vec<Key>>>,
    active: Option<At<u8>>,
    is_monotonic: Option<At<bool>>,
    window: Option<At<u16>>,
    mode: Option<At<Mode>>,
}

pub(super) const KEYS: Field<VipDraft> = Field {
    name: "hmac_keys",
    form: "{ 1 = \"/etc/outlast/vip-1.key\" }",
    default: "none: adverts are not signed",
    does: "signs adverts as `auth_hmac` of keepalived 2.4 does, and obeys only those that are signed and new: ids of keys and the files (mode 600) that hold them, as `hex:` and what `openssl rand -hex 32` says",
    set: |draft, value, _| {
        let what = "ids of keys and their files";
        let Some(table) = value.get_ref().as_table() else { return Err(wrong(value, what)) };
        let mut keys = Vec::new();
        for ((id, at), value) in in_order(table) {
            let known = id.parse::<u8>().ok().filter(|id| *id > 0);
            let id = known.ok_or_else(|| {
                let message = format!("expected the id of a key from 1 to 255, found `{id}`");
                Diagnostic::error(at, "bad-value", message)
            })?;
            let path = text(value, "the path of a file")?;
            if path.starts_with("hex:") {
                return Err(wrong(value, "the path of a file that holds the key"));
            }
            keys.push(Key { id, value: KeyValue::File(path) });
        }
        if keys.is_empty() {
            return Err(wrong(value, what));
        }
        draft.hmac.keys = Some((keys, span(value)));
        Ok(())
    },
};

pub(super) const ACTIVE: Field<VipDraft> = Field {
    name: "hmac_active",
    form: "1",
    default: "the one key of `hmac_keys`",
    does: "the id of the key that signs; those that others sign with are taken all",
    set: |draft, value, _| {
        let id = u8::try_from(number(value, "the id of a key", 1, 255)?).unwrap_or(255);
        draft.hmac.active = Some((id, span(value)));
        Ok(())
    },
};

pub(super) const REPLAY: Field<VipDraft> = Field {
    name: "hmac_replay",
    form: "\"monotonic\"",
    default: "\"time\"",
    does: "\"time\": an advert is obeyed while it is new by the clock, which all routers of the group have to agree on; \"monotonic\": each has to be newer than the one before, for clocks that do not agree",
    set: |draft, value, _| {
        let is_monotonic = match value.get_ref().as_str() {
            Some("time") => false,
            Some("monotonic") => true,
            _ => return Err(wrong(value, "\"time\" or \"monotonic\"")),
        };
        draft.hmac.is_monotonic = Some((is_monotonic, span(value)));
        Ok(())
    },
};

pub(super) const WINDOW: Field<VipDraft> = Field {
    name: "hmac_window",
    form: "\"5s\"",
    default: "three adverts, at least 5s",
    does: "how far the clock of a sender may be off, whole seconds up to \"300s\"",
    set: |draft, value, _| {
        let window = time(value)?;
        let seconds = window.as_secs();
        let fits = window == Duration::from_secs(seconds) && vip::WINDOW.contains(&seconds);
        let seconds = u16::try_from(seconds).ok().filter(|_| fits);
        let seconds = seconds.ok_or_else(|| wrong(value, "whole seconds up to \"300s\""))?;
        draft.hmac.window = Some((seconds, span(value)));
        Ok(())
    },
};

pub(super) const MODE: Field<VipDraft> = Field {
    name: "hmac_mode",
    form: "\"receive-only\"",
    default: "\"enforce\"",
    does: "\"receive-only\": adverts that are not signed are obeyed, and ours are not; \"permissive\": they are obeyed, and ours are signed; so a group that runs comes to \"enforce\" node by node",
    set: |draft, value, _| {
        let mode = value.get_ref().as_str().and_then(Mode::named);
        let what = "\"enforce\", \"permissive\" or \"receive-only\"";
        draft.hmac.mode = Some((mode.ok_or_else(|| wrong(value, what))?, span(value)));
        Ok(())
    },
};

impl HmacDraft {
    /// What does not go together is told.
    pub(crate) fn settle(
        self,
        advert_interval: Duration,
        password: Option<&At<String>>,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Hmac> {
        let mut wrong = |at, message: &str, help: &str| {
            findings.push(Diagnostic::error(at, "auth-hmac", message).help(help));
        };
        let Some((keys, at)) = self.keys else {
            let spans = [
                self.active.map(|(_, at)| at),
                self.is_monotonic.map(|(_, at)| at),
                self.window.map(|(_, at)| at),
                self.mode.map(|(_, at)| at),
            ];
            if let Some(at) = spans.into_iter().flatten().next() {
                wrong(at, "without `hmac_keys` nothing is signed", "add them, or remove this");
            }
            return None;
        };
        if let Some((_, at)) = password {
            wrong(*at, "a password does not go with `hmac_keys`", "remove `password`");
        }
        let active = match (self.active, keys.as_slice()) {
            (Some((active, _)), keys) if keys.iter().any(|key| key.id == active) => active,
            (None, [one]) => one.id,
            (active, _) => {
                let at = active.map_or(at, |(_, at)| at);
                let message = "which of `hmac_keys` signs is not said";
                wrong(at, message, "write `hmac_active` with the id of one of them");
                0
            }
        };
        let replay = if self.is_monotonic.is_some_and(|(it, _)| it) {
            if let Some((_, at)) = self.window {
                let message = "`hmac_replay = \"monotonic\"` asks no clock, so it has no window";
                wrong(at, message, "remove one of the two");
            }
            Replay::Monotonic
        } else {
            Replay::by_time(self.window.map(|(window, _)| window), advert_interval)
        };
        let mode = self.mode.map_or_else(Mode::default, |(mode, _)| mode);
        Some(Hmac { keys, active, replay, mode })
    }
}
