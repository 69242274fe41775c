//! The files that tasks made.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use taskloom_protocol::{Artifact, Artifacts};
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use crate::auth::permission::Reader;
use crate::extract::{Json, Path};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

/// The files that a task made.
#[utoipa::path(get, path = "/tasks/{task_id}/artifacts", tag = "tasks", operation_id = "tasks_artifacts",
    params(("task_id" = Uuid, Path, description = "The task")),
    responses((status = 200, description = "The files, without their content", body = Artifacts)))]
pub(super) async fn list(
    State(app): State<App>,
    Reader(caller): Reader,
    Path(id): Path<Uuid>,
) -> ApiResult<Json<Artifacts>> {
    Ok(Json(Artifacts { items: app.engine.artifacts(&caller, id).await? }))
}

/// One file's content.
#[utoipa::path(get, path = "/tasks/{task_id}/artifacts/{name}", tag = "tasks", operation_id = "tasks_artifact_get",
    params(("task_id" = Uuid, Path, description = "The task"), ("name" = String, Path, description = "The file's name")),
    responses(
        (status = 200, description = "The content, in the media type it was stored with", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 304, description = "The client has this content already")))]
pub(super) async fn get(
    State(app): State<App>,
    Reader(caller): Reader,
    Path((id, name)): Path<(Uuid, String)>,
    request: HeaderMap,
) -> ApiResult<Response> {
    if !is_artifact_name(&name) {
        return Err(ApiError::not_found());
    }
    let (artifact, path) = app.engine.artifact_file(&caller, id, &name).await?;
    let headers = file_headers(&artifact);
    let is_known =
        request.get(header::IF_NONE_MATCH).is_some_and(|tag| Some(tag) == headers.get(header::ETAG));
    if is_known {
        return Ok(answer(StatusCode::NOT_MODIFIED, headers, Body::empty()));
    }
    let file = tokio::fs::File::open(&path).await.map_err(|error| {
        ApiError::internal(format!("the file of an artifact of task {id} cannot be read: {error}"))
    })?;
    let mut headers = headers;
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(artifact.bytes));
    Ok(answer(StatusCode::OK, headers, Body::from_stream(ReaderStream::with_capacity(file, 64 << 10))))
}

fn answer(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Always a download: a browser that showed a task's HTML would run it with the API's origin.
fn file_headers(artifact: &Artifact) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let octets = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(&artifact.content_type).unwrap_or(octets));
    let disposition = format!("attachment; filename=\"{}\"", artifact.name);
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", artifact.sha256)) {
        headers.insert(header::ETAG, value);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers
}

/// 1 to 100 letters, digits, `.`, `_` or `-`, not starting with a dot: safe as a file name and in a header.
pub(crate) fn is_artifact_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_its_directory() {
        for good in ["a", "pages.jsonl", "A-1_b.csv", "a..b"] {
            assert!(is_artifact_name(good), "{good}");
        }
        for bad in ["", ".", "..", ".hidden", "a/b", "a\\b", "a\"b", "a\0", "ä", "a b", &"a".repeat(101)] {
            assert!(!is_artifact_name(bad), "{bad}");
        }
    }
}
