//! The names of keys and channels.

use std::borrow::Cow;

use taskloom_model::Priority;

/// The consumer group of every stream.
pub(super) const GROUP: &str = "taskloom";
/// The field of an entry that holds the task's id, 16 bytes.
pub(super) const ID_FIELD: &str = "i";

/// Names under one prefix.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
    channels: [String; 3],
}

/// What processes tell one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    /// "queue count": hints can be taken.
    Ready,
    /// "process id": somebody there watches the task.
    Watch,
    /// "process id text": something happened to a watched task.
    Events,
}

impl Channel {
    pub(super) const ALL: [Self; 3] = [Self::Ready, Self::Watch, Self::Events];
}

impl Keys {
    /// `prefix`: without braces.
    pub(super) fn new(prefix: &str) -> Self {
        let channels = ["ready", "watch", "events"].map(|name| format!("{prefix}:{name}"));
        Self { prefix: prefix.to_owned(), channels }
    }

    /// The stream of a queue's band. What is in braces decides the slot in a cluster, so the bands of a queue share one.
    pub(super) fn stream(&self, queue: &str, priority: Priority) -> String {
        format!("{{{}:{}}}:{}", self.prefix, escaped(queue), priority.number())
    }

    /// A counter. It ends with the brace, so it is no stream.
    pub(super) fn counter(&self, key: &str) -> String {
        format!("{{{}:count:{}}}", self.prefix, escaped(key))
    }

    /// A copy. As with counters, the brace at the end keeps it apart from streams.
    pub(super) fn shelf(&self, key: &str) -> String {
        format!("{{{}:shelf:{}}}", self.prefix, escaped(key))
    }

    /// A key that never exists, to try a write on.
    pub(super) fn probe(&self) -> String {
        format!("{{{}:probe}}", self.prefix)
    }

    /// The name of a channel.
    pub(super) fn channel(&self, channel: Channel) -> &str {
        &self.channels[channel as usize]
    }

    /// The channel of a name.
    pub(super) fn channel_of(&self, name: &[u8]) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| self.channel(*channel).as_bytes() == name)
    }
}

/// Braces would end the part that decides the slot.
fn escaped(name: &str) -> Cow<'_, str> {
    if !name.contains(['{', '}', '%']) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.replace('%', "%25").replace('{', "%7B").replace('}', "%7D"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bands_of_a_queue_share_what_decides_the_slot() {
        let keys = Keys::new("taskloom");
        assert_eq!(keys.stream("mail", Priority::Critical), "{taskloom:mail}:4");
        assert_eq!(keys.stream("a}{b%", Priority::Low), "{taskloom:a%7D%7Bb%25}:1");
        assert_ne!(keys.stream("a%7D", Priority::Low), keys.stream("a}", Priority::Low));
        assert_eq!(keys.counter("login:me"), "{taskloom:count:login:me}");
    }

    #[test]
    fn channels_are_known_by_name() {
        let keys = Keys::new("x");
        assert_eq!(keys.channel(Channel::Events), "x:events");
        for channel in Channel::ALL {
            assert_eq!(keys.channel_of(keys.channel(channel).as_bytes()), Some(channel));
        }
        assert_eq!(keys.channel_of(b"y:ready"), None);
    }
}
