# FAMILY PREFERENCE ADDRESS: the rules that there are.
rules_of() {
    ip "$1" rule show pref "$2" | grep "from $3 lookup"
}

# FAMILY RULE...: adds a rule of routing, if it is not there.
reply_rule() {
    family=$1
    shift
    said=$(ip "$family" rule add "$@" 2>&1) || case $said in
    *"File exists"*) ;;
    *) fail "ip rule add $*: $said" ;;
    esac
}
