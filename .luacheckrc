-- Shipped code keeps to what 5.1 to 5.5 and LuaJIT share; specs and examples run under any of them too, but may ask
-- for more where they test for it first.
std = "min"
max_line_length = 120
max_comment_line_length = false
self = false
-- An unused argument often says what a callback is given.
unused_args = false
read_globals = { "jit", table = { fields = { "unpack", "pack" } } }

files["lua"] = { max_cyclomatic_complexity = 15 }
-- Declarations for editors: functions without a body, of tables that nothing reads.
files["lua/veo/meta"] = { ignore = { "211", "212", "241", "631" } }
files["spec"] = { std = "max+busted" }
files["examples"] = { std = "max" }
files["examples/love"] = { globals = { "love" } }
files["examples/neovim"] = { read_globals = { "vim" } }
files["spec/hosts"] = { globals = { "love" }, read_globals = { "vim" } }
files["rockspec"] = { std = "rockspec" }
files[".busted"] = { std = "max" }
