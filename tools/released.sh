#!/bin/bash
# Prints the commit with which what is new is compared: that of the last tag or,
# where there is none, the one that changed VERSION last. Fails, and says why, where
# there is nothing to compare.
set -euo pipefail
if [[ $(git rev-parse --is-shallow-repository) == true ]]; then
  echo 'the history is shallow' >&2
  exit 1
fi
base=$(git describe --tags --abbrev=0 2>/dev/null || git log -1 --format=%H -- VERSION)
if [[ -z $base ]]; then
  echo 'there is no tag, and no commit that changed VERSION' >&2
  exit 1
fi
base=$(git rev-parse "$base^{commit}")
if [[ $base == $(git rev-parse HEAD) ]]; then
  echo "this is the commit of $(git show HEAD:VERSION)" >&2
  exit 1
fi
echo "$base"
