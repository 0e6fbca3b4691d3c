-- A GET with 20 fields, Host included, as a browser behind a tracer sends them.
local fields = {
  ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
  ["Accept-Encoding"] = "gzip, deflate, br, zstd",
  ["Accept-Language"] = "en-GB,en;q=0.7,de;q=0.3",
  ["Baggage"] = "tenant=blue,user=42",
  ["Cache-Control"] = "no-cache",
  ["Cookie"] = "session=9f86d081884c7d659a2feaa0c55ad015; theme=dark; consent=yes",
  ["DNT"] = "1",
  ["If-None-Match"] = "\"5d41402abc4b2a76b9719d911017c592\"",
  ["Origin"] = "http://shop.example",
  ["Pragma"] = "no-cache",
  ["Referer"] = "http://shop.example/catalogue?page=3",
  ["Sec-Fetch-Dest"] = "empty",
  ["Sec-Fetch-Mode"] = "cors",
  ["Sec-Fetch-Site"] = "same-origin",
  ["Traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  ["Tracestate"] = "vendor=t61rcWkgMzE",
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  ["X-Client-Version"] = "7.3.1",
  ["X-Tenant"] = "blue",
}
local text

function init() text = wrk.format("GET", "/", fields) end
function request() return text end
