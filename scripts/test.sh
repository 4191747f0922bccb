#!/usr/bin/env bash
# Builds bilens where needed (scripts/setup.sh) and runs its tests; the last lines are ctest's summary.
#
# Usage: scripts/test.sh [CTEST ARGUMENT...]       for instance  scripts/test.sh -R get_data   or   -LE slow
#
# Environment: BILENS_TEST_DATA names the folder with the optional test data (default ../shared/data); tests that
# need what is not there are skipped and say so, or fail with BILENS_REQUIRE_DATA=1.

# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

usage_if_asked "$@"
ensure_built all
PATH=$PWD/.venv/bin:$PATH exec ctest --test-dir build --output-on-failure -j "$(($(default_jobs) + 1))" "$@"
