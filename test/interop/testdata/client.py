# usage: client.py URL 1.1|2 CA EVENTS   Walks the steps of clients_test.go with httpx.
import asyncio, ssl, sys
import httpx

url, version, ca, name = sys.argv[1:]


def want(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: {str(got)[:200]!r}, want {str(wanted)[:200]!r}")


async def main():
    tls = ssl.create_default_context(cafile=ca)
    async with httpx.AsyncClient(base_url=url, verify=tls, http1=version == "1.1", http2=version == "2", timeout=60) as c:
        r = await c.get("/hello")
        want("GET", (r.status_code, r.text, r.http_version), (200, "hello", "HTTP/" + version))
        r = await c.head("/hello")
        want("HEAD", (r.status_code, r.headers["content-length"], r.content), (200, "5", b""))
        want("204", (await c.get("/nothing")).status_code, 204)
        want("404", (await c.get("/absent")).status_code, 404)

        big = bytes(range(256)) * 4096
        want("POST of a length", (await c.post("/echo", content=big)).content == big, True)

        async def pieces():
            for i in range(0, len(big), 10_000):
                yield big[i : i + 10_000]

        want("POST in pieces", (await c.post("/echo", content=pieces())).content == big, True)

        answers = await asyncio.gather(*(c.post("/echo", content=f"number {i}") for i in range(200)))
        want("200 at once", [a.text for a in answers], [f"number {i}" for i in range(200)])

        async with c.stream("GET", "/events/" + name) as events:
            lines = events.aiter_lines()
            want("first event", await anext(lines), "one")
            want("release", (await c.post("/release/" + name)).status_code, 204)
            want("second event", await anext(lines), "two")

        async with c.stream("GET", "/big") as half:
            async for _ in half.aiter_bytes():
                break  # and leave
        want("after a cancelled download", (await c.get("/hello")).text, "hello")


asyncio.run(main())
