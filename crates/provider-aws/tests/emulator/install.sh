#!/usr/bin/env bash
# Makes a Python environment with what the emulator needs, once: install.sh FOLDER
set -euo pipefail
folder=$1
here=$(cd "$(dirname "$0")" && pwd)
wanted=$(sha256sum "$here/requirements.txt" | cut -d' ' -f1)
mkdir -p "$(dirname "$folder")"
# Several test programs may come at once; one installs, the others wait.
exec 9>"$folder.lock"
flock 9
if [ -x "$folder/bin/python" ] && [ "$(cat "$folder/wanted" 2>/dev/null)" = "$wanted" ]; then exit 0; fi
rm -rf "$folder"
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
echo "$wanted" >"$folder/wanted"
