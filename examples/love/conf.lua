-- LÖVE reads this before main.lua: the window, and only the modules that the scene needs.

function love.conf(t)
  t.identity = "lua-veo"
  t.version = "11.4"
  t.window.title = "lua-veo in LÖVE"
  t.window.width, t.window.height = 960, 540
  t.modules.audio, t.modules.sound, t.modules.video = false, false, false
  t.modules.joystick, t.modules.physics, t.modules.touch = false, false, false
end
