//! Lists of schedules, of their ticks, and of ticks to come.

use taskloom_model::{Plan, ScheduleId, TickOutcome, Timestamp, UserId};
use taskloom_protocol::{FieldError, Preview, PreviewSchedule, PreviewTime, SchedulePage, Tick, TickPage};
use taskloom_store::{OrderBy, Position, ScheduleFilter};
use uuid::Uuid;

use super::{must_come, view};
use crate::{Caller, Engine, EngineError, cursor};

/// Which part of a list.
#[derive(Debug, Clone)]
pub struct SchedulePageSpec {
    /// Rows on the page, 1 to 500.
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// Ticks to come that are shown at once, at most.
const MOST: u32 = 100;
/// The same if nobody says how many.
const USUAL: u32 = 10;

impl Engine {
    /// A page of schedules that the caller may see, latest first.
    pub async fn schedule_list(
        &self,
        caller: &Caller,
        filter: ScheduleFilter,
        page: SchedulePageSpec,
    ) -> Result<SchedulePage, EngineError> {
        let after = position(page.cursor)?.map(|position| position.id);
        let filter = ScheduleFilter { user_id: user(caller, filter.user_id), ..filter };
        let (rows, more, total) =
            self.inner.store.schedule_list(filter, after, page.limit.clamp(1, 500)).await?;
        let last = rows.last().filter(|_| more).map(|row| Position { value: 0, id: row.id });
        let items = rows.into_iter().map(view::schedule).collect::<Result<_, _>>()?;
        Ok(SchedulePage { items, next_cursor: last.map(written), total })
    }

    /// What became of a schedule's ticks, latest first.
    pub async fn schedule_ticks(
        &self,
        caller: &Caller,
        id: ScheduleId,
        outcome: Option<TickOutcome>,
        page: SchedulePageSpec,
    ) -> Result<TickPage, EngineError> {
        let row = self.schedule_row(caller, id).await?;
        let before = position(page.cursor)?.map(|position| Timestamp::from_micros(position.value));
        let limit = page.limit.clamp(1, 500);
        let (rows, more) = self.inner.store.tick_list(id, outcome, before, limit).await?;
        let last = rows.last().filter(|_| more).map(|row| row.tick);
        let next_cursor = last.map(|tick| written(Position { value: tick.as_micros(), id: Uuid::nil() }));
        let plan = view::read(&row)?.plan(row.anchor_at).map_err(EngineError::Fields)?;
        let shown = |row: taskloom_store::TickRow| Tick {
            at: row.tick,
            local: plan.zone().show(row.tick),
            outcome: row.outcome,
            reason: row.reason,
            task_id: row.task_id,
            decided_at: row.decided_at,
        };
        Ok(TickPage { items: rows.into_iter().map(shown).collect(), next_cursor })
    }

    /// The ticks of a schedule to come, as if it were not paused.
    ///
    /// # Errors
    /// [`EngineError::Fields`] if `count` is not 1 to 100.
    pub async fn schedule_preview(
        &self,
        caller: &Caller,
        id: ScheduleId,
        count: Option<u32>,
    ) -> Result<Preview, EngineError> {
        let count = counted(count, FieldError::query)?;
        let row = self.schedule_row(caller, id).await?;
        let plan = view::read(&row)?.plan(row.anchor_at).map_err(EngineError::Fields)?;
        let after = row.last_tick.map_or(self.now(), |last| last.max(self.now()));
        let times = plan.upcoming(after).take(count).map(|tick| time(&plan, tick)).collect();
        Ok(Preview { times })
    }

    /// The ticks that a plan would have.
    ///
    /// # Errors
    /// [`EngineError::Fields`] names each field that breaks a rule.
    pub fn plan_preview(&self, preview: &PreviewSchedule) -> Result<Preview, EngineError> {
        let count = counted(preview.count, FieldError::body)?;
        let after = preview.after.unwrap_or_else(|| self.now());
        let plan = preview.plan(after).map_err(EngineError::Fields)?;
        let first = plan.first(after);
        if first.is_none() {
            must_come(&plan)?;
        }
        let ticks = std::iter::successors(first, |last| plan.next_after(*last));
        Ok(Preview { times: ticks.take(count).map(|tick| time(&plan, tick)).collect() })
    }
}

fn counted(count: Option<u32>, error: fn(&str, &str, String) -> FieldError) -> Result<usize, EngineError> {
    let count = count.unwrap_or(USUAL);
    if (1..=MOST).contains(&count) {
        return Ok(count as usize);
    }
    Err(EngineError::Fields(vec![error("count", "out_of_range", format!("1 to {MOST}"))]))
}

fn time(plan: &Plan, tick: Timestamp) -> PreviewTime {
    PreviewTime { utc: tick, local: plan.zone().show(tick) }
}

/// A caller who sees only their own finds nobody else's, whatever the filter says.
fn user(caller: &Caller, wanted: Option<UserId>) -> Option<UserId> {
    match caller.held_to() {
        Some(user) if wanted.is_some_and(|wanted| wanted != user) => Some(Uuid::nil()),
        Some(user) => Some(user),
        None => wanted,
    }
}

fn position(cursor: Option<String>) -> Result<Option<Position>, EngineError> {
    cursor.map(|text| cursor::read(&text, OrderBy::CreatedAt, true)).transpose()
}

fn written(position: Position) -> String {
    cursor::write(OrderBy::CreatedAt, true, position)
}
