/** `receipt verify` by the command alone: nothing listens anywhere in these tests. And what a daemon hands out is handed on byte by byte. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { saltedSha256 } from "../../src/schemas/Salted.ts"
import { fileBy, SALT } from "../support/aReceipt.ts"
import { networkKeyOf, testKey } from "../support/networkKey.ts"
import { temporaryFolder } from "../support/Process.ts"
import { bytesOf, withoutNodes } from "../support/receipts.ts"
import { call, callAt, fake } from "./FakeControl.ts"
import { JOB } from "./samples.ts"

const whole = bytesOf(fileBy())

const written = (bytes: Uint8Array): string => {
  const path = join(temporaryFolder(), "receipt.json")
  writeFileSync(path, bytes)
  return path
}

const verify = (...words: ReadonlyArray<string>) => call(["receipt", "verify", ...words])

describe("receipt verify", () => {
  it.live("says of each part that it holds, also of a customer's, and who signed it", () =>
    Effect.gen(function* () {
      const { exit, out, err } = yield* verify(written(whole), "--key", testKey.publicKey)
      assert.deepStrictEqual([exit, err], [0, ""])
      assert.match(out, /^network +yes +signed by nk_\w+, which you trust$/m)
      assert.match(out, /^identity +yes +node-1 is 0x[0-9a-f]{40}, and vouched/m)
      assert.match(out, /^inclusion +yes +receipt 3 of 5 in the hour from 2026-11-30T10:00 UTC$/m)
      assert.match(out, /The receipt of job_\w+ holds\.\n$/)
      const customers = yield* verify(written(bytesOf(withoutNodes(fileBy()))), "--json")
      assert.deepInclude(JSON.parse(customers.out), { holds: true })
    })
  )

  it.live("names what was altered and ends with 1, in words and as a document", () =>
    Effect.gen(function* () {
      const altered = written(Buffer.from(whole.toString().replace('"outputTokens":2', '"outputTokens":3')))
      const { exit, out, err } = yield* verify(altered)
      assert.strictEqual(exit, 1)
      assert.match(out, /^(usage|result) +NO /m)
      assert.match(err, /^broken: .* does not hold: (usage|result)\n$/)
      const document = JSON.parse((yield* verify(altered, "--json")).out)
      assert.isFalse(document.holds)
      assert.strictEqual(document.findings.filter(({ holds }: { holds: boolean }) => !holds).length, 1)
    })
  )

  it.live("refuses a network that is not the one that is trusted, and takes any of several keys", () =>
    Effect.gen(function* () {
      const other = networkKeyOf("2").publicKey
      const path = written(whole)
      assert.strictEqual((yield* verify(path, "--key", other)).exit, 1)
      assert.strictEqual((yield* verify(path, "--key", `${other},${testKey.publicKey}`)).exit, 0)
      assert.strictEqual((yield* verify(path, "--key", "12")).exit, 2)
    })
  )

  it.live("tells a file that is not there from one that is no receipt", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* verify("/nowhere/receipt.json")).exit, 4)
      const { exit, out } = yield* verify(written(Buffer.from("hello")))
      assert.strictEqual(exit, 1)
      assert.match(out, /^file +NO +is not JSON$/m)
    })
  )
})

describe("receipt verify with texts", () => {
  const texts = (text: string) => ({
    request: { model: "tiny", messages: [{ role: "user", content: "Hi" }] },
    answer: {
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: text, refusal: null },
          logprobs: null,
          finish_reason: "stop"
        }
      ]
    }
  })
  const { request } = texts("")
  const choices = [{ choice: 0, text: "Hello", finish: "stop" }]
  const ofTexts = bytesOf(
    fileBy(testKey, {}, { request: saltedSha256(SALT, request), output: saltedSha256(SALT, choices) })
  )
  const json = (value: unknown) => written(Buffer.from(JSON.stringify(value)))

  it.live("says whether it is of this request and this answer, in whatever order their fields are", () =>
    Effect.gen(function* () {
      const { answer } = texts("Hello")
      const receipt = written(ofTexts)
      const turned = { messages: request.messages, model: request.model }
      for (const said of [answer, choices]) {
        const { exit, out } = yield* verify(receipt, "--request", json(turned), "--answer", json(said))
        assert.strictEqual(exit, 0, out)
        assert.match(out, /^request +yes +is what was given$[^]*^output +yes +is what was given$/m)
      }
      const other = yield* verify(receipt, "--answer", json(texts("hello").answer))
      assert.deepStrictEqual([other.exit, other.err.includes("does not hold: output")], [1, true])
    })
  )

  it.live("says what it cannot compare instead of accusing anybody", () =>
    Effect.gen(function* () {
      const receipt = written(ofTexts)
      const tools = { choices: [{ index: 0, message: { content: null, tool_calls: [] }, finish_reason: "tool_calls" }] }
      assert.strictEqual((yield* verify(receipt, "--answer", json(tools))).exit, 2)
      assert.strictEqual((yield* verify(receipt, "--request", written(Buffer.from("{")))).exit, 2)
      const { opening: _opening, ...closed } = JSON.parse(ofTexts.toString())
      const { out } = yield* verify(written(bytesOf(closed)), "--request", json(request))
      assert.match(out, /^request +NO +cannot be compared: the file has no salt/m)
    })
  )
})

describe("jobs receipt", () => {
  it.live("hands on the very bytes, with and without --json, for verify", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const answer = { text: whole.toString(), type: "application/json" }
      control.answer(answer, answer)
      const plain = yield* callAt(control, "jobs", "receipt", JOB)
      assert.strictEqual(plain.out, whole.toString())
      assert.strictEqual((yield* callAt(control, "jobs", "receipt", JOB, "--json")).out, plain.out)
      assert.strictEqual(control.asked[0]?.path, `/control/jobs/${JOB}/receipt`)
      assert.strictEqual((yield* verify(written(Buffer.from(plain.out)))).exit, 0)
    })
  )
})

describe("receipt audit", () => {
  it.live("ends with 1 when the store says something else", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer({ json: { jobId: JOB, hash: "ab".repeat(32), differs: ["events"], event: 2 } })
      const { exit, out, err } = yield* callAt(control, "receipt", "audit", JOB)
      assert.strictEqual(exit, 1)
      assert.match(out, /events; event 2 is the first that differs/)
      assert.include(err, "broken: the store differs from the receipt in: events")
    })
  )
})
