-- busted's helper of `make test-h2`: every simulator that a spec starts stands behind nginx.
dofile "spec/support/current.lua"
require("veo.simulator").start = require("spec.support.h2").start
