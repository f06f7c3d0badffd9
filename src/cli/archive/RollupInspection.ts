/** Looks at every line of a segment of rollups: that it is a row of a version we know, once, and that all of them are what the manifest counts and spans. */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { linesIn } from "../../layers/Archive.ts"
import { keyOf, RollupLine } from "../../schemas/Rollup.ts"
import type { Loaded } from "./Segments.ts"

const decodeLine = Schema.decodeUnknownResult(RollupLine)

/** What is wrong with a line or a span, or null. */
export const faultInRollups = async (
  { bytes }: Loaded,
  signal: AbortSignal
): Promise<
  { readonly why: string } | { readonly count: number; readonly from: number; readonly to: number } | null
> => {
  const rows = new Set<string>()
  let [count, from, to] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for await (const bytesOfLine of linesIn(bytes)) {
    if (signal.aborted) return null
    count++
    const value = Result.try(() => JSON.parse(bytesOfLine.toString("utf8")) as unknown)
    const line = Result.flatMap(value, decodeLine)
    if (Result.isFailure(line)) return { why: `has a line ${count} that is no rollup` }
    const { definition, period } = line.success
    const name = `${definition} ${period} ${keyOf(line.success)}`
    if (rows.has(name)) return { why: `has a line ${count} with a row that it holds already` }
    rows.add(name)
    from = Math.min(from, period)
    to = Math.max(to, period)
  }
  return { count, from, to }
}
