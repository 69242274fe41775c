//! Connections: accepted, limited, drained at shutdown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use crate::state::Connection;

/// A client may take so long to send a request's head, also between two requests of one connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections at once.
const MAX_CONNECTIONS: usize = 10_000;
/// After a failed accept (mostly: no file descriptors left) the listener rests a moment.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections that were still open when the drain's time was over, and were cut.
    pub cut: usize,
}

/// Serves HTTP/1.1 until `shutdown` fires, then lets running calls end for at most `drain`.
///
/// Event streams and long-polls end at once at shutdown. Connections over 10,000 wait in the listener's backlog.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
    drain: Duration,
) -> DrainReport {
    let server = Server { router, shutdown: shutdown.clone(), abort: CancellationToken::new() };
    let open = TaskTracker::new();
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Some((stream, peer, permit)) = next(&listener, &room, &shutdown).await {
        let connection = server.clone().run(stream, peer);
        open.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop(listener);
    open.close();
    let cut = if tokio::time::timeout(drain, open.wait()).await.is_ok() { 0 } else { open.len() };
    server.abort.cancel();
    open.wait().await;
    DrainReport { cut }
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

/// The next connection; none after the shutdown.
async fn next(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<Accepted> {
    let accept = async {
        let permit = Arc::clone(room).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((stream, peer, permit)),
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        accepted = accept => accepted,
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[derive(Clone)]
struct Server {
    router: Router,
    shutdown: CancellationToken,
    abort: CancellationToken,
}

impl Server {
    async fn run(self, stream: TcpStream, peer: SocketAddr) {
        // Answers are small and written whole: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let closing = self.shutdown.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Connection { peer, closing: closing.clone() });
            self.router.clone().call(request.map(Body::new))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(100)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        tokio::select! {
            biased;
            ended = connection.as_mut() => return note(ended, peer),
            () = self.shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        tokio::select! {
            biased;
            ended = connection.as_mut() => note(ended, peer),
            () = self.abort.cancelled() => {}
        }
    }
}

/// A client that goes away is no news, but somebody may look for it.
fn note(ended: hyper::Result<()>, peer: SocketAddr) {
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection broke");
    }
}
