# Keeps one server: does what single words on its standard input say and answers each with a line. At the end of its
# input, which comes however its parent ends, it ends the server and removes the folder.
#
# Arguments: folder, log, signal to stop with data kept, signal to end with data thrown away, commands for the very end,
# and then the server's own command line.
folder=$1 log=$2 stop=$3 end=$4 last=$5
shift 5
pid=

running() {
    [ -n "$pid" ] || return 1
    # Until its end is noticed, a child that is dead still has its number.
    jobs >/dev/null 2>&1
    kill -0 "$pid" 2>/dev/null
}

# Signal, twentieths of a second until it is killed.
halt() {
    if running; then
        kill -s "$1" "$pid"
        # One that is frozen would not notice.
        kill -s CONT "$pid"
        left=$2
        while running && [ "$left" -gt 0 ]; do
            sleep 0.05
            left=$((left - 1))
        done
        running && kill -s KILL "$pid"
        wait "$pid"
    fi 2>/dev/null
    pid=
}

finish() {
    trap '' HUP INT TERM
    halt "$end" 100
    eval "$last" >/dev/null 2>&1
    cd /
    # Children of a killed server may write for a moment yet.
    left=100
    while [ -e "$folder" ] && [ "$left" -gt 0 ]; do
        rm -rf -- "$folder" 2>/dev/null || sleep 0.05
        left=$((left - 1))
    done
    exit 0
}
trap finish HUP INT TERM
# Answering a parent that is gone must not be the end. Not ignored, for children would inherit that.
trap : PIPE

while read -r word; do
    answer=ok
    case $word in
    start)
        if running; then
            answer='it runs already'
        else
            "$@" </dev/null >>"$log" 2>&1 &
            pid=$!
        fi
        ;;
    # As a child of this shell, so that the end waits for it: half-made servers leave traces outside the folder.
    prepare) sh ./prepare.sh </dev/null >prepare.log 2>&1 || answer="exit status $?" ;;
    alive) running || answer=no ;;
    kill) halt KILL 100 ;;
    stop) halt "$stop" 600 ;;
    freeze) running && kill -s STOP "$pid" || answer='it does not run' ;;
    thaw) running && kill -s CONT "$pid" || answer='it does not run' ;;
    *) answer='not understood' ;;
    esac
    echo "$answer"
done
finish
