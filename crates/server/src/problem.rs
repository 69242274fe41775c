//! The one error type at the edge: whatever goes wrong becomes a problem here.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use taskloom_engine::EngineError;
use taskloom_protocol::{Code, FieldError, Problem, WorkerError};
use taskloom_store::StoreError;

/// An error on its way to the client. The middleware writes it, because it knows the request's id.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) problem: Box<Problem>,
    /// When to come back.
    pub(crate) retry_after: Option<Duration>,
    /// For the log, never for the client.
    pub(crate) cause: Option<String>,
}

/// The handlers' results.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { problem: Box::new(Problem::new(code, detail)), retry_after: None, cause: None }
    }

    pub(crate) fn fields(errors: Vec<FieldError>) -> Self {
        Self { problem: Box::new(Problem::fields(errors)), retry_after: None, cause: None }
    }

    pub(crate) fn field(error: FieldError) -> Self {
        Self::fields(vec![error])
    }

    pub(crate) fn unauthorized(detail: &str) -> Self {
        Self::new(Code::Unauthorized, detail)
    }

    pub(crate) fn forbidden(detail: &str) -> Self {
        Self::new(Code::Forbidden, detail)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(Code::NotFound, "no such thing, or not yours")
    }

    /// Passing; the client should come back after a second.
    pub(crate) fn unavailable(detail: &str) -> Self {
        Self::new(Code::Unavailable, detail).after(Duration::from_secs(1))
    }

    /// A defect; `cause` goes to the log only.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        let mut error = Self::new(Code::Internal, "the log has more under this request id");
        error.cause = Some(cause.into());
        error
    }

    pub(crate) fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// A problem for a response that came without one, such as the router's own 404.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::new(Code::NotFound, "no such path"),
            StatusCode::METHOD_NOT_ALLOWED => {
                Self::new(Code::MethodNotAllowed, "the Allow header lists the methods of this path")
            }
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(Code::PayloadTooLarge, "the body is too large"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::new(Code::UnsupportedMediaType, "unsupported content type")
            }
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable("not available right now"),
            status if status.is_client_error() => Self::new(Code::Malformed, "the request cannot be read"),
            status => Self::internal(format!("a bare response with status {status}")),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The finished response.
    pub(crate) fn write(mut self, request_id: &str, mut headers: HeaderMap) -> Response {
        self.problem.request_id = Some(request_id.into());
        let status = self.status();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.remove(header::CONTENT_LENGTH);
        if let Some(wait) = self.retry_after {
            // A whole second at least: a client that comes back at once would be refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"taskloom\""));
        }
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        (status, headers, body).into_response()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let problem = Box::new(error.problem());
        let cause = (problem.status >= 500).then(|| error.to_string());
        let retry_after = (problem.code == Code::Unavailable).then_some(Duration::from_secs(1));
        Self { problem, retry_after, cause }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let answer = match &error {
            StoreError::Duplicate => return Self::new(Code::Conflict, "it exists already"),
            StoreError::Unavailable(_) => Self::unavailable("the database is busy or away"),
            _ => Self::internal(""),
        };
        Self { cause: Some(error.to_string()), ..answer }
    }
}

impl From<WorkerError> for ApiError {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::LeaseLost => {
                Self::new(Code::LeaseLost, "the task is no longer held under this epoch")
            }
            WorkerError::UnknownSession => {
                Self::new(Code::UnknownSession, "the server does not know the session: register again")
            }
            WorkerError::Refused { code, detail } => Self::refused(code, detail),
            WorkerError::Unavailable(cause) => {
                Self { cause: Some(cause), ..Self::unavailable("the server cannot answer right now") }
            }
        }
    }
}

impl ApiError {
    /// A refusal in the engine's words; a defect's words stay in the log.
    fn refused(code: Code, detail: String) -> Self {
        match code {
            Code::Internal => Self::internal(detail),
            Code::Validation => {
                Self::field(FieldError { loc: vec!["body".into()], msg: detail, kind: "invalid".into() })
            }
            _ => Self::new(code, detail),
        }
    }
}
