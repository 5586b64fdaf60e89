#!/bin/sh
# Installs the Debian packages that the tests run against (real daemons as producers and peers),
# without starting or enabling any daemon of this machine. Without root: prints the one line to run.
set -eu

here=$(dirname "$0")
policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d}
kept=$policy.kept-by-fleet-tls-exporter

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

installed_packages() {
    dpkg-query -W -f='${db:Status-Status} ${binary:Package}\n' | sed -n 's/^installed //p' | sort
}

# With it in place, invoke-rc.d starts nothing (Debian Policy, 9.3.3.1). A file of the machine's own
# is moved aside and comes back; so does one that a killed run of ours left aside.
forbid_starting() {
    if [ -e "$kept" ]; then mv -f "$kept" "$policy"; fi
    if [ -e "$policy" ]; then mv "$policy" "$kept"; fi
    trap 'allow_starting' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

allow_starting() {
    rm -f "$policy"
    if [ -e "$kept" ]; then mv "$kept" "$policy"; fi
}

# policy-rc.d says nothing about the next boot: postinst enables a new unit all the same
disable_daemons_of() {
    dpkg -L "$1" | while read -r path; do
        case $path in
        */systemd/system/*.service | */systemd/system/*.socket | */systemd/system/*.target | \
            */systemd/system/*.timer | */systemd/system/*.path)
            if command -v deb-systemd-helper >/dev/null; then
                # It insists on being called from a package's script
                DPKG_MAINTSCRIPT_PACKAGE=$1 deb-systemd-helper disable "$(basename "$path")" \
                    >/dev/null 2>&1 || true
            fi
            ;;
        /etc/init.d/*)
            if command -v update-rc.d >/dev/null; then
                update-rc.d "$(basename "$path")" disable >/dev/null 2>&1 || true
            fi
            ;;
        esac
    done
}

wanted=${*:-$(cat "$here/debian-packages.txt")}
if ! command -v dpkg-query >/dev/null; then
    # shellcheck disable=SC2086 # a list of names
    echo "This is not Debian or Ubuntu; install what these packages hold, by hand:" $wanted >&2
    exit 1
fi
missing=
for package in $wanted; do
    is_installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "Some Debian packages are missing. Run this once, then try again:" >&2
    echo "sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

before=$(mktemp)
after=$(mktemp)
forbid_starting
installed_packages >"$before"
export DEBIAN_FRONTEND=noninteractive
install_missing() {
    # shellcheck disable=SC2086 # a list of names
    apt-get install --yes --quiet --no-install-recommends $missing >&2
}
# The lists of a fresh image are empty, those of an old one name files that are gone
install_missing || { apt-get update --quiet >&2 && install_missing; } || {
    echo "apt-get could not install:$missing" >&2
    exit 1
}
installed_packages >"$after"
comm -13 "$before" "$after" | while read -r package; do
    disable_daemons_of "$package"
done
rm -f "$before" "$after"
