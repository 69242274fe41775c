//! Every error a client can see: one table of codes, one shape.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $status:literal, $title:literal;)+) => {
        /// The stable `code` of a problem, with its status and title.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        pub enum Code { $($(#[doc = $doc])+ #[serde(rename = $code)] $variant,)+ }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as clients see it.
            pub fn code(self) -> &'static str { match self { $(Self::$variant => $code),+ } }

            /// The HTTP status.
            pub fn status(self) -> u16 { match self { $(Self::$variant => $status),+ } }

            /// The title, the same for every occurrence.
            pub fn title(self) -> &'static str { match self { $(Self::$variant => $title),+ } }
        }
    };
}

codes! {
    /// The request cannot be read: broken JSON, a bad header, a forged cursor.
    Malformed = "malformed", 400, "The request cannot be read";
    /// No credentials, or they are wrong, expired or revoked.
    Unauthorized = "unauthorized", 401, "Authentication is required";
    /// Wrong user name or password.
    BadCredentials = "bad_credentials", 401, "Wrong user name or password";
    /// The role or the token's scope does not allow it.
    Forbidden = "forbidden", 403, "Not allowed";
    /// It does not exist, or not for this user.
    NotFound = "not_found", 404, "Not found";
    /// The server does not know the worker's session: register again.
    UnknownSession = "unknown_session", 404, "The session is not known";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405, "Method not allowed";
    /// The handling took too long.
    RequestTimeout = "request_timeout", 408, "The request took too long";
    /// Another request or another state is in the way.
    Conflict = "conflict", 409, "Conflict";
    /// Another task holds the unique key; `detail` names it.
    UniqueKeyTaken = "unique_key_taken", 409, "The unique key is taken";
    /// The worker no longer holds the task under this epoch.
    LeaseLost = "lease_lost", 409, "The lease is lost";
    /// The task has ended already.
    TaskEnded = "task_ended", 409, "The task has ended";
    /// The task has not ended yet.
    TaskNotEnded = "task_not_ended", 409, "The task has not ended";
    /// The task is in another state than the call needs.
    WrongState = "wrong_state", 409, "The task is in another state";
    /// The body is larger than the limit.
    PayloadTooLarge = "payload_too_large", 413, "The body is too large";
    /// The body has another content type than the call reads.
    UnsupportedMediaType = "unsupported_media_type", 415, "Unsupported content type";
    /// A field breaks its rule; `errors` names it.
    Validation = "validation", 422, "A field is not valid";
    /// The idempotency key was used for another request.
    IdempotencyMismatch = "idempotency_mismatch", 422, "The idempotency key belongs to another request";
    /// Too many requests; `Retry-After` says when to come back.
    TooManyRequests = "too_many_requests", 429, "Too many requests";
    /// A defect of the server; the log has the request id.
    Internal = "internal", 500, "Something went wrong on our side";
    /// Passing: overloaded, starting or shutting down; `Retry-After` says when to come back.
    Unavailable = "unavailable", 503, "Not available right now";
}

/// A field that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Where: `["body", "timeout"]`, `["query", "limit"]`, `["body", "tasks", "3", "queue"]`.
    pub loc: Vec<String>,
    /// The rule, in words.
    pub msg: String,
    /// The rule, for programs: `missing`, `unknown_field`, `out_of_range`, …
    #[serde(rename = "type")]
    pub kind: String,
}

impl FieldError {
    /// An error at `body.<field>`; each dot in `field` leads into it, as in `rate_limit.count`. No field is the whole body.
    pub fn body(field: &str, kind: &str, msg: impl Into<String>) -> Self {
        let within = field.split('.').filter(|_| !field.is_empty());
        let loc = std::iter::once("body").chain(within).map(str::to_owned).collect();
        Self { loc, msg: msg.into(), kind: kind.into() }
    }

    /// The same of a task in a list: `body.tasks.<place>.<field>`.
    #[must_use]
    pub fn at_task(mut self, place: usize) -> Self {
        self.loc.splice(1..1, ["tasks".to_owned(), place.to_string()]);
        self
    }

    /// An error at `query.<field>`.
    pub fn query(field: &str, kind: &str, msg: impl Into<String>) -> Self {
        Self { loc: vec!["query".into(), field.into()], msg: msg.into(), kind: kind.into() }
    }
}

/// An error as clients see it: RFC 9457 `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A URI reference of the kind of problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// What kind of problem it is, in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, in words; never SQL, paths or payloads.
    pub detail: String,
    /// The stable code.
    pub code: Code,
    /// The id under which the server's log has this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The fields that break a rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// A problem of this code with a detail of its own.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/problems/{}", code.code()),
            title: code.title().into(),
            status: code.status(),
            detail: detail.into(),
            code,
            request_id: None,
            errors: Vec::new(),
        }
    }

    /// A validation problem; `errors` must not be empty.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.loc.join("."), one.msg),
            many => format!("{} fields are not valid", many.len()),
        };
        Self { errors, ..Self::new(Code::Validation, detail) }
    }
}
