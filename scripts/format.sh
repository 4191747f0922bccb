#!/usr/bin/env bash
# Formats all sources, those that git tracks and new ones that it does not ignore: C++ and CUDA by clang-format, Python
# by ruff, the pages' scripts and styles by jsbeautifier and cssbeautifier. None of them breaks every long line: one of
# more than 120 characters is an error.
#
# Usage: scripts/format.sh [--check]
#
#   --check   change nothing; list the files that are not formatted and exit with 1 if there are any
#   --help    show this
#
# Needs clang-format 14 (Debian: clang-format), other versions differ in details; CLANG_FORMAT names another program.
# The rest it installs into .venv (scripts/setup.sh --lint).

# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

check=no
case ${1:-} in
  '') ;;
  --check) check=yes ;;
  --help | -h) usage && exit ;;
  *) usage_error "unknown argument '$1'" ;;
esac

clang_format=${CLANG_FORMAT:-$(command -v clang-format-14 || echo clang-format)}
have "$clang_format" ||
  die "$clang_format is not there; install it, for instance with: sudo apt-get install clang-format"
version=$("$clang_format" --version | sed -n 's/.*version \([0-9]*\).*/\1/p')
((version == 14)) || echo "${0##*/}: clang-format $version may format otherwise than 14, which the project uses." >&2
export PATH=$PWD/.venv/bin:$PATH
if ! { have ruff && have js-beautify && have css-beautify; }; then scripts/setup.sh --lint --no-build; fi

# list_files PATTERN...: into the array files
list_files() {
  mapfile -t files < <(git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
    if [[ -e $file ]]; then echo "$file"; fi
  done | sort -u)
  ((${#files[@]})) || die "no sources found."
}

# beautified PROGRAM FILE: the file as it should be
beautified() {
  local flags=(-s 2 -n)
  [[ $1 != js-beautify ]] || flags+=(-O preserve-newline -b "collapse,preserve-inline")
  "$1" "${flags[@]}" "$2"
}

wrong=() count=0
list_files '*.h' '*.cpp' '*.cu'
count=$((count + ${#files[@]}))
if [[ $check == no ]]; then
  "$clang_format" -i "${files[@]}"
elif ! output=$("$clang_format" --dry-run -Werror "${files[@]}" 2>&1); then
  unformatted='s/^\([^:]*\):[0-9]*:[0-9]*: error: code should be clang-formatted.*/\1/p'
  mapfile -t wrong < <(sed -n "$unformatted" <<<"$output" | sort -u)
  ((${#wrong[@]})) || die "$output"
fi

list_files '*.py'
count=$((count + ${#files[@]}))
if [[ $check == no ]]; then
  ruff format --quiet "${files[@]}"
else
  output=$(ruff format --check "${files[@]}" 2>&1) || { [[ $? == 1 ]] || die "$output"; }
  mapfile -t -O ${#wrong[@]} wrong < <(sed -n 's/^Would reformat: //p' <<<"$output")
fi

for kind in js css; do
  list_files "*.$kind"
  count=$((count + ${#files[@]}))
  for file in "${files[@]}"; do
    beautified $kind-beautify "$file" | cmp -s - "$file" && continue
    if [[ $check == no ]]; then
      text=$(beautified $kind-beautify "$file" && echo x)
      printf '%s' "${text%x}" >"$file"
    else
      wrong+=("$file")
    fi
  done
done

# Left out: addresses, and tables and code in Markdown, which cannot be broken. Of Python's lines ruff check speaks.
list_files '*.h' '*.cpp' '*.cu' '*.in' '*.sh' .ci/run '*.js' '*.css' '*.html' '*.md'
unbreakable='^[^:]*:[0-9]*:.*https?://|^[^:]*\.md:[0-9]*:(\||    )'
long=$(LC_ALL=C.UTF-8 grep -nE '^.{121}' -- "${files[@]}" | grep -vE "$unbreakable" | cut -d: -f1,2) || true
if [[ -n $long ]]; then
  echo "$long"
  die "the lines above have more than 120 characters; break them"
fi

if ((${#wrong[@]})); then
  printf '%s\n' "${wrong[@]}"
  die "the files above are not formatted; run scripts/format.sh"
fi
if [[ $check == no ]]; then say "Formatted $count files."; else say "$count files are formatted."; fi
