import json
import re
import tempfile
import unittest
import xml.etree.ElementTree as xml
from pathlib import Path

import bars
import lines
import numeral
import plot
import result as results
import samples
import svg

SVG = "{http://www.w3.org/2000/svg}"


def system(**found):
    return results.nothing() | {"machine": results.machine(samples.report()["machine"]), "quick": False, "series": []} | found


def result(**systems):
    return {"date": "2026-11-22T2207Z", "systems": {name.replace("_", "-"): found for name, found in systems.items()}}


FULL = result(
    taskloom=system(
        values={"drain_rate": [140_000.0, 150_000.0], "ceiling_drain_rate": [180_000.0], "both_seconds": [0.2], "http_submit_rate": [50_000.0]},
        series=[samples.series("backlog", {10_000: 90_000.0, 5_000_000: 88_000.0}), samples.series("history", {0: 90_000.0, 5_000_000: 80_000.0})],
    ),
    taskloom_postgres=system(values={"drain_rate": [52_000.0]}, series=[samples.series("backlog", {10_000: 70_000.0})]),
    bullmq=results.nothing() | {"values": {"W2_drain": [22_000.0], "W7_secs_20k": [1.3]}},
    evil=results.nothing() | {"values": {"W2_drain": [0.0]}, "note": "<&>"},
)


class Drawing(unittest.TestCase):
    def texts(self, drawn):
        return [element.text for element in xml.fromstring(drawn).iter(SVG + "text")]

    def placed(self, drawn):
        """Every text with how far its group is moved."""
        root = xml.fromstring(drawn)
        yield from ((element, 0, 0) for element in root.findall(SVG + "text"))
        for group in root.iter(SVG + "g"):
            dx, dy = re.findall(r"[\d.]+", group.get("transform"))
            yield from ((element, float(dx), float(dy)) for element in group.findall(SVG + "text"))

    def test_it_is_well_formed_and_says_everything(self):
        texts = self.texts(plot.draw(FULL))
        for words in ("Drain", "Submit over HTTP", "Taskloom, PostgreSQL", "bullmq", "145k", "others", "goal", "tasks waiting", "5M"):
            self.assertIn(words, texts)
        said = " ".join(texts)
        for words in ("2026-11-22 22:07 UTC", "2 cores", "synchronous=FULL", "tasks per second"):
            self.assertIn(words, said)

    def test_names_are_escaped(self):
        drawn = plot.draw(result(taskloom=system(values={"drain_rate": [1.0]}), **{"<b>&": results.nothing() | {"values": {"W2_drain": [2.0]}}}))
        self.assertIn("<b>&", self.texts(drawn))

    def test_everything_stays_inside(self):
        drawn = plot.draw(FULL)
        width, height = map(float, re.search(r'viewBox="0 0 (\S+) (\S+)"', drawn).groups())
        for element, dx, dy in self.placed(drawn):
            x, y = dx + float(element.get("x")), dy + float(element.get("y"))
            reach = svg.width_of(element.text, 11 if "soft" in element.get("class") else 12)
            start = {"start": x, "middle": x - reach / 2, "end": x - reach}[element.get("text-anchor")]
            self.assertTrue(0 <= start and start + reach <= width and 0 < y < height, element.text)

    def test_the_fastest_is_first_and_nothing_is_no_bar(self):
        drain, _, both = bars.groups(FULL)
        self.assertEqual(["taskloom", "taskloom-postgres", "bullmq"], [name for name, *_ in drain[1]])
        self.assertEqual([100_000.0], both[1][0][1])
        # The goal of 0.6 s, as a rate.
        self.assertAlmostEqual(33_333, both[1][0][2], delta=1)

    def test_no_mark_crosses_a_number(self):
        self.assertEqual([10, 37, 67, 10], [bars.free_place(10, 25, marks) for marks in ([], [30], [60, 30], [60])])

    def test_without_rates_or_series(self):
        self.assertNotIn("What it depends on", plot.draw(result(taskloom=system(values={"drain_rate": [1.0]}))))
        self.assertIn("2026", plot.draw(result(taskloom=system(values={"start_p50": [1.0]}))))

    def test_an_old_result(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "2026-11-22T2207Z.json")
            path.write_text(json.dumps(samples.OLD))
            self.assertIn("110k", self.texts(plot.draw(results.read(path))))


class Scales(unittest.TestCase):
    def test_linear_starts_at_zero(self):
        scale = svg.Scale([40, 95], 100, 200, log=False)
        self.assertEqual((100, 200), (scale(0), scale(95)))
        self.assertEqual([0, 20, 40, 60, 80], scale.ticks())

    def test_logarithmic_starts_at_a_power_of_ten(self):
        scale = svg.Scale([310, 100_000], 0, 300, log=True)
        self.assertEqual([100, 1_000, 10_000, 100_000], [round(tick) for tick in scale.ticks()])
        self.assertAlmostEqual(100, scale(1_000))

    def test_zero_has_a_place_on_a_logarithmic_axis(self):
        self.assertEqual({0: 0, 5_000_000: 100}, lines.places([0, 5_000_000], 0, 100))
        self.assertEqual({0: 0, 10: 25, 100: 62.5, 1_000: 100}, {x: round(at, 3) for x, at in lines.places([0, 10, 100, 1_000], 0, 100).items()})
        self.assertEqual({7: 50}, lines.places([7], 0, 100))


class Numbers(unittest.TestCase):
    def test_short(self):
        self.assertEqual(["0", "0.5", "821", "1k", "57.8k", "1M", "5M"], [numeral.short(value) for value in (0, 0.5, 821, 999.9, 57_777, 999_900, 5e6)])

    def test_full(self):
        self.assertEqual(["0.012", "1.25", "12.3", "57,777", "20"], [numeral.full(value) for value in (0.0123, 1.25, 12.34, 57_777.3, 20.0)])

    def test_size(self):
        self.assertEqual(["100", "1 Ki", "64 Ki", "1 Mi"], [numeral.size(value) for value in (100, 1024, 65_536, 1 << 20)])


if __name__ == "__main__":
    unittest.main()
