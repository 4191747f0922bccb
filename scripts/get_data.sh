#!/usr/bin/env bash
# Obtains images or stories to train on, and a small published model, each file checked by its sha256.
#
# Usage: scripts/get_data.sh NAME [--from FOLDER_OR_URL] [--to DIR]
#
#   mnist, fashion-mnist   four IDX .gz files, 12 and 31 MB
#   tinystories            the validation file of TinyStories' second version, 22.5 MB: enough for the small configs
#   tinystories-train      its training file, 2.2 GB, for configs/tinystories-30m.json
#   tinystories-sample     the 7,152 stories that the published figures are of; no public home, so only --from
#   stories260k            Karpathy's smallest storyteller, 260,032 parameters, 1.1 MB: for `bilens convert`
#   --from FOLDER          copy from a local folder (packed .gz files, or the unpacked ones)
#   --from URL             download from this address only: URL/train-images-idx3-ubyte.gz and so on
#   --to DIR               where the files go; default data/NAME, for stories data/tinystories
#   --help                 show this
#
# Without --from: Debian's package dataset-fashion-mnist where it is installed, then the public homes below.
# A download that broke off is continued, a file that is there already is left alone, a corrupt one is not kept.
# Exit code: 0 all files are there, 1 some are not, 2 usage.
#
# Environment: BILENS_MNIST_URL, BILENS_FASHION_MNIST_URL, BILENS_TINYSTORIES_URL, BILENS_STORIES260K_URL replace the
# public homes (several: separated by blanks); BILENS_DATA_SHA256 replaces the list of checksums, scripts/data.sha256.

# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"
# shellcheck source=scripts/download.sh
source scripts/download.sh

# The public homes. Downloads were tested against a local server alone. The checksums are those of the published files;
# those of the hub's files, and the commits, were taken from public repositories that pin them.
mnist_homes="https://ossci-datasets.s3.amazonaws.com/mnist https://storage.googleapis.com/cvdf-datasets/mnist"
fashion_mnist_homes="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
tinystories_homes="https://huggingface.co/datasets/roneneldan/TinyStories/resolve/f54c09fd23315a6f9c86f9dc80f725de7d8f9c64"
stories260k_homes="https://huggingface.co/karpathy/tinyllamas/resolve/0bd21da7698eaf29a0d7de3992de8a46ef624add/stories260K"
debian_folder=/usr/share/datasets/fashion-mnist
checksums=${BILENS_DATA_SHA256:-scripts/data.sha256}

name='' from='' to=''
while (($#)); do
  case $1 in
    --from) from=$(value_of "$@"); shift ;;
    --to) to=$(value_of "$@"); shift ;;
    --help | -h) usage && exit ;;
    mnist | fashion-mnist | tinystories | tinystories-train | tinystories-sample | stories260k) name=$1 ;;
    *) usage_error "unknown argument '$1'" ;;
  esac
  shift
done
[[ -n $name ]] || usage_error "name a data set: mnist, fashion-mnist, tinystories, tinystories-train,\
 tinystories-sample or stories260k"

folder=$name files=({train,t10k}-{images-idx3,labels-idx1}-ubyte.gz)
case $name in
  mnist) size="11.6 MB" homes=${BILENS_MNIST_URL:-$mnist_homes} ;;
  fashion-mnist) size="30.9 MB" homes=${BILENS_FASHION_MNIST_URL:-$fashion_mnist_homes} ;;
  stories260k) size="1.1 MB" homes=${BILENS_STORIES260K_URL:-$stories260k_homes} files=(stories260K.bin tok512.model) ;;
  *) folder=tinystories homes=${BILENS_TINYSTORIES_URL:-$tinystories_homes} ;;
esac
case $name in
  tinystories) size="22.5 MB" files=(TinyStoriesV2-GPT4-valid.txt) ;;
  tinystories-train) size="2.2 GB" files=(TinyStoriesV2-GPT4-train.txt) ;;
  tinystories-sample) size="1.8 MB" homes='' files=(tinystories-sample.txt.gz) ;;
esac

is_url() { [[ $1 =~ ^[a-z]+:// ]]; }

sources=()
if [[ -n $from ]]; then
  if is_url "$from"; then sources=("${from%/}"); else sources=("$(from_start "$from")"); fi
  [[ -d ${sources[0]} ]] || is_url "$from" || die "--from: '$from' is not a folder."
elif [[ -z $homes ]]; then
  usage_error "$name has no public home: name a folder or an address that has it with --from, or take 'tinystories'"
else
  [[ $name != fashion-mnist || ! -d $debian_folder ]] || sources=("$debian_folder")
  read -ra homes <<<"$homes"
  sources+=("${homes[@]}")
fi
if [[ -n $to ]]; then to=$(from_start "$to"); else to=data/$folder; fi

expected_sha() { awk -v file="$folder/$1" '$2 == file {print $1}' "$checksums"; }

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
  [[ -n $(expected_sha "$1") ]] || die "$checksums has no line for $folder/$1."
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
say "$name into $to: ${#files[@]} file(s), $size."
if is_url "${sources[-1]}"; then
  have curl || die "curl is needed for downloading; install it, or use --from FOLDER."
fi

obtain_all "${files[@]}" && exit
echo "What to do: run this again later (what came is kept), or get the files in another way and run
  scripts/get_data.sh $name --from FOLDER   or   scripts/get_data.sh $name --from http://A-MIRROR/FOLDER" >&2
if [[ $name == fashion-mnist ]]; then
  echo "Debian and Ubuntu have them in a package: sudo apt-get install dataset-fashion-mnist, then run this again." >&2
fi
exit 1
