//! What is done to the store by hand: written down by the agent before and after, and kept off the
//! cluster's own keys.

use api::access::{AccessAnswer, AccessAsk, ByHand};
use api::{Answer, Ask};
use engine::{generation, intent, kv, maintenance, verdict};

use super::{Here, StoreError};
use crate::reach::{self, Instance, ReachError};

/// How the keys begin that nodes act upon. All of `config/` is one of [`generation`]'s.
const OWN: [&str; 9] = [
    "config/",
    intent::INTENTS,
    intent::OPEN,
    intent::LAST,
    kv::LOCKS,
    maintenance::WINDOWS,
    verdict::PROOFS,
    ::store::WISHES,
    "replaced/",
];
const _: () = assert!(matches!(
    generation::NEWEST.as_bytes(),
    [b'c', b'o', b'n', b'f', b'i', b'g', b'/', ..]
));

/// # Errors
/// When it is a key of the cluster's own and nobody insists.
pub(super) fn is_free(key: &str, force: bool) -> Result<(), StoreError> {
    if !force && OWN.iter().any(|own| key.starts_with(own)) {
        return Err(StoreError::Own(key.to_owned()));
    }
    Ok(())
}

/// Does it between two lines of the audit log: what cannot be written down is not begun.
///
/// # Errors
/// Its own, and when the agent writes nothing down.
pub(super) fn logged<T>(
    here: &Here,
    deed: ByHand,
    object: &str,
    act: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let instance = Instance { run_dir: here.run_dir.clone(), ..Instance::default() };
    let socket = instance.socket()?;
    let log = |came_to: Option<String>| {
        let ask = AccessAsk::Log { deed, object: object.to_owned(), came_to };
        match reach::one(&socket, &Ask::Access(ask))? {
            Answer::Access(AccessAnswer::Logged) => Ok(()),
            _ => Err(ReachError::Other),
        }
    };
    log(None)?;
    let done = act();
    let came_to =
        done.as_ref().err().map_or_else(|| "done".to_owned(), |e| base::Chain(e).to_string());
    let told = log(Some(came_to));
    let done = done?;
    told?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_clusters_own_are_written_by_force_only() {
        let newest = generation::NEWEST;
        for key in
            [newest, "intent/1", "intent-last", "lock/coordinator", "proof/node02", "member/a"]
        {
            assert!(
                matches!(is_free(key, false), Err(StoreError::Own(own)) if own == key),
                "{key}"
            );
            assert!(is_free(key, true).is_ok());
        }
        for key in ["a", "configuration", "intention", "site/config/x", "lock"] {
            assert!(is_free(key, false).is_ok(), "{key}");
        }
    }
}
