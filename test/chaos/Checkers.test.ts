import { assert, describe, it } from "@effect/vitest"
import { flipByte } from "../../src/layers/memory/MemoryArchive.ts"
import type { StoredJob } from "../../src/layers/memory/MemoryState.ts"
import { zero } from "../../src/schemas/Credits.ts"
import { makeCheckers } from "./Campaign.ts"
import type { Call, Scene } from "./support/History.ts"
import { planOf } from "./support/Plan.ts"
import { Run } from "./support/Run.ts"

/** A run in which nothing went wrong; the upkeep lets go of records, so that afterwards only I8 can be asked about them. */
const goodScene = async (rule: string): Promise<Scene> => {
  const upkeep = rule === "I08" ? { old: 2, rots: false, tears: null, points: [], timed: [] } : null
  const run = new Run({ ...planOf(3), points: [], timed: [], upkeep }, { checkers: [] })
  await run.perform()
  return run.scene
}

/** Rules that can only be asked before the upkeep. */
const LIVE: ReadonlySet<string> = new Set(["I06", "I13"])

const judge = (scene: Scene, calls: ReadonlyArray<Partial<Call>> = []): ReadonlyArray<string> => {
  const checkers = makeCheckers().filter(({ name }) => scene.history.aged.size === 0 || !LIVE.has(name))
  const found = new Set<string>()
  for (const partial of calls) {
    const call: Call = {
      at: scene.now(),
      daemon: "daemon_none",
      point: "",
      args: [],
      result: null,
      ...partial
    }
    for (const { name, points, during } of checkers) {
      if (points?.includes(call.point) === false) continue
      if ((during?.(call, scene) ?? null) !== null) found.add(name)
    }
  }
  for (const { name, atEnd } of checkers) if ((atEnd?.(scene) ?? []).length > 0) found.add(name)
  return [...found]
}

const someJob = ({ state }: Scene): StoredJob => {
  const found = [...state.jobs.values()].find(({ row }) => row.state === "completed")
  if (found === undefined) throw new Error("no job was completed")
  return found
}

type Spoil = (scene: Scene) => ReadonlyArray<Partial<Call>>

const BAD: ReadonlyArray<readonly [rule: string, what: string, spoil: Spoil]> = [
  [
    "I01",
    "credits appear from nowhere",
    (scene) => {
      const { account } = someJob(scene)
      account.balance = {
        ...account.balance,
        available: (account.balance.available + 1n) as never
      }
      return []
    }
  ],
  [
    "I02",
    "a job is settled twice",
    (scene) => {
      const { account, row } = someJob(scene)
      const entry = {
        seq: 0,
        namespaceId: row.job.namespaceId,
        kind: "settle",
        amount: zero,
        jobId: row.job.id
      } as const
      account.entries.push({ ...entry, reference: null, at: 0 })
      return []
    }
  ],
  ["I03", "the history has a gap", (scene) => (someJob(scene).events.splice(1, 1), [])],
  [
    "I04",
    "a job is published that was not admitted",
    () => [
      {
        point: "Transport.publish",
        result: true,
        args: [{}, { id: "msg_1", message: { _tag: "JobQueued", jobId: "job_none" } }]
      }
    ]
  ],
  [
    "I04",
    "a message leaves the outbox that was not confirmed",
    () => [{ point: "Outbox.sent", args: [["msg_never"]] }]
  ],
  [
    "I05",
    "a node runs more than its slots",
    ({ history }) => {
      const running = {
        what: "assigned",
        jobId: "job_none" as never,
        attempt: 1,
        running: 2,
        slots: 1,
        region: "eu"
      } as const
      history.attempts.push({ at: 0, nodeId: "0x0" as never, ...running })
      return []
    }
  ],
  [
    "I06",
    "a reader misses a piece",
    ({ history }) => {
      const reader = history.clients.flatMap(({ readers }) => readers).find(({ events }) => events.length > 1)
      reader?.events.pop()
      return []
    }
  ],
  [
    "I07",
    "a write of an old epoch takes effect",
    (scene) => {
      const { row } = someJob(scene)
      const asked = { jobId: row.job.id, daemonId: "daemon_none", epoch: row.epoch - 1 }
      return [{ point: "JobStore.finish", args: [asked], result: { _tag: "Done", row } }]
    }
  ],
  [
    "I07",
    "a job is taken from an owner that lives and sent it to nobody",
    (scene) => {
      const { row, events } = someJob(scene)
      const [owner = "daemon_none"] = [...scene.state.daemons.keys()]
      const before = { ...events.at(-2), to: "active", epoch: row.epoch, daemonId: owner }
      events.splice(-2, 1, before as never)
      const asked = { jobId: row.job.id, daemonId: owner, epochSeen: row.epoch, from: owner }
      scene.state.daemons.set("daemon_other" as never, { state: "live" } as never)
      return [
        {
          point: "JobStore.claim",
          args: [{ ...asked, daemonId: "daemon_other" }],
          result: { _tag: "Claimed", row }
        }
      ]
    }
  ],
  [
    "I07",
    "a change of an old epoch takes effect on a record",
    (scene) => {
      const jobId = someJob(scene).row.job.id
      const stored = scene.records.records.get(jobId)
      if (stored !== undefined) stored.epoch += 1
      return [
        {
          point: "JobRecords.patch",
          args: [{ jobId, epoch: (stored?.epoch ?? 0) - 1 }],
          result: "done"
        }
      ]
    }
  ],
  [
    "I08",
    "two daemons lead one sweeper",
    () => [{ point: "Transport.lead", args: ["retention"], result: ["daemon_a", "daemon_b"] }]
  ],
  [
    "I08",
    "a leader of an old epoch saves",
    ({ state }) => {
      const { epoch = 0 } = state.sweepers.get("retention") ?? {}
      return [{ point: "SweeperStates.save", args: ["retention", epoch - 1, {}], result: true }]
    }
  ],
  [
    "I08",
    "a segment rots after its jobs were pruned",
    ({ records }) => {
      for (const name of records.blobs.keys()) if (name.endsWith(".gz")) flipByte(records, name, 40)
      return []
    }
  ],
  [
    "I08",
    "a job that is kept goes missing",
    ({ records, history }) => {
      const kept = [...history.kept.keys()].find((jobId) => !history.aged.has(jobId))
      if (kept !== undefined) records.records.delete(kept)
      return []
    }
  ],
  [
    "I08",
    "a job is archived and stays",
    ({ records, history }) => {
      const [jobId] = history.aged
      const [other] = records.records.values()
      if (jobId === undefined || other === undefined) return []
      records.records.set(jobId, { ...other, record: { ...other.record, jobId } })
      return []
    }
  ],
  ["I09", "a prompt stands in a log", ({ history }) => (history.logs.push(`asked: ${history.canaries[0]?.word}`), [])],
  [
    "I10",
    "a namespace is shown another's record",
    (scene) => {
      const { row } = someJob(scene)
      const scope = { _tag: "Namespace", namespaceId: "ns_other" }
      return [{ point: "JobRecords.get", args: [scope, row.job.id], result: { jobId: row.job.id } }]
    }
  ],
  [
    "I11",
    "a consumer holds more than its prefetch",
    () => [{ point: "Transport.take", args: [{ _tag: "Topic" }, 2], result: 3 }]
  ],
  [
    "I12",
    "an attempt runs in another region",
    (scene) => {
      const stored = someJob(scene)
      stored.row = { ...stored.row, job: { ...stored.row.job, constraints: { region: "mars" } } }
      return []
    }
  ],
  [
    "I13",
    "a rollup counts a job twice",
    ({ state: { rollups } }) => {
      for (const [slot, row] of rollups.jobs) rollups.jobs.set(slot, { ...row, jobs: row.jobs + 1 })
      return []
    }
  ],
  [
    "I13",
    "a receipt is made again, as another one",
    (scene) => (scene.history.receipts.set(someJob(scene).row.job.id, "another"), [])
  ]
]

describe("the checkers", () => {
  it("find nothing in a run without faults", async () => {
    for (const rule of ["I06", "I08"]) assert.deepStrictEqual(judge(await goodScene(rule)), [])
  })

  for (const [rule, what, spoil] of BAD) {
    it(`say ${rule}, and nothing else, when ${what}`, async () => {
      const scene = await goodScene(rule)
      assert.deepStrictEqual(judge(scene, spoil(scene)), [rule])
    })
  }
})
