#!/usr/bin/env bash
# Obtains MNIST or Fashion-MNIST (four IDX .gz files) or a sample of TinyStories (7,152 stories, one .gz file), each file
# checked by its sha256.
#
# Usage: scripts/get_data.sh mnist|fashion-mnist|tinystories [--from FOLDER_OR_URL] [--to DIR]
#
#   --from FOLDER   copy from a local folder (packed .gz files, or the unpacked ones)
#   --from URL      download from this address only: URL/train-images-idx3-ubyte.gz and so on
#   --to DIR        where the files go; default data/NAME
#   --help          show this
#
# Without --from: Debian's package dataset-fashion-mnist where it is installed, then the public homes below.
# A download that broke off is continued, a file that is there already is left alone, a corrupt one is not kept.
# The sample of TinyStories has no public home of its own: it comes --from a folder or an address that has it.
# Exit code: 0 all files are there, 1 some are not, 2 usage.
#
# Environment: BILENS_MNIST_URL, BILENS_FASHION_MNIST_URL, BILENS_TINYSTORIES_URL replace the public homes (several: separated by blanks);
# BILENS_DATA_SHA256 replaces the list of checksums, scripts/data.sha256.

# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"
# shellcheck source=scripts/download.sh
source scripts/download.sh

# The public homes. None of the three could be reached from where this script was written (no name service to the
# outside), so they are untried; the checksums are those of the published files.
mnist_homes="https://ossci-datasets.s3.amazonaws.com/mnist https://storage.googleapis.com/cvdf-datasets/mnist"
fashion_mnist_homes="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
debian_folder=/usr/share/datasets/fashion-mnist
checksums=${BILENS_DATA_SHA256:-scripts/data.sha256}

name='' from='' to=''
while (($#)); do
  case $1 in
    --from) from=$(value_of "$@"); shift ;;
    --to) to=$(value_of "$@"); shift ;;
    --help | -h) usage && exit ;;
    mnist | fashion-mnist | tinystories) name=$1 ;;
    *) usage_error "unknown argument '$1'" ;;
  esac
  shift
done
[[ -n $name ]] || usage_error "name a data set: mnist, fashion-mnist or tinystories"

is_url() { [[ $1 =~ ^[a-z]+:// ]]; }

sources=()
if [[ -n $from ]]; then
  if is_url "$from"; then sources=("${from%/}"); else sources=("$(from_start "$from")"); fi
  [[ -d ${sources[0]} ]] || is_url "$from" || die "--from: '$from' is not a folder."
elif [[ $name == mnist ]]; then
  read -ra sources <<<"${BILENS_MNIST_URL:-$mnist_homes}"
elif [[ $name == tinystories ]]; then
  read -ra sources <<<"${BILENS_TINYSTORIES_URL:-}"
  ((${#sources[@]})) || usage_error "the sample of TinyStories has no public home; name one with --from FOLDER_OR_URL"
else
  [[ ! -d $debian_folder ]] || sources=("$debian_folder")
  read -ra homes <<<"${BILENS_FASHION_MNIST_URL:-$fashion_mnist_homes}"
  sources+=("${homes[@]}")
fi
if [[ -n $to ]]; then to=$(from_start "$to"); else to=data/$name; fi

expected_sha() { awk -v file="$name/$1" '$2 == file {print $1}' "$checksums"; }

# is_right PATH FILE: PATH holds FILE as published, or the same content recompressed.
is_right() {
  [[ -f $1 ]] || return 1
  [[ $(sha_of "$1") == "$(expected_sha "$2")" ]] && return
  local unpacked
  unpacked=$(expected_sha "${2%.gz}")
  [[ -n $unpacked && $(gzip -dc <"$1" 2>/dev/null | sha256sum | cut -d' ' -f1) == "$unpacked" ]]
}

mismatch() { echo "sha256 expected $(expected_sha "$2"), found $(sha_of "$1")"; }

copy() { # FILE FOLDER
  local part=$to/$1.part
  if [[ -f $2/$1 ]]; then
    cp "$2/$1" "$part" || return 1
  elif [[ -f $2/${1%.gz} ]]; then
    gzip -nc "$2/${1%.gz}" >"$part" || return 1
  else
    say "  $1: not in $2"
    return 1
  fi
  accept "$part" "$1" "$2"
}

obtain() { # FILE
  local source
  [[ -n $(expected_sha "$1") ]] || die "$checksums has no line for $name/$1."
  if is_right "$to/$1" "$1"; then
    say "  $1: already there"
    return
  fi
  [[ ! -e $to/$1 ]] || say "  $1: there, but with the wrong content; replacing it"
  take_whole_part "$1" && return
  for source in "${sources[@]}"; do
    if is_url "$source"; then
      download "$1" "$source" && return
    else
      copy "$1" "$source" && return
    fi
  done
  return 1
}

mkdir -p "$to" || die "cannot make the folder $to."
[[ -w $to ]] || die "cannot write into $to."
case $name in
  mnist) size=11.6 ;;
  fashion-mnist) size=30.9 ;;
  tinystories) size=1.8 ;;
esac
files=({train,t10k}-{images-idx3,labels-idx1}-ubyte.gz)
[[ $name != tinystories ]] || files=(tinystories-sample.txt.gz)
say "$name into $to: ${#files[@]} file(s), $size MB."
if is_url "${sources[-1]}"; then have curl || die "curl is needed for downloading; install it, or use --from FOLDER."; fi

obtain_all "${files[@]}" && exit
echo "What to do: run this again later (what came is kept), or get the files in another way and run
  scripts/get_data.sh $name --from FOLDER   or   scripts/get_data.sh $name --from http://A-MIRROR/FOLDER" >&2
if [[ $name == fashion-mnist ]]; then
  echo "Debian and Ubuntu have them in a package: sudo apt-get install dataset-fashion-mnist, then run this again." >&2
fi
exit 1
