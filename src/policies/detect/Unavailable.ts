/** A model that somebody wants and nobody serves: refused for it lately, or with jobs that wait for it. */
import type { Environment } from "../../schemas/Job.ts"
import type { Findings, Verdict } from "./Verdict.ts"

export const UNAVAILABLE = "model_unavailable"

export interface Wanted {
  readonly model: string
  readonly environment: Environment
  /** Requests that were refused for it. */
  readonly refused: number
  /** Jobs that wait for it for too long already. */
  readonly waiting: number
}

/** @param served active, healthy, unrestricted nodes by environment and model */
export const judge = (
  wanted: ReadonlyArray<Wanted>,
  served: (environment: Environment, model: string) => number,
  openModels: ReadonlyArray<string>
): Findings => {
  const missing = new Map<string, Verdict>()
  for (const { model, environment, refused, waiting } of wanted) {
    if (served(environment, model) > 0 || refused + waiting === 0) continue
    missing.set(model, {
      subject: `model/${model}`,
      standing: "bad",
      severity: "high",
      observed: { nodes: 0, refused, waiting },
      expected: { nodesMin: 1 }
    })
  }
  const back = [...new Set([...openModels, ...wanted.map(({ model }) => model)])].flatMap(
    (model): ReadonlyArray<Verdict> => {
      const nodes = served("testnet", model) + served("mainnet", model)
      if (missing.has(model) || nodes === 0) return []
      return [{ subject: `model/${model}`, standing: "good", severity: "info", observed: { nodes }, expected: {} }]
    }
  )
  return { type: UNAVAILABLE, kind: "anomaly", verdicts: [...missing.values(), ...back] }
}
