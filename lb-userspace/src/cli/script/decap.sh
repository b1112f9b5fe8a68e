# The program, where its program in the kernel is pinned, and where this script keeps what it must know again.
lbd=${LBD:-lbd}
bpffs=${LBD_BPFFS:-/sys/fs/bpf/lb}
run=${LBD_RUN:-/run/lbd-decap}

# PROCESS: whether it has not ended.
runs() {
    [ -r "/proc/$1/status" ] && ! grep -qs '^State:.[ZX]' "/proc/$1/status"
}

# Whether the lbd decap that was started here has not ended; sets pid.
lives() {
    pid=$(cat "$run/pid" 2>/dev/null) && runs "$pid" && grep -qs '^Name:.lbd' "/proc/$pid/status"
}

# SIGNAL: ends the lbd decap that was started here.
end_decap() {
    lives || return 0
    kill -s "$1" "$pid"
    while runs "$pid"; do sleep 0.1; done
}

# ADDRESS ARGUMENT...: has lbd decap take off tunnels to ADDRESS, beside those to other backends of this host. If one
# runs with other arguments it is killed: that leaves its program at work until the next has taken its place.
decap() {
    mkdir -p "$run/backends"
    backend=$run/backends/$1
    shift
    printf '%s\n' "$@" >"$backend"
    start_decap
}

start_decap() {
    arguments=$(sort -u "$run"/backends/*)
    if [ "$arguments" = "$(cat "$run/arguments" 2>/dev/null)" ] && lives; then
        return 0
    fi
    end_decap KILL
    echo "$arguments" >"$run/arguments"
    # Under a service manager, this is the line of the service.
    # shellcheck disable=SC2086
    nohup "$lbd" decap --bpffs "$bpffs" --pid-file "$run/pid" $arguments </dev/null >"$run/log" 2>&1 &
    started=$!
    tries=0
    until [ "$(cat "$run/pid" 2>/dev/null)" = "$started" ]; do
        runs "$started" || fail "lbd decap has ended: $(tail -n 3 "$run/log")"
        tries=$((tries + 1))
        [ "$tries" -lt 200 ] || fail "lbd decap is not ready after 20 s: see $run/log"
        sleep 0.1
    done
}

# ADDRESS: ends what decap began.
no_decap() {
    rm -f "$run/backends/$1"
    if ls "$run"/backends/* >/dev/null 2>&1; then
        start_decap
    else
        end_decap TERM
    fi
}
