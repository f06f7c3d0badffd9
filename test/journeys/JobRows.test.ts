/** A job that is long over, as its customer and an operator meet it: its result is archived (410), then there is no such job (404), and the money stands. */
import { DatabaseSync } from "node:sqlite"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import type { JobView } from "../../src/schemas/openai/JobView.ts"
import { ask, balance, client, type Daemon, look, order, startDaemon } from "../support/Daemon.ts"
import { allEnded } from "../support/Invariants.ts"
import { allActive } from "../support/Nodes.ts"
import { COMMAND, run } from "../support/Process.ts"
import { chatBody } from "../support/Texts.ts"
import { until } from "../support/Until.ts"

const NODES = ["instant"]
const DAY = 86_400_000

interface Swept {
  readonly swept: number
  readonly detail: Readonly<Record<string, number>>
}

const sweep = (daemon: Daemon, name: string, query = "") =>
  order<Swept>(daemon, `/control/sweepers/${name}/sweep${query}`)

/** As if all had been so many days ago, and all hours since were closed. */
const makeOld = (data: string, days: number) => {
  const db = new DatabaseSync(join(data, "resultity.db"))
  const ago = days * DAY
  const today = Math.floor(Date.now() / DAY) * DAY
  db.exec(`
    UPDATE job SET finished_at = finished_at - ${ago};
    UPDATE record SET finished_at = finished_at - ${ago};
    UPDATE idempotency_key SET expires_at = expires_at - ${ago};
    UPDATE rollup_progress SET closed_until = max(closed_until, ${today});
  `)
  db.close()
}

const keepRows = async (daemon: Daemon, rowDays: number) => {
  const { settings } = await look<{ readonly settings: { readonly retention: object } }>(daemon, "/control/settings")
  await order(daemon, "/control/settings", { changes: { retention: { ...settings.retention, rowDays } } })
}

const codeAt = async (daemon: Daemon, path: string) => {
  const { status, body } = await ask<{ readonly error?: { readonly code: string } }>(daemon, "GET", path)
  return [status, body.error?.code]
}

describe("a job whose day has long been over", () => {
  it("C77, C97: is 410 once its record left, 404 once its row did, and the ledger's audit says what it said before", async () => {
    const first = await startDaemon({ nodes: NODES })
    await allActive(first, NODES)
    const jobs: Array<string> = []
    for (let n = 0; n < 3; n++) {
      const response = await client(first)
        .chat.completions.create(chatBody(`old ${n}`) as never)
        .withResponse()
      jobs.push(String(response.response.headers.get("x-job-id")))
    }
    const [id = ""] = jobs
    await allEnded(first)
    await sweep(first, "outbox-relay")
    await sweep(first, "rollup")
    await keepRows(first, 3_650)
    const paid = await balance(first)
    const before = await look(first, "/control/ledger/audit")
    first.kill("SIGTERM")
    await first.exited
    makeOld(first.data, 100)

    const daemon = await startDaemon({ data: first.data, nodes: NODES })
    await until("the records left", async () => {
      // Bodies first, the rest with the next pass; and one comes by itself when a daemon starts.
      await sweep(daemon, "retention").catch(() => null)
      const { data } = await look<{ readonly data: ReadonlyArray<unknown> }>(daemon, "/control/jobs?limit=9")
      return data.length === 0
    })
    assert.deepStrictEqual(await codeAt(daemon, `/v1/jobs/${id}/result`), [410, "archived"])
    assert.strictEqual((await sweep(daemon, "job-rows", "?dry_run=true")).swept, 0)
    await keepRows(daemon, 90)
    const seen = await ask<JobView>(daemon, "GET", `/v1/jobs/${id}`)
    assert.strictEqual(seen.body.state, "completed")

    assert.deepInclude(await sweep(daemon, "job-rows", "?dry_run=true"), { swept: 3, detail: { rows: 3 } })
    assert.deepInclude(await sweep(daemon, "job-rows"), { swept: 3, detail: { rows: 3 } })
    for (const path of ["", "/result", "/events", "/explain", "/receipt"]) {
      assert.deepStrictEqual(await codeAt(daemon, `/v1/jobs/${id}${path}`), [404, "not_found"], path)
    }
    assert.deepStrictEqual(await balance(daemon), paid)
    assert.deepStrictEqual(await look(daemon, "/control/ledger/audit"), before)
    const { data } = await look<{ readonly data: ReadonlyArray<{ readonly name: string; readonly swept: number }> }>(
      daemon,
      "/control/sweepers"
    )
    assert.strictEqual(data.find(({ name }) => name === "job-rows")?.swept, 3)

    // What its customer cannot name any more, an operator can have forgotten all the same.
    const [namespace] = (
      await look<{ readonly data: ReadonlyArray<{ readonly id: string }> }>(daemon, "/control/namespaces")
    ).data
    const verify = run("verify", [COMMAND, "archive", "verify", "--from", join(daemon.data, "archive")])
    assert.strictEqual((await verify.exited).code, 0, verify.lines.join("\n"))
    const erased = await order<{ readonly erasure: { readonly erased: number } }>(daemon, `/control/jobs/${id}/erase`, {
      namespaceId: namespace?.id
    })
    assert.strictEqual(erased.erasure.erased, 1)
  })
})
