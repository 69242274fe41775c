//! One connection for everything, to a server or a cluster.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, Pipeline, RedisFuture, RedisResult, Value};

/// Pipelines under way at once in a cluster.
const PIPELINES_AT_ONCE: usize = 8;
/// Queues that one call of a script serves; keeps a call short.
const QUEUES_PER_CALL: usize = 16;

/// A connection. Cloning is cheap; clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Hears what is published on a channel from now on, and again after the client itself has reconnected.
    pub(super) async fn subscribe(&mut self, channel: &str) -> RedisResult<()> {
        match self {
            Self::Single(connection) => connection.subscribe(channel).await,
            Self::Cluster(connection) => connection.subscribe(channel).await,
        }
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// How many queues one call of a script may name: in a cluster each has a slot of its own.
    pub(super) fn queues_per_call(&self) -> usize {
        if self.is_cluster() { 1 } else { QUEUES_PER_CALL }
    }

    /// Commands to be sent together.
    pub(super) fn batch(&self) -> Batch {
        Batch { pipelines: Vec::new(), split: self.is_cluster() }
    }

    /// Sends commands and waits for all answers; the first error ends it.
    pub(super) async fn send(&self, batch: Batch) -> RedisResult<()> {
        let send = |pipeline: Pipeline| async move { pipeline.exec_async(&mut self.clone()).await };
        stream::iter(batch.pipelines).map(send).buffer_unordered(PIPELINES_AT_ONCE).try_collect().await
    }
}

/// Commands to be sent together: in one pipeline, but in a cluster in one for each slot.
pub(super) struct Batch {
    pipelines: Vec<Pipeline>,
    split: bool,
}

impl Batch {
    /// Where the commands of the next slot go.
    pub(super) fn next_slot(&mut self) -> &mut Pipeline {
        if self.split || self.pipelines.is_empty() {
            self.pipelines.push(redis::pipe());
        }
        let last = self.pipelines.len() - 1;
        &mut self.pipelines[last]
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
