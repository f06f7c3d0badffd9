/** What stands in the way of a daemon on this MongoDB. Writes one document of its own and takes it away again. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type Db, MongoClient as Driver } from "mongodb"
import { ask, clockOf, failure, type Finding, judgeRoom, judgeVersion, looked, ok, warning } from "../Diagnosis.ts"
import { collectionsOf } from "./Collections.ts"
import { INDEXES } from "./Indexes.ts"

const SUBJECT = "MongoDB"
const VERSION_MIN = 7
const SELECT_MS = 5_000
const ADVICE = "Check MONGODB_URL (host, port, user, password, authSource, replicaSet) and that the server runs."

export const diagnose = (url: Redacted.Redacted, database: string): Effect.Effect<ReadonlyArray<Finding>> =>
  looked(
    SUBJECT,
    ADVICE,
    Effect.gen(function* () {
      const client = yield* Effect.acquireRelease(
        ask(() =>
          new Driver(Redacted.value(url), {
            serverSelectionTimeoutMS: SELECT_MS,
            appName: "resultity doctor"
          }).connect()
        ),
        (opened) => Effect.promise(() => opened.close(true).catch(() => undefined))
      )
      const db = client.db(database)
      const build = yield* ask(() => db.command({ buildInfo: 1 }))
      const hello = yield* ask(() => db.command({ hello: 1 }))
      const time = Effect.map(
        ask(() => db.command({ hello: 1 })),
        ({ localTime }) => Number(localTime)
      )
      const isPrimary: unknown = hello["isWritablePrimary"]
      return [
        judgeVersion(SUBJECT, String(build["version"]), VERSION_MIN),
        hello["localTime"] === undefined ? ok(SUBJECT, "it does not tell its time") : yield* clockOf(SUBJECT, time),
        isPrimary === false
          ? failure(SUBJECT, "it is not the primary", "Name the replica set in MONGODB_URL (replicaSet=…).")
          : ok(SUBJECT, "it takes writes"),
        yield* writes(db),
        ...(yield* indexesOf(db)),
        ...(yield* roomOf(db))
      ]
    }).pipe(Effect.scoped)
  )

const writes = (db: Db) =>
  ask(async () => {
    const probes = db.collection<{ _id: string; writes: number }>("doctor")
    await probes.updateOne({ _id: "probe" }, { $set: { writes: 1 } }, { upsert: true })
    await probes.deleteOne({ _id: "probe" })
    return ok(SUBJECT, `this user may write to ${db.databaseName}`)
  }).pipe(
    Effect.catch((cause) =>
      Effect.succeed(
        failure(
          SUBJECT,
          `this user may not write to ${db.databaseName}: ${cause.message}`,
          `Give it the role readWrite on ${db.databaseName}.`
        )
      )
    )
  )

/** An index that is missing is made by the next daemon that starts; until then its searches read whole collections. */
const indexesOf = (db: Db) =>
  ask(async () => {
    const present = new Set((await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name))
    const findings: Array<Finding> = []
    for (const [name, collection] of Object.entries(collectionsOf(db))) {
      const declared = INDEXES[name as keyof typeof INDEXES] ?? []
      if (!present.has(collection.collectionName) || declared.length === 0) continue
      const there = new Set((await collection.indexes()).map(({ name: known }: { readonly name?: string }) => known))
      const missing = declared.flatMap(({ name: wanted }) =>
        wanted === undefined || there.has(wanted) ? [] : [wanted]
      )
      findings.push(
        missing.length === 0
          ? ok(SUBJECT, `${collection.collectionName}: all ${declared.length} indexes are there`)
          : warning(
              SUBJECT,
              `${collection.collectionName}: missing indexes: ${missing.join(", ")}`,
              "Start a daemon: it makes them."
            )
      )
    }
    return findings.length > 0
      ? findings
      : [ok(SUBJECT, `${db.databaseName} is empty; the first daemon makes its indexes`)]
  })

const roomOf = (db: Db) =>
  Effect.map(
    ask(() => db.command({ dbStats: 1 })),
    ({ fsTotalSize, fsUsedSize }) =>
      typeof fsTotalSize === "number" && typeof fsUsedSize === "number"
        ? [judgeRoom(SUBJECT, fsTotalSize - fsUsedSize, fsTotalSize)]
        : []
  )
