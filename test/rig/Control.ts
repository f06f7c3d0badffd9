/** What an operator says to and sees of the daemons; through whichever of them answers. */
import { scheduler } from "node:timers/promises"
import type { Customer } from "./Asking.ts"

const ANSWER_MS = 10_000
const TRIES = 20
const PAUSE_MS = 500

export interface Control {
  readonly look: <Body>(path: string) => Promise<Body>
  readonly order: <Body>(path: string, body: object) => Promise<Body>
}

export const controlOver = (urls: ReadonlyArray<string>): Control => {
  const say = async <Body>(path: string, init: RequestInit): Promise<Body> => {
    let last = "nobody answered"
    for (let tries = 0; tries < TRIES; tries++) {
      try {
        const response = await fetch(`${urls[tries % urls.length]}${path}`, {
          ...init,
          signal: AbortSignal.timeout(ANSWER_MS)
        })
        const text = await response.text()
        if (response.status < 300) return JSON.parse(text) as Body
        last = `${response.status} ${text}`
        if (response.status < 500) break
      } catch (cause) {
        last = cause instanceof Error ? cause.message : String(cause)
      }
      await scheduler.wait(PAUSE_MS)
    }
    throw new Error(`${path}: ${last}`)
  }
  return {
    look: (path) => say(path, {}),
    order: (path, body) =>
      say(path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ reason: "chaos", ...body })
      })
  }
}

const RATE = 10_000
const GRANT = "100000"
/** Enough for some dozens of short answers: this one runs dry. */
const POOR_GRANT = "0.03"

/** Customers with canaries of their own; the last one is poor. */
export const makeCustomers = async (
  control: Control,
  canaries: ReadonlyArray<string>
): Promise<ReadonlyArray<Customer>> => {
  const customers: Array<Customer> = []
  for (const [at, canary] of canaries.entries()) {
    const { namespace } = await control.order<{ readonly namespace: { readonly id: string } }>("/control/namespaces", {
      name: `rig ${at}`,
      environment: "testnet"
    })
    const amount = at === canaries.length - 1 ? POOR_GRANT : GRANT
    await control.order(`/control/namespaces/${namespace.id}/grant`, { amount, reference: "rig" })
    const { secret } = await control.order<{ readonly secret: string }>("/control/keys", {
      namespaceId: namespace.id,
      ratePerSecond: RATE
    })
    customers.push({ namespaceId: namespace.id, secret, canary })
  }
  return customers
}

interface NodeSight {
  readonly name: string
  readonly lifecycle: string
  readonly link: string
  readonly leased: number
}

/** How many of our nodes may take work, and how many slots are taken. */
export const sightOf = async (
  control: Control,
  prefix: string
): Promise<{ readonly active: number; readonly leased: number }> => {
  const { data } = await control.look<{ readonly data: ReadonlyArray<NodeSight> }>("/control/nodes")
  const ours = data.filter(({ name }) => name.startsWith(prefix))
  return {
    active: ours.filter(({ lifecycle, link }) => lifecycle === "active" && link === "online").length,
    leased: ours.reduce((sum, { leased }) => sum + leased, 0)
  }
}
