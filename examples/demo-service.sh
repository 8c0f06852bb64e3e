#!/usr/bin/env bash
# The service, seen from HR's side: it stands there, one signed resignation is sent, and the access is gone.
#
# Plays on a copy of the example company in .demo-service/, against a real OpenLDAP server on loopback where the machine
# has one, and on an LDIF file otherwise. DEMO_FOLDER and DEMO_PORT put it elsewhere, DEMO_ON=files spares the
# server. Run by `make demo-service`.
set -euo pipefail
cd "$(dirname "$0")/.."

root="${DEMO_FOLDER:-$PWD/.demo-service}"
port="${DEMO_PORT:-8470}"
url="http://127.0.0.1:$port"
person=E1017 uid=han.muyang
export RECONCILER_WORKSPACE=reconciler.yaml LDAP_PASSWORD=secret PYTHONUTF8=1
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

say() { printf '\n\033[1m━━ %s\033[0m\n' "$*"; }
die() { printf 'demo-service: %s\n' "$*" >&2; exit 1; }
command -v curl >/dev/null && command -v openssl >/dev/null || die "it needs curl and openssl"

started=()
trap 'for each in "${started[@]}"; do kill "$each" 2>/dev/null && wait "$each" 2>/dev/null || true; done' EXIT
# Waits until a command succeeds, for as long as the process lives that is to make it so.
wait_for() {
    local process="$1"; shift
    for _ in $(seq 600); do
        "$@" >/dev/null 2>&1 && return
        kill -0 "$process" 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

rm -rf "$root"
python examples/redate.py "$root" examples policies
here="$PWD"
cd "$root/examples"

if [ "${DEMO_ON:-openldap}" = openldap ] && command -v slapd >/dev/null && command -v ldapsearch >/dev/null; then
    RECONCILER_WORKSPACE=reconciler-openldap.yaml
    (cd "$here" && exec python -m tests.servers.slapd --ldif "$root/examples/directory.ldif" --folder "$root/slapd") \
        >"$root/slapd.out" 2>&1 &
    started+=($!)
    wait_for $! grep -q '^ldap://' "$root/slapd.out" || die "slapd did not start: $(cat "$root/slapd.out")"
    LDAP_URL="$(grep -m 1 '^ldap://' "$root/slapd.out")"
    export LDAP_URL
    say "A real OpenLDAP server answers at $LDAP_URL"
    groups() {
        ldapsearch -x -LLL -o ldif-wrap=no -H "$LDAP_URL" -D cn=reconciler,dc=example,dc=com -w "$LDAP_PASSWORD" \
            -b ou=groups,dc=example,dc=com "(member=uid=$uid,ou=people,dc=example,dc=com)" cn | sed -n 's/^cn: /  /p'
    }
else
    say "There is no slapd here: the directory is the file directory.ldif"
    groups() {
        awk -v member="member: uid=$uid," 'BEGIN {RS = ""} index($0, member) && match($0, /\ncn: [^\n]*/) {
            print "  " substr($0, RSTART + 5, RLENGTH - 5)}' directory.ldif
    }
fi
# What is confidential or above; from what is internal nobody steps down who only hands in the notice.
above() { groups | grep -E 'chip|prj|core'; }

say "星河科技 after its first roll-out"
reconciler people import
reconciler evidence import evidence.csv
digest="$(reconciler plan --output json | python -c 'import json, sys; print(json.load(sys.stdin)["digest"])')"
reconciler approve "$digest" --reason "first roll-out, read line by line"
reconciler apply --yes 2>/dev/null

say "The service"
HR_WEBHOOK_SECRET="whsec_$(openssl rand -base64 32)"
export HR_WEBHOOK_SECRET
sed -i "s/127.0.0.1:8470/127.0.0.1:$port/" "$RECONCILER_WORKSPACE"
printf '\033[36m$ reconciler serve\033[0m\n'
reconciler serve 2>"$root/service.log" &
service=$!
started+=("$service")
wait_for "$service" curl -sf "$url/readyz" || die "the service did not get ready: $(tail -3 "$root/service.log")"
curl -s "$url/readyz"; echo

say "$person before it"
groups
above >/dev/null || die "$person has nothing that could be taken"

say "HR's system sends the resignation, signed"
printf '\033[36m$ ./send-event.sh %s <events/03-resignation.json\033[0m\n' "$url"
cat events/03-resignation.json
before=$(date +%s%N)
./send-event.sh "$url" <events/03-resignation.json
for _ in $(seq 600); do above >/dev/null || break; sleep 0.01; done
took=$((($(date +%s%N) - before) / 1000000))
above >/dev/null && die "$person still has it: $(tail -5 "$root/service.log")"

say "$person after it, as the directory itself says"
groups
echo "What is above internal was gone $took ms after HR's system began to sign; the service's own part:"
wait_for "$service" grep -q person-passed "$root/service.log" || die "the log does not tell of the pass"
grep -m 1 person-passed "$root/service.log"

say "The end: the service is stopped, everything agrees, and the record verifies"
kill "$service"
wait "$service" || die "the service ended with $?"
reconciler plan --detailed-exitcode | tail -n 1
reconciler ledger verify
