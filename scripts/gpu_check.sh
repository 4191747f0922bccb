#!/usr/bin/env bash
# Builds bilens with CUDA into build-gpu and runs the tests that need a GPU, the tests of the program on it, and the
# benchmarks for it. For a machine that has a GPU, the CUDA toolkit and a Python with torch, transformers, numpy and
# safetensors; needs no network and touches neither build/ nor .venv.
#
# Usage: scripts/gpu_check.sh [--torch PATH] [--jobs N]
#
#   --torch PATH   the LibTorch to use: a folder with include/ and lib/, or a Python whose torch is taken;
#                  default: python3
#   --jobs N       compile N files at a time
#   --help         show this

# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

torch=python3 jobs=$(default_jobs)
while (($#)); do
  case $1 in
    --torch) torch=$(value_of "$@"); shift ;;
    --jobs) jobs=$(number_of "$@"); shift ;;
    --help | -h) usage && exit ;;
    *) usage_error "unknown argument '$1'" ;;
  esac
  shift
done

# All that is missing at once.
problems=()
nvcc=$(find_nvcc) ||
  problems+=("no nvcc on PATH or in /usr/local/cuda/bin: install the CUDA toolkit that fits the torch")
have_gpu || problems+=("no NVIDIA GPU: nvidia-smi finds none")
if torch_root=$(cd "$start" && torch_root_of "$torch" 2>&1); then
  [[ -e $torch_root/lib/libtorch_cuda.so ]] ||
    problems+=("the LibTorch in $torch_root is a CPU build: name another with --torch")
else
  problems+=("${torch_root#*: } Name one with --torch PATH")
fi
export PATH=$PATH:$PWD/.venv/bin
for tool in cmake ctest ninja; do
  have $tool || problems+=("no $tool on PATH (pip install 'cmake==3.31.*' ninja)")
done
if ((${#problems[@]})); then
  printf 'gpu_check.sh: %s\n' "${problems[@]}" >&2
  exit 1
fi

say "LibTorch: $torch_root"
say "CUDA: $nvcc, $(cuda_release "$nvcc")"
use_nvcc "$nvcc"
cmake --preset cuda -B build-gpu -DBILENS_TORCH="$torch_root" -DCMAKE_CUDA_ARCHITECTURES=native
cmake --build build-gpu -j "$jobs"

results=build-gpu/gpu_check.log
ctest --test-dir build-gpu -L gpu --no-tests=error --output-on-failure | tee $results
if grep -qE '\*+Skipped|Not Run' $results; then
  die "tests that need a GPU were skipped although there is one."
fi
BILENS_TEST_DEVICE=cuda ctest --test-dir build-gpu -L cli --output-on-failure -j 4
python3 scripts/bench_gpu.py --bilens build-gpu/bilens
data=${BILENS_TEST_DATA:-../shared/data}/mnist
[[ -d data/mnist ]] && data=data/mnist
if [[ -d $data ]]; then
  python3 scripts/bench_train.py --bilens build-gpu/bilens --device cuda --data "$data"
else
  say "No MNIST in data/mnist: the benchmark of training on it is left out."
fi
