#!/usr/bin/env python3
"""plot.py IN.json OUT.svg: draws a result of merge.py. Nothing but the standard library; light and dark pages both do."""
import sys
from pathlib import Path

import bars
import lines
import result as results
import svg
from figures import TASKLOOM

WIDTH, MARGIN = 960, 24


def draw(result):
    left, right, y = MARGIN, WIDTH - MARGIN, 38
    title = "Taskloom beside other task systems" if results.peers(result) else "Taskloom on its databases"
    parts = [svg.text(left, y, title, "h1")]
    y += 28
    groups, panels = bars.groups(result), lines.panels(result)
    if results.means_nothing(result):
        parts.append(svg.text(left, y, "A quick run or not an optimised build: these figures mean nothing.", "strong"))
        y += 24
    if groups:
        drawn, y = bars.legend(groups, left, y)
        parts += drawn
        drawn, y = bars.draw(groups, left, right, y + 8)
        parts += drawn
    if panels:
        y += 30
        parts.append(svg.text(left, y, "What it depends on", "h1"))
        parts += lines.legend(panels, left, y + 26)
        drawn, y = lines.draw(panels, left, right, y + 48)
        parts += drawn
    y += 14
    parts.append(svg.line(left, y, right, y, "grid"))
    for words in caption(result):
        for words in svg.wrap(words, right - left, 11):
            y += 17
            parts.append(svg.text(left, y, words, "soft"))
    return svg.document(WIDTH, y + MARGIN, title, parts)


def caption(result):
    """When, on what, and how durable."""
    said = [results.when(result)]
    ours = results.ours(result)
    if ours:
        machine = result["systems"][ours[0]]["machine"]
        said += [results.host(machine), f"Taskloom {machine['taskloom']}", f"a flush of 4 KiB takes {machine['flush_ms']:.2f} ms"]
    yield " · ".join(said)
    yield f"{results.rounds(result)}. Clients and servers share the cores."
    for name in ours:
        yield f"{TASKLOOM[name]}: {results.durability(result['systems'][name]['machine'])}"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    Path(sys.argv[2]).write_text(draw(results.read(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
