//! A proxy that cuts connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Proxy {
    pub(crate) url: String,
    answers_to_swallow: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    generation: watch::Sender<u32>,
}

impl Proxy {
    /// A proxy before the server at this URL.
    pub(crate) async fn before(server: &str) -> Self {
        let server = server.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (answers_to_swallow, connections) =
            (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (generation, mut changes) = watch::channel(0);
        let (swallow, count) = (Arc::clone(&answers_to_swallow), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((down, _)) = listener.accept().await {
                // From here on a cut is for this one too.
                changes.mark_unchanged();
                let cut = changes.clone();
                count.fetch_add(1, Ordering::SeqCst);
                let less = |left: usize| left.checked_sub(1);
                let swallows = swallow.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
                tokio::spawn(pass(down, server.clone(), swallows, cut));
            }
        });
        Self { url, answers_to_swallow, connections, generation }
    }

    /// Of the next connections, so many lose their first answer: the server has given it, and nobody hears it.
    pub(crate) fn swallow_answers(&self, connections: usize) {
        self.answers_to_swallow.store(connections, Ordering::SeqCst);
    }

    /// Cuts all connections that are open.
    pub(crate) fn cut(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// How many there were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn pass(mut down: TcpStream, server: String, swallows: bool, mut cut: watch::Receiver<u32>) {
    let Ok(mut up) = TcpStream::connect(server).await else { return };
    if swallows {
        let (mut answers, mut requests) = up.split();
        tokio::select! {
            _ = tokio::io::copy(&mut down, &mut requests) => {}
            _ = answers.read_u8() => {}
        }
        return;
    }
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut down, &mut up) => {}
        _ = cut.changed() => {}
    }
}
