/**
 * What an empty installation gets so that the first request works: a namespace with credits and one key. The key's secret is kept in a private
 * file of the data folder, because the stores know only its digest; delete the file, or revoke the key, when the trial is over.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { ApiKeys, digestOf, newSecret, SHOWN } from "./layers/ApiKeys.ts"
import { CreditLedger } from "./layers/CreditLedger.ts"
import { Namespaces } from "./layers/Namespaces.ts"
import { Credits, MICRO } from "./schemas/Credits.ts"
import { freshKeyId, freshNamespaceId } from "./schemas/Ids.ts"
import type { Environment } from "./schemas/Job.ts"
import { defaultRules, type ApiKey, type Namespace } from "./schemas/Namespace.ts"

export const DEMO_NAMESPACE = "demo"
/** Credits of the first namespace: thousands of short answers at the initial prices. */
const DEMO_CREDITS = 1000n
const DEMO_RATE = 100

/** The secret of the demo key: the one in the file if it is still good, a new one on an empty installation, null otherwise. */
export const demoKey = (dataFolder: string | null, environment: Environment) =>
  Effect.gen(function* () {
    const namespaces = yield* Namespaces
    const kept = dataFolder === null ? null : yield* readKept(keyPath(dataFolder))
    if (kept !== null) return kept
    if ((yield* namespaces.list).length > 0) return null
    return yield* install(dataFolder, environment)
  })

const keyPath = (dataFolder: string) => join(dataFolder, "demo.key")

const readKept = (path: string) =>
  Effect.gen(function* () {
    if (!existsSync(path)) return null
    const secret = Redacted.make(readFileSync(path, "utf8").trim())
    const found = yield* (yield* ApiKeys).authenticate(secret, yield* Clock.currentTimeMillis)
    return found === null ? null : secret
  })

const install = (dataFolder: string | null, environment: Environment) =>
  Effect.gen(function* () {
    const at = yield* Clock.currentTimeMillis
    const namespace: Namespace = {
      id: yield* freshNamespaceId,
      name: DEMO_NAMESPACE,
      environment,
      rules: defaultRules,
      createdAt: at
    }
    const secret = yield* newSecret
    const text = Redacted.value(secret)
    const key: ApiKey = {
      id: yield* freshKeyId,
      namespaceId: namespace.id,
      label: "first key",
      prefix: text.slice(0, SHOWN),
      ratePerSecond: DEMO_RATE,
      createdAt: at,
      expiresAt: null,
      revokedAt: null
    }
    yield* (yield* Namespaces).create(namespace)
    const amount = Credits.make(DEMO_CREDITS * MICRO)
    yield* (yield* CreditLedger).grant({ namespaceId: namespace.id, amount, reference: "installation", at })
    if (dataFolder !== null) yield* Effect.sync(() => writeFileSync(keyPath(dataFolder), `${text}\n`, { mode: 0o600 }))
    yield* (yield* ApiKeys).insert(key, digestOf(text))
    return secret
  }).pipe(Effect.catchTag("Refusal", Effect.die))
