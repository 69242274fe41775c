//! A task as a stream of server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;
use taskloom_engine::Watch;
use taskloom_protocol::{Code, TaskEvent};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::auth::permission::Reader;
use crate::extract::{Closing, Path};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;
use crate::streams::Seat;

/// Between two looks whether the viewer's credential still holds.
const RECHECK: Duration = Duration::from_secs(2);
/// A comment so often keeps proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Watch a task: first a `state` event with the whole task, then `state`, `progress` and `log` events as they happen.
///
/// The stream ends after the task has, and soon after the credential is revoked or expires. After a reconnect it starts with the task as it is then.
#[utoipa::path(get, path = "/tasks/{task_id}/events", tag = "tasks", operation_id = "tasks_events",
    params(("task_id" = Uuid, Path, description = "The task")),
    responses((status = 200, description = "The events", content_type = "text/event-stream", body = String)))]
pub(super) async fn events(
    State(app): State<App>,
    Reader(caller): Reader,
    Path(id): Path<Uuid>,
    Closing(closing): Closing,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let seat = app.streams.take(caller.user_id).ok_or_else(|| ApiError::unavailable("too many streams"))?;
    let watch = app.engine.watch(&caller, id).await?;
    let feed = Feed { app, headers, watch, closing, next: Next::Snapshot, _seat: seat };
    let stream = stream::unfold(feed, Feed::step);
    let mut response = Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // nginx would hold events back until its buffer is full.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

struct Feed {
    app: App,
    /// The request's: they carry the credential.
    headers: HeaderMap,
    watch: Watch,
    closing: CancellationToken,
    next: Next,
    _seat: Seat,
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
                let event = self.wait().await?;
                Some((Ok(named(name(&event), &event)), self))
            }
        }
    }
}

impl Feed {
    /// The next event; none at the task's end, at shutdown, or once the credential is revoked.
    async fn wait(&mut self) -> Option<TaskEvent> {
        let Self { app, headers, watch, closing, .. } = self;
        // Polled to its end, not begun anew with each look: it has a clock of its own.
        let next = watch.next();
        tokio::pin!(next);
        loop {
            tokio::select! {
                biased;
                () = closing.cancelled() => return None,
                event = next.as_mut() => return event,
                () = tokio::time::sleep(RECHECK) => {
                    if is_locked_out(app, headers).await {
                        return None;
                    }
                }
            }
        }
    }
}

async fn is_locked_out(app: &App, headers: &HeaderMap) -> bool {
    // A busy database is no reason to end a stream.
    app.identify(headers).await.is_err_and(|error| error.problem.code == Code::Unauthorized)
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
