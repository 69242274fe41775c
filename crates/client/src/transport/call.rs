//! One call: where to, with what, and whether it may be made again.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::Error;

/// A call to make.
#[derive(Debug, Clone)]
pub struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Option<Bytes>,
    /// What a stream is of; JSON if absent.
    pub(super) accept: Option<&'static str>,
    pub(super) timeout: Option<Duration>,
    pub(super) longer: Duration,
    pub(super) tries: Option<u32>,
    repeatable: bool,
}

impl Call {
    /// A GET of a path below `/api/v1`, whose parts are escaped already: see [`segment`](crate::address::segment).
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, true)
    }

    /// A POST. It is made again only with an [idempotency key](Self::idempotency_key).
    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path, false)
    }

    /// A PUT.
    pub fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path, true)
    }

    /// A PATCH.
    pub fn patch(path: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path, false)
    }

    /// A DELETE.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, false)
    }

    fn new(method: Method, path: impl Into<String>, repeatable: bool) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            accept: None,
            timeout: None,
            longer: Duration::ZERO,
            tries: None,
            repeatable,
        }
    }

    /// Sets a parameter of the query; one of this name is replaced.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.retain(|(known, _)| known != name);
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// Adds the fields of an object that are not null.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it does not serialise.
    pub fn queries(mut self, fields: &impl Serialize) -> Result<Self, Error> {
        let fields = serde_json::to_value(fields).map_err(|e| unwritable(&e))?;
        for (name, value) in fields.as_object().into_iter().flatten() {
            self = match value {
                Value::Null => self,
                Value::String(text) => self.query(name, text),
                other => self.query(name, other.to_string()),
            };
        }
        Ok(self)
    }

    /// Sets the JSON to send.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it does not serialise.
    pub fn body(mut self, body: &impl Serialize) -> Result<Self, Error> {
        self.body = Some(serde_json::to_vec(body).map_err(|e| unwritable(&e))?.into());
        Ok(self)
    }

    /// Makes a POST safe to repeat: 1 to 200 visible ASCII characters.
    #[must_use]
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        self.header("idempotency-key", key).repeatable()
    }

    /// The same under the key of the caller, or else a new one that begins with `prefix`.
    #[must_use]
    pub fn once(self, key: Option<String>, prefix: &str) -> Self {
        self.idempotency_key(key.unwrap_or_else(|| new_key(prefix)))
    }

    /// Says that making it twice does no more than making it once.
    #[must_use]
    pub fn repeatable(self) -> Self {
        Self { repeatable: true, ..self }
    }

    /// Sets a header; the name is in lower case.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Asks for a body of this media type, which may come for as long as it likes.
    #[must_use]
    pub fn streaming(self, accept: &'static str) -> Self {
        Self { accept: Some(accept), ..self }
    }

    /// One try may take so long.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Allows so much more time.
    #[must_use]
    pub fn longer(self, more: Duration) -> Self {
        Self { longer: self.longer.saturating_add(more), ..self }
    }

    /// Tries it so often, if it may be repeated.
    #[must_use]
    pub fn tries(self, tries: u32) -> Self {
        Self { tries: Some(tries), ..self }
    }

    /// The path below `/api/v1`.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn is_repeatable(&self) -> bool {
        self.repeatable
    }
}

fn unwritable(error: &serde_json::Error) -> Error {
    Error::Invalid(format!("cannot write the request: {error}"))
}

/// A key that nobody has used before.
pub(crate) fn new_key(prefix: &str) -> String {
    format!("{prefix}-{}", Uuid::new_v4())
}
