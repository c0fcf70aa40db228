#!/bin/sh
# Prints the path of a Chromium: CHROMIUM_PATH, one on PATH, or Playwright's own download.
# With --install it gets one first when there is none; that fails only in CI, where browser tests
# must not be skipped.
set -u
cd "$(dirname "$0")/../.."

find_one() {
    if [ -n "${CHROMIUM_PATH:-}" ]; then echo "$CHROMIUM_PATH"; return 0; fi
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" && return 0
    done
    own=$(.venv/bin/python -c 'from playwright.sync_api import sync_playwright as s
with s() as p: print(p.chromium.executable_path)' 2>/dev/null)
    [ -n "$own" ] && [ -x "$own" ] && echo "$own"
}

find_one && exit 0
[ "${1:-}" = "--install" ] || exit 0
if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
    echo "Installing Chromium for the browser tests …" >&2
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >&2
else
    .venv/bin/playwright install chromium >&2
fi
find_one && exit 0
echo "No Chromium: set CHROMIUM_PATH to one. The browser tests cannot run." >&2
[ -z "${CI:-}" ]
