//! Extractors: what a handler gets from a request, with every refusal a problem.

use axum::body::Body;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use taskloom_protocol::{Code, FieldError};
use tokio_util::sync::CancellationToken;

use crate::problem::{ApiError, ApiResult};
use crate::rejection::{read_json, read_urlencoded};
use crate::state::{App, Connection};

/// A JSON body, or a JSON answer.
pub(crate) struct Json<T>(pub(crate) T);

/// A JSON body that may be left out; then its default.
pub(crate) struct OptionalJson<T>(pub(crate) T);

/// A JSON body up to the batch limit.
pub(crate) struct LargeJson<T>(pub(crate) T);

/// A form body.
pub(crate) struct Form<T>(pub(crate) T);

/// The query; unknown and repeated parameters are refused if `T` does so.
pub(crate) struct Query<T>(pub(crate) T);

/// The path's parameters.
pub(crate) struct Path<T>(pub(crate) T);

/// The `Idempotency-Key` header: 1 to 200 visible ASCII characters.
pub(crate) struct IdempotencyKey(pub(crate) Option<String>);

/// Fires when the server shuts down: long answers end then. Never fires without [`crate::serve()`].
pub(crate) struct Closing(pub(crate) CancellationToken);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, app: &App) -> ApiResult<Self> {
        let body = json_body(request, app, app.config.body_limit).await?;
        read_json(&body).map(Self)
    }
}

impl<T: DeserializeOwned + Default> FromRequest<App> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, app: &App) -> ApiResult<Self> {
        let says_json = is_media_type(request.headers(), is_json);
        let body = read_body(request, app, app.config.body_limit).await?;
        // Many clients name a type whether or not they send anything.
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        if says_json { read_json(&body).map(Self) } else { Err(no_json()) }
    }
}

impl<T: DeserializeOwned> FromRequest<App> for LargeJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, app: &App) -> ApiResult<Self> {
        let body = json_body(request, app, app.config.batch_body_limit).await?;
        read_json(&body).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Form<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, app: &App) -> ApiResult<Self> {
        if !is_media_type(request.headers(), |m| m.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
        {
            let detail = "send application/x-www-form-urlencoded";
            return Err(ApiError::new(Code::UnsupportedMediaType, detail));
        }
        let body = read_body(request, app, app.config.body_limit).await?;
        read_urlencoded(&body, "body").map(Self)
    }
}

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> ApiResult<Self> {
        read_urlencoded(parts.uri.query().unwrap_or_default().as_bytes(), "query").map(Self)
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        match axum::extract::Path::<T>::from_request_parts(parts, app).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(refuse_path(&rejection)),
        }
    }
}

impl FromRequestParts<App> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> ApiResult<Self> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        match value.to_str() {
            Ok(key) if (1..=200).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self(Some(key.to_owned())))
            }
            _ => Err(ApiError::field(FieldError {
                loc: vec!["header".into(), "Idempotency-Key".into()],
                msg: "1 to 200 visible ASCII characters".into(),
                kind: "bad_value".into(),
            })),
        }
    }
}

impl FromRequestParts<App> for Closing {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> ApiResult<Self> {
        let connection = parts.extensions.get::<Connection>();
        Ok(Self(connection.map(|connection| connection.closing.clone()).unwrap_or_default()))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        json_response(StatusCode::OK, &self.0)
    }
}

/// Serialises once, into the response's own buffer.
pub(crate) fn json_response<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let mut buffer = Vec::with_capacity(1024);
    if let Err(error) = serde_json::to_writer(&mut buffer, value) {
        return ApiError::internal(format!("an answer does not serialise: {error}")).into_response();
    }
    let mut response = Response::new(Body::from(buffer));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// 201 with a body that is new, 200 with one that was there already.
pub(crate) fn created_or_known<T: Serialize>(is_new: bool, value: &T) -> Response {
    json_response(if is_new { StatusCode::CREATED } else { StatusCode::OK }, value)
}

/// 201 with a body.
pub(crate) fn created<T: Serialize>(value: &T) -> Response {
    json_response(StatusCode::CREATED, value)
}

fn refuse_path(rejection: &PathRejection) -> ApiError {
    let (field, msg) = match rejection {
        PathRejection::FailedToDeserializePathParams(failed) => match failed.kind() {
            ErrorKind::DeserializeError { key, .. } => (key.as_str(), "not an id"),
            ErrorKind::ParseErrorAtKey { key, .. } => (key.as_str(), "not of the right type"),
            ErrorKind::InvalidUtf8InPathParam { key } => (key.as_str(), "not UTF-8"),
            _ => ("id", "not an id"),
        },
        _ => ("id", "not an id"),
    };
    let loc = vec!["path".into(), field.into()];
    ApiError::field(FieldError { loc, msg: msg.into(), kind: "bad_value".into() })
}

async fn json_body(request: Request<Body>, app: &App, limit: usize) -> ApiResult<Bytes> {
    if !is_media_type(request.headers(), is_json) {
        return Err(no_json());
    }
    read_body(request, app, limit).await
}

fn no_json() -> ApiError {
    ApiError::new(Code::UnsupportedMediaType, "send application/json")
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json"
        || media_type.eq_ignore_ascii_case("application/json")
        || media_type.ends_with("+json")
}

/// Whether the media type, without its parameters, is the right one.
fn is_media_type(headers: &HeaderMap, is_right: impl Fn(&str) -> bool) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    is_right(value.split(';').next().unwrap_or_default().trim())
}

async fn read_body(request: Request<Body>, app: &App, limit: usize) -> ApiResult<Bytes> {
    let declared =
        request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return Err(ApiError::new(Code::UnsupportedMediaType, "send the body without a content encoding"));
    }
    let reading = async {
        if declared.is_some_and(|bytes| bytes > limit as u64) {
            // A client that waits for `100 Continue` has sent nothing yet, and need not.
            if !request.headers().contains_key(header::EXPECT) {
                swallow(request.into_body(), limit).await;
            }
            return Err(too_large(limit));
        }
        collect(request.into_body(), limit).await
    };
    match tokio::time::timeout(app.config.body_timeout, reading).await {
        Ok(body) => body,
        Err(_) => Err(ApiError::new(Code::RequestTimeout, "the body did not arrive in time")),
    }
}

async fn collect(body: Body, limit: usize) -> ApiResult<Bytes> {
    let mut frames = body.into_data_stream();
    let Some(first) = frames.try_next().await.map_err(|_| broken())? else { return Ok(Bytes::new()) };
    let Some(second) = frames.try_next().await.map_err(|_| broken())? else {
        // One frame is the common case and needs no copy.
        return if first.len() > limit { Err(too_large(limit)) } else { Ok(first) };
    };
    let mut whole = Vec::with_capacity(first.len() + second.len());
    let mut next = Some(second);
    whole.extend_from_slice(&first);
    while let Some(frame) = next {
        if whole.len() + frame.len() > limit {
            swallow(Body::from_stream(frames), limit).await;
            return Err(too_large(limit));
        }
        whole.extend_from_slice(&frame);
        next = frames.try_next().await.map_err(|_| broken())?;
    }
    Ok(whole.into())
}

/// Reads on for a while without keeping anything: a client that is still writing when the connection closes
/// would see a reset instead of the 413.
async fn swallow(body: Body, limit: usize) {
    let mut frames = body.into_data_stream();
    let mut seen = 0;
    while let Ok(Some(frame)) = frames.try_next().await {
        seen += frame.len();
        if seen > limit.saturating_mul(8) {
            return;
        }
    }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(Code::PayloadTooLarge, format!("at most {limit} bytes"))
}

fn broken() -> ApiError {
    ApiError::new(Code::Malformed, "the body broke off")
}

/// A number of a query, if it is in its range.
pub(crate) fn in_range(field: &str, value: u32, least: u32, most: u32) -> ApiResult<u32> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(ApiError::field(FieldError::query(field, "out_of_range", format!("{least} to {most}"))))
}
