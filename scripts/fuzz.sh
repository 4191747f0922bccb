#!/usr/bin/env bash
# Runs the parsers of foreign files (safetensors, PyTorch checkpoints, llama2.c, JSON index, tokenizer.json) on made-up
# inputs with libFuzzer, under the address and undefined-behaviour sanitizers. Ends with an error at the first finding
# and keeps the input in build-fuzz/findings.
#
# Usage: scripts/fuzz.sh [SECONDS]        each parser; default 60
#
# Needs clang with its run-time library (Debian: clang libclang-rt-14-dev) beside what scripts/setup.sh installs.

# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

usage_if_asked "$@"
seconds=60
if (($#)); then seconds=$(number_of SECONDS "$1"); fi
export PATH=$PWD/.venv/bin:$PATH
if ! have clang++ && can_apt; then apt_install clang libclang-rt-14-dev; fi
have clang++ || die "clang++ is not there; install it, for instance with: sudo apt-get install clang libclang-rt-14-dev"

torch_root=
if [[ -n ${BILENS_TORCH:-} ]]; then torch_root=$(torch_root_of "$BILENS_TORCH"); fi
cmake --preset fuzz -DBILENS_TORCH="$torch_root"
parsers=(safetensors torch llama2c index tokenizer)
cmake --build build-fuzz -j "${BILENS_JOBS:-$(default_jobs)}" --target "${parsers[@]/#/fuzz_}"

seeds=build-fuzz/seeds
python3 scripts/make_fuzz_seeds.py $seeds
mkdir -p build-fuzz/findings
for parser in "${parsers[@]}"; do
  say "$parser: $seconds s"
  mkdir -p "build-fuzz/corpus/$parser"
  # LibTorch keeps what it allocates at start-up: no leak check.
  ASAN_OPTIONS=detect_leaks=0 "build-fuzz/tests/fuzz/fuzz_$parser" \
    -max_total_time="$seconds" -max_len=8192 -timeout=10 \
    -rss_limit_mb=4096 -print_final_stats=1 -verbosity=0 -artifact_prefix="build-fuzz/findings/$parser-" \
    "build-fuzz/corpus/$parser" "$seeds/$parser" ||
    die "$parser: a finding, see build-fuzz/findings"
done
say "No finding."
