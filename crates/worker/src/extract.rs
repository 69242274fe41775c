//! Typed arguments for handlers.

use serde::de::DeserializeOwned;
use taskloom_protocol::Json;

use crate::HandlerError;

/// What a task carries for its handler, as JSON text.
#[derive(Debug, Clone)]
pub struct Payload {
    args: Json,
    kwargs: Json,
}

impl Payload {
    pub(crate) fn new(args: Json, kwargs: Json) -> Self {
        Self { args, kwargs }
    }

    /// The positional arguments: a JSON list.
    pub fn args(&self) -> &str {
        self.args.get()
    }

    /// The named arguments: a JSON object.
    pub fn kwargs(&self) -> &str {
        self.kwargs.get()
    }
}

/// Something a handler can take as a parameter after its [`Context`](crate::Context).
pub trait FromTask: Sized + Send + 'static {
    /// Reads it from the task.
    ///
    /// # Errors
    /// What is wrong with the task; a fatal error, since another attempt gets the same payload.
    fn from_task(payload: &Payload) -> Result<Self, HandlerError>;
}

/// The positional arguments, read from the JSON list: `Args<Vec<f64>>`, `Args<(String, u32)>`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Args<T>(pub T);

/// The named arguments, read from the JSON object: any `struct` that derives `Deserialize`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kwargs<T>(pub T);

impl<T: DeserializeOwned + Send + 'static> FromTask for Args<T> {
    fn from_task(payload: &Payload) -> Result<Self, HandlerError> {
        read("args", payload.args()).map(Self)
    }
}

impl<T: DeserializeOwned + Send + 'static> FromTask for Kwargs<T> {
    fn from_task(payload: &Payload) -> Result<Self, HandlerError> {
        read("kwargs", payload.kwargs()).map(Self)
    }
}

fn read<T: DeserializeOwned>(root: &str, text: &str) -> Result<T, HandlerError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let place = match path.as_str() {
            "." => root.to_owned(),
            list if list.starts_with('[') => format!("{root}{list}"),
            field => format!("{root}.{field}"),
        };
        HandlerError::fatal("bad_arguments", format_args!("{place}: {}", error.inner()))
    })
}
