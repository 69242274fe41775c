"""What depends on something, as small line plots: one for each kind of series, a line for each system."""
import math

import numeral
import result as results
import svg
from bars import COLOURS

SHAPES = dict(zip(COLOURS, ("circle", "square", "diamond", "triangle")))
COLUMNS, GAP, PANEL, PLOT = 3, 28, 216, 128
# A steeper fall than this needs a logarithmic scale.
LINEAR_UP_TO = 25


def panels(result):
    """[(series, {name: points})] in the order of the report."""
    found = {}
    for name in results.ours(result):
        for series in result["systems"][name]["series"]:
            points = [point for point in series["points"] if point["median"] > 0]
            if points:
                found.setdefault(series["id"], (series, {}))[1][name] = points
    return list(found.values())


def draw(found, left, right, top):
    """The parts, and where they end."""
    width = (right - left - GAP * (COLUMNS - 1)) / COLUMNS
    parts = []
    for at, panel in enumerate(found):
        x, y = left + at % COLUMNS * (width + GAP), top + at // COLUMNS * PANEL
        parts += one(*panel, x, x + width, y)
    return parts, top + -(-len(found) // COLUMNS) * PANEL


def one(series, systems, left, right, top):
    values = [value for points in systems.values() for point in points for value in (point["min"], point["max"], point["median"]) if value > 0]
    log = max(values) / min(values) > LINEAR_UP_TO
    top, bottom = top + 40, top + 40 + PLOT
    y_scale = svg.Scale([value * 1.05 for value in values], bottom, top, log)
    x_scale = places(sorted({point["x"] for points in systems.values() for point in points}), left + 52, right - 14)
    parts = [svg.text(left, top - 26, series["label"][:1].upper() + series["label"][1:], "strong"), svg.text(left, top - 11, series["unit"] + (", logarithmic" if log else ""), "soft")]
    for tick in y_scale.ticks(5):
        y = y_scale(tick)
        parts.append(svg.line(left + 38, y, right, y, "grid" if y < bottom else "axis"))
        parts.append(svg.text(left + 33, y + 4, numeral.short(tick), "soft", "end"))
    parts += x_labels(x_scale, bottom, numeral.size if "bytes" in series["x_label"] else numeral.short)
    parts.append(svg.text((left + 38 + right) / 2, bottom + 31, series["x_label"], "soft", "middle"))
    for name, points in systems.items():
        parts += curve(name, points, x_scale, y_scale)
    return parts


def places(xs, start, end):
    """x → place: logarithmic, and zero, which has no logarithm, at the left end with a gap."""
    positive = [x for x in xs if x > 0]
    first = start + (end - start) * 0.25 if len(positive) < len(xs) and len(positive) > 1 else start
    if len(positive) == 1:
        return {x: (start + end) / 2 if len(xs) == 1 else end if x else start for x in xs}
    if not positive:
        return {0: start}
    reach = math.log(positive[-1] / positive[0])
    return {x: first + (end - first) * math.log(x / positive[0]) / reach if x else start for x in xs}


def x_labels(x_scale, bottom, number):
    """As many as fit."""
    parts, free_from = [], float("-inf")
    for value, x in x_scale.items():
        words = number(value)
        parts.append(svg.line(x, bottom, x, bottom + 4, "axis"))
        half = svg.width_of(words, 11) / 2
        if x - half > free_from:
            parts.append(svg.text(x, bottom + 16, words, "soft", "middle"))
            free_from = x + half + 3
    return parts


def curve(name, points, x_scale, y_scale):
    colour, places = COLOURS[name], [(x_scale[point["x"]], y_scale(point["median"])) for point in points]
    parts = [f'<path d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in places)}" class="line {colour}"/>']
    for point, (x, y) in zip(points, places):
        if point["min"] < point["max"]:
            parts.append(svg.line(x, y_scale(point["min"]), x, y_scale(point["max"]), colour))
        parts.append(svg.marker(SHAPES[name], x, y, colour))
    return parts


def legend(found, left, y):
    parts, x = [], left
    for name in COLOURS:
        if any(name in systems for _, systems in found):
            words = results.title(name)
            sign = svg.line(0, -4, 20, -4, f"line {COLOURS[name]}") + svg.marker(SHAPES[name], 10, -4, COLOURS[name])
            parts.append(f'<g transform="translate({x:.1f} {y})">{sign}{svg.text(27, 0, words)}</g>')
            x += 27 + svg.width_of(words) + 20
    return parts
