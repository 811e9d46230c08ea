//! Asks the keeper of the key: what is shown, what it signs, whose certificate it is.
//!
//! TLS wants a signature at once, so the process waits for it; that takes some 0.1 ms.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::access::Grant;
use api::keeper::{KeeperAnswer, KeeperAsk, LONGEST_CERTIFICATE, Shown};
use rustls::pki_types::CertificateDer;
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use sys::channel::Channel;
use sys::poll::{Interest, Poller};
use tokio::sync::Notify;

/// A keeper that takes longer is dead or stopped; the process ends then and is started anew with another.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why the keeper said nothing that helps.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    #[error("the keeper of the key does not answer")]
    Gone(#[source] io::Error),
    #[error("{0}")]
    Failed(String),
}

/// The way to it.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// None after it failed once: an answer that comes late must not answer another question.
    channel: Mutex<Option<Channel>>,
    gone: Notify,
}

impl Keeper {
    pub(crate) fn new(channel: Channel) -> Self {
        Self { channel: Mutex::new(Some(channel)), gone: Notify::new() }
    }

    /// Ends when the keeper did.
    pub(crate) async fn until_gone(&self) {
        self.gone.notified().await;
    }

    /// What is to be shown, if it is not what is known under that number.
    pub(crate) fn show(&self, known: u64) -> Result<Option<Shown>, KeeperError> {
        let answer = self.ask(&KeeperAsk::Show { known })?;
        if answer == KeeperAnswer::Same {
            return Ok(None);
        }
        let KeeperAnswer::Shown(shown) = answer else { return Err(unexpected(answer)) };
        Ok(Some(shown))
    }

    /// What who proved to have the key of this certificate may see; none: nobody's.
    pub(crate) fn who(&self, certificate: &[u8]) -> Result<Option<Grant>, KeeperError> {
        if certificate.len() > LONGEST_CERTIFICATE {
            return Ok(None);
        }
        let answer = self.ask(&KeeperAsk::Who { certificate: digits(certificate) })?;
        if answer == KeeperAnswer::Stranger {
            return Ok(None);
        }
        let KeeperAnswer::Known(grant) = answer else { return Err(unexpected(answer)) };
        Ok(Some(grant))
    }

    fn sign(&self, shown: u64, scheme: u16, message: &[u8]) -> Result<Vec<u8>, KeeperError> {
        let ask = KeeperAsk::Sign { shown, scheme, message: digits(message) };
        let answer = self.ask(&ask)?;
        let KeeperAnswer::Signed { signature } = answer else { return Err(unexpected(answer)) };
        let none = || KeeperError::Failed("no signature came back".to_owned());
        bytes(&signature).ok_or_else(none)
    }

    fn ask(&self, ask: &KeeperAsk) -> Result<KeeperAnswer, KeeperError> {
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = || Err(io::ErrorKind::NotConnected.into());
        channel.as_ref().map_or_else(gone, |channel| answer(channel, ask)).map_err(|error| {
            *channel = None;
            self.gone.notify_one();
            KeeperError::Gone(error)
        })
    }
}

fn answer(channel: &Channel, ask: &KeeperAsk) -> io::Result<KeeperAnswer> {
    let mut out = vec![];
    api::encode(ask, &mut out);
    channel.send(&out, &[])?;
    let poller = Poller::new()?;
    poller.add(channel.as_fd(), 0, Interest::READ)?;
    let mut ready = vec![];
    poller.wait(&mut ready, Some(PATIENCE))?;
    let mut buffer = vec![0; api::MAX_MESSAGE];
    match channel.receive(&mut buffer, &mut vec![])? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        length => api::decode(&buffer[..length])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

fn unexpected(answer: KeeperAnswer) -> KeeperError {
    KeeperError::Failed(match answer {
        KeeperAnswer::Failed { why } => why,
        KeeperAnswer::Same
        | KeeperAnswer::Shown(_)
        | KeeperAnswer::Signed { .. }
        | KeeperAnswer::Known(_)
        | KeeperAnswer::Stranger => "the keeper answered something else".to_owned(),
    })
}

/// A key that lies with the keeper.
#[derive(Debug)]
pub(crate) struct Remote {
    keeper: Arc<Keeper>,
    shown: u64,
    schemes: Vec<SignatureScheme>,
    scheme: SignatureScheme,
}

impl Remote {
    /// None: the key makes no signature that TLS knows.
    pub(crate) fn of(keeper: &Arc<Keeper>, shown: &Shown) -> Option<Arc<dyn SigningKey>> {
        let schemes: Vec<_> = shown.schemes.iter().copied().map(SignatureScheme::from).collect();
        let scheme = *schemes.first()?;
        let keeper = Arc::clone(keeper);
        Some(Arc::new(Self { keeper, shown: shown.number, schemes, scheme }))
    }
}

impl SigningKey for Remote {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = *self.schemes.iter().find(|scheme| offered.contains(scheme))?;
        let schemes = self.schemes.clone();
        Some(Box::new(Self {
            keeper: Arc::clone(&self.keeper),
            shown: self.shown,
            schemes,
            scheme,
        }))
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "of a library, which may add to it")]
    fn algorithm(&self) -> SignatureAlgorithm {
        match self.scheme {
            SignatureScheme::ED25519 => SignatureAlgorithm::ED25519,
            SignatureScheme::RSA_PSS_SHA256
            | SignatureScheme::RSA_PSS_SHA384
            | SignatureScheme::RSA_PSS_SHA512 => SignatureAlgorithm::RSA,
            _ => SignatureAlgorithm::ECDSA,
        }
    }
}

impl Signer for Remote {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signed = self.keeper.sign(self.shown, self.scheme.into(), message);
        signed.map_err(|error| Error::General(base::Chain(&error).to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// Certificates as the keeper sends them.
pub(crate) fn certificates(chain: &[String]) -> Option<Vec<CertificateDer<'static>>> {
    chain.iter().map(|der| bytes(der).map(CertificateDer::from)).collect()
}

/// As hexadecimal digits.
pub(crate) fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use api::access::Scope;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_comes_late_answers_no_other_question() {
        let (ours, theirs) = Channel::pair().unwrap();
        let keeper = Keeper::new(ours);
        assert!(matches!(keeper.who(&[1]), Err(KeeperError::Gone(_))), "nobody answers in time");
        // Now it does: that certificate is of somebody who sees everything.
        let mut asked = vec![0; api::MAX_MESSAGE];
        let length = theirs.receive(&mut asked, &mut vec![]).unwrap();
        let ask: KeeperAsk = api::decode(&asked[..length]).unwrap();
        assert_eq!(ask, KeeperAsk::Who { certificate: "01".to_owned() });
        let mut late = vec![];
        let scopes = vec![Scope::Metrics];
        let grant = Grant { name: "node01".to_owned(), scopes, until_ms: None };
        api::encode(&KeeperAnswer::Known(grant), &mut late);
        // Its reader is gone, or nobody reads it.
        let _ = theirs.send(&late, &[]);
        let answer = keeper.who(&[2]);
        assert!(matches!(answer, Err(KeeperError::Gone(_))), "{answer:?}");
        assert!(matches!(keeper.show(0), Err(KeeperError::Gone(_))));
        keeper.until_gone().await;
    }

    #[test]
    fn an_answer_in_time_is_of_the_question_that_was_asked() {
        let (ours, theirs) = Channel::pair().unwrap();
        let answers = thread::spawn(move || {
            let poller = Poller::new().unwrap();
            poller.add(theirs.as_fd(), 0, Interest::READ).unwrap();
            for _ in 0..2 {
                poller.wait(&mut vec![], None).unwrap();
                let mut asked = vec![0; api::MAX_MESSAGE];
                let length = theirs.receive(&mut asked, &mut vec![]).unwrap();
                let KeeperAsk::Who { certificate } = api::decode(&asked[..length]).unwrap() else {
                    panic!("something else was asked");
                };
                let grant = Grant { name: certificate, scopes: vec![], until_ms: None };
                let mut bytes = vec![];
                api::encode(&KeeperAnswer::Known(grant), &mut bytes);
                theirs.send(&bytes, &[]).unwrap();
            }
        });
        let keeper = Keeper::new(ours);
        for certificate in [[1], [2]] {
            let grant = keeper.who(&certificate).unwrap().unwrap();
            assert_eq!(grant.name, digits(&certificate));
        }
        answers.join().unwrap();
    }
}
