/**
 * Examines a MongoDB, or a server that speaks its protocol, as a daemon would meet it: with its user and its database. Writes one document into a
 * collection that no daemon knows and drops it; a protocol server may keep the name of a database that was not there. Some servers tell neither their replica set nor their disk; then the finding says so.
 */
import { randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type Db, type Document, MongoClient as Driver, MongoServerError } from "mongodb"
import {
  ask,
  bad,
  type Check,
  clock,
  examined,
  type Finding,
  good,
  majorOf,
  room,
  speed,
  unanswered,
  type Verdict,
  warning
} from "../Diagnosis.ts"
import { type Collections, collectionsOf } from "./Collections.ts"
import { INDEXES } from "./Indexes.ts"

export interface MongoDiagnosisOptions {
  readonly url: Redacted.Redacted
  readonly database: string
}

const SERVER = "MongoDB"
const ANSWER_MS = 2_500
/** The oldest that is still supported by its maker. */
const VERSION_MIN = 7

const CHECK_URL =
  "Check MONGODB_URL (host, port, user, password, authSource, replicaSet, tls) and that the server runs."

/** Given up at once when the scope closes: a frozen server would have its goodbye waited for. */
const open = ({ url, database }: MongoDiagnosisOptions) =>
  Effect.gen(function* () {
    const client = yield* Effect.acquireRelease(
      Effect.try({
        try: () =>
          new Driver(Redacted.value(url), {
            appName: "resultity doctor",
            maxPoolSize: 2,
            serverSelectionTimeoutMS: ANSWER_MS,
            connectTimeoutMS: ANSWER_MS,
            socketTimeoutMS: ANSWER_MS,
            waitQueueTimeoutMS: ANSWER_MS,
            retryReads: false,
            retryWrites: false
          }),
        catch: unanswered
      }),
      (opened) => Effect.sync(() => void opened.close(true).catch(() => undefined))
    )
    yield* ask(() => client.connect())
    const db = client.db(database)
    const hello: Document = yield* ask(() => db.command({ hello: 1 }))
    return { db, hello }
  })

export const diagnose = (options: MongoDiagnosisOptions): Effect.Effect<ReadonlyArray<Finding>> =>
  examined(SERVER, { todo: CHECK_URL, open: open(options) }, ({ db, hello }) => [
    { what: "reachable", todo: CHECK_URL, verdict: speed(ask(() => db.command({ ping: 1 }))) },
    { what: "version", todo: "Check what listens at MONGODB_URL.", verdict: version(db, hello) },
    { what: "clock", todo: "Check what listens at MONGODB_URL.", verdict: clockOf(db) },
    { what: "replica set", todo: "Look at rs.status() in mongosh.", verdict: replicas(db, hello) },
    writes(db),
    { what: "indexes", todo: `Give the user the role readWrite on ${db.databaseName}.`, verdict: indexes(db) },
    { what: "disk", todo: `Give the user the role readWrite on ${db.databaseName}.`, verdict: disk(db) }
  ])

/** A proxy of another database calls itself the MongoDB whose protocol it speaks. */
const protocolServer = (build: Document): string | null => {
  const ferret = build["ferretdb"] as { readonly version?: string } | undefined
  if (ferret !== undefined) return `FerretDB ${ferret.version ?? ""}`.trim()
  const modules: unknown = build["modules"]
  return Array.isArray(modules) && modules.includes("documentdb") ? "DocumentDB" : null
}

const version = (db: Db, hello: Document) =>
  Effect.map(
    ask(() => db.command({ buildInfo: 1 })),
    (build) => {
      const number = String(build["version"])
      const wire = `wire version ${String(hello["maxWireVersion"])}`
      const server = protocolServer(build)
      const said = server === null ? `MongoDB ${number}, ${wire}` : `${server}, as MongoDB ${number}, ${wire}`
      return majorOf(number) >= VERSION_MIN
        ? good(said)
        : bad(said, `Upgrade it: ${VERSION_MIN} is the oldest that this program is made for.`)
    }
  )

const clockOf = (db: Db) =>
  clock(
    Effect.flatMap(
      ask(() => db.command({ hello: 1 })),
      ({ localTime }) =>
        localTime instanceof Object && "getTime" in localTime && typeof localTime.getTime === "function"
          ? Effect.succeed(Number(localTime.getTime()))
          : Effect.fail(unanswered("it does not tell its time"))
    )
  )

const NOT_ALONE =
  "Start it with --replSet and call rs.initiate(): three members survive the loss of one; one alone is better than none."

/** Who does not know the command, or may not ask, is no reason to worry. */
const replicas = (db: Db, hello: Document): Effect.Effect<Verdict, unknown> => {
  const isProxied: boolean = hello["msg"] === "isdbgrid"
  const name: unknown = hello["setName"]
  if (hello["isWritablePrimary"] === false) {
    const todo =
      "Name all members and the set in MONGODB_URL (…?replicaSet=…), and see that it has a primary: rs.status()."
    return Effect.succeed(bad("it is not the primary and takes no writes", todo))
  }
  if (isProxied) return Effect.succeed(good("a sharded cluster answers"))
  if (typeof name !== "string") {
    return Effect.map(
      ask(() => db.command({ buildInfo: 1 })),
      (build) =>
        protocolServer(build) === null
          ? warning("there is none: what this one server had is gone with its disk", NOT_ALONE)
          : good("a protocol server has none; keep the database behind it safe")
    )
  }
  return ask(() => db.admin().command({ replSetGetStatus: 1 })).pipe(
    Effect.map((status) => membersOf(name, status)),
    Effect.catch(() => {
      const hosts: unknown = hello["hosts"]
      return Effect.succeed(good(`${name}: this is the primary of ${Array.isArray(hosts) ? hosts.length : 1}`))
    })
  )
}

/** States 1, 2 and 7: primary, secondary, arbiter. */
const WELL: ReadonlySet<unknown> = new Set([1, 2, 7])

const membersOf = (name: string, { members }: Document): Verdict => {
  const all = (Array.isArray(members) ? members : []) as ReadonlyArray<Document>
  const unwell = all.filter(({ state }) => !WELL.has(Number(state)))
  return unwell.length === 0
    ? good(`${name}: all ${all.length} members are well`)
    : warning(
        `${name}: ${unwell.map((member) => `${String(member["name"])} is ${String(member["stateStr"])}`).join(", ")}`,
        "Bring them back: with one more away nothing can be written."
      )
}

const MAJORITY = { w: "majority", journal: true, wtimeoutMS: 2_000 } as const

/** Everything that a daemon does to its collections, and its strictest confirmation. */
const writes = (db: Db): Check => ({
  what: "writes",
  todo: `Give the user the role readWrite on ${db.databaseName}, and see that a majority of the replica set is there.`,
  verdict: ask(async () => {
    const name = `doctor_${randomBytes(8).toString("hex")}`
    const probes = db.collection<{ _id: string; is: number }>(name, { writeConcern: MAJORITY })
    try {
      await probes.insertOne({ _id: "probe", is: 1 })
      await probes.updateOne({ _id: "probe" }, { $inc: { is: 1 } })
      const found = await probes.findOne({ _id: "probe" })
      const { deletedCount } = await probes.deleteOne({ _id: "probe" })
      return found?.is === 2 && deletedCount === 1
        ? good(`a document comes and goes in ${db.databaseName}, confirmed by the majority's journal`)
        : bad("a document does not come back as it was written", "Check what listens at MONGODB_URL.")
    } finally {
      await db.dropCollection(name).catch(() => undefined)
    }
  })
})

const NAMESPACE_NOT_FOUND = 26

const namesOf = async (collection: Collections[keyof Collections]): Promise<ReadonlySet<string> | null> => {
  try {
    const found = await collection.listIndexes().toArray()
    return new Set(found.map((index: { readonly name?: string }) => index.name ?? ""))
  } catch (cause) {
    if (cause instanceof MongoServerError && cause.code === NAMESPACE_NOT_FOUND) return null
    throw cause
  }
}

/** By name: each question of a daemon names the one that it wants. */
const indexes = (db: Db) =>
  ask(async (): Promise<Verdict> => {
    const collections = collectionsOf(db)
    const lacking: Array<string> = []
    let present = 0
    for (const [name, wanted] of Object.entries(INDEXES) as ReadonlyArray<
      [keyof Collections, ReadonlyArray<{ readonly name?: string }>]
    >) {
      const there = wanted.length === 0 ? null : await namesOf(collections[name])
      if (there === null) continue
      for (const { name: index = "" } of wanted) {
        if (there.has(index)) present += 1
        else lacking.push(`${collections[name].collectionName}.${index}`)
      }
    }
    if (lacking.length > 0) {
      const some = lacking.slice(0, 5).join(", ")
      return warning(
        `${lacking.length} are missing: ${some}${lacking.length > 5 ? ", …" : ""}`,
        "Start one daemon of this program and let it make them before you start the others; with many documents that takes minutes."
      )
    }
    return good(present === 0 ? "none yet; the first daemon makes them" : `all ${present} are there`)
  })

const disk = (db: Db) =>
  ask(() => db.command({ dbStats: 1 })).pipe(
    Effect.map(({ fsTotalSize, fsUsedSize }) => {
      const [total, used] = [Number(fsTotalSize), Number(fsUsedSize)]
      return total > 0 && used >= 0
        ? room(total - used, total)
        : good("it does not tell; watch the disk of the database behind it yourself")
    })
  )
