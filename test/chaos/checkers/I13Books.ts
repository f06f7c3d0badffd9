/**
 * I13: the rollups of a namespace are the sum of its entries, each counted once, however many made them; and a receipt says of its job what the stores
 * say of it, whoever made it.
 */
import type { Account } from "../../../src/layers/memory/MemoryState.ts"
import type { EntryKind } from "../../../src/schemas/Credits.ts"
import { isTerminal } from "../../../src/schemas/JobState.ts"
import type { Checker, Scene } from "../support/History.ts"

export const I13: Checker = {
  name: "I13",
  atEnd: (scene) =>
    scene.history.audits === null
      ? ["the books were not closed"]
      : [...scene.state.accounts.values()]
          .flatMap((account) => rollupProblems(account, scene))
          .concat(receiptProblems(scene))
}

/** Under what name a rollup sums entries of each kind. */
const FIGURES = {
  grant: "granted",
  reserve: "reserved",
  settle: "settled",
  refund: "refunded"
} as const satisfies Record<EntryKind, string>

const rollupProblems = ({ namespace: { id }, entries }: Account, { state }: Scene): ReadonlyArray<string> => {
  const rows = [...state.rollups.credits.values()].filter(({ namespaceId }) => namespaceId === id)
  const found: Array<string> = []
  for (const [kind, figure] of Object.entries(FIGURES) as ReadonlyArray<[EntryKind, (typeof FIGURES)[EntryKind]]>) {
    const said = rows.reduce((sum, row) => sum + row[figure], 0n)
    const is = entries.reduce((sum, entry) => (entry.kind === kind ? sum + entry.amount : sum), 0n)
    if (said !== is) found.push(`${id}: its rollups say ${said} ${figure}, its entries ${is}`)
  }
  const paid = [...state.jobs.values()].filter(({ row }) => row.job.namespaceId === id && isTerminal(row.state))
  const jobs = [...state.rollups.jobs.values()].filter(({ namespaceId }) => namespaceId === id)
  const count = jobs.reduce((sum, row) => sum + row.jobs, 0)
  const cost = jobs.reduce((sum, row) => sum + row.cost, 0n)
  const charged = entries.reduce((sum, { kind, amount }) => (kind === "settle" ? sum + amount : sum), 0n)
  if (count !== paid.length) found.push(`${id}: its rollups say ${count} jobs ended, ${paid.length} did`)
  if (cost !== charged) found.push(`${id}: its rollups say its jobs cost ${cost}, it was charged ${charged}`)
  return found
}

const receiptProblems = ({ history, state, records }: Scene): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (const { jobId, hash, differs, event } of history.audits ?? []) {
    if (differs.length > 0) found.push(`${jobId}: its receipt says otherwise of ${differs.join(", ")} (event ${event})`)
    const kept = records.records.get(jobId)?.record.receipt?.hash
    const leaf = state.leaves.get(jobId)?.hash
    if (leaf !== hash) found.push(`${jobId}: its receipt hashes to ${hash}, ${leaf} was written down`)
    const before = history.receipts.get(jobId)
    if (before !== undefined && before !== leaf) found.push(`${jobId}: its receipt was made again, as another one`)
    if (kept !== undefined && kept !== hash) found.push(`${jobId}: the receipt with its record is another one`)
  }
  return found
}
