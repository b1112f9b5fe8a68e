# KEY VALUE [OTHER...]: sets KEY to VALUE, unless it has that or one of the others.
setting() {
    key=/proc/sys/$1
    shift
    now=$(cat "$key")
    for good; do
        [ "$now" != "$good" ] || return 0
    done
    echo "$1" >"$key"
}
