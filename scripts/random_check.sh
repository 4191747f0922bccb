#!/usr/bin/env bash
# Decomposes random small layers of awkward kinds (sizes of 1e-45 to 1e30, clusters, low ranks, units that cancel) and
# holds every stored number against long double and mpmath: tests/cli/test_random_forms.py, for as long as is asked for.
#
# Usage: scripts/random_check.sh [--minutes N] [--seed N]
#
#   --minutes N   how long (default 60)
#   --seed N      of the first file; the next ones count on (default: from the clock)
#   --help        show this

# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

minutes=60 seed=$(date +%s)
while (($#)); do
  case $1 in
    --minutes) minutes=$(number_of "$@"); shift ;;
    --seed) seed=$(number_of "$@"); shift ;;
    --help | -h) usage && exit ;;
    *) usage_error "unknown argument '$1'" ;;
  esac
  shift
done
ensure_built program
say "Random layers for $minutes minutes, from seed $seed."
BILENS_RANDOM_MINUTES=$minutes BILENS_RANDOM_SEED=$seed PYTHONPATH=tests/support BILENS=build/bilens \
  exec .venv/bin/python -m unittest -v tests/cli/test_random_forms.py
