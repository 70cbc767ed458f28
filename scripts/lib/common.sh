# Shared by the shell scripts: where things are, how to say things, how to give up.
# In: nothing. Out: functions and ROOT, CACHE. Sourced, never run.
# Every refusal is one line that carries its cure.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
CACHE="$ROOT/.cache"
JOBS="${SLUICE_JOBS:-$(nproc)}"
# Root may meet a checkout of another user; git then refuses to answer without this.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0="$ROOT"
# A Debian machine's own Python carries Debian's pytest and yaml.
PYTHON=/usr/bin/python3

say() { printf '%s\n' "$*"; }
die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 2
}
elapsed() { printf '%dm%02ds' $((SECONDS / 60)) $((SECONDS % 60)); }

# configure DIR OPTIONS...: a build directory with these options, kept when it is there already.
configure() {
    local dir="$1"
    shift
    if [ -f "$ROOT/$dir/build.ninja" ]; then return 0; fi
    meson setup "$ROOT/$dir" "$ROOT" "$@" >"$CACHE/meson-$dir.log" 2>&1 ||
        die "meson setup $dir failed: see $CACHE/meson-$dir.log"
}
