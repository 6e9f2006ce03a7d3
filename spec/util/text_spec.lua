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

describe("UTF-8", function()
  it("is looked for from any byte on", function()
    for text, at in pairs { ["a\195\169"] = false, ["a\195"] = 2, ["\255a\192\128"] = 1, ["\237\160\128"] = 1,
      ["\240\159\152\128\128"] = 5, ["\224\159\128"] = 1, ["\244\144\128\128"] = 1 } do
      assert.equal(at or nil, texts.bad_utf8(text))
    end
    assert.equal(3, texts.bad_utf8("\255a\192\128", 2))
    assert.is_nil(texts.bad_utf8("\255a", 2))
  end)
end)

describe("a line", function()
  it("is not empty and has neither line breaks nor NUL", function()
    for _, line in ipairs { "a", " ", "a\tb", "\195\169" } do assert.is_true(texts.is_line(line)) end
    for _, other in ipairs { "", "a\n", "\ra", "a\0b", 5, {}, false } do assert.is_false(texts.is_line(other)) end
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
