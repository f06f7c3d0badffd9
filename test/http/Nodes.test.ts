/** The WebSocket door: who gets through, and what the session behind it sees. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { WebSocket } from "ws"
import { Readiness } from "../../src/layers/Readiness.ts"
import { FRAME_BYTES_MAX } from "../../src/schemas/AgentFrame.ts"
import { ask, makeWorld, World } from "./World.ts"

const connect = (path = "/nodes/connect") =>
  Effect.flatMap(World, ({ url }) =>
    Effect.promise(
      () =>
        new Promise<WebSocket | number>((resolve) => {
          const socket = new WebSocket(`${url.replace("http", "ws")}${path}`)
          socket.on("open", () => resolve(socket))
          socket.on("unexpected-response", (_, response) => resolve(response.statusCode ?? 0))
          socket.on("error", () => {})
        })
    )
  )

const opened = Effect.map(connect(), (socket) => {
  assert.isTrue(typeof socket === "object")
  return socket as WebSocket
})

const next = (socket: WebSocket, event: "message" | "close") =>
  Effect.promise(() => new Promise<string>((resolve) => void socket.once(event, (value) => resolve(String(value)))))

it.effect("Text frames reach the session and come back", () =>
  Effect.gen(function* () {
    const socket = yield* opened
    socket.send("one")
    assert.strictEqual(yield* next(socket, "message"), "echo:one")
    const [session] = (yield* World).sockets
    assert.strictEqual(session?.address, "127.0.0.1")
    socket.terminate()
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("Binary and oversized frames end the conversation before the session sees them", () =>
  Effect.gen(function* () {
    const binary = yield* opened
    binary.send(Buffer.from([1, 2, 3]))
    assert.strictEqual(yield* next(binary, "close"), "4400")
    const large = yield* opened
    large.send("x".repeat(FRAME_BYTES_MAX + 1))
    assert.strictEqual(yield* next(large, "close"), "1009")
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("The session can close with a code, and a send after the end says no", () =>
  Effect.gen(function* () {
    const socket = yield* opened
    const [session] = (yield* World).sockets
    yield* session!.close(4401, "unauthenticated")
    assert.isFalse(session!.send("late"))
    socket.terminate()
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A peer that reads nothing fills a bounded buffer, and the session is told", () =>
  Effect.gen(function* () {
    const socket = yield* opened
    socket.pause()
    const [session] = (yield* World).sockets
    const text = "x".repeat(1024 * 1024)
    const accepted = Array.from({ length: 64 }, () => session!.send(text)).filter(Boolean).length
    assert.isBelow(accepted, 64)
    socket.terminate()
  }).pipe(Effect.provide(makeWorld()))
)

it.effect("A session ends with its listener, which does not wait for it", () =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(makeWorld(), scope)
    const socket = yield* Effect.provide(opened, context)
    const closed = yield* Effect.forkChild(next(socket, "close"))
    yield* Scope.close(scope, Exit.void)
    assert.strictEqual(yield* Fiber.join(closed), "1006")
  })
)

it.effect("Nothing else is upgraded, and without an upgrade the door says so", () =>
  Effect.gen(function* () {
    assert.strictEqual(yield* connect("/v1/chat/completions"), 404)
    const { status, body } = yield* ask("/nodes/connect", { key: null })
    assert.deepStrictEqual([status, body.error.code], [426, "upgrade_required"])
    yield* (yield* Readiness).startDrain
    assert.strictEqual(yield* connect(), 503)
  }).pipe(Effect.provide(makeWorld()))
)
