//! What the dashboard's process asks the keeper of its key, over a channel of their own: the keeper signs, and the
//! key itself never leaves it.

use serde::{Deserialize, Serialize};

use crate::access::Grant;

/// The longest certificate about which is asked (bytes, DER): those of a cluster have some 700.
pub const LONGEST_CERTIFICATE: usize = 8 * 1024;

/// One question; each is answered before the next is asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeeperAsk {
    /// What is to be shown now, unless it is what was shown under this number.
    Show { known: u64 },
    /// A signature over the transcript of a handshake, for what was shown under the number.
    Sign {
        shown: u64,
        /// A `SignatureScheme` of TLS (RFC 8446, 4.2.3).
        scheme: u16,
        /// What is signed, in hexadecimal digits: that of a server in TLS 1.3, and nothing else (4.4.3).
        message: String,
    },
    /// Whose certificate it is, in hexadecimal digits; the handshake has proven that who showed it has its key.
    Who { certificate: String },
}

/// The answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeeperAnswer {
    /// What is shown is the same as under the number that was named.
    Same,
    Shown(Shown),
    /// In hexadecimal digits.
    Signed {
        signature: String,
    },
    /// Somebody of the cluster, and what such a one may see.
    Known(Grant),
    /// A certificate of nobody, of who was put out, or one of another cluster.
    Stranger,
    Failed {
        why: String,
    },
}

/// What a server shows; all certificates are DER in hexadecimal digits.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Shown {
    /// Grows when something else is shown; never 0.
    pub number: u64,
    /// The server's own first.
    pub chain: Vec<String>,
    /// The authority whose certificates of clients are believed.
    #[serde(default)]
    pub authority: Option<String>,
    /// Signatures that the key can make, as numbers of TLS.
    pub schemes: Vec<u16>,
}
