-- A POST with a body of 16 KiB.
local text

function init()
  text = wrk.format("POST", "/", { ["Content-Type"] = "application/octet-stream" }, string.rep("x", 16384))
end
function request() return text end
