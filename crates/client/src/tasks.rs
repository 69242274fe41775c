//! Tasks: read, listed, steered, downloaded from.

use taskloom_protocol::{
    Artifact, Artifacts, Attempt, Attempts, Change, CountTasks, Counts, Explanation, KeptLine, ListTasks,
    Logs, Page, Task, Verdict,
};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use uuid::Uuid;

use crate::address::segment;
use crate::transport::Call;
use crate::{Checksum, Client, Error, Pages};

/// What can be done with tasks: see [`Client::tasks`].
#[derive(Debug, Clone, Copy)]
pub struct Tasks<'a>(pub(crate) &'a Client);

impl Tasks<'_> {
    /// A task with all that is known of it.
    ///
    /// # Errors
    /// Those of a call; [`Code::NotFound`](crate::Code::NotFound) also for tasks of others.
    pub async fn get(&self, id: Uuid) -> Result<Task, Error> {
        self.0.call(Call::get(path(id, ""))).await
    }

    /// One page of tasks, the newest first unless asked otherwise.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn page(&self, query: &ListTasks) -> Result<Page, Error> {
        self.0.call(Call::get("/tasks").queries(query)?).await
    }

    /// All tasks that match, from the query's cursor on, `limit` at a time.
    ///
    /// # Errors
    /// None yet; those of a call come as it is read.
    pub fn list(&self, query: &ListTasks) -> Result<Pages<Task>, Error> {
        Ok(Pages::new(self.0, Call::get("/tasks").queries(query)?))
    }

    /// How many tasks that match stand in each status.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn count(&self, query: &CountTasks) -> Result<Counts, Error> {
        self.0.call(Call::get("/tasks/count").queries(query)?).await
    }

    /// Changes priority, queue or time of a task that waits, or reports for one that runs.
    ///
    /// # Errors
    /// Those of a call; [`Code::WrongState`](crate::Code::WrongState) if the field is not for its state.
    pub async fn change(&self, id: Uuid, change: &Change) -> Result<Task, Error> {
        self.0.call(Call::patch(path(id, "")).body(change)?).await
    }

    /// Cancels a task: one that waits is revoked at once; of one that runs, the worker is told to stop it.
    ///
    /// # Errors
    /// Those of a call; [`Code::TaskEnded`](crate::Code::TaskEnded).
    pub async fn cancel(&self, id: Uuid) -> Result<Task, Error> {
        self.verdict(Call::post(path(id, "/cancel"))).await
    }

    /// The same without waiting for the worker: what its handler still does counts no more.
    ///
    /// # Errors
    /// Those of [`Tasks::cancel`].
    pub async fn cancel_by_force(&self, id: Uuid) -> Result<Task, Error> {
        self.verdict(Call::post(path(id, "/cancel")).query("force", "true")).await
    }

    /// Runs a task again that has ended, with all its attempts.
    ///
    /// # Errors
    /// Those of a call; [`Code::TaskNotEnded`](crate::Code::TaskNotEnded).
    pub async fn retry(&self, id: Uuid) -> Result<Task, Error> {
        self.verdict(Call::post(path(id, "/retry"))).await
    }

    /// Removes a task; one that has not ended is cancelled first.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn delete(&self, id: Uuid) -> Result<(), Error> {
        self.0.tell(Call::delete(path(id, ""))).await
    }

    /// Removes a task for good, with its history and files; for admins.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn purge(&self, id: Uuid) -> Result<(), Error> {
        self.0.tell(Call::delete(path(id, "")).query("purge", "true")).await
    }

    /// Why a task is where it is.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn explain(&self, id: Uuid) -> Result<Explanation, Error> {
        self.0.call(Call::get(path(id, "/explain"))).await
    }

    /// Its attempts, first to last.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn attempts(&self, id: Uuid) -> Result<Vec<Attempt>, Error> {
        let answer: Attempts = self.0.call(Call::get(path(id, "/attempts"))).await?;
        Ok(answer.items)
    }

    /// The lines that its handler wrote so far, oldest first, behind the position `after`: 0 gives them all.
    pub fn logs(&self, id: Uuid, after: u64) -> Pages<KeptLine> {
        Pages::new(self.0, Call::get(path(id, "/logs")).query("after", after.to_string()))
    }

    /// One answer of up to 1,000 lines, with the position to go on from later.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn log_page(&self, id: Uuid, after: u64) -> Result<Logs, Error> {
        self.0.call(Call::get(path(id, "/logs")).query("after", after.to_string())).await
    }

    /// The files that it made, by name.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn artifacts(&self, id: Uuid) -> Result<Vec<Artifact>, Error> {
        let answer: Artifacts = self.0.call(Call::get(path(id, "/artifacts"))).await?;
        Ok(answer.items)
    }

    /// Writes the content of one of its files, as it comes, and gives its length in bytes. At the end it is checked against
    /// its SHA-256; after an error, throw away what was written.
    ///
    /// # Errors
    /// Those of a call; [`Error::Write`]; [`Error::Unreadable`] if it arrived damaged.
    pub async fn download(
        &self,
        id: Uuid,
        name: &str,
        into: &mut (impl AsyncWrite + Unpin),
    ) -> Result<u64, Error> {
        let call = Call::get(path(id, &format!("/artifacts/{}", segment(name)))).streaming("*/*");
        let mut answer = self.0.stream(call).await?;
        let expected = answer.header("etag").unwrap_or_default().trim_matches('"').to_owned();
        let (mut checksum, mut bytes) = (Checksum::default(), 0);
        while let Some(chunk) = answer.chunk().await? {
            checksum.update(&chunk);
            bytes += chunk.len() as u64;
            into.write_all(&chunk).await?;
        }
        into.flush().await?;
        if checksum.equals(&expected) {
            Ok(bytes)
        } else {
            Err(Error::Unreadable(format!("is damaged: the SHA-256 of {name} differs")))
        }
    }

    async fn verdict(&self, call: Call) -> Result<Task, Error> {
        let verdict: Verdict = self.0.call(call).await?;
        Ok(verdict.task)
    }
}

pub(crate) fn path(id: Uuid, rest: &str) -> String {
    format!("/tasks/{id}{rest}")
}
