/** I2: each reservation is closed exactly once, and what is charged is what was used: nothing for a job that brought nothing, never more than was reserved. */
import { charge } from "../../../src/policies/Pricing.ts"
import type { CreditEntry } from "../../../src/layers/CreditLedger.ts"
import type { StoredJob } from "../../../src/layers/memory/MemoryState.ts"
import { isTerminal } from "../../../src/schemas/JobState.ts"
import type { Checker } from "../support/History.ts"

export const I02: Checker = {
  name: "I02",
  atEnd: ({ state }) => {
    const byJob = new Map<string, Array<CreditEntry>>()
    for (const { entries } of state.accounts.values()) {
      for (const entry of entries) {
        if (entry.jobId === null) continue
        const known = byJob.get(entry.jobId)
        if (known === undefined) byJob.set(entry.jobId, [entry])
        else known.push(entry)
      }
    }
    return [...state.jobs.values()].flatMap((stored) => problemsOf(stored, byJob.get(stored.row.job.id) ?? []))
  }
}

const problemsOf = ({ row }: StoredJob, entries: ReadonlyArray<CreditEntry>): ReadonlyArray<string> => {
  const { job, state, charged, usage } = row
  const of = (kind: CreditEntry["kind"]) => entries.filter((entry) => entry.kind === kind)
  const [reserves, settles, refunds] = [of("reserve"), of("settle"), of("refund")]
  const found: Array<string> = []
  const say = (what: string) => void found.push(`${job.id} (${state}): ${what}`)
  if (reserves.length !== 1) say(`reserved ${reserves.length} times`)
  const closed = isTerminal(state) ? 1 : 0
  if (settles.length !== closed) say(`settled ${settles.length} times`)
  if (refunds.length > closed) say(`refunded ${refunds.length} times`)
  if (closed === 0) return found
  const [settled, refunded] = [settles[0]?.amount ?? 0n, refunds[0]?.amount ?? 0n]
  if (settles.length === 1 && refunds.length <= 1 && settled + refunded !== job.reserved) {
    say(`${settled} settled and ${refunded} refunded of ${job.reserved}`)
  }
  if (settled !== charged) say(`the row says ${charged}, the entry ${settled}`)
  const owes = state === "completed" || (state === "cancelled" && usage.outputTokens > 0)
  const due = owes ? charge(job.quote, usage, job.reserved) : 0n
  if (charged !== due) say(`charged ${charged}, owes ${due}`)
  return found
}
