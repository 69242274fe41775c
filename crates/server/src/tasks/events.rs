//! A task as a stream of server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderValue, header};
use serde::Serialize;
use taskloom_engine::Watch;
use taskloom_protocol::TaskEvent;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::auth::permission::Reader;
use crate::extract::{Closing, Path};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

/// A comment so often keeps proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Watch a task: first a `state` event with the whole task, then `state`, `progress` and `log` events as they happen.
///
/// The stream ends after the task has. After a reconnect it starts with the task as it is then.
#[utoipa::path(get, path = "/tasks/{task_id}/events", tag = "tasks", operation_id = "tasks_events",
    params(("task_id" = Uuid, Path, description = "The task")),
    responses((status = 200, description = "The events", content_type = "text/event-stream", body = String)))]
pub(super) async fn events(
    State(app): State<App>,
    Reader(caller): Reader,
    Path(id): Path<Uuid>,
    Closing(closing): Closing,
) -> ApiResult<Response> {
    let room = Arc::clone(&app.streams)
        .try_acquire_owned()
        .map_err(|_| ApiError::unavailable("too many streams"))?;
    let watch = app.engine.watch(&caller, id).await?;
    let feed = Feed { watch, closing, next: Next::Snapshot, _room: room };
    let stream = stream::unfold(feed, Feed::step);
    let mut response = Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // nginx would hold events back until its buffer is full.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

struct Feed {
    watch: Watch,
    closing: CancellationToken,
    next: Next,
    _room: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Snapshot,
    Event,
    End,
}

impl Feed {
    async fn step(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        match self.next {
            Next::End => None,
            Next::Snapshot => {
                let task = &self.watch.task;
                self.next = if task.has_ended() { Next::End } else { Next::Event };
                let event = named("state", task);
                Some((Ok(event), self))
            }
            Next::Event => {
                let event = tokio::select! {
                    biased;
                    () = self.closing.cancelled() => None,
                    event = self.watch.next() => event,
                }?;
                Some((Ok(named(name(&event), &event)), self))
            }
        }
    }
}

fn name(event: &TaskEvent) -> &'static str {
    match event {
        TaskEvent::State { .. } => "state",
        TaskEvent::Progress { .. } => "progress",
        TaskEvent::Log { .. } => "log",
    }
}

fn named<T: Serialize>(name: &str, data: &T) -> Event {
    Event::default().event(name).data(serde_json::to_string(data).unwrap_or_default())
}
