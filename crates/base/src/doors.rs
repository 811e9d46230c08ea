//! Who may wait at a door that is open to anybody: so many at once, and no more than a part of them from
//! one place, so that one stranger keeps nobody else out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A place gets one of so many parts of the room.
const PARTS: usize = 4;

/// The guests of a door.
#[derive(Debug)]
pub struct Doors {
    room: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    guests: BTreeMap<IpAddr, usize>,
    refused: u64,
}

/// One that was let in, until it is dropped.
#[derive(Debug)]
pub struct Guest {
    doors: Arc<Doors>,
    place: IpAddr,
}

impl Doors {
    /// Room for so many at once, a quarter of them from one place (at least one).
    #[must_use]
    pub fn new(room: usize) -> Arc<Self> {
        Arc::new(Self { room, inside: Mutex::default() })
    }

    /// None: there is no room for one more from there.
    pub fn enter(self: &Arc<Self>, from: IpAddr) -> Option<Guest> {
        let place = place(from);
        let mut inside = self.inside();
        let all: usize = inside.guests.values().sum();
        let own = inside.guests.get(&place).copied().unwrap_or(0);
        if all >= self.room || own >= (self.room / PARTS).max(1) {
            inside.refused += 1;
            return None;
        }
        inside.guests.insert(place, own + 1);
        Some(Guest { doors: Arc::clone(self), place })
    }

    /// How many were refused since this was asked last.
    #[must_use]
    pub fn take_refused(&self) -> u64 {
        std::mem::take(&mut self.inside().refused)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut inside = self.doors.inside();
        let left = inside.guests.get(&self.place).map_or(0, |guests| guests - 1);
        match left {
            0 => drop(inside.guests.remove(&self.place)),
            left => drop(inside.guests.insert(self.place, left)),
        }
    }
}

/// An IPv4 address; of IPv6 the network of 64 bits, which one machine has to itself.
fn place(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_never_takes_the_whole_room() {
        let doors = Doors::new(8);
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = doors.enter(at("10.0.0.1"));
        let second = doors.enter(at("::ffff:10.0.0.1"));
        assert!(first.is_some() && second.is_some());
        assert!(doors.enter(at("10.0.0.1")).is_none(), "a quarter of the room is taken");
        let others: Vec<_> =
            ["10.0.0.2", "2001:db8::1", "2001:db8::ffff"].map(|from| doors.enter(at(from))).into();
        assert!(others.iter().all(Option::is_some));
        assert!(doors.enter(at("2001:db8::2")).is_none(), "one network of 64 bits is one place");
        assert_eq!((doors.take_refused(), doors.take_refused()), (2, 0));
        // Whoever goes makes room for its place.
        drop(first);
        assert!(doors.enter(at("10.0.0.1")).is_some());
        let more: Vec<_> = (3..9).map(|n| doors.enter(IpAddr::from([10, 0, 0, n]))).collect();
        assert_eq!(more.iter().filter(|guest| guest.is_some()).count(), 4, "8 in all");
        drop((second, others, more));
        assert!(doors.inside().guests.is_empty());
    }
}
