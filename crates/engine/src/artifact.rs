//! Files that tasks leave, kept below the artifacts directory as `<task>/<epoch>/<name>`.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use taskloom_model::TaskId;
use taskloom_protocol::{Artifact, ArtifactPut, Code, WorkerError};

use crate::{Caller, Engine, EngineError};

impl Engine {
    /// The files of a task.
    pub async fn artifacts(&self, caller: &Caller, id: TaskId) -> Result<Vec<Artifact>, EngineError> {
        self.get(caller, id).await?;
        Ok(self.inner.store.artifact_list(id).await?.into_iter().map(|(artifact, _)| artifact).collect())
    }

    /// One file of a task and where it lies.
    pub async fn artifact_file(
        &self,
        caller: &Caller,
        id: TaskId,
        name: &str,
    ) -> Result<(Artifact, PathBuf), EngineError> {
        self.get(caller, id).await?;
        let known = self.inner.store.artifact_list(id).await?;
        let (artifact, epoch) =
            known.into_iter().find(|(artifact, _)| artifact.name == name).ok_or(EngineError::NotFound)?;
        let path = self.artifact_path(id, epoch, &artifact.name);
        Ok((artifact, path))
    }

    fn artifact_path(&self, id: TaskId, epoch: u32, name: &str) -> PathBuf {
        self.inner.config.artifacts_dir.join(id.to_string()).join(epoch.to_string()).join(name)
    }

    /// Removes a task's files; what cannot be removed is logged and left.
    pub(crate) async fn forget_files(&self, id: TaskId) {
        let path = self.inner.config.artifacts_dir.join(id.to_string());
        let gone = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(path)).await;
        if let Ok(Err(error)) = gone
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(task = %id, %error, "artifacts could not be removed");
        }
    }

    /// Copies a file into the artifacts directory and notes it, if its worker still holds the task.
    pub(crate) async fn keep_artifact(&self, put: ArtifactPut, file: &Path) -> Result<Artifact, WorkerError> {
        if !is_file_name(&put.name) || put.content_type.len() > 200 || !put.content_type.is_ascii() {
            let detail = "name: 1 to 100 letters, digits, '.', '_' or '-', not starting with a dot";
            return Err(WorkerError::Refused { code: Code::Validation, detail: detail.into() });
        }
        let held = self.inner.store.task_held(put.session, put.task).await;
        if !held.map_err(|e| WorkerError::Unavailable(e.to_string()))? {
            return Err(WorkerError::LeaseLost);
        }
        let to = self.artifact_path(put.task.id, put.task.epoch, &put.name);
        let (from, most) = (file.to_owned(), self.inner.config.max_artifact_bytes);
        let copied = tokio::task::spawn_blocking(move || copy(&from, &to, most))
            .await
            .map_err(|e| WorkerError::Unavailable(e.to_string()))?;
        let (bytes, sha256) = copied.map_err(|error| refused(&error))?;
        let ArtifactPut { session, task, name, content_type } = put;
        let artifact = Artifact { name, bytes, sha256, content_type, created_at: self.now() };
        let kept = self.inner.store.artifact_put(session, task, artifact.clone()).await;
        match kept {
            Ok(true) => Ok(artifact),
            Ok(false) => Err(WorkerError::LeaseLost),
            Err(error) => Err(WorkerError::Unavailable(error.to_string())),
        }
    }
}

fn refused(error: &std::io::Error) -> WorkerError {
    match error.kind() {
        std::io::ErrorKind::FileTooLarge => {
            WorkerError::Refused { code: Code::PayloadTooLarge, detail: error.to_string() }
        }
        std::io::ErrorKind::NotFound => {
            WorkerError::Refused { code: Code::Validation, detail: "there is no such file".into() }
        }
        _ => WorkerError::Unavailable(error.to_string()),
    }
}

fn is_file_name(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Copies and hashes in one pass; the file appears under its name only when it is whole and on disk.
fn copy(from: &Path, to: &Path, most: u64) -> std::io::Result<(u64, String)> {
    let mut input = std::fs::File::open(from)?;
    let directory = to.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    // Names of artifacts do not start with a dot: nothing that is kept, or on its way, is in the way.
    let partial = directory.join(format!(".{}", uuid::Uuid::new_v4()));
    let copied = copy_and_hash(&mut input, &partial, most).and_then(|copied| {
        std::fs::rename(&partial, to)?;
        std::fs::File::open(directory)?.sync_all()?;
        Ok(copied)
    });
    if copied.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    copied
}

fn copy_and_hash(input: &mut std::fs::File, partial: &Path, most: u64) -> std::io::Result<(u64, String)> {
    use std::io::{Read, Write};
    let mut output = std::fs::File::create(partial)?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0u64, vec![0; 64 << 10]);
    loop {
        let read = input.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        if bytes > most {
            let rule = format!("an artifact has at most {most} bytes");
            return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, rule));
        }
        hash.update(&buffer[..read]);
        output.write_all(&buffer[..read])?;
    }
    output.sync_all()?;
    Ok((bytes, hex(&hash.finalize())))
}
