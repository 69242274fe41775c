"""Numbers as people read them."""


def full(value):
    """About three digits, thousands apart: 0.012, 1.25, 12.3, 57,777."""
    if value == int(value):
        return f"{value:,.0f}"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


def short(value):
    """At most three digits and a letter: 0.5, 12.3, 57.8k, 5M."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        # What rounds to 1,000 of one letter is 1 of the next.
        if abs(value) >= factor * 0.9995:
            return f"{value / factor:.3g}{letter}"
    return f"{value:.3g}"


def size(value):
    """Bytes: 100, 1 Ki, 64 Ki."""
    for factor, letters in ((1 << 20, "Mi"), (1 << 10, "Ki")):
        if value >= factor:
            return f"{value / factor:.3g} {letters}"
    return f"{value:g}"
