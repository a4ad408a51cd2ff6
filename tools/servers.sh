#!/bin/sh
# Installs the Debian packages of the servers that live tests and benchmarks start, without starting any as a service.
# Where that is not possible it prints the line to type; with CI set it fails, otherwise live tests skip and say why.
set -eu

missing=""
while read -r program package; do
    PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/"$program" >/dev/null 2>&1 ||
        missing="$missing $package"
done <<LIST
redis-server redis-server
postgres postgresql
prometheus prometheus
prometheus-node-exporter prometheus-node-exporter
prometheus-alertmanager prometheus-alertmanager
victoria-metrics victoria-metrics
LIST
[ -z "$missing" ] && exit 0

line="apt-get install -y --no-install-recommends$missing"
as_root=""
if [ "$(id -u)" != 0 ]; then
    if sudo -n true 2>/dev/null; then as_root="sudo -n"; else as_root="none"; fi
fi
if ! command -v apt-get >/dev/null 2>&1 || [ "$as_root" = none ]; then
    echo "Missing servers:$missing. Install them with: sudo $line" >&2
    [ -z "${CI:-}" ] || exit 1
    exit 0
fi

echo "Installing the servers that live tests start:$missing" >&2
# Debian starts a freshly installed server unless this file says no (101). One that stands already is left alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
    trap '$as_root rm -f "$policy"' EXIT
fi

$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive $line >/dev/null
