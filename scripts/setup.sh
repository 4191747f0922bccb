#!/usr/bin/env bash
# Makes bilens ready to run: system packages, a local environment (.venv) with the build tools and LibTorch, the
# program. Running it again does only what is missing; after an interruption, run it again.
#
# Usage: scripts/setup.sh [--cpu | --cuda] [--torch PATH] [--tests] [--python] [--dev]
#        [--bench] [--browser] [--lint] [--no-build] [--jobs N]
#
#   --cpu          build without CUDA; the default where there is no NVIDIA GPU or no nvcc
#   --cuda         build with CUDA even where there is no GPU; needs nvcc, and downloads 2.2 GB more
#   --torch PATH   use this LibTorch instead of downloading one: a folder with include/ and lib/, or a Python
#                  whose torch is taken; environment variable BILENS_TORCH does the same
#   --tests        also build the tests, as scripts/test.sh does
#   --python       also build the Python package and make it importable in .venv, and install what runs the notebooks;
#                  `import torch` needs 2.2 GB more
#   --dev          compile each source file alone, not in batches: a whole build takes three times as long, one after
#                  a change is shorter. This, --cpu and --cuda stay for later calls, until build/ is removed
#   --bench        also install what `import torch` and the benchmarks against Python need, 2.2 GB with --cpu too
#   --browser      also install headless Chromium (by apt-get) and what the tests of the report drive it with
#   --lint         also install what formats and checks our sources and builds the documents
#   --no-build     stop after the packages and the environment
#   --jobs N       compile N files at a time (default: one a core, at least 2 GB of memory each)
#   --help         show this
#
# Environment: PYTHON names the Python (3.10 or newer) that makes .venv; default python3.

# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

torch=${BILENS_TORCH:-} cuda=auto tests=no package=no unity=auto bench=no browser=no lint=no build=yes jobs=
while (($#)); do
  case $1 in
    --cpu) cuda=no ;;
    --cuda) cuda=yes ;;
    --tests) tests=yes ;;
    --python) package=yes ;;
    --dev) unity=OFF ;;
    --bench) bench=yes ;;
    --browser) browser=yes ;;
    --lint) lint=yes ;;
    --no-build) build=no ;;
    --torch) torch=$(value_of "$@"); shift ;;
    --jobs) jobs=$(number_of "$@"); shift ;;
    --help | -h) usage && exit ;;
    *) usage_error "unknown argument '$1'" ;;
  esac
  shift
done

# --- System packages -------------------------------------------------------------------------------------------

# have_library PACKAGE HEADER: by the package manager where there is Debian's, else by compiling.
have_library() {
  if have dpkg-query; then
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed* ]]
  else
    echo "#include <$2>" | "${CXX:-g++}" -fsyntax-only -x c++ - 2>/dev/null
  fi
}

find_missing_packages() {
  needed=() helpful=()
  have "${CXX:-g++}" || needed+=(g++)
  have_library zlib1g-dev zlib.h || needed+=(zlib1g-dev)
  have_library libzip-dev zip.h || needed+=(libzip-dev)
  have_library libssl-dev openssl/sha.h || needed+=(libssl-dev)
  have_library libicu-dev unicode/uregex.h || needed+=(libicu-dev)
  have_library libgloo-dev gloo/context.h || needed+=(libgloo-dev)
  [[ -x .venv/bin/python ]] || find_python || needed+=(python3 python3-venv)
  have git || helpful+=(git)
  have curl || helpful+=(curl)
  have ccache || helpful+=(ccache)
  have_library libspdlog-dev spdlog/spdlog.h || helpful+=(libspdlog-dev)
  have_library nlohmann-json3-dev nlohmann/json.hpp || helpful+=(nlohmann-json3-dev)
  have_library libcxxopts-dev cxxopts.hpp || helpful+=(libcxxopts-dev)
  have_library libsentencepiece-dev sentencepiece_trainer.h || helpful+=(libsentencepiece-dev)
  have_library catch2 catch2/catch.hpp || helpful+=(catch2)
  if [[ $browser == yes ]] && ! have chromedriver; then helpful+=(chromium chromium-driver); fi
}

# A Python of a version that has wheels, able to make an environment.
find_python() {
  for python in "${PYTHON:-python3}" /usr/bin/python3; do
    "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && return
  done
  return 1
}

install_packages() {
  find_missing_packages
  if ((${#needed[@]} + ${#helpful[@]} == 0)); then
    say "System packages: all there."
    return
  fi
  if can_apt; then
    local all=("${needed[@]}" "${helpful[@]}")
    say "System packages: ${all[*]} missing; asking apt-get for them."
    as_root apt-get update -qq || say "apt-get update failed; trying with the package lists at hand."
    apt_install "${all[@]}" || say "apt-get failed."
    find_missing_packages
  fi
  if ((${#needed[@]})); then
    die "Missing (Debian's names): ${needed[*]}. Install them, for instance with
  sudo apt-get install ${needed[*]} ${helpful[*]}
and run scripts/setup.sh again. (python3 must be 3.10 or newer and able to make environments.)"
  fi
  if ((${#helpful[@]})); then
    say "Not there, and not needed: ${helpful[*]} (Debian's names). CMake fetches the libraries among them;" \
      "ccache makes rebuilding faster, curl downloads data sets."
  fi
}

# --- LibTorch and the local environment ------------------------------------------------------------------------

# What build/ was configured for stays, where no flag says otherwise: the choice of CUDA only if it was made by a flag.
keep_choices() {
  local before=
  if [[ $package == yes ]]; then module=ON; else module=OFF; fi
  if [[ -e build/build.ninja && -e $configured_mark ]]; then before=$(<$configured_mark); fi
  if [[ $before == "$PWD: "* ]]; then
    if [[ $cuda == auto && $before == *", CUDA as asked"* ]]; then
      if [[ $before == *"preset cuda"* ]]; then cuda=yes; else cuda=no; fi
    fi
    if [[ $unity == auto && $before == *", each file alone"* ]]; then unity=OFF; fi
    if [[ $before == *", Python package"* ]]; then module=ON; fi
  fi
  if [[ $unity == auto ]]; then unity=ON; fi
}

# Sets preset (cpu or cuda), lists (the requirement files to install) and, for a named LibTorch, torch_root.
choose() {
  local nvcc release
  preset=cpu torch_root=
  if [[ $cuda == no ]]; then
    say "CUDA: off, as chosen."
  elif [[ $cuda == auto ]] && ! have_gpu; then
    say "CUDA: off, no NVIDIA GPU here (--cuda builds the kernels all the same)."
  elif ! nvcc=$(find_nvcc); then
    [[ $cuda == auto ]] || die "--cuda: no nvcc on PATH or in /usr/local/cuda/bin. Put it there, or take --cpu."
    say "CUDA: off, no nvcc on PATH or in /usr/local/cuda/bin."
  else
    preset=cuda
    release=$(cuda_release "$nvcc")
    if [[ -z $torch && $release != 13.* ]]; then
      [[ $cuda == auto ]] ||
        die "--cuda: $nvcc is release $release and the torch wheel needs 13; name a LibTorch with --torch."
      preset=cpu
      say "CUDA: off, $nvcc is release $release and the torch wheel needs 13; name a fitting LibTorch with --torch."
    fi
  fi
  lists=(base)
  if [[ -n $torch ]]; then
    torch_root=$(cd "$start" && torch_root_of "$torch")
    if [[ $preset == cuda && ! -e $torch_root/lib/libtorch_cuda.so ]]; then
      [[ $cuda == auto ]] || die "--cuda: $torch_root has no libtorch_cuda.so; name another with --torch."
      preset=cpu
      say "CUDA: off, $torch_root has no libtorch_cuda.so."
    fi
    say "LibTorch: $torch_root, as named."
  else
    lists+=(torch-cpu)
    [[ $preset == cuda ]] && lists+=(torch-cuda)
  fi
  [[ $preset == cuda ]] && say "CUDA: on, $nvcc ($release)."
  if [[ $bench == yes || $package == yes ]]; then
    [[ -z $torch ]] || die "--bench and --python install the torch wheel; leave out --torch and BILENS_TORCH."
    lists=(base torch-cpu torch-cuda bench)
  fi
  if [[ $package == yes ]]; then lists+=(python notebooks); fi
  if [[ $browser == yes ]]; then lists+=(browser); fi
  if [[ $lint == yes ]]; then lists+=(lint); fi
}

make_environment() {
  # A moved environment has the old path in its programs.
  local moved=no
  if [[ -e $moved_mark && $(<$moved_mark) != "$PWD" ]]; then moved=yes; fi
  if [[ -e .venv ]] && { ! .venv/bin/python -m pip --version &>/dev/null || [[ $moved == yes ]]; }; then
    [[ -e .venv/pyvenv.cfg || -z $(ls -A .venv) ]] || die ".venv is there but is no Python environment: move it away."
    say "Environment: .venv is broken or was moved; making it anew."
    find_python || die "No Python 3.10 or newer that can make environments; install python3 python3-venv."
    "$python" -m venv --clear .venv
  elif [[ ! -e .venv ]]; then
    find_python || die "No Python 3.10 or newer that can make environments; install python3 python3-venv."
    say "Environment: making .venv with $("$python" --version) ($(command -v "$python"))."
    "$python" -m venv .venv
  fi
  echo "$PWD" >$moved_mark
}

# What an interrupted pip leaves: packages without their list of files, and renamed old ones.
remove_half_installed() {
  find .venv/lib/python*/site-packages -maxdepth 1 \
    \( -name '~*' -o -name '*.dist-info' ! -exec test -e '{}/RECORD' \; \) -exec rm -rf {} +
}

# Lines of a requirement file whose pin is not installed.
missing_pins() {
  local installed line
  installed=$(.venv/bin/python -m pip list --format=freeze --disable-pip-version-check)
  while read -r line; do
    [[ $line == [a-zA-Z]* ]] && ! grep -qixF "${line%% *}" <<<"$installed" && echo "$line"
  done <"$1"
  return 0
}

install_requirements() {
  local list file sum pending=() megabytes disk free
  moved_mark=.venv/bilens-path
  for list in "${lists[@]}"; do
    sum=$(sha256sum <"scripts/requirements/$list.txt")
    [[ $(cat ".venv/bilens-$list.sum" 2>/dev/null) == "$sum" && $(cat $moved_mark 2>/dev/null) == "$PWD" ]] ||
      pending+=("$list")
  done
  if ((${#pending[@]} == 0)); then
    say "Environment: .venv has ${lists[*]}."
    return
  fi
  make_environment
  remove_half_installed
  read -r megabytes disk < <(
    for list in "${pending[@]}"; do missing_pins "scripts/requirements/$list.txt"; done |
      awk '{download += $(NF - 1); disk += $NF} END {print download + 0, disk + 0}')
  free=$(df -Pm .venv | awk 'END {print $4}')
  say "Environment: ${pending[*]} to install into .venv; downloads about $megabytes MB from PyPI," \
    "takes $disk MB on disk."
  ((free > disk)) || die "Only $free MB free in $PWD; $disk MB are needed."
  export PIP_DEFAULT_TIMEOUT=${PIP_DEFAULT_TIMEOUT:-60} PIP_DISABLE_PIP_VERSION_CHECK=1
  for list in "${pending[@]}"; do
    file=scripts/requirements/$list.txt
    .venv/bin/python -m pip install --no-deps -r "$file" ||
      die "pip could not install $file. Run scripts/setup.sh again: it goes on from here. Without access to PyPI, name
a LibTorch you have with --torch PATH (cmake 3.26 or newer, ninja, numpy and safetensors are still needed)."
    sha256sum <"$file" >".venv/bilens-$list.sum"
  done
}

# --- Build -----------------------------------------------------------------------------------------------------

configure_and_build() {
  local choice
  export PATH=$PWD/.venv/bin:$PATH
  if [[ $preset == cuda ]]; then
    use_nvcc "$(find_nvcc)"
  fi
  choice="preset $preset, LibTorch ${torch_root:-in .venv}"
  if [[ $cuda != auto ]]; then choice+=", CUDA as asked"; fi
  if [[ $unity == ON ]]; then choice+=", files in batches"; else choice+=", each file alone"; fi
  if [[ $module == ON ]]; then choice+=", Python package"; fi
  if have_library libgloo-dev gloo/context.h; then choice+=", several processes"; fi
  if [[ -e build/build.ninja && $(cat $configured_mark 2>/dev/null) == "$PWD: $choice" ]]; then
    say "Configure: done before ($choice)."
  else
    say "Configure: $choice."
    rm -f $configured_mark
    cmake --preset "$preset" --fresh -DBILENS_TORCH="$torch_root" -DBILENS_UNITY="$unity" \
      -DBILENS_PYTHON_MODULE="$module"
    echo "$PWD: $choice" >$configured_mark
  fi
  jobs=${jobs:-$(default_jobs)}
  if [[ $tests == yes ]]; then targets=(all); else targets=(bilens_program); fi
  if [[ $package == yes ]]; then targets+=(bilens_python); fi
  say "Build: ${targets[*]}, ninja with $jobs jobs."
  cmake --build build -j "$jobs" --target "${targets[@]}"
  if [[ $package == yes ]]; then offer_package; fi
  say "Ready: build/bilens ($choice)."
}

# build/python is on the path of the environment's Python, so that a later build is what it imports.
offer_package() {
  local packages
  packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
  echo "$PWD/build/python" >"$packages/bilens.pth"
  say "Python: .venv/bin/python imports bilens."
}

install_packages
keep_choices
choose
install_requirements
[[ $build == no ]] || configure_and_build
