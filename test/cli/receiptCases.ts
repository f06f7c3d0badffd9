/** What the commands of receipts ask and show, for `Commands.test.ts`. */
import { fileBy } from "../support/aReceipt.ts"
import { AT, JOB } from "./samples.ts"

const hash = "ab".repeat(32)
const { root } = fileBy().inclusion!

export const receiptCases = [
  {
    argv: ["receipt", "audit", JOB],
    asks: `GET /control/jobs/${JOB}/receipt/audit`,
    answer: { jobId: JOB, hash, differs: [], event: null },
    shows: [/^job_\w+ is stored as its receipt (ab)+ says\.$/]
  },
  {
    argv: ["receipt", "roots", "--after", "6"],
    asks: "GET /control/roots?after=6",
    answer: { object: "list", data: [root] },
    shows: [/^NUMBER +HOUR/, /^ +7 +2026-11-30T10:00 +5 +[0-9a-f]{64} +nk_/]
  },
  {
    argv: ["receipt", "keys"],
    asks: "GET /control/network-keys",
    answer: { data: [{ id: "nk_1", publicKey: hash, since: AT, daemons: 2 }] },
    shows: [/^KEY/, /^nk_1 +(ab)+ +2026-11-25T04:11:39\.042Z +2$/]
  }
]
