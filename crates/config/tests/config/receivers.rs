//! `[notify.NAME]`: who is told of moves, and what is wrong with it.

use std::time::Duration;

use expect_test::expect;
use outlast_config::cluster::{Endpoint, MailTls, Topic, Way};

use crate::cluster::{check, read};

const HEAD: &str =
    "[cluster]\nname = \"c\"\n[node.a]\nnetworks = { m = \"10.0.0.1\" }\n[notify.ops]\n";
const MAIL: &str = "from = \"o@example.org\", to = [\"ops@example.org\"]";

#[test]
fn a_receiver_has_a_way_what_it_is_told_and_for_how_long_it_is_tried() {
    let text = format!(
        "{HEAD}smtp = {{ server = \"mail\", {MAIL} }}\n\
         [notify.chat]\nevents = [\"loss\", \"loss\"]\nretry_for = \"1h\"\n\
         webhook = {{ url = \"https://hooks.example.org/x\", timeout = \"2s\" }}\n"
    );
    let receivers = read(&text).0.expect("a cluster").notify;
    let [ops, chat] = &receivers[..] else { panic!("{receivers:?}") };
    assert_eq!((ops.name.as_str(), ops.topics.as_slice()), ("ops", &Topic::ALL[..]));
    assert_eq!(ops.retry_for, Duration::from_secs(72 * 3600));
    assert_eq!(ops.words(), "mail to ops@example.org by mail:587");
    let Way::Mail(mail) = &ops.way else { panic!("{ops:?}") };
    assert_eq!((mail.tls, mail.timeout), (MailTls::StartTls, Duration::from_secs(10)));
    assert_eq!((chat.topics.as_slice(), chat.retry_for.as_secs()), (&[Topic::Loss][..], 3600));
    assert_eq!(chat.words(), "webhook https://hooks.example.org:443");
    let Way::Webhook(hook) = &chat.way else { panic!("{chat:?}") };
    assert!(matches!(&hook.url, Endpoint::Url(url) if url.path == "/x"));
}

#[test]
fn what_is_wrong_with_a_receiver_is_told_with_its_place() {
    check(
        &format!("{HEAD}events = [\"moves\"]\nretry_for = \"1s\"\n"),
        expect![[r#"
        error[missing-key]: [notify.ops] tells nobody
         --> outlast.toml:5:9
          |
        5 | [notify.ops]
          |         ^^^
          = help: add `smtp = { ... }` or `webhook = { ... }`

        error[bad-value]: `moves` is nothing that can be told
         --> outlast.toml:6:11
          |
        6 | events = ["moves"]
          |           ^^^^^^^
          = help: did you mean `move`?

        error[bad-value]: expected a time from "1m" to "21d", found "1s"
         --> outlast.toml:7:13
          |
        7 | retry_for = "1s"
          |             ^^^^
          = help: write `retry_for = "72h"`

        3 errors
    "#]],
    );
    check(
        &format!(
            "{HEAD}smtp = {{ server = \"mail:x\", from = \"o\", to = [\"a b@c\"], user = \"u\" }}\n\
             [notify.b]\nsmtp = {{ server = \"mail:x\", tls = \"ssl\", {MAIL}, paswd = \"x\" }}\n\
             [notify.c]\nsmtp = {{ server = \"10.0.0.9\", tls = \"none\", {MAIL}, user = \"u\", password_file = \"p\" }}\n\
             [notify.d]\nsmtp = {{ server = \"10.0.0.9\", tls = \"none\", {MAIL} }}\n"
        ),
        expect![[r#"
            error[bad-value]: expected an address like "ops@example.org", found "o"
             --> outlast.toml:6:36
              |
            6 | smtp = { server = "mail:x", from = "o", to = ["a b@c"], user = "u" }
              |                                    ^^^
              = help: write `from = "outlast@example.org"`

            error[bad-value]: expected an address like "ops@example.org", found "a b@c"
             --> outlast.toml:6:47
              |
            6 | smtp = { server = "mail:x", from = "o", to = ["a b@c"], user = "u" }
              |                                               ^^^^^^^
              = help: write `to = ["ops@example.org"]`

            error[missing-key]: `user` needs `password_file`
             --> outlast.toml:6:64
              |
            6 | smtp = { server = "mail:x", from = "o", to = ["a b@c"], user = "u" }
              |                                                                ^^^
              = help: add `password_file = "/etc/outlast/mail-password"`

            error[bad-value]: `mail:x` is no name or address with a port
             --> outlast.toml:8:19
              |
            8 | smtp = { server = "mail:x", tls = "ssl", from = "o@example.org", to = ["ops@example.org"], paswd = "x" }
              |                   ^^^^^^^^
              = help: write `server = "mail.example.org:587"`, `"[fd00::25]:587"`

            error[bad-value]: expected "starttls", "tls" or "none", found "ssl"
             --> outlast.toml:8:35
              |
            8 | smtp = { server = "mail:x", tls = "ssl", from = "o@example.org", to = ["ops@example.org"], paswd = "x" }
              |                                   ^^^^^
              = help: write `tls = "starttls"`

            error[unknown-keyword]: `paswd` is no key of `smtp`
             --> outlast.toml:8:92
              |
            8 | smtp = { server = "mail:x", tls = "ssl", from = "o@example.org", to = ["ops@example.org"], paswd = "x" }
              |                                                                                            ^^^^^
              = help: known are server, tls, from, to, user, password_file, ca_file, timeout

            error[no-tls]: the password would be sent in the clear
              --> outlast.toml:10:8
               |
            10 | smtp = { server = "10.0.0.9", tls = "none", from = "o@example.org", to = ["ops@example.org"], user = "u", password_file = "p" }
               |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               = help: leave `tls` out, or write `tls = "tls"`

            warning[no-tls]: whoever hears the network reads what is told
              --> outlast.toml:12:8
               |
            12 | smtp = { server = "10.0.0.9", tls = "none", from = "o@example.org", to = ["ops@example.org"] }
               |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               = help: leave `tls` out, or write `tls = "tls"`

            7 errors, 1 warning
        "#]],
    );
    check(
        &format!(
            "{HEAD}webhook = {{ }}\n[notify.b]\nwebhook = {{ url = \"hooks/x\" }}\n\
             [notify.c]\nwebhook = {{ url = \"http://hooks/x\" }}\n[notify.d]\n\
             webhook = {{ url = \"http://localhost/x\", url_file = \"u\", timeout = \"1m\" }}\n"
        ),
        expect![[r#"
            error[missing-key]: `webhook` has no `url`
             --> outlast.toml:6:11
              |
            6 | webhook = { }
              |           ^^^
              = help: add `url = "https://hooks.example.org/outlast"`

            error[bad-value]: this is no URL of http or https without a name and password in it
             --> outlast.toml:8:19
              |
            8 | webhook = { url = "hooks/x" }
              |                   ^^^^^^^^^
              = help: write `url = "https://hooks.example.org/outlast"`

            warning[no-tls]: whoever hears the network reads what is told
              --> outlast.toml:10:19
               |
            10 | webhook = { url = "http://hooks/x" }
               |                   ^^^^^^^^^^^^^^^^
               = help: write `https://`

            error[bad-value]: either `url` or `url_file`
              --> outlast.toml:12:52
               |
            12 | webhook = { url = "http://localhost/x", url_file = "u", timeout = "1m" }
               |                                                    ^^^
               = help: remove one

            error[bad-value]: expected a time from "100ms" to "30s", found "1m"
              --> outlast.toml:12:67
               |
            12 | webhook = { url = "http://localhost/x", url_file = "u", timeout = "1m" }
               |                                                                   ^^^^
               = help: write `timeout = "10s"`

            4 errors, 1 warning
        "#]],
    );
}

#[test]
fn a_token_is_sent_in_the_clear_only_where_somebody_wrote_so() {
    let told = |webhook: &str| read(&format!("{HEAD}webhook = {{ {webhook} }}\n")).1;
    let token = "headers_file = \"/etc/outlast/headers\"";
    let refused = told(&format!("url = \"http://hooks/x\", {token}"));
    let words = "error[no-tls]: what stands in `headers_file` would be sent in the clear";
    assert!(refused.contains(words) && refused.contains("`in_the_clear = true`"), "{refused}");
    let allowed = told(&format!("url = \"http://hooks/x\", {token}, in_the_clear = true"));
    let words = "warning[no-tls]: whoever hears the network reads what is told";
    assert!(allowed.contains(words) && !allowed.contains("error"), "{allowed}");
    for fine in ["http://127.0.0.1:8/x", "http://[::1]:8/x", "http://localhost/x", "https://h/x"] {
        assert_eq!(told(&format!("url = \"{fine}\", {token}")), "", "{fine}");
    }
}

#[test]
fn events_of_other_things_are_told_by_their_names() {
    let text = format!(
        "{HEAD}smtp = {{ server = \"mail\", {MAIL} }}\nevents = [\"loss\", \"node-verdict\", \"store-led\"]\n"
    );
    let receivers = read(&text).0.expect("a cluster").notify;
    let topics = [Topic::Loss, Topic::Event("node-verdict"), Topic::Event("store-led")];
    assert_eq!(receivers[0].topics, topics);
    assert!(Topic::Event("node-verdict").is_seen_by_several());
    assert!(!Topic::Event("proxy-lost").is_seen_by_several() && !Topic::Move.is_seen_by_several());
    assert!(Topic::EVENTS.is_sorted(), "one finds what one looks for");
}
