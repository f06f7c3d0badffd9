/**
 * When a node that keeps failing is left alone, and for how long: each cooldown is twice the last, up to a bound.
 *
 * Faults while it cools down belong to the incident that sent it there (many attempts die with one machine) and do not
 * count. After a cooldown the node is on probation: one more fault sends it back, one success clears it.
 */
import type { RuntimeSettings } from "../schemas/RuntimeSettings.ts"

export type CooldownRules = Pick<RuntimeSettings, "cooldownFaults" | "cooldownMs" | "cooldownMaxMs">

export interface NodeFaults {
  /** Faults since the last success. */
  readonly consecutive: number
  /** Cooldowns since the last success. */
  readonly cooldowns: number
  /** End of the latest cooldown, epoch ms. */
  readonly until: number
}

export const noFaults: NodeFaults = { consecutive: 0, cooldowns: 0, until: 0 }

export interface FaultVerdict {
  readonly faults: NodeFaults
  /** How long the node cools down from now on; null: it goes on. */
  readonly cooldownMs: number | null
}

export const afterFault = (faults: NodeFaults, now: number, rules: CooldownRules): FaultVerdict => {
  if (now < faults.until) return { faults, cooldownMs: null }
  const consecutive = faults.consecutive + 1
  if (consecutive < rules.cooldownFaults) return { faults: { ...faults, consecutive }, cooldownMs: null }
  const cooldownMs = Math.min(rules.cooldownMaxMs, rules.cooldownMs * 2 ** faults.cooldowns)
  return { faults: { consecutive, cooldowns: faults.cooldowns + 1, until: now + cooldownMs }, cooldownMs }
}

/** A success clears the past but does not end a cooldown that runs: its restriction ends by itself. */
export const afterSuccess = (faults: NodeFaults): NodeFaults => ({ ...noFaults, until: faults.until })
