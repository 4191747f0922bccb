# Shared by the scripts of this folder, which source it first: an error ends the script, and the repository root is the
# working directory.
# shellcheck shell=bash
set -euo pipefail
# shellcheck disable=SC2034 # used by the scripts
start=$PWD # what paths on the command line are relative to
from_start() { (cd "$start" && realpath -m -- "$1"); }
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Written by setup.sh: where and for what build/ was configured.
configured_mark=build/.bilens-setup

say() { echo "$*"; }
die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# The usage comment at the top of the script is its help.
usage() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "scripts/${0##*/}"; }
usage_error() {
  echo "${0##*/}: $*. See scripts/${0##*/} --help" >&2
  exit 2
}

# usage_if_asked "$@": where the first argument is --help, that is all the script does.
usage_if_asked() {
  if [[ ${1:-} == --help || ${1:-} == -h ]]; then
    usage
    exit
  fi
}

# value_of "$@", number_of "$@": what stands behind the flag $1.
value_of() {
  (($# > 1)) || usage_error "$1 needs a value"
  printf '%s\n' "$2"
}
number_of() {
  [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || usage_error "$1 needs a number, not '${2:-}'"
  echo "$2"
}

have() { command -v "$1" >/dev/null; }

find_nvcc() { command -v nvcc || { [[ -x /usr/local/cuda/bin/nvcc ]] && echo /usr/local/cuda/bin/nvcc; }; }
have_gpu() { nvidia-smi -L &>/dev/null || [[ -e /dev/nvidia0 ]]; }
# cuda_release NVCC, such as 13.0
cuda_release() { "$1" --version | sed -n 's/.*release \([0-9.]*\).*/\1/p'; }
# use_nvcc NVCC: CMake takes this one and finds the tools beside it.
use_nvcc() { export CUDACXX=${CUDACXX:-$1} PATH=$PATH:${1%/*}; }

# torch_root_of PATH: the folder with LibTorch's include/ and lib/, PATH being that folder or a Python.
torch_root_of() {
  local root=$1
  if [[ ! -d $1 ]]; then
    have "$1" || die "LibTorch: '$1' is neither a folder nor a Python."
    local find="import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
    root=$("$1" -c "$find" 2>/dev/null) ||
      die "LibTorch: the Python '$1' has no torch."
  fi
  [[ -e $root/include/ATen/ATen.h && -e $root/lib/libtorch_cpu.so ]] ||
    die "LibTorch: '$root' lacks include/ATen/ATen.h or lib/libtorch_cpu.so."
  (cd "$root" && pwd)
}

# --- apt-get ---

# As root, or through sudo where it needs no password or someone can type it.
can_apt() { have apt-get && { ((EUID == 0)) || { have sudo && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; }; }; }
as_root() { if ((EUID == 0)); then "$@"; else sudo "$@"; fi; }

# apt_install PACKAGE...: those that apt knows; says the size before downloading.
apt_install() {
  local package known=() megabytes
  for package; do
    if apt-cache show "$package" &>/dev/null; then known+=("$package"); fi
  done
  ((${#known[@]})) || return 0
  megabytes=$(apt-get install -y --no-install-recommends --print-uris "${known[@]}" |
    awk '/^\x27/ {sum += $3} END {printf "%.0f", sum / 1e6 + 0.5}')
  say "apt-get install ${known[*]}: downloads about $megabytes MB."
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${known[@]}"
}

# --- build/ ---

# One a core, but at least 2 GB of memory each: a file that includes LibTorch takes that much.
default_jobs() {
  local cores gigabytes
  cores=$(nproc)
  gigabytes=$(awk '/MemTotal/ {print int($2 / 2097152)}' /proc/meminfo)
  echo $((gigabytes < 1 ? 1 : gigabytes < cores ? gigabytes : cores))
}

# ensure_built program|all: makes build/ where there is none (or it was moved here), else brings it up to date as it was
# configured; all: with the tests.
ensure_built() {
  local target=all flags=(--tests)
  if [[ $1 == program ]]; then target=bilens_program flags=(); fi
  if [[ -e build/build.ninja && $(cat $configured_mark 2>/dev/null || echo "$PWD:") == "$PWD:"* ]]; then
    say "Build: bringing build/ up to date."
    PATH=$PWD/.venv/bin:$PATH cmake --build build -j "$(default_jobs)" --target $target
  else
    scripts/setup.sh "${flags[@]}"
  fi
}
