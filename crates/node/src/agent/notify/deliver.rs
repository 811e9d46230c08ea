//! Brings one message to one receiver, and says what it answered.

use std::path::Path;

use base::Chain;
use config::cluster::{Endpoint, Mail, MailTls, Receiver, Url, Way, Webhook};
use remote::mail::{Conversation, Envelope, Login, Message as Letter, Step};
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
}

/// Waits for its answer; what it said besides, or in words why it was not taken. Secrets are read each time, so a new
/// one needs no reload.
pub(super) fn tell(parcel: &Parcel<'_>) -> Result<String, String> {
    match &parcel.receiver.way {
        Way::Mail(mail) => by_mail(mail, parcel),
        Way::Webhook(hook) => by_webhook(hook, parcel).map(|()| String::new()),
    }
}

/// Looks whether the files that it names can be used.
///
/// # Errors
/// With the first that is missing or open to others.
pub(crate) fn check(receiver: &Receiver, folder: &Path) -> Result<(), FileError> {
    for (_, file) in receiver.files() {
        private(&folder.join(file))?;
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

fn by_mail(mail: &Mail, parcel: &Parcel<'_>) -> Result<String, String> {
    let Parcel { folder, node, message, .. } = parcel;
    let login = mail.user.as_ref().map(|(user, file)| -> Result<Login, String> {
        let password = secret("password_file", &folder.join(file))?;
        Ok(Login { user: user.clone(), password })
    });
    let envelope = Envelope {
        helo: (*node).to_owned(),
        from: mail.from.clone(),
        to: mail.to.clone(),
        login: login.transpose()?,
        starts_tls: mail.tls == MailTls::StartTls,
    };
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
            Step::More => match line.read()? {
                [] => conversation.on_closed(),
                bytes => conversation.on_bytes(bytes),
            },
            Step::Send(bytes) => {
                line.write(&bytes)?;
                Step::More
            }
            Step::Secure => {
                line = line.secured(&mail.server, authorities.as_deref())?;
                conversation.on_secured()
            }
            Step::Done { refused } => {
                // It has the message; that we go is a courtesy.
                let _ = line.write(b"QUIT\r\n");
                let some = |refused: Vec<String>| format!("not taken for {}", refused.join("; "));
                return Ok(if refused.is_empty() { String::new() } else { some(refused) });
            }
            Step::Failed(why) => return Err(why),
        };
    }
}

fn by_webhook(hook: &Webhook, parcel: &Parcel<'_>) -> Result<(), String> {
    let Parcel { folder, message, .. } = parcel;
    let url = match &hook.url {
        Endpoint::Url(url) => url.clone(),
        Endpoint::File(file) => {
            let path = folder.join(file);
            let none = || format!("url_file {} holds no URL of http or https", path.display());
            Url::of(&secret("url_file", &path)?).ok_or_else(none)?
        }
    };
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
        let bytes = line.read()?;
        if bytes.is_empty() {
            return answer.on_closed();
        }
        if let Some(verdict) = answer.on_bytes(bytes) {
            return verdict;
        }
    }
}

/// Without the port where it is the usual one, as names of certificates and of virtual hosts are.
fn host(url: &Url) -> String {
    let whole = url.place.to_string();
    let usual = if url.is_tls { ":443" } else { ":80" };
    whole.strip_suffix(usual).map_or_else(|| whole.clone(), str::to_owned)
}
