//! Many schedules are due at one instant: how fast their ticks fire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::to_raw_value;
use taskloom_engine::{Caller, Engine, ManualClock, StoreClock, TaskFilter};
use taskloom_model::{ScheduleType, Timestamp};
use taskloom_protocol::CreateSchedule;
use tokio::task::JoinSet;

use super::Bench;
use crate::BenchError;
use crate::error::expect;
use crate::figure::Figure;
use crate::probe::NOOP;
use crate::stack::create_admin;

/// Schedules that are created at the same time.
const TOGETHER: u32 = 64;
/// From the making of the schedules to the instant; the clock is moved over it.
const AHEAD: Duration = Duration::from_secs(3_600);

pub(super) async fn run(bench: &mut Bench<'_>) -> Result<(), BenchError> {
    let schedules = bench.sizes.schedules;
    let site = bench.fresh().await?;
    let store = site.store(&site.dir).await?;
    let now = StoreClock::start(&store).await?.now();
    let (clock, due) = (Arc::new(ManualClock::new(now)), now.plus(AHEAD));
    // Without its loops: whole passes are timed, one after another, as the loop makes them.
    let engine = site.engine_on(&site.dir, store, Arc::clone(&clock) as _)?;
    let caller = Caller { user_id: create_admin(&engine).await?, all: true };
    bench.progress.step(&format!("create {schedules} schedules"));
    for from in (0..schedules).step_by(TOGETHER as usize) {
        create(&engine, caller, from..schedules.min(from + TOGETHER), due).await?;
    }

    bench.progress.step(&format!("fire {schedules} schedules that are due at once"));
    clock.set(due);
    let start = Instant::now();
    let mut fired = 0;
    while let ticks @ 1.. = engine.fire().await? {
        fired += ticks as u64;
    }
    let took = start.elapsed();
    expect("ticks", u64::from(schedules), fired)?;
    let counts = engine.count(&caller, TaskFilter::default()).await?;
    expect("pending tasks", u64::from(schedules), counts.pending)?;
    bench.recorder.add(Figure::ScheduleRate, f64::from(schedules) / took.as_secs_f64());
    drop(engine);
    site.remove().await
}

async fn create(
    engine: &Engine,
    caller: Caller,
    numbers: std::ops::Range<u32>,
    due: Timestamp,
) -> Result<(), BenchError> {
    let mut creating = JoinSet::new();
    for number in numbers {
        let (engine, schedule) = (engine.clone(), weekly(number, due));
        creating.spawn(async move { engine.schedule_create(&caller, schedule, None).await });
    }
    while let Some(created) = creating.join_next().await {
        created.map_err(|_| BenchError::Stuck("a schedule"))??;
    }
    Ok(())
}

/// Every week from this instant on.
fn weekly(number: u32, due: Timestamp) -> CreateSchedule {
    CreateSchedule {
        name: format!("schedule {number}"),
        task: NOOP.into(),
        args: to_raw_value(&[number]).ok(),
        schedule_type: Some(ScheduleType::Interval),
        schedule_config: to_raw_value(&serde_json::json!({"interval": 1, "unit": "weeks"})).ok(),
        start_at: Some(due),
        ..CreateSchedule::default()
    }
}
