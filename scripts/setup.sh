#!/bin/sh
# setup.sh REQUIREMENTS [tests]: make .venv and install REQUIREMENTS into it, once; for tests also
# a browser and Java.
# What is missing on the machine is fetched by apt where we are root, else named in one sentence.
set -eu
cd "$(dirname "$0")/.."

fetch() { # fetch WHAT PACKAGE...
    what=$1
    shift
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing $what ..."
        if { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq "$@"; } >/tmp/aina-apt.log 2>&1; then
            return 0
        fi
        echo "apt could not install $what; see /tmp/aina-apt.log." >&2
        return 1
    fi
    echo "$what is missing; install it (on Debian or Ubuntu: apt-get install $*) and try again." >&2
    return 1
}

usable() { # a Python 3.11 that can make a virtual environment and compile against itself
    "$1" -c '
import os, sys, sysconfig, ensurepip, venv
sys.exit(sys.version_info[:2] != (3, 11)
         or not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))
' 2>/dev/null
}

find_python() {
    for candidate in ${AINA_PYTHON:-} python3.11 python3 /usr/bin/python3.11; do
        if usable "$candidate"; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

if ! { [ -x .venv/bin/python ] && .venv/bin/python -c "import pip" 2>/dev/null; }; then
    python=$(find_python) || {
        fetch "Python 3.11 with venv and headers" python3.11 python3.11-venv python3.11-dev
        python=$(find_python) || { echo "No usable Python 3.11 was found." >&2; exit 1; }
    }
    "$python" -m venv --clear .venv
fi

installed=".venv/.installed-$(cat requirements*.txt | cksum | cut -d ' ' -f 1)"
# requirements-dev.txt contains requirements.txt
if [ ! -e "$installed-$1" ] && [ ! -e "$installed-requirements-dev.txt" ]; then
    command -v g++ >/dev/null || command -v c++ >/dev/null || fetch "A C++ compiler" g++
    echo "Installing $1 into .venv (some minutes the first time) ..."
    .venv/bin/python -m pip install -q --disable-pip-version-check -r "$1"
    touch "$installed-$1"
fi

if [ "${2:-}" = tests ]; then
    found=
    for candidate in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$candidate" >/dev/null && found=yes
    done
    [ -n "$found" ] || [ -n "${AINA_BROWSER:-}" ] || fetch "A browser for the tests" chromium ||
        echo "*** NO BROWSER: the browser tests are skipped. ***" >&2
    command -v java >/dev/null || [ -n "${JAVA_HOME:-}" ] ||
        fetch "Java for the tests of Spark" openjdk-17-jre-headless ||
        echo "*** NO JAVA: the tests of Spark are skipped. ***" >&2
fi
