-- GETs that go through the tokens of a file, one a line, over and over.
local texts, at = {}, 0

function init()
  for token in io.lines("{{.File "tokens"}}") do
    texts[#texts + 1] = wrk.format("GET", "/", { ["Authorization"] = "Bearer " .. token })
  end
end
function request()
  at = at % #texts + 1
  return texts[at]
end
