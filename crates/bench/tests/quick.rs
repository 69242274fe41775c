//! The workloads that need no other process, tiny: that they run and count right, never how fast.

use std::path::Path;

use clap::Parser;
use taskloom_bench::{BenchArgs, BenchError, Figure, Report, run};

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    bench: BenchArgs,
}

fn parse(flags: &[&str]) -> BenchArgs {
    CommandLine::parse_from([&["bench"], flags].concat()).bench
}

fn quick(dir: &Path, flags: &[&str]) -> Result<Report, BenchError> {
    let args = BenchArgs { dir: dir.to_owned(), quick: true, ..parse(flags) };
    run(&args, Path::new("/no/such/program"))
}

#[test]
fn the_workloads_in_process_do_what_they_count() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("figures.json");
    let flags = [
        "--only",
        "drain,both,latency",
        "--drain-tasks",
        "300",
        "--both-tasks",
        "250",
        "--latency-tasks",
        "2",
    ];
    let args = BenchArgs { json: Some(file.clone()), ..parse(&flags) };
    let report =
        run(&BenchArgs { dir: dir.path().to_owned(), quick: true, ..args }, Path::new("/none")).unwrap();

    assert_eq!(
        (report.sizes.drain_tasks, report.sizes.both_tasks, report.sizes.latency_tasks),
        (300, 250, 2)
    );
    for figure in [
        Figure::DrainRate,
        Figure::BothSeconds,
        Figure::BothHttpSeconds,
        Figure::StartP50,
        Figure::HttpResultP99,
    ] {
        let measure = report.get(figure).unwrap();
        assert_eq!(measure.values.len(), 1);
        assert!(measure.min > 0.0 && measure.goal.is_none(), "{measure:?}");
    }
    assert!(report.get(Figure::HttpSubmitRate).is_none());
    let text = report.to_string();
    assert!(
        text.contains("synchronous=FULL") && text.contains("WAL") && text.contains("a quick run"),
        "{text}"
    );

    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(written["machine"]["dispatch"], "store");
    assert!(written["machine"]["database"].as_str().unwrap().contains("synchronous=FULL"));
    assert_eq!(written["measures"].as_array().unwrap().len(), report.measures.len());
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["figures.json"], "the private data stayed");
}

#[test]
fn the_long_workloads_run_when_they_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let report = quick(
        dir.path(),
        &["--only", "ceiling,depth,mixed,schedules,workflow,prune", "--drain-tasks", "300"],
    )
    .unwrap();
    assert!(report.get(Figure::CeilingRate).is_some() && report.get(Figure::MixedSubmitRate).is_some());
    for figure in [
        Figure::ScheduleRate,
        Figure::WorkflowSubmit,
        Figure::WorkflowFollow,
        Figure::WorkflowRetry,
        Figure::WorkflowRelease,
        Figure::WorkflowCancel,
        Figure::PruneRate,
    ] {
        assert!(report.get(figure).is_some_and(|measure| measure.median > 0.0), "{figure:?}");
    }
    let points = |id| report.series.iter().find(|series| series.id == id).unwrap().points.len();
    assert_eq!((points("backlog"), points("backlog_claim_p99"), points("history")), (2, 2, 2));
}

#[test]
fn a_database_server_is_measured_and_left_as_it_was() {
    let Some(server) = taskloom_testkit::postgres() else { return };
    let (dir, url) = (tempfile::tempdir().unwrap(), server.url());
    let flags =
        ["--only", "drain,ceiling,schedules,workflow,prune", "--drain-tasks", "300", "--database-url", &url];
    let report = quick(dir.path(), &flags).unwrap();
    assert!(report.get(Figure::DrainRate).is_some() && report.get(Figure::ScheduleRate).is_some());
    assert!(report.to_string().contains("PostgreSQL") && report.to_string().contains("fsync="), "{report}");
    let left =
        server.psql(&url, "SELECT datname FROM pg_database WHERE datname LIKE 'taskloom_bench%'").unwrap();
    assert_eq!(left, "", "a private database stayed");
}

#[test]
fn a_program_that_does_not_start_is_told_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(quick(dir.path(), &["--only", "http-submit"]), Err(BenchError::Io(_))));
    let Err(BenchError::Server(why)) = run(
        &BenchArgs { dir: dir.path().to_owned(), quick: true, ..parse(&["--only", "process"]) },
        Path::new("/bin/false"),
    ) else {
        panic!("/bin/false served")
    };
    assert!(why.contains("ended with"), "{why}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn sizes_come_from_the_flags() {
    let sizes = parse(&["--reps", "7", "--connections", "4", "--seconds", "9"]).sizes();
    assert_eq!((sizes.reps, sizes.connections, sizes.drain_tasks), (7, 4, 100_000));
    assert!((sizes.seconds - 9.0).abs() < f64::EPSILON);
    for wrong in [["--reps", "0"], ["--only", "everything"], ["--batch", "10001"], ["--synchronous", "off"]] {
        assert!(CommandLine::try_parse_from(["bench", wrong[0], wrong[1]]).is_err(), "{wrong:?}");
    }
}
