//! etcd with certificates and accounts, as sites have it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use engine::kv::Keys;
use outlast_store::etcd::{Account, Etcd};
use outlast_store::{Error, Store};
use serde_json::Value;

use crate::conformance;
use crate::members::{self, Elections, Members, PATIENCE, openssl, skip};
use crate::patient::Patient;

const TEST: &str =
    "etcd_with_certificates_and_accounts_keeps_the_same_promises_and_says_what_is_wrong";

/// One member that also listens with TLS and wants certificates and accounts.
struct Site {
    members: Members,
}

impl Site {
    fn start() -> Option<Self> {
        if members::is_missing(TEST) {
            return None;
        }
        if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
            skip(TEST, "no openssl");
            return None;
        }
        let folder = members::folder("secure");
        for (authority, name) in [("ca", "authority"), ("other", "another")] {
            let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
            openssl(
                &folder,
                &format!("{new} -keyout {authority}.key -out {authority}.pem -subj /CN={name}"),
            );
        }
        std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        for who in ["server", "client"] {
            let new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /O=lab";
            openssl(&folder, &format!("{new} -keyout {who}.key -out {who}.csr"));
            let sign = "x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names";
            openssl(&folder, &format!("{sign} -in {who}.csr -out {who}.pem"));
        }
        let file = |name: &str| folder.join(name).display().to_string();
        let arguments = [
            "--listen-client-urls",
            "CLIENT,https://127.0.0.1:SECURE",
            "--cert-file",
            &file("server.pem"),
            "--key-file",
            &file("server.key"),
            "--client-cert-auth",
            "--trusted-ca-file",
            &file("ca.pem"),
            "--auth-token-ttl",
            "2",
        ];
        let arguments = arguments.map(str::to_owned).to_vec();
        Some(Self { members: Members::of(folder.clone(), 1, Elections::Late, arguments) })
    }

    /// Root, `outlast` with rights on `o/` only, and one with none.
    fn accounts(&self) {
        let do_it = |path: &str, body: &str| {
            let (status, answer) = self.members.ask(&format!("/v3/auth/{path}"), body, None);
            assert_eq!(status, 200, "{path}: {answer}");
        };
        for (name, password) in [("root", "r"), ("outlast", "right"), ("nobody", "n")] {
            do_it("user/add", &format!(r#"{{"name":"{name}","password":"{password}"}}"#));
        }
        for role in ["root", "o"] {
            do_it("role/add", &format!(r#"{{"name":"{role}"}}"#));
        }
        // `o/` up to `o0`, in base64.
        let rights = r#"{"permType":"READWRITE","key":"by8=","range_end":"bzA="}"#;
        do_it("role/grant", &format!(r#"{{"name":"o","perm":{rights}}}"#));
        do_it("user/grant", r#"{"user":"root","role":"root"}"#);
        do_it("user/grant", r#"{"user":"outlast","role":"o"}"#);
        do_it("enable", "{}");
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.members.folder.join(name)
    }

    fn account(&self, user: &str, password: &str) -> Account {
        let file = self.path(&format!("password-{user}-{password}"));
        std::fs::write(&file, format!("{password}\n")).unwrap();
        Account {
            members: vec![format!("https://127.0.0.1:{}", self.members.secure)],
            ca_file: Some(self.path("ca.pem")),
            pair: Some((self.path("client.pem"), self.path("client.key"))),
            user: Some((user.to_owned(), file)),
            prefix: "o/".to_owned(),
        }
    }

    fn token(&self) -> String {
        let body = r#"{"name":"outlast","password":"right"}"#;
        let (_, answer) = self.members.ask("/v3/auth/authenticate", body, None);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["token"].as_str().unwrap().to_owned()
    }
}

/// What is said where a key cannot be read.
async fn said(account: Account) -> String {
    match Patient(Etcd::new(account.clone())).get("a").await {
        Err(Error::Etcd(text)) => text,
        other => panic!("{other:?} of {account:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_with_certificates_and_accounts_keeps_the_same_promises_and_says_what_is_wrong() {
    let Some(mut site) = Site::start() else { return };
    site.members.ready().await;
    site.accounts();
    let right = || site.account("outlast", "right");
    let store = Patient(Etcd::new(right()));
    conformance::conforms(&store, &Patient(Etcd::new(right()))).await;
    what_is_wrong_is_said(&site).await;

    // Its token is of the time before this one, which ends.
    let token = site.token();
    let old = || site.members.ask("/v3/kv/range", r#"{"key":"by8="}"#, Some(&token)).0 != 200;
    let begun = sys::clock::now();
    while !old() {
        assert!(sys::clock::now().since(begun) < PATIENCE, "a token never ended");
        // Each use gives it a new time.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    store.put("after", b"1", None).await.unwrap();
    assert!(store.watch(0, Keys::One("after".to_owned())).await.is_ok());
    // A new password is read when the old one is refused.
    let body = r#"{"name":"outlast","password":"new"}"#;
    let root = root_token(&site);
    assert_eq!(site.members.ask("/v3/auth/user/changepw", body, Some(&root)).0, 200);
    let file = right().user.unwrap().1;
    std::fs::write(file, "new").unwrap();
    assert_eq!(&*store.get("after").await.unwrap().unwrap().value, b"1");
}

fn root_token(site: &Site) -> String {
    let body = r#"{"name":"root","password":"r"}"#;
    let (_, answer) = site.members.ask("/v3/auth/authenticate", body, None);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["token"].as_str().unwrap().to_owned()
}

async fn what_is_wrong_is_said(site: &Site) {
    let right = || site.account("outlast", "right");
    let elsewhere = Account { prefix: "p/".to_owned(), ..right() };
    let gone = ("u".to_owned(), Path::new("/none").into());
    let rows: [(Account, &[&str]); 8] = [
        (site.account("outlast", "wrong"), &["authentication failed", "`outlast`"]),
        (site.account("nobody", "n"), &["permission denied", "grant user `nobody`", "`o/`"]),
        (elsewhere.clone(), &["permission denied", "prefix `p/`"]),
        (Account { user: None, ..right() }, &["it wants an account"]),
        (
            Account { ca_file: Some(site.path("other.pem")), ..right() },
            &["not believed", "ca_file"],
        ),
        (Account { pair: None, ..right() }, &["cert_file"]),
        (Account { ca_file: Some(site.path("none")), ..right() }, &["cannot use ca_file", "none"]),
        (Account { user: Some(gone), ..right() }, &["password_file /none"]),
    ];
    // All at once: what may become right is tried for a while.
    let asked = rows.map(|(account, parts)| (tokio::spawn(said(account)), parts));
    for (said, parts) in asked {
        let text = said.await.unwrap();
        assert!(parts.iter().all(|part| text.contains(part)), "{text} / {parts:?}");
    }
    let watched = Patient(Etcd::new(elsewhere)).watch(0, Keys::Prefix(String::new())).await;
    let text = watched.unwrap_err().to_string();
    assert!(text.contains("permission denied"), "{text}");
}
