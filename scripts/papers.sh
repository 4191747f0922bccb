#!/usr/bin/env bash
# Repeats what the papers on bilinear MLPs measured, one row at a time, and writes published and own numbers side by
# side, with a verdict and a figure, into docs/papers.md.
#
# Usage: scripts/papers.sh ROW...|all [--seeds N] [--jobs N] [--check]
#
#   ROW          a row of docs/papers.md; --list names them
#   --seeds N    runs of each setting (default 5)
#   --jobs N     runs at a time, with one thread each (default: one a core)
#   --check      repeat the smallest run on record and compare it with the record; writes nothing
#
# A finished run is kept in docs/papers/ROW.jsonl, and no run on record is repeated: a command that was stopped goes on
# where it was. Models are kept in runs/papers. The images come from data/mnist and data/fashion-mnist
# (scripts/get_data.sh), else from ../shared/data.

# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

usage_if_asked "$@"
(($#)) || usage_error "which row? scripts/papers.sh --list names them"
[[ -x build/bilens && -x .venv/bin/python ]] || scripts/setup.sh --python
PYTHONPATH=scripts PATH=$PWD/.venv/bin:$PATH exec .venv/bin/python -m papers "$@"
