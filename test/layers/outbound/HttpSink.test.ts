/** Finished jobs to a receiver over HTTP, which is a real one on loopback. */
import { createServer, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import { assert, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as HttpSink from "../../../src/layers/outbound/HttpSink.ts"

const LOOPBACK = { schemes: ["http"], ranges: ["127.0.0.1"] } as const

/** Answers with these, in order, then with 204. */
const receiver = (...statuses: ReadonlyArray<number>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const received: Array<{ readonly headers: IncomingMessage["headers"]; readonly body: string }> = []
      const left = [...statuses]
      const server = createServer(async (request, response) => {
        received.push({ headers: request.headers, body: await text(request) })
        response.writeHead(left.shift() ?? 204).end()
      })
      await new Promise<void>((listening) => void server.listen(0, "127.0.0.1", listening))
      return { received, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jobs` }
    }),
    ({ server }) => Effect.sync(() => void server.close())
  )

it.live("S79: a file is one POST with its name and the token, and stands there once the receiver says so", () =>
  Effect.gen(function* () {
    const { received, url } = yield* receiver(503, 301)
    const sink = yield* HttpSink.over(url, Redacted.make("let-me-in"), LOOPBACK)
    const put = sink.put("jobs-1-2.ndjson", Buffer.from('{"jobId":"ü"}\n'))
    for (const status of [503, 301]) {
      const outage = yield* Effect.flip(put)
      assert.deepStrictEqual([outage._tag, String(outage.cause)], ["Outage", `Error: status ${status}`])
    }
    yield* put
    assert.strictEqual(received.length, 3)
    const [{ headers, body }] = received.slice(-1) as [(typeof received)[number]]
    assert.strictEqual(body, '{"jobId":"ü"}\n')
    assert.deepInclude(headers, {
      authorization: "Bearer let-me-in",
      "content-type": "application/x-ndjson",
      "x-resultity-file": "jobs-1-2.ndjson"
    })
  })
)

it.live("a receiver that is away is an outage", () =>
  Effect.gen(function* () {
    const { server, url } = yield* receiver()
    const sink = yield* HttpSink.over(url, null, LOOPBACK)
    yield* Effect.promise(() => new Promise((closed) => server.close(closed)))
    assert.strictEqual((yield* Effect.flip(sink.put("a.ndjson", Buffer.from("")))).of, "JobSinks")
  })
)

it.effect("where webhooks may not go no sink is made, and the reason names the options", () =>
  Effect.gen(function* () {
    for (const [url, why] of [
      ["http://127.0.0.1:1/jobs", /has to begin with https/],
      ["https://10.0.0.1/jobs", /names the address 10\.0\.0\.1, which is not allowed; --webhook-schemes/],
      ["https://user:word@example.com/", /may not hold a user/]
    ] as const) {
      const forbidden = yield* Effect.flip(HttpSink.over(url, null, { schemes: ["https"], ranges: [] }))
      assert.match(forbidden.message, why)
    }
  })
)
