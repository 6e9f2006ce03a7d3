#!/usr/bin/env bash
# busy.sh COMMAND…: runs it as a machine does that has too much to do: again and again one of the Lua programs and servers
# that it started, or all of them, stand still for up to 2 s. It takes no processor, so much else may run beside it.
set -u
mark="VEO_BUSY=$$"

# What stands still already does so for a spec's sake. PostgreSQL's programs end a command that they see stopped.
ours() {
  local folder
  grep -lszx -- "$mark" /proc/[0-9]*/environ | while read -r folder; do
    folder=${folder%/environ}
    case "$(cat "$folder/comm" 2>/dev/null) $(sed 's/.*) //; s/ .*//' "$folder/stat" 2>/dev/null)" in
      *' T' | *' Z') ;;
      lua* | nginx* | nghttpd*) echo "${folder#/proc/}" ;;
    esac
  done
}

export VEO_BUSY=$$
"$@" &
command=$!
unset VEO_BUSY
while kill -0 $command 2>/dev/null; do
  sleep "0.$((RANDOM % 900 + 100))"
  mapfile -t stopped < <(ours)
  [ ${#stopped[@]} -gt 0 ] || continue
  [ $((RANDOM % 5)) -eq 0 ] || stopped=("${stopped[RANDOM % ${#stopped[@]}]}")
  kill -STOP "${stopped[@]}" 2>/dev/null
  sleep "$((RANDOM % 2)).$((RANDOM % 900 + 100))"
  kill -CONT "${stopped[@]}" 2>/dev/null
done
wait $command
