//! Schedules: made, read, changed, paused, run by hand.

use taskloom_protocol::{
    ChangeSchedule, CreateSchedule, ListSchedules, ListTicks, Preview, PreviewSchedule, PreviewTime,
    RunSchedule, Schedule, SchedulePage, Task, Tick, TickPage,
};
use uuid::Uuid;

use crate::client::new_key;
use crate::transport::Call;
use crate::{Client, Error, Pages};

/// What can be done with schedules: see [`Client::schedules`].
#[derive(Debug, Clone, Copy)]
pub struct Schedules<'a>(pub(crate) &'a Client);

impl Schedules<'_> {
    /// Creates a schedule, once: the call is repeated under one idempotency key when its answer gets lost.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn create(&self, schedule: &CreateSchedule) -> Result<Schedule, Error> {
        self.0.call(Call::post("/schedules").body(schedule)?.idempotency_key(new_key())).await
    }

    /// A schedule, with its next tick and what became of those so far.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn get(&self, id: Uuid) -> Result<Schedule, Error> {
        self.0.call(Call::get(path(id, ""))).await
    }

    /// One page of schedules, the newest first.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn page(&self, query: &ListSchedules) -> Result<SchedulePage, Error> {
        self.0.call(Call::get("/schedules").queries(query)?).await
    }

    /// All schedules that match.
    ///
    /// # Errors
    /// None yet; those of a call come as it is read.
    pub fn list(&self, query: &ListSchedules) -> Result<Pages<Schedule>, Error> {
        Ok(Pages::new(self.0, Call::get("/schedules").queries(query)?))
    }

    /// Changes a schedule: what is left out stays, [`Given::Null`](crate::Given::Null) takes a field back to its default.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn change(&self, id: Uuid, change: &ChangeSchedule) -> Result<Schedule, Error> {
        self.0.call(Call::patch(path(id, "")).body(change)?).await
    }

    /// Pauses a schedule: it fires no more until it is resumed.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn pause(&self, id: Uuid) -> Result<Schedule, Error> {
        self.0.call(Call::post(path(id, "/pause")).repeatable()).await
    }

    /// Resumes a schedule, from now on.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn resume(&self, id: Uuid) -> Result<Schedule, Error> {
        self.0.call(Call::post(path(id, "/resume")).repeatable()).await
    }

    /// Removes a schedule; tasks that it made stay.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn delete(&self, id: Uuid) -> Result<(), Error> {
        self.0.tell(Call::delete(path(id, ""))).await
    }

    /// Runs its task now, beside its ticks, and also while it is paused; `other` says what differs this time. As
    /// with [`Self::create`], a lost answer makes no second task.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn run(&self, id: Uuid, other: &RunSchedule) -> Result<Task, Error> {
        self.0.call(Call::post(path(id, "/run")).body(other)?.idempotency_key(new_key())).await
    }

    /// The ticks that a plan would have, without making a schedule of it.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn preview(&self, plan: &PreviewSchedule) -> Result<Vec<PreviewTime>, Error> {
        let preview: Preview = self.0.call(Call::post("/schedules/preview").body(plan)?.repeatable()).await?;
        Ok(preview.times)
    }

    /// The next ticks of a schedule, 1 to 100.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn next_ticks(&self, id: Uuid, count: u32) -> Result<Vec<PreviewTime>, Error> {
        let call = Call::get(path(id, "/preview")).query("count", count.to_string());
        let preview: Preview = self.0.call(call).await?;
        Ok(preview.times)
    }

    /// One page of what became of its ticks, the latest first.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn tick_page(&self, id: Uuid, query: &ListTicks) -> Result<TickPage, Error> {
        self.0.call(Call::get(path(id, "/ticks")).queries(query)?).await
    }

    /// All of its ticks that match.
    ///
    /// # Errors
    /// None yet; those of a call come as it is read.
    pub fn ticks(&self, id: Uuid, query: &ListTicks) -> Result<Pages<Tick>, Error> {
        Ok(Pages::new(self.0, Call::get(path(id, "/ticks")).queries(query)?))
    }
}

fn path(id: Uuid, rest: &str) -> String {
    format!("/schedules/{id}{rest}")
}
