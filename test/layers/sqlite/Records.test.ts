/** What is true of the records in SQLite only: the plans of their queries, and what a killed process leaves behind. */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import type { SQLInputValue } from "node:sqlite"
import { afterAll, assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Incidents } from "../../../src/layers/Incidents.ts"
import { JobRecords, type Scope } from "../../../src/layers/JobRecords.ts"
import type { JobFilter } from "../../../src/layers/JobSearch.ts"
import { GROUPINGS } from "../../../src/layers/JobTally.ts"
import { Logs } from "../../../src/layers/Logs.ts"
import { RecordRetention } from "../../../src/layers/RecordRetention.ts"
import * as SqliteClient from "../../../src/layers/sqlite/SqliteClient.ts"
import { ENDED as ENDED_JOBS } from "../../../src/layers/sqlite/SqliteSignals.ts"
import { AFTER, AFTER_END, LATEST, listText } from "../../../src/layers/sqlite/SqliteIncidents.ts"
import { UNFINISHED_TEXT } from "../../../src/layers/sqlite/SqliteJobRecords.ts"
import { placeText, sumsText } from "../../../src/layers/sqlite/JobStats.ts"
import { FINISHED_TEXT, lookText, searchText } from "../../../src/layers/sqlite/SqliteJobSearch.ts"
import { queryText } from "../../../src/layers/sqlite/SqliteLogs.ts"
import { EXPIRED, TEXTS } from "../../../src/layers/sqlite/SqliteRecordRetention.ts"
import * as SqliteRecords from "../../../src/layers/sqlite/SqliteRecords.ts"
import { Traces } from "../../../src/layers/Traces.ts"
import type { JobId, NamespaceId } from "../../../src/schemas/Ids.ts"
import {
  anOutput,
  freshJob,
  freshKey,
  freshNamespace,
  freshNode,
  freshSegment,
  only,
  operator,
  pieces
} from "../../support/recordFactories.ts"

const home = mkdtempSync(join(tmpdir(), "records-sqlite-"))
afterAll(() => rmSync(home, { recursive: true, force: true }))

const filters: Required<Omit<JobFilter, "from" | "to">> = {
  model: "tiny",
  endpoint: "chat",
  mode: "sync",
  state: "active",
  clientTag: "tag",
  keyId: freshKey(),
  nodeId: freshNode(),
  errorCode: "code",
  service: "cloud"
}
const names = Object.keys(filters) as ReadonlyArray<keyof typeof filters>
/** The filter that leaves the fewest rows comes first. */
const selective = [
  "clientTag",
  "nodeId",
  "errorCode",
  "keyId",
  "state",
  "model",
  "mode",
  "endpoint",
  "service"
] as const
/** All 512 combinations of filters. */
const combinations = Array.from({ length: 2 ** names.length }, (_, bits): JobFilter =>
  Object.fromEntries(names.filter((_, index) => bits & (1 << index)).map((name) => [name, filters[name]]))
)
const scopes: ReadonlyArray<Scope> = [operator, only(freshNamespace())]

const planOf = (query: { readonly text: string; readonly values: ReadonlyArray<SQLInputValue> }) =>
  Effect.flatMap(SqliteClient.SqliteClient, ({ read }) =>
    read({ of: "test", method: "plan" }, (sql) =>
      sql(`EXPLAIN QUERY PLAN ${query.text}`)
        .all(...query.values)
        .map(({ detail }) => String(detail))
    )
  )

it.layer(SqliteClient.layer({ path: ":memory:" }))("Plans of the records in SQLite", (it) => {
  it.effect(
    "S73, S74, S75, S76: a search by any filters in any scope walks an index in order, with and without a cursor",
    () =>
      Effect.gen(function* () {
        const cursor = { createdAt: 5, jobId: freshJob() }
        for (const scope of scopes) {
          for (const filter of combinations) {
            for (const [after, span] of [
              [null, {}],
              [cursor, { from: 1, to: 9 }]
            ] as const) {
              const plan = yield* planOf(searchText(scope, { ...filter, ...span }, after, 10))
              assert.lengthOf(plan, 1)
              assert.match(plan[0]!, /^SEARCH record USING INDEX record_by_\w+ \(.*created_at>\?.*\)$/)
              const chosen = selective.find((name) => filter[name] !== undefined)
              const column = chosen?.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`)
              const equal = [
                ...(scope._tag === "Namespace" ? ["namespace_id"] : []),
                ...(column === undefined ? [] : [column])
              ]
              assert.include(plan[0]!, `(${equal.map((name) => `${name}=? AND `).join("")}created_at>?`)
            }
          }
        }
      })
  )

  it.effect("a search for a word walks the index of its filters, and takes the texts of those jobs only", () =>
    Effect.gen(function* () {
      for (const filter of combinations) {
        const plan = yield* planOf(lookText(freshNamespace(), filter, { createdAt: 5, jobId: freshJob() }, 10))
        assert.lengthOf(plan, 3, plan.join("; "))
        assert.match(
          plan[0]!,
          /^SEARCH record USING INDEX record_by_namespace_\w+ \(namespace_id=\?.*created_at>\?.*\)$/
        )
        assert.match(plan[1]!, /^SEARCH i USING INTEGER PRIMARY KEY/)
        assert.match(plan[2]!, /^SEARCH o USING INTEGER PRIMARY KEY/)
      }
    })
  )

  it.effect("S77: sums read the jobs of their span and scope only, out of the index of times", () =>
    Effect.gen(function* () {
      const after = { createdAt: 1, jobId: "" } as const
      const last = { createdAt: 2, jobId: freshJob() }
      for (const scope of scopes) {
        for (const groupBy of [...GROUPINGS.map((one) => [one]), ["model", "day"] as const]) {
          for (const query of [placeText(scope, after, 2), sumsText(scope, groupBy, { after, last })]) {
            const plan = (yield* planOf(query)).filter((line) => / record\b/.test(line))
            assert.lengthOf(plan, 1)
            assert.match(plan[0]!, /^SEARCH record USING (COVERING )?INDEX record_by_(namespace_)?time \(.*created_at/)
          }
        }
      }
    })
  )

  it.effect("S71: questions of sweepers, log queries and incident lists walk an index in order", () =>
    Effect.gen(function* () {
      const logs = scopes.flatMap((scope) => [
        queryText(scope, { limit: 5 }),
        queryText(scope, { type: "audit", from: 1, to: 2, limit: 5 }),
        queryText(scope, { type: "audit", after: { at: 1, id: "1" }, to: 2, limit: 5 }),
        queryText(scope, { jobId: freshJob(), type: "audit", limit: 5 })
      ])
      const incidents = scopes.flatMap((scope) => [
        listText(scope, { limit: 5 }),
        listText(scope, { kind: "anomaly", limit: 5 }),
        listText(scope, { type: "abuse", kind: "anomaly", limit: 5 }),
        listText(scope, { subject: "s", type: "abuse", from: 1, to: 2, limit: 5 }),
        listText(scope, { open: true, limit: 5 }),
        listText(scope, { open: true, type: "abuse", from: 1, to: 2, limit: 5 })
      ])
      for (const query of [
        { text: UNFINISHED_TEXT, values: [1, 5] },
        { text: FINISHED_TEXT, values: [1, "job", 2, 5] },
        ...Object.values(EXPIRED).map((text) => ({ text, values: ["ns", 1, 5] })),
        ...logs,
        ...incidents,
        { text: AFTER, values: [1, "", 2, 5] },
        { text: AFTER_END, values: [1, "", 2, 5] },
        { text: LATEST, values: ["abuse", "s"] },
        { text: ENDED_JOBS, values: [1, 2, 5] }
      ]) {
        const plan = yield* planOf(query)
        assert.lengthOf(plan, 1, `${query.text}: ${plan.join("; ")}`)
        assert.match(plan[0]!, /^SEARCH \w+ USING (COVERING )?INDEX/)
      }
    })
  )

  it.effect("reading and pruning a segment touches the rows of the segment only", () =>
    Effect.gen(function* () {
      for (const [name, text] of Object.entries(TEXTS)) {
        const plan = yield* planOf({ text, values: name === "retiring" ? [] : ["seg"] })
        assert.isTrue(
          plan.every((line) => !line.startsWith("SCAN") || line === "SCAN record USING INDEX record_marked"),
          `${name}: ${plan.join("; ")}`
        )
      }
    })
  )
})

it.effect("Records in SQLite survive the SIGKILL of their process, also those that do not wait for the disk", () =>
  Effect.gen(function* () {
    const path = join(home, "killed", "resultity.db")
    const child = spawn(process.execPath, ["test/support/recordsChild.ts", "records", path], {
      stdio: ["ignore", "pipe", "inherit"]
    })
    const ended = new Promise((resolve) => child.on("exit", (_code, signal) => resolve(signal)))
    const told: { jobId: JobId; namespaceId: NamespaceId } = JSON.parse(yield* Effect.promise(() => text(child.stdout)))
    assert.strictEqual(yield* Effect.promise(() => ended), "SIGKILL")

    const { jobId, namespaceId } = told
    yield* Effect.gen(function* () {
      const record = yield* (yield* JobRecords).get(only(namespaceId), jobId)
      assert.deepStrictEqual([record?.state, record?.output], ["completed", anOutput(1, 2)])
      assert.deepStrictEqual(yield* (yield* Traces).read(only(namespaceId), jobId, 0, 10), pieces(1, 3))
      assert.isFalse(yield* (yield* Traces).append({ jobId, epoch: 0, attempt: 1, events: pieces(4, 4) }))
      assert.lengthOf(yield* (yield* Logs).query(only(namespaceId), { jobId, limit: 10 }), 1)
      assert.lengthOf(yield* (yield* Incidents).list(only(namespaceId), { limit: 10 }), 1)
      assert.strictEqual(yield* (yield* RecordRetention).mark(freshSegment(), [jobId]), 1)
    }).pipe(Effect.provide(Layer.provide(SqliteRecords.layer, SqliteClient.layer({ path }))))
  })
)
