#!/bin/sh
# Names what is missing on this machine, with the Debian package that brings it, before anything starts.
python=${1:-python3}
missing=""

need() {  # need COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing="$missing
  $1 is missing: apt-get install $2"
}

need "$python" python3
need g++ g++
need make make
need perl perl
if command -v "$python" >/dev/null 2>&1; then
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || missing="$missing
  $python is $("$python" -V 2>&1), needed is 3.11 or later: apt-get install python3.11 (then make PYTHON=python3.11 …)"
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || missing="$missing
  $python cannot make virtual environments: apt-get install python3-venv"
fi
if [ -n "$missing" ]; then
    echo "hwgen: this machine lacks what the project builds with:$missing" >&2
    exit 1
fi
