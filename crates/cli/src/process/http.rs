//! The API of a process: its socket, its settings, its drain.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use taskloom_engine::Engine;
use taskloom_server::{DrainReport, ServerConfig};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::stop::Stop;
use super::{listen, settings};
use crate::config::{Config, Secret};
use crate::error::CliError;

/// Calls that run when everything else has drained may take so long to end.
const DRAIN: Duration = Duration::from_secs(5);
/// The same when the user is in a hurry.
const HURRY: Duration = Duration::from_millis(200);

/// An API that has its port and does not answer yet.
pub(super) struct Http {
    settings: ServerConfig,
    listener: TcpListener,
    address: SocketAddr,
}

impl Http {
    /// Takes the port.
    pub(super) fn bind(config: &Config, secret_key: &Secret) -> Result<Self, CliError> {
        let settings = settings::server(config, secret_key)?;
        let (listener, address) = listen::bind(&config.server.host, config.server.port)?;
        Ok(Self { settings, listener, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from now on, until `ending`.
    pub(super) fn start(self, engine: Engine, ending: CancellationToken) -> Result<Serving, CliError> {
        let listener = tokio::net::TcpListener::from_std(self.listener)
            .map_err(|e| CliError::failed(format!("cannot listen: {e}")))?;
        let router = taskloom_server::router(engine, self.settings);
        Ok(Serving(tokio::spawn(taskloom_server::serve(listener, router, ending, DRAIN))))
    }
}

/// An API that answers.
pub(super) struct Serving(JoinHandle<DrainReport>);

impl Serving {
    /// Waits until running calls have ended, less long if the user hurries.
    pub(super) async fn drained(mut self, stop: &Stop) {
        let hurry = async {
            stop.kill.cancelled().await;
            tokio::time::sleep(HURRY).await;
        };
        tokio::select! {
            _ = &mut self.0 => {}
            () = hurry => self.0.abort(),
        }
    }
}
