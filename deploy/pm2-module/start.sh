#!/bin/sh
# monitord as a module of PM2. The first start makes a virtual environment beside this file and installs the wheel that
# the package carries; every start then becomes monitord. Settings are read from monitord/.env in PM2's home, which an
# update of the module leaves alone.
#
# SIGUSR1 asks for a check and SIGHUP for a reload: either would kill a shell, or a Python that is still starting. What a
# shell ignores stays ignored in the program it becomes.
trap "" USR1 HUP
here=$(dirname -- "$(readlink -f -- "$0")")
home=${PM2_HOME:-$HOME/.pm2}/monitord

if [ ! -e "$here/venv/.ready" ]; then
  for name in python3 python3.14 python3.13 python3.12 python3.11; do
    "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && python=$name && break
  done
  if [ -z "$python" ]; then
    echo "monitord needs Python 3.11 or newer on the PATH of PM2" >&2
    exit 2
  fi
  rm -rf "$here/venv"
  if ! { "$python" -m venv "$here/venv" && "$here/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$here"/*.whl; } >&2; then
    echo "monitord could not be installed with $python; on Debian and Ubuntu, python3-venv is needed" >&2
    exit 1
  fi
  : >"$here/venv/.ready"
fi

mkdir -p "$home" && cd "$home" || exit 2
exec "$here/venv/bin/monitord-python" "$here/venv/bin/monitord" run
