//! Lists and counts of tasks.

use std::str::FromStr;
use std::time::Duration;

use taskloom_model::{LOST_ERROR, Reason, State, Status, TIMEOUT_ERROR, TaskId, Timestamp, UserId};
use taskloom_protocol::{Counts, Task};
use uuid::Uuid;

use super::life::id_at;
use super::read::{TASK_COLUMNS, TASK_JOINS, complete, read_task};
use crate::Store;
use crate::error::Result;
use crate::row::Row;
use crate::sql::{Param, Sql, params};
use crate::tx::Tx;

/// Totals are counted up to this.
pub const TOTAL_CAP: u32 = 10_000;
/// How far the clocks of two servers may differ.
const CLOCKS: Duration = Duration::from_secs(60);
/// So many waiting tasks are sorted by the database; more are walked to, newest first.
const FEW: u32 = 5_000;

/// Which tasks; every field that is set narrows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Tasks of this user.
    pub user_id: Option<UserId>,
    /// In this status.
    pub status: Option<Status>,
    /// In exactly this state.
    pub state: Option<State>,
    /// Of this handler.
    pub task: Option<String>,
    /// With this label.
    pub task_type: Option<String>,
    /// In this queue.
    pub queue: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// Made by this schedule.
    pub schedule_id: Option<Uuid>,
    /// Of this workflow.
    pub workflow_id: Option<Uuid>,
    /// Running this model.
    pub model_id: Option<String>,
    /// Submitted at this instant or later.
    pub created_after: Option<Timestamp>,
    /// Submitted before this instant.
    pub created_before: Option<Timestamp>,
    /// Ended at this instant or later.
    pub finished_after: Option<Timestamp>,
    /// Ended before this instant.
    pub finished_before: Option<Timestamp>,
    /// With this text in the name or the handler's name.
    pub q: Option<String>,
    /// Failed on their own: dead letters, not tasks whose parent failed.
    pub dead: bool,
    /// Ended for this reason.
    pub reason: Option<Reason>,
    /// Ended with this type of error; a time limit and a lost worker are the types `timeout` and `lost`.
    pub error_type: Option<String>,
}

/// What some of a filter's fields become in a statement.
pub(super) struct Texts {
    like: Option<String>,
    /// How an error of the wanted type begins: its type is the first thing that is written of it.
    error: Option<String>,
}

impl Filter {
    pub(super) fn texts(&self) -> Texts {
        let kind = self.error_type.as_ref().map(|kind| serde_json::to_string(kind).unwrap_or_default());
        Texts { like: like_pattern(self), error: kind.map(|kind| format!("{{\"type\":{kind},")) }
    }
}

/// What a list is sorted by; ties by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrderBy {
    /// When it was submitted.
    #[default]
    CreatedAt,
    /// Its priority.
    Priority,
    /// When it ended; only ended tasks are listed.
    CompletedAt,
}

impl OrderBy {
    /// Every order.
    pub const ALL: [Self; 3] = [Self::CreatedAt, Self::Priority, Self::CompletedAt];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::Priority => "priority",
            Self::CompletedAt => "completed_at",
        }
    }

    /// The tables in the order in which the database is to go through them.
    fn tables(self) -> String {
        match self {
            Self::CreatedAt | Self::Priority => format!("tasks t{TASK_JOINS}"),
            // From the outcomes, which have an index of their times; a database would begin at the tasks, and sort.
            Self::CompletedAt => {
                let others = TASK_JOINS.replace("LEFT JOIN outcomes o ON o.id = t.id", "");
                format!("outcomes o CROSS JOIN tasks t{others}")
            }
        }
    }

    /// The id beside [`Self::column`].
    fn id(self) -> &'static str {
        match self {
            Self::CreatedAt | Self::Priority => "t.id",
            Self::CompletedAt => "o.id",
        }
    }

    /// The column before the id, if it is not the id alone.
    fn column(self) -> Option<&'static str> {
        match self {
            // Ids are made in the order of time.
            Self::CreatedAt => None,
            Self::Priority => Some("t.priority"),
            Self::CompletedAt => Some("o.finished_at"),
        }
    }
}

impl FromStr for OrderBy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|o| o.name() == text).ok_or("one of created_at, priority, completed_at")
    }
}

/// A place in a list, behind one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The value of the order's column; 0 where it is the id alone.
    pub value: i64,
    /// The task.
    pub id: TaskId,
}

/// Which part of the list.
#[derive(Debug, Clone, Copy, Default)]
pub struct PageQuery {
    /// Tasks on the page, 1 to 500.
    pub limit: u32,
    /// Behind this place.
    pub after: Option<Position>,
    /// Leaving out so many.
    pub skip: u32,
    /// Sorted by.
    pub order_by: OrderBy,
    /// Largest first.
    pub descending: bool,
}

impl Store {
    /// A page of tasks, where it goes on, and how many match, counted up to [`TOTAL_CAP`].
    pub async fn task_list(
        &self,
        filter: Filter,
        page: PageQuery,
    ) -> Result<(Vec<Task>, Option<Position>, u64)> {
        self.scan(move |tx| {
            Box::pin(async move {
                let texts = filter.texts();
                let few = waiting_up_to(tx, FEW + 1).await? <= u64::from(FEW);
                // The page's ids first, then their wide rows: a sort never carries payloads.
                let mut sql = Sql::new("SELECT ");
                let key = page.order_by.column().unwrap_or("0");
                sql.push(TASK_COLUMNS, &[]);
                sql.push(&format!(" FROM (SELECT t.id AS id, {key} AS sort_key FROM "), &[]);
                sql.push(&page.order_by.tables(), &[]);
                restrict_to(&mut sql, &filter, &texts, tx);
                standing(&mut sql, &filter, if few { Way::Sort } else { Way::Walk });
                paginate(&mut sql, &page);
                sql.push(") page JOIN tasks t ON t.id = page.id", &[]).push(TASK_JOINS, &[]);
                let direction = if page.descending { "DESC" } else { "ASC" };
                sql.push(&format!(" ORDER BY page.sort_key {direction}, page.id {direction}"), &[]);
                let mut tasks = tx.rows_of(&sql, read_task).await?;
                let more = tasks.len() > page.limit as usize;
                tasks.truncate(page.limit as usize);
                let tasks = complete(tx, tasks).await?;
                let next = tasks.last().filter(|_| more).map(|task| position(task, page.order_by));
                let mut sql = Sql::new("SELECT count(*) FROM (SELECT 1 FROM ");
                sql.push(&live_tables(&filter).unwrap_or("tasks t".into()), &[]).push(TASK_JOINS, &[]);
                restrict_to(&mut sql, &filter, &texts, tx);
                standing(&mut sql, &filter, Way::Counted);
                sql.push(" LIMIT ?) counted", &[TOTAL_CAP.into()]);
                let total = tx.number(&sql.text, &sql.params).await?;
                Ok((tasks, next, total))
            })
        })
        .await
    }

    /// How many tasks stand in each status.
    pub async fn task_count(&self, filter: Filter) -> Result<Counts> {
        self.scan(move |tx| Box::pin(async move { count(tx, &filter).await })).await
    }
}

async fn count(tx: &mut Tx, filter: &Filter) -> Result<Counts> {
    let mut sql = Sql::new(
        "SELECT count(*), count(n.id), count(CASE WHEN o.state = 'succeeded' THEN 1 END),
         count(CASE WHEN o.state = 'failed' THEN 1 END), count(CASE WHEN o.state = 'revoked' THEN 1 END)
         FROM tasks t",
    );
    sql.push(TASK_JOINS, &[]);
    let texts = filter.texts();
    restrict_to(&mut sql, filter, &texts, tx);
    standing(&mut sql, filter, Way::Sort);
    let counts = tx
        .rows_of(&sql, |row: &mut Row<'_>| {
            let (total, running) = (row.next()?, row.next()?);
            let (succeeded, failed, revoked) = (row.next()?, row.next()?, row.next()?);
            let pending = total - running - succeeded - failed - revoked;
            Ok(Counts { total, pending, running, succeeded, failed, revoked })
        })
        .await?;
    Ok(counts.into_iter().next().unwrap_or_default())
}

/// The pattern for `q` in small letters, with the characters that mean something to LIKE escaped.
fn like_pattern(filter: &Filter) -> Option<String> {
    filter.q.as_ref().map(|q| {
        let escaped = crate::sqlite::small(q).replace('!', "!!").replace('%', "!%").replace('_', "!_");
        format!("%{escaped}%")
    })
}

/// All of the filter but for the states.
pub(super) fn restrict_to<'a>(sql: &mut Sql<'a>, filter: &'a Filter, texts: &'a Texts, tx: &Tx) {
    sql.push(" WHERE t.deleted_at IS NULL", &[])
        .push_some(" AND t.user_id = ?", filter.user_id)
        .push_some(" AND t.handler = ?", filter.task.as_ref())
        .push_some(" AND t.task_type = ?", filter.task_type.as_ref())
        .push_some(" AND t.queue = ?", filter.queue.as_ref())
        .push_some(" AND t.id IN (SELECT task_id FROM task_tags WHERE tag = ?)", filter.tag.as_ref())
        .push_some(" AND t.schedule_id = ?", filter.schedule_id)
        .push_some(" AND t.workflow_id = ?", filter.workflow_id)
        .push_some(" AND t.model_id = ?", filter.model_id.as_ref())
        .push_some(" AND t.created_at >= ?", filter.created_after)
        .push_some(" AND t.created_at < ?", filter.created_before)
        // Ids rise with time: the list need not look at the rest. The minute is for clocks that differ.
        .push_some(" AND t.id >= ?", filter.created_after.map(|at| id_at(at.minus(CLOCKS))))
        .push_some(" AND t.id < ?", filter.created_before.map(|at| id_at(at.plus(CLOCKS))))
        .push_some(" AND o.finished_at >= ?", filter.finished_after)
        .push_some(" AND o.finished_at < ?", filter.finished_before)
        .push_some(" AND o.reason = ?", filter.reason.map(Reason::name));
    if filter.dead {
        sql.push(" AND o.reason <> 'dependency_failed'", &[]);
    }
    if let Some(start) = &texts.error {
        let kind = filter.error_type.as_deref().filter(|kind| [TIMEOUT_ERROR, LOST_ERROR].contains(kind));
        let characters = start.chars().count() as u64;
        // Not LIKE: it knows no case on one database, and some characters mean something to it.
        sql.push(
            " AND (substr(o.error, 1, ?) = ? OR o.reason = ?)",
            &[characters.into(), start.into(), kind.into()],
        );
    }
    if let Some(like) = &texts.like {
        let text = Param::Text(like);
        sql.push(contains(tx), &[text, text]);
    }
}

/// The search in names, whatever their case: each database has its own way to say so. The pattern is in small letters.
fn contains(tx: &Tx) -> &'static str {
    match tx {
        Tx::Sqlite(_) => " AND (small(t.name) LIKE ? ESCAPE '!' OR small(t.handler) LIKE ? ESCAPE '!')",
        Tx::Postgres(_) => " AND (t.name ILIKE ? ESCAPE '!' OR t.handler ILIKE ? ESCAPE '!')",
        Tx::Mysql(_) => {
            " AND (lower(t.name) LIKE ? ESCAPE '!'
              OR lower(CONVERT(t.handler USING utf8mb4)) COLLATE utf8mb4_bin LIKE ? ESCAPE '!')"
        }
    }
}

/// How the database gets to the tasks of a state.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From the state's own small table, then sorted.
    Sort,
    /// Through all tasks in the list's order, leaving out the others.
    Walk,
    /// From [`live_tables`].
    Counted,
}

/// The states asked for, if any.
fn wanted(filter: &Filter) -> Option<Vec<State>> {
    let states = filter.status.map(|status| status.states().to_vec());
    match (states, filter.state) {
        (Some(states), Some(state)) => Some(states.into_iter().filter(|s| *s == state).collect()),
        (states, state) => states.or(state.map(|state| vec![state])),
    }
}

fn table(state: State) -> Option<&'static str> {
    match state {
        State::Blocked => Some("SELECT id FROM blocked"),
        State::Scheduled => Some("SELECT id FROM scheduled"),
        State::Limited => Some("SELECT id FROM limited"),
        State::Ready => Some("SELECT id FROM ready"),
        State::Running => Some("SELECT id FROM running"),
        State::Succeeded | State::Failed | State::Revoked => None,
    }
}

/// The tables of the states asked for, joined to their tasks, if those are states of live tasks.
fn live_tables(filter: &Filter) -> Option<String> {
    let states = wanted(filter).filter(|states| !states.is_empty())?;
    let tables: Option<Vec<_>> = states.into_iter().map(table).collect();
    Some(format!("({}) live CROSS JOIN tasks t", tables?.join(" UNION ALL ")))
}

/// Tasks in the states asked for.
fn standing(sql: &mut Sql<'_>, filter: &Filter, way: Way) {
    let Some(states) = wanted(filter) else { return };
    let tables: Option<Vec<_>> = states.iter().map(|state| table(*state)).collect();
    match (states.as_slice(), tables) {
        ([], _) => {
            sql.push(" AND 1 = 0", &[]);
        }
        (_, Some(_)) if way == Way::Counted => {
            sql.push(" AND t.id = live.id", &[]);
        }
        // Running tasks are few, whatever waits.
        ([State::Blocked | State::Scheduled | State::Limited | State::Ready, ..], Some(_))
            if way == Way::Walk =>
        {
            let columns = states.iter().map(|state| match state {
                State::Blocked => "b.id IS NOT NULL",
                State::Scheduled => "s.id IS NOT NULL",
                State::Limited => "l.id IS NOT NULL",
                _ => "r.id IS NOT NULL",
            });
            sql.push(&format!(" AND ({})", columns.collect::<Vec<_>>().join(" OR ")), &[]);
        }
        (_, Some(tables)) => {
            sql.push(&format!(" AND t.id IN ({})", tables.join(" UNION ALL ")), &[]);
        }
        // The function keeps the database from starting at the outcomes and sorting them all.
        ([State::Succeeded], None) => {
            sql.push(" AND coalesce(o.state, '') = 'succeeded'", &[]);
        }
        ([state, ..], None) => {
            let failures = " AND t.id IN (SELECT id FROM outcomes WHERE state = ? AND state <> 'succeeded')";
            sql.push(failures, &[Param::Text(state.name())]);
        }
    }
}

/// How many tasks wait, counted up to `most`.
async fn waiting_up_to(tx: &mut Tx, most: u32) -> Result<u64> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM (SELECT id FROM blocked UNION ALL SELECT id FROM scheduled
         UNION ALL SELECT id FROM limited UNION ALL SELECT id FROM ready) waiting LIMIT ?) counted";
    tx.number(sql, params![most]).await
}

fn paginate(sql: &mut Sql<'_>, page: &PageQuery) {
    let (comparison, direction) = if page.descending { ("<", "DESC") } else { (">", "ASC") };
    let (column, id) = (page.order_by.column(), page.order_by.id());
    if page.order_by == OrderBy::CompletedAt {
        sql.push(" AND t.id = o.id", &[]);
    }
    match (page.after, column) {
        (Some(after), Some(column)) => {
            let condition = format!(" AND ({column}, {id}) {comparison} (?, ?)");
            sql.push(&condition, &[after.value.into(), after.id.into()]);
        }
        (Some(after), None) => {
            sql.push(&format!(" AND {id} {comparison} ?"), &[after.id.into()]);
        }
        (None, _) => {}
    }
    let by_column = column.map(|column| format!("{column} {direction}, ")).unwrap_or_default();
    // One more than the page, to know whether there is another.
    sql.push(&format!(" ORDER BY {by_column}{id} {direction} LIMIT ?"), &[(page.limit + 1).into()]);
    if page.skip > 0 {
        sql.push(" OFFSET ?", &[page.skip.into()]);
    }
}

fn position(task: &Task, order_by: OrderBy) -> Position {
    let value = match order_by {
        OrderBy::CreatedAt => 0,
        OrderBy::Priority => i64::from(task.priority.number()),
        OrderBy::CompletedAt => task.completed_at.map_or(0, Timestamp::as_micros),
    };
    Position { value, id: task.id }
}
