#!/usr/bin/env bash
# The main job from end to end on the 5,000 MNIST images in data/mnist-5k, in the folder runs/demo: train, evaluate,
# decompose, report. Each command is shown before it runs; the last line printed is the report's path.
#
# Usage: scripts/demo.sh
#
# Running it again continues what was interrupted and repeats nothing that is done; for a fresh start move
# runs/demo away first.

# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

usage_if_asked "$@"
(($# == 0)) || usage_error "unknown argument '$1'"

run() {
  printf '\n$ %s\n' "$*"
  "$@"
}
# resume_if_there DIR: --resume where an earlier run left DIR.
resume_if_there() { [[ ! -e $1 ]] || echo --resume; }

ensure_built program
out=runs/demo
# shellcheck disable=SC2046 # no word or one
run build/bilens train configs/demo.json --out $out $(resume_if_there $out)
run build/bilens evaluate $out/model
# shellcheck disable=SC2046
run build/bilens decompose $out/model $(resume_if_there $out/model/decomposition)
run build/bilens report $out --out $out/report.html
printf '\nOpen this page in a browser:\n%s\n' "$PWD/$out/report.html"
