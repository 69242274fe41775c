"""A result: what every system did in one session. Gathered from the rounds of peers.sh, or read from an earlier result.

{"date": …, "systems": {name: {"note", "machine", "sizes", "quick", "values": {id: […]}, "series": […], "errors": […]}}};
a peer has only "note", "values" under its own keys, and "errors".
"""
import json
import re
from statistics import median

from figures import BOTH_TASKS, TASKLOOM


def gather(work, date):
    """What peers.sh has left in a folder: NAME/*.json of Taskloom's systems, peers.json, failures."""
    systems = {name: of_taskloom(sorted((work / name).glob("*.json"))) for name in TASKLOOM if (work / name).is_dir()}
    peers = work / "peers.json"
    for record in json.loads(peers.read_text()) if peers.exists() else []:
        add_peer(systems, record)
    failures = work / "failures"
    for line in failures.read_text().splitlines() if failures.exists() else []:
        name, _, why = line.partition("\t")
        systems.setdefault(name, nothing())["errors"].append(why)
    return {"date": date, "systems": systems}


def read(path):
    """An earlier result, of this form or of the one before it."""
    found = json.loads(path.read_text())
    if "systems" in found:
        return found
    systems = {}
    head = found["taskloom"]["head"]
    if head:
        values = {key: list(numbers) for key, numbers in found["taskloom"]["values"].items()}
        systems["taskloom"] = nothing() | head | {"machine": machine(head["machine"]), "values": values, "series": []}
    for name, peer in found["peers"].items():
        systems[name] = nothing() | peer
    return {"date": path.stem, "systems": systems}


def nothing():
    return {"note": "", "values": {}, "errors": []}


def of_taskloom(files):
    """One system's rounds as one."""
    system, curves = nothing() | {"machine": None, "sizes": None, "quick": False, "series": []}, {}
    for file in files:
        report = json.loads(file.read_text())
        system["machine"], system["sizes"] = machine(report["machine"]), report["sizes"]
        system["quick"] = system["quick"] or report["quick"]
        for measure in report["measures"]:
            scale = BOTH_TASKS / report["sizes"]["both_tasks"] if measure["id"] in ("both_seconds", "both_http_seconds") else 1
            system["values"].setdefault(measure["id"], []).extend(value * scale for value in measure["values"])
        for series in report.get("series", []):
            curve = curves.setdefault(series["id"], dict(series, points={}))
            for point in series["points"]:
                curve["points"].setdefault(point["x"], []).extend(point["values"])
    system["series"] = [dict(curve, points=points(curve["points"])) for curve in curves.values()]
    drain, ceiling = (system["values"].get(key) for key in ("drain_rate", "ceiling_drain_rate"))
    if drain and ceiling:
        system["values"]["ceiling_share"] = [100 * median(drain) / median(ceiling)]
    return system


def points(values):
    return [{"x": x, "median": median(found), "min": min(found), "max": max(found), "values": found} for x, found in sorted(values.items())]


def machine(found):
    """With the database's settings in its text; they were keys of their own once."""
    found = dict(found)
    if "journal" in found:
        journal, page_size, synchronous = (found.pop(key) for key in ("journal", "page_size", "synchronous"))
        found["database"] += f", {journal}, pages of {page_size} bytes, synchronous={synchronous}"
    found.setdefault("dispatch", "store")
    return found


def add_peer(systems, record):
    peer = systems.setdefault(record["peer"], nothing())
    peer["note"] = record.get("note", "")
    for rep in record["reps"]:
        if "error" in rep:
            peer["errors"].append(rep["error"])
        for key, value in rep.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                peer["values"].setdefault(key, []).append(value)


def values(result, name, figure):
    """A system's values of a figure; an empty list if it has none."""
    found = result["systems"][name]["values"]
    keys = (figure.id,) if name in TASKLOOM else figure.peers
    return next((found[key] for key in keys if found.get(key)), [])


def ours(result):
    """Taskloom's systems that measured something, in order."""
    return [name for name in TASKLOOM if result["systems"].get(name, {}).get("values") or result["systems"].get(name, {}).get("series")]


def peers(result):
    return [name for name, system in result["systems"].items() if name not in TASKLOOM and system["values"]]


def title(name):
    return TASKLOOM.get(name, name)


def means_nothing(result):
    """Whether a quick run or a debug build is among them."""
    systems = [result["systems"][name] for name in ours(result)]
    return any(system["quick"] or not system["machine"]["is_release"] for system in systems)


def rounds(result):
    """How often it was measured, for people."""
    times = max((len(found) for name in ours(result) + peers(result) for found in result["systems"][name]["values"].values()), default=0)
    return f"Medians of {times} rounds" if times > 1 else "One round"


def when(result):
    """The date for people: 2026-11-22 22:07 UTC."""
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d)(\d\d)Z$", r"\1 \2:\3 UTC", result["date"])


def host(machine):
    return f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']:.0f} GiB, {machine['system']}"


def durability(machine):
    """What the figures of one system depend on."""
    return f"{machine['database']}; dispatch: {machine['dispatch']}"
