#!/usr/bin/env bash
# Measures bilens beside what a user would write in Python, in one run: interleaved, the same threads, the median of
# five. Prints the ratios and writes them, with the machine, into docs/benchmarks.md.
#
# Usage: scripts/bench.sh train [--data DIR] [--rounds N]
#
#   train        training speed (width 256; width 512 with noise) and decomposition of the trained classifier
#   --data DIR   full MNIST (default: data/mnist, else ../shared/data/mnist)
#   --rounds N   measurements of each (default 5)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
  usage
  exit
fi
[[ ${1:-} == train ]] || usage_error "which benchmark? 'train'"
scripts/setup.sh --bench
PATH=$PWD/.venv/bin:$PATH exec .venv/bin/python scripts/bench_train.py "${@:2}"
