"""peers.sh with programs that only say how they were called."""
import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import samples

BENCH = Path(__file__).parents[1]

TASKLOOM = """#!/bin/sh
echo "$*|${DATABASE_URL:-}${REDIS_URL:-}" >>"$CALLS"
case $* in *mysql:*) echo "bench 1/1: drain"; echo "error: it broke" >&2; exit 1 ;; esac
while [ "$1" != --json ]; do shift; done
cp "$REPORT" "$2"
"""
TESTKIT = """#!/bin/sh
echo "kit $*" >>"$CALLS"
case $3 in
postgres) echo DATABASE_URL_POSTGRES=postgres://private ;;
mariadb) echo DATABASE_URL_MARIADB=mysql://private ;;
redis) echo "no redis-server here" >&2; exit 1 ;;
esac
cat
echo "end $3" >>"$CALLS"
"""
PEER = """import json, os, sys
open(os.environ["CALLS"], "a").write(f"peer {sys.argv[1:]}\\n")
if sys.argv[1] == "broken":
    sys.exit(3)
out = os.environ["BENCH_OUT"]
old = json.load(open(out)) if os.path.exists(out) else []
json.dump(old + [{"peer": sys.argv[1], "note": "", "reps": [{"W2_drain": 5.0}]}], open(out, "w"))
"""


class Peers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name, text in (("taskloom", TASKLOOM), ("testkit", TESTKIT), ("bench.py", PEER)):
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o755)
        (self.folder / "report.json").write_text(json.dumps(samples.report(drain_rate=10.0)))

    def run_peers(self, *systems, **environment):
        """Its exit status, the calls in order, and the table."""
        calls = self.folder / "calls"
        environment = {
            "PATH": os.environ["PATH"], "TMPDIR": str(self.folder), "CALLS": str(calls), "REPORT": str(self.folder / "report.json"),
            "TASKLOOM": str(self.folder / "taskloom"), "TESTKIT": str(self.folder / "testkit"), "PEERS_DIR": str(self.folder),
            "BENCH_DIR": "/data", "BENCH_RESULT": str(self.folder / "out"), "REPS": "2", "PYTHONDONTWRITEBYTECODE": "1",
        } | environment
        done = subprocess.run(["sh", BENCH / "peers.sh", *systems], env=environment, capture_output=True, text=True, timeout=60)
        self.said = done.stdout + done.stderr
        table = self.folder / "out.md"
        # Where the report goes is another folder each time.
        lines = re.sub(r" --json \S+\.json", "", calls.read_text()).splitlines()
        return done.returncode, lines, table.read_text() if table.exists() else ""

    def test_systems_take_turns(self):
        status, calls, table = self.run_peers("taskloom", "taskloom-postgres", "bullmq", BENCH_ARGS="--only drain", REDIS_URL="redis://mine")
        self.assertEqual(0, status, self.said)
        ours = "bench --reps 1 --dir /data"
        turn = [f"{ours} --only drain|", f"{ours} --database-url postgres://private --only drain|", "peer ['bullmq', '--reps', '1']"]
        self.assertEqual(["kit serve --durable postgres", *turn, *turn, "end postgres"], calls)
        self.assertIn("**5** (5–5)", table)
        self.assertFalse(list(self.folder.glob("tmp.*")))

    def test_servers_of_the_caller_are_used(self):
        _, calls, _ = self.run_peers("taskloom-postgres-redis", DATABASE_URL_POSTGRES="postgres://mine", REDIS_URL="redis://mine", REPS="1")
        self.assertEqual(["bench --reps 1 --dir /data --database-url postgres://mine --redis-url redis://mine|"], calls)

    def test_who_fails_is_told_of_and_the_others_go_on(self):
        status, calls, table = self.run_peers("taskloom-mariadb", "taskloom-postgres-redis", "broken", "taskloom", "bullmq")
        self.assertEqual(1, status)
        self.assertEqual(2, calls.count("peer ['bullmq', '--reps', '1']"))
        self.assertIn("- Taskloom, MariaDB, 2 times: error: it broke", table)
        self.assertIn("- Taskloom, PostgreSQL, Redis, 2 times: no redis: no redis-server here", table)
        self.assertIn("- broken, 2 times: exit status 3", table)
        self.assertIn("| drain, tasks/s | 10 (10–10)", table)
        self.assertEqual({"end postgres", "end mariadb"}, {call for call in calls if call.startswith("end")})

    def test_series_come_once_after_the_rounds(self):
        _, calls, _ = self.run_peers("taskloom", "taskloom-postgres", SERIES="depth,workers")
        self.assertEqual(2, sum("--only" in call for call in calls))
        self.assertIn("bench --reps 1 --dir /data --only depth|", calls)
        self.assertIn("bench --reps 1 --dir /data --only depth,workers --database-url postgres://private|", calls)

    def test_unknown_systems_are_refused(self):
        for systems in ((), ("taskloom-oracle",)):
            (self.folder / "calls").write_text("")
            self.assertEqual((2, [], ""), self.run_peers(*systems))


if __name__ == "__main__":
    unittest.main()
