//! Slows down whoever guesses passwords.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use taskloom_model::Timestamp;
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::auth::secret::sha256;

/// Attempts that may wait for others to end; more than that is a flood.
const WAITING: usize = 128;

/// How wrong passwords slow a client down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleConfig {
    /// Wrong passwords for one user from one address before waits begin.
    pub free_per_user: u32,
    /// Wrong passwords from one address, whoever the user, before waits begin.
    pub free_per_ip: u32,
    /// The first wait; each further wrong password doubles it.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// Without an attempt for so long all is forgotten.
    pub forget_after: Duration,
    /// Users and addresses remembered at once.
    pub capacity: usize,
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self {
            free_per_user: 5,
            free_per_ip: 50,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(15),
            forget_after: Duration::from_mins(30),
            capacity: 20_000,
        }
    }
}

/// Remembers wrong passwords.
pub(crate) struct Throttle {
    config: ThrottleConfig,
    hasher: RandomState,
    seen: Mutex<HashMap<Key, Seen>>,
    places: Semaphore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// A user, by a keyed hash of the name, from an address.
    User(u64, IpAddr),
    Ip(IpAddr),
}

struct Seen {
    wrong: u32,
    /// Attempts under way: whether they are right is not known yet.
    open: u32,
    last: Timestamp,
    /// No attempt before this instant.
    until: Timestamp,
    /// Wakes who waits for one of the open attempts to end.
    ended: Arc<Notify>,
}

impl Seen {
    fn first(now: Timestamp) -> Self {
        Self { wrong: 0, open: 0, last: now, until: now, ended: Arc::default() }
    }
}

/// Why an attempt is not let through.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Wrong passwords were seen: come back after this time.
    Wait(Duration),
    /// As many attempts are under way as could be wrong; when this fires, one of them has ended.
    UnderWay(OwnedNotified),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Right,
    Wrong,
    Unknown,
}

/// An attempt that has been let through. Dropped without a word, it was wrong.
#[must_use = "an attempt that is dropped counts as wrong"]
pub(crate) struct Ticket<'a> {
    throttle: &'a Throttle,
    keys: [Key; 2],
    at: Timestamp,
    outcome: Outcome,
}

impl Ticket<'_> {
    /// The password was right: this user is forgiven, the address only this one attempt.
    pub(crate) fn right(mut self) {
        self.settle(Outcome::Right);
    }

    /// The password was wrong.
    pub(crate) fn wrong(mut self) {
        self.settle(Outcome::Wrong);
    }

    /// The password could not be checked: nothing is held against anybody.
    pub(crate) fn unknown(mut self) {
        self.settle(Outcome::Unknown);
    }

    fn settle(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.throttle.end(self.keys, self.outcome, self.at);
    }
}

impl Throttle {
    pub(crate) fn new(config: ThrottleConfig) -> Self {
        let places = Semaphore::new(WAITING);
        Self { config, hasher: RandomState::new(), seen: Mutex::default(), places }
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<Key, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets an attempt through, or says what to wait for.
    ///
    /// Never are more under way than could be wrong without a wait: a burst of guesses in parallel gains nothing.
    pub(crate) fn attempt(&self, user: &str, ip: IpAddr, now: Timestamp) -> Result<Ticket<'_>, Refusal> {
        let ip = network(ip);
        let keys = [Key::User(self.hasher.hash_one(user), ip), Key::Ip(ip)];
        let mut seen = self.seen();
        let wait = keys.iter().filter_map(|key| seen.get(key)).map(|s| s.until.since(now)).max();
        // Nobody is locked out for as long as the clock was set back.
        let wait = wait.map(|wait| wait.min(self.config.longest_wait));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            return Err(Refusal::Wait(wait));
        }
        let full = keys.iter().find_map(|key| seen.get(key).filter(|s| !self.has_room(*key, s)));
        if let Some(full) = full {
            return Err(Refusal::UnderWay(Arc::clone(&full.ended).notified_owned()));
        }
        self.make_room(&mut seen, now);
        for key in keys {
            let entry = seen.entry(key).or_insert_with(|| Seen::first(now));
            if now.since(entry.last) >= self.config.forget_after {
                entry.wrong = 0;
            }
            entry.open = entry.open.saturating_add(1);
            entry.last = now;
        }
        Ok(Ticket { throttle: self, keys, at: now, outcome: Outcome::Wrong })
    }

    /// Takes over what other servers have seen of this user from this address, if it is more than was seen here.
    pub(crate) fn learn(&self, user: &str, ip: IpAddr, wrong: u32, now: Timestamp) {
        let key = Key::User(self.hasher.hash_one(user), network(ip));
        let mut seen = self.seen();
        if wrong == 0 || seen.get(&key).is_some_and(|known| known.wrong >= wrong) {
            return;
        }
        self.make_room(&mut seen, now);
        let entry = seen.entry(key).or_insert_with(|| Seen::first(now));
        entry.wrong = wrong;
        entry.last = now;
        entry.until = now.plus(self.wait(key, wrong));
    }

    /// How long counts are kept.
    pub(crate) fn forget_after(&self) -> Duration {
        self.config.forget_after
    }

    /// A place among those that wait for an attempt to end, if one is left.
    pub(crate) fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.try_acquire().ok()
    }

    fn end(&self, keys: [Key; 2], outcome: Outcome, at: Timestamp) {
        let mut seen = self.seen();
        for key in keys {
            let Some(entry) = seen.get_mut(&key) else { continue };
            entry.open = entry.open.saturating_sub(1);
            match (outcome, key) {
                (Outcome::Wrong, _) => {
                    entry.wrong = entry.wrong.saturating_add(1);
                    entry.until = entry.until.max(at.plus(self.wait(key, entry.wrong)));
                }
                (Outcome::Right, Key::User(..)) => {
                    entry.wrong = 0;
                    entry.until = at;
                }
                (Outcome::Right | Outcome::Unknown, _) => {}
            }
            entry.ended.notify_waiters();
            if entry.open == 0 && entry.wrong == 0 {
                seen.remove(&key);
            }
        }
    }

    /// Whether one more could be wrong, with all that are under way, before waits begin. One alone always may.
    fn has_room(&self, key: Key, seen: &Seen) -> bool {
        seen.open == 0 || seen.wrong.saturating_add(seen.open) < self.free(key)
    }

    fn free(&self, key: Key) -> u32 {
        match key {
            Key::User(..) => self.config.free_per_user,
            Key::Ip(_) => self.config.free_per_ip,
        }
    }

    fn wait(&self, key: Key, wrong: u32) -> Duration {
        match wrong.checked_sub(self.free(key)) {
            None => Duration::ZERO,
            Some(over) => {
                let doubled = 2u32.saturating_pow(over.min(31));
                self.config.first_wait.saturating_mul(doubled).min(self.config.longest_wait)
            }
        }
    }

    /// What servers call this user from this address among themselves; says nothing to who reads it.
    pub(crate) fn shared_key(user: &str, ip: IpAddr) -> String {
        let digest = sha256(format!("{}|{user}", network(ip)).as_bytes());
        let number = digest.iter().take(16).fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        format!("login:{number:032x}")
    }

    /// Keeps the map within its capacity: first what is forgotten anyway, then the half that was quiet longest.
    /// What has an attempt under way stays.
    fn make_room(&self, seen: &mut HashMap<Key, Seen>, now: Timestamp) {
        if seen.len() + 2 <= self.config.capacity.max(2) {
            return;
        }
        seen.retain(|_, s| s.open > 0 || now.since(s.last) < self.config.forget_after);
        if seen.len() + 2 > self.config.capacity.max(2) {
            let mut times: Vec<_> = seen.values().map(|s| s.last).collect();
            let middle = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(middle);
            let median = *median;
            seen.retain(|_, s| s.open > 0 || s.last > median);
        }
    }
}

/// The address; of IPv6 only the network, since a client owns all of the rest.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(1_700_000_000_000_000).plus(Duration::from_secs(seconds))
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn wait(attempt: Result<Ticket<'_>, Refusal>) -> Option<Duration> {
        attempt.err().and_then(|refusal| match refusal {
            Refusal::Wait(wait) => Some(wait),
            Refusal::UnderWay(_) => None,
        })
    }

    fn ended(attempt: Result<Ticket<'_>, Refusal>) -> Option<OwnedNotified> {
        attempt.err().and_then(|refusal| match refusal {
            Refusal::UnderWay(ended) => Some(ended),
            Refusal::Wait(_) => None,
        })
    }

    #[test]
    fn waits_double_after_the_free_attempts() {
        let throttle = Throttle::new(ThrottleConfig::default());
        for _ in 0..5 {
            assert!(throttle.attempt("ann", ip(1), at(0)).is_ok());
        }
        assert_eq!(wait(throttle.attempt("ann", ip(1), at(0))), Some(Duration::from_secs(1)));
        assert!(throttle.attempt("ann", ip(1), at(1)).is_ok());
        assert_eq!(wait(throttle.attempt("ann", ip(1), at(1))), Some(Duration::from_secs(2)));
        assert!(throttle.attempt("bob", ip(1), at(1)).is_ok(), "another user from there is free");
        assert!(throttle.attempt("ann", ip(2), at(1)).is_ok(), "she is free from elsewhere");
        assert!(throttle.attempt("ann", ip(1), at(3)).is_ok());
        assert_eq!(wait(throttle.attempt("ann", ip(1), at(3))), Some(Duration::from_secs(4)));
        assert!(throttle.attempt("ann", ip(1), at(3 + 1800)).is_ok());
        assert!(throttle.attempt("ann", ip(1), at(3 + 1800)).is_ok(), "forgotten");
    }

    #[test]
    fn an_address_is_slowed_across_users_and_a_right_password_does_not_wash_it_clean() {
        let throttle = Throttle::new(ThrottleConfig { free_per_ip: 10, ..Default::default() });
        for n in 0..9 {
            assert!(throttle.attempt(&format!("user{n}"), ip(1), at(0)).is_ok());
        }
        let ticket = throttle.attempt("own", ip(1), at(0)).unwrap();
        ticket.right();
        assert!(throttle.attempt("next", ip(1), at(0)).is_ok());
        assert!(throttle.attempt("more", ip(1), at(0)).is_err());
    }

    #[test]
    fn what_other_servers_have_seen_counts_here() {
        let throttle = Throttle::new(ThrottleConfig::default());
        throttle.learn("ann", ip(1), 7, at(0));
        assert_eq!(wait(throttle.attempt("ann", ip(1), at(0))), Some(Duration::from_secs(4)));
        throttle.learn("ann", ip(1), 2, at(1));
        assert!(throttle.attempt("ann", ip(1), at(3)).is_err(), "they have seen less than is known here");
        assert!(throttle.attempt("ann", ip(1), at(4)).is_ok());
        assert_ne!(Throttle::shared_key("ann", ip(1)), Throttle::shared_key("ann", ip(2)));
    }

    #[test]
    fn a_right_password_forgives() {
        let throttle = Throttle::new(ThrottleConfig::default());
        for _ in 0..4 {
            assert!(throttle.attempt("ann", ip(1), at(0)).is_ok());
        }
        let ticket = throttle.attempt("ann", ip(1), at(0)).unwrap();
        ticket.right();
        for _ in 0..5 {
            assert!(throttle.attempt("ann", ip(1), at(0)).is_ok());
        }
    }

    #[tokio::test]
    async fn who_comes_while_the_free_attempts_are_under_way_waits_for_one_of_them() {
        let throttle = Throttle::new(ThrottleConfig::default());
        let mut open: Vec<_> = (0..5).map(|_| throttle.attempt("ann", ip(1), at(0)).unwrap()).collect();
        let waiting = ended(throttle.attempt("ann", ip(1), at(0))).unwrap();
        assert!(throttle.attempt("bob", ip(1), at(0)).is_ok(), "another user does not wait");
        open.pop().unwrap().right();
        waiting.await;
        let next = throttle.attempt("ann", ip(1), at(0)).unwrap();
        assert!(ended(throttle.attempt("ann", ip(1), at(0))).is_some());
        next.unknown();
        open.push(throttle.attempt("ann", ip(1), at(0)).unwrap());
        let waiting = ended(throttle.attempt("ann", ip(1), at(0))).unwrap();
        for ticket in open {
            ticket.right();
        }
        waiting.await;
        assert_eq!(throttle.seen().len(), 2, "only bob and the address are remembered");
    }

    #[test]
    fn guesses_under_way_gain_nothing() {
        let throttle = Throttle::new(ThrottleConfig::default());
        assert!(throttle.attempt("ann", ip(1), at(0)).is_ok(), "one was wrong");
        let open: Vec<_> = (0..4).map(|_| throttle.attempt("ann", ip(1), at(0)).unwrap()).collect();
        assert!(ended(throttle.attempt("ann", ip(1), at(0))).is_some());
        for ticket in open {
            ticket.wrong();
        }
        assert_eq!(wait(throttle.attempt("ann", ip(1), at(0))), Some(Duration::from_secs(1)));
        let alone = throttle.attempt("ann", ip(1), at(1)).unwrap();
        assert!(ended(throttle.attempt("ann", ip(1), at(1))).is_some(), "after a wait they come one by one");
        alone.unknown();
        let alone = throttle.attempt("ann", ip(1), at(1)).unwrap();
        throttle.learn("ann", ip(1), 7, at(1));
        drop(alone);
        assert_eq!(wait(throttle.attempt("ann", ip(1), at(1))), Some(Duration::from_secs(8)));
    }

    #[test]
    fn an_address_has_only_so_many_under_way() {
        let throttle = Throttle::new(ThrottleConfig { free_per_ip: 3, ..Default::default() });
        let open: Vec<_> =
            ["a", "b", "c"].iter().map(|user| throttle.attempt(user, ip(1), at(0)).unwrap()).collect();
        assert!(ended(throttle.attempt("d", ip(1), at(0))).is_some());
        for ticket in open {
            ticket.right();
        }
        assert!(throttle.attempt("d", ip(1), at(0)).is_ok());
    }

    #[test]
    fn stays_within_its_capacity() {
        let throttle = Throttle::new(ThrottleConfig { capacity: 100, ..Default::default() });
        for n in 0..1_000u64 {
            let _ =
                throttle.attempt(&n.to_string(), IpAddr::V4(u32::try_from(n).unwrap().into()), at(n / 10));
            assert!(throttle.seen.lock().unwrap().len() <= 100);
        }
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let throttle = Throttle::new(ThrottleConfig { free_per_ip: 2, ..Default::default() });
        let v6 = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
        assert!(throttle.attempt("a", v6(1), at(0)).is_ok());
        assert!(throttle.attempt("b", v6(2), at(0)).is_ok());
        assert!(throttle.attempt("c", v6(3), at(0)).is_err());
    }
}
