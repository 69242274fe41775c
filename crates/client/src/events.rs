//! What happens to a task, as it happens.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use taskloom_protocol::{Task, TaskEvent};
use tokio::time::Instant;
use uuid::Uuid;

use crate::sse::{Parser, ServerEvent};
use crate::tasks::path;
use crate::transport::{Answer, Call, StatusCode, pause};
use crate::wait::TRIES_AWAY;
use crate::{Client, Error, Tasks};

/// A stream that ends sooner than this was cut; the next is opened after a pause.
const CUT: Duration = Duration::from_secs(1);
/// Streams in a row that said nothing before we give up: about a minute.
const MOST_SILENT: u32 = TRIES_AWAY;

/// Something that happened to a task.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WatchEvent {
    /// Where in the task's story it stands: [`Tasks::events_after`] goes on behind it, on any server.
    pub id: String,
    /// What happened.
    pub event: TaskEvent,
    /// The whole task, with the first event of a story that is followed from now on.
    pub task: Option<Box<Task>>,
}

/// The story of a task: see [`Tasks::events`].
///
/// A connection that breaks is opened again behind the last event. No log line is lost or told twice; of states and
/// progress that passed meanwhile, the latest is told.
#[derive(Debug)]
pub struct Events {
    client: Client,
    id: Uuid,
    place: String,
    open: Option<Open>,
    told: VecDeque<WatchEvent>,
    has_ended: bool,
    is_over: bool,
    silent: u32,
}

#[derive(Debug)]
struct Open {
    answer: Answer,
    parser: Parser,
    since: Instant,
    spoke: bool,
}

impl Tasks<'_> {
    /// Follows a task from now to its end: first its state, with the whole task, then states, progress and log lines.
    pub fn events(&self, id: Uuid) -> Events {
        self.events_after(id, "")
    }

    /// Follows a task from behind an event, by its [`id`](WatchEvent::id), to its end; `0` also tells all log lines.
    pub fn events_after(&self, id: Uuid, last: impl Into<String>) -> Events {
        let (client, place) = (self.0.clone(), last.into());
        Events {
            client,
            id,
            place,
            open: None,
            told: VecDeque::new(),
            has_ended: false,
            is_over: false,
            silent: 0,
        }
    }
}

impl Events {
    /// The next event; `None` when the task has ended and all of it was told.
    ///
    /// # Errors
    /// Those of a call, once the server has been away for about a minute; they end the story.
    pub async fn next(&mut self) -> Result<Option<WatchEvent>, Error> {
        loop {
            if let Some(event) = self.told.pop_front() {
                self.place.clone_from(&event.id);
                return Ok(Some(event));
            }
            if self.is_over {
                return Ok(None);
            }
            if let Err(error) = self.step().await {
                self.is_over = true;
                return Err(error);
            }
        }
    }

    /// The id of the last event that was given, or that it began behind; empty at the beginning.
    pub fn last_event_id(&self) -> &str {
        &self.place
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<WatchEvent, Error>> + Send + Unpin {
        Box::pin(stream::try_unfold(self, |mut events| async move {
            Ok(events.next().await?.map(|event| (event, events)))
        }))
    }

    /// Opens the stream, or reads a piece of it.
    async fn step(&mut self) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return self.connect().await };
        match open.answer.chunk().await {
            Ok(Some(chunk)) => {
                let events = open.parser.feed(&chunk);
                open.spoke |= !events.is_empty();
                for event in events {
                    self.take(&event);
                }
                Ok(())
            }
            ended => {
                // A whole stream ends after the task has; a broken one may still owe us log lines.
                self.is_over = self.has_ended && ended.is_ok();
                self.reopen(ended.err()).await
            }
        }
    }

    async fn connect(&mut self) -> Result<(), Error> {
        let mut call = Call::get(path(self.id, "/events")).streaming("text/event-stream").tries(TRIES_AWAY);
        if !self.place.is_empty() {
            call = call.header("last-event-id", &self.place);
        }
        let answer = self.client.stream(call).await?;
        self.is_over = answer.status() == StatusCode::NO_CONTENT;
        self.open = Some(Open { answer, parser: Parser::default(), since: Instant::now(), spoke: false });
        Ok(())
    }

    async fn reopen(&mut self, why: Option<Error>) -> Result<(), Error> {
        let Some(open) = self.open.take().filter(|_| !self.is_over) else { return Ok(()) };
        self.silent = if open.spoke { 0 } else { self.silent + 1 };
        if self.silent > MOST_SILENT {
            return Err(why.unwrap_or_else(|| Error::Unreadable("is a stream without events".into())));
        }
        if open.since.elapsed() < CUT {
            tokio::time::sleep(pause(self.silent.max(1), None)).await;
        }
        Ok(())
    }

    fn take(&mut self, said: &ServerEvent) {
        let Some(event) = said.of_task() else { return };
        if let TaskEvent::State { state, .. } = event {
            self.has_ended = state.is_terminal();
        }
        self.told.push_back(WatchEvent {
            id: said.id.clone(),
            task: serde_json::from_str(&said.data).ok(),
            event,
        });
    }
}
