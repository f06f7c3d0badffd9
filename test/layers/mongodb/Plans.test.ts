/** Whatever may be asked is answered out of an index: proved by the server's own plans, in both dialects that we know. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Document } from "mongodb"
import { beforeAll, describe, it } from "vitest"
import type { Scope } from "../../../src/layers/JobRecords.ts"
import type { JobFilter } from "../../../src/layers/JobSearch.ts"
import { GROUPINGS, LATENCIES } from "../../../src/layers/JobTally.ts"
import { collectionsOf } from "../../../src/layers/mongodb/Collections.ts"
import { INDEXES, makeIndexes } from "../../../src/layers/mongodb/Indexes.ts"
import { sumsPipeline, timesPipeline } from "../../../src/layers/mongodb/JobStats.ts"
import { MongoClient } from "../../../src/layers/mongodb/MongoClient.ts"
import { find as findIncidents, findAfter, findLatest } from "../../../src/layers/mongodb/MongoIncidents.ts"
import { find as findJobs, finishedFrom } from "../../../src/layers/mongodb/MongoJobSearch.ts"
import { entriesOf } from "../../../src/layers/mongodb/MongoLogs.ts"
import { findEvidence, findStandings, findTrials } from "../../../src/layers/mongodb/MongoQuality.ts"
import { findEnded, ratedPipeline, refusedPipeline } from "../../../src/layers/mongodb/MongoSignals.ts"
import { sorted } from "../../../src/layers/mongodb/OldestFirst.ts"
import { freshJob, freshKey, freshNamespace, freshNode, only, operator } from "../../support/recordFactories.ts"
import { freshSetId } from "../../support/qualityFactories.ts"
import { freshDatabase, sharedClient, withMongo } from "./MongoRig.ts"

/** Every value that stands under one of these names, however deep. */
const under = (plan: unknown, ...names: ReadonlyArray<string>): ReadonlyArray<string> => {
  if (typeof plan !== "object" || plan === null) return []
  return Object.entries(plan).flatMap(([name, value]) =>
    names.includes(name) && typeof value === "string" ? [value] : under(value, ...names)
  )
}

/** Where the chosen index is entered and left. */
const boundsOf = (plan: unknown): string => {
  if (typeof plan !== "object" || plan === null) return ""
  return Object.entries(plan)
    .map(([name, value]) => (name === "indexBounds" ? JSON.stringify(value) : boundsOf(value)))
    .join("")
}

/** The plan that was chosen, without those that were not. */
const chosen = (explained: Document): unknown =>
  (explained["queryPlanner"] as Document | undefined)?.["winningPlan"] ?? explained

/** The steps, in the words of MongoDB (`stage`) or of PostgreSQL below FerretDB (`Node Type`), and the indexes that they use. */
const planOf = (explained: Document) => {
  const plan = chosen(explained)
  return {
    steps: under(plan, "stage", "Node Type"),
    // FerretDB lists those that it thought about under `IndexCosts`; only a scan itself has a name in these words.
    indexes: under(plan, "indexName", "Index Name").filter((name) => name !== "_id_")
  }
}

const assertServed = (explained: Document, index: string, isSorted: boolean) => {
  const { steps, indexes } = planOf(explained)
  assert.include(indexes, index)
  assert.notInclude(steps, "COLLSCAN")
  assert.notInclude(steps, "Seq Scan")
  if (!isSorted) return
  // FerretDB 2.7 sorts whatever an index gives.
  assert.notInclude(steps, "SORT")
}

const namespaceId = freshNamespace()
const SCOPES: ReadonlyArray<readonly [Scope, string]> = [
  [only(namespaceId), "by_namespace_"],
  [operator, "by_"]
]
const AT = 1_700_000_000_000

withMongo("questions to MongoDB", () => {
  const client = sharedClient(freshDatabase())
  const asked = <A>(ask: (client: MongoClient["Service"]) => Promise<A>): Promise<A> =>
    client.runPromise(Effect.flatMap(MongoClient, (service) => Effect.promise(() => ask(service))))

  // A plan for nothing says nothing.
  beforeAll(() =>
    asked(async ({ db }) => {
      const { jobs, logs, incidents, quality } = collectionsOf(db)
      const ids = Array.from({ length: 500 }, (_, index) => index)
      const of = (index: number) => ({ namespaceId: index % 2 === 0 ? namespaceId : "ns_other", createdAt: AT + index })
      const job = {
        state: "completed",
        completeness: "complete",
        held: false,
        finishedAt: AT,
        segmentId: null,
        feedbackAt: AT
      }
      await jobs.insertMany(ids.map((index) => ({ _id: `job_${index}`, ...of(index), ...job, nodeId: "n" })) as never)
      await logs.insertMany(ids.map((index) => ({ _id: `${index}`, ...of(index), at: index, type: "system" })) as never)
      const about = (index: number) => ({ family: "trial", at: index, open: index % 9 === 0, pending: index % 7 === 0 })
      await quality.insertMany(ids.map((index) => ({ _id: `${index}`, ...of(index), ...about(index) })) as never)
      await incidents.insertMany(
        ids.map((index) => ({
          _id: `${index}`,
          ...of(index),
          at: index,
          closedAt: index,
          openKey: `${index}`
        })) as never
      )
    })
  )

  const FACETS: Readonly<Record<string, JobFilter>> = {
    time: {},
    clientTag: { clientTag: "tag" },
    nodeId: { nodeId: freshNode() },
    errorCode: { errorCode: "" },
    keyId: { keyId: freshKey() },
    state: { state: "completed" },
    model: { model: "a\u0000" },
    mode: { mode: "stream" },
    endpoint: { endpoint: "chat" },
    service: { service: "space" }
  }

  /** What the rows ask for. */
  const ROWS: Readonly<Record<string, string>> = {
    model: "S73: ",
    mode: "S74: ",
    endpoint: "S74: ",
    service: "S38: ",
    time: "S75: ",
    clientTag: "S76: "
  }

  describe("a search of jobs", () => {
    for (const [facet, filter] of Object.entries(FACETS)) {
      for (const [scope, prefix] of SCOPES) {
        it(`${ROWS[facet] ?? ""}by ${facet} is served in order by ${prefix}${facet}, from any page on`, async () => {
          for (const after of [null, { createdAt: AT + 100, jobId: freshJob() }]) {
            for (const bounds of [{}, { from: AT, to: AT + 300 }]) {
              const explained = await asked((each) =>
                findJobs(each, scope, { ...filter, ...bounds }, after, 5).explain()
              )
              assertServed(explained, `${prefix}${facet}`, true)
            }
          }
        })
      }
    }

    it("by everything at once is served by its most selective field", async () => {
      const everything = Object.assign({}, ...Object.values(FACETS)) as JobFilter
      const explained = await asked((each) => findJobs(each, only(namespaceId), everything, null, 5).explain())
      assertServed(explained, "by_namespace_clientTag", true)
    })

    it("begins a later page in the index where the last one ended", async () => {
      const after = { createdAt: 123_456, jobId: freshJob() }
      const explained = await asked((each) => findJobs(each, operator, {}, after, 5).explain())
      assert.match(boundsOf(chosen(explained)), /123456|1\.23456E\+0?5/i)
    })
  })

  it("S77: sums and times are served by the index of times, whatever they are grouped by", async () => {
    for (const [scope, prefix] of SCOPES) {
      for (const groupBy of [...GROUPINGS.map((one) => [one]), ["model", "day"] as const]) {
        const query = { groupBy, from: AT, to: AT + 100 }
        for (const pipeline of [
          sumsPipeline(scope, query),
          ...LATENCIES.map((each) => timesPipeline(scope, query, each))
        ]) {
          const explained = await asked(({ collections }) =>
            collections.jobs.aggregate(pipeline, { hint: `${prefix}time` }).explain()
          )
          assertServed(explained, `${prefix}time`, false)
        }
      }
    }
  })

  it("S94: searches and lists may be read from a member that lags behind, how a job stands may not", async () => {
    const [search, log, record] = await asked(async (each) => [
      findJobs(each, operator, {}, null, 1).readPreference.mode,
      sorted(entriesOf(each, operator, { limit: 1 })).readPreference.mode,
      each.collections.jobs.find({ _id: "job_1" }).readPreference.mode
    ])
    assert.deepStrictEqual([search, log, record], ["secondaryPreferred", "secondaryPreferred", "primary"])
  })

  it("S71: any question to the log is served in order", async () => {
    for (const [scope, prefix] of SCOPES) {
      for (const [index, query] of [
        [`${prefix}time`, {}],
        [`${prefix}type`, { type: "system" }],
        ["of_job", { jobId: freshJob() }],
        ["of_job", { jobId: freshJob(), type: "system" }]
      ] as const) {
        for (const bounds of [{}, { from: 5, to: 50 }, { after: { at: 7, id: "7" } }]) {
          assertServed(
            await asked((each) => sorted(entriesOf(each, scope, { ...query, ...bounds, limit: 5 })).explain()),
            index,
            true
          )
        }
      }
    }
  })

  it("jobs in the order of their ends are served in order, from any place on", async () => {
    const explained = await asked((each) =>
      sorted(finishedFrom(each, { at: AT - 1, id: "job_1" }, AT + 9, 5)).explain()
    )
    assertServed(explained, "by_finished", true)
  })

  it("incidents behind a place are served in order by time", async () => {
    for (const [order, index] of [
      ["opened", "by_time"],
      ["closed", "by_end"]
    ] as const) {
      const explained = await asked((each) => findAfter(each, order, { at: 100, id: "1" }, 300, 5).explain())
      assertServed(explained, index, true)
    }
    assertServed(await asked((each) => findLatest(each, "t", "s").explain()), "by_number", true)
  })

  it("what detectors ask is served by its own indexes", async () => {
    assertServed(await asked((each) => findEnded(each, AT, AT + 1, 5).explain()), "by_finished", true)
    const refused = await asked(({ collections }) =>
      collections.incidents.aggregate(refusedPipeline(1, 100, 5), { hint: "by_refused_key" }).explain()
    )
    assertServed(refused, "by_refused_key", false)
    const rated = await asked(({ collections }) =>
      collections.jobs.aggregate(ratedPipeline("node", 1, 100, 5), { hint: "by_feedback" }).explain()
    )
    assertServed(rated, "by_feedback", false)
  })

  it("any question about incidents is served in order", async () => {
    for (const [scope, prefix] of SCOPES) {
      for (const [facet, query] of [
        ["time", {}],
        ["kind", { kind: "anomaly" }],
        ["type", { kind: "anomaly", type: "slow_job" }],
        ["subject", { type: "slow_job", subject: "node/\u0000" }]
      ] as const) {
        const explained = await asked((each) => findIncidents(each, scope, { ...query, limit: 5 }).explain())
        assertServed(explained, `${prefix}${facet}`, true)
      }
      const open = await asked((each) => findIncidents(each, scope, { type: "abuse", open: true, limit: 5 }).explain())
      assertServed(open, "open_by_time", true)
    }
  })

  it("any question about quality is served in order", async () => {
    const [nodeId, model] = [freshNode(), "a\u0000"]
    for (const [index, query] of [
      ["by_time", {}],
      ["by_time", { kind: "blind", state: "failed" }],
      ["by_node_time", { nodeId, setId: freshSetId() }],
      ["by_set", { setId: freshSetId(), model }],
      ["open", { open: 5 }]
    ] as const) {
      const explained = await asked(({ collections }) => findTrials(collections, { limit: 5, ...query }).explain())
      assertServed(explained, index, true)
    }
    for (const [index, query] of [
      ["by_node", {}],
      ["by_node", { nodeId, model }],
      ["pending", { pending: true }]
    ] as const) {
      const explained = await asked(({ collections }) => findStandings(collections, { limit: 5, ...query }).explain())
      assertServed(explained, index, true)
    }
    const explained = await asked(({ collections }) => findEvidence(collections, nodeId, model, "trials", 5).explain())
    assertServed(explained, "by_node", true)
  })

  it("making the indexes again changes none", async () => {
    const names = await asked(async ({ db }) => {
      await Promise.all([makeIndexes(db), makeIndexes(db)])
      return (await collectionsOf(db).jobs.indexes()).map(({ name }) => name)
    })
    assert.sameMembers(names, ["_id_", ...INDEXES.jobs.map(({ name }) => name)])
  })
})
