//! Where the next claim of a queue may begin, on PostgreSQL.
//!
//! While an old snapshot is held (a long report, a backup, a forgotten session), nothing that claims delete can be cleaned
//! away, and every claim would walk over all of it again. So a claim begins where the last one found its first task. What
//! comes to stand before that place is told by [`Floors::lower`], or, from another process, found by a walk from the start
//! now and then: the rarer, the longer such a walk takes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use taskloom_model::TaskId;

/// A place in a queue: band, then id.
pub(crate) type Place = (i64, TaskId);

/// Before every place.
pub(super) const START: Place = (i64::MIN, TaskId::nil());

/// A walk from the start is due again after this.
const WALK_AGAIN: Duration = Duration::from_millis(250);
/// Walks from the start may take this share of the time: one in so many.
const SHARE: u32 = 20;
/// Queues remembered; beyond that every claim walks from the start until some are forgotten.
const QUEUES: usize = 10_000;

/// The floors of all queues, as this process knows them.
#[derive(Default)]
pub(crate) struct Floors(Mutex<HashMap<String, Floor>>);

struct Floor {
    place: Place,
    walk_at: Instant,
}

impl Floors {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Floor>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to begin: at the floor, or at the start if a walk from there is due.
    pub(super) fn begin(&self, queue: &str) -> Place {
        match self.lock().get(queue) {
            Some(floor) if Instant::now() < floor.walk_at => floor.place,
            _ => START,
        }
    }

    /// A claim that began at the start and took so long found its first task here.
    pub(super) fn walked(&self, queue: &str, first: Place, took: Duration) {
        let mut floors = self.lock();
        if floors.len() >= QUEUES {
            floors.clear();
        }
        let walk_at = Instant::now() + WALK_AGAIN.max(took * SHARE);
        floors.insert(queue.to_owned(), Floor { place: first, walk_at });
    }

    /// A claim that began at the floor found its first task here.
    pub(super) fn rise(&self, queue: &str, began: Place, first: Place) {
        if let Some(floor) = self.lock().get_mut(queue)
            && floor.place == began
        {
            floor.place = first;
        }
    }

    /// A task came to stand here.
    pub(crate) fn lower(&self, queue: &str, place: Place) {
        if let Some(floor) = self.lock().get_mut(queue) {
            floor.place = floor.place.min(place);
        }
    }

    /// Nothing is left behind the floor: the next claim walks from the start.
    pub(super) fn forget(&self, queue: &str) {
        self.lock().remove(queue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(band: i64, id: u128) -> Place {
        (band, TaskId::from_u128(id))
    }

    #[test]
    fn a_claim_begins_where_the_last_one_found_its_first_task() {
        let floors = Floors::default();
        assert_eq!(floors.begin("q"), START);
        floors.walked("q", place(-2, 10), Duration::from_secs(1));
        assert_eq!(floors.begin("q"), place(-2, 10));
        floors.rise("q", place(-2, 10), place(-2, 20));
        assert_eq!(floors.begin("q"), place(-2, 20));
        assert_eq!(floors.begin("other"), START);
    }

    #[test]
    fn what_comes_to_stand_before_the_floor_lowers_it_and_a_late_claim_does_not_raise_it_again() {
        let floors = Floors::default();
        floors.walked("q", place(-2, 10), Duration::from_secs(1));
        floors.lower("q", place(-2, 99));
        assert_eq!(floors.begin("q"), place(-2, 10), "behind it");
        floors.lower("q", place(-4, 50));
        assert_eq!(floors.begin("q"), place(-4, 50));
        floors.rise("q", place(-2, 10), place(-2, 30));
        assert_eq!(floors.begin("q"), place(-4, 50));
        floors.forget("q");
        assert_eq!(floors.begin("q"), START);
    }
}
