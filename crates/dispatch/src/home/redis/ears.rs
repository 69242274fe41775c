//! What other processes tell this one. Nothing of it is trusted: what cannot be read is passed over.

use redis::Value;
use taskloom_model::TaskId;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::keys::{Channel, Keys};
use super::watched::Watched;
use crate::bells::Bells;

/// Events that a slow receiver may fall behind.
const BACKLOG: usize = 1_024;
/// Longer events are none of ours, in bytes.
const EVENT_AT_MOST: usize = 1 << 20;

/// Where what is heard goes. It knows no connection: connections know it.
pub(super) struct Ears {
    keys: Keys,
    /// This process's name, to pass over its own words.
    me: String,
    pub(super) bells: Bells,
    pub(super) watched: Watched,
    pub(super) events: broadcast::Sender<(TaskId, String)>,
}

impl Ears {
    pub(super) fn new(keys: Keys, me: String, bells: Bells) -> Self {
        Self { keys, me, bells, watched: Watched::default(), events: broadcast::channel(BACKLOG).0 }
    }

    /// `data`: the channel and the payload.
    pub(super) fn hear(&self, data: &[Value]) {
        let [Value::BulkString(channel), Value::BulkString(payload)] = data else { return };
        let Some(channel) = self.keys.channel_of(channel) else { return };
        let Ok(payload) = std::str::from_utf8(payload) else { return };
        // Whoever sent it may be of another version: nothing here insists.
        let _ = match channel {
            Channel::Ready => self.hear_ready(payload),
            Channel::Watch => self.hear_watch(payload),
            Channel::Events => self.hear_event(payload),
        };
    }

    /// This process's own words too: now its claimers can take the hints.
    fn hear_ready(&self, payload: &str) -> Option<()> {
        let (queue, count) = payload.rsplit_once(' ')?;
        self.bells.ring(queue, count.parse().ok()?, false);
        Some(())
    }

    fn hear_watch(&self, payload: &str) -> Option<()> {
        let id = self.of_another(payload)?;
        self.watched.watch(TaskId::try_parse(id).ok()?, Instant::now());
        Some(())
    }

    fn hear_event(&self, payload: &str) -> Option<()> {
        let (id, text) = self.of_another(payload)?.split_once(' ')?;
        let id = TaskId::try_parse(id).ok()?;
        if text.len() <= EVENT_AT_MOST && self.events.receiver_count() > 0 {
            self.events.send((id, text.to_owned())).ok()?;
        }
        Some(())
    }

    /// The rest behind the sender's name, unless that is this process.
    fn of_another<'a>(&self, payload: &'a str) -> Option<&'a str> {
        let (sender, rest) = payload.split_once(' ')?;
        (sender != self.me).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::Wake;

    fn ears() -> Ears {
        Ears::new(Keys::new("t"), "me".into(), Bells::default())
    }

    fn say(ears: &Ears, channel: &str, payload: &[u8]) {
        ears.hear(&[Value::BulkString(channel.into()), Value::BulkString(payload.into())]);
    }

    #[tokio::test(start_paused = true)]
    async fn ready_tasks_ring() {
        let ears = ears();
        let waiter = ears.bells.listen(&["a b".to_owned()]);
        say(&ears, "t:ready", b"a b 2");
        assert_eq!(waiter.wait(Duration::from_secs(1)).await, Some(Wake { ask_store: false }));
    }

    #[tokio::test]
    async fn own_words_about_watching_are_passed_over() {
        let (ears, id) = (ears(), TaskId::from_u128(7));
        let mut events = ears.events.subscribe();
        say(&ears, "t:watch", format!("me {id}").as_bytes());
        say(&ears, "t:events", format!("me {id} hello").as_bytes());
        assert!(ears.watched.is_idle());
        assert!(events.try_recv().is_err());
        say(&ears, "t:watch", format!("you {id}").as_bytes());
        say(&ears, "t:events", format!("you {id} hello you").as_bytes());
        assert!(ears.watched.is_watched(id, Instant::now()));
        assert_eq!(events.try_recv().unwrap(), (id, "hello you".to_owned()));
    }

    #[test]
    fn odd_shapes_are_passed_over() {
        let ears = ears();
        ears.hear(&[]);
        ears.hear(&[Value::Nil, Value::Int(3)]);
        ears.hear(&[Value::BulkString(b"t:ready".into()), Value::Array(vec![])]);
    }

    proptest! {
        #[test]
        fn no_payload_is_a_panic(channel in "t:(ready|watch|events|x)", payload in prop::collection::vec(any::<u8>(), 0..60)) {
            say(&ears(), &channel, &payload);
        }

        #[test]
        fn nor_is_any_text(channel in "t:(ready|watch|events)", payload in "(you|me)? ?[0-9a-f-]{0,40} ?-?[0-9]{0,30} ?\\PC{0,9}") {
            say(&ears(), &channel, payload.as_bytes());
        }
    }
}
