//! A task as a stream of server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use taskloom_engine::{BadPlace, Watch, WatchPlace};
use taskloom_protocol::{Code, FieldError, TaskEvent};
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::auth::permission::Reader;
use crate::extract::{Closing, Path, Query};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;
use crate::streams::Seat;

/// Between two looks whether the viewer's credential still holds.
const RECHECK: Duration = Duration::from_secs(2);
/// A comment so often keeps proxies from closing a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The pause that a client is asked to make before it connects again.
const RECONNECT: Duration = Duration::from_secs(1);

/// Where to go on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// The id of the last event that was received, of any server: for clients that cannot send the header. `0` gives all
    /// log lines from the beginning.
    last_event_id: Option<String>,
}

/// Watch a task: first a `state` event with the whole task, then `state`, `progress` and `log` events as they happen.
///
/// Each event has an id. Whoever reconnects with the last one, in `Last-Event-ID` or `last_event_id`, gets the log lines
/// since, and state and progress if they moved on; if the task has ended and all of it was told, the answer is 204, which
/// tells a browser to stop. The stream ends after the task has, and soon after the credential is revoked or expires. A comment
/// every 15 s keeps it open.
#[utoipa::path(get, path = "/tasks/{task_id}/events", tag = "tasks", operation_id = "tasks_events",
    params(("task_id" = Uuid, Path, description = "The task"), EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received")),
    responses((status = 200, description = "The events", content_type = "text/event-stream", body = String),
        (status = 204, description = "The task has ended, and all of it was told")))]
pub(super) async fn events(
    State(app): State<App>,
    Reader(caller): Reader,
    Path(id): Path<Uuid>,
    Query(query): Query<EventsQuery>,
    Closing(closing): Closing,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let from = place(query, &headers)?;
    let seat = app.streams.take(caller.user_id).ok_or_else(|| ApiError::unavailable("too many streams"))?;
    let mut watch = app.engine.watch(&caller, id, from).await?;
    let next = match from {
        None => Next::Snapshot,
        Some(_) if !watch.task.has_ended() => Next::Event(None),
        Some(_) => match watch.next().await {
            Some(first) => Next::Event(Some((first, watch.place()))),
            None => return Ok(StatusCode::NO_CONTENT.into_response()),
        },
    };
    let feed = Feed { app, headers, watch, closing, next, _seat: seat };
    let stream = stream::unfold(feed, Feed::step);
    let mut response = Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // nginx would hold events back until its buffer is full.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Where an earlier stream was broken off.
fn place(query: EventsQuery, headers: &HeaderMap) -> ApiResult<Option<WatchPlace>> {
    let refused = |from: &str, name: &str, error: BadPlace| {
        let loc = vec![from.to_owned(), name.to_owned()];
        ApiError::field(FieldError { loc, ..FieldError::query(name, "bad_value", error.to_string()) })
    };
    // A browser that reconnects sends the header to the very address that it was given first.
    if let Some(value) = headers.get("last-event-id").filter(|value| !value.is_empty()) {
        let place = value.to_str().unwrap_or_default().parse();
        return place.map(Some).map_err(|error| refused("header", "Last-Event-ID", error));
    }
    let place = query.last_event_id.map(|text| text.parse()).transpose();
    place.map_err(|error| refused("query", "last_event_id", error))
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

enum Next {
    Snapshot,
    /// What comes first, if it is known already.
    Event(Option<(TaskEvent, WatchPlace)>),
}

impl Feed {
    async fn step(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        let event = match std::mem::replace(&mut self.next, Next::Event(None)) {
            Next::Snapshot => named("state", &self.watch.task, self.watch.place()).retry(RECONNECT),
            Next::Event(Some((event, place))) => named(name(&event), &event, place),
            Next::Event(None) => {
                let event = self.wait().await?;
                named(name(&event), &event, self.watch.place())
            }
        };
        Some((Ok(event), self))
    }

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

fn named<T: Serialize>(name: &str, data: &T, place: WatchPlace) -> Event {
    let data = serde_json::to_string(data).unwrap_or_default();
    Event::default().event(name).id(place.to_string()).data(data)
}
