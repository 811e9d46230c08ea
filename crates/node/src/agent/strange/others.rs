//! Where another cluster answers in the place of a node of this one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use base::Time;
use engine::strangers::Told;
use trust::JoinError;

/// Each such address is asked again in its turn, one in five seconds: sixty of them are seen within that time.
const LASTS: Duration = Duration::from_secs(300);

/// By the address where it was asked for the roster: as many as the cluster file has.
#[derive(Debug, Default)]
pub(super) struct Others(BTreeMap<SocketAddr, Other>);

/// Who showed the certificate of another authority there.
#[derive(Debug, Default)]
struct Other {
    node: String,
    /// What is told of it, and when it was last seen to be true; none: it is there no more.
    text: Option<(String, Time)>,
    told: Told,
}

impl Others {
    /// What came of asking a node there. What is to be told now, if anything is.
    pub(super) fn asked(
        &mut self,
        now: Time,
        (node, address): (&str, SocketAddr),
        error: Option<&JoinError>,
    ) -> Option<String> {
        let (expected, found) = match error {
            Some(JoinError::OtherCluster { expected, found, .. }) => (expected, found),
            // Nobody is there, or one who has proven to be of this cluster before anything was asked.
            None
            | Some(
                JoinError::Connect { .. }
                | JoinError::Wire(_)
                | JoinError::Refused(_)
                | JoinError::Answer,
            ) => {
                if let Some(other) = self.0.get_mut(&address) {
                    other.text = None;
                }
                return None;
            }
            // Nothing is known by that: what was seen is told for a while.
            Some(
                JoinError::Trust(_)
                | JoinError::Unprepared(_)
                | JoinError::Unkept(_)
                | JoinError::Expired(_)
                | JoinError::Fingerprint { .. }
                | JoinError::Tls { .. }
                | JoinError::Clock { .. },
            ) => return None,
        };
        let text = format!(
            "another cluster answers at {address} in the place of {node}, whatever its name: its fingerprint is {found}, \
             ours is {expected}"
        );
        let other = self.0.entry(address).or_default();
        node.clone_into(&mut other.node);
        other.text = Some((text.clone(), now));
        other.told.is_due(now).then_some(text)
    }

    /// Those that are there now: the node whose address it is, the address, and what is told of it.
    pub(super) fn lasting(&self, now: Time) -> impl Iterator<Item = (&str, SocketAddr, &str)> {
        self.0.iter().filter_map(move |(address, other)| {
            let (text, seen) = other.text.as_ref()?;
            (now.since(*seen) < LASTS).then_some((other.node.as_str(), *address, text.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use trust::Fingerprint;

    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn asked(others: &mut Others, seconds: u64, error: Option<&JoinError>) -> bool {
        let address = SocketAddr::from(([10, 0, 0, 3], 7413));
        others.asked(at(seconds), ("node03", address), error).is_some()
    }

    fn foreign() -> JoinError {
        JoinError::OtherCluster {
            address: SocketAddr::from(([10, 0, 0, 3], 7413)),
            expected: Fingerprint([1; 32]),
            found: Fingerprint([2; 32]),
        }
    }

    #[test]
    fn another_cluster_is_told_until_nobody_or_one_of_this_cluster_answers_there() {
        let broken = trust::wire::WireError::Broken(io::ErrorKind::UnexpectedEof.into());
        let address = SocketAddr::from(([10, 0, 0, 3], 7413));
        let source = io::ErrorKind::ConnectionRefused.into();
        for over in [
            None,
            Some(JoinError::Connect { address, source }),
            Some(JoinError::Refused("node01 was put out".to_owned())),
            Some(JoinError::Wire(broken)),
            Some(JoinError::Answer),
        ] {
            let mut others = Others::default();
            assert!(asked(&mut others, 0, Some(&foreign())), "it is told");
            assert!(!asked(&mut others, 5, Some(&foreign())), "once");
            assert_eq!(others.lasting(at(6)).count(), 1);
            assert!(!asked(&mut others, 10, over.as_ref()));
            assert_eq!(others.lasting(at(10)).count(), 0, "{over:?}");
        }
    }

    #[test]
    fn another_cluster_that_was_not_seen_for_long_is_told_no_more() {
        let mut others = Others::default();
        asked(&mut others, 0, Some(&foreign()));
        let address = SocketAddr::from(([10, 0, 0, 3], 7413));
        for second in (5..300).step_by(5) {
            // Another program has the port now.
            let source = io::ErrorKind::InvalidData.into();
            asked(&mut others, second, Some(&JoinError::Tls { address, source }));
            assert_eq!(others.lasting(at(second)).count(), 1, "it may be there");
        }
        assert_eq!(others.lasting(at(300)).count(), 0);
    }
}
