/**
 * A first namespace with credits and one key, for a cluster that has none. The stores know only the key's digest, so its secret is kept in a
 * private file; a cluster that has namespaces already is left alone.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"

export interface TrialOptions {
  readonly controlUrl: string
  readonly controlKey: string
  readonly environment: string
  /** Where the secret is kept. */
  readonly file: string
}

const REASON = "first start of the cluster"
/** Credits of the first namespace: thousands of short answers at the initial prices. */
const CREDITS = "1000"
const RATE_PER_SECOND = 100

/** The secret of the trial's key; null when somebody has set the cluster up otherwise. */
export const trialKey = async (options: TrialOptions): Promise<string | null> => {
  const { data } = await ask<{ data: ReadonlyArray<unknown> }>(options, "GET", "/control/namespaces")
  if (data.length > 0) return existsSync(options.file) ? readFileSync(options.file, "utf8").trim() : null
  const { namespace } = await ask<{ namespace: { id: string } }>(options, "POST", "/control/namespaces", {
    name: "trial",
    environment: options.environment
  })
  await ask(options, "POST", `/control/namespaces/${namespace.id}/grant`, { amount: CREDITS, reference: "trial" })
  const { secret } = await ask<{ secret: string }>(options, "POST", "/control/keys", {
    namespaceId: namespace.id,
    label: "first key",
    ratePerSecond: RATE_PER_SECOND
  })
  mkdirSync(dirname(options.file), { recursive: true, mode: 0o700 })
  // One that is left over from data that is gone would keep its mode.
  rmSync(options.file, { force: true })
  writeFileSync(options.file, `${secret}\n`, { mode: 0o600 })
  return secret
}

const ask = async <A>(
  { controlUrl, controlKey }: TrialOptions,
  method: "GET" | "POST",
  path: string,
  body?: Readonly<Record<string, unknown>>
): Promise<A> => {
  const response = await fetch(`${controlUrl}${path}`, {
    method,
    headers: { authorization: `Bearer ${controlKey}`, "content-type": "application/json", "x-actor": "up" },
    ...(body === undefined ? {} : { body: JSON.stringify({ ...body, reason: REASON }) })
  })
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`)
  return (await response.json()) as A
}
