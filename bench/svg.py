"""The pieces of a drawing in SVG: text, lines, shapes, scales."""
import math
from html import escape

# Colours by class: readable on white and on black, apart for the colour-blind; "peer" is everybody else.
LIGHT = {"sqlite": "#2463c9", "postgres": "#c25a00", "redis": "#a3308f", "mariadb": "#00826b", "peer": "#8a929c"}
DARK = {"sqlite": "#6ba5ff", "postgres": "#ff9d4d", "redis": "#f08be0", "mariadb": "#3fcfae", "peer": "#7b848f"}


def style():
    def colours(of):
        return "".join(f".{name}{{fill:{colour};stroke:{colour}}}" for name, colour in of.items())

    return (
        "<style>svg{color:#1f2328;fill:currentColor;font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:12px}"
        ".h1{font-size:18px;font-weight:600}.h2{font-size:14px;font-weight:600}.strong{font-weight:600}"
        ".soft{opacity:.72;font-size:11px}.axis{stroke:currentColor;opacity:.35}.grid{stroke:currentColor;opacity:.12}"
        ".mark{stroke:currentColor;opacity:.75;fill:none}.bar{stroke:none}.outline{fill:none;stroke-dasharray:3 2}.line{fill:none;stroke-width:2}"
        f"{colours(LIGHT)}.outline,.line{{fill:none}}.bar{{stroke:none}}"
        f"@media (prefers-color-scheme:dark){{svg{{color:#e6edf3}}{colours(DARK)}.outline,.line{{fill:none}}.bar{{stroke:none}}}}</style>"
    )


def document(width, height, title, parts):
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}" viewBox="0 0 {width} {height:.0f}" role="img">\n'
        f"<title>{escape(title)}</title>\n{style()}\n" + "\n".join(parts) + "\n</svg>\n"
    )


def text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1, y1, x2, y2, kind):
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" class="{kind}"/>'


def rect(x, y, width, height, kind):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}" class="{kind}"/>'


def marker(shape, x, y, kind):
    """A circle, square, diamond or triangle, about 8 wide."""
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="{kind}"/>'
    corners = {
        "square": ((-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)),
        "diamond": ((0, -5), (5, 0), (0, 5), (-5, 0)),
        "triangle": ((0, -5), (4.8, 3.6), (-4.8, 3.6)),
    }[shape]
    return f'<path d="M{"L".join(f"{x + dx:.1f} {y + dy:.1f}" for dx, dy in corners)}Z" class="{kind}"/>'


def width_of(words, size=12, strong=False):
    """About how wide a text is: fonts differ, so rather too much."""
    return size * (1.1 if strong else 1) * sum(0.34 if letter in "fijlrt.,:;'|() " else 0.9 if letter in "mwMW" else 0.61 for letter in words)


def wrap(words, width, size=12):
    """The text in lines that fit."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


class Scale:
    """From values to places: linear from zero, or logarithmic."""

    def __init__(self, values, start, end, log):
        self.start, self.end, self.log = start, end, log
        self.low, self.high = 0.0, max(values) or 1.0
        if log:
            self.low = 10.0 ** math.floor(math.log10(min(values) * 0.8))

    def __call__(self, value):
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = value / self.high
        return self.start + share * (self.end - self.start)

    def ticks(self, most=6):
        """Round values from the lowest to the highest."""
        if not self.log:
            step = 10.0 ** math.floor(math.log10(self.high / most))
            step *= next(factor for factor in (1, 2, 2.5, 5, 10) if self.high / (step * factor) <= most)
            return [step * at for at in range(int(self.high / step + 1e-9) + 1)]
        decades = range(round(math.log10(self.low)), math.floor(math.log10(self.high) + 1e-9) + 1)
        factors = (1,) if len(decades) > 2 else (1, 3) if len(decades) == 2 else (1, 2, 5)
        return [tick for decade in decades for factor in factors if (tick := factor * 10.0**decade) <= self.high * 1.0001]
