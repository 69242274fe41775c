import contextlib
import io
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import merge
import samples


class Merge(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.work, self.out = self.folder / "work", self.folder / "2026-11-22T2207Z"
        self.work.mkdir()

    def merge(self, source=None):
        """What it prints, and the table."""
        printed = io.StringIO()
        with mock.patch("sys.argv", ["merge.py", str(source or self.work), str(self.out)]), contextlib.redirect_stdout(printed):
            merge.main()
        return printed.getvalue(), Path(f"{self.out}.md").read_text()

    def row(self, table, label):
        (line,) = (line for line in table.splitlines() if line.startswith(f"| {label} |"))
        return [cell.strip() for cell in line.strip("|").split("|")][1:]

    def peers(self, *records):
        (self.work / "peers.json").write_text(json.dumps(records))

    def test_goals_ratios_and_ranges(self):
        for round_, rate in enumerate((140_000.0, 160_000.0, 150_000.0), 1):
            samples.write(self.work, "taskloom", round_, samples.report(drain_rate=rate, ceiling_drain_rate=200_000.0))
        samples.write(self.work, "taskloom-postgres", 1, samples.report(database="PostgreSQL 15, fsync=on", drain_rate=40_000.0, start_p99=5.0))
        samples.write(self.work, "taskloom-postgres-redis", 1, samples.report(database="PostgreSQL 15", dispatch="redis", start_p99=4.5))
        self.peers(samples.peer("bullmq", note="2 processes", W2_drain=20_000.0, W3_start_p99=2.0), samples.peer("pgboss", W2_drain=30_000.0, W3_start_p99=8.0))
        _, table = self.merge()
        self.assertEqual(
            [
                "150,000 (140,000–160,000)<br>goal ≥ 70,000: met<br>5 ×",
                "40,000<br>goal ≥ 50,000: missed<br>1.33 ×",
                "–",
                "20,000",
                "**30,000**",
            ],
            self.row(table, "drain, tasks/s"),
        )
        self.assertEqual(
            ["–", "5<br>goal ≤ 5: met<br>0.400 ×", "4.50<br>goal ≤ 4: missed<br>0.444 ×", "**2**", "8"], self.row(table, "submit → start, p99, ms")
        )
        self.assertEqual("75", self.row(table, "drain, share of the ceiling, %")[0])
        self.assertNotIn("HTTP get", table)
        self.assertIn("| | Taskloom, SQLite ¹ | Taskloom, PostgreSQL ² |", table.replace("|  |", "| |"))
        self.assertIn("2. Taskloom, PostgreSQL: PostgreSQL 15, fsync=on; dispatch: store; a flush of 4 KiB takes 0.05 ms", table)
        self.assertIn("4. bullmq: 2 processes", table)

    def test_series_are_tables(self):
        samples.write(self.work, "taskloom", 1, samples.report(series=[samples.series("backlog", {1_000: 90_000.0, 1_000_000: 80_000.0})]))
        samples.write(self.work, "taskloom-mariadb", 1, samples.report(series=[samples.series("backlog", {1_000: 50_000.0})]))
        _, table = self.merge()
        self.assertEqual(["90,000", "50,000"], self.row(table, "1,000"))
        self.assertEqual(["80,000", "–"], self.row(table, "1,000,000"))
        self.assertIn("claim and finish beside a backlog, tasks/s:", table)

    def test_a_quick_run_is_marked(self):
        samples.write(self.work, "taskloom", 1, samples.report(quick=True, drain_rate=1.0))
        self.assertIn("these figures mean nothing", self.merge()[1])

    def test_a_failure_is_told_of_and_the_rest_is_written(self):
        samples.write(self.work, "taskloom", 1, samples.report(drain_rate=1.0))
        (self.work / "failures").write_text("taskloom-mariadb\terror: no server\n" * 2)
        with self.assertRaisesRegex(SystemExit, "failed: taskloom-mariadb"):
            self.merge()
        self.assertIn("- Taskloom, MariaDB, 2 times: error: no server", Path(f"{self.out}.md").read_text())

    def test_nothing_measured(self):
        with self.assertRaisesRegex(SystemExit, "nothing was measured"):
            self.merge()
        self.assertFalse(Path(f"{self.out}.md").exists())

    def test_an_old_result_is_shown_anew(self):
        old = self.folder / "old.json"
        old.write_text(json.dumps(samples.OLD))
        printed, table = self.merge(old)
        self.assertEqual(["110,000 (100,000–120,000)<br>goal ≥ 70,000: met<br>5 ×", "**22,000**"], self.row(table, "drain, tasks/s"))
        self.assertIn("synchronous=FULL; dispatch: store", table)
        for kind in ("md", "json", "svg"):
            self.assertIn(f"{self.out}.{kind}\n", printed)
            self.assertTrue(Path(f"{self.out}.{kind}").stat().st_size > 100)


if __name__ == "__main__":
    unittest.main()
