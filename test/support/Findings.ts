/** What a test asks of findings. */
import { Effect } from "effect"
import type { Finding } from "../../src/layers/Diagnosis.ts"

export const examine = (diagnosis: Effect.Effect<ReadonlyArray<Finding>>): Promise<ReadonlyArray<Finding>> =>
  Effect.runPromise(diagnosis)

/** All that is not good, a line each: empty is what a test wants to see most often. */
export const complaints = (findings: ReadonlyArray<Finding>): ReadonlyArray<string> =>
  findings.filter(({ level }) => level !== "good").map(lineOf)

const lineOf = ({ what, level, said }: Finding): string => `${level} ${what}: ${said}`

/** The only one of that name. */
export const findingOf = (findings: ReadonlyArray<Finding>, what: string): Finding => {
  const [finding, ...more] = findings.filter((each) => each.what === what)
  if (finding === undefined || more.length > 0) {
    throw new Error(`${more.length + (finding === undefined ? 0 : 1)} of ${what}: ${findings.map(lineOf).join("; ")}`)
  }
  return finding
}
