//! Keeps the connection: connects, listens, looks every half second whether Redis still answers, connects again.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{AsyncPushSender, SendError};
use redis::{PushInfo, PushKind, RedisResult};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::connection::Connection;
use super::ears::Ears;
use super::keys::Channel;
use super::presence::Link;
use super::shared::Shared;
use super::trouble::{describe, too_slow};

/// How often Redis is asked whether it is there.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A connection that is not made in this time is given up. Sentinels and clusters take several steps.
const CONNECT_AT_MOST: Duration = Duration::from_secs(2);
/// A connection that is lost sooner does not count as one: the pauses grow on.
const LASTED: Duration = Duration::from_secs(1);
/// What is written to see whether Redis takes it lasts so long.
const PROBE_LASTS_MS: u32 = 60_000;
const PAUSE_MS_FIRST: u64 = 50;
const PAUSE_MS_AT_MOST: u64 = 500;

/// Runs until it is dropped.
pub(super) async fn supervise(shared: Arc<Shared>) {
    let mut pause_ms = PAUSE_MS_FIRST;
    let mut told = Told::default();
    loop {
        match connect(&shared).await {
            Ok((link, closed)) => {
                told.here();
                // What was announced meanwhile is in the store only.
                shared.ears.bells.ring_all(true);
                let began = Instant::now();
                attend(&shared, &link, &closed).await;
                if began.elapsed() >= LASTED {
                    pause_ms = PAUSE_MS_FIRST;
                }
                told.away(&shared.presence.status().detail.unwrap_or_default());
            }
            Err(error) => {
                shared.presence.leave(describe(&error));
                told.away(describe(&error));
                tracing::debug!(%error, "cannot connect to Redis");
            }
        }
        sleep(Duration::from_millis(rand::random_range(pause_ms / 2..=pause_ms))).await;
        pause_ms = (pause_ms * 2).min(PAUSE_MS_AT_MOST);
    }
}

/// What the log was told of the present absence: each reason once.
#[derive(Default)]
struct Told {
    reasons: Vec<String>,
}

impl Told {
    fn here(&mut self) {
        tracing::info!(again = !self.reasons.is_empty(), "connected to Redis");
        self.reasons.clear();
    }

    fn away(&mut self, reason: &str) {
        if !self.reasons.iter().any(|told| told == reason) {
            self.reasons.push(reason.to_owned());
            tracing::warn!(reason, "Redis is away; tasks are found through the store meanwhile");
        }
    }
}

async fn connect(shared: &Shared) -> RedisResult<(Link, Arc<Notify>)> {
    let closed = Arc::new(Notify::new());
    let push = Push { ears: Arc::clone(&shared.ears), closed: Arc::clone(&closed) };
    let connected = timeout(CONNECT_AT_MOST, open(shared, Arc::new(push))).await;
    let connection = connected.unwrap_or_else(|_| Err(too_slow()))?;
    Ok((shared.presence.arrive(connection), closed))
}

async fn open(shared: &Shared, push: Arc<dyn AsyncPushSender>) -> RedisResult<Connection> {
    let mut connection = shared.endpoint.connect(push).await?;
    for channel in Channel::ALL {
        connection.subscribe(shared.keys.channel(channel)).await?;
    }
    look(shared, &connection).await?;
    Ok(connection)
}

/// Asks whether Redis is there, in a cluster every master, and whether it takes writes: a server that has become a replica,
/// one whose memory is full, or a cluster that lacks a part also answers a PING.
async fn look(shared: &Shared, connection: &Connection) -> RedisResult<()> {
    let (ping, mut write) = (redis::cmd("PING"), redis::cmd("SET"));
    write.arg(shared.keys.probe()).arg(1).arg("PX").arg(PROBE_LASTS_MS);
    let (mut one, mut two) = (connection.clone(), connection.clone());
    tokio::try_join!(ping.exec_async(&mut one), write.exec_async(&mut two)).map(|_| ())
}

/// Comes back when the connection is lost.
async fn attend(shared: &Shared, link: &Link, closed: &Notify) {
    tokio::select! {
        () = closed.notified() => shared.presence.leave("Redis closed the connection"),
        () = shared.presence.lost() => {}
        why = look_now_and_then(shared, &link.connection) => shared.presence.leave(why),
    }
}

/// Comes back when Redis does not answer as it should; with what is wrong.
async fn look_now_and_then(shared: &Shared, connection: &Connection) -> &'static str {
    loop {
        let began = Instant::now();
        let looked = timeout(shared.timeout, look(shared, connection)).await;
        if let Err(error) = looked.unwrap_or_else(|_| Err(too_slow())) {
            return describe(&error);
        }
        shared.presence.answered_after(began.elapsed());
        sleep(LOOK_EVERY).await;
    }
}

/// Where the client hands over what the server sends of itself.
struct Push {
    ears: Arc<Ears>,
    closed: Arc<Notify>,
}

impl AsyncPushSender for Push {
    fn send(&self, info: PushInfo) -> Result<(), SendError> {
        match info.kind {
            PushKind::Disconnection => self.closed.notify_one(),
            PushKind::Message => self.ears.hear(&info.data),
            _ => {}
        }
        Ok(())
    }
}
