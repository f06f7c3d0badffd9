/** Jobs: none that was accepted is lost, each ends once by legal moves, and its credits are closed exactly once at the price that was promised. */
import { isLegal, isTerminal, type JobState } from "../../../src/schemas/JobState.ts"
import type { HistoryRule, StoredEvent, StoredJob } from "../History.ts"

export const H01Lost: HistoryRule = {
  rule: "H01 lost job",
  check: function* ({ state }, ops) {
    const known = new Set(state.jobs.map(({ id }) => id))
    for (const { id, accepted } of ops) {
      for (const jobId of new Set(accepted)) {
        if (!known.has(jobId)) yield `${jobId} was accepted (operation ${id}) and is not in the store`
      }
    }
  }
}

const groupBy = <A>(items: ReadonlyArray<A>, keyOf: (item: A) => string | null): Map<string, Array<A>> => {
  const groups = new Map<string, Array<A>>()
  for (const item of items) {
    const key = keyOf(item)
    if (key === null) continue
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

export const H02Settlement: HistoryRule = {
  rule: "H02 settlement",
  check: function* ({ state }) {
    const byJob = groupBy(state.entries, ({ jobId }) => jobId)
    for (const job of state.jobs) {
      const of = byJob.get(job.id) ?? []
      const sum = (kind: string) => of.reduce((sum, entry) => (entry.kind === kind ? sum + entry.amount : sum), 0n)
      const count = (kind: string) => of.filter((entry) => entry.kind === kind).length
      if (count("reserve") !== 1) yield `${job.id} was reserved ${count("reserve")} times`
      if (count("settle") > 1 || count("refund") > 1)
        yield `${job.id} was settled ${count("settle")} and refunded ${count("refund")} times`
      const closed = count("settle") + count("refund") > 0
      if (closed !== isTerminal(job.state)) yield `${job.id} is ${job.state} and ${closed ? "settled" : "not settled"}`
      if (closed && sum("settle") + sum("refund") !== sum("reserve"))
        yield `${job.id}: ${sum("settle")} settled and ${sum("refund")} refunded of ${sum("reserve")}`
      if (closed && sum("settle") !== job.charged)
        yield `${job.id} was charged ${job.charged}, settled ${sum("settle")}`
    }
  }
}

export const H03Credits: HistoryRule = {
  rule: "H03 credits",
  check: function* ({ state }) {
    const byNamespace = groupBy(state.entries, ({ namespaceId }) => namespaceId)
    for (const { namespaceId, granted, available, reserved, spent } of state.balances) {
      if (granted !== available + reserved + spent)
        yield `${namespaceId}: granted ${granted}, but ${available} + ${reserved} + ${spent}`
      if (available < 0n || reserved < 0n)
        yield `${namespaceId} is in debt: ${available} available, ${reserved} reserved`
      const of = byNamespace.get(namespaceId) ?? []
      const sum = (kind: string) => of.reduce((sum, entry) => (entry.kind === kind ? sum + entry.amount : sum), 0n)
      if (sum("grant") !== granted) yield `${namespaceId}: granted ${granted}, its grants are ${sum("grant")}`
      if (sum("settle") !== spent) yield `${namespaceId}: spent ${spent}, its settlements are ${sum("settle")}`
      const open = sum("reserve") - sum("settle") - sum("refund")
      if (open !== reserved) yield `${namespaceId}: reserved ${reserved}, its entries leave ${open} open`
    }
  }
}

export const H04Histories: HistoryRule = {
  rule: "H04 history",
  check: function* ({ state }) {
    const byJob = groupBy(state.events, ({ jobId }) => jobId)
    for (const job of state.jobs) {
      const of = (byJob.get(job.id) ?? []).toSorted((a, b) => a.seq - b.seq)
      yield* historyProblems(job, of)
    }
  }
}

const historyProblems = function* (job: StoredJob, events: ReadonlyArray<StoredEvent>): Iterable<string> {
  let before: JobState | null = null
  let [epoch, attempt] = [0, 0]
  for (const [at, event] of events.entries()) {
    if (event.seq !== at + 1) return yield `${job.id}: event ${at + 1} has number ${event.seq}`
    if (event.from !== before) yield `${job.id}: event ${event.seq} goes from ${event.from}, it was ${before}`
    if (before !== null && !isLegal(before, event.to)) yield `${job.id} moved from ${before} to ${event.to}`
    if (event.epoch < epoch || event.attempt < attempt)
      yield `${job.id}: event ${event.seq} has epoch ${event.epoch} attempt ${event.attempt} after ${epoch} and ${attempt}`
    ;[epoch, attempt, before] = [event.epoch, event.attempt, event.to]
  }
  if (before !== job.state || events.length !== job.events || epoch !== job.epoch)
    yield `${job.id} is ${job.state} (epoch ${job.epoch}, ${job.events} events), its history ends in ${before} (epoch ${epoch}, ${events.length} events)`
}

export const H05Charge: HistoryRule = {
  rule: "H05 charge",
  check: function* ({ state }) {
    for (const job of state.jobs) {
      if (!isTerminal(job.state)) continue
      if (job.charged < 0n || job.charged > job.reserved)
        yield `${job.id} was charged ${job.charged} of ${job.reserved}`
      const produces = job.state === "completed" || job.state === "cancelled"
      if (!produces) {
        if (job.charged !== 0n) yield `${job.id} (${job.state}) was charged ${job.charged} though it brought nothing`
        continue
      }
      if (job.charged === 0n && job.outputTokens === 0) continue
      const { perPromptToken, perOutputToken, perRequest } = job.facts.quote
      const due =
        BigInt(perRequest) +
        BigInt(perPromptToken) * BigInt(job.promptTokens) +
        BigInt(perOutputToken) * BigInt(job.outputTokens)
      const capped = due < job.reserved ? due : job.reserved
      if (capped !== job.charged)
        yield `${job.id}: ${job.promptTokens} and ${job.outputTokens} tokens cost ${capped}, it was charged ${job.charged}`
    }
  }
}

export const H14Ended: HistoryRule = {
  rule: "H14 left over",
  check: function* ({ state, leftOver }) {
    for (const job of state.jobs) if (!isTerminal(job.state)) yield `${job.id} is still ${job.state}`
    if (state.outbox > 0) yield `${state.outbox} messages are unsent`
    for (const what of leftOver) yield what
  }
}
