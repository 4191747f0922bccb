#!/usr/bin/env bash
# Formats the C++ and CUDA sources (.clang-format), those that git tracks and new ones that it does not ignore.
#
# Usage: scripts/format.sh [--check]
#
#   --check   change nothing; list the files that are not formatted and exit with 1 if there are any
#   --help    show this
#
# Needs clang-format 14 (Debian: clang-format), other versions differ in details; CLANG_FORMAT names another program.

# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

check=no
case ${1:-} in
  '') ;;
  --check) check=yes ;;
  --help | -h) usage && exit ;;
  *) usage_error "unknown argument '$1'" ;;
esac

program=${CLANG_FORMAT:-$(command -v clang-format-14 || echo clang-format)}
have "$program" || die "$program is not there; install it, for instance with: sudo apt-get install clang-format"
version=$("$program" --version | sed -n 's/.*version \([0-9]*\).*/\1/p')
((version == 14)) || echo "${0##*/}: clang-format $version may format otherwise than 14, which the project uses." >&2

mapfile -t files < <(git ls-files --cached --others --exclude-standard -- '*.h' '*.cpp' '*.cu' | while read -r file; do
  if [[ -e $file ]]; then echo "$file"; fi
done | sort -u)
((${#files[@]})) || die "no sources found."

if [[ $check == no ]]; then
  "$program" -i "${files[@]}"
  say "Formatted ${#files[@]} files."
elif output=$("$program" --dry-run -Werror "${files[@]}" 2>&1); then
  say "${#files[@]} files are formatted."
else
  unformatted=$(sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: error: code should be clang-formatted.*/\1/p' <<<"$output" | sort -u)
  [[ -n $unformatted ]] || die "$output"
  echo "$unformatted"
  die "the files above are not formatted; run scripts/format.sh"
fi
