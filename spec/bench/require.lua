-- What it costs to load the module: does nothing else.
require "veo"
