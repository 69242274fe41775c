"""A result as Markdown."""
from statistics import median

import numeral
import result as results
from figures import FIGURES, TASKLOOM

RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def markdown(result, plot):
    ours, peers = results.ours(result), results.peers(result)
    blocks = ["# Measured in one session, in turn", head(result), main_table(result, ours, peers), notes(result, ours + peers)]
    if any(result["systems"][name]["series"] for name in ours):
        blocks += ["## What it depends on", *series_tables(result, ours)]
    blocks += failures(result)
    blocks.insert(2, f"![Rates of every system]({plot})")
    return "\n\n".join(blocks) + "\n"


def head(result):
    text, warning = [], ""
    ours = results.ours(result)
    if ours:
        machine = result["systems"][ours[0]]["machine"]
        text.append(f"{results.when(result)}, Taskloom {machine['taskloom']}, {results.host(machine)}.")
    text.append(f"{results.rounds(result)}, the range in parentheses.")
    if results.peers(result):
        text.append("× is how many times better Taskloom is than the best peer, which is bold; below 1 the peer is better.")
    if results.means_nothing(result):
        warning = "\n\n**A quick run or not an optimised build: these figures mean nothing.**"
    return " ".join(text) + warning


def main_table(result, ours, peers):
    names = [f"{results.title(name)} {str(at).translate(RAISED)}" for at, name in enumerate(ours + peers, 1)]
    lines = [row([""] + names), row(["---"] * (len(names) + 1))]
    for figure in FIGURES:
        found = {name: results.values(result, name, figure) for name in ours + peers}
        if not any(found.values()):
            continue
        best = best_of(figure, {name: found[name] for name in peers if found[name]})
        cells = [our_cell(figure, name, found[name], found.get(best)) for name in ours]
        cells += [peer_cell(found[name], name == best) for name in peers]
        lines.append(row([figure.label] + cells))
    return "\n".join(lines)


def row(cells):
    return "| " + " | ".join(cells) + " |"


def best_of(figure, found):
    choose = max if figure.more else min
    return choose(found, key=lambda name: median(found[name]), default=None)


def our_cell(figure, name, values, best):
    if not values:
        return "–"
    parts = [spread(values)]
    goal = figure.goals.get(name)
    if goal is not None:
        met = median(values) >= goal if figure.more else median(values) <= goal
        parts.append(f"goal {'≥' if figure.more else '≤'} {goal:,g}: {'met' if met else 'missed'}")
    if best:
        better, worse = (values, best) if figure.more else (best, values)
        if median(worse) > 0:
            parts.append(f"{numeral.full(median(better) / median(worse))} ×")
    return "<br>".join(parts)


def peer_cell(values, is_best):
    if not values:
        return "–"
    return spread(values, bold="**" if is_best else "")


def spread(values, bold=""):
    middle = f"{bold}{numeral.full(median(values))}{bold}"
    if len(values) == 1:
        return middle
    return f"{middle} ({numeral.full(min(values))}–{numeral.full(max(values))})"


def notes(result, names):
    lines = []
    for at, name in enumerate(names, 1):
        system = result["systems"][name]
        if name in TASKLOOM:
            machine = system["machine"]
            note = f"{results.durability(machine)}; a flush of 4 KiB takes {machine['flush_ms']:.2f} ms"
        else:
            note = system["note"] or "no note"
        lines.append(f"{at}. {results.title(name)}: {note}")
    return "\n".join(lines)


def series_tables(result, names):
    """A table for each kind of series: what is varied down, the systems across."""
    found = {}
    for name in names:
        for series in result["systems"][name]["series"]:
            found.setdefault(series["id"], (series, {}))[1][name] = {point["x"]: point["values"] for point in series["points"]}
    for series, systems in found.values():
        lines = [f"{series['label']}, {series['unit']}:", ""]
        lines += [row([series["x_label"]] + [results.title(name) for name in systems]), row(["---"] * (len(systems) + 1))]
        for x in sorted({x for points in systems.values() for x in points}):
            lines.append(row([f"{x:,}"] + [spread(points[x]) if x in points else "–" for points in systems.values()]))
        yield "\n".join(lines)


def failures(result):
    lines = []
    for name, system in result["systems"].items():
        if system["errors"]:
            said = system["errors"][-1].strip().splitlines() or ["no reason given"]
            times = len(system["errors"])
            lines.append(f"- {results.title(name)}, {times} {'time' if times == 1 else 'times'}: {said[-1][:300]}")
    return ["## Failed", "\n".join(lines)] if lines else []
