-- Text as it may be shown.

local texts = require "veo.util.text"

describe("a database's address", function()
  it("is shown without its password", function()
    for given, shown in pairs {
      ["postgresql://u:secret@host/db"] = "postgresql://u@host/db",
      ["postgresql://u:se/c@r:et@host/db"] = "postgresql://u@host/db",
      ["postgres://u@host/db?password=secret&x=1"] = "postgres://u@host/db?password=…&x=1",
      ["cannot reach postgresql://u:secret@host/db now"] = "cannot reach postgresql://u@host/db now",
      ["renders.db"] = "renders.db",
    } do
      assert.equal(shown, texts.without_password(given))
    end
  end)
end)

describe("a link", function()
  it("is told from a task's id", function()
    for _, link in ipairs { "https://h/a.mp4", "ftp://h", "//h/a.mp4", "a//b" } do
      assert.is_true(texts.is_link(link))
    end
    for _, id in ipairs { "veo_task_1", "a/b:c", "" } do assert.is_false(texts.is_link(id)) end
  end)
end)
