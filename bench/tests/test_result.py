import json
import tempfile
import unittest
from pathlib import Path

import result as results
import samples
from figures import BY_ID, SQLITE


class Gather(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = Path(folder.name)

    def gather(self):
        return results.gather(self.work, "2026-11-22T2207Z")

    def test_rounds_become_one(self):
        for round_, rate in enumerate((100.0, 120.0), 1):
            samples.write(self.work, "taskloom", round_, samples.report(drain_rate=rate, ceiling_drain_rate=200.0))
        samples.write(self.work, "taskloom-mariadb", 1, samples.report(database="MariaDB", drain_rate=50.0))
        found = self.gather()
        self.assertEqual(["taskloom", "taskloom-mariadb"], results.ours(found))
        self.assertEqual([100.0, 120.0], found["systems"]["taskloom"]["values"]["drain_rate"])
        self.assertEqual([55.0], found["systems"]["taskloom"]["values"]["ceiling_share"])
        self.assertEqual("Medians of 2 rounds", results.rounds(found))

    def test_times_are_those_of_20_000_tasks(self):
        samples.write(self.work, "taskloom", 1, samples.report(both_tasks=10_000, both_seconds=0.1, both_http_seconds=0.2))
        found = self.gather()["systems"]["taskloom"]["values"]
        self.assertEqual(([0.2], [0.4]), (found["both_seconds"], found["both_http_seconds"]))

    def test_points_of_all_rounds_are_put_together(self):
        for round_, rate in enumerate((100.0, 120.0, 90.0), 1):
            samples.write(self.work, "taskloom", round_, samples.report(series=[samples.series("backlog", {1_000: rate, 10_000: 80.0})]))
        (series,) = self.gather()["systems"]["taskloom"]["series"]
        first = series["points"][0]
        self.assertEqual((1_000, 100.0, 90.0, 120.0), tuple(first[key] for key in ("x", "median", "min", "max")))
        self.assertEqual("tasks waiting", series["x_label"])

    def test_peers_and_failures(self):
        broken = {"peer": "huey", "note": "", "reps": [{"error": "Traceback\nno server"}]}
        (self.work / "peers.json").write_text(json.dumps([samples.peer("bullmq", W2_drain=5.0), samples.peer("bullmq", W2_drain=7.0, ok=True), broken]))
        (self.work / "failures").write_text("taskloom-mariadb\terror: no server\nhttp\texit status 1\n")
        found = self.gather()
        self.assertEqual(["bullmq"], results.peers(found))
        self.assertEqual([5.0, 7.0], results.values(found, "bullmq", BY_ID["drain_rate"]))
        self.assertEqual({"W2_drain": [5.0, 7.0]}, found["systems"]["bullmq"]["values"])
        self.assertEqual(["error: no server"], found["systems"]["taskloom-mariadb"]["errors"])
        self.assertEqual([], results.ours(found))

    def test_a_report_of_an_older_taskloom(self):
        old = samples.report(drain_rate=1.0)
        del old["series"], old["machine"]["dispatch"]
        old["machine"] |= {"database": "SQLite 3.51.3", "page_size": 4096, "journal": "WAL", "synchronous": "FULL"}
        samples.write(self.work, "taskloom", 1, old)
        machine = self.gather()["systems"]["taskloom"]["machine"]
        self.assertEqual("SQLite 3.51.3, WAL, pages of 4096 bytes, synchronous=FULL; dispatch: store", results.durability(machine))


class Read(unittest.TestCase):
    def read(self, found):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "2026-11-22T2207Z.json")
            path.write_text(json.dumps(found))
            return results.read(path)

    def test_an_old_result(self):
        found = self.read(samples.OLD)
        self.assertEqual("2026-11-22 22:07 UTC", results.when(found))
        self.assertEqual([SQLITE], results.ours(found))
        self.assertEqual(["bullmq"], results.peers(found))
        self.assertIn("synchronous=FULL", found["systems"][SQLITE]["machine"]["database"])

    def test_an_old_result_without_taskloom(self):
        found = self.read(samples.OLD | {"taskloom": {"head": None, "values": {}}})
        self.assertEqual(([], ["bullmq"]), (results.ours(found), results.peers(found)))

    def test_a_result_is_read_as_it_was_written(self):
        found = self.read(samples.OLD)
        self.assertEqual(found, self.read(found))

    def test_every_kept_result(self):
        for path in Path(__file__).parents[1].glob("results/*.json"):
            with self.subTest(path.name):
                self.assertTrue(results.ours(results.read(path)))


if __name__ == "__main__":
    unittest.main()
