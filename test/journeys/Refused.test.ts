/**
 * What a customer is told when something is wrong, through the official client: the class of error, the field it is about, and how often the
 * client really asked. The client repeats by itself what may go better and nothing else.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  APIError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError
} from "openai"
import type { Incident } from "../../src/schemas/Incident.ts"
import { ask, balance, client, countingClient, look, newCustomer, order, startDaemon } from "../support/Daemon.ts"
import { allJobs, controlJob, findings } from "../support/Invariants.ts"
import { activeNode, allActive, startNode, startRuntimeNode } from "../support/Nodes.ts"
import * as FakeRuntime from "../support/FakeRuntime.ts"
import { chatBody } from "../support/Texts.ts"
import { until } from "../support/Until.ts"

const MESSAGES = [{ role: "user" as const, content: "Hello?" }]
const CHAT = { model: "sim-small", messages: MESSAGES }

/** The error that this call fails with. */
const failureOf = async (call: PromiseLike<unknown>): Promise<APIError> => {
  try {
    await call
  } catch (error) {
    if (error instanceof APIError) return error
    throw error
  }
  throw new Error("it should have failed")
}

describe("the official client", () => {
  it("is told that its key is wrong, missing or revoked, at once, and does not try again", async () => {
    const daemon = await startDaemon({ nodes: ["swift"] })
    await activeNode(daemon, "swift")
    const wrong = countingClient(daemon, { apiKey: "rsk-wrong" })
    const error = await failureOf(wrong.openai.chat.completions.create(CHAT))
    assert.instanceOf(error, AuthenticationError)
    assert.deepInclude(error, { status: 401, code: "invalid_api_key", type: "authentication_error" })
    assert.lengthOf(wrong.sent, 1)
    assert.strictEqual((await fetch(`${daemon.url}/v1/models`)).status, 401)

    const customer = await newCustomer(daemon, { name: "short", credits: "1" })
    const openai = client(daemon, { apiKey: customer.key })
    await openai.models.list()
    await order(daemon, `/control/keys/${customer.keyId}/revoke`)
    assert.instanceOf(await failureOf(openai.models.list()), AuthenticationError)
  })

  it("is told which field of a bad body is wrong, and does not try again", async () => {
    const daemon = await startDaemon({ nodes: ["swift"] })
    await activeNode(daemon, "swift")
    const { sent, openai } = countingClient(daemon)
    const bad: ReadonlyArray<readonly [object, string]> = [
      [{ messages: MESSAGES }, "model"],
      [{ model: "sim-small" }, "messages"],
      [{ model: "sim-small", messages: [] }, "messages"],
      [{ ...CHAT, temperature: "hot" }, "temperature"],
      [{ ...CHAT, max_tokens: -1 }, "max_tokens"],
      [{ ...CHAT, n: 1000 }, "n"],
      [{ model: "sim-small", messages: [{ role: "nobody", content: "x" }] }, "messages"],
      [{ ...CHAT, resultity: { prioritty: "bulk" } }, "resultity"]
    ]
    for (const [body, param] of bad) {
      const error = await failureOf(openai.chat.completions.create(body as typeof CHAT))
      assert.instanceOf(error, BadRequestError, JSON.stringify(body))
      assert.isTrue(String(error.param).startsWith(param), `${error.param} for ${JSON.stringify(body)}`)
    }
    assert.lengthOf(sent, bad.length)
    assert.deepStrictEqual(await allJobs(daemon), [])
  })

  it("is told 404 for a model nobody knows, and 503 with when to try again for one whose nodes are gone", async () => {
    const daemon = await startDaemon()
    const node = startNode(daemon.nodesUrl, { name: "passing" })
    await activeNode(daemon, "passing")
    const { sent, openai } = countingClient(daemon)
    const unknown = await failureOf(openai.chat.completions.create({ ...CHAT, model: "sim-huge" }))
    assert.instanceOf(unknown, NotFoundError)
    assert.deepInclude(unknown, { code: "model_not_found", param: "model" })
    assert.lengthOf(sent, 1)
    assert.deepStrictEqual((await openai.models.list()).data.map(({ id }) => id).toSorted(), ["sim-embed", "sim-small"])
    await node.kill("SIGKILL")
    await until("the model to go", async () => (await openai.models.list()).data.length === 0)
    const gone = await failureOf(openai.chat.completions.create(CHAT, { maxRetries: 0 }))
    assert.instanceOf(gone, InternalServerError)
    assert.deepInclude(gone, { status: 503, code: "model_unavailable" })
    assert.isNotNull(gone.headers?.get("retry-after"))
  })

  it("is told 402 without credits, does not try again, and leaves a rejection and no job", async () => {
    const daemon = await startDaemon({ nodes: ["swift"] })
    await activeNode(daemon, "swift")
    const customer = await newCustomer(daemon, { name: "poor" })
    const { sent, openai } = countingClient(daemon, { apiKey: customer.key })
    const error = await failureOf(openai.chat.completions.create(CHAT))
    assert.deepInclude(error, { status: 402, code: "insufficient_credits" })
    assert.lengthOf(sent, 1)
    assert.deepStrictEqual(await allJobs(daemon), [])
    const rejection = await until("the rejection", async () => {
      const { data } = await look<{ data: ReadonlyArray<Incident> }>(daemon, "/control/incidents?kind=rejection")
      return data.find(({ type }) => type === "insufficient_credits")
    })
    assert.strictEqual(rejection.namespaceId, customer.namespaceId)
  })

  it("is slowed down above its key's rate, tries again by itself, and slows nobody else down", async () => {
    const daemon = await startDaemon({ nodes: ["swift"] })
    await activeNode(daemon, "swift")
    const customer = await newCustomer(daemon, { name: "hasty", credits: "1", ratePerSecond: 2 })
    const hasty = client(daemon, { apiKey: customer.key })
    // The burst is twice the rate.
    for (let count = 0; count < 4; count++) await hasty.models.list()
    const error = await failureOf(hasty.models.list())
    assert.instanceOf(error, RateLimitError)
    assert.strictEqual(error.code, "rate_limited")
    assert.isAtLeast(Number(error.headers?.get("retry-after")), 1)
    await client(daemon).models.list()
    const patient = countingClient(daemon, { apiKey: customer.key, maxRetries: 5 })
    await patient.openai.models.list()
    assert.isAtLeast(patient.sent.length, 2)
  })

  it("is told 501 for what is planned, and does not try again", async () => {
    const daemon = await startDaemon()
    const { sent, openai } = countingClient(daemon)
    const error = await failureOf(openai.images.generate({ model: "sim-small", prompt: "a cat" }))
    assert.deepInclude(error, { status: 501, code: "not_available" })
    assert.lengthOf(sent, 1)
  })

  it("is told that the job failed, once, and pays nothing, when every node fails it", async () => {
    const daemon = await startDaemon()
    const runtimes = await Promise.all(
      ["one", "two", "three"].map(async (name) => {
        const runtime = await FakeRuntime.start()
        startRuntimeNode(daemon, { name, runtime: runtime.baseUrl })
        return runtime
      })
    )
    try {
      await allActive(daemon, ["one", "two", "three"])
      const before = await balance(daemon)
      for (const runtime of runtimes) runtime.order({ kind: "status", status: 500 }, { kind: "status", status: 500 })
      const { sent, openai } = countingClient(daemon)
      const error = await failureOf(openai.chat.completions.create({ ...CHAT, model: "fake-small" }))
      assert.deepInclude(error, { status: 503, code: "job_failed" })
      assert.lengthOf(sent, 1)
      const jobId = error.headers?.get("x-job-id") ?? ""
      const { row, record } = await controlJob(daemon, jobId)
      assert.strictEqual(row.state, "failed")
      assert.isAtLeast(new Set(record?.routing.attempts.map(({ nodeId }) => nodeId)).size, 2)
      assert.deepStrictEqual(await balance(daemon), before)
      assert.deepStrictEqual(await findings(daemon), [])
    } finally {
      for (const runtime of runtimes) await runtime.close()
    }
  })
})

describe("a customer", () => {
  it("sees nothing of another's job", async () => {
    const daemon = await startDaemon({ nodes: ["swift"] })
    await activeNode(daemon, "swift")
    const other = await newCustomer(daemon, { name: "other", credits: "1" })
    const { headers } = await ask(daemon, "POST", "/v1/chat/completions", { body: chatBody("Mine.") })
    const path = `/v1/jobs/${headers.get("x-job-id")}`
    for (const [method, what] of [
      ["GET", ""],
      ["GET", "/result"],
      ["GET", "/events"],
      ["GET", "/explain"],
      ["GET", "/trace"],
      ["POST", "/cancel"]
    ] as const) {
      const seen = await ask<{ error: { code: string } }>(daemon, method, `${path}${what}`, { key: other.key })
      assert.deepStrictEqual([seen.status, seen.body.error.code], [404, "not_found"], what)
    }
    assert.strictEqual((await ask(daemon, "GET", path)).status, 200)
  })
})
