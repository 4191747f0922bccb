#!/usr/bin/env bash
# Obtains a model from the Hugging Face hub: config, tokenizer and weights, each file checked by the hash that the hub
# has of it.
#
# Usage: scripts/get_model.sh NAME|OWNER/NAME [--revision SHA] [--to DIR]
#
#   tinyllama        Llama     TinyLlama-1.1B as pretrained on 3 trillion tokens, 4.4 GB
#   smollm2-135m     Llama     HuggingFaceTB/SmolLM2-135M
#   llama-3.2-1b     Llama     meta-llama/Llama-3.2-1B (gated)
#   mistral-7b       Mistral   mistralai/Mistral-7B-v0.1 (gated at times)
#   qwen2.5-0.5b     Qwen 2    Qwen/Qwen2.5-0.5B
#   qwen3-0.6b       Qwen 3    Qwen/Qwen3-0.6B
#   smollm3-3b       SmolLM 3  HuggingFaceTB/SmolLM3-3B-Base
#   phi3-mini        Phi-3     microsoft/Phi-3-mini-4k-instruct
#   gemma-2b         Gemma     google/gemma-2b (gated)
#   gemma2-2b        Gemma 2   google/gemma-2-2b (gated)
#   gemma3-270m      Gemma 3   google/gemma-3-270m (gated)
#   olmo2-1b         OLMo 2    allenai/OLMo-2-0425-1B
#   OWNER/NAME       any other model on the hub
#   --revision SHA   this commit; default for tinyllama the one named below, else the newest of main
#   --to DIR         where the files go; default models/NAME in lower case
#   --help           show this
#
# A gated model is given only to those who accepted its licence on its page at huggingface.co, and whose token is in
# HF_TOKEN. Where the hub says that a model is one, and there is no token, nothing is downloaded.
#
# A download that broke off is continued, a file that is there already is left alone, a corrupt one is not kept.
# DIR/.revision says which commit of which model DIR was begun with; later runs keep to it.
# Exit code: 0 all files are there, 1 some are not, 2 usage.
#
# Environment: HF_TOKEN, for private and gated models; HF_ENDPOINT replaces https://huggingface.co.
#
# It is tested against a local server; the hub itself is untried.

# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"
# shellcheck source=scripts/download.sh
source scripts/download.sh

# The commit that public repositories pin, such as github.com/OussemaHarrabi/SpectraQuant
# (docs/research/model-dataset-licenses.md), which had it from the hub as main's. Not checked with the hub from here.
tinyllama=TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T
tinyllama_revision=59f6f375b26bde864a6ca194a9a3044570490064
declare -A known=(
  [tinyllama]=$tinyllama
  [smollm2-135m]=HuggingFaceTB/SmolLM2-135M
  [llama-3.2-1b]=meta-llama/Llama-3.2-1B
  [mistral-7b]=mistralai/Mistral-7B-v0.1
  [qwen2.5-0.5b]=Qwen/Qwen2.5-0.5B
  [qwen3-0.6b]=Qwen/Qwen3-0.6B
  [smollm3-3b]=HuggingFaceTB/SmolLM3-3B-Base
  [phi3-mini]=microsoft/Phi-3-mini-4k-instruct
  [gemma-2b]=google/gemma-2b
  [gemma2-2b]=google/gemma-2-2b
  [gemma3-270m]=google/gemma-3-270m
  [olmo2-1b]=allenai/OLMo-2-0425-1B
)
hub=${HF_ENDPOINT:-https://huggingface.co}
hub=${hub%/}

is_commit() { [[ $1 =~ ^[0-9a-f]{40}$ ]]; }

name='' wanted='' to=''
while (($#)); do
  case $1 in
    --revision) wanted=$(value_of "$@"); shift ;;
    --to) to=$(value_of "$@"); shift ;;
    --help | -h) usage && exit ;;
    [!-]*/*) name=$1 ;;
    -* | '') usage_error "unknown argument '$1'" ;;
    *)
      [[ -n ${known[$1]:-} ]] || usage_error "unknown argument '$1'"
      name=$1 ;;
  esac
  shift
done
[[ -n $name ]] || usage_error "name a model: one of the list, or OWNER/NAME"
[[ -z $wanted ]] || is_commit "$wanted" ||
  usage_error "--revision needs the 40 hexadecimal digits of a commit, not '$wanted'"
word='[A-Za-z0-9][A-Za-z0-9._-]*'
default_revision=''
if [[ -n ${known[$name]:-} ]]; then
  repository=${known[$name]}
  [[ $name != tinyllama ]] || default_revision=$tinyllama_revision
elif [[ $name =~ ^$word/$word$ ]]; then
  repository=$name
else
  usage_error "'$name' is not OWNER/NAME"
fi
folder=${name##*/}
if [[ -n $to ]]; then to=$(from_start "$to"); else to=models/${folder,,}; fi
have curl || die "curl is needed for downloading; install it."
have python3 || die "python3 is needed to read what the hub answers; install it."
[[ -z ${HF_TOKEN:-} ]] || curl_config="header = \"Authorization: Bearer $HF_TOKEN\""
[[ ! -t 2 ]] || progress=(--progress-bar)

megabytes() { awk -v bytes="$1" 'BEGIN { printf "%.1f MB", bytes / 1e6 }'; }

# ask ABOUT: what the hub says about the model.
ask() {
  local reply code=0 status problem
  reply=$(request --silent --write-out '\n%{http_code} %{errormsg}' "$hub/api/models/$repository/$1") || code=$?
  read -r status problem <<<"${reply##*$'\n'}"
  if is_unreachable "$code" "$status"; then
    die "$hub is unreachable ($problem). Run this again where it can be reached, or name a mirror with HF_ENDPOINT."
  fi
  case $code:$status in
    0:*) echo "${reply%$'\n'*}" ;;
    22:401 | 22:403 | 22:404)
      die "$hub shows no $repository, $1 (it answered $status). Check the name. If the model is gated, accept its\
 licence at $hub/$repository, and set HF_TOKEN to a token of that account, which a private one needs too." ;;
    *) die "$hub did not say anything about $repository, $1 ($problem). Run this again later." ;;
  esac
}

# require_licence ABOUT: by what the hub says about the model, says that it is gated before anything is downloaded.
require_licence() {
  local gated
  gated=$(python3 -c 'import json, sys; print(json.load(sys.stdin).get("gated") or "no")' <<<"$1" 2>/dev/null) ||
    return 0 # said by whoever reads the answer
  [[ $gated != no ]] || return 0
  [[ -n ${HF_TOKEN:-} ]] ||
    die "$repository is gated. Accept its licence at $hub/$repository, set HF_TOKEN to a token of that account\
 ($hub/settings/tokens), and run this again."
  say "$repository is gated: the account of HF_TOKEN has to have accepted its licence at $hub/$repository."
}

newest_revision() {
  local answer sha
  answer=$(ask revision/main) || exit
  sha=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["sha"])' <<<"$answer" 2>/dev/null) || true
  is_commit "$sha" || die "what $hub says about $repository is not understood. Run this again later."
  echo "$sha"
}

# pick_revision: the commit DIR was begun with, else the one asked for, else the default.
pick_revision() {
  local held_repository held
  if [[ -e $to/.revision ]]; then
    read -r held_repository held <"$to/.revision"
    [[ "$repository ${wanted:-$held}" == "$held_repository $held" ]] ||
      die "$to is for $held_repository at $held. Choose another folder with --to."
    echo "$held"
  elif [[ -n $wanted$default_revision ]]; then
    echo "${wanted:-$default_revision}"
  else
    newest_revision
  fi
}

# Of the hub's list of files, the needed ones, a line "HASH SIZE NAME" each. The hash is a sha256 or a git blob's.
needed_files() {
  python3 -c '
import json, re, sys

TEXT = r"(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens)\.json"
TEXT += r"|tokenizer\.model|chat_template\.jinja"
SAFETENSORS = r"[\w.-]+\.safetensors|model\.safetensors\.index\.json"
TORCH = r"pytorch_model[\w.-]*\.bin|pytorch_model\.bin\.index\.json"


def named(pattern):
    return [name for name in files if re.fullmatch(pattern, name, re.ASCII)]


try:
    files = {}
    for entry in json.load(sys.stdin):
        name, stored = entry["path"], entry.get("lfs") or entry
        if name.startswith("/") or ".." in name.split("/"):
            sys.exit(f"refused, for it lists a file {name!r}, which leads out of the folder.")
        if entry["type"] == "file":
            files[name] = re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", stored["oid"])[0], int(stored["size"])
except (AttributeError, KeyError, TypeError, ValueError) as error:
    sys.exit(f"the list of files is not understood ({error!r}). Run this again later.")
weights = named(SAFETENSORS) or named(TORCH)
if "config.json" not in files or not weights:
    sys.exit("no config.json, or neither safetensors nor pytorch_model.bin. Choose another model.")
for name in named(TEXT) + weights:
    print(*files[name], name)
'
}

declare -A hashes=() sizes=()
is_sha256() { ((${#hashes[$1]} == 64)); }
hash_of() { # PATH FILE
  if is_sha256 "$2"; then
    sha_of "$1"
  else
    { printf 'blob %s\0' "$(bytes_of "$1")" && cat "$1"; } | sha1sum | cut -d' ' -f1
  fi
}
is_right() { [[ -f $1 && $(bytes_of "$1") == "${sizes[$2]}" && $(hash_of "$1" "$2") == "${hashes[$2]}" ]]; }
mismatch() {
  local kind='git blob'
  if is_sha256 "$2"; then kind=sha256; fi
  echo "$kind expected ${hashes[$2]}, found $(hash_of "$1" "$2")"
}

# find_missing: `missing`, the files to download. One that is there with other content is somebody's: nothing is done.
find_missing() {
  local file
  for file in "${files[@]}"; do
    if [[ -e $to/$file ]]; then
      is_right "$to/$file" "$file" ||
        die "$to/$file is there, but not that of the model: $(mismatch "$to/$file" "$file").
What to do: move it away and run this again, or choose another folder with --to."
      say "  $file: already there"
    elif take_whole_part "$file"; then
      say "  $file: came whole in an earlier run"
    else
      missing+=("$file")
    fi
  done
}

check_space() { # FILE...
  local file bytes=0 free
  for file; do bytes=$((bytes + ${sizes[$file]} - $(bytes_of "$to/$file.part"))); done
  free=$(df --output=avail -B1 "$to" | tail -n 1)
  ((bytes <= free)) ||
    die "$(megabytes "$bytes") are still to come, but $to has $(megabytes "$free") free.
What to do: free some space and run this again, or choose another folder with --to."
}

obtain() { # FILE
  download "$1" "$hub/$repository/resolve/$revision" || return
  ((${sizes[$1]} < 1000000)) || say "  $1: $(megabytes "${sizes[$1]}"), $(megabytes "$speed")/s"
}

revision=$(pick_revision)
about=$(ask "revision/$revision")
require_licence "$about"
tree=$(ask "tree/$revision")
listing=$(needed_files <<<"$tree" 2>&1) || die "$repository at $revision: $listing"
files=() total=0
while read -r hash size file; do
  files+=("$file") hashes[$file]=$hash sizes[$file]=$size total=$((total + size))
done <<<"$listing"

say "$repository at $revision into $to: ${#files[@]} files, $(megabytes "$total")."
mkdir -p "$to" || die "cannot make the folder $to."
[[ -w $to ]] || die "cannot write into $to."
missing=()
find_missing
check_space "${missing[@]}"
echo "$repository $revision" >"$to/.revision"

obtain_all "${missing[@]}" && exit
echo "What to do: run this again later (what came is kept). A gated model needs HF_TOKEN, of an account that accepted
its terms at $hub/$repository." >&2
exit 1
