/** What the commands of snapshots and of long work ask and show, for `Commands.test.ts`. */
import { AT } from "./samples.ts"

const reason = "so it is"
const REASON = ["--reason", reason]
const WORK = "work_01m88edteyvwvs0bke63fcbzcf"
const ROOT = "bafyreifgb6wdrlo6rqbtm7blz3swwp2d5sds6wtcyicmr7d2gh2dpcka54"

export const head = {
  number: 2,
  sealed: ROOT,
  root: ROOT,
  previous: null,
  state: ROOT,
  environment: "testnet",
  at: AT,
  rows: 58,
  blocksAdded: 14,
  bytesAdded: 11_758,
  signer: "ab".repeat(32)
}

export const work = (over: object = {}) => ({
  id: WORK,
  kind: "snapshot.create",
  by: "operator/cli",
  state: "running",
  startedAt: AT,
  endedAt: null,
  progress: { done: 500, total: 2000, unit: "rows", bytes: 1_500_000 },
  perSecond: 250.4,
  leftMs: 6000,
  result: null,
  error: null,
  ...over
})

export const snapshotCases = [
  {
    argv: ["snapshot", "create", "--full", "--no-wait", ...REASON],
    asks: "POST /control/snapshots",
    body: { reason, full: true },
    answer: { work: work() },
    shows: [/^work_01\w+ runs\. How far it is: resultity works list$/]
  },
  {
    argv: ["snapshot", "prune", "--keep", "30", "--dry-run", "--no-wait", ...REASON],
    asks: "POST /control/snapshots/prune",
    body: { reason, keep: 30, dryRun: true },
    answer: { work: work({ kind: "snapshot.prune" }) },
    shows: [/^work_01\w+ runs/]
  },
  {
    argv: ["snapshot", "list", "--limit", "5"],
    asks: "GET /control/snapshots?limit=5",
    answer: { data: [head] },
    shows: [/^SNAPSHOT +AT +ENVIRONMENT +ROWS/, /^ +2 +2026-11-25T04:11:39\.042Z +testnet +58 +14 +11758 +baf/]
  },
  {
    argv: ["snapshot", "verify", "2", "--no-wait", ...REASON],
    asks: "POST /control/snapshots/2/verify",
    body: { reason },
    answer: { work: work({ kind: "snapshot.verify" }) },
    shows: [/^work_01\w+ runs/]
  },
  {
    argv: ["snapshot", "diff", "1", "2"],
    asks: "GET /control/snapshots/1/diff/2?limit=100",
    answer: {
      tables: [
        { table: "job", added: 1, removed: 0, changed: 2, blocksRead: 4 },
        { table: "audit", added: 0, removed: 0, changed: 0, blocksRead: 0 }
      ],
      changes: [{ table: "job", change: "changed", key: ["job_1", 7], columns: ["state", "owner"] }],
      more: true
    },
    shows: [/^TABLE +ADDED +REMOVED +CHANGED$/, /^job +1 +0 +2$/, /^~ job job_1 7: state, owner$/, /--limit N/]
  },
  {
    argv: ["works", "list"],
    asks: "GET /control/works",
    answer: { data: [work()] },
    shows: [/^WORK/, /^work_01\w+ +snapshot\.create +running .* 500 of about 2000 rows, 1\.5 MB, 250\/s, 6 s left/]
  },
  {
    argv: ["works", "cancel", WORK, ...REASON],
    asks: `POST /control/works/${WORK}/cancel`,
    body: { reason },
    answer: { work: work({ state: "cancelled" }) },
    shows: [/^work_01\w+ is cancelled\.$/]
  }
]
