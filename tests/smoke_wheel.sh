#!/usr/bin/env bash
# Build the wheel, install it into a clean environment, and use it there from an empty folder that is no checkout.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$root/.venv/bin/python" -m build --wheel --outdir "$work/dist" "$root" >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$root/constraints.txt" "$work"/dist/*.whl

mkdir "$work/empty" && cd "$work/empty"
bridge="$work/venv/bin/outcome-bridge"
"$bridge" --version
"$bridge" check
status=0
"$bridge" run --data "$root/fixtures/export" --out results --format json >run.json || status=$?
test "$status" -eq 3   # the export is messy on purpose
test "$(grep -c . results/cohort.csv)" -eq 260   # a header and 259 patients
grep -q "synthetic" results/report.html
status=0
"$bridge" run --data nowhere --out other 2>error.txt || status=$?
test "$status" -eq 2 && test "$(wc -l <error.txt)" -eq 1 && test ! -e other
view=$("$work/venv/bin/python" -c 'import mappings, pathlib; print(pathlib.Path(mappings.__file__).parent / "msis29_venoplasty/views/patient.json")')
test "$("$bridge" view "$view" --data "$root/fixtures/export/Patient.ndjson" --output ndjson | wc -l)" -gt 250
echo "wheel: installed and used from an empty folder"
