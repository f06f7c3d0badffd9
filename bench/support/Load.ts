/** What a load generator is asked and what it answers. One process does any number of rounds, so that it is warm for all but the first. */
import { ask, type Child, start as startChild, support } from "./Children.ts"

export interface Load {
  readonly port: number
  readonly connections: number
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Answers before that time are not measured. */
  readonly warmMs: number
  readonly forMs: number
  /** Ends after about so many requests instead, all of them measured. */
  readonly count?: number
}

export interface Measured {
  readonly perSecond: number
  /** All answers, also those that were not measured. */
  readonly answered: number
  readonly p50: number
  readonly p95: number
  readonly failures: number
  readonly lastFailure: string
}

export const start = (): Promise<Child> =>
  startChild({ name: "load", args: [support("loadMain.ts")], ready: /^ready/, ipc: true })

/** Throws when a request was refused: a figure with failures in it is none. */
export const measure = async (generator: Child, load: Load): Promise<Measured> => {
  const measured = await ask<Measured | { readonly error: string }>(generator, load)
  if ("error" in measured) throw new Error(measured.error)
  if (measured.failures > 0) throw new Error(`${measured.failures} requests failed; the last: ${measured.lastFailure}`)
  return measured
}
