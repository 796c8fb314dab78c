#!/bin/bash
# Runs the Go benchmarks of packages at a commit and in this tree, in turn, and
# compares them: compare.sh COMMIT 'PACKAGES' BENCHSTAT
set -euo pipefail
base=$1 benchstat=$3
read -ra packages <<<"$2"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/base"
git archive "$base" | tar -x -C "$work/base"

measure() { # DIRECTORY RESULTS
  (cd "$1" && go test -run '^$' -bench . -benchmem -benchtime "${BENCHTIME:-200ms}" "${packages[@]}") >>"$2" 2>"$work/errors" ||
    { cat "$work/errors" >&2; exit 1; }
}

# In turn, so that what changes on the machine meets both alike.
for _ in $(seq "${ROUNDS:-6}"); do
  measure "$work/base" "$work/base.txt"
  measure . "$work/now.txt"
done
"$benchstat" "$base=$work/base.txt" "now=$work/now.txt"
