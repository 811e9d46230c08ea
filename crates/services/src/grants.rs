//! What tokens of programs may, as the agent says: asked once in a while, so that a revoked one is known
//! within [`FRESH`].

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use api::access::Grant;
use base::Time;

use crate::ask::{self, AskError};

/// What the agent said is believed for so long.
const FRESH: Duration = Duration::from_secs(5);
/// Tokens remembered at once, wrong ones too: who guesses asks the agent each time.
const MOST: usize = 64;
/// No token is longer (bytes).
const LONGEST: usize = 64;

#[derive(Debug)]
struct Known {
    token: String,
    grant: Option<Grant>,
    at: Time,
}

#[derive(Debug)]
pub(crate) struct Grants {
    control: PathBuf,
    known: Mutex<VecDeque<Known>>,
}

impl Grants {
    pub(crate) fn new(control: PathBuf) -> Self {
        Self { control, known: Mutex::default() }
    }

    /// None: nobody has this token.
    pub(crate) async fn of(&self, token: &str) -> Result<Option<Grant>, AskError> {
        if token.len() > LONGEST {
            return Ok(None);
        }
        let now = sys::clock::now();
        if let Some(grant) = self.remembered(token, now) {
            return Ok(grant);
        }
        let grant = ask::grant(&self.control, token).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.pop_front();
        }
        known.push_back(Known { token: token.to_owned(), grant: grant.clone(), at: now });
        Ok(grant)
    }

    fn remembered(&self, token: &str, now: Time) -> Option<Option<Grant>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| now.since(known.at) < FRESH);
        known.iter().find(|known| known.token == token).map(|known| known.grant.clone())
    }
}
