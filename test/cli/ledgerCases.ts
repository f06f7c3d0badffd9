/** The commands of the ledger and its rollups, each with what it asks for and what it shows. */
const NS = "ns_01m88edv52zrbmvhhrps9e5kzy"
const SEGMENT = `seg_${"0123456789abcdef".repeat(2)}`
const AT = Date.UTC(2026, 10, 1)

const totals = { granted: "1000.5", available: "900", reserved: "0.5", spent: "100" }

export const entry = (seq: number, kind: string, amount: string, jobId: string | null) => ({
  seq,
  namespaceId: NS,
  kind,
  amount,
  jobId,
  reference: jobId === null ? "invoice-1" : null,
  at: AT + seq
})

export const invoice = {
  namespaceId: NS,
  from: AT,
  to: Date.UTC(2026, 11, 1),
  opening: { available: "10", reserved: "0.5" },
  closing: { available: "109.3", reserved: "0" },
  granted: "100",
  reserved: "2.5",
  refunded: "1.3",
  charged: "1.2",
  models: [{ model: "sim-small", jobs: 12, promptTokens: 300, outputTokens: 450, cost: "1.2" }],
  entries: { firstSeq: 4, lastSeq: 41 },
  preliminary: false
}

export const rollups = {
  closedUntil: { credits: AT, jobs: AT, accounts: AT - 3_600_000 },
  waiting: { credits: 12, jobs: 3 },
  data: [
    { day: "2026-10-30", state: "archived", rows: 70, segments: [SEGMENT] },
    { day: "2026-10-31", state: "closed", rows: 74, segments: [] }
  ]
}

export const ledgerCases = [
  {
    argv: ["ledger", "audit"],
    asks: "GET /control/ledger/audit",
    answer: { ok: true, namespaces: 1234, totals, findings: [] },
    shows: [/^ledger ok: 1,234 namespaces, granted 1000\.5 = available 900 \+ reserved 0\.5 \+ spent 100$/]
  },
  {
    argv: ["ledger", "show", NS],
    asks: `GET /control/namespaces/${NS}/entries?after=0&limit=1000`,
    answer: {
      data: [
        entry(1, "grant", "10", null),
        entry(2, "reserve", "2.5", "job_1"),
        entry(3, "settle", "1", "job_1"),
        entry(4, "refund", "1.5", "job_1")
      ],
      next: null
    },
    shows: [
      /^ENTRY/,
      /1 +2026\S+ +grant +10 +10 +0 +0 +invoice-1$/,
      /2 +2026\S+ +reserve +2\.5 +7\.5 +2\.5 +0 +job_1$/,
      /3 +2026\S+ +settle +1 +7\.5 +1\.5 +1 +job_1$/,
      /4 +2026\S+ +refund +1\.5 +9 +0 +1 +job_1$/
    ]
  },
  {
    argv: ["invoice", "--namespace", NS, "--from", "2026-11-01", "--to", "2026-12-01"],
    asks: `GET /control/namespaces/${NS}/invoice?from=${AT}&to=${Date.UTC(2026, 11, 1)}`,
    answer: { invoice, reconciled: true },
    shows: [
      /^opening +10\.5 \(0\.5 reserved\)$/,
      /^granted +100$/,
      /^charged +1\.2$/,
      /^closing +109\.3 \(0 reserved\)$/,
      /^refunded +1\.3 of 2\.5 set aside$/,
      /^standing +agrees with the ledger, entry by entry$/,
      /^MODEL +JOBS/,
      /^sim-small +12 +300 +450 +1\.2$/
    ]
  },
  {
    argv: ["rollups", "list", "--from", "2026-10-30"],
    asks: "GET /control/rollups?from=2026-10-30",
    answer: rollups,
    shows: [
      /^credits +closed until 2026-11-01T00:00:00\.000Z, 12 to take$/,
      /^accounts +closed until 2026-10-31T23:00:00\.000Z$/,
      /^DAY/,
      /^2026-10-30 +archived +70 +seg_\w+$/,
      /^2026-10-31 +closed +74 +-$/
    ]
  },
  {
    argv: ["rollups", "archive", "--before", "2026-11-01", "--reason", "so it is"],
    asks: "POST /control/rollups/archive",
    body: { before: "2026-11-01", reason: "so it is" },
    answer: { data: [{ day: "2026-10-31", rows: 74, segments: [SEGMENT] }], more: false },
    shows: [/^2026-10-31: 74 rows in seg_\w+$/, /^1 day archived\.$/]
  },
  {
    argv: ["rollups", "restore", "2026-10-30", "--reason", "so it is"],
    asks: "POST /control/rollups/2026-10-30/restore",
    body: { reason: "so it is" },
    answer: { day: "2026-10-30", rows: 70, segments: [SEGMENT] },
    shows: [/^2026-10-30 is back: 70 rows, the same as before\.$/]
  }
] as const
