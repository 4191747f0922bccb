#!/usr/bin/env bash
# Packs the Python package for machines without any development package: one wheel in dist/, with the program `bilens`,
# and with the libraries that it needs beside torch's. It runs where the C library is at least as new as here.
#
# Usage: scripts/wheel.sh
#
# Compiles in build-wheel/, about ten minutes on two cores the first time.

# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

usage_if_asked "$@"
(($# == 0)) || usage_error "unknown argument '$1'"

scripts/setup.sh --python --no-build
export PATH=$PWD/.venv/bin:$PATH
if nvcc=$(find_nvcc); then use_nvcc "$nvcc"; fi
mkdir -p build-wheel/plain dist
rm -f build-wheel/plain/*.whl dist/*.whl
say "Wheel: compiling."
python -m pip wheel --no-deps --no-build-isolation --wheel-dir build-wheel/plain .
say "Wheel: packing the libraries that it needs."
# torch and NVIDIA's libraries come with the torch that the package depends on.
python -m auditwheel repair --wheel-dir dist --exclude 'libtorch*' --exclude 'libc10*' --exclude 'libcu*' \
  --exclude 'libnv*' --exclude 'libgomp*' build-wheel/plain/*.whl
say "Ready: $(echo dist/*.whl)"
