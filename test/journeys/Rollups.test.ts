/** An operator closes the books: of one daemon over its own file, and of two over the real servers of which the one that books is killed in between. */
import { assert, describe, it } from "vitest"
import { missingServers, startCluster, whySkipped } from "../support/Cluster.ts"
import { client, type Daemon, look, micro, order, startDaemon } from "../support/Daemon.ts"
import { activeNode, allActive, startNode } from "../support/Nodes.ts"
import { temporaryFolder } from "../support/Process.ts"
import { chatBody } from "../support/Texts.ts"
import { until } from "../support/Until.ts"

interface Row {
  readonly namespaceId: string
  readonly jobs: number
  readonly cost: string
  readonly spentAtEnd: string
  readonly settled: string
}

const rowsOf = async (daemon: Daemon, definition: string) =>
  (await look<{ readonly data: ReadonlyArray<Row> }>(daemon, `/control/rollups/${definition}/rows?limit=1000`)).data

const isTaken = async (daemon: Daemon) => {
  const { waiting } = await look<{ readonly waiting: { readonly credits: number; readonly jobs: number } }>(
    daemon,
    "/control/rollups"
  )
  return waiting.credits === 0 && waiting.jobs === 0
}

const work = async (daemon: Daemon, from: number, jobs: number) => {
  for (let n = from; n < from + jobs; n++) {
    await client(daemon).chat.completions.create(chatBody(`question ${n}`) as never)
  }
}

const total = (amounts: ReadonlyArray<string>): bigint => amounts.reduce((sum, amount) => sum + micro(amount), 0n)

/** Every job and every credit is in the rollups once. */
const assertAgrees = async (daemon: Daemon, jobs: number) => {
  const audit = await look<{ readonly ok: boolean; readonly totals: { readonly spent: string } }>(
    daemon,
    "/control/ledger/audit"
  )
  assert.isTrue(audit.ok)
  const [counted, moved] = [await rowsOf(daemon, "jobs"), await rowsOf(daemon, "credits")]
  assert.strictEqual(
    counted.reduce((sum, row) => sum + row.jobs, 0),
    jobs
  )
  assert.strictEqual(total(counted.map(({ cost }) => cost)), micro(audit.totals.spent))
  assert.strictEqual(total(moved.map(({ settled }) => settled)), micro(audit.totals.spent))
}

const sweep = (daemon: Daemon) => order(daemon, "/control/sweepers/rollup/sweep")

it("S8: the rollups of a daemon that was killed go on where they were", async () => {
  const data = temporaryFolder()
  const first = await startDaemon({ data, nodes: ["instant"] })
  await allActive(first, ["instant"])
  await work(first, 0, 5)
  await sweep(first)
  await assertAgrees(first, 5)
  await work(first, 5, 3)
  await first.kill("SIGKILL")
  const next = { ...(await startDaemon({ data, nodes: ["instant"] })), key: first.key }
  await allActive(next, ["instant"])
  await work(next, 8, 2)
  await until("a pass", () =>
    sweep(next).then(
      () => true,
      () => false
    )
  )
  await assertAgrees(next, 10)
  const { namespaceId } = (await rowsOf(next, "jobs"))[0]!
  const invoice = await look<{ readonly invoice: { readonly models: ReadonlyArray<Row>; readonly charged: string } }>(
    next,
    `/control/namespaces/${namespaceId}/invoice`
  )
  assert.strictEqual(total(invoice.invoice.models.map(({ cost }) => cost)), micro(invoice.invoice.charged))
}, 120_000)

const leads = async (daemon: Daemon) => {
  const { data } = await look<{ readonly data: ReadonlyArray<{ readonly name: string; readonly leads: boolean }> }>(
    daemon,
    "/control/sweepers"
  )
  return data.find(({ name }) => name === "rollup")?.leads === true
}

describe.skipIf(missingServers.length > 0)(`two daemons on the real servers${whySkipped}`, () => {
  it("S24, S36: books of two daemons agree with the ledger, also when the one that leads is killed", async () => {
    const { daemons } = await startCluster({ daemons: 2 })
    const leader = await until("a leader", async () => {
      for (const daemon of daemons) if (await leads(daemon)) return daemon
      return null
    })
    const other = daemons.find((daemon) => daemon !== leader)!
    startNode(other.nodesUrl, { name: "only" })
    await activeNode(other, "only")
    await work(other, 0, 6)
    // Asked of the one that does not lead.
    await sweep(other)
    const going = work(other, 6, 6)
    const passing = sweep(leader).catch(() => null)
    await leader.kill("SIGKILL")
    await Promise.all([going, passing])
    await until("the other one leads", () => leads(other))
    await until("a pass", () =>
      sweep(other).then(
        () => isTaken(other),
        () => false
      )
    )
    await assertAgrees(other, 12)
  }, 180_000)
})
