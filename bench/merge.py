#!/usr/bin/env python3
"""merge.py WORK OUT: gathers the rounds of peers.sh from WORK and writes OUT.md and OUT.json."""
import json
import statistics
import sys
from pathlib import Path

# (Taskloom's figure, the peers' keys in order of preference, what it is, whether more is better)
ROWS = [
    ("http_submit_rate", ["W4_post_rps"], "HTTP submit /s", True),
    ("http_get_rate", ["W4_get_rps"], "HTTP get /s", True),
    ("fill_rate", ["W1_bulk", "W1_submit"], "queue tasks /s", True),
    ("drain_rate", ["W2_drain"], "drain tasks/s", True),
    ("both_seconds", ["W7_secs_20k"], "submit + drain, s per 20k", False),
    ("start_p50", ["W3_start_p50"], "submit → start p50 ms", False),
    ("start_p99", ["W3_start_p99"], "submit → start p99 ms", False),
    ("result_p50", ["W3_vis_p50"], "submit → result p50 ms", False),
    ("result_p99", ["W3_vis_p99"], "submit → result p99 ms", False),
    ("first_task_seconds", ["W5_start_s"], "start, s", False),
    ("rss_idle", ["W5_rss_idle"], "memory idle MiB", False),
    ("rss_loaded", ["W5_rss_loaded"], "memory loaded MiB", False),
]


def values_of_taskloom(work):
    """All values of each figure, and the head of the last round."""
    values, head = {}, None
    for path in sorted(work.glob("taskloom-*.json")):
        report = json.loads(path.read_text())
        head = {key: report[key] for key in ("machine", "sizes", "quick")}
        for measure in report["measures"]:
            # Peers' times for both are those of 20,000 tasks.
            scale = 20_000 / report["sizes"]["both_tasks"] if measure["id"] == "both_seconds" else 1
            values.setdefault(measure["id"], []).extend(value * scale for value in measure["values"])
    return values, head


def values_of_peers(work):
    """peer → {key: values}, notes and errors."""
    path = work / "peers.json"
    peers, notes, errors = {}, {}, {}
    for record in json.loads(path.read_text()) if path.exists() else []:
        name = record["peer"]
        peers.setdefault(name, {})
        notes[name] = record.get("note", "")
        for rep in record["reps"]:
            if "error" in rep:
                errors.setdefault(name, []).append(rep["error"])
            for key, value in rep.items():
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    peers[name].setdefault(key, []).append(value)
    return peers, notes, errors


def show(values):
    digits = 0 if max(map(abs, values)) >= 100 else 2
    median, low, high = statistics.median(values), min(values), max(values)
    return f"{median:,.{digits}f} ({low:,.{digits}f}..{high:,.{digits}f})"


def ratio(ours, theirs, more):
    ours, theirs = statistics.median(ours), statistics.median(theirs)
    better, worse = (ours, theirs) if more else (theirs, ours)
    return f"{better / worse:,.1f} ×" if worse > 0 else "–"


def main():
    work, out = Path(sys.argv[1]), sys.argv[2]
    ours, head = values_of_taskloom(work)
    peers, notes, errors = values_of_peers(work)
    lines = ["# Measured in one session, in turn", "", "Medians (range). × is how many times better Taskloom is; below 1 the peer is better.", ""]
    if head:
        m = head["machine"]
        lines += [f"Taskloom {m['taskloom']}, {m['database']} {m['journal']} synchronous={m['synchronous']}, {m['cores']} cores ({m['processor']}), a flush takes {m['flush_ms']:.2f} ms.", ""]
        if head["quick"] or not m["is_release"]:
            lines += ["**A quick run or not an optimised build: these figures mean nothing.**", ""]
    lines += [f"- {name}: {notes[name]}" for name in peers] + [""] * bool(peers)
    lines += ["| | Taskloom |" + "".join(f" {name} | × |" for name in peers), "|---|---|" + "---|---|" * len(peers)]
    for figure, keys, label, more in ROWS:
        cells = [label, show(ours[figure]) if figure in ours else "–"]
        for values in peers.values():
            theirs = next((values[key] for key in keys if key in values), None)
            cells.append(show(theirs) if theirs else "–")
            cells.append(ratio(ours[figure], theirs, more) if theirs and figure in ours else "–")
        if any(cell != "–" for cell in cells[1:]):
            lines.append("| " + " | ".join(cells) + " |")
    lines += [""] * bool(errors) + [f"- {name} failed {len(what)} times: {what[-1].strip().splitlines()[-1][:300]}" for name, what in errors.items() if what[-1].strip()]
    Path(out + ".md").write_text("\n".join(lines) + "\n")
    everything = {"taskloom": {"head": head, "values": ours}, "peers": {name: {"note": notes[name], "values": peers[name], "errors": errors.get(name, [])} for name in peers}}
    Path(out + ".json").write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n")
    print("\n".join(lines))
    print(f"\nwritten: {out}.md and {out}.json")


if __name__ == "__main__":
    main()
