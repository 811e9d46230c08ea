//! How many questions are answered at once: no user takes the room of another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Questions of one user at once; a follower counts. More are told to come back. Enough for a dashboard
/// with its live pages, or a person with many terminals.
const OF_USER: usize = 16;
/// Of all users but root together, who may always look: each question has a thread.
const OF_OTHERS: usize = 64;
const ROOT: Option<u32> = Some(0);

/// Who is being answered; users without a question have no entry.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    taken: Mutex<BTreeMap<Option<u32>, usize>>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    user: Option<u32>,
}

impl Seats {
    fn taken(&self) -> MutexGuard<'_, BTreeMap<Option<u32>, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None if there is no room; who is nobody that the kernel knows is one user.
    pub(crate) fn take(self: &Arc<Self>, user: Option<u32>) -> Option<Seat> {
        let mut taken = self.taken();
        let own = taken.get(&user).copied().unwrap_or_default();
        let others: usize =
            taken.iter().filter(|(user, _)| **user != ROOT).map(|(_, seats)| seats).sum();
        // Nothing is made before it is sure: a seat that is dropped here would wait for this lock.
        if own >= OF_USER || (user != ROOT && others >= OF_OTHERS) {
            return None;
        }
        taken.insert(user, own + 1);
        drop(taken);
        Some(Seat { seats: Arc::clone(self), user })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if let Some(own) = taken.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows from many terminals.
    fn many(seats: &Arc<Seats>, user: u32) -> Vec<Seat> {
        (0..100).filter_map(|_| seats.take(Some(user))).collect()
    }

    #[test]
    fn a_user_who_asks_too_much_takes_no_room_of_others() {
        let seats = Arc::new(Seats::default());
        let mut held = many(&seats, 1000);
        assert_eq!(held.len(), OF_USER);
        assert!(seats.take(Some(65534)).is_some(), "the dashboard");
        assert!(seats.take(ROOT).is_some());
        held.pop();
        assert!(seats.take(Some(1000)).is_some(), "a place that was given back");
    }

    #[test]
    fn many_users_leave_room_for_root_and_those_refused_leave_no_trace() {
        let seats = Arc::new(Seats::default());
        let held: Vec<_> = (1..100).filter_map(|user| seats.take(Some(user))).collect();
        assert_eq!((held.len(), seats.taken().len()), (OF_OTHERS, OF_OTHERS));
        let of_root = many(&seats, 0);
        assert_eq!((of_root.len(), seats.taken().len()), (OF_USER, OF_OTHERS + 1));
        drop((held, of_root));
        assert!(seats.taken().is_empty());
    }

    #[test]
    fn root_takes_no_room_of_others() {
        let seats = Arc::new(Seats::default());
        let _of_root = many(&seats, 0);
        let held: Vec<_> = (1..100).filter_map(|user| seats.take(Some(user))).collect();
        assert_eq!(held.len(), OF_OTHERS);
    }
}
