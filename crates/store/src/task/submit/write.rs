//! Writes tasks that come into being, with the lives they begin.

use std::sync::LazyLock;

use taskloom_model::{Life, Phase, Timestamp};

use super::{NewTask, postgres};
use crate::error::Result;
use crate::sql::Param;
use crate::task::life::{Entering, Left, Place, Seat, enter};
use crate::tx::Tx;

/// A task that is being written, with the life it begins.
#[derive(Clone, Copy)]
pub(in crate::task) struct Fresh<'a> {
    pub(in crate::task) task: &'a NewTask,
    pub(in crate::task) life: Life,
    pub(in crate::task) at: Timestamp,
}

/// Writes tasks with the lives they begin.
pub(super) async fn write(tx: &mut Tx, tasks: &[Fresh<'_>]) -> Result<()> {
    match tx {
        Tx::Postgres(pg) => {
            postgres::insert(pg, tasks).await?;
            // Those that are ready are so by the same statement.
            enter_all(tx, tasks, |fresh| fresh.life.phase != Phase::Ready).await?;
        }
        Tx::Sqlite(_) => insert_each(tx, tasks).await?,
        Tx::Mysql(_) => {
            insert_together(tx, tasks).await?;
            enter_all(tx, tasks, |_| true).await?;
        }
    }
    let mut tags: Vec<Param<'_>> = Vec::new();
    let mut expiries: Vec<Param<'_>> = Vec::new();
    for Fresh { task, .. } in tasks {
        for tag in &task.tags {
            tags.extend::<[Param<'_>; 2]>([tag.into(), task.id.into()]);
        }
        if let Some(at) = task.expires_at {
            expiries.extend::<[Param<'_>; 2]>([at.into(), task.id.into()]);
        }
    }
    tx.insert_many("INSERT INTO task_tags (tag, task_id)", 2, &tags).await?;
    tx.insert_many("INSERT INTO expiries (expires_at, id)", 2, &expiries).await
}

/// On SQLite row by row: a statement costs no round trip, and its text is made once.
async fn insert_each(tx: &mut Tx, tasks: &[Fresh<'_>]) -> Result<()> {
    static ONE: LazyLock<String> = LazyLock::new(|| {
        format!("{} VALUES ({})", Shape::Full.insert(), vec!["?"; COLUMNS.len()].join(", "))
    });
    for fresh in tasks {
        let texts = Texts::of(fresh.task);
        tx.exec(&ONE, &task_row(fresh, &texts)).await?;
        let Fresh { task, life, .. } = fresh;
        let seat = Seat { id: task.id, place: &task.place(), life, ties: task.all_ties() };
        enter(tx, seat, Left::default()).await?;
    }
    Ok(())
}

static INSERT: Shaped = Shaped::new(|| Shape::Full.insert(), || Shape::Lean.insert());

/// On MySQL in sets.
async fn insert_together(tx: &mut Tx, tasks: &[Fresh<'_>]) -> Result<()> {
    let texts: Vec<Texts> = tasks.iter().map(|fresh| Texts::of(fresh.task)).collect();
    let rows: Vec<_> = tasks.iter().zip(&texts).map(|(fresh, texts)| task_row(fresh, texts)).collect();
    let shape = Shape::of(&rows);
    let values: Vec<Param<'_>> =
        rows.iter().flat_map(|row| shape.columns().map(|column| row[column])).collect();
    tx.insert_many(INSERT.of(shape), shape.columns().count(), &values).await
}

/// Puts those of the tasks where they begin.
async fn enter_all(tx: &mut Tx, tasks: &[Fresh<'_>], those: fn(&Fresh<'_>) -> bool) -> Result<()> {
    let placed: Vec<(Place, &Fresh<'_>)> =
        tasks.iter().filter(|fresh| those(fresh)).map(|fresh| (fresh.task.place(), fresh)).collect();
    let mut entering = Entering::default();
    for (place, Fresh { task, life, .. }) in &placed {
        entering.add(Seat { id: task.id, place, life, ties: task.all_ties() }, Left::default());
    }
    entering.write(tx).await
}

/// What has to be put into words for a row.
pub(super) struct Texts {
    backoff: Option<String>,
    tags: Option<String>,
    retry_on: Option<String>,
}

impl Texts {
    pub(super) fn of(task: &NewTask) -> Self {
        Self {
            backoff: task.backoff.as_ref().and_then(|b| serde_json::to_string(b).ok()),
            tags: list_text(&task.tags),
            retry_on: list_text(&task.retry_on),
        }
    }
}

/// A list as JSON; absent if it is empty.
fn list_text(list: &[String]) -> Option<String> {
    (!list.is_empty()).then(|| serde_json::to_string(list).unwrap_or_default())
}

/// Whether tasks have something in a column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filled {
    Always,
    Seldom,
}
use Filled::{Always, Seldom};

/// The columns of [`task_row`], with their types on PostgreSQL.
const COLUMNS: [(&str, &str, Filled); 26] = [
    ("id", "uuid", Always),
    ("user_id", "uuid", Always),
    ("handler", "text", Always),
    ("queue", "text", Always),
    ("priority", "int", Always),
    ("name", "text", Seldom),
    ("task_type", "text", Seldom),
    ("args", "text", Always),
    ("kwargs", "text", Always),
    ("max_attempts", "int", Always),
    ("timeout_ms", "bigint", Always),
    ("soft_timeout_ms", "bigint", Seldom),
    ("backoff", "text", Seldom),
    ("expires_at", "bigint", Seldom),
    ("tags", "text", Seldom),
    ("metadata", "text", Seldom),
    ("model_id", "text", Seldom),
    ("unique_key", "text", Seldom),
    ("parent_id", "uuid", Seldom),
    ("created_at", "bigint", Always),
    ("parents", "int", Always),
    ("retry_on", "text", Seldom),
    ("schedule_id", "uuid", Seldom),
    ("workflow_id", "uuid", Seldom),
    ("band", "bigint", Always),
    ("ties", "int", Always),
];

/// Which columns a statement fills. Across a network each costs something for every task, empty or not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// All of them.
    Full,
    /// Those that no task leaves empty.
    Lean,
}

impl Shape {
    /// The least that holds these rows.
    pub(super) fn of(rows: &[[Param<'_>; COLUMNS.len()]]) -> Self {
        let is_lean = |row: &[Param<'_>; COLUMNS.len()]| {
            let mut seldom = row.iter().zip(&COLUMNS).filter(|(_, (.., filled))| *filled == Seldom);
            seldom.all(|(value, _)| matches!(value, Param::Null))
        };
        if rows.iter().all(is_lean) { Self::Lean } else { Self::Full }
    }

    fn has(self, filled: Filled) -> bool {
        self == Self::Full || filled == Always
    }

    /// The columns' places in a row.
    pub(super) fn columns(self) -> impl Iterator<Item = usize> {
        (0..COLUMNS.len()).filter(move |place| self.has(COLUMNS[*place].2))
    }

    /// The head of the statement.
    pub(super) fn insert(self) -> String {
        let names: Vec<&str> = self.columns().map(|place| COLUMNS[place].0).collect();
        format!("INSERT INTO tasks ({})", names.join(", "))
    }

    /// The columns' types on PostgreSQL.
    pub(super) fn types(self) -> impl Iterator<Item = &'static str> {
        self.columns().map(|place| COLUMNS[place].1)
    }
}

/// A statement of each shape.
pub(super) struct Shaped([LazyLock<String>; 2]);

impl Shaped {
    pub(super) const fn new(full: fn() -> String, lean: fn() -> String) -> Self {
        Self([LazyLock::new(full), LazyLock::new(lean)])
    }

    pub(super) fn of(&self, shape: Shape) -> &str {
        &self.0[shape as usize]
    }
}

pub(super) fn task_row<'a>(fresh: &Fresh<'a>, texts: &'a Texts) -> [Param<'a>; COLUMNS.len()] {
    let task = fresh.task;
    [
        task.id.into(),
        task.user_id.into(),
        (&task.handler).into(),
        (&task.queue).into(),
        i64::from(task.priority.number()).into(),
        task.name.as_ref().into(),
        task.task_type.as_ref().into(),
        task.args.as_ref().into(),
        task.kwargs.as_ref().into(),
        task.max_attempts.into(),
        task.timeout_ms.into(),
        task.soft_timeout_ms.into(),
        texts.backoff.as_ref().into(),
        task.expires_at.into(),
        texts.tags.as_ref().into(),
        task.metadata.as_ref().into(),
        task.model_id.as_ref().into(),
        task.unique_key.as_ref().into(),
        task.parent_id.into(),
        fresh.at.into(),
        (task.depends_on.len() as u64).into(),
        texts.retry_on.as_ref().into(),
        task.schedule_id.into(),
        task.workflow_id.into(),
        task.band().into(),
        task.all_ties().bits().into(),
    ]
}
