//! Who may wait at a door that is open to anybody: so many at once, and no more than a part of them from
//! one place. Whoever comes is let in; where there is no room, one who waits has to go: the oldest of the newcomer's
//! place if that has its part, else the oldest of the place that has most. So strangers who wait keep nobody
//! out, and of many places only who comes from a crowded one is sent away. Who is being served does not have to go, and
//! who had to go may take a while: where no one can be sent away, or too many have not left yet, the newcomer is not
//! let in.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A place gets one of so many parts of the room.
const PARTS: usize = 4;
/// Guests who have not left yet, those included who had to go: so many times the room. One who is sent away and waits
/// for nothing leaves within a millisecond, in which others may come.
const LIVING: usize = 4;

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
    /// Let in and not dropped yet.
    living: usize,
    next: u64,
    turned_away: TurnedAway,
    /// As far as it was taken.
    taken: u64,
}

struct Seat {
    number: u64,
    place: IpAddr,
    /// None: it is being served.
    leave: Option<Box<dyn FnOnce() + Send>>,
}

/// Whether there is room for one more.
enum Room {
    Free,
    /// When the guest at this position has gone.
    Of(usize),
    No,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guest {} of {}", self.number, self.place)
    }
}

/// Who had to go, or was not let in.
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

    /// `leave` is called if this guest has to go before it is dropped or served. None: there is no room for it, and
    /// nobody who could make any; it is counted.
    pub fn enter(
        self: &Arc<Self>,
        from: IpAddr,
        leave: impl FnOnce() + Send + 'static,
    ) -> Option<Guest> {
        let place = place(from);
        let mut inside = self.inside();
        let room = inside.room_for(place, self.room);
        let goes = match room {
            Room::Free => None,
            Room::Of(at) => Some(inside.guests.remove(at)),
            Room::No => {
                inside.turn_away(place);
                return None;
            }
        };
        if let Some(seat) = &goes {
            inside.turn_away(seat.place);
        }
        let number = inside.next;
        inside.next += 1;
        inside.living += 1;
        inside.guests.push(Seat { number, place, leave: Some(Box::new(leave)) });
        drop(inside);
        if let Some(leave) = goes.and_then(|seat| seat.leave) {
            leave();
        }
        Some(Guest { doors: Arc::clone(self), number })
    }

    /// Who had to go or was not let in since the door is open.
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
    fn room_for(&self, place: IpAddr, room: usize) -> Room {
        if self.living >= room * LIVING {
            return Room::No;
        }
        let mut places = BTreeMap::<IpAddr, usize>::new();
        for seat in &self.guests {
            *places.entry(seat.place).or_default() += 1;
        }
        let guests = |of: IpAddr| places.get(&of).copied().unwrap_or(0);
        let is_full = guests(place) >= (room / PARTS).max(1);
        if !is_full && self.guests.len() < room {
            return Room::Free;
        }
        let waiting = self.guests.iter().enumerate().filter(|(_, seat)| seat.leave.is_some());
        let mut goes: Option<(usize, &Seat)> = None;
        for (at, seat) in waiting.filter(|(_, seat)| !is_full || seat.place == place) {
            // Of places with as many, that of who waited longest.
            if goes.is_none_or(|(_, most)| guests(seat.place) > guests(most.place)) {
                goes = Some((at, seat));
            }
        }
        goes.map_or(Room::No, |(at, _)| Room::Of(at))
    }

    fn turn_away(&mut self, place: IpAddr) {
        let connections = self.turned_away.connections + 1;
        self.turned_away = TurnedAway { connections, last: Some(place) };
    }
}

impl Guest {
    /// It is served from now on and has not to go any more. False: it had to already.
    #[must_use]
    pub fn stay(&self) -> bool {
        let mut inside = self.doors.inside();
        let seat = inside.guests.iter_mut().find(|seat| seat.number == self.number);
        let leave = seat.map(|seat| seat.leave.take());
        drop(inside);
        leave.is_some()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut inside = self.doors.inside();
        inside.living -= 1;
        inside.guests.retain(|seat| seat.number != self.number);
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
    struct Came(Arc<AtomicUsize>, Option<Guest>);

    impl Came {
        fn is_out(&self) -> bool {
            self.0.load(Ordering::Relaxed) > 0
        }

        fn stay(&self) -> bool {
            self.1.as_ref().is_some_and(Guest::stay)
        }
    }

    fn enter(doors: &Arc<Doors>, from: &str) -> Came {
        let out = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&out);
        let leave = move || {
            told.fetch_add(1, Ordering::Relaxed);
        };
        let guest = doors.enter(from.parse().unwrap(), leave);
        assert!(guest.is_some());
        Came(out, guest)
    }

    fn is_let_in(doors: &Arc<Doors>, from: &str) -> bool {
        doors.enter(from.parse().unwrap(), || ()).is_some()
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
        let mut more: Vec<Came> = vec![];
        for n in 0..100 {
            more.push(enter(&doors, &format!("10.0.0.{}", n % 3)));
            // Who is sent away leaves.
            more.iter_mut().filter(|came| came.is_out()).for_each(|came| came.1 = None);
        }
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
        let first =
            ["10.0.0.9", "10.0.0.2", "10.0.0.9", "10.0.0.2"].map(|from| enter(&doors, from));
        let rest: Vec<_> = (0..5).map(|n| enter(&doors, &format!("10.0.3.{n}"))).collect();
        assert_eq!(first.each_ref().map(Came::is_out), [true, false, false, false]);
        assert_eq!(out(&rest), 0);
    }

    #[test]
    fn who_is_served_does_not_have_to_go() {
        let doors = Doors::new(8);
        let served = enter(&doors, "10.0.0.1");
        assert!(served.stay() && served.stay());
        let idle: Vec<_> = (0..3).map(|_| enter(&doors, "10.0.0.1")).collect();
        assert_eq!(idle.iter().map(Came::is_out).collect::<Vec<_>>(), [true, true, false]);
        assert!(!idle[0].stay(), "it had to go already");
        assert!(idle[2].stay());
        assert!(!is_let_in(&doors, "10.0.0.1"), "both of its address are served");
        let served: Vec<_> = (1..7).map(|n| enter(&doors, &format!("10.0.1.{n}"))).collect();
        assert!(served[1..].iter().all(|came| came.stay()));
        // One waits still, and makes room for one of elsewhere, which waits then.
        let last = enter(&doors, "10.0.2.1");
        assert!(served[0].is_out() && last.stay());
        assert!(!is_let_in(&doors, "10.0.2.2"), "all are served");
        let turned_away = doors.turned_away();
        assert_eq!((turned_away.connections, idle.len()), (5, 3));
        assert_eq!(turned_away.last, "10.0.2.2".parse().ok());
        drop(last);
        assert!(is_let_in(&doors, "10.0.2.2"));
    }

    #[test]
    fn who_does_not_leave_when_it_has_to_is_counted() {
        let doors = Doors::new(8);
        let mut lasting: Vec<_> =
            (0..8 * LIVING).map(|n| enter(&doors, &format!("10.0.0.{n}"))).collect();
        assert_eq!(lasting.iter().filter(|came| came.is_out()).count(), 8 * (LIVING - 1));
        assert!(!is_let_in(&doors, "10.0.1.1"), "so many are there still");
        let turned_away = doors.turned_away();
        assert_eq!(turned_away.connections, 8 * (LIVING as u64 - 1) + 1);
        assert_eq!(turned_away.last, "10.0.1.1".parse().ok());
        // One that had to go leaves at last, and makes room.
        drop(lasting.remove(0));
        assert!(is_let_in(&doors, "10.0.1.1"));
    }
}
