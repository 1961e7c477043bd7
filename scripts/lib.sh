# Shared by the scripts beside it, which source it from the top of the repository.

PYTHON_FLOOR="3.10"

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# The first Python that is new enough; $PYTHON chooses another.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python3.10 python}; do
        if "$candidate" -c "import sys; sys.exit(sys.version_info < (${PYTHON_FLOOR/./, }))" 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "needs Python $PYTHON_FLOOR or newer: install it, or name it, as in PYTHON=/path/to/python $0"
}

# once STAMP FILE... -- COMMAND...: runs the command, unless it has succeeded for these very files.
# A move of the checkout counts as a change: virtual environments hold absolute paths.
once() {
    local stamp=$1 files=() want
    shift
    while [ "$1" != -- ]; do
        files+=("$1")
        shift
    done
    shift
    want="$PWD $* $(cat "${files[@]}" | cksum)"
    [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && return
    "$@" || return
    printf '%s\n' "$want" >"$stamp"
}

# Makes .venv, or makes it anew where its Python no longer runs.
ensure_venv() {
    .venv/bin/python -m pip --version >/dev/null 2>&1 && return
    local python
    python=$(find_python) || exit 1
    "$python" -m venv --clear .venv >/dev/null ||
        fail "$python cannot make virtual environments: install its venv module (Debian: apt-get install python3-venv)"
}

# pip_install STAMP REQUIREMENT...: what setup.py and demo/setup.py ask for, into .venv. Compiles what is in C.
pip_install() {
    local stamp=$1
    shift
    once ".venv/.$stamp.stamp" setup.py demo/setup.py pyramid_socketio/_speedups.c -- \
        .venv/bin/python -m pip --disable-pip-version-check install --quiet "$@" ||
        fail "pip could not install $*; the lines above say why (no network?)"
}

# npm_install DIRECTORY: what its package.json asks for.
npm_install() {
    command -v node >/dev/null && command -v npm >/dev/null ||
        fail "needs Node and npm (Debian: apt-get install nodejs npm)"
    once "$1/node_modules/.stamp" "$1/package.json" -- \
        npm --prefix "$1" install --no-package-lock --no-audit --no-fund --loglevel=error ||
        fail "npm could not install what $1/package.json names; the lines above say why (no network?)"
}
