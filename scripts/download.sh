# Downloads that go on where they broke off; shared by the scripts that source it after common.sh.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # `speed` is used by the scripts, `to` set by them
#
# Such a script sets `name`, what the files are together, `files`, all of them, and `to`, the folder they go into. It
# says how a file is had, obtain FILE, and what FILE must be:
#   is_right PATH FILE   whether PATH holds it
#   mismatch PATH FILE   the hash that was expected and the one that was found, in words

progress=(--silent) # curl's flags for what it shows meanwhile
curl_config=''      # further options, as lines of a curl config: the list of processes does not show them

declare -A unreachable=()

sha_of() { sha256sum <"$1" | cut -d' ' -f1; }
bytes_of() { stat -c %s "$1" 2>/dev/null || echo 0; }

# request ARGUMENT... URL: curl with what every request needs.
request() {
  curl --config - --fail --location --connect-timeout 20 --speed-limit 1000 --speed-time 30 "$@" <<<"$curl_config"
}

# is_unreachable CODE STATUS: curl's exit code and the HTTP status say that nobody answered.
is_unreachable() { [[ $1:$2 =~ ^(5|6|7|28:000|35|60)(:|$) ]]; }

# accept PART FILE SOURCE: the checked PART becomes FILE, a wrong one is reported and deleted.
accept() {
  if is_right "$1" "$2"; then
    mv -f "$1" "$to/$2"
    say "  $2: checked, from $3"
  else
    say "  $2: corrupt from $3 and deleted; $(mismatch "$1" "$2")"
    rm -f "$1"
    return 1
  fi
}

# take_whole_part FILE: an earlier run got all of it.
take_whole_part() { is_right "$to/$1.part" "$1" && mv -f "$to/$1.part" "$to/$1"; }

# Continues PART until it is whole, in `speed` bytes a second. 0 done, 1 this address has nothing for us.
fetch() { # FILE HOME
  local part=$to/$1.part url=$2/$1 reply code status problem size attempt
  say "  $1: downloading from $2"
  for attempt in 1 2 3 4; do
    size=$(bytes_of "$part")
    code=0
    reply=$(request "${progress[@]}" --continue-at - --write-out '%{http_code} %{speed_download} %{errormsg}' \
      --output "$part" "$url") || code=$?
    read -r status speed problem <<<"$reply"
    if ((code == 0)); then return; fi
    if is_unreachable "$code" "$status"; then
      say "  $1: $2 is unreachable ($problem)"
      unreachable[$2]=yes
      return 1
    fi
    case $code:$status in
      *:416 | 33:* | 36:*) # cannot be continued: from the start
        say "  $1: $url cannot continue what is there; starting anew"
        rm -f "$part" ;;
      22:*)
        say "  $1: $url answered $status"
        return 1 ;;
      23:*) die "cannot write $part ($problem). Free some space and run this again." ;;
      *)
        say "  $1: broken off at $(bytes_of "$part") bytes ($problem)"
        ((attempt > 2)) && (($(bytes_of "$part") <= size)) && return 1 ;;
    esac
  done
  say "  $1: $url gave up; the part that came is kept for the next run"
  return 1
}

download() { # FILE HOME
  local part=$to/$1.part continued=no
  [[ -z ${unreachable[$2]:-} ]] || return 1
  [[ ! -s $part ]] || continued=yes
  fetch "$1" "$2" || return 1
  accept "$part" "$1" "$2" && return
  [[ $continued == yes ]] || return 1
  say "  $1: the part from an earlier run may be what was wrong; once more from the start"
  fetch "$1" "$2" && accept "$part" "$1" "$2"
}

# obtain_all FILE...: 0 where all came, and says so; else names those that did not.
obtain_all() {
  local file failed=()
  for file; do obtain "$file" || failed+=("$file"); done
  if ((${#failed[@]} == 0)); then
    say "$name: complete in $to."
  else
    echo "$name: ${#failed[@]} of ${#files[@]} files could not be obtained: ${failed[*]}" >&2
    return 1
  fi
}
