#!/usr/bin/env python3
"""merge.py WORK OUT: writes OUT.md, OUT.json and OUT.svg from the rounds that peers.sh left in the folder WORK.

WORK may also be the JSON file of an earlier result, which is then shown anew. Its exit status is 1 if a system failed.
"""
import json
import sys
from pathlib import Path

import plot
import result as results
import table


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    work, out = Path(sys.argv[1]), sys.argv[2]
    result = results.gather(work, Path(out).name) if work.is_dir() else results.read(work)
    failed = ", ".join(name for name, system in result["systems"].items() if system["errors"])
    if not results.ours(result) and not results.peers(result):
        sys.exit(f"nothing was measured; failed: {failed or 'nothing'}")
    Path(out + ".json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    Path(out + ".svg").write_text(plot.draw(result))
    Path(out + ".md").write_text(table.markdown(result, Path(out).name + ".svg"))
    print(f"table: {out}.md\nplot:  {out}.svg\ndata:  {out}.json")
    if failed:
        sys.exit(f"failed: {failed}")


if __name__ == "__main__":
    main()
