#!/bin/sh
# side_by_side.sh COUNT 'COMMAND' SPEC…: runs each spec file in a busted of its own, COUNT of them at a time, because
# they mostly wait. A line for each file as it ends; then what failed, what was skipped for want of something, the sum.
set -u

# One file, as this script starts itself. One that hangs is ended, and the example in it that began last is named; in
# the foreground, so that Ctrl-C ends all.
if [ "$1" = --one ]; then
  log=$FOLDER/$(echo "$2" | tr / _)
  export VEO_SPEC_NOW="$log.now"
  eval "timeout --foreground -k 10 600 $COMMAND \"\$2\"" >"$log" 2>&1 </dev/null
  status=$?
  sum=$(grep -E '^[0-9]+ success(es)? / ' "$log" | tail -n 1)
  if [ -z "$sum" ]; then
    sum="0 successes / 0 failures / 1 error / 0 pending : 0 seconds"
    last=$(cat "$VEO_SPEC_NOW" "$log" 2>/dev/null | tail -n 10)
    printf '\n%s\n\nError -> %s ended with status %d in\n%s\n' "$sum" "$2" "$status" "$last" >>"$log"
    status=1
  fi
  rm -f "$VEO_SPEC_NOW"
  word=ok
  [ "$status" -eq 0 ] || { word=FAILED && mv "$log" "$log.failed"; }
  echo "$sum" | awk -v word="$word" -v name="$2" '
    { printf "%-6s %-46s %4d passed", word, name, $1
      if ($4 + $7) printf ", %d failed", $4 + $7
      if ($10) printf ", %d skipped", $10
      printf "  %.1f s\n", $13 }'
  exit 0
fi

count=$1 COMMAND=$2 started=$(date +%s)
shift 2
FOLDER=$(mktemp -d) || exit 1
trap 'rm -rf "$FOLDER"' EXIT
trap 'exit 130' INT TERM HUP
export COMMAND FOLDER
# The largest first, which are among the longest.
# shellcheck disable=SC2011 # no blanks in their names
ls -S "$@" | xargs -n 1 -P "$count" sh "$0" --one

for log in "$FOLDER"/*.failed; do
  [ ! -e "$log" ] || { echo && sed -n '/^\(Failure\|Error\) -> /,$p' "$log"; }
done
echo
cd "$FOLDER" || exit 1
grep -hoE 'needs [^()]+ \([^()]+\)$' ./* | sort | uniq -c | sed 's/^ *\([0-9]*\)/skipped: \1/'
cat ./* | grep -E '^[0-9]+ success(es)? / ' | awk -v seconds=$(($(date +%s) - started)) '
  { good += $1; bad += $4; errors += $7; pending += $10 }
  END { printf "%d successes / %d failures / %d errors / %d pending : %d seconds\n", good, bad, errors, pending, seconds
        exit bad + errors > 0 || good == 0 }'
