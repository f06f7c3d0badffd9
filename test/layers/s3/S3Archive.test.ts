/** The S3 archive before servers that hang, lie, or are none: what no honest server would show. */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Archive } from "../../../src/layers/Archive.ts"
import { driver, layer, type S3Config } from "../../../src/layers/s3/S3Archive.ts"
import { make as makeClient } from "../../../src/layers/s3/S3Client.ts"
import { readErrorCode, readList } from "../../../src/layers/s3/S3Xml.ts"
import { type Crossing, type Harm, openCrossing } from "./Crossing.ts"

const SECRET = "a-secret-that-nobody-may-read-in-a-log"

const configOf = (url: string): S3Config => ({
  url,
  bucket: "cold",
  region: "us-east-1",
  accessKey: "us",
  secretKey: Redacted.make(SECRET),
  prefix: "",
  retries: 0
})

/** A server that answers every request so. */
const impostor = (harm: (method: string, path: string) => Harm | null) =>
  Effect.acquireRelease(
    Effect.promise(async (): Promise<Crossing> => Object.assign(await openCrossing(null), { harm })),
    ({ close }) => Effect.promise(close)
  )

const answering = (status: number, body: string) => impostor(() => ({ _tag: "Answer", status, body }))

const why = (effect: Effect.Effect<unknown, { readonly _tag: "Outage"; readonly cause: unknown }>) =>
  Effect.map(Effect.flip(effect), ({ _tag, cause }) => `${_tag}: ${(cause as Error).message}`)

const errorOf = (code: string) => `<?xml version="1.0"?>\n<Error><Code>${code}</Code><Message>no</Message></Error>`

const pageOf = (keys: ReadonlyArray<string>, next: string | null) =>
  `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>cold</Name><Prefix></Prefix><IsTruncated>${next !== null}</IsTruncated>${
    next === null ? "" : `<NextContinuationToken>${escaped(next)}</NextContinuationToken>`
  }${keys.map((key) => `<Contents><Key>${escaped(key)}</Key><Size>1</Size></Contents>`).join("")}</ListBucketResult>`

const escaped = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\r", "&#13;")

it.effect("an S3 archive says that a server hangs, after its patience", () =>
  Effect.gen(function* () {
    const { url } = yield* impostor(() => ({ _tag: "Hang" }))
    const asked = yield* Effect.forkChild(why(driver(makeClient(configOf(url))).get("a")), { startImmediately: true })
    yield* TestClock.adjust("30 seconds")
    assert.match(yield* Fiber.join(asked), /Outage: the S3 server at http.* does not answer: no answer within 30000 ms/)
  })
)

it.effect("an S3 archive starts without a server that is away, and is out until it comes", () =>
  Effect.gen(function* () {
    const gone = yield* Effect.promise(() => openCrossing(null))
    yield* Effect.promise(gone.close)
    const archive = yield* Effect.provide(Archive, layer(configOf(gone.url)), { local: true })
    assert.match(yield* why(archive.list as never), /Outage: the S3 server at http.* does not answer: .*ECONNREFUSED/)
  })
)

it.effect(
  "an S3 archive does not start on a server that is none, on a bucket elsewhere, or with a name that cannot be",
  () =>
    Effect.gen(function* () {
      const objection = (config: S3Config) =>
        Effect.map(Effect.exit(Effect.provide(Archive, layer(config), { local: true })), (exit) => {
          assert.isTrue(Exit.isFailure(exit))
          const text = Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""
          assert.notInclude(text, SECRET)
          return text
        })
      const page = yield* answering(200, "<html>Welcome to nginx!</html>")
      assert.match(yield* objection(configOf(page.url)), /answered a list with something else/)
      const moved = yield* answering(301, errorOf("PermanentRedirect"))
      assert.match(yield* objection(configOf(moved.url)), /"cold" is not in region us-east-1 \(S3_REGION\)/)
      const skewed = yield* answering(403, errorOf("RequestTimeTooSkewed"))
      assert.match(yield* objection(configOf(skewed.url)), /the clock of this machine/)
      for (const wrong of [{ bucket: "No/Bucket" }, { prefix: "../up" }, { region: "<x>" }, { url: "cold" }]) {
        assert.match(yield* objection({ ...configOf(page.url), ...wrong }), /cannot be|is not the URL/)
      }
    })
)

it.effect("an S3 archive does not believe a server that keeps other bytes than it was given", () =>
  Effect.gen(function* () {
    const { url } = yield* answering(200, "something else")
    const { put } = driver(makeClient(configOf(url)))
    assert.match(yield* why(put("a", Uint8Array.of(1, 2))), /took 2 bytes for a and gave back 14 other bytes/)
    const losing = yield* impostor((method) =>
      method === "PUT"
        ? { _tag: "Answer", status: 200, body: "" }
        : { _tag: "Answer", status: 404, body: errorOf("NoSuchKey") }
    )
    assert.match(yield* why(driver(makeClient(configOf(losing.url))).put("a", Uint8Array.of(1))), /gave back nothing/)
  })
)

it.effect("an S3 archive takes only S3's own word for a blob that is not there", () =>
  Effect.gen(function* () {
    const absent = yield* answering(404, errorOf("NoSuchKey"))
    assert.isNull(yield* driver(makeClient(configOf(absent.url))).get("a"))
    for (const body of ["", "<html>Not Found</html>", errorOf("NoSuchBucket")]) {
      const { url } = yield* answering(404, body)
      assert.match(yield* why(driver(makeClient(configOf(url))).get("a")), /404/)
    }
  })
)

it.live("an S3 archive tries a busy server again, and no refusal", () =>
  Effect.gen(function* () {
    let left = 2
    const busy = yield* impostor(() =>
      left-- > 0
        ? { _tag: "Answer", status: 503, body: errorOf("SlowDown") }
        : { _tag: "Answer", status: 200, body: pageOf(["a"], null) }
    )
    assert.deepStrictEqual(yield* driver(makeClient({ ...configOf(busy.url), retries: 2 })).names(""), ["a"])
    const closed = yield* answering(403, errorOf("AccessDenied"))
    assert.match(yield* why(driver(makeClient({ ...configOf(closed.url), retries: 2 })).names("")), /refuses the keys/)
    assert.lengthOf(closed.seen, 1)
  })
)

it.effect("an S3 archive ends a list that goes round in a circle", () =>
  Effect.gen(function* () {
    const { url } = yield* answering(200, pageOf(["a"], "again"))
    assert.match(yield* why(driver(makeClient(configOf(url))).names("")), /the same page again and again/)
  })
)

it.effect.prop(
  "a list gives its keys back, whatever they hold",
  {
    keys: Schema.Array(Schema.String),
    next: Schema.NonEmptyString
  },
  ({ keys, next }) =>
    Effect.sync(() => {
      assert.deepStrictEqual(readList(pageOf(keys, null)), { keys, next: null })
      assert.deepStrictEqual(readList(pageOf(keys, next)), { keys, next })
      // Half a list is none.
      assert.isNull(readList(pageOf(keys, next).slice(0, -1)))
    }),
  { arbitrary: { runs: 50 } }
)

it("a list that lacks its end, a key, or where it goes on is none", () => {
  const page = pageOf(["a"], null)
  assert.isNull(readList(page.replace("<IsTruncated>false</IsTruncated>", "")))
  assert.isNull(readList(page.replace("false", "true")))
  assert.isNull(readList(page.replace("<Key>a</Key>", "")))
  assert.isNull(readList(""))
  assert.deepStrictEqual(readList(page.replace("<Key>a</Key>", "<Key>&#x41;&#66;&quot;&apos;&amp;lt;</Key>")), {
    keys: [`AB"'&lt;`],
    next: null
  })
})

it("an error document tells its code, and a page tells none", () => {
  assert.strictEqual(readErrorCode(errorOf("NoSuchKey")), "NoSuchKey")
  assert.isNull(readErrorCode("<html><Code>NoSuchKey</Code></html>"))
  assert.isNull(readErrorCode("<Error></Error>"))
})
