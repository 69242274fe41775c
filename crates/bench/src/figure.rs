//! Every figure that a report can hold, in the order it is shown: the one table to read.

use serde::Serialize;

/// What is wanted of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

impl Goal {
    /// Whether the value reaches it.
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(goal) => value >= goal,
            Self::AtMost(goal) => value <= goal,
        }
    }
}

/// How a figure is called, its unit, and what is wanted of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) id: &'static str,
    pub(crate) label: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) goal: Option<Goal>,
}

/// What is measured: what is wanted depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    Sqlite,
    Postgres,
    /// PostgreSQL with Redis handing out the work.
    Redis,
    Mysql,
}

impl Figure {
    /// What is wanted of it on this system. Across a network each commit is a round trip and a flush of another process.
    pub(crate) fn goal(self, system: System) -> Option<Goal> {
        let at_most = |on_postgres: f64, with_redis: f64| {
            Goal::AtMost(if system == System::Redis { with_redis } else { on_postgres })
        };
        match (system, self) {
            (System::Sqlite, _) => self.spec().goal,
            (System::Mysql, Self::DrainRate) => Some(Goal::AtLeast(30_000.0)),
            (System::Mysql, _) => None,
            (_, Self::HttpSubmitRate) => Some(Goal::AtLeast(15_000.0)),
            (_, Self::DrainRate) => Some(Goal::AtLeast(50_000.0)),
            (_, Self::BothSeconds) => Some(Goal::AtMost(1.5)),
            (_, Self::BothHttpSeconds) => Some(Goal::AtMost(2.5)),
            (_, Self::StartP50) => Some(at_most(2.0, 1.5)),
            (_, Self::StartP99) => Some(at_most(5.0, 4.0)),
            (_, Self::RssIdle) => self.spec().goal,
            _ => None,
        }
    }
}

macro_rules! figures {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal, $label:literal, $unit:literal $(, $goal:ident $value:literal)?;)+) => {
        /// A figure.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Figure {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Figure {
            pub(crate) fn spec(self) -> Spec {
                match self {
                    $(Self::$name => Spec {
                        id: $id,
                        label: $label,
                        unit: $unit,
                        goal: None$(.or(Some(Goal::$goal($value))))?,
                    },)+
                }
            }
        }
    };
}

figures! {
    /// Tasks submitted over HTTP.
    HttpSubmitRate = "http_submit_rate", "HTTP submit", "/s", AtLeast 30_000.0;
    /// Time of one submit under load, median.
    HttpSubmitP50 = "http_submit_p50", "HTTP submit, time of one, p50", "ms";
    /// Time of one submit under load, 99th percentile.
    HttpSubmitP99 = "http_submit_p99", "HTTP submit, time of one, p99", "ms";
    /// Processor time of the server for submits.
    HttpSubmitCpu = "http_submit_cpu", "HTTP submit, server's CPU s per 1,000 tasks", "s";
    /// Single tasks read over HTTP.
    HttpGetRate = "http_get_rate", "HTTP get", "/s", AtLeast 30_000.0;
    /// Time of one read under load, median.
    HttpGetP50 = "http_get_p50", "HTTP get, time of one, p50", "ms";
    /// Time of one read under load, 99th percentile.
    HttpGetP99 = "http_get_p99", "HTTP get, time of one, p99", "ms";
    /// Processor time of the server for reads.
    HttpGetCpu = "http_get_cpu", "HTTP get, server's CPU s per 1,000 reads", "s";
    /// Tasks worked off, from the first start to the last acknowledged finish.
    DrainRate = "drain_rate", "drain, in process", "tasks/s", AtLeast 70_000.0;
    /// The same by the store's statements alone.
    CeilingRate = "ceiling_drain_rate", "drain, the store's statements alone", "tasks/s";
    /// Processor time of the whole process for that.
    DrainCpu = "drain_cpu", "drain, CPU s per 1,000 tasks", "s";
    /// Tasks queued in batches of 10,000, in process, while nothing runs.
    FillRate = "fill_rate", "fill, in process, batches of 10,000", "tasks/s";
    /// Submit and work off together, in process.
    BothSeconds = "both_seconds", "submit + drain, in process", "s", AtMost 0.6;
    /// Submit and work off together, over HTTP.
    BothHttpSeconds = "both_http_seconds", "submit + drain, HTTP batches", "s", AtMost 2.5;
    /// Submit to handler's start, in process, median.
    StartP50 = "start_p50", "submit → start, in process, p50", "ms", AtMost 0.6;
    /// Submit to handler's start, in process, 99th percentile.
    StartP99 = "start_p99", "submit → start, in process, p99", "ms", AtMost 1.5;
    /// Submit to visible result, in process, median.
    ResultP50 = "result_p50", "submit → result, in process, p50", "ms", AtMost 1.2;
    /// Submit to visible result, in process, 99th percentile.
    ResultP99 = "result_p99", "submit → result, in process, p99", "ms";
    /// Submit to handler's start, over HTTP, median.
    HttpStartP50 = "http_start_p50", "submit → start, HTTP, p50", "ms";
    /// Submit to handler's start, over HTTP, 99th percentile.
    HttpStartP99 = "http_start_p99", "submit → start, HTTP, p99", "ms";
    /// Submit to visible result, over HTTP, median.
    HttpResultP50 = "http_result_p50", "submit → result, HTTP, p50", "ms";
    /// Submit to visible result, over HTTP, 99th percentile.
    HttpResultP99 = "http_result_p99", "submit → result, HTTP, p99", "ms";
    /// Submits over HTTP while reads, lists and a worker go on.
    MixedSubmitRate = "mixed_submit_rate", "mixed: submits over HTTP", "/s";
    /// Tasks worked off meanwhile.
    MixedDrainRate = "mixed_drain_rate", "mixed: tasks worked off", "tasks/s";
    /// Lists of 50 tasks meanwhile, 99th percentile.
    MixedListP99 = "mixed_list_p99", "mixed: list of 50 tasks, p99", "ms";
    /// Ticks of one instant that fire, each of a schedule of its own and with its task.
    ScheduleRate = "schedule_rate", "schedules due at once: ticks that fire", "ticks/s";
    /// A workflow until it is durable.
    WorkflowSubmit = "workflow_submit", "workflow: submitted", "s";
    /// From the end of the one node that all others wait for until they have followed it.
    WorkflowFollow = "workflow_follow", "workflow: all nodes follow their root's end", "s";
    /// Until every node waits again.
    WorkflowRetry = "workflow_retry", "workflow: all of it runs again", "s";
    /// From the claim of that one node, which succeeds, until all others are ready.
    WorkflowRelease = "workflow_release", "workflow: all nodes are ready after their root", "s";
    /// Until every node that is ready is revoked.
    WorkflowCancel = "workflow_cancel", "workflow: all of it is cancelled", "s";
    /// Ended tasks forgotten, of a history that is cut down to a tenth.
    PruneRate = "prune_rate", "history cut down: tasks forgotten", "tasks/s";
    /// From exec to an answer of /health/live, with an empty data directory.
    LiveSeconds = "live_seconds", "start on an empty directory → live", "s";
    /// From exec to the first claim of a waiting backlog.
    FirstTaskSeconds = "first_task_seconds", "start on a backlog → first task started", "s", AtMost 0.1;
    /// Resident memory, idle.
    RssIdle = "rss_idle", "memory idle, RSS", "MiB", AtMost 40.0;
    /// Proportional share of memory, idle.
    PssIdle = "pss_idle", "memory idle, PSS", "MiB";
    /// Resident memory after the backlog.
    RssLoaded = "rss_loaded", "memory after the backlog, RSS", "MiB";
    /// Proportional share of memory after the backlog.
    PssLoaded = "pss_loaded", "memory after the backlog, PSS", "MiB";
    /// Tasks worked off by `taskloom dev`, from the first claim to the last finish.
    DevDrainRate = "dev_drain_rate", "drain, taskloom dev", "tasks/s";
    /// Processor time of `taskloom dev` for that.
    DevDrainCpu = "dev_drain_cpu", "drain, taskloom dev, CPU s per 1,000 tasks", "s";
}
