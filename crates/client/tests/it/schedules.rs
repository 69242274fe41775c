//! Schedules from the first preview to the removal.

use serde_json::json;
use taskloom_client::{
    ChangeSchedule, Client, Code, CreateSchedule, Given, ListSchedules, ListTicks, PreviewSchedule,
    RunSchedule, ScheduleType, TickOutcome, to_json,
};

use crate::server::{PATIENCE, Server, eventually};

fn every_second() -> CreateSchedule {
    CreateSchedule {
        name: "often".into(),
        task: "demo.echo".into(),
        schedule_type: Some(ScheduleType::Interval),
        schedule_config: Some(to_json(&json!({"interval": 1, "unit": "seconds"})).unwrap()),
        kwargs: Some(to_json(&json!({"day": "today"})).unwrap()),
        ..CreateSchedule::default()
    }
}

async fn weekly(client: &Client) -> taskloom_client::Schedule {
    let weekly = CreateSchedule {
        name: "weekly".into(),
        schedule_type: Some(ScheduleType::Weekly),
        schedule_config: Some(to_json(&json!({"days": [1, 3, 5], "time": "14:30:00"})).unwrap()),
        timezone: Some("Asia/Shanghai".into()),
        ..every_second()
    };
    client.schedules().create(&weekly).await.unwrap()
}

#[tokio::test]
async fn a_schedule_is_made_changed_paused_and_run_by_hand() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let schedules = client.schedules();
    let weekly = weekly(&client).await;
    let next = schedules.next_ticks(weekly.id, 3).await.unwrap();
    assert_eq!(next.iter().filter(|tick| tick.local.contains("T14:30:00+08:00")).count(), 3, "{next:?}");
    let plan = PreviewSchedule {
        schedule_type: Some(ScheduleType::Cron),
        schedule_config: Some(to_json(&json!({"cron_expression": "0 9 * * *"})).unwrap()),
        count: Some(2),
        ..PreviewSchedule::default()
    };
    assert_eq!(schedules.preview(&plan).await.unwrap().len(), 2);

    let change = ChangeSchedule {
        name: Given::Value("new".into()),
        timezone: Given::Null,
        ..ChangeSchedule::default()
    };
    let changed = schedules.change(weekly.id, &change).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.timezone.as_str()), ("new", "UTC"));
    // Twice is no more than once, so that these calls may be repeated.
    for _ in 0..2 {
        assert!(!schedules.pause(weekly.id).await.unwrap().enabled);
    }
    let paused = ListSchedules { enabled: Some(false), ..ListSchedules::default() };
    assert_eq!(schedules.page(&paused).await.unwrap().total, 1);
    let other =
        RunSchedule { kwargs: Some(to_json(&json!({"day": "tomorrow"})).unwrap()), ..RunSchedule::default() };
    let task = schedules.run(weekly.id, &other).await.unwrap();
    assert_eq!(task.schedule_id, Some(weekly.id));
    let result: serde_json::Value = client.tasks().wait_for(task.id, PATIENCE).await.unwrap();
    assert_eq!(result["kwargs"], json!({"day": "tomorrow"}));
    for _ in 0..2 {
        assert!(schedules.resume(weekly.id).await.unwrap().enabled);
    }
    let all = schedules.list(&ListSchedules { limit: Some(1), ..ListSchedules::default() }).unwrap();
    assert_eq!(all.all().await.unwrap().len(), 1);
    schedules.delete(weekly.id).await.unwrap();
    assert_eq!(schedules.get(weekly.id).await.unwrap_err().code(), Some(Code::NotFound));
    let nameless = schedules.create(&CreateSchedule::default()).await.unwrap_err();
    assert_eq!(nameless.code(), Some(Code::Validation));
}

#[tokio::test]
async fn ticks_are_read() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let often = client.schedules().create(&every_second()).await.unwrap();
    let tick = eventually("a tick", async || {
        let fired = ListTicks { outcome: Some(TickOutcome::Fired), ..ListTicks::default() };
        client.schedules().ticks(often.id, &fired).unwrap().next().await.unwrap()
    })
    .await;
    assert_eq!(client.tasks().get(tick.task_id.unwrap()).await.unwrap().schedule_id, Some(often.id));
    let page = client.schedules().tick_page(often.id, &ListTicks::default()).await.unwrap();
    assert!(page.items.contains(&tick));
}
