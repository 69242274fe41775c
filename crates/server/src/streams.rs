//! Seats for those who watch: so many in all, and no user takes them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

/// The seats.
pub(crate) struct Streams {
    most: usize,
    taken: Mutex<HashMap<Uuid, usize>>,
}

/// One taken seat.
pub(crate) struct Seat {
    streams: Arc<Streams>,
    user: Uuid,
}

impl Streams {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// A seat for the user, if there is one: a quarter of all is the most that one user may hold.
    pub(crate) fn take(self: &Arc<Self>, user: Uuid) -> Option<Seat> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let own = taken.get(&user).copied().unwrap_or_default();
        if all >= self.most || own >= self.most.div_ceil(4) {
            return None;
        }
        taken.insert(user, own + 1);
        Some(Seat { streams: Arc::clone(self), user })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.streams.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.user) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(taken.remove(&self.user)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_user_takes_all_seats() {
        let streams = Streams::new(8);
        let (greedy, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut seats: Vec<_> = (0..9).filter_map(|_| streams.take(greedy)).collect();
        assert_eq!(seats.len(), 2);
        assert!(streams.take(other).is_some());
        seats.pop();
        assert!(streams.take(greedy).is_some(), "a seat left is free again");
    }

    #[test]
    fn all_seats_are_so_many() {
        let streams = Streams::new(3);
        let seats: Vec<_> = (0..9).filter_map(|user| streams.take(Uuid::from_u128(user))).collect();
        assert_eq!(seats.len(), 3);
    }
}
