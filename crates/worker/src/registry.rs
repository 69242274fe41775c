//! Handlers by name.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::to_raw_value;
use taskloom_protocol::{HandlerDefaults, Json};

use crate::limits::MAX_RESULT_BYTES;
use crate::{Context, FromTask, HandlerError, HandlerOptions, Payload};

/// A handler's answer on its way.
pub(crate) type Running = Pin<Box<dyn Future<Output = Result<Json, HandlerError>> + Send>>;

/// An async function that runs tasks.
///
/// Implemented for functions and closures that take a [`Context`] and up to two extractors ([`Args`](crate::Args),
/// [`Kwargs`](crate::Kwargs), or a [`FromTask`] of your own), and return a `Result` of anything that serialises.
/// `M` only tells the forms apart.
pub trait Handler<M>: Send + Sync + 'static {
    /// Runs the handler for one attempt.
    fn call(&self, ctx: Context, payload: Payload)
    -> impl Future<Output = Result<Json, HandlerError>> + Send;
}

macro_rules! handler {
    ($($extractor:ident),*) => {
        impl<F, Fut, R, E, $($extractor),*> Handler<(Context, $($extractor,)*)> for F
        where
            F: Fn(Context, $($extractor),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<R, E>> + Send,
            R: Serialize,
            E: Into<HandlerError>,
            $($extractor: FromTask,)*
        {
            #[allow(unused_variables, reason = "the form without extractors reads no payload")]
            async fn call(&self, ctx: Context, payload: Payload) -> Result<Json, HandlerError> {
                let running = self(ctx, $($extractor::from_task(&payload)?),*);
                drop(payload);
                to_json(&running.await.map_err(Into::into)?)
            }
        }
    };
}

handler!();
handler!(A);
handler!(A, B);

fn to_json(result: &impl Serialize) -> Result<Json, HandlerError> {
    let json = to_raw_value(result)
        .map_err(|e| HandlerError::fatal("bad_result", format_args!("the result is no JSON: {e}")))?;
    let bytes = json.get().len();
    if bytes > MAX_RESULT_BYTES {
        let limit =
            format_args!("the result takes {bytes} bytes, the limit is {MAX_RESULT_BYTES}").to_string();
        return Err(HandlerError::fatal("bad_result", limit));
    }
    Ok(json)
}

/// The handlers that a worker knows, by name.
#[derive(Clone, Default)]
pub struct Registry {
    handlers: BTreeMap<String, Entry>,
    defaults: BTreeMap<String, HandlerDefaults>,
}

type Entry = Arc<dyn Fn(Context, Payload) -> Running + Send + Sync>;

impl Registry {
    /// No handlers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs tasks named `name` with `handler`; a handler of the same name is replaced.
    pub fn register<M>(&mut self, name: impl Into<String>, handler: impl Handler<M>) -> &mut Self {
        let handler = Arc::new(handler);
        let entry: Entry = Arc::new(move |ctx, payload| {
            let handler = Arc::clone(&handler);
            Box::pin(async move { handler.call(ctx, payload).await })
        });
        let name = name.into();
        self.defaults.remove(&name);
        self.handlers.insert(name, entry);
        self
    }

    /// [`Registry::register`] with what tasks of the handler get where they leave it open.
    pub fn register_with<M>(
        &mut self,
        name: impl Into<String>,
        options: HandlerOptions,
        handler: impl Handler<M>,
    ) -> &mut Self {
        let name = name.into();
        self.register(name.clone(), handler);
        self.defaults.insert(name, options.into());
        self
    }

    /// [`Registry::register`] for chains that build a registry in one expression.
    pub fn with<M>(mut self, name: impl Into<String>, handler: impl Handler<M>) -> Self {
        self.register(name, handler);
        self
    }

    /// Takes over all handlers of `other`; its handlers replace those of the same name.
    pub fn extend(&mut self, other: Self) -> &mut Self {
        self.defaults.retain(|name, _| !other.handlers.contains_key(name));
        self.handlers.extend(other.handlers);
        self.defaults.extend(other.defaults);
        self
    }

    /// What tasks get where they leave it open, by handler.
    pub(crate) fn defaults(&self) -> &BTreeMap<String, HandlerDefaults> {
        &self.defaults
    }

    /// The handlers' names, sorted.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.handlers.keys().map(String::as_str)
    }

    /// Whether a handler of this name is registered.
    pub fn contains(&self, name: &str) -> bool {
        self.handlers.contains_key(name)
    }

    /// Starts the handler `name`; a fatal error of kind `unknown_handler` if there is none.
    pub(crate) fn start(&self, name: &str, ctx: Context, payload: Payload) -> Result<Running, HandlerError> {
        match self.handlers.get(name) {
            Some(entry) => Ok(entry(ctx, payload)),
            None => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> HandlerError {
        const SHOWN: usize = 20;
        let known: Vec<&str> = self.names().take(SHOWN).collect();
        let more = match self.handlers.len().saturating_sub(SHOWN) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let message =
            format_args!("this worker has no handler {name:?}; it knows: {known}{more}").to_string();
        HandlerError::fatal("unknown_handler", message)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.handlers.keys()).finish()
    }
}
