"""Rates as bars: a group for each thing measured, a bar for each system, the fastest first, all on one scale."""
from statistics import median

import numeral
import result as results
import svg
from figures import BOTH_TASKS, BY_ID, MARIADB, POSTGRES, REDIS, SQLITE

COLOURS = {SQLITE: "sqlite", POSTGRES: "postgres", REDIS: "redis", MARIADB: "mariadb"}
GROUPS = [("drain_rate", "Drain"), ("http_submit_rate", "Submit over HTTP"), ("both_seconds", f"Submit and drain {BOTH_TASKS:,} tasks at once")]
PITCH, BAR, GROUP_GAP, LABEL = 20, 12, 16, 52
# Beyond this a linear scale shows the slowest as nothing.
LINEAR_UP_TO = 150


def groups(result):
    """[(title, [(name, rates, goal, ceiling)])], the fastest first; what nobody did is left out."""
    found = []
    for figure_id, title in GROUPS:
        bars = []
        for name in results.ours(result) + results.peers(result):
            rates = rates_of(figure_id, results.values(result, name, BY_ID[figure_id]))
            if rates:
                goal = rates_of(figure_id, [BY_ID[figure_id].goals[name]])[0] if name in BY_ID[figure_id].goals else None
                ceiling = result["systems"][name]["values"].get("ceiling_drain_rate") if figure_id == "drain_rate" else None
                bars.append((name, rates, goal, median(ceiling) if ceiling else None))
        if bars:
            found.append((title, sorted(bars, key=lambda bar: -median(bar[1]))))
    return found


def rates_of(figure_id, values):
    """Tasks per second; a time is that of all tasks together."""
    rates = [BOTH_TASKS / value if value > 0 else 0 for value in values] if figure_id == "both_seconds" else values
    return [rate for rate in rates if rate > 0]


def draw(found, left, right, top):
    """The parts, and where they end."""
    gutter = max(svg.width_of(results.title(name), strong=name in COLOURS) for _, bars in found for name, *_ in bars) + 10
    values = [value for _, bars in found for _, rates, goal, ceiling in bars for value in (*rates, goal, ceiling) if value]
    log = max(values) / min(values) > LINEAR_UP_TO
    scale = svg.Scale(values, left + gutter, right - LABEL, log)
    parts, y = [], top
    for title, bars in found:
        parts.append(svg.text(left, y + 14, title, "h2"))
        y += 24
        parts += grid(scale, y, y + PITCH * len(bars))
        for bar in bars:
            parts += one(scale, y, *bar)
            y += PITCH
        y += GROUP_GAP
    unit = "tasks per second, logarithmic" if log else "tasks per second"
    parts += [svg.text(scale(tick), y - 1, numeral.short(tick), "soft", "middle") for tick in scale.ticks(8)]
    return parts + [svg.text((scale.start + scale.end) / 2, y + 15, unit, "soft", "middle")], y + 22


def grid(scale, top, bottom):
    lines = [svg.line(x, top, x, bottom, "grid") for x in map(scale, scale.ticks(8)) if x > scale.start]
    return lines + [svg.line(scale.start, top, scale.start, bottom, "axis")]


def one(scale, y, name, rates, goal, ceiling):
    """A bar with its range, its goal and its ceiling."""
    middle, high = y + PITCH / 2, y + (PITCH - BAR) / 2
    end, colour = scale(median(rates)), COLOURS.get(name, "peer")
    parts = [svg.text(scale.start - 8, middle + 4, results.title(name), "strong" if name in COLOURS else "", "end")]
    parts.append(svg.rect(scale.start, high, end - scale.start, BAR, f"bar {colour}"))
    if ceiling:
        parts.append(svg.rect(scale.start, high - 1.5, scale(ceiling) - scale.start, BAR + 3, f"outline {colour}"))
    if goal:
        parts.append(goal_mark(scale(goal), high - 3, BAR + 6))
    if len(rates) > 1:
        parts.append(svg.line(scale(min(rates)), middle, scale(max(rates)), middle, "mark"))
    label = numeral.short(median(rates))
    x = free_place(scale(max(rates)) + 7, svg.width_of(label, strong=True), [scale(mark) for mark in (goal, ceiling) if mark])
    return parts + [svg.text(x, middle + 4, label, "strong")]


def free_place(x, width, marks):
    """The first place from x on where no mark crosses the text."""
    for mark in sorted(marks):
        if x - 4 < mark < x + width + 2:
            x = mark + 7
    return x


def goal_mark(x, y, height):
    return f'<rect x="{x - 1:.1f}" y="{y:.1f}" width="2" height="{height}"/>'


def legend(found, left, y):
    """One line: the colours, then the marks that occur."""
    bars = [bar for _, bars in found for bar in bars]
    names = [name for name in COLOURS if any(bar[0] == name for bar in bars)]
    entries = [(results.title(name), svg.rect(0, -10, 12, 12, f"bar {COLOURS[name]}")) for name in names]
    if any(name not in COLOURS for name, *_ in bars):
        entries.append(("others", svg.rect(0, -10, 12, 12, "bar peer")))
    marks = []
    if any(goal for _, _, goal, _ in bars):
        marks.append(("goal", goal_mark(6, -12, 16)))
    if any(ceiling for *_, ceiling in bars):
        colour = COLOURS[names[0]] if len(names) == 1 else "peer"
        marks.append(("the database's ceiling: the drain's statements alone", svg.rect(0, -10, 14, 12, f"outline {colour}")))
    if any(len(rates) > 1 for _, rates, *_ in bars):
        marks.append(("range", svg.line(0, -4, 14, -4, "mark")))
    parts = []
    for row in (entries, marks):
        x = left
        for words, sign in row:
            parts.append(f'<g transform="translate({x:.1f} {y})">{sign}{svg.text(19, 0, words)}</g>')
            x += 19 + svg.width_of(words) + 18
        y += 20 if row else 0
    return parts, y
