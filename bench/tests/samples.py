"""Small reports as `taskloom bench --json` writes them."""
import json


def report(database="SQLite 3.51.3, WAL, pages of 4096 bytes, synchronous=FULL", dispatch="store", quick=False, both_tasks=20_000, series=(), **values):
    machine = {
        "taskloom": "0.1.0", "is_release": True, "cores": 2, "processor": "AMD EPYC", "system": "linux 6.18", "memory_gib": 23.5,
        "database": database, "dispatch": dispatch, "flush_ms": 0.05,
    }
    measures = [{"id": key, "values": [value]} for key, value in values.items()]
    return {"machine": machine, "sizes": {"both_tasks": both_tasks}, "quick": quick, "measures": measures, "series": list(series)}


def series(key, points, label="claim and finish beside a backlog", x_label="tasks waiting", unit="tasks/s"):
    return {
        "id": key, "label": label, "x_label": x_label, "unit": unit,
        "points": [{"x": x, "median": y, "min": y, "max": y, "values": [y]} for x, y in points.items()],
    }


def peer(name, note="", **values):
    return {"peer": name, "note": note, "reps": [dict(values)]}


def write(work, name, round_, report_):
    (work / name).mkdir(exist_ok=True)
    (work / name / f"{round_}.json").write_text(json.dumps(report_))


# The form of bench/results before there were several databases.
OLD = {
    "taskloom": {
        "head": {
            "machine": {
                "taskloom": "0.1.0", "is_release": True, "cores": 2, "processor": "AMD EPYC", "system": "linux 6.18", "memory_gib": 23.5,
                "database": "SQLite 3.51.3", "page_size": 4096, "journal": "WAL", "synchronous": "FULL", "flush_ms": 0.05,
            },
            "sizes": {"both_tasks": 20_000},
            "quick": False,
        },
        "values": {"drain_rate": [100_000.0, 120_000.0, 110_000.0], "both_seconds": [0.2, 0.2, 0.2]},
    },
    "peers": {"bullmq": {"note": "2 processes", "values": {"W2_drain": [22_000.0], "W7_secs_20k": [1.3]}, "errors": []}},
}
