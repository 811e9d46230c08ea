//! Brings one message to one receiver, and says what it answered.

use std::path::Path;

use base::Chain;
use config::cluster::{Endpoint, Mail, MailTls, Receiver, Url, Way, Webhook};
use engine::notify::{Outcome, Refusal};
use remote::mail::{Conversation, Envelope, Login, Message as Letter, Refused, Step};
use remote::webhook;

use super::line::Line;
use super::text::Message;
use crate::files::{self, FileError};

/// What is brought to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parcel<'a> {
    pub(super) receiver: &'a Receiver,
    /// Relative paths are meant from there.
    pub(super) folder: &'a Path,
    pub(super) node: &'a str,
    pub(super) message: &'a Message,
    /// Of a mail: only these are to get it; empty: all.
    pub(super) left: &'a [String],
}

/// Waits for its answer. Secrets are read each time, so a new one needs no reload.
pub(super) fn tell(parcel: &Parcel<'_>) -> Outcome {
    let told = match &parcel.receiver.way {
        Way::Mail(mail) => by_mail(mail, parcel),
        Way::Webhook(hook) => by_webhook(hook, parcel),
    };
    told.unwrap_or_else(Outcome::failed)
}

/// Looks whether the files that it names can be used.
///
/// # Errors
/// With the first that is missing or open to others.
pub(crate) fn check(receiver: &Receiver, folder: &Path) -> Result<(), FileError> {
    for (_, file) in receiver.files() {
        private(&folder.join(file))?;
    }
    if let Way::Webhook(Webhook { url: Endpoint::File(file), in_the_clear: false, .. }) =
        &receiver.way
    {
        let path = folder.join(file);
        let url = Url::of(private(&path)?.trim_end());
        if url.is_some_and(|url| url.is_heard()) {
            return Err(FileError::HeardUrl { path: path.display().to_string() });
        }
    }
    Ok(())
}

fn private(path: &Path) -> Result<String, FileError> {
    let shown = path.display().to_string();
    String::from_utf8(files::read_private(path)?).map_err(|_| FileError::Text { path: shown })
}

/// One line that nobody else may read.
fn secret(key: &str, path: &Path) -> Result<String, String> {
    let text = private(path).map_err(|error| Chain(&error).to_string())?;
    if text.is_empty() || text.contains(['\n', '\r', '\0']) {
        return Err(format!("{key} {} does not hold one line", path.display()));
    }
    Ok(text)
}

/// # Errors
/// In words, why nobody has it.
fn by_mail(mail: &Mail, parcel: &Parcel<'_>) -> Result<Outcome, String> {
    let Parcel { folder, message, .. } = parcel;
    let Some(envelope) = envelope(mail, parcel)? else { return Ok(Outcome::TAKEN) };
    let letter = Letter {
        id: format!("{}@{}.outlast.internal", message.id, message.cluster),
        at_ms: message.at_ms,
        subject: message.subject.clone(),
        text: message.text.clone(),
    };
    let authorities = mail.ca_file.as_deref().map(|file| folder.join(file));
    let mut line = Line::open(&mail.server, mail.timeout)?;
    if mail.tls == MailTls::Tls {
        line = line.secured(&mail.server, authorities.as_deref())?;
    }
    let mut conversation = Conversation::new(envelope, &letter);
    let mut step = Step::More;
    loop {
        step = match step {
            Step::More => match line.read() {
                Ok([]) => conversation.on_closed(),
                Ok(bytes) => conversation.on_bytes(bytes),
                Err(why) => conversation.on_broken(&why),
            },
            // What was not sent whole is not kept: its end is missing.
            Step::Send(bytes) => {
                line.write(&bytes)?;
                Step::More
            }
            Step::Secure => {
                line = line.secured(&mail.server, authorities.as_deref())?;
                conversation.on_secured()
            }
            Step::Done { later, never } => {
                // It has the message; that we go is a courtesy.
                let _ = line.write(b"QUIT\r\n");
                return Ok(Outcome::Taken { later: refusals(later), never: refusals(never) });
            }
            Step::Failed { why, never } => {
                return Ok(Outcome::Failed { why, never: refusals(never) });
            }
            Step::Unsure(why) => return Ok(Outcome::Unsure(why)),
        };
    }
}

/// None: nobody is in the file any more of those who are left.
fn envelope(mail: &Mail, parcel: &Parcel<'_>) -> Result<Option<Envelope>, String> {
    let Parcel { folder, node, left, .. } = parcel;
    let is_left = |to: &&String| left.is_empty() || left.contains(to);
    let now: Vec<String> = mail.to.iter().filter(is_left).cloned().collect();
    if now.is_empty() {
        return Ok(None);
    }
    let login = mail.user.as_ref().map(|(user, file)| -> Result<Login, String> {
        let password = secret("password_file", &folder.join(file))?;
        Ok(Login { user: user.clone(), password })
    });
    Ok(Some(Envelope {
        helo: (*node).to_owned(),
        from: mail.from.clone(),
        to: mail.to.clone(),
        now,
        login: login.transpose()?,
        starts_tls: mail.tls == MailTls::StartTls,
    }))
}

fn refusals(refused: Vec<Refused>) -> Vec<Refusal> {
    refused.into_iter().map(|Refused { to, why }| Refusal { to, why }).collect()
}

/// # Errors
/// In words, why it does not have it.
fn by_webhook(hook: &Webhook, parcel: &Parcel<'_>) -> Result<Outcome, String> {
    let Parcel { folder, message, .. } = parcel;
    let url = url_of(hook, folder)?;
    let body = message.json();
    let mut headers = vec![
        ("User-Agent".to_owned(), concat!("outlast/", env!("CARGO_PKG_VERSION")).to_owned()),
        ("Idempotency-Key".to_owned(), message.id.clone()),
    ];
    if let Some(file) = &hook.secret_file {
        let key = secret("secret_file", &folder.join(file))?;
        let signed = engine::notify::signature(key.as_bytes(), &body);
        headers.extend(signed.map(|signed| ("X-Outlast-Signature".to_owned(), signed)));
    }
    if let Some(file) = &hook.headers_file {
        let path = folder.join(file);
        let text = private(&path).map_err(|error| Chain(&error).to_string())?;
        let more = webhook::headers(&text);
        headers.extend(more.map_err(|why| format!("headers_file {}: {why}", path.display()))?);
    }
    let authorities = hook.ca_file.as_deref().map(|file| folder.join(file));
    let mut line = Line::open(&url.place, hook.timeout)?;
    if url.is_tls {
        line = line.secured(&url.place, authorities.as_deref())?;
    }
    line.write(&webhook::request(&host(&url), &url.path, &headers, &body))?;
    let mut answer = webhook::Answer::default();
    loop {
        // It has all of it: without an answer nobody knows what it did with that.
        let bytes = match line.read() {
            Ok(bytes) => bytes,
            Err(why) => return Ok(Outcome::Unsure(format!("{why} to the POST"))),
        };
        if bytes.is_empty() {
            let closed = answer.on_closed();
            return Ok(closed.map_or_else(Outcome::Unsure, |()| Outcome::TAKEN));
        }
        if let Some(verdict) = answer.on_bytes(bytes) {
            return verdict.map(|()| Outcome::TAKEN);
        }
    }
}

fn url_of(hook: &Webhook, folder: &Path) -> Result<Url, String> {
    let file = match &hook.url {
        Endpoint::Url(url) => return Ok(url.clone()),
        Endpoint::File(file) => file,
    };
    let path = folder.join(file);
    let none = || format!("url_file {} holds no URL of http or https", path.display());
    let url = Url::of(&secret("url_file", &path)?).ok_or_else(none)?;
    if url.is_heard() && !hook.in_the_clear {
        let heard = FileError::HeardUrl { path: path.display().to_string() };
        return Err(Chain(&heard).to_string());
    }
    Ok(url)
}

/// Without the port where it is the usual one, as names of certificates and of virtual hosts are.
fn host(url: &Url) -> String {
    let whole = url.place.to_string();
    let usual = if url.is_tls { ":443" } else { ":80" };
    whole.strip_suffix(usual).map_or_else(|| whole.clone(), str::to_owned)
}
