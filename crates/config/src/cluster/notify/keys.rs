//! The keys of `[notify.NAME]`.

use std::path::PathBuf;
use std::time::Duration;

use super::{Mail, MailTls, Topic};
use crate::cluster::fields::At;
use crate::cluster::read::{
    Field, REQUIRED, Value, boolean, fields, span, text, texts, time, wrong,
};
use crate::diagnostic::Diagnostic;
use crate::guess;

/// RFC 5321 4.5.3.1.3 allows 256 with its brackets.
const MAX_ADDRESS: usize = 254;
/// Another node goes on with what one was sending after 45 s: this is over by then.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Three weeks: what is older is history.
const LONGEST_RETRY: Duration = Duration::from_secs(21 * 24 * 3600);
/// `[notify.NAME]`
#[derive(Debug, Default)]
pub(crate) struct NotifyDraft {
    pub(super) smtp: Option<At<MailDraft>>,
    pub(super) webhook: Option<At<WebhookDraft>>,
    pub(super) events: Option<Vec<Topic>>,
    pub(super) retry_for: Option<Duration>,
}

#[derive(Debug, Default)]
pub(crate) struct MailDraft {
    pub(super) server: Option<At<String>>,
    pub(super) tls: Option<MailTls>,
    pub(super) from: Option<String>,
    pub(super) to: Vec<String>,
    pub(super) user: Option<At<String>>,
    pub(super) password_file: Option<At<PathBuf>>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) timeout: Option<Duration>,
}

#[derive(Debug, Default)]
pub(crate) struct WebhookDraft {
    pub(super) url: Option<At<String>>,
    pub(super) url_file: Option<At<PathBuf>>,
    pub(super) secret_file: Option<PathBuf>,
    pub(super) headers_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) in_the_clear: bool,
    pub(super) timeout: Option<Duration>,
}

pub(crate) const NOTIFY: &[Field<NotifyDraft>] = &[
    Field {
        name: "smtp",
        form: "{ server = \"mail.example.org\", from = \"outlast@example.org\", to = [\"ops@example.org\"] }",
        default: "none; this or `webhook`",
        does: "tells it by mail",
        set: |draft, value, findings| {
            let mut mail = MailDraft::default();
            let table = value.get_ref().as_table();
            let table =
                table.ok_or_else(|| wrong(value, "{ server = ..., from = ..., to = [...] }"))?;
            fields(MAIL, "`smtp`", span(value), table, &mut mail, findings);
            draft.smtp = Some((mail, span(value)));
            Ok(())
        },
    },
    Field {
        name: "webhook",
        form: "{ url = \"https://hooks.example.org/outlast\" }",
        default: "none; this or `smtp`",
        does: "tells it by an HTTP POST with JSON",
        set: |draft, value, findings| {
            let mut hook = WebhookDraft::default();
            let table = value.get_ref().as_table();
            let table = table.ok_or_else(|| wrong(value, "{ url = ... }"))?;
            fields(WEBHOOK, "`webhook`", span(value), table, &mut hook, findings);
            draft.webhook = Some((hook, span(value)));
            Ok(())
        },
    },
    Field {
        name: "events",
        form: "[\"move\", \"loss\", \"return\"]",
        default: "[\"move\", \"loss\", \"return\"]",
        does: "what it is told: an address moved, is held by nobody, is held again after that; and by their names events that are worth a call at night, such as \"node-verdict\" or \"server-down\" (`docs/operate/notify.md`)",
        set: |draft, value, findings| {
            draft.events = Some(topics(value, findings)?);
            Ok(())
        },
    },
    Field {
        name: "retry_for",
        form: "\"72h\"",
        default: "\"72h\"",
        does: "so long after it happened something is tried again, in growing pauses of at most 5 minutes; then it is given up, and told; \"1m\" to \"21d\"",
        set: |draft, value, _| {
            let length = time(value)?;
            if !(Duration::from_secs(60)..=LONGEST_RETRY).contains(&length) {
                return Err(wrong(value, "a time from \"1m\" to \"21d\""));
            }
            draft.retry_for = Some(length);
            Ok(())
        },
    },
];

macro_rules! path {
    ($name:ident, $form:literal, $default:literal, $does:literal) => {
        Field {
            name: stringify!($name),
            form: $form,
            default: $default,
            does: $does,
            set: |draft, value, _| {
                draft.$name = Some(text(value, "a path")?.into());
                Ok(())
            },
        }
    };
}

/// `smtp = { ... }`
pub(crate) const MAIL: &[Field<MailDraft>] = &[
    Field {
        name: "server",
        form: "\"mail.example.org:587\"",
        default: REQUIRED,
        does: "the mail server; without a port 587, with `tls = \"tls\"` 465, with \"none\" 25",
        set: |draft, value, _| {
            draft.server = Some((text(value, "a name or an address")?, span(value)));
            Ok(())
        },
    },
    Field {
        name: "tls",
        form: "\"starttls\"",
        default: "\"starttls\"",
        does: "\"starttls\": TLS after a greeting in the clear, or nothing is said; \"tls\": from the first byte on; \"none\": in the clear",
        set: |draft, value, _| {
            draft.tls = Some(match value.get_ref().as_str() {
                Some("starttls") => MailTls::StartTls,
                Some("tls") => MailTls::Tls,
                Some("none") => MailTls::None,
                _ => return Err(wrong(value, "\"starttls\", \"tls\" or \"none\"")),
            });
            Ok(())
        },
    },
    Field {
        name: "from",
        form: "\"outlast@example.org\"",
        default: REQUIRED,
        does: "who sends",
        set: |draft, value, _| {
            draft.from = Some(address(value)?);
            Ok(())
        },
    },
    Field {
        name: "to",
        form: "[\"ops@example.org\"]",
        default: REQUIRED,
        does: "who gets it, at most 16",
        set: |draft, value, _| {
            draft.to = addresses(value)?;
            Ok(())
        },
    },
    Field {
        name: "user",
        form: "\"outlast\"",
        default: "none",
        does: "name of an account, where the server asks for one (PLAIN or LOGIN)",
        set: |draft, value, _| {
            draft.user = Some((text(value, "a name")?, span(value)));
            Ok(())
        },
    },
    Field {
        name: "password_file",
        form: "\"/etc/outlast/mail-password\"",
        default: "none; needed with `user`",
        does: "file of mode 600 with its password in one line",
        set: |draft, value, _| {
            draft.password_file = Some((text(value, "a path")?.into(), span(value)));
            Ok(())
        },
    },
    path!(
        ca_file,
        "\"/etc/outlast/mail-ca.pem\"",
        "/etc/ssl/certs/ca-certificates.crt",
        "whose certificates are believed"
    ),
    Field {
        name: "timeout",
        form: "\"10s\"",
        default: "\"10s\"",
        does: "for the whole conversation, at most \"30s\"",
        set: |draft, value, _| {
            draft.timeout = Some(timeout(value)?);
            Ok(())
        },
    },
];

/// `webhook = { ... }`
pub(crate) const WEBHOOK: &[Field<WebhookDraft>] = &[
    Field {
        name: "url",
        form: "\"https://hooks.example.org/outlast\"",
        default: "none; this or `url_file`",
        does: "where it is posted to",
        set: |draft, value, _| {
            draft.url = Some((text(value, "a URL")?, span(value)));
            Ok(())
        },
    },
    Field {
        name: "url_file",
        form: "\"/etc/outlast/hook-url\"",
        default: "none",
        does: "file of mode 600 with the URL in one line, where the URL is a secret by itself",
        set: |draft, value, _| {
            draft.url_file = Some((text(value, "a path")?.into(), span(value)));
            Ok(())
        },
    },
    path!(
        secret_file,
        "\"/etc/outlast/hook-secret\"",
        "none: not signed",
        "file of mode 600 with a secret in one line: the header `X-Outlast-Signature` is `sha256=` and the HMAC-SHA256 of the body"
    ),
    path!(
        headers_file,
        "\"/etc/outlast/hook-headers\"",
        "none",
        "file of mode 600 with more headers, a line `Name: value` each, at most 16"
    ),
    path!(
        ca_file,
        "\"/etc/outlast/hook-ca.pem\"",
        "/etc/ssl/certs/ca-certificates.crt",
        "whose certificates are believed"
    ),
    Field {
        name: "in_the_clear",
        form: "true",
        default: "false",
        does: "with `headers_file` or `url_file` the URL is https, unless this says that whoever hears the network may know what stands there",
        set: |draft, value, _| {
            draft.in_the_clear = boolean(value)?;
            Ok(())
        },
    },
    Field {
        name: "timeout",
        form: "\"10s\"",
        default: "\"10s\"",
        does: "until it has answered, at most \"30s\"",
        set: |draft, value, _| {
            draft.timeout = Some(timeout(value)?);
            Ok(())
        },
    },
];

fn timeout(value: &Value<'_>) -> Result<Duration, Diagnostic> {
    let length = time(value)?;
    let fits = (Duration::from_millis(100)..=LONGEST_TIMEOUT).contains(&length);
    if fits { Ok(length) } else { Err(wrong(value, "a time from \"100ms\" to \"30s\"")) }
}

fn topics(value: &Value<'_>, findings: &mut Vec<Diagnostic>) -> Result<Vec<Topic>, Diagnostic> {
    let mut found = vec![];
    for (word, at) in texts(value, "kinds of events")? {
        match Topic::of(&word) {
            Some(topic) if !found.contains(&topic) => found.push(topic),
            Some(_) => {}
            None => {
                let message = format!("`{word}` is nothing that can be told");
                let finding = Diagnostic::error(at, "bad-value", message);
                let known = Topic::ALL.map(Topic::word).into_iter();
                let known = known.chain(Topic::EVENTS.map(|(kind, _)| kind));
                findings.push(guess::suggest(finding, &word, known));
            }
        }
    }
    if found.is_empty() && findings.is_empty() {
        return Err(wrong(value, "at least one kind of events"));
    }
    Ok(found)
}

/// Of one person: what goes between brackets to the mail server.
fn address(value: &Value<'_>) -> Result<String, Diagnostic> {
    let what = "an address like \"ops@example.org\"";
    let found = text(value, what)?;
    if is_address(&found) { Ok(found) } else { Err(wrong(value, what)) }
}

fn addresses(value: &Value<'_>) -> Result<Vec<String>, Diagnostic> {
    let Some(list) = value.get_ref().as_array() else { return Ok(vec![address(value)?]) };
    if list.is_empty() || list.len() > Mail::MOST_TO {
        return Err(wrong(value, &format!("1 to {} addresses", Mail::MOST_TO)));
    }
    list.iter().map(address).collect()
}

/// What no mail server could take for anything else: no blanks, brackets, quotes and control characters.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let plain = |c: char| c.is_ascii_graphic() && !"<>()[]\\,;:\"@".contains(c);
    let of_domain = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    text.len() <= MAX_ADDRESS
        && !local.is_empty()
        && !domain.is_empty()
        && local.chars().all(plain)
        && domain.chars().all(of_domain)
}
