//! Takes hints out of the streams.

use std::sync::Arc;

use redis::{RedisResult, Value};
use taskloom_model::{Priority, TaskId};
use tokio::time::{Instant, timeout_at};

use super::connection::Connection;
use super::keys::GROUP;
use super::shared::Shared;
use super::trouble::too_slow;
use crate::home::{Ready, Ticket};

/// Hints that one call may take.
const TICKETS_AT_MOST: usize = 10_000;

/// Takes hints of these queues, at most `limit`; with what there is when the time is up.
pub(super) async fn take(shared: &Shared, queues: &[String], limit: usize) -> Vec<Ticket> {
    let (deadline, limit) = (Instant::now() + shared.timeout, limit.min(TICKETS_AT_MOST));
    let mut tickets = Vec::new();
    let Some(link) = shared.presence.link() else { return tickets };
    for (number, part) in queues.chunks(link.connection.queues_per_call()).enumerate() {
        if tickets.len() >= limit {
            break;
        }
        let asked = ask(shared, link.connection.clone(), part, limit - tickets.len());
        let error = match timeout_at(deadline, asked).await {
            Ok(Ok(found)) => {
                tickets.extend(found);
                continue;
            }
            Ok(Err(error)) => error,
            // Many queues, each of which answered in time, are no reason to give up the connection.
            Err(_) if number > 0 => break,
            Err(_) => too_slow(),
        };
        shared.presence.failed(&link, &error);
        break;
    }
    tickets
}

async fn ask(
    shared: &Shared,
    mut connection: Connection,
    queues: &[String],
    limit: usize,
) -> RedisResult<Vec<Ticket>> {
    let idle_ms = shared.rounds.due(queues, Instant::now()).map_or(0, |idle| idle.as_millis());
    let mut call = shared.scripts.take.prepare_invoke();
    for queue in queues {
        for priority in highest_first() {
            call.key(shared.keys.stream(queue, priority));
        }
    }
    call.arg(GROUP).arg(&shared.me).arg(limit).arg(u64::try_from(idle_ms).unwrap_or(u64::MAX));
    let found: Vec<Value> = call.invoke_async(&mut connection).await?;
    Ok(read(shared, queues, found))
}

fn highest_first() -> impl Iterator<Item = Priority> {
    Priority::ALL.into_iter().rev()
}

/// What can be read of the answer. An entry that is no hint of ours is thrown away, or it would come back for ever.
fn read(shared: &Shared, queues: &[String], found: Vec<Value>) -> Vec<Ticket> {
    let names: Vec<Arc<str>> = queues.iter().map(|queue| Arc::from(queue.as_str())).collect();
    let (mut tickets, mut rubbish) = (Vec::new(), Vec::new());
    for (band, entries) in found.into_iter().filter_map(read_band) {
        let Some((queue, priority)) = band_of(&names, band) else { continue };
        for (receipt, id) in entries.into_iter().filter_map(read_entry) {
            let kept = if id.is_some() { &mut tickets } else { &mut rubbish };
            let ready = Ready { queue: Arc::clone(&queue), priority, id: id.unwrap_or_default() };
            kept.push(Ticket { ready, receipt });
        }
    }
    shared.done.put(rubbish.into_iter());
    tickets
}

/// A stream's place, from 0, and its entries.
fn read_band(band: Value) -> Option<(usize, Vec<Value>)> {
    let [Value::Int(place), Value::Array(entries)] = exactly(band)? else { return None };
    Some((usize::try_from(place).ok()?.checked_sub(1)?, entries))
}

/// An entry's id, and the task's if there is one. Before Redis 7 an entry that was trimmed comes as nothing.
fn read_entry(entry: Value) -> Option<(Box<str>, Option<TaskId>)> {
    let [Value::BulkString(receipt), fields] = exactly(entry)? else { return None };
    let id = match exactly(fields) {
        Some([_, Value::BulkString(value)]) => TaskId::from_slice(&value).ok(),
        _ => None,
    };
    Some((String::from_utf8(receipt).ok()?.into(), id))
}

fn exactly<const N: usize>(value: Value) -> Option<[Value; N]> {
    let Value::Array(parts) = value else { return None };
    parts.try_into().ok()
}

/// The queue and priority of a place in the order that was asked for.
fn band_of(names: &[Arc<str>], band: usize) -> Option<(Arc<str>, Priority)> {
    let bands = Priority::ALL.len();
    Some((Arc::clone(names.get(band / bands)?), highest_first().nth(band % bands)?))
}
