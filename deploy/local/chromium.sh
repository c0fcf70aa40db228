#!/bin/sh
# Prints the path of a Chromium: CHROMIUM_PATH, one on PATH, or Playwright's own download. Its
# headless shell comes first, because it takes a third of the processor time of the whole browser.
# With --install it gets one first when there is no shell; that fails only in CI, where browser tests
# must not be skipped.
set -u
cd "$(dirname "$0")/../.."

find_shell() {
    if [ -n "${CHROMIUM_PATH:-}" ]; then echo "$CHROMIUM_PATH"; return 0; fi
    command -v chromium-headless-shell
}

find_any() {
    find_shell && return 0
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" && return 0
    done
    own=$(.venv/bin/python -c 'from playwright.sync_api import sync_playwright as s
with s() as p: print(p.chromium.executable_path)' 2>/dev/null)
    [ -n "$own" ] && [ -x "$own" ] && echo "$own"
}

apt_install() {
    echo "Installing $1 for the browser tests …" >&2
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$1"; } >&2
}

# Not sought again where there is none.
shell_install() {
    sought=.cache/headless-shell-sought
    [ -e "$sought" ] && return 1
    mkdir -p .cache && touch "$sought"
    apt_install chromium-headless-shell
}

debian_root() { [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; }

[ "${1:-}" = "--install" ] || { find_any; exit 0; }
find_shell && exit 0
if debian_root && shell_install && find_shell; then exit 0; fi
find_any && exit 0
if debian_root; then apt_install chromium; else .venv/bin/playwright install chromium >&2; fi
find_any && exit 0
echo "No Chromium: set CHROMIUM_PATH to one. The browser tests cannot run." >&2
[ -z "${CI:-}" ]
