#!/bin/sh
# Installs the servers that the tests start by themselves; with the argument `slapd`, only that of the demos.
# No service is configured or started here: every test runs its own server, on a loopback port, with its own data.
#
# Ends with 0 even where nothing could be installed: the tests then skip and say why, or fail where CI=true.
set -eu

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# Mayan EDMS comes from PyPI and pins what it needs, so that it has an environment of its own, outside the checkout.
mayan_version=4.12.2
mayan="${MAYAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mayan-lab}/$mayan_version/venv"
install_mayan() {
    python=.venv/bin/python
    [ -x "$python" ] || python=python3
    mkdir -p "${mayan%/*}" && exec 9>"${mayan%/*}/installing" || return 1
    # Several checkouts share the environment; whoever else makes it at this moment is waited for.
    ! command -v flock >/dev/null || flock 9
    [ ! -e "$mayan/whole" ] || return 0
    rm -rf "$mayan" && "$python" -m venv "$mayan" &&
        "$mayan/bin/python" -m pip --disable-pip-version-check -q install --no-deps "mayan-edms==$mayan_version" &&
        # Signing in by LDAP and keeping files in clouds is left out: the first needs a compiler, the others are large.
        "$mayan/bin/python" -c '
import importlib.metadata as metadata
left_out = ("django-auth-ldap", "boto3", "google-cloud-storage", "elasticsearch")
needed = metadata.requires("mayan-edms")
print(*[each for each in needed if not each.lower().startswith(left_out)], "psycopg2-binary==2.9.*", sep="\n")
' >"$mayan/requirements.txt" &&
        "$mayan/bin/python" -m pip --disable-pip-version-check -q install -r "$mayan/requirements.txt" &&
        touch "$mayan/whole"
}
if [ "${1:-}" != slapd ] && [ ! -e "$mayan/whole" ]; then
    echo "Installing Mayan EDMS $mayan_version in ${mayan%/*}"
    log=$(mktemp)
    # shellcheck disable=SC2310  # a failure is told, with its log, and is no failure of this script
    install_mayan </dev/null >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        echo "tests/servers/install.sh: Mayan EDMS could not be installed. Tests against it cannot run without." >&2
    }
    rm -f "$log"
fi

missing=
command -v slapd >/dev/null || missing="$missing slapd"
command -v ldapsearch >/dev/null || missing="$missing ldap-utils"
command -v curl >/dev/null || missing="$missing curl"
# Debian keeps the server's programs out of the PATH.
[ "${1:-}" = slapd ] || command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 ||
    missing="$missing postgresql"
[ "${1:-}" = slapd ] ||
    { [ -d /usr/share/samba/setup/ad-schema ] && command -v samba >/dev/null && command -v ldbadd >/dev/null; } ||
    missing="$missing samba"
[ "${1:-}" = slapd ] || command -v getfacl >/dev/null || missing="$missing acl"
[ -n "$missing" ] || exit 0

give_up() {
    echo "tests/servers/install.sh: $1; missing:$missing. Tests against these servers cannot run without." >&2
    exit 0
}

if [ "$(id -u)" = 0 ]; then
    as_root() { "$@"; }
elif sudo -n true 2>/dev/null; then
    as_root() { sudo -n "$@"; }
else
    give_up "neither root nor passwordless sudo"
fi
command -v apt-get >/dev/null || give_up "no apt-get on this system"

echo "Installing$missing"
log=$(mktemp)
policy=
clean_up() {
    rm -f "$log"
    [ -z "$policy" ] || as_root rm -f "$policy"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Debian starts a service as soon as it is installed, unless this file forbids it. An administrator's own one is kept.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    policy=/usr/sbin/policy-rc.d
    as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy"
fi

get() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@"
}
# A domain controller comes in parts, which are cut differently from release to release.
packages() {
    for each in $missing; do
        [ "$each" = samba ] || { echo "$each" && continue; }
        for part in samba samba-ad-dc samba-ad-provision samba-dsdb-modules samba-vfs-modules winbind python3-samba \
            ldb-tools; do
            ! apt-cache show "$part" >/dev/null 2>&1 || echo "$part"
        done
    done
}
# Without configuration there is nothing that a later start of slapd could open to the network either.
install() {
    as_root apt-get -q update &&
        echo "slapd slapd/no_configuration boolean true" | as_root debconf-set-selections &&
        make_no_cluster &&
        get $(packages)
}
# Debian's PostgreSQL comes with a cluster of its own, unless its tools are told so before it is installed.
make_no_cluster() {
    case "$missing" in
    *postgresql*)
        get postgresql-common &&
            as_root sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' \
                /etc/postgresql-common/createcluster.conf
        ;;
    esac
}
# shellcheck disable=SC2310  # a failure is told, with its log, and is no failure of this script
install </dev/null >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    give_up "the packages could not be installed"
}
