/** The OpenAPI documents: whole in themselves, and true of the listeners. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { ask, makeWorld, World } from "./World.ts"

interface Document {
  readonly openapi: string
  readonly paths: Readonly<
    Record<
      string,
      Readonly<
        Record<
          string,
          {
            readonly operationId: string
            readonly parameters: ReadonlyArray<{ readonly name: string; readonly in: string }>
            readonly responses: object
          }
        >
      >
    >
  >
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

const resolves = (document: Document, pointer: string): boolean => {
  let at: unknown = document
  for (const part of pointer.slice(2).split("/")) at = (at as Record<string, unknown>)?.[part.replaceAll("~1", "/")]
  return at !== undefined
}

for (const which of ["url", "control"] as const) {
  it.effect(
    `Every reference of the document of the ${which === "url" ? "public" : "control"} listener resolves, and every path of it answers`,
    () =>
      Effect.gen(function* () {
        const world = yield* World
        const base = world[which]
        const { text } = yield* ask(`${base}/openapi.json`, { key: null })
        const document: Document = JSON.parse(text)
        assert.strictEqual(document.openapi, "3.1.0")
        for (const [, pointer = ""] of text.matchAll(/"\$ref":"([^"]+)"/g))
          assert.isTrue(resolves(document, pointer), pointer)
        const names = new Set<string>()
        let operations = 0
        for (const [path, methods] of Object.entries(document.paths)) {
          for (const [method, operation] of Object.entries(methods)) {
            operations += 1
            names.add(operation.operationId)
            const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
            assert.deepStrictEqual(
              operation.parameters.filter((one) => one.in === "path").map(({ name }) => name),
              inPath as never
            )
            assert.property(operation.responses, "default")
            const answer = yield* ask(`${base}${path.replace(/\{\w+\}/, "x")}`, {
              method: method.toUpperCase(),
              key: world.key,
              headers: { "x-reason": "test" }
            })
            // An id that is none is a 404 of the route, not of the path.
            if (answer.status === 404) assert.notInclude(answer.text, "nothing at this path", path)
            assert.notStrictEqual(answer.status, 405, path)
            assert.notStrictEqual(answer.status, 500, path)
          }
        }
        assert.strictEqual(names.size, operations)
        assert.isAbove(operations, 30)
      }).pipe(Effect.provide(makeWorld()))
  )
}

it.effect("The page to read needs no other host", () =>
  Effect.gen(function* () {
    const { status, headers, text } = yield* ask("/docs", { key: null })
    assert.strictEqual(status, 200)
    assert.match(headers.get("content-type") ?? "", /^text\/html/)
    assert.notMatch(text.slice(0, 2000), /<(script|link)[^>]+(src|href)=/)
    assert.include(headers.get("content-security-policy") ?? "", "default-src 'none'")
  }).pipe(Effect.provide(makeWorld()))
)
