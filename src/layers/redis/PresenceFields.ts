/**
 * A presence as the fields of its hash and back. Each field that a heartbeat may change is a text of its own, because a script that decoded and encoded
 * JSON would turn an empty list into an object. What comes back is trusted to be what went in.
 */
import type { NodePresence, ServedModel } from "../../schemas/NodeProfile.ts"
import type { PresenceChange } from "../LiveNodes.ts"
import { toKeyText } from "./KeyText.ts"

type Announced = Omit<NodePresence, "leased">

const CHANGING = ["lifecycle", "restrictions", "healthy", "gpus", "models", "track", "digest", "lastSeenAt"] as const
type Changing = (typeof CHANGING)[number]
type Fixed = Omit<Announced, Changing>

const pairs = (fields: Partial<Record<Changing | "fixed", unknown>>): ReadonlyArray<string> =>
  Object.entries(fields).flatMap(([field, value]) => (value === undefined ? [] : [field, JSON.stringify(value)]))

export const fieldsOf = (presence: Announced): ReadonlyArray<string> => {
  const { lifecycle, restrictions, healthy, gpus, models, track, digest, lastSeenAt, ...fixed } = presence
  return pairs({ fixed, lifecycle, restrictions, healthy, gpus, models, track, digest, lastSeenAt })
}

export const changedFieldsOf = ({ seenAt, ...changed }: PresenceChange): ReadonlyArray<string> =>
  pairs({ ...changed, lastSeenAt: seenAt })

/** What the indexes need of the models: each name once, with all its endpoints. */
export const servedOf = (models: ReadonlyArray<ServedModel>): string => {
  const served = new Map<string, Set<string>>()
  for (const { name, endpoints } of models) {
    const known = served.get(name) ?? new Set()
    for (const endpoint of endpoints) known.add(endpoint)
    served.set(name, known)
  }
  return JSON.stringify(Array.from(served, ([name, endpoints]) => [toKeyText(name), [...endpoints]]))
}

/** In the order of the scripts' own list: fixed, then those that change, then how many slots are leased. */
export const presenceOf = (view: ReadonlyArray<string>): NodePresence => {
  const [fixed = "{}", ...rest] = view
  const changing = Object.fromEntries(CHANGING.map((field, at) => [field, JSON.parse(rest[at] ?? "null")]))
  return { ...(JSON.parse(fixed) as Fixed), ...(changing as Pick<Announced, Changing>), leased: Number(view.at(-1)) }
}
