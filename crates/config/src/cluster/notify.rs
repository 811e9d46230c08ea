//! `[notify.NAME]`: who is told, by mail or by webhook, that an address moved.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use base::Span;

use crate::diagnostic::Diagnostic;

mod keys;
mod place;

pub(crate) use keys::{MAIL, NOTIFY, NotifyDraft, WEBHOOK};
use keys::{MailDraft, WebhookDraft};

pub use place::{Place, Url};

/// One receiver.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Receiver {
    pub name: String,
    pub way: Way,
    /// What it is told; never empty.
    pub topics: Vec<Topic>,
    /// So long after it happened something is still tried to be told.
    pub retry_for: Duration,
    pub span: Span,
}

/// How it is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Way {
    Mail(Mail),
    Webhook(Webhook),
}

/// `smtp = { ... }`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mail {
    pub server: Place,
    pub tls: MailTls,
    pub from: String,
    pub to: Vec<String>,
    /// Name, and the file with the password.
    pub user: Option<(String, PathBuf)>,
    /// Whose certificates are believed; none: those that the system believes.
    pub ca_file: Option<PathBuf>,
    pub timeout: Duration,
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MailTls {
    /// In the clear at first; without TLS after `STARTTLS` nothing is said.
    #[default]
    StartTls,
    /// From the first byte on.
    Tls,
    None,
}

/// `webhook = { ... }`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Webhook {
    pub url: Endpoint,
    /// With what its body is signed.
    pub secret_file: Option<PathBuf>,
    /// Lines `Name: value` that go with it.
    pub headers_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    /// Somebody wrote that what is secret may be heard on the way.
    pub in_the_clear: bool,
    pub timeout: Duration,
}

/// Where a webhook is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Endpoint {
    Url(Url),
    /// One that is a secret by itself stands in a file.
    File(PathBuf),
}

/// What may be told. Whoever adds one gives it a row here, and says in `engine::notify` what makes it happen.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Topic {
    /// A virtual IP has another holder, or its first one.
    Move,
    /// Nobody holds a virtual IP any more.
    Loss,
    /// One that nobody held is held again.
    Return,
    /// An event of that kind, one of [`Topic::EVENTS`].
    Event(&'static str),
}

impl Topic {
    /// Told where the file does not say what.
    pub const ALL: [Self; 3] = [Self::Move, Self::Loss, Self::Return];

    /// Kinds of events that are worth a call at night, by their names in the catalogue, and whether several nodes see
    /// and say the same.
    pub const EVENTS: [(&'static str, bool); 16] = [
        ("authority-ends", false),
        ("events-not-written", false),
        ("generation-refused", false),
        ("node-verdict", true),
        ("proxy-lost", false),
        ("server-down", true),
        ("server-up", true),
        ("store-leaderless", true),
        ("store-led", true),
        ("store-lost", false),
        ("suspects-itself", false),
        ("two-machines", true),
        ("vip-alone", false),
        ("vip-release-failed", false),
        ("vip-unenforced", false),
        ("vip-unproven", true),
    ];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Move => "move",
            Self::Loss => "loss",
            Self::Return => "return",
            Self::Event(kind) => kind,
        }
    }

    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        let moves = Self::ALL.into_iter().find(|topic| topic.word() == word);
        moves.or_else(|| {
            let kind = Self::EVENTS.into_iter().find(|(kind, _)| *kind == word);
            kind.map(|(kind, _)| Self::Event(kind))
        })
    }

    /// Whether more than one node may say that it happened, of one and the same thing.
    #[must_use]
    pub fn is_seen_by_several(self) -> bool {
        match self {
            Self::Move | Self::Return => false,
            Self::Loss => true,
            Self::Event(kind) => Self::EVENTS.contains(&(kind, true)),
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Receiver {
    /// A weekend, so that a mail server that fails on Friday costs nothing.
    pub const RETRY_FOR: Duration = Duration::from_secs(72 * 3600);
    /// Nobody waits longer for one receiver while others do.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// More are a mailing list's work.
    pub const MOST: usize = 16;
}

impl Mail {
    /// More are a mailing list's work.
    pub const MOST_TO: usize = 16;
}

/// Sections with their names, of which the keys were read.
pub(super) fn resolve_all(
    sections: Vec<(String, Span, NotifyDraft)>,
    findings: &mut Vec<Diagnostic>,
) -> Vec<Receiver> {
    if let Some((_, at, _)) = sections.get(Receiver::MOST) {
        let message = format!("a cluster tells at most {} receivers", Receiver::MOST);
        findings.push(Diagnostic::error(*at, "too-many-receivers", message));
    }
    let resolve = |(name, at, draft)| resolve((name, at), draft, findings);
    sections.into_iter().filter_map(resolve).collect()
}

fn resolve(
    (name, at): (String, Span),
    draft: NotifyDraft,
    findings: &mut Vec<Diagnostic>,
) -> Option<Receiver> {
    let way = match (draft.smtp, draft.webhook) {
        (Some((mail, at)), None) => Way::Mail(mail_of(mail, at, findings)?),
        (None, Some((hook, at))) => Way::Webhook(webhook_of(hook, at, findings)?),
        (Some(_), Some((_, at))) => {
            let message = format!("[notify.{name}] has both `smtp` and `webhook`");
            let finding = Diagnostic::error(at, "bad-value", message);
            findings.push(finding.help("give each a section of its own"));
            return None;
        }
        (None, None) => {
            let message = format!("[notify.{name}] tells nobody");
            let finding = Diagnostic::error(at, "missing-key", message);
            findings.push(finding.help("add `smtp = { ... }` or `webhook = { ... }`"));
            return None;
        }
    };
    Some(Receiver {
        name,
        way,
        topics: draft.events.unwrap_or_else(|| Topic::ALL.to_vec()),
        retry_for: draft.retry_for.unwrap_or(Receiver::RETRY_FOR),
        span: at,
    })
}

fn mail_of(draft: MailDraft, at: Span, findings: &mut Vec<Diagnostic>) -> Option<Mail> {
    let tls = draft.tls.unwrap_or_default();
    let usual = match tls {
        MailTls::StartTls => 587,
        MailTls::Tls => 465,
        MailTls::None => 25,
    };
    let user = match (draft.user, draft.password_file) {
        (Some((user, _)), Some((file, _))) => Some((user, file)),
        (Some((_, at)), None) => {
            let finding = Diagnostic::error(at, "missing-key", "`user` needs `password_file`");
            findings.push(finding.help("add `password_file = \"/etc/outlast/mail-password\"`"));
            None
        }
        (None, Some((_, at))) => {
            let finding = Diagnostic::error(at, "missing-key", "`password_file` needs `user`");
            findings.push(finding.help("add `user = \"outlast\"`"));
            None
        }
        (None, None) => None,
    };
    // What is missing was told by its row.
    let ((server, place), from) = (draft.server?, draft.from?);
    let Some(server) = Place::of(&server, usual) else {
        let message = format!("`{server}` is no name or address with a port");
        let finding = Diagnostic::error(place, "bad-value", message);
        findings
            .push(finding.help("write `server = \"mail.example.org:587\"`, `\"[fd00::25]:587\"`"));
        return None;
    };
    let (ca_file, timeout) = (draft.ca_file, draft.timeout.unwrap_or(Receiver::TIMEOUT));
    if tls == MailTls::None && !server.is_local() {
        let (code, help) = ("no-tls", "leave `tls` out, or write `tls = \"tls\"`");
        if user.is_some() {
            let message = "the password would be sent in the clear";
            findings.push(Diagnostic::error(at, code, message).help(help));
        } else {
            let message = "whoever hears the network reads what is told";
            findings.push(Diagnostic::warning(at, code, message).help(help));
        }
    }
    if draft.to.is_empty() {
        return None;
    }
    Some(Mail { server, tls, from, to: draft.to, user, ca_file, timeout })
}

fn webhook_of(draft: WebhookDraft, at: Span, findings: &mut Vec<Diagnostic>) -> Option<Webhook> {
    let url = match (draft.url, draft.url_file) {
        (Some((text, at)), None) => match Url::of(&text) {
            Some(url) => {
                if url.is_heard() {
                    findings.push(heard(draft.headers_file.is_some(), draft.in_the_clear, at));
                }
                Endpoint::Url(url)
            }
            None => {
                let message = "this is no URL of http or https without a name and password in it";
                let finding = Diagnostic::error(at, "bad-value", message);
                findings.push(finding.help("write `url = \"https://hooks.example.org/outlast\"`"));
                return None;
            }
        },
        (None, Some((file, _))) => Endpoint::File(file),
        (Some(_), Some((_, at))) => {
            let message = "either `url` or `url_file`";
            findings.push(Diagnostic::error(at, "bad-value", message).help("remove one"));
            return None;
        }
        (None, None) => {
            let finding = Diagnostic::error(at, "missing-key", "`webhook` has no `url`");
            findings.push(finding.help("add `url = \"https://hooks.example.org/outlast\"`"));
            return None;
        }
    };
    Some(Webhook {
        url,
        secret_file: draft.secret_file,
        headers_file: draft.headers_file,
        ca_file: draft.ca_file,
        in_the_clear: draft.in_the_clear,
        timeout: draft.timeout.unwrap_or(Receiver::TIMEOUT),
    })
}

/// What is wrong with `http://`.
fn heard(has_secret: bool, is_allowed: bool, at: Span) -> Diagnostic {
    if has_secret && !is_allowed {
        let message = "what stands in `headers_file` would be sent in the clear";
        let help =
            "write `https://`, or `in_the_clear = true` if whoever hears the network may know it";
        return Diagnostic::error(at, "no-tls", message).help(help);
    }
    let message = "whoever hears the network reads what is told";
    Diagnostic::warning(at, "no-tls", message).help("write `https://`")
}

/// As Debian and its kin keep it.
const CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Whose certificates are believed where the file does not say.
#[must_use]
pub fn usual_authorities() -> PathBuf {
    PathBuf::from(CA)
}

impl Receiver {
    /// Files that have to be there, with the key that names each.
    #[must_use]
    pub fn files(&self) -> Vec<(&'static str, &std::path::Path)> {
        let named: [(&'static str, Option<&PathBuf>); 3] = match &self.way {
            Way::Mail(mail) => [
                ("password_file", mail.user.as_ref().map(|(_, file)| file)),
                ("", None),
                ("", None),
            ],
            Way::Webhook(hook) => {
                let url = match &hook.url {
                    Endpoint::File(file) => Some(file),
                    Endpoint::Url(_) => None,
                };
                [
                    ("url_file", url),
                    ("secret_file", hook.secret_file.as_ref()),
                    ("headers_file", hook.headers_file.as_ref()),
                ]
            }
        };
        let there = named.into_iter().filter_map(|(key, file)| Some((key, file?.as_path())));
        there.collect()
    }

    /// How it is told, for an operator; nothing of it is a secret.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.way {
            Way::Mail(mail) => format!("mail to {} by {}", mail.to.join(", "), mail.server),
            Way::Webhook(Webhook { url: Endpoint::Url(url), .. }) => format!("webhook {url}"),
            Way::Webhook(Webhook { url: Endpoint::File(file), .. }) => {
                format!("webhook of {}", file.display())
            }
        }
    }
}
