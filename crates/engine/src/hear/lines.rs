//! For what a look at the queues found claimers are woken, and for what they have left alone before.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use taskloom_store::{ReadyPlace, Waiting};

/// Queues remembered; beyond that all are forgotten, and what stands in them is new again.
const QUEUES: usize = 1_000;

/// What the looks so far have found.
#[derive(Default)]
pub(super) struct Lines(HashMap<String, Line>);

/// What the looks so far have found in one queue.
struct Line {
    known: Waiting,
    /// What was new at the last look.
    fresh: BTreeSet<ReadyPlace>,
    /// After so many looks all claimers are woken again.
    left: u32,
    /// And then after so many.
    pause: u32,
}

impl Default for Line {
    fn default() -> Self {
        Self { known: Waiting::default(), fresh: BTreeSet::new(), left: 2, pause: 1 }
    }
}

impl Lines {
    /// How many claimers to wake for which of the queues that were looked at, given what stands in them; for what they
    /// leave alone the pauses grow to `most` looks.
    pub(super) fn see(
        &mut self,
        queues: &[String],
        found: BTreeMap<String, Waiting>,
        most: u32,
    ) -> Vec<(String, usize)> {
        // Those that were not looked at are remembered: claimers that are busy finding nothing do not wait.
        for queue in queues.iter().filter(|queue| !found.contains_key(*queue)) {
            self.0.remove(queue);
        }
        if self.0.len() > QUEUES {
            self.0.clear();
        }
        let mut wake = Vec::new();
        for (queue, waiting) in found {
            let count = self.0.entry(queue.clone()).or_default().see(waiting, most);
            if count > 0 {
                wake.push((queue, count));
            }
        }
        wake
    }
}

impl Line {
    fn see(&mut self, found: Waiting, most: u32) -> usize {
        let fresh: BTreeSet<ReadyPlace> = places(&found).filter(|place| self.is_new(place, &found)).collect();
        // Whoever was woken for these may not have known them: now everybody looks.
        let is_left_alone = self.fresh.iter().any(|place| stands(place, &found));
        let count = fresh.len();
        (self.known, self.fresh) = (found, fresh);
        self.left = self.left.saturating_sub(1).min(most);
        if !is_left_alone && self.left > 0 {
            return count;
        }
        // What claimers do not take waits for another kind of worker, or somebody has locked it.
        self.left = self.pause.min(most);
        self.pause = self.pause.saturating_mul(2).min(most);
        usize::MAX
    }

    /// Whether a task has come, and not just come into sight because others before it are gone.
    fn is_new(&self, place: &ReadyPlace, found: &Waiting) -> bool {
        if stands(place, &self.known) {
            return false;
        }
        let Waiting { first, last } = &self.known;
        let is_in_sight = last.is_none() || first.last().is_some_and(|end| place < end);
        is_in_sight || found.last == Some(*place)
    }
}

fn stands(place: &ReadyPlace, waiting: &Waiting) -> bool {
    waiting.first.contains(place) || waiting.last == Some(*place)
}

fn places(waiting: &Waiting) -> impl Iterator<Item = ReadyPlace> {
    waiting.first.iter().copied().chain(waiting.last)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// Looks in the longest pause.
    const MOST: u32 = 8;

    /// A queue of which a look sees the first three places.
    fn queue(ids: &[u128]) -> Waiting {
        let mut places: BTreeSet<ReadyPlace> = ids.iter().map(|id| (0, Uuid::from_u128(*id))).collect();
        let last = if places.len() > 3 { places.pop_last() } else { None };
        while places.len() > 3 {
            places.pop_last();
        }
        Waiting { first: places, last }
    }

    /// At which of so many looks at the same queue everybody is woken.
    fn all_woken(line: &mut Line, ids: &[u128], looks: usize) -> Vec<usize> {
        (0..looks).filter(|_| line.see(queue(ids), MOST) == usize::MAX).collect()
    }

    #[test]
    fn what_nobody_takes_wakes_claimers_ever_more_rarely() {
        let mut line = Line::default();
        assert_eq!(line.see(queue(&[1]), MOST), 1);
        assert_eq!(all_woken(&mut line, &[1], 40), [0, 1, 3, 7, 15, 23, 31, 39]);
        // Where looks are as rare as that already, each of them wakes.
        let mut line = Line::default();
        assert_eq!(line.see(queue(&[1]), 1), 1);
        assert!((0..5).all(|_| line.see(queue(&[1]), 1) == usize::MAX));
    }

    #[test]
    fn what_comes_beside_it_wakes_at_the_next_look() {
        let mut line = Line::default();
        all_woken(&mut line, &[5], 36);
        assert_eq!(line.see(queue(&[5]), MOST), 0);
        assert_eq!(line.see(queue(&[5, 6, 7]), MOST), 2, "each wakes one");
        assert_eq!(line.see(queue(&[5, 7]), MOST), usize::MAX, "and who was woken did not take one");
        assert_eq!(line.see(queue(&[5]), MOST), 0);
        assert_eq!(line.see(queue(&[3, 5]), MOST), 1, "also one that goes before it");
        assert_eq!(line.see(queue(&[5]), MOST), 0);
    }

    #[test]
    fn behind_many_the_last_is_seen_and_what_only_moves_up_is_not_new() {
        let mut line = Line::default();
        all_woken(&mut line, &[2, 3, 4, 5, 6, 7], 36);
        assert_eq!(line.see(queue(&[2, 3, 4, 5, 6, 7, 8]), MOST), 1, "behind them all");
        assert_eq!(line.see(queue(&[2, 3, 4, 5, 6, 7]), MOST), 1, "who is last now may have come as well");
        let mut line = Line::default();
        all_woken(&mut line, &[2, 3, 4, 5, 6, 7], 36);
        assert_eq!(line.see(queue(&[3, 4, 5, 6, 7]), MOST), 0, "one before them was taken elsewhere");
        assert_eq!(line.see(queue(&[1, 3, 4, 5, 6, 7]), MOST), 1, "before them all");
    }

    #[test]
    fn each_queue_has_its_own_pauses() {
        let mut lines = Lines::default();
        let both = ["stuck".to_owned(), "plain".to_owned()];
        let stuck = || ("stuck".to_owned(), queue(&[1]));
        for _ in 0..36 {
            lines.see(&both, BTreeMap::from([stuck()]), MOST);
        }
        let plain = ("plain".to_owned(), queue(&[2]));
        let found = BTreeMap::from([stuck(), plain]);
        assert_eq!(lines.see(&both, found, MOST), [("plain".to_owned(), 1)]);
        // One that nobody waited for just now is remembered, one that was empty is not.
        assert!(lines.see(&both[1..], BTreeMap::new(), MOST).is_empty());
        assert!(lines.see(&both, BTreeMap::from([stuck()]), MOST).is_empty());
        assert!(lines.see(&both, BTreeMap::new(), MOST).is_empty());
        assert_eq!(lines.see(&both, BTreeMap::from([stuck()]), MOST), [("stuck".to_owned(), 1)]);
    }
}
