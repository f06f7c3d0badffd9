import { assert, describe, it } from "@effect/vitest"
import type { StoredJob } from "../../src/layers/memory/MemoryState.ts"
import { zero } from "../../src/schemas/Credits.ts"
import { makeCheckers } from "./Campaign.ts"
import type { Call, Scene } from "./support/History.ts"
import { planOf } from "./support/Plan.ts"
import { Run } from "./support/Run.ts"

/** A run in which nothing went wrong. */
const goodScene = async (): Promise<Scene> => {
  const run = new Run({ ...planOf(3, false), points: [], timed: [] }, { checkers: [] })
  await run.perform()
  return run.scene
}

const judge = (scene: Scene, calls: ReadonlyArray<Partial<Call>> = []): ReadonlyArray<string> => {
  const checkers = makeCheckers()
  const found = new Set<string>()
  for (const partial of calls) {
    const call: Call = { at: scene.now(), daemon: "daemon_none", point: "", args: [], result: null, ...partial }
    for (const { name, during } of checkers) if ((during?.(call, scene) ?? null) !== null) found.add(name)
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
      account.balance = { ...account.balance, available: (account.balance.available + 1n) as never }
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
  ]
]

describe("the checkers", () => {
  it("find nothing in a run without faults", async () => {
    assert.deepStrictEqual(judge(await goodScene()), [])
  })

  for (const [rule, what, spoil] of BAD) {
    it(`say ${rule}, and nothing else, when ${what}`, async () => {
      const scene = await goodScene()
      assert.deepStrictEqual(judge(scene, spoil(scene)), [rule])
    })
  }
})
