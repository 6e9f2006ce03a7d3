--- `veo preview`: a contact sheet of a saved video, made by ffmpeg.

local quote = require("veo.cli.phrases").quote

local M = {}

-- Arguments: video, picture, columns, rows, width, "force" or nothing. ffmpeg gets an environment without keys, and takes
-- files alone: a playlist would have it open others. The picture gets its name when it is whole.
local SCRIPT = [[
set -u
video=$1 columns=$3 rows=$4 width=$5 force=$6
case $2 in /*) picture=$2 ;; *) picture=./$2 ;; esac
tool() {
  name=$1
  shift
  env -i PATH="$PATH" HOME="${HOME:-/}" LANG="${LANG:-C}" ${LD_LIBRARY_PATH:+"LD_LIBRARY_PATH=$LD_LIBRARY_PATH"} \
    "$name" -v error -protocol_whitelist file -format_whitelist mov,matroska "$@" </dev/null
}
free() {
  [ -n "$force" ] || { [ ! -e "$picture" ] && [ ! -L "$picture" ]; } && return
  printf 'veo: %s exists already; --force replaces it\n' "$2" >&2
  exit 2
}
for name in ffmpeg ffprobe; do
  command -v "$name" >/dev/null && continue
  printf 'veo: %s is not on the path: install the package ffmpeg (Debian: apt-get install ffmpeg)\n' "$name" >&2
  exit 1
done
free "$@"
seconds=$(tool ffprobe -show_entries format=duration -of csv=p=0 "file:$video") || exit 2
case $seconds in '' | *[!0-9.]*) rate=1 ;; *) rate=$((columns * rows))/$seconds ;; esac
part=$(mktemp "$picture.XXXXXX") || exit 2
trap 'rm -f "$part"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
tool ffmpeg -nostdin -hide_banner -y -i "file:$video" -vf "fps=$rate,scale=$width:-2,tile=${columns}x$rows" \
  -frames:v 1 -an -c:v png -f image2 -update 1 "file:$part" || exit 2
free "$@"
chmod =rw "$part" && mv -f "$part" "$picture" && printf '%s\n' "$2"
]]

---@return integer exit
function M.preview(args)
  local words = { args.video, args.output or args.video .. ".png", ("%d"):format(args.columns),
    ("%d"):format(args.rows), ("%d"):format(args.width), args.force and "force" or "" }
  for i, word in ipairs(words) do words[i] = quote(word) end
  local ok, _, code = os.execute("sh -c " .. quote(SCRIPT) .. " veo " .. table.concat(words, " "))
  if type(ok) == "number" then code = math.floor(ok / 256) end -- Lua 5.1
  return code or 2
end

return M
