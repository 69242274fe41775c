//! What a handler can do beside its result: files, other tasks, blocking code.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod common;

use common::{Fake, Running, error_of};
use serde_json::json;
use taskloom_protocol::{Outcome, SubmitTask};
use taskloom_worker::{Context, HandlerError, Registry};

/// Runs `registry`'s handler `it` once, with a directory of its own.
async fn run(
    registry: Registry,
) -> (std::sync::Arc<Fake>, taskloom_protocol::TaskRef, Outcome, std::path::PathBuf) {
    let fake = Fake::new();
    let dir = std::env::temp_dir().join(format!("taskloom-worker-test-{}", uuid::Uuid::now_v7()));
    let task = fake.push("it", json!([]), json!({}));
    let running = Running::start_with(&fake, registry, |builder| builder.work_dir(&dir));
    let outcome = fake.outcome(task).await;
    running.stop().await.unwrap();
    (fake, task, outcome, dir)
}

#[tokio::test]
async fn artifacts_are_kept_and_the_directory_is_removed() {
    let registry = Registry::new().with("it", async |ctx: Context| {
        let dir = ctx.artifacts_dir()?;
        assert_eq!(std::fs::read_dir(dir)?.count(), 0);
        std::fs::write(dir.join("report.csv"), "a,b\n1,2\n")?;
        let kept = ctx.keep_artifact("report.csv", "text/csv").await?;
        Ok::<_, HandlerError>((kept.bytes, dir.to_owned()))
    });
    let (fake, task, outcome, work_dir) = run(registry).await;
    let Outcome::Success { result } = outcome else { panic!("{outcome:?}") };
    let (bytes, dir): (u64, std::path::PathBuf) = serde_json::from_str(result.get()).unwrap();
    assert_eq!(bytes, 8);
    assert!(dir.starts_with(&work_dir) && !dir.exists(), "{}", dir.display());
    assert_eq!(std::fs::read_dir(&work_dir).unwrap().count(), 0);
    let state = fake.state();
    let (put, content) = &state.artifacts[0];
    assert_eq!((put.task, put.name.as_str(), put.content_type.as_str()), (task, "report.csv", "text/csv"));
    assert_eq!(content, b"a,b\n1,2\n");
    std::fs::remove_dir(work_dir).unwrap();
}

#[tokio::test]
async fn only_files_of_the_directory_are_artifacts() {
    for name in ["", "../passwd", ".hidden", "a/b", "missing", "folder", "link", "名.csv"] {
        let registry = Registry::new().with("it", move |ctx: Context| async move {
            let dir = ctx.artifacts_dir()?;
            std::fs::create_dir(dir.join("folder"))?;
            #[cfg(unix)]
            std::os::unix::fs::symlink("/etc/hostname", dir.join("link"))?;
            ctx.keep_artifact(name, "text/plain").await
        });
        let (fake, _, outcome, work_dir) = run(registry).await;
        assert!(matches!(outcome, Outcome::Fatal { .. }), "{name}: {outcome:?}");
        assert_eq!(error_of(outcome).kind, "bad_artifact");
        assert!(fake.state().artifacts.is_empty());
        std::fs::remove_dir(work_dir).unwrap();
    }
}

#[tokio::test]
async fn a_handler_submits_tasks_on_behalf_of_its_own() {
    let registry = Registry::new().with("it", async |ctx: Context| {
        let one = ctx.spawn(SubmitTask::new("child")).await?;
        let many = ctx.spawn_many(vec![SubmitTask::new("a"), SubmitTask::new("b")]).await?;
        assert!(ctx.spawn_many(Vec::new()).await?.is_empty());
        Ok::<_, HandlerError>((one.task, many.into_iter().map(|task| task.task).collect::<Vec<_>>()))
    });
    let (fake, task, outcome, _) = run(registry).await;
    let Outcome::Success { result } = outcome else { panic!("{outcome:?}") };
    assert_eq!(result.get(), r#"["child",["a","b"]]"#);
    let state = fake.state();
    assert_eq!(state.spawned.len(), 2);
    assert!(
        state
            .spawned
            .iter()
            .all(|spawn| spawn.parent == task && spawn.session == state.registered[0].session)
    );
}

#[tokio::test]
async fn blocking_code_runs_on_a_thread_of_its_own() {
    let registry = Registry::new().with("it", async |ctx: Context| {
        let here = std::thread::current().id();
        let there = ctx.blocking(|| std::thread::current().id()).await?;
        Ok::<_, HandlerError>(here != there)
    });
    let (_, _, outcome, _) = run(registry).await;
    let Outcome::Success { result } = outcome else { panic!("{outcome:?}") };
    assert_eq!(result.get(), "true");
}
