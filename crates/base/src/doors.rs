//! Who may wait at a door that is open to anybody: so many at once, and no more than a part of them from
//! one place. Whoever comes is let in; where there is no room, one who waits has to go: the oldest of the newcomer's
//! place if that has its part, else the oldest of the place that has most. So strangers who wait keep nobody
//! out, and of many places only who comes from a crowded one is sent away.

use std::collections::BTreeMap;
use std::fmt;
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
    /// The oldest first.
    guests: Vec<Seat>,
    next: u64,
    turned_away: TurnedAway,
    /// As far as it was taken.
    taken: u64,
}

struct Seat {
    number: u64,
    place: IpAddr,
    leave: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guest {} of {}", self.number, self.place)
    }
}

/// Who had to go.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TurnedAway {
    pub connections: u64,
    /// The place of the last one: an address, of IPv6 a network of 64 bits.
    pub last: Option<IpAddr>,
}

/// One that was let in, until it is dropped.
#[derive(Debug)]
pub struct Guest {
    doors: Arc<Doors>,
    number: u64,
}

impl Doors {
    /// Room for so many at once, a quarter of them from one place (at least one).
    #[must_use]
    pub fn new(room: usize) -> Arc<Self> {
        Arc::new(Self { room: room.max(1), inside: Mutex::default() })
    }

    /// `leave` is called if this guest has to go before it is dropped.
    pub fn enter(self: &Arc<Self>, from: IpAddr, leave: impl FnOnce() + Send + 'static) -> Guest {
        let place = place(from);
        let mut inside = self.inside();
        let goes = inside.who_goes(place, self.room);
        let goes = goes.map(|at| inside.guests.remove(at));
        if let Some(seat) = &goes {
            let connections = inside.turned_away.connections + 1;
            inside.turned_away = TurnedAway { connections, last: Some(seat.place) };
        }
        let number = inside.next;
        inside.next += 1;
        inside.guests.push(Seat { number, place, leave: Box::new(leave) });
        drop(inside);
        if let Some(seat) = goes {
            (seat.leave)();
        }
        Guest { doors: Arc::clone(self), number }
    }

    /// Since the door is open.
    #[must_use]
    pub fn turned_away(&self) -> TurnedAway {
        self.inside().turned_away
    }

    /// Since this was asked last.
    #[must_use]
    pub fn take_turned_away(&self) -> TurnedAway {
        let mut inside = self.inside();
        let TurnedAway { connections, last } = inside.turned_away;
        let before = std::mem::replace(&mut inside.taken, connections);
        TurnedAway { connections: connections - before, last }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// The position of the guest that makes room for one more of this place; none: there is room.
    fn who_goes(&self, place: IpAddr, room: usize) -> Option<usize> {
        let mut places = BTreeMap::<IpAddr, usize>::new();
        for seat in &self.guests {
            *places.entry(seat.place).or_default() += 1;
        }
        let own = places.get(&place).copied().unwrap_or(0);
        let crowded = if own >= (room / PARTS).max(1) {
            place
        } else if self.guests.len() >= room {
            // Of places with as many, that of who waited longest.
            let guests = |seat: &&Seat| places.get(&seat.place).copied();
            let mut most = self.guests.first()?;
            for seat in &self.guests {
                if guests(&seat) > guests(&most) {
                    most = seat;
                }
            }
            most.place
        } else {
            return None;
        };
        self.guests.iter().position(|seat| seat.place == crowded)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.doors.inside().guests.retain(|seat| seat.number != self.number);
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
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A guest, and whether it had to go.
    struct Came(Arc<AtomicUsize>, #[expect(dead_code, reason = "it is there")] Guest);

    impl Came {
        fn is_out(&self) -> bool {
            self.0.load(Ordering::Relaxed) > 0
        }
    }

    fn enter(doors: &Arc<Doors>, from: &str) -> Came {
        let out = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&out);
        let leave = move || {
            told.fetch_add(1, Ordering::Relaxed);
        };
        Came(out, doors.enter(from.parse().unwrap(), leave))
    }

    #[test]
    fn one_place_never_takes_the_whole_room() {
        let doors = Doors::new(8);
        let own = ["10.0.0.1", "::ffff:10.0.0.1", "10.0.0.1"].map(|from| enter(&doors, from));
        assert_eq!(own.each_ref().map(Came::is_out), [true, false, false], "a quarter is taken");
        let others = ["10.0.0.2", "2001:db8::1", "2001:db8::ffff"].map(|from| enter(&doors, from));
        let last = enter(&doors, "2001:db8::2");
        let out = others.each_ref().map(Came::is_out);
        assert_eq!(out, [false, true, false], "one network of 64 bits is one place");
        let last_place = "2001:db8::".parse().ok();
        let turned_away = TurnedAway { connections: 2, last: last_place };
        assert_eq!((doors.turned_away(), doors.take_turned_away()), (turned_away, turned_away));
        assert_eq!(doors.take_turned_away(), TurnedAway { connections: 0, last: last_place });
        // Whoever goes makes room for its place.
        drop(own);
        let again = ["10.0.0.1"; 2].map(|from| enter(&doors, from));
        assert!(again.iter().all(|came| !came.is_out()));
        drop((again, others, last));
        assert!(doors.inside().guests.is_empty());
    }

    #[test]
    fn a_full_room_makes_place_for_who_comes_from_elsewhere() {
        let doors = Doors::new(8);
        let strangers: Vec<_> =
            (0..8).map(|n| enter(&doors, &format!("10.0.0.{}", n % 4))).collect();
        assert!(strangers.iter().all(|came| !came.is_out()));
        let member = enter(&doors, "10.0.1.1");
        assert_eq!(strangers.iter().filter(|came| came.is_out()).count(), 1);
        // However many come, from however many places that are more crowded than that of the member.
        let more: Vec<_> = (0..100).map(|n| enter(&doors, &format!("10.0.0.{}", n % 3))).collect();
        assert!(!member.is_out() && doors.inside().guests.len() == 8);
        assert_eq!(more.iter().filter(|came| !came.is_out()).count(), 6);
    }

    #[test]
    fn of_places_with_as_many_guests_who_waited_longest_goes() {
        let doors = Doors::new(8);
        let strangers: Vec<_> = (0..8).map(|n| enter(&doors, &format!("10.0.1.{n}"))).collect();
        // Its address is greater than theirs, which says nothing.
        let member = enter(&doors, "192.168.0.1");
        let more: Vec<_> = (0..7).map(|n| enter(&doors, &format!("10.0.0.{n}"))).collect();
        let out = |came: &[Came]| came.iter().filter(|came| came.is_out()).count();
        assert_eq!((member.is_out(), out(&strangers), out(&more)), (false, 8, 0));
        // Of two places with two guests each, too.
        drop((strangers, member, more));
        let first = ["10.0.0.9", "10.0.0.2", "10.0.0.9", "10.0.0.2"].map(|from| enter(&doors, from));
        let rest: Vec<_> = (0..5).map(|n| enter(&doors, &format!("10.0.3.{n}"))).collect();
        assert_eq!(first.each_ref().map(Came::is_out), [true, false, false, false]);
        assert_eq!(out(&rest), 0);
    }
}
