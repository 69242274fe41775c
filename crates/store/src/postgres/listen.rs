//! Word between processes: LISTEN and NOTIFY.

use std::time::Duration;

use futures_util::stream::poll_fn;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio_postgres::AsyncMessage;

use super::connection::{CONNECT_LIMIT, Manager};
use super::session::Session;
use crate::error::Result;
use crate::network::{Heard, jittered};
use crate::sql::params;

/// The channel of ready queues.
const CHANNEL: &str = "taskloom_ready";
/// How often a listener asks whether the server is still there.
const PULSE: Duration = Duration::from_secs(2);
/// The longest wait between two tries to connect.
const LONGEST: Duration = Duration::from_secs(2);

/// Says to all processes that these queues have ready tasks.
pub(crate) async fn notify(session: &mut Session, payload: &str) -> Result<()> {
    session.query("SELECT pg_notify(?, ?)", params![CHANNEL, payload]).await.map(drop)
}

/// Tells what other processes say, until nobody wants to hear it; connects again for ever.
pub(crate) async fn listen(manager: Manager, own_tag: String, heard: mpsc::Sender<Heard>) {
    let mut wait = Duration::from_millis(50);
    while !heard.is_closed() {
        match once(&manager, &own_tag, &heard).await {
            Ok(()) => wait = Duration::from_millis(50),
            Err(error) => tracing::debug!(%error, "cannot listen to PostgreSQL right now"),
        }
        tokio::select! {
            () = heard.closed() => {}
            () = tokio::time::sleep(jittered(wait)) => {}
        }
        wait = (wait * 2).min(LONGEST);
    }
}

/// Listens on one connection until it ends.
async fn once(manager: &Manager, own_tag: &str, heard: &mpsc::Sender<Heard>) -> Result<()> {
    let connected = tokio::time::timeout(CONNECT_LIMIT, manager.config.connect(manager.tls.clone()));
    let (client, mut connection) = connected.await.map_err(|_| crate::network::silent())??;
    let mut messages = poll_fn(move |cx| connection.poll_message(cx));
    let (ended, mut is_over) = tokio::sync::oneshot::channel::<()>();
    let (told, own_tag) = (heard.clone(), own_tag.to_owned());
    let reader = tokio::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(note) = message
                && let Some((tag, queues)) = note.payload().split_once(' ')
                && tag != own_tag
            {
                // Nobody keeps up: the sweep finds what is left out.
                let _ = told.try_send(Heard::Queues(queues.split(' ').map(str::to_owned).collect()));
            }
        }
        drop(ended);
    });
    client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
    // What was said while nobody listened is lost: look.
    let _ = heard.try_send(Heard::Again);
    loop {
        tokio::select! {
            _ = &mut is_over => break,
            () = heard.closed() => break,
            () = tokio::time::sleep(PULSE) => {
                // A server that was frozen or cut off says nothing: only an answer proves that it is there.
                let answer = tokio::time::timeout(CONNECT_LIMIT, client.batch_execute("SELECT 1").fuse());
                if !matches!(answer.await, Ok(Ok(()))) {
                    break;
                }
            }
        }
    }
    reader.abort();
    Ok(())
}
