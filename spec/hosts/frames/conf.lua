-- LÖVE reads this before main.lua: only what a plain scene needs.

function love.conf(t)
  t.window.title = "frames"
  t.window.width, t.window.height = 640, 360
  t.window.vsync = 0
  t.modules.audio, t.modules.sound, t.modules.video = false, false, false
  t.modules.joystick, t.modules.physics, t.modules.touch = false, false, false
end
