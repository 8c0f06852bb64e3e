#!/usr/bin/env bash
# The example company's story, told by the program itself: first roll-out, a hire, a transfer, a resignation, an exit.
#
#   examples/demo.sh            on files: an LDIF directory and a casbin vault; needs nothing but Python
#   examples/demo.sh openldap   the same against a real OpenLDAP server on loopback, checked with ldapsearch
#
# Plays on a copy in .demo/, whose dates are moved so that the story happens today. Run by `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."

mode="${1:-files}"
root="$PWD/.demo"
export RECONCILER_WORKSPACE=reconciler.yaml PYTHONUTF8=1

say() { printf '\n\033[1m━━ %s\033[0m\n' "$*"; }
run() { printf '\033[36m$ reconciler %s\033[0m\n' "$*"; reconciler "$@"; }
# A command that is expected to end with another status than 0: 3 where something is held.
run_to() { local wanted="$1" status=0; shift; run "$@" || status=$?; [ "$status" = "$wanted" ] || die "status $status, not $wanted"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

rm -rf "$root"
python examples/redate.py "$root" examples policies
cd "$root/examples"

if [ "$mode" = openldap ]; then
    export RECONCILER_WORKSPACE=reconciler-openldap.yaml LDAP_PASSWORD=secret
    (cd "$root/.." && exec python -m tests.servers.slapd --ldif "$root/examples/directory.ldif" --folder "$root/slapd") \
        >"$root/slapd.out" 2>&1 &
    slapd=$!
    trap 'kill "$slapd" 2>/dev/null; wait "$slapd" 2>/dev/null || true' EXIT
    for _ in $(seq 300); do
        LDAP_URL="$(grep -m 1 '^ldap://' "$root/slapd.out" || true)"
        [ -n "$LDAP_URL" ] && break
        kill -0 "$slapd" 2>/dev/null || die "slapd did not start: $(cat "$root/slapd.out")"
        sleep 0.1
    done
    [ -n "$LDAP_URL" ] || die "slapd did not answer in time"
    export LDAP_URL
    say "A real OpenLDAP server answers at $LDAP_URL"
fi

plan_digest() { reconciler plan --output json | python -c 'import json, sys; print(json.load(sys.stdin)["digest"])'; }
tell() { run plan --person "$1"; run apply --yes; }

say "星河科技: the policies, the people, their proofs"
run check
run people import
run evidence import evidence.csv

say "First roll-out: it touches everybody, so guards hold it until somebody has looked"
run plan
run_to 3 apply --yes
say "Looked at, and approved by its digest"
run approve "$(plan_digest)" --reason "first roll-out, read line by line"
run apply --yes

say "Why may E1008 read the core algorithms, and why may E1009 not?"
run why E1008 core-algorithms:read
run why E1009 core-algorithms:read

say "Hire: E1059 joins the vision group today; the proofs came with the contract"
run people event --file events/01-hire.json
run evidence import newcomer-evidence.csv
tell E1059
run why E1059 core-algorithms:read

say "Transfer: E1012 leaves research for sales"
run people event --file events/02-transfer.json
tell E1012

say "Resignation: E1017 hands it in, and steps down now, not on the last day"
run people event --file events/03-resignation.json
tell E1017
run why E1017 chip-designs:read

say "Exit: E1029 has left"
run people event --file events/04-exit.json
tell E1029

say "The end: everything agrees, and the record verifies"
run plan --detailed-exitcode    # ends with 0 only where nothing at all is left to change
run ledger verify

if [ "$mode" = openldap ]; then
    say "What the server itself says (ldapsearch): the groups of the newcomer, and of the leaver"
    search() { ldapsearch -x -LLL -o ldif-wrap=no -H "$LDAP_URL" -D "$bind" -w "$LDAP_PASSWORD" "$@"; }
    bind="cn=reconciler,dc=example,dc=com"
    uid_of() { search -b ou=people,dc=example,dc=com "(employeeNumber=$1)" 1.1 | sed -n 's/^dn: //p'; }
    groups_of() { search -b ou=groups,dc=example,dc=com "(member=$(uid_of "$1"))" cn | sed -n 's/^cn: /  /p'; }
    echo "E1059:"; groups_of E1059
    echo "E1029:"; left="$(groups_of E1029)"; echo "${left:-  none}"
    [ "$(groups_of E1059 | wc -l)" -ge 5 ] || die "the newcomer is not in the groups that the policy gives"
    ! grep -qE 'core|prj|docs|handbook' <<<"$left" || die "the leaver is still in a managed group"
    echo "The server agrees: the newcomer is in, the leaver is out."
fi

[ "$mode" = openldap ] || printf '\nLook around: cd .demo/examples && ../../.venv/bin/reconciler plan\n'
