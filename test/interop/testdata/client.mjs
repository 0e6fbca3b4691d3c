// usage: client.mjs URL 1.1|2 CA EVENTS   Walks the steps of clients_test.go with Node's own clients.
import fs from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";

const [url, version, ca, name] = process.argv.slice(2);

function want(what, got, wanted) {
  if (JSON.stringify(got) !== JSON.stringify(wanted)) {
    console.error(`${what}: ${JSON.stringify(got)?.slice(0, 200)}, want ${JSON.stringify(wanted)?.slice(0, 200)}`);
    process.exit(1);
  }
}

// open sends a request and gives {status, headers, version, body: a stream, cancel}.
let open, done;
if (version === "2") {
  const session = http2.connect(url, { ca: fs.readFileSync(ca) });
  open = (method, path, pieces = []) =>
    new Promise((resolve, reject) => {
      const s = session.request({ ":method": method, ":path": path }, { endStream: pieces.length === 0 });
      s.on("error", reject);
      s.on("response", (headers) =>
        resolve({ status: headers[":status"], headers, version: "2.0", body: s, cancel: () => s.close(http2.constants.NGHTTP2_CANCEL) }),
      );
      for (const p of pieces) s.write(p);
      if (pieces.length) s.end();
    });
  done = () => session.close();
} else {
  const client = url.startsWith("https") ? https : http;
  const agent = new client.Agent({ keepAlive: true, maxSockets: 50, ca: fs.readFileSync(ca) });
  open = (method, path, pieces = []) =>
    new Promise((resolve, reject) => {
      const r = client.request(url + path, { method, agent }, (a) =>
        resolve({ status: a.statusCode, headers: a.headers, version: a.httpVersion, body: a, cancel: () => a.destroy() }),
      );
      r.on("error", reject);
      for (const p of pieces) r.write(p);
      r.end();
    });
  done = () => agent.destroy();
}

async function ask(method, path, pieces) {
  const a = await open(method, path, pieces);
  const parts = [];
  for await (const p of a.body) parts.push(p);
  return { ...a, content: Buffer.concat(parts) };
}

let a = await ask("GET", "/hello");
want("GET", [a.status, a.content.toString(), a.version], [200, "hello", version === "2" ? "2.0" : "1.1"]);
a = await ask("HEAD", "/hello");
want("HEAD", [a.status, a.headers["content-length"], a.content.length], [200, "5", 0]);
want("204", (await ask("GET", "/nothing")).status, 204);
want("404", (await ask("GET", "/absent")).status, 404);

const big = Buffer.alloc(1 << 20, (i) => i);
for (let i = 0; i < big.length; i++) big[i] = i * 7;
want("POST", (await ask("POST", "/echo", [big])).content.equals(big), true);
const pieces = [];
for (let i = 0; i < big.length; i += 10_000) pieces.push(big.subarray(i, i + 10_000));
want("POST in pieces", (await ask("POST", "/echo", pieces)).content.equals(big), true);

const numbers = [...Array(200).keys()].map((i) => `number ${i}`);
const answers = await Promise.all(numbers.map((n) => ask("POST", "/echo", [n])));
want("200 at once", answers.map((x) => x.content.toString()), numbers);

const events = await open("GET", `/events/${name}`);
let seen = "";
for await (const p of events.body) {
  if (seen === "" && p.toString() === "one\n") want("release", (await ask("POST", `/release/${name}`)).status, 204);
  seen += p;
}
want("events", seen, "one\ntwo\n");

const half = await open("GET", "/big");
half.body.on("error", () => {});
await new Promise((r) => half.body.once("data", r));
half.cancel();
want("after a cancelled download", (await ask("GET", "/hello")).content.toString(), "hello");
done();
