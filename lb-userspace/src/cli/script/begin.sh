
fail() {
    echo "backend-setup: $*" >&2
    exit 1
}

# NAME...: programs without which it is better not to begin.
need() {
    for name; do
        command -v "$name" >/dev/null || fail "there is no $name here: install it, or put it into PATH"
    done
    [ "$(id -u)" = 0 ] || fail "this needs root"
}

# ADDRESS: the device that has it, or nothing.
device_of() {
    ip -o address show to "$1" | { read -r _ name _ && echo "$name"; } || :
}

# ADDRESS: sets dev to the interface that has it.
find_interface() {
    dev=$(device_of "$1")
    [ -n "$dev" ] || fail "no interface here has the address $1: run this on the backend's host"
}

# WHAT COMMAND...: prints what is in effect.
show() {
    what=$1
    shift
    now=$("$@" 2>/dev/null | tr -s '\n\\ ' ' ') && [ -n "$now" ] || fail "$what: not in effect"
    echo "  $what: $now"
}
