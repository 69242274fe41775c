//! A task's story, followed and gone on with.

use std::collections::HashSet;

use futures_util::StreamExt;
use serde_json::json;
use taskloom_client::{Client, Events, State, TaskEvent, WatchEvent};

use crate::proxy::Proxy;
use crate::server::{Server, at_the_gate};

/// The lines that are told until the story ends, and the last state.
async fn rest(events: &mut Events) -> (Vec<String>, Option<State>) {
    let (mut lines, mut last) = (Vec::new(), None);
    while let Some(WatchEvent { event, .. }) = events.next().await.unwrap() {
        match event {
            TaskEvent::Log { message, .. } => lines.push(message),
            TaskEvent::State { state, .. } => last = Some(state),
            TaskEvent::Progress { .. } => {}
        }
    }
    (lines, last)
}

#[tokio::test]
async fn a_story_is_told_from_its_state_to_its_end() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let task =
        client.task("demo.sleep").kwargs(json!({"seconds": 0.3, "steps": 3})).submit().await.unwrap().task;
    let mut events = client.tasks().events(task.id);
    let first = events.next().await.unwrap().unwrap();
    assert_eq!(first.task.unwrap().id, task.id);
    assert_eq!(events.last_event_id(), first.id);
    let all: Vec<WatchEvent> = events.into_stream().map(Result::unwrap).collect().await;
    assert!(all.iter().all(|event| event.task.is_none()));
    assert!(all.iter().any(|event| matches!(event.event, TaskEvent::Progress { .. })), "{all:?}");
    assert!(matches!(all.last().unwrap().event, TaskEvent::State { state: State::Succeeded, .. }), "{all:?}");
    let ids: HashSet<&str> = all.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids.len(), all.len());
}

#[tokio::test]
async fn a_broken_connection_loses_and_repeats_no_line() {
    let server = Server::start().await;
    let proxy = Proxy::before(&server.url).await;
    let token = server.token("ann").await;
    let client = Client::new(&proxy.url, &token).unwrap();
    let id = at_the_gate(&client).await.id;
    let mut events = client.tasks().events_after(id, "0");
    let line = loop {
        if let TaskEvent::Log { message, .. } = events.next().await.unwrap().unwrap().event {
            break message;
        }
    };
    assert_eq!(line, "before");
    let connections = proxy.connections();
    proxy.cut();
    server.gate.add_permits(1);
    assert_eq!(rest(&mut events).await, (vec!["behind".into()], Some(State::Succeeded)));
    assert!(proxy.connections() > connections);
    assert!(events.next().await.unwrap().is_none());

    // Somebody else goes on from there, and from the beginning.
    let place = events.last_event_id().to_owned();
    assert_eq!(rest(&mut client.tasks().events_after(id, place)).await, (vec![], None));
    let (lines, last) = rest(&mut client.tasks().events_after(id, "0")).await;
    assert_eq!((lines, last), (vec!["before".into(), "behind".into()], Some(State::Succeeded)));
}

#[tokio::test]
async fn a_story_that_cannot_be_told_is_an_error_and_ends() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let mut events = client.tasks().events_after(taskloom_client::Uuid::nil(), "nonsense");
    assert_eq!(events.next().await.unwrap_err().problem().unwrap().status, 422);
    assert!(events.next().await.unwrap().is_none());
    let mut events = client.tasks().events(taskloom_client::Uuid::nil());
    assert_eq!(events.next().await.unwrap_err().problem().unwrap().status, 404);
}
