//! Who is told of moves, as items.

use std::path::Path;

use super::{Layout, Needs};
use crate::cluster::{Endpoint, Mail, MailTls, Receiver, Way, Webhook};

pub(super) fn lay_out(receiver: &Receiver, layout: &mut Layout) {
    let Receiver { name, way, topics, retry_for, span: _ } = receiver;
    let needs = Needs::Agent;
    let mut fields = layout.add(&format!("notify/{name}"), needs);
    fields.list("events", topics, needs).time("retry_for", Some(*retry_for), needs);
    match way {
        Way::Mail(Mail { server, tls, from, to, user, ca_file, timeout }) => {
            let (user, password) = user.as_ref().map(|(user, file)| (user, file.display())).unzip();
            let tls = match tls {
                MailTls::StartTls => "starttls",
                MailTls::Tls => "tls",
                MailTls::None => "none",
            };
            fields
                .set("server", server, needs)
                .set("tls", tls, needs)
                .set("from", from, needs)
                .list("to", to, needs)
                .maybe("user", user, needs)
                .maybe("password_file", password, needs)
                .maybe("ca_file", ca_file.as_deref().map(Path::display), needs)
                .time("timeout", Some(*timeout), needs);
        }
        Way::Webhook(Webhook {
            url,
            secret_file,
            headers_file,
            ca_file,
            in_the_clear,
            timeout,
        }) => {
            let shown = |file: &Option<std::path::PathBuf>| {
                file.as_deref().map(|file| file.display().to_string())
            };
            match url {
                Endpoint::Url(url) => fields.set("url", url.whole(), needs),
                Endpoint::File(file) => fields.set("url_file", file.display(), needs),
            };
            fields
                .maybe("secret_file", shown(secret_file), needs)
                .maybe("headers_file", shown(headers_file), needs)
                .maybe("ca_file", shown(ca_file), needs)
                .flag("in_the_clear", *in_the_clear, needs)
                .time("timeout", Some(*timeout), needs);
        }
    }
}
