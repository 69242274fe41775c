//! Artifacts on their way in: streamed to a file, never held in memory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use futures_util::TryStreamExt;
use http::{HeaderMap, header};
use serde::Deserialize;
use taskloom_protocol::{Artifact, ArtifactPut, Code, FieldError, TaskRef, WorkerApi};
use tokio::io::AsyncWriteExt;
use utoipa::IntoParams;
use uuid::Uuid;

use crate::auth::permission::WorkerToken;
use crate::extract::{self, Json, Query};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;
use crate::tasks::is_artifact_name;

/// A pause between two pieces of a body may last so long.
const PAUSE: Duration = Duration::from_secs(30);

/// Under which claim the file was made.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UploadQuery {
    /// The worker's boot.
    session: Uuid,
    /// The epoch of the claim.
    epoch: u32,
}

/// Keep a file with a running task; a second one of the same name replaces the first.
#[utoipa::path(put, path = "/worker/artifacts/{task_id}/{name}", tag = "worker", operation_id = "worker_put_artifact",
    params(("task_id" = Uuid, Path, description = "The running task"),
        ("name" = String, Path, description = "1 to 100 letters, digits, '.', '_' or '-', not starting with a dot"),
        UploadQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The content; its Content-Type is kept"),
    responses((status = 200, description = "The file as it is kept", body = Artifact)))]
pub(super) async fn put_artifact(
    State(app): State<App>,
    _: WorkerToken,
    extract::Path((id, name)): extract::Path<(Uuid, String)>,
    Query(query): Query<UploadQuery>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<Json<Artifact>> {
    if !is_artifact_name(&name) {
        let loc = vec!["path".into(), "name".into()];
        let msg = "1 to 100 letters, digits, '.', '_' or '-', not starting with a dot".into();
        return Err(ApiError::field(FieldError { loc, msg, kind: "bad_value".into() }));
    }
    let most = app.engine.config().max_artifact_bytes;
    if declared_length(&headers).is_some_and(|bytes| bytes > most) {
        return Err(too_large(most));
    }
    let incoming = Incoming::new(&app.engine.config().artifacts_dir).await?;
    incoming.receive(body, most).await?;
    let task = TaskRef { id, epoch: query.epoch };
    let put = ArtifactPut { session: query.session, task, name, content_type: content_type(&headers) };
    Ok(Json(app.engine.put_artifact(put, &incoming.path).await?))
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn content_type(headers: &HeaderMap) -> String {
    let given = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    given
        .filter(|t| (1..=100).contains(&t.len()) && t.contains('/'))
        .unwrap_or("application/octet-stream")
        .into()
}

fn too_large(most: u64) -> ApiError {
    ApiError::new(Code::PayloadTooLarge, format!("a file has at most {most} bytes"))
}

/// A file that is being received; gone when this is dropped, unless the engine has moved it.
struct Incoming {
    path: PathBuf,
}

impl Incoming {
    async fn new(artifacts: &Path) -> ApiResult<Self> {
        // Beside its later place, so that moving it there is a rename.
        let directory = artifacts.join(".incoming");
        tokio::fs::create_dir_all(&directory).await.map_err(|error| disk(&error))?;
        Ok(Self { path: directory.join(Uuid::new_v4().as_simple().to_string()) })
    }

    async fn receive(&self, body: Body, most: u64) -> ApiResult<()> {
        let mut file = tokio::fs::File::create_new(&self.path).await.map_err(|error| disk(&error))?;
        let mut frames = body.into_data_stream();
        let mut bytes = 0;
        loop {
            let frame = tokio::time::timeout(PAUSE, frames.try_next()).await;
            let frame =
                frame.map_err(|_| ApiError::new(Code::RequestTimeout, "the body did not arrive in time"))?;
            let frame = frame.map_err(|_| ApiError::new(Code::Malformed, "the body broke off"))?;
            let Some(frame) = frame else { break };
            bytes += frame.len() as u64;
            if bytes > most {
                return Err(too_large(most));
            }
            file.write_all(&frame).await.map_err(|error| disk(&error))?;
        }
        file.sync_all().await.map_err(|error| disk(&error))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn disk(error: &std::io::Error) -> ApiError {
    ApiError { cause: Some(error.to_string()), ..ApiError::unavailable("the file cannot be kept right now") }
}
