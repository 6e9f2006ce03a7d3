rockspec_format = "3.0"
package = "lua-veo"
version = "0.2.0-1"
source = {
  url = "git+https://github.com/lua-veo/lua-veo.git",
  tag = "v0.2.0",
}
description = {
  summary = "Extend Veo 3.1 videos from Lua: submit, wait, save.",
  detailed = [[
Extends a Veo 3.1 video through its HTTP service: submits, waits, and saves the result, without paying twice,
losing a paid video, or stalling the program that hosts it. A C module on libcurl with its policy in Lua.]],
  homepage = "https://github.com/lua-veo/lua-veo",
  license = "MIT",
  labels = { "veo", "video", "http", "async" },
}
-- Asked for at first use only: argparse (the veo command), cqueues (simulator), luaossl (callbacks), LuaDBI (ledger).
dependencies = {
  "lua >= 5.1, < 5.6",
  "lua-cjson >= 2.1.0",
}
-- No header is named: Debian keeps curl/curl.h in a folder per architecture, where LuaRocks does not look. The
-- Makefile asks pkg-config.
external_dependencies = {
  CURL = { library = "curl" },
  ZLIB = { library = "z" },
}
build = {
  type = "make",
  -- A folder of its own, so that objects of `make` in the same checkout, perhaps for another Lua, are not touched.
  variables = {
    BUILD = "build/luarocks",
    LUA = "$(LUA)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    CURL_INCDIR = "$(CURL_INCDIR)",
    CURL_LIBDIR = "$(CURL_LIBDIR)",
    ZLIB_INCDIR = "$(ZLIB_INCDIR)",
    ZLIB_LIBDIR = "$(ZLIB_LIBDIR)",
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
  },
  install_variables = {
    PREFIX = "$(SCRIPTS_DIR)/..",
    LUADIR = "$(LUADIR)",
    LIBDIR = "$(LIBDIR)",
    BINDIR = "$(BINDIR)",
  },
}
