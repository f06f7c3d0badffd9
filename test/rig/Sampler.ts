/**
 * Looks at the deciding store several times a second while everything happens to it, and cries out at the first thing that must never be seen. A look
 * is about the jobs that may have changed since the last one: those open now, those open then, and those with new entries; so its cost follows the load
 * and not the age of the run. What only two looks together can show (an epoch that falls, an end that is taken back) is remembered from look to look.
 */
import { scheduler } from "node:timers/promises"
import type { Finding } from "./History.ts"
import { broken } from "./Rules.ts"
import type { Query, Row, StateDb } from "./StateDb.ts"

const EVERY_MS = 250
/** Entries may become visible after later ones: looks reach back so far. */
const REACH_BACK = 100n
/** Sums of entries older than this many looks are not made again. */
const SETTLED_LOOKS = 80

export interface Sampled {
  readonly looks: number
  readonly missed: number
  /** Why a look came to nothing. */
  readonly misses: Readonly<Record<string, number>>
  readonly tookMsTotal: number
  readonly tookMsMax: number
  /** Jobs that were looked at, over all looks. */
  readonly jobs: number
}

export interface Sampler {
  readonly stop: () => Promise<Sampled>
  /** One look at everything. */
  readonly full: () => Promise<ReadonlyArray<Finding>>
}

export const startSampler = (
  db: StateDb,
  onViolation: (findings: ReadonlyArray<Finding>, rows: object) => void
): Sampler => {
  const memory = makeMemory()
  const misses: Record<string, number> = {}
  const tally = { looks: 0, missed: 0, misses, tookMsTotal: 0, tookMsMax: 0, jobs: 0 }
  const state = { stopped: false }
  const look = async (): Promise<void> => {
    const from = performance.now()
    try {
      const { findings, rows, jobs } = await db.look((query) => sample(query, memory))
      const took = performance.now() - from
      tally.looks += 1
      tally.jobs += jobs
      tally.tookMsTotal += took
      tally.tookMsMax = Math.max(tally.tookMsMax, took)
      if (findings.length > 0) onViolation(findings, rows)
    } catch (cause) {
      // The store is what is being killed; the next look will tell.
      tally.missed += 1
      const why = cause instanceof Error ? cause.message : String(cause)
      misses[why] = (misses[why] ?? 0) + 1
    }
  }
  const run = async () => {
    while (!state.stopped) {
      const from = performance.now()
      await look()
      await scheduler.wait(Math.max(10, EVERY_MS - (performance.now() - from)))
    }
  }
  const running = run()
  return {
    stop: async () => {
      state.stopped = true
      await running
      return tally
    },
    full: () =>
      db.look(async (query) => [...(await broken(query, "all")), ...(await ledgerProblems(query, makeMemory().ledger))])
  }
}

interface Known {
  readonly state: string
  readonly epoch: bigint
  readonly events: bigint
}

interface Memory {
  open: ReadonlyMap<string, Known>
  entrySeq: bigint
  readonly ledger: Ledger
  readonly sweepers: Map<string, bigint>
  readonly daemons: Map<string, string>
}

/** Sums by namespace and kind of all entries up to a number that no later one can be below. */
interface Ledger {
  upTo: bigint
  readonly sums: Map<string, bigint>
  /** The newest number at each of the last looks. */
  readonly newest: Array<bigint>
}

export const makeMemory = (): Memory => ({
  open: new Map(),
  entrySeq: 0n,
  ledger: { upTo: 0n, sums: new Map(), newest: [] },
  sweepers: new Map(),
  daemons: new Map()
})

const OPEN = "SELECT id, state, epoch, events FROM job WHERE finished_at IS NULL"

export const sample = async (
  query: Query,
  memory: Memory
): Promise<{ readonly findings: ReadonlyArray<Finding>; readonly rows: object; readonly jobs: number }> => {
  const open = new Map((await query(OPEN)).map((row) => [String(row["id"]), knownOf(row)]))
  const since = memory.entrySeq > REACH_BACK ? memory.entrySeq - REACH_BACK : 0n
  const entries = await query(`SELECT seq, job_id FROM credit_entry WHERE seq > ${since}`)
  const changed = new Set([...open.keys(), ...memory.open.keys()])
  for (const { seq, job_id: jobId } of entries) {
    if (typeof jobId === "string") changed.add(jobId)
    if (typeof seq === "bigint" && seq > memory.entrySeq) memory.entrySeq = seq
  }
  const about = [...changed]
  const findings = [
    ...(await broken(query, about)),
    ...(await ledgerProblems(query, memory.ledger)),
    ...taken(open, memory.open),
    ...(await epochProblems(query, memory))
  ]
  memory.open = open
  const rows = findings.length === 0 ? {} : await rowsAbout(query, findings)
  return { findings, rows, jobs: about.length }
}

const knownOf = (row: Row): Known => ({
  state: String(row["state"]),
  epoch: row["epoch"] as bigint,
  events: row["events"] as bigint
})

/** A job that is open now and was open then has gone forward. */
const taken = function* (now: ReadonlyMap<string, Known>, then: ReadonlyMap<string, Known>): Iterable<Finding> {
  for (const [id, { epoch, events }] of now) {
    const before = then.get(id)
    if (before !== undefined && (epoch < before.epoch || events < before.events))
      yield {
        rule: "nothing is taken back",
        what: `${id}: epoch ${epoch} with ${events} events after ${before.epoch} with ${before.events}`
      }
  }
}

const COLUMNS: Readonly<Record<string, string>> = { grant: "granted", reserve: "reserved", settle: "spent" }

/** Balances are the ledger. */
const ledgerProblems = async (query: Query, ledger: Ledger): Promise<ReadonlyArray<Finding>> => {
  const balances = await query("SELECT namespace_id, granted, reserved, spent FROM credit_balance")
  const tail = await sumsOf(query, `seq > ${ledger.upTo}`)
  const wrong = differences(balances, added(ledger.sums, tail))
  if (wrong.length > 0) {
    // The remembered sums may have missed what became visible late: only all entries together are evidence.
    const sure = differences(balances, await sumsOf(query, "seq > 0"))
    ledger.upTo = 0n
    ledger.sums.clear()
    ledger.newest.length = 0
    return sure
  }
  await settle(query, ledger)
  return []
}

const sumsOf = async (query: Query, where: string): Promise<ReadonlyMap<string, bigint>> => {
  const rows = await query(
    `SELECT namespace_id, kind, CAST(sum(amount) AS text) AS amount FROM credit_entry WHERE ${where} GROUP BY namespace_id, kind`
  )
  return new Map(
    rows.map(({ namespace_id: id, kind, amount }) => [`${String(id)} ${String(kind)}`, BigInt(String(amount))])
  )
}

const added = (a: ReadonlyMap<string, bigint>, b: ReadonlyMap<string, bigint>): ReadonlyMap<string, bigint> => {
  const sums = new Map(a)
  for (const [key, amount] of b) sums.set(key, (sums.get(key) ?? 0n) + amount)
  return sums
}

const differences = (balances: ReadonlyArray<Row>, sums: ReadonlyMap<string, bigint>): ReadonlyArray<Finding> => {
  const found: Array<Finding> = []
  for (const row of balances) {
    const id = String(row["namespace_id"])
    const sum = (kind: string) => sums.get(`${id} ${kind}`) ?? 0n
    for (const [kind, column] of Object.entries(COLUMNS)) {
      const due = kind === "reserve" ? sum("reserve") - sum("settle") - sum("refund") : sum(kind)
      if (row[column] !== due)
        found.push({
          rule: "balances are the ledger",
          what: `${id}: ${column} ${String(row[column])}, its entries say ${due}`
        })
    }
  }
  return found
}

const settle = async (query: Query, ledger: Ledger): Promise<void> => {
  const [row] = await query("SELECT coalesce(max(seq), 0) AS newest FROM credit_entry")
  ledger.newest.push(row?.["newest"] as bigint)
  if (ledger.newest.length < SETTLED_LOOKS) return
  const upTo = ledger.newest[0] ?? 0n
  ledger.newest.splice(0, SETTLED_LOOKS / 2)
  const more = added(ledger.sums, await sumsOf(query, `seq > ${ledger.upTo} AND seq <= ${upTo}`))
  for (const [key, amount] of more) ledger.sums.set(key, amount)
  ledger.upTo = upTo
}

const epochProblems = async (query: Query, { sweepers, daemons }: Memory): Promise<ReadonlyArray<Finding>> => {
  const found: Array<Finding> = []
  for (const row of await query("SELECT name, epoch FROM sweeper_state")) {
    const [name, epoch] = [String(row["name"]), row["epoch"] as bigint]
    const before = sweepers.get(name) ?? 0n
    if (epoch < before)
      found.push({ rule: "epochs grow", what: `sweeper ${name} is at epoch ${epoch} after ${before}` })
    sweepers.set(name, epoch)
  }
  for (const row of await query("SELECT id, state FROM daemon")) {
    const [id, state] = [String(row["id"]), String(row["state"])]
    const before = daemons.get(id)
    if (before !== undefined && before !== "live" && state !== before)
      found.push({ rule: "the dead stay dead", what: `daemon ${id} is ${state} after ${before}` })
    daemons.set(id, state)
  }
  return found
}

const SUBJECTS_MAX = 5

/** Everything about the first subjects, as it stands in the same snapshot. */
const rowsAbout = async (query: Query, findings: ReadonlyArray<Finding>): Promise<object> => {
  const ids = [...new Set(findings.flatMap(({ what }) => /job_\w+/.exec(what)?.[0] ?? []))].slice(0, SUBJECTS_MAX)
  return {
    jobs: await query("SELECT * FROM job WHERE id IN ({changed})", ids),
    events: await query("SELECT * FROM job_event WHERE job_id IN ({changed}) ORDER BY job_id, seq", ids),
    entries: await query("SELECT * FROM credit_entry WHERE job_id IN ({changed}) ORDER BY seq", ids),
    balances: await query("SELECT * FROM credit_balance"),
    daemons: await query("SELECT * FROM daemon")
  }
}
