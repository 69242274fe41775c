#!/bin/sh
# Measures Taskloom and other systems in turn and writes bench/results/<date>.{md,json,svg}; see README.md.
#   sh bench/peers.sh taskloom taskloom-postgres taskloom-postgres-redis taskloom-mariadb
#   PEERS_DIR=DIR sh bench/peers.sh taskloom http celery-solo2 …
set -eu
here=$(cd "$(dirname "$0")" && pwd)
taskloom=${TASKLOOM:-$here/../target/release/taskloom}
testkit=${TESTKIT:-$here/../target/debug/taskloom-testkit}
data=${BENCH_DIR:-$here/..}
postgres=${DATABASE_URL_POSTGRES:-} mariadb=${DATABASE_URL_MARIADB:-} redis=${REDIS_URL:-}

die() { echo "$*" >&2; exit 2; }

# failed NAME WHY: told now and in the result; the others go on.
failed() {
    echo "$1 failed: $2" >&2
    printf '%s\t%s\n' "$1" "$2" >>"$work/failures"
}

# serve SERVER: starts a private one and puts its URL into $url; it stops when descriptor 3 of this shell is closed.
serve() {
    url=
    echo "== $1 starts" >&2
    "$testkit" serve --durable "$1" <"$work/stdin" >"$work/$1.url" 2>"$work/$1.log" 3>&- &
    server=$!
    while [ -z "$url" ]; do
        kill -0 "$server" 2>/dev/null || { why "$1" >&2; return 1; }
        sleep 0.1
        url=$(sed -n 's/^[A-Z_]*=//p' "$work/$1.url")
    done
}

# why SERVER: what a server said that did not start.
why() { echo "no $1: $(tail -n 1 "$work/$1.log")"; }

# bench NAME FILE FLAG…: one run of Taskloom. What it says goes to the screen, an error into the result too.
bench() {
    name=$1 file=$2
    shift 2
    case $name in
    taskloom-postgres*) [ -n "$postgres" ] || { failed "$name" "$(why postgres)"; return; } ;;
    taskloom-mariadb) [ -n "$mariadb" ] || { failed "$name" "$(why mariadb)"; return; } ;;
    esac
    case $name in
    taskloom-postgres) set -- "$@" --database-url "$postgres" ;;
    taskloom-postgres-redis)
        [ -n "$redis" ] || { failed "$name" "$(why redis)"; return; }
        set -- "$@" --database-url "$postgres" --redis-url "$redis" ;;
    taskloom-mariadb) set -- "$@" --database-url "$mariadb" ;;
    esac
    mkdir -p "$work/$name"
    rm -f "$work/broken"
    # A server of the caller's must not reach the processes that are started. BENCH_ARGS is a list of flags.
    # shellcheck disable=SC2086
    { (unset DATABASE_URL REDIS_URL; exec "$taskloom" bench --reps 1 --dir "$data" --json "$work/$name/$file.json" "$@" ${BENCH_ARGS:-}) 2>&1 3>&- ||
        : >"$work/broken"; } | tee "$work/said" >&2
    [ ! -e "$work/broken" ] || failed "$name" "$(grep "^error" "$work/said" | tail -n 1)"
}

# peer SCRIPT ARGUMENT…: one round of another system.
peer() { (cd "$PEERS_DIR" && python3 "$@" --reps 1 >&2 3>&-); }

[ $# -gt 0 ] || die "$(sed -n '2,4s/^# //p' "$0")"
for name in "$@"; do
    case $name in
    taskloom | taskloom-postgres | taskloom-postgres-redis | taskloom-mariadb)
        [ -x "$taskloom" ] || die "no program $taskloom: build it (make build) or set TASKLOOM" ;;
    taskloom-*) die "no system $name" ;;
    *) [ -f "${PEERS_DIR:-}/bench.py" ] || die "set PEERS_DIR to a folder with bench.py for $name" ;;
    esac
done

work=$(mktemp -d)
trap 'exec 3>&-; wait; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkfifo "$work/stdin"
exec 3<>"$work/stdin"
case "$*" in *taskloom-postgres*) [ -n "$postgres" ] || ! serve postgres || postgres=$url ;; esac
case "$*" in *taskloom-postgres-redis*) [ -n "$redis" ] || ! serve redis || redis=$url ;; esac
case "$*" in *taskloom-mariadb*) [ -n "$mariadb" ] || ! serve mariadb || mariadb=$url ;; esac

export BENCH_OUT="$work/peers.json"
reps=${REPS:-3}
rep=1
while [ "$rep" -le "$reps" ]; do
    for name in "$@"; do
        echo "== round $rep of $reps: $name" >&2
        case $name in
        taskloom*) bench "$name" "$rep" ;;
        http) peer baseline/bench_http.py || failed "$name" "exit status $?" ;;
        *) peer bench.py "$name" || failed "$name" "exit status $?" ;;
        esac
    done
    rep=$((rep + 1))
done
for name in "$@"; do
    series=${SERIES:-}
    case $name in
    # A SQLite file has one process.
    taskloom) series=$(echo "$series" | sed 's/workers,//; s/,*workers//') ;;
    taskloom-*) ;;
    *) continue ;;
    esac
    [ -z "$series" ] || { echo "== $series: $name" >&2; bench "$name" series --only "$series"; }
done

mkdir -p "$here/results"
out=${BENCH_RESULT:-$here/results/$(date -u +%Y-%m-%dT%H%MZ)}
python3 -B "$here/merge.py" "$work" "$out"
