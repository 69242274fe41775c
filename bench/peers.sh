#!/bin/sh
# Measures Taskloom and other systems in turn and writes bench/results/<date>.{md,json}; see README.md.
#   PEERS_DIR=DIR sh bench/peers.sh taskloom http celery-solo2 …
set -eu
here=$(cd "$(dirname "$0")" && pwd)
taskloom=${TASKLOOM:-$here/../target/release/taskloom}
reps=${REPS:-3}
[ $# -gt 0 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
[ -x "$taskloom" ] || { echo "no program $taskloom: build it (make build) or set TASKLOOM" >&2; exit 2; }
for name in "$@"; do
    [ "$name" = taskloom ] || [ -f "${PEERS_DIR:-}/bench.py" ] || { echo "set PEERS_DIR to a folder with bench.py" >&2; exit 2; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
export BENCH_OUT="$work/peers.json"
data=${BENCH_DIR:-$here/..}
rep=1
while [ "$rep" -le "$reps" ]; do
    for name in "$@"; do
        echo "== round $rep of $reps: $name" >&2
        case $name in
        # shellcheck disable=SC2086 # BENCH_ARGS is a list of flags.
        taskloom) "$taskloom" bench --reps 1 --dir "$data" --json "$work/taskloom-$rep.json" ${BENCH_ARGS:-} >&2 ;;
        # A peer that fails is told of in its record; the others go on.
        http) (cd "$PEERS_DIR" && python3 baseline/bench_http.py --reps 1 >&2) || echo "$name failed" >&2 ;;
        *) (cd "$PEERS_DIR" && python3 bench.py "$name" --reps 1 >&2) || echo "$name failed" >&2 ;;
        esac
    done
    rep=$((rep + 1))
done
mkdir -p "$here/results"
day=$(date -u +%Y-%m-%dT%H%MZ)
python3 "$here/merge.py" "$work" "$here/results/$day"
