/** Rollups in memory: the same fold over the same entries, one namespace after the other. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { NamespaceId } from "../../schemas/Ids.ts"
import type { Environment } from "../../schemas/Job.ts"
import { isTerminal } from "../../schemas/JobState.ts"
import {
  type AccountRollup,
  type CreditRollup,
  DAY_MS,
  HOUR_MS,
  keyOf,
  type RollupDefinition,
  type RollupRow
} from "../../schemas/Rollup.ts"
import type { CreditEntry } from "../CreditLedger.ts"
import type { ModelCharge, Span, Statement } from "../Invoice.ts"
import {
  bookCredits,
  bookJobs,
  type EndedJob,
  foldJobs,
  movedIn,
  nextAccount,
  nothingYet,
  sumOf
} from "../RollupFold.ts"
import { type Booked, type Driver, make, Rollups, type Wanted, WAITING_MAX } from "../Rollups.ts"
import { byText } from "./MemoryRecords.ts"
import { type Account, MemoryState, type State } from "./MemoryState.ts"

/** Where a row stands. */
export const slotOf = (row: RollupRow): string => `${row.period} ${keyOf(row)}`

export const put = ({ rollups }: State, row: RollupRow): void => {
  switch (row.definition) {
    case "credits":
      return void rollups.credits.set(slotOf(row), row)
    case "jobs":
      return void rollups.jobs.set(slotOf(row), row)
    case "accounts":
      return void rollups.accounts.set(slotOf(row), row)
  }
}

export const within = ({ from, to }: Span, { period }: RollupRow): boolean => period >= from && period < to

const placeOf = ({ rollups }: State, namespaceId: NamespaceId) =>
  rollups.places.get(namespaceId) ?? { standing: nothingYet, jobsSeq: 0 }

/** Takes of one account after the other, until `max` entries are taken. */
const through = (
  state: State,
  from: NamespaceId | null,
  max: number,
  take: (account: Account, max: number) => number
): Booked => {
  let taken = 0
  const accounts = [...state.accounts].filter(([id]) => from === null || id >= from)
  for (const [id, account] of accounts.toSorted(([a], [b]) => byText(a, b))) {
    taken += take(account, max - taken)
    if (taken >= max) return { taken, next: id }
  }
  return { taken, next: null }
}

const takeCredits = (state: State, now: number) => (account: Account, max: number) => {
  const { id } = account.namespace
  const { standing: before, jobsSeq } = placeOf(state, id)
  const entries = account.entries.filter(({ seq }) => seq > before.seq).slice(0, max)
  if (entries.length === 0) return 0
  const begun = state.rollups.credits.get(`${before.period} ${id}`) ?? null
  const bounds = { closedUntil: state.rollups.closedUntil.credits, now }
  const { standing, rows } = bookCredits(id, before, begun, entries, bounds)
  for (const row of rows) put(state, row)
  state.rollups.places.set(id, { standing, jobsSeq })
  return entries.length
}

const creditsOf = ({ rollups }: State, namespaceId: NamespaceId): ReadonlyArray<CreditRollup> =>
  [...rollups.credits.values()].filter((row) => row.namespaceId === namespaceId).toSorted((a, b) => a.period - b.period)

const takeJobs = (state: State) => (account: Account, max: number) => {
  const { id } = account.namespace
  const { standing, jobsSeq } = placeOf(state, id)
  const entries = account.entries.filter(({ seq }) => seq > jobsSeq && seq <= standing.seq).slice(0, max)
  const credits = creditsOf(state, id)
  const fresh = bookJobs(entries.flatMap((entry) => endedJobOf(state, credits, entry)))
  const known = fresh.map((row) => state.rollups.jobs.get(slotOf(row))).filter((row) => row !== undefined)
  for (const row of foldJobs([...known, ...fresh])) put(state, row)
  const last = entries.at(-1)
  if (last !== undefined) state.rollups.places.set(id, { standing, jobsSeq: last.seq })
  return entries.length
}

const endedJobOf = (
  state: State,
  credits: ReadonlyArray<CreditRollup>,
  { kind, jobId, seq, amount, at }: CreditEntry
): ReadonlyArray<EndedJob> => {
  const stored = jobId === null ? undefined : state.jobs.get(jobId)
  const slot = credits.find(({ lastSeq }) => lastSeq >= seq)
  if (kind !== "settle" || stored === undefined || slot === undefined || !isTerminal(stored.row.state)) return []
  const { job, state: ended, usage } = stored.row
  const { environment, namespaceId, model, mode, acceptedAt } = job
  const starts = stored.events.filter((event) => event.kind === "claimed").map((event) => event.at)
  return [
    {
      period: slot.period,
      environment,
      namespaceId,
      model,
      mode,
      state: ended,
      promptTokens: usage.promptTokens,
      outputTokens: usage.outputTokens,
      cost: amount,
      acceptedAt,
      finishedAt: at,
      startedAt: starts.length === 0 ? null : Math.min(...starts)
    }
  ]
}

const close = (state: State, definition: RollupDefinition, until: number, hoursMax: number): number => {
  const closed = state.rollups.closedUntil
  const before = closed[definition]
  const end = Math.min(until, definition === "jobs" ? closed.credits : definition === "accounts" ? closed.jobs : until)
  if (end <= before || (definition === "jobs" && isBehind(state, { from: before, to: end }))) return before
  closed[definition] = definition === "accounts" ? closeAccounts(state, before, end, hoursMax) : end
  return closed[definition]
}

const isBehind = (state: State, hours: Span): boolean =>
  [...state.rollups.credits.values()].some(
    (row) => within(hours, row) && row.lastSeq > placeOf(state, row.namespaceId).jobsSeq
  )

const closeAccounts = (state: State, before: number, until: number, hoursMax: number): number => {
  const first = Math.min(until, ...[...state.rollups.credits.values()].map(({ period }) => period))
  const from = before > 0 ? before : first
  const to = Math.min(until, from + hoursMax * HOUR_MS)
  for (let period = from; period < to; period += HOUR_MS) {
    for (const row of accountsOf(state, period)) put(state, row)
  }
  return to
}

const accountsOf = (state: State, period: number): ReadonlyArray<AccountRollup> => {
  const end = period + HOUR_MS
  const namespaces = [...state.accounts.values()].map(({ namespace }) => namespace)
  const moved = [...state.rollups.credits.values()].filter((row) => row.period === period)
  const environmentOf = (id: NamespaceId) => state.accounts.get(id)?.namespace.environment
  const there = namespaces.filter(({ createdAt }) => createdAt < end)
  const living = [...state.keys.values()].filter(
    ({ createdAt, revokedAt, expiresAt }) =>
      createdAt < end && (revokedAt === null || revokedAt >= end) && (expiresAt === null || expiresAt >= end)
  )
  const environments = new Set<Environment | undefined>([
    ...there.map(({ environment }) => environment),
    ...moved.map(({ namespaceId }) => environmentOf(namespaceId))
  ])
  return [...environments].flatMap((environment) => {
    if (environment === undefined) return []
    const counted = {
      environment,
      namespaces: there.filter((namespace) => namespace.environment === environment).length,
      keys: living.filter(({ namespaceId }) => environmentOf(namespaceId) === environment).length
    }
    const rows = moved.filter(({ namespaceId }) => environmentOf(namespaceId) === environment)
    const earlier = [...state.rollups.accounts.values()].filter(
      (row) => row.environment === environment && row.period < period
    )
    const last = earlier.toSorted((a, b) => a.period - b.period).at(-1) ?? null
    return [nextAccount(period, counted, last, movedIn(rows))]
  })
}

const page = ({ rollups }: State, wanted: Wanted): ReadonlyArray<RollupRow> => {
  const { definition, namespaceId, after, limit } = wanted
  const rows: ReadonlyArray<RollupRow> = [...rollups[definition].values()]
  return rows
    .filter((row) => within(wanted, row))
    .filter((row) => namespaceId === null || ("namespaceId" in row && row.namespaceId === namespaceId))
    .filter(
      (row) => after === null || row.period > after.period || (row.period === after.period && keyOf(row) > after.key)
    )
    .toSorted((a, b) => a.period - b.period || byText(keyOf(a), keyOf(b)))
    .slice(0, Math.max(limit, 0))
}

const statement = (state: State, namespaceId: NamespaceId, span: Span): Statement => {
  const credits = creditsOf(state, namespaceId)
  const before = credits.findLast(({ period }) => period < span.from) ?? null
  const after = credits.find(({ period }) => period >= span.to) ?? null
  const { available, reserved } = placeOf(state, namespaceId).standing
  const earliest = before?.period ?? span.from
  const { closedUntil, away, jobs } = state.rollups
  return {
    namespaceId,
    before,
    rows: credits.filter((row) => within(span, row)),
    after,
    latest: { available, reserved },
    away: [...away.keys()]
      .filter((day) => day > earliest - DAY_MS && (after === null || day < after.period))
      .toSorted((a, b) => a - b),
    models: byModel([...jobs.values()].filter((row) => row.namespaceId === namespaceId && within(span, row))),
    closedUntil: Math.min(closedUntil.credits, closedUntil.jobs)
  }
}

const byModel = (rows: ReadonlyArray<ModelCharge>): ReadonlyArray<ModelCharge> =>
  [...Map.groupBy(rows, ({ model }) => model)]
    .map(([model, own]) => ({
      model,
      jobs: own.reduce((sum, { jobs }) => sum + jobs, 0),
      promptTokens: own.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
      outputTokens: own.reduce((sum, { outputTokens }) => sum + outputTokens, 0),
      cost: own.reduce((sum, { cost }) => sum + cost, 0n)
    }))
    .toSorted((a, b) => byText(a.model, b.model))

const waiting = (state: State) => {
  const [entries, places] = [[...state.accounts.values()], state]
  const count = (isWaiting: (entry: CreditEntry, account: Account) => boolean) =>
    Math.min(
      WAITING_MAX,
      entries.reduce((sum, account) => sum + account.entries.filter((entry) => isWaiting(entry, account)).length, 0)
    )
  return {
    credits: count(({ seq }, { namespace }) => seq > placeOf(places, namespace.id).standing.seq),
    jobs: count(({ seq }, { namespace }) => {
      const { standing, jobsSeq } = placeOf(places, namespace.id)
      return seq > jobsSeq && seq <= standing.seq
    })
  }
}

const driver = (state: State): Driver => ({
  book: (definition, from, max, now) =>
    Effect.sync(() => through(state, from, max, definition === "credits" ? takeCredits(state, now) : takeJobs(state))),
  close: (definition, until, hoursMax) => Effect.sync(() => close(state, definition, until, hoursMax)),
  closedUntil: Effect.sync(() => ({ ...state.rollups.closedUntil })),
  waiting: Effect.sync(() => waiting(state)),
  page: (wanted) => Effect.sync(() => page(state, wanted)),
  statement: (namespaceId, span) => Effect.sync(() => statement(state, namespaceId, span)),
  recount: (namespaceId, firstSeq, lastSeq) =>
    Effect.sync(() =>
      sumOf((state.accounts.get(namespaceId)?.entries ?? []).filter(({ seq }) => seq >= firstSeq && seq <= lastSeq))
    )
})

export const layer: Layer.Layer<Rollups, never, MemoryState> = Layer.effect(
  Rollups,
  Effect.map(MemoryState, (state) => make(driver(state)))
)
