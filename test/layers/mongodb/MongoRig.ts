/** Databases of a test's own, clients of them, and a client whose operations can be made to fail: what the tests of the MongoDB room stand on. */
import { randomBytes } from "node:crypto"
import { Context, Effect, Exit, Layer, ManagedRuntime, Redacted, Scope } from "effect"
import { type Db, MongoClient as Driver } from "mongodb"
import { afterAll, describe, it } from "vitest"
import { EvaluationSets } from "../../../src/layers/EvaluationSets.ts"
import { Incidents } from "../../../src/layers/Incidents.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { JobSearch } from "../../../src/layers/JobSearch.ts"
import { Logs } from "../../../src/layers/Logs.ts"
import type { Collections } from "../../../src/layers/mongodb/Collections.ts"
import * as MongoClient from "../../../src/layers/mongodb/MongoClient.ts"
import * as MongoRecords from "../../../src/layers/mongodb/MongoRecords.ts"
import { Quality } from "../../../src/layers/Quality.ts"
import { RecordRetention } from "../../../src/layers/RecordRetention.ts"
import { Traces } from "../../../src/layers/Traces.ts"

export const MONGODB_URL = process.env["MONGODB_URL"] ?? ""

/** `describe`, skipped aloud where there is no server. */
export const withMongo = (what: string, suites: () => void): void => {
  if (MONGODB_URL !== "") return void describe(what, suites)
  console.warn(`skipped: ${what}; set MONGODB_URL to a MongoDB-protocol server`)
  // Not the suites themselves, which would count as covered.
  describe.skip(what, () => it("needs a server", () => {}))
}

export type TestOptions = MongoRecords.MongoOptions & { readonly database: string }

/** For a file or a `describe`, whose end drops it. */
export const freshDatabase = (url = MONGODB_URL): TestOptions => {
  const database = `suite_${randomBytes(5).toString("hex")}`
  afterAll(() => inShell(database, (db) => db.dropDatabase()))
  return { url: Redacted.make(url), database }
}

/** Past our own client, as an operator with a shell would. */
export const inShell = async <A>(database: string, use: (db: Db) => Promise<A>): Promise<A> => {
  const driver = new Driver(MONGODB_URL)
  try {
    return await use(driver.db(database))
  } finally {
    await driver.close()
  }
}

const contractsIn = <R>(context: Context.Context<R | Contracts>) => ({
  records: Context.get(context, JobRecords),
  traces: Context.get(context, Traces),
  logs: Context.get(context, Logs),
  search: Context.get(context, JobSearch),
  retention: Context.get(context, RecordRetention),
  incidents: Context.get(context, Incidents),
  sets: Context.get(context, EvaluationSets),
  quality: Context.get(context, Quality)
})
type Contracts = JobRecords | Traces | Logs | JobSearch | RecordRetention | Incidents | EvaluationSets | Quality

/** One client of its own; the end of the scope is its death. */
export const aClient = (options: MongoRecords.MongoOptions) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    return contractsIn(yield* Scope.provide(Layer.build(Layer.fresh(MongoRecords.layer(options))), scope))
  })

/** The contracts over the collections that `change` makes of the real ones. */
export const aChangedClient = (options: MongoRecords.MongoOptions, change: (real: Collections) => Collections) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const changed = Layer.effect(
      MongoClient.MongoClient,
      Effect.map(MongoClient.MongoClient, (client) => ({ ...client, collections: change(client.collections) }))
    ).pipe(Layer.provide(MongoClient.layer(options)))
    return contractsIn(
      yield* Scope.provide(Layer.build(Layer.fresh(Layer.provide(MongoRecords.contracts, changed))), scope)
    )
  })

/** Collections whose calls of these methods are seen, and may throw, before they are made. */
export const watched = (
  real: Collections,
  methods: ReadonlyArray<string>,
  see: (collection: string, method: string, args: ReadonlyArray<unknown>) => void
): Collections => {
  const over = <A extends object>(name: string, collection: A): A =>
    new Proxy(collection, {
      get: (target, method) => {
        const value = Reflect.get(target, method) as unknown
        if (typeof value !== "function") return value
        return (...args: ReadonlyArray<unknown>) => {
          if (methods.includes(String(method))) see(name, String(method), args)
          return Reflect.apply(value, target, args)
        }
      }
    })
  return Object.fromEntries(Object.entries(real).map(([name, each]) => [name, over(name, each as object)])) as never
}

/** A collection one of whose methods waits before it does anything; `reached` resolves when somebody waits. */
export const gated = <A extends object>(real: A, method: keyof A & string) => {
  const reached = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const collection = new Proxy(real, {
    get: (target, name) => {
      const value = Reflect.get(target, name) as unknown
      if (name !== method || typeof value !== "function") return value
      return async (...args: ReadonlyArray<unknown>) => {
        reached.resolve()
        await gate.promise
        return Reflect.apply(value, target, args) as unknown
      }
    }
  })
  return { collection, reached: reached.promise, open: () => gate.resolve() }
}

/** The client that a whole file shares. */
export const sharedClient = (options: MongoRecords.MongoOptions) => {
  const runtime = ManagedRuntime.make(Layer.provideMerge(MongoRecords.contracts, MongoClient.layer(options)))
  afterAll(() => runtime.dispose())
  return runtime
}
