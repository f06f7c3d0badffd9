/**
 * Rows of a whole deciding store, as every back end has to take them: a few payers, nodes and daemons, any number of jobs with their events and
 * entries. The same seed gives the same rows, and sums are right, so that a ledger over them audits clean.
 */
import { canonicalJson } from "../../src/schemas/CanonicalJson.ts"
import { type StateRow, type StateTable, STATE, tableNamed } from "../../src/schemas/StateTable.ts"

export type StateSample = ReadonlyMap<string, ReadonlyArray<StateRow>>

export interface SampleSize {
  readonly namespaces: number
  readonly jobs: number
  /** Of the other environment than `testnet`. */
  readonly mainnet?: number
  readonly seed?: number
}

const T0 = 1_780_000_000_000
const LARGE = 2n ** 61n + 1n
const HEX = "0123456789abcdef"

const id = (prefix: string, n: number, seed: number) =>
  `${prefix}_${seed.toString(36)}s${n.toString(36).padStart(8, "0")}`
const address = (n: number) => `0x${HEX.charAt(n % 16).repeat(32)}${n.toString(16).padStart(8, "0")}`
const said = (text: string) => JSON.stringify(text)
const json = (value: object) => canonicalJson(JSON.parse(JSON.stringify(value)))

/** What is awkward in text: quotes, signs before the quote in order, astral signs, control characters. */
const NAMES = ["a", "a b", 'a"b', "a!", "é\u{1f600}", "tab\there", "\u007f\u2028", "z"]

const STATES = ["completed", "failed", "queued", "active"] as const

export const jobRow = (n: number, size: SampleSize): StateRow => {
  const { seed = 1, namespaces } = size
  const state = STATES[n % 4] ?? "queued"
  const ended = state === "completed" || state === "failed"
  const lane = { environment: "testnet", subcloud: "global", model: `model ${n % 3}`, priority: "normal" }
  const facts = {
    id: id("job", n, seed),
    namespaceId: id("ns", n % namespaces, seed),
    environment: "testnet",
    model: lane.model,
    clientTag: NAMES[n % NAMES.length],
    keyId: "key_1",
    quote: { version: 1, perPromptToken: "1" },
    reserved: "100"
  }
  return [
    facts.id,
    facts.namespaceId,
    json(facts),
    json(lane),
    100,
    T0 + n,
    T0 + n + 60_000,
    state,
    state === "active" ? id("daemon", 0, seed) : null,
    state === "queued" ? 0 : 1,
    state === "queued" ? 0 : 1,
    0,
    0,
    state === "queued" ? null : address(n % 5),
    T0 + n,
    ended ? 12 : 0,
    state === "completed" ? 34 : 0,
    state === "completed" ? 60 : 0,
    state === "failed" ? "node_lost" : null,
    ended ? T0 + n + 500 : null,
    ended ? 3 : state === "active" ? 2 : 1
  ]
}

const eventsOf = (n: number, { seed = 1 }: SampleSize): ReadonlyArray<StateRow> => {
  const [job, daemon, node] = [id("job", n, seed), id("daemon", 0, seed), address(n % 5)]
  const state = STATES[n % 4] ?? "queued"
  const admitted: StateRow = [job, 1, "admitted", null, "queued", 0, 0, null, null, null, T0 + n]
  if (state === "queued") return [admitted]
  const claimed: StateRow = [job, 2, "claimed", "queued", "active", 1, 1, daemon, node, null, T0 + n + 1]
  if (state === "active") return [admitted, claimed]
  return [admitted, claimed, [job, 3, "finished", "active", state, 1, 1, daemon, node, null, T0 + n + 500]]
}

interface Purse {
  granted: bigint
  reserved: bigint
  spent: bigint
  open: number
}

const credits = (size: SampleSize) => {
  const { seed = 1, namespaces, jobs } = size
  const purses = new Map<string, Purse>()
  const entries: Array<StateRow> = []
  const put = (payer: string, kind: string, amount: bigint | number, job: string | null, reference: string | null) =>
    void entries.push([payer, entries.length + 1, kind, amount, job, reference, T0 + entries.length])
  for (let n = 0; n < namespaces; n++) {
    const payer = id("ns", n, seed)
    const granted = n === 0 ? LARGE : 1_000_000n
    purses.set(payer, { granted, reserved: 0n, spent: 0n, open: 0 })
    put(payer, "grant", n === 0 ? granted : Number(granted), null, "first")
  }
  // Of a job whose row has left.
  const [first, left] = [id("ns", 0, seed), id("gone", 0, seed)]
  put(first, "reserve", 100, left, null)
  put(first, "settle", 100, left, null)
  purses.get(first)!.spent += 100n
  for (let n = 0; n < jobs; n++) {
    const [job, payer] = [id("job", n, seed), id("ns", n % namespaces, seed)]
    const purse = purses.get(payer) ?? { granted: 0n, reserved: 0n, spent: 0n, open: 0 }
    put(payer, "reserve", 100, job, null)
    if (n % 4 > 1) {
      purse.reserved += 100n
      purse.open++
      continue
    }
    const charged = n % 4 === 0 ? 60 : 0
    put(payer, "settle", charged, job, null)
    put(payer, "refund", 100 - charged, job, null)
    purse.spent += BigInt(charged)
  }
  return { purses, entries }
}

const exact = (value: bigint) => (value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value)

const HOUR = 3_600_000

/** One hour of all payers; amounts are decimal text, also those beyond 64 bits. */
const rollups = ({ seed = 1 }: SampleSize, purses: ReadonlyMap<string, Purse>): ReadonlyArray<Rows> => {
  const period = Math.floor(T0 / HOUR) * HOUR
  const huge = String(2n ** 70n)
  const of = ({ granted, reserved, spent }: Purse) => [granted, granted - reserved - spent, reserved, spent].map(String)
  return [
    ["rollup_progress", ["credits", "jobs", "accounts"].map((name, n) => [name, period + n * HOUR])],
    ["rollup_place", [...purses].map(([payer, purse], n) => [payer, n + 3, n + 1, period, ...of(purse), purse.open])],
    [
      "rollup_credits",
      [...purses].map(([payer, purse]) => [period, payer, 1, 4, 2, 1, huge, "200", "60", "0", ...of(purse), purse.open])
    ],
    [
      "rollup_jobs",
      ["completed", "failed"].map((state, n) => [
        period,
        `key ${n}`,
        "testnet",
        id("ns", 0, seed),
        `${NAMES[4]} ${n}`,
        "sync",
        state,
        7,
        12,
        34,
        huge,
        900,
        6,
        50
      ])
    ],
    [
      "rollup_accounts",
      ["testnet", "mainnet"].map((environment) => [period, environment, 2, 3, 1, huge, huge, "0", "0"])
    ],
    ["rollup_day", [[Math.floor(T0 / (24 * HOUR)) * 24 * HOUR - 24 * HOUR, json([id("segment", 1, seed)]), 12, T0]]]
  ]
}

const erasures = ({ seed = 1, jobs }: SampleSize): ReadonlyArray<Rows> => [
  [
    "erasure",
    NAMES.map((name, n) => [
      id("erasure", n, seed),
      id("ns", 0, seed),
      n === 0 ? id("job", 0, seed) : null,
      n === 0 ? null : said(name),
      said("me"),
      said(name),
      T0 + n,
      n === 1 ? id("job", 3, seed) : null,
      n,
      1,
      n === 1 ? null : T0 + n + 5
    ])
  ],
  [
    "erasure_stone",
    Array.from({ length: Math.min(jobs, 3) }, (_, n) => [
      id("job", n, seed),
      json({ jobId: id("job", n, seed), sha256: "e".repeat(64), erasedAt: T0 + n })
    ])
  ]
]

const receipts = ({ seed = 1, jobs }: SampleSize): ReadonlyArray<Rows> => {
  const hour = Math.floor(T0 / HOUR) * HOUR
  const hash = (n: number) => n.toString(16).padStart(64, "0")
  return [
    ["network_key", [["nk_1", hash(seed), T0]]],
    [
      "receipt_leaf",
      Array.from({ length: jobs }, (_, n) => [id("job", n, seed), hour + (n % 3) * HOUR, hash(n), hash(n + 1)])
    ],
    ["receipt_block", [0, 1, 2].map((n) => [hour, n, id("job", n, seed), hash(n)])],
    ["receipt_root", [1, 2, 3].map((n) => [n, hour + n * HOUR, json({ statement: { number: n, root: hash(n) } })])]
  ]
}

type Rows = readonly [table: string, rows: ReadonlyArray<StateRow>]

/** Of every table of the state some rows, in no order. */
export const aState = (size: SampleSize): StateSample => {
  const { seed = 1, namespaces, jobs, mainnet = 0 } = size
  const { purses, entries } = credits(size)
  const many = (count: number, row: (n: number) => StateRow) => Array.from({ length: count }, (_, n) => row(n))
  const rules = json({ retentionDays: 30, openJobsMax: 10, nested: { b: 1, a: [1.5, null, "ü"] } })
  const where = (n: number) => (n >= namespaces - mainnet ? "mainnet" : "testnet")
  return new Map<string, ReadonlyArray<StateRow>>([
    [
      "namespace",
      many(namespaces, (n) => [id("ns", n, seed), said(`${NAMES[n % NAMES.length]} ${n}`), where(n), rules, T0 + n])
    ],
    [
      "api_key",
      many(namespaces, (n) => [
        id("key", n, seed),
        id("ns", n, seed),
        (n + seed * 4096).toString(16).padStart(64, "0"),
        said(NAMES[n % NAMES.length] ?? ""),
        said("rsk-abc"),
        n + 1,
        T0 + n,
        n % 2 === 0 ? null : T0,
        null
      ])
    ],
    [
      "credit_balance",
      [...purses].map(([payer, { granted, reserved, spent, open }]) => [
        payer,
        exact(granted),
        exact(granted - reserved - spent),
        exact(reserved),
        exact(spent),
        open
      ])
    ],
    ["daemon", many(2, (n) => [id("daemon", n, seed), T0 + n, n === 0 ? "live" : "dead"])],
    [
      "node",
      many(5, (n) => [address(n), "testnet", json({ models: ["m"], gpu: NAMES[n] }), "active", n + 1, T0, T0 + n])
    ],
    [
      "node_restriction",
      many(3, (n) => [address(n), n === 1 ? "frozen" : "paused", said(NAMES[n] ?? ""), said("me"), T0, null])
    ],
    [
      "node_restriction_history",
      many(4, (n) => [
        n + 1,
        address(n),
        "paused",
        n % 2 === 0 ? "set" : "lifted",
        said(NAMES[n] ?? ""),
        said("me"),
        null,
        T0 + n
      ])
    ],
    ["model", NAMES.map((name, n) => ["testnet", said(name), json(["chat", "embeddings"].slice(n % 2)), T0 + n])],
    [
      "config_version",
      many(3, (n) => [n + 1, `digest${n}`, json({ n, prices: {} }), said("me"), said(NAMES[n] ?? ""), T0 + n])
    ],
    [
      "audit",
      many(20, (n) => [
        n + 1,
        said("operator/me"),
        said("x.y"),
        said(NAMES[n % 8] ?? ""),
        said("why"),
        json({ n }),
        T0 + n,
        "f".repeat(64)
      ])
    ],
    ["sweeper_state", [["retention", 3, json({ at: 5 }), 17]]],
    ["job", many(jobs, (n) => jobRow(n, size))],
    ["job_event", Array.from({ length: jobs }, (_, n) => eventsOf(n, size)).flat()],
    ["job_leaving", many(Math.min(jobs, 2), (n) => [id("job", n, seed), `seg_${"0a".repeat(16)}`])],
    ["credit_entry", entries],
    [
      "idempotency_key",
      many(Math.min(jobs, 7), (n) => [id("ns", n % namespaces, seed), `key ${n}`, "hash", id("job", n, seed), T0 + n])
    ],
    ...rollups(size, purses),
    ...erasures(size),
    ...receipts(size)
  ])
}

export const rowsOf = (sample: StateSample, table: StateTable): ReadonlyArray<StateRow> => sample.get(table.name) ?? []

/** In the order of `STATE`, as a fill takes them. */
export const fillingsOf = (sample: StateSample) => STATE.map((table) => ({ table, rows: rowsOf(sample, table) }))

export const stateTableNamed = (name: string): StateTable => {
  const table = tableNamed(name)
  if (table === undefined) throw new Error(`there is no table ${name}`)
  return table
}
