/** More requests at once than the balance pays for. */
import { assert, describe, it } from "@effect/vitest"
import type { JobView } from "../../src/schemas/openai/JobView.ts"
import { ask, balance, micro, newCustomer, startDaemon } from "../support/Daemon.ts"
import { allEnded, allJobs, controlJob, findings } from "../support/Invariants.ts"
import { allActive } from "../support/Nodes.ts"
import { chatBody } from "../support/Texts.ts"

describe("50 requests at once", () => {
  it("lead to exactly 10 jobs and 40 times 402, when the balance reserves 10", async () => {
    const daemon = await startDaemon({ nodes: ["swift"] })
    await allActive(daemon, ["swift"])
    // What one of them reserves is measured, so that the test does not know the prices.
    const body = chatBody("How much is it?")
    const first = await ask<JobView>(daemon, "POST", "/v1/chat/completions", {
      body,
      headers: { prefer: "respond-async" }
    })
    const { row } = await controlJob(daemon, first.body.id)
    const each = micro(row.job.reserved)
    await allEnded(daemon)
    const credits = `${(each * 10n + each / 2n) / 1_000_000n}.${String((each * 10n + each / 2n) % 1_000_000n).padStart(6, "0")}`
    const customer = await newCustomer(daemon, { name: "poor", credits })
    // No node stands there: none may end a job, and so give credits back, while requests still come in.
    const answers = await Promise.all(
      Array.from({ length: 50 }, () =>
        ask<JobView & Problem>(daemon, "POST", "/v1/chat/completions", {
          key: customer.key,
          body,
          headers: { prefer: "respond-async", "x-resultity-region": "nowhere" }
        })
      )
    )
    const accepted = answers.filter(({ status }) => status === 202)
    const refused = answers.filter(({ status }) => status === 402)
    assert.deepStrictEqual([accepted.length, refused.length], [10, 40])
    for (const { body, headers } of refused) {
      assert.strictEqual(body.error.code, "insufficient_credits")
      assert.strictEqual(headers.get("x-should-retry"), "false")
      assert.isNull(headers.get("x-job-id"))
    }
    const jobs = await allJobs(daemon, `&namespace=${customer.namespaceId}`)
    assert.sameMembers(
      jobs.map(({ jobId }) => jobId),
      accepted.map(({ body }) => body.id)
    )
    assert.strictEqual((await balance(daemon, customer.key)).reserved, each * 10n)
    for (const { jobId } of jobs) {
      const { status } = await ask(daemon, "POST", `/v1/jobs/${jobId}/cancel`, { key: customer.key })
      assert.strictEqual(status, 200)
    }
    assert.strictEqual((await balance(daemon, customer.key)).available, each * 10n + each / 2n)
    assert.deepStrictEqual(await findings(daemon), [])
  })
})

interface Problem {
  readonly error: { readonly code: string }
}
