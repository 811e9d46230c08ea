//! Hands one message to a mail server (RFC 5321), as a machine without I/O.
//!
//! ```text
//!  greeting -> EHLO -> [STARTTLS -> TLS -> EHLO] -> [AUTH] -> MAIL -> RCPT ... -> DATA -> message -> done
//! ```
//!
//! The driver opens the connection (with TLS at once where that is wanted), feeds what arrives and obeys the [`Step`].

use std::fmt;

pub use message::Message;

mod base64;
mod message;
#[cfg(test)]
mod tests;

/// A reply has some lines of 512 bytes (RFC 5321 4.5.3.1.5); the capabilities of a server with all extensions are 1 KB.
pub const MAX_REPLY: usize = 16 * 1024;
/// A number, a hyphen, and the end of the line (bytes).
const MIN_LINE: usize = 6;
/// Of a reply so much is shown (letters).
const MAX_SHOWN: usize = 160;

/// From whom, to whom, and as whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Envelope {
    /// How this machine calls itself.
    pub helo: String,
    pub from: String,
    /// As the message names them.
    pub to: Vec<String>,
    /// Those of them who are to get it now; never empty.
    pub now: Vec<String>,
    pub login: Option<Login>,
    /// Nothing is said before there is TLS; false: there is, or there is to be none.
    pub starts_tls: bool,
}

/// Whom the server knows.
#[derive(Clone, Eq, PartialEq)]
pub struct Login {
    pub user: String,
    pub password: String,
}

/// It may go to logs: the password is not in it.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What the driver does next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Wait for bytes.
    More,
    /// Send these, then wait for bytes.
    Send(Vec<u8>),
    /// Speak TLS from now on, then call [`Conversation::on_secured`].
    Secure,
    /// The server has it, but for those for whom it may take it `later` (4yz), and those for whom it `never` does (5yz).
    Done { later: Vec<Refused>, never: Vec<Refused> },
    /// In words; it was not taken, and for these it never is.
    Failed { why: String, never: Vec<Refused> },
    /// It has all of it, and does not say whether it keeps it (RFC 5321 4.2.5, 6.1); in words, what came instead.
    Unsure(String),
}

/// One of those who are to get it, and in the words of the server why he does not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    pub to: String,
    pub why: String,
}

/// What the last thing that was said was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Said {
    Nothing,
    Hello,
    StartTls,
    Plain,
    /// That a name follows, the name, the password.
    Login(u8),
    From,
    To(usize),
    Data,
    Message,
    /// Nothing follows.
    All,
}

/// One message on its way.
#[derive(Debug)]
pub struct Conversation {
    envelope: Envelope,
    message: Vec<u8>,
    said: Said,
    is_secured: bool,
    came: Vec<u8>,
    /// Lines of the reply so far, without their number.
    reply: Vec<String>,
    later: Vec<Refused>,
    never: Vec<Refused>,
}

impl Conversation {
    /// The server speaks first.
    #[must_use]
    pub fn new(envelope: Envelope, message: &Message) -> Self {
        Self {
            message: message.bytes(&envelope),
            is_secured: !envelope.starts_tls,
            envelope,
            said: Said::Nothing,
            came: vec![],
            reply: vec![],
            later: vec![],
            never: vec![],
        }
    }

    /// The server said this.
    pub fn on_bytes(&mut self, bytes: &[u8]) -> Step {
        self.came.extend_from_slice(bytes);
        while let Some(end) = self.came.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.came.drain(..=end).collect();
            let step = self.line(&line);
            if step != Step::More {
                return step;
            }
        }
        // A line that says nothing takes room too.
        let lines = self.reply.iter().map(|line| line.len() + MIN_LINE).sum::<usize>();
        let long = self.came.len() + lines;
        if long > MAX_REPLY {
            self.failed("it says more than a mail server has to say")
        } else {
            Step::More
        }
    }

    /// There is TLS now.
    pub fn on_secured(&mut self) -> Step {
        self.is_secured = true;
        self.say(Said::Hello, &format!("EHLO {}", self.envelope.helo.clone()))
    }

    /// The connection ended.
    pub fn on_closed(&mut self) -> Step {
        self.on_broken("it closed the connection")
    }

    /// Nothing more comes from the server, in words why.
    pub fn on_broken(&mut self, why: &str) -> Step {
        let why = format!("{why} {}", self.doing());
        if self.said == Said::Message {
            self.said = Said::All;
            return Step::Unsure(why);
        }
        self.failed(&why)
    }

    fn line(&mut self, line: &[u8]) -> Step {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\r', '\n']);
        let code = text.get(..3).filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(code) = code.and_then(|code| code.parse::<u16>().ok()) else {
            return self.failed(&format!("this is no mail server: {}", shown(text)));
        };
        let rest = text.get(3..).unwrap_or_default();
        let is_last = !rest.starts_with('-');
        self.reply.push(rest.get(1..).unwrap_or_default().to_owned());
        if !is_last {
            return Step::More;
        }
        let reply = std::mem::take(&mut self.reply);
        // What was sent before TLS was not asked for (CVE-2011-0411).
        if self.said == Said::StartTls && !self.came.is_empty() {
            return self.failed("it says something after STARTTLS, before there is TLS");
        }
        self.replied(code, &reply)
    }

    fn replied(&mut self, code: u16, reply: &[String]) -> Step {
        let words = || format!("{code} {}", shown(&reply.join(" ")));
        let is_good = (200..300).contains(&code);
        match self.said {
            Said::Nothing if code == 220 => {
                self.say(Said::Hello, &format!("EHLO {}", self.envelope.helo.clone()))
            }
            Said::Hello if is_good => self.greeted(reply),
            Said::StartTls if code == 220 => Step::Secure,
            Said::Plain if code == 235 => self.begin(),
            Said::Login(0) if code == 334 => {
                let user = self.envelope.login.as_ref().map(|login| login.user.clone());
                self.say(Said::Login(1), &base64::encode(user.unwrap_or_default().as_bytes()))
            }
            Said::Login(1) if code == 334 => {
                let password = self.envelope.login.as_ref().map(|login| login.password.clone());
                self.say(Said::Login(2), &base64::encode(password.unwrap_or_default().as_bytes()))
            }
            Said::Login(2) if code == 235 => self.begin(),
            Said::From if is_good => self.name(0),
            Said::To(at) => {
                if !is_good {
                    let refused = Refused { to: self.envelope.now[at].clone(), why: words() };
                    // What is none of RFC 5321 4.2.1 is no word for ever.
                    let is_for_ever = (500..600).contains(&code);
                    let among = if is_for_ever { &mut self.never } else { &mut self.later };
                    among.push(refused);
                }
                self.name(at + 1)
            }
            Said::Data if code == 354 => {
                self.said = Said::Message;
                Step::Send(std::mem::take(&mut self.message))
            }
            Said::Message if is_good => {
                self.said = Said::All;
                let (later, never) = (&mut self.later, &mut self.never);
                Step::Done { later: std::mem::take(later), never: std::mem::take(never) }
            }
            Said::All => Step::More,
            Said::Nothing
            | Said::Hello
            | Said::StartTls
            | Said::Plain
            | Said::Login(_)
            | Said::From
            | Said::Data
            | Said::Message => {
                let (words, after) = (words(), self.doing());
                self.failed(&format!("it answers {words} {after}"))
            }
        }
    }

    /// It told what it can do.
    fn greeted(&mut self, reply: &[String]) -> Step {
        let offers = |word: &str| {
            let words = reply.iter().skip(1).map(|line| line.to_ascii_uppercase());
            words.into_iter().find(|line| line.split([' ', '=']).next() == Some(word))
        };
        if !self.is_secured {
            if offers("STARTTLS").is_none() {
                return self.failed("it offers no STARTTLS, and nothing is said in the clear");
            }
            return self.say(Said::StartTls, "STARTTLS");
        }
        let Some(login) = &self.envelope.login else { return self.begin() };
        let ways = offers("AUTH").unwrap_or_default();
        let has = |way: &str| ways.split([' ', '=']).any(|word| word == way);
        if has("PLAIN") {
            let plain = base64::encode(format!("\0{}\0{}", login.user, login.password).as_bytes());
            return self.say(Said::Plain, &format!("AUTH PLAIN {plain}"));
        }
        if has("LOGIN") {
            return self.say(Said::Login(0), "AUTH LOGIN");
        }
        self.failed("it offers neither AUTH PLAIN nor AUTH LOGIN, and there is a user")
    }

    fn begin(&mut self) -> Step {
        self.say(Said::From, &format!("MAIL FROM:<{}>", self.envelope.from.clone()))
    }

    fn name(&mut self, at: usize) -> Step {
        if let Some(to) = self.envelope.now.get(at) {
            return self.say(Said::To(at), &format!("RCPT TO:<{}>", to.clone()));
        }
        if self.later.len() + self.never.len() == self.envelope.now.len() {
            let all = self.never.iter().chain(&self.later);
            let all = all.map(|Refused { to, why }| format!("{to}: {why}"));
            let all = all.collect::<Vec<_>>().join("; ");
            return self.failed(&format!("it takes nobody of those who are to get it: {all}"));
        }
        self.say(Said::Data, "DATA")
    }

    fn say(&mut self, said: Said, line: &str) -> Step {
        self.said = said;
        Step::Send(format!("{line}\r\n").into_bytes())
    }

    fn failed(&mut self, why: &str) -> Step {
        self.said = Said::All;
        Step::Failed { why: why.to_owned(), never: std::mem::take(&mut self.never) }
    }

    /// What was said last, without what is secret in it.
    const fn doing(&self) -> &'static str {
        match self.said {
            Said::Nothing => "before it was spoken to",
            Said::Hello => "to EHLO",
            Said::StartTls => "to STARTTLS",
            Said::Plain | Said::Login(_) => "to AUTH",
            Said::From => "to MAIL FROM",
            Said::To(_) => "to RCPT TO",
            Said::Data => "to DATA",
            Said::Message => "to the message",
            Said::All => "in the end",
        }
    }
}

/// It goes into logs.
fn shown(text: &str) -> String {
    let letters = text.chars().take(MAX_SHOWN);
    letters.map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
