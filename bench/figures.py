"""What is measured: the systems, the figures, where a peer's figure stands beside ours, and what is wanted of it."""
from dataclasses import dataclass, field

SQLITE, POSTGRES, REDIS, MARIADB = "taskloom", "taskloom-postgres", "taskloom-postgres-redis", "taskloom-mariadb"
TASKLOOM = {
    SQLITE: "Taskloom, SQLite",
    POSTGRES: "Taskloom, PostgreSQL",
    REDIS: "Taskloom, PostgreSQL, Redis",
    MARIADB: "Taskloom, MariaDB",
}

# Peers submit and drain so many tasks; ours are scaled to them.
BOTH_TASKS = 20_000


@dataclass(frozen=True)
class Figure:
    id: str
    label: str
    more: bool  # Whether more is better.
    peers: tuple = ()  # Their keys, in order of preference.
    goals: dict = field(default_factory=dict)  # By system; "at least" if more is better, else "at most".


FIGURES = [
    Figure("http_submit_rate", "HTTP submit, /s", True, ("W4_post_rps",), {SQLITE: 30_000, POSTGRES: 15_000, REDIS: 15_000}),
    Figure("http_submit_p99", "HTTP submit, time of one, p99, ms", False, ("W4_post_p99",)),
    Figure("http_get_rate", "HTTP get, /s", True, ("W4_get_rps",), {SQLITE: 30_000}),
    Figure("http_get_p99", "HTTP get, time of one, p99, ms", False, ("W4_get_p99",)),
    Figure("fill_rate", "queue in batches, tasks/s", True, ("W1_bulk", "W1_submit")),
    Figure("drain_rate", "drain, tasks/s", True, ("W2_drain",), {SQLITE: 70_000, POSTGRES: 50_000, REDIS: 50_000, MARIADB: 30_000}),
    Figure("ceiling_drain_rate", "ceiling: the drain's statements alone, tasks/s", True),
    Figure("ceiling_share", "drain, share of the ceiling, %", True),
    Figure("drain_cpu", "drain, CPU s per 1,000 tasks, without a server's", False),
    Figure("both_seconds", "submit + drain of 20,000, s", False, ("W7_secs_20k",), {SQLITE: 0.6, POSTGRES: 1.5, REDIS: 1.5}),
    Figure("both_http_seconds", "submit + drain of 20,000, HTTP batches, s", False, (), {POSTGRES: 2.5, REDIS: 2.5}),
    Figure("start_p50", "submit → start, p50, ms", False, ("W3_start_p50",), {SQLITE: 0.6, POSTGRES: 2, REDIS: 1.5}),
    Figure("start_p99", "submit → start, p99, ms", False, ("W3_start_p99",), {SQLITE: 1.5, POSTGRES: 5, REDIS: 4}),
    Figure("result_p50", "submit → result, p50, ms", False, ("W3_vis_p50",), {SQLITE: 1.2}),
    Figure("result_p99", "submit → result, p99, ms", False, ("W3_vis_p99",)),
    Figure("http_start_p50", "submit → start, HTTP, p50, ms", False),
    Figure("http_start_p99", "submit → start, HTTP, p99, ms", False),
    Figure("http_result_p50", "submit → result, HTTP, p50, ms", False),
    Figure("http_result_p99", "submit → result, HTTP, p99, ms", False),
    Figure("mixed_submit_rate", "mixed: HTTP submits, /s", True),
    Figure("mixed_drain_rate", "mixed: tasks worked off, tasks/s", True),
    Figure("mixed_list_p99", "mixed: list of 50 tasks, p99, ms", False),
    Figure("first_task_seconds", "start on a backlog → first task, s", False, ("W5_start_s",), {SQLITE: 0.1}),
    Figure("rss_idle", "memory idle, MiB, without a server's", False, ("W5_rss_idle",), {SQLITE: 40}),
    Figure("rss_loaded", "memory loaded, MiB, without a server's", False, ("W5_rss_loaded",)),
    Figure("dev_drain_rate", "drain by taskloom dev, tasks/s", True),
]
BY_ID = {figure.id: figure for figure in FIGURES}
