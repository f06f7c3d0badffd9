/** What the commands of quality ask and show, for `Commands.test.ts`. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { AT, NODE } from "./samples.ts"

const folder = mkdtempSync(join(tmpdir(), "quality-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const draft = {
  id: "sums",
  endpoint: "chat",
  models: "*",
  prompts: [{ id: "two", text: "What is 1 + 1?", tokensMin: 8, expect: [{ kind: "contains", all: ["2"] }] }]
}
const file = join(folder, "sums.json")
writeFileSync(file, JSON.stringify(draft))

const line = {
  id: "sums",
  version: 2,
  endpoint: "chat",
  models: "*",
  prompts: 1,
  sha256: "ab",
  by: "operator/kim",
  reason: "harder",
  at: AT
}
const interval = { samples: 12.5, rate: 0.9, low: 0.7, high: 0.98 }

export const qualityCases = [
  {
    argv: ["quality", "sets", "add", file, "--reason", "harder"],
    asks: "POST /control/quality/sets",
    body: { ...draft, reason: "harder" },
    answer: { set: line, added: true },
    shows: [/^sums is version 2 now, with 1 prompt\.$/]
  },
  {
    argv: ["quality", "sets", "add", file],
    asks: "POST /control/quality/sets",
    body: { ...draft, reason: "by resultity CLI" },
    answer: { set: line, added: false },
    shows: [/^sums says this already since version 2; nothing changed\.$/]
  },
  {
    argv: ["quality", "sets", "list"],
    asks: "GET /control/quality/sets",
    answer: { data: [line] },
    shows: [/^SET +VERSION/, /^sums +2 +chat +\* +1 +2026-11-25T04:11:39\.042Z +operator\/kim +harder$/]
  },
  {
    argv: ["quality", "sets", "show", "sums", "--version", "2"],
    asks: "GET /control/quality/sets/sums?version=2",
    answer: { set: { ...line, prompts: draft.prompts }, versions: [line] },
    shows: [/^set +sums$/, /^two: What is 1 \+ 1\?$/, /^ {2}expects .*"contains"/, /^SET +VERSION/]
  },
  {
    argv: ["quality", "scores", "--node", NODE.toUpperCase().replace("0X", "0x"), "--limit", "5"],
    asks: `GET /control/quality/scores?node=${NODE}&limit=5`,
    answer: {
      data: [
        {
          nodeId: NODE,
          model: "m",
          rev: 2,
          scoredRev: 2,
          score: { trials: interval, checks: null, faults: { pace: 3 }, at: AT }
        }
      ]
    },
    shows: [/^NODE +MODEL +TRIALS PASSED/, /^0x\w+ +m +0\.900 \(0\.700-0\.980\) of 12\.5 +- +pace 3 +2026-/]
  },
  {
    argv: ["quality", "trials", "--kind", "blind", "--state", "failed", "--set", "sums"],
    asks: "GET /control/quality/trials?kind=blind&state=failed&set=sums",
    answer: {
      data: [
        {
          id: "trial_a",
          kind: "blind",
          state: "failed",
          nodeId: NODE,
          model: "m",
          setId: "sums",
          setVersion: 2,
          promptId: "two",
          jobId: "job_a",
          plannedAt: AT,
          score: 0,
          code: null
        }
      ]
    },
    shows: [/^PLANNED +KIND/, /^2026\S+ +blind +failed +0\.000 +sums@2\/two +0x\w+ +m +job_a$/]
  },
  {
    argv: ["nodes", "jobs", NODE, "--limit", "2"],
    asks: `GET /control/nodes/${NODE}/jobs?limit=2`,
    answer: {
      data: [
        {
          jobId: "job_a",
          endpoint: "chat",
          model: "m",
          state: "completed",
          errorCode: null,
          createdAt: AT,
          finishedAt: AT,
          promptTokens: 9,
          outputTokens: 12,
          cost: "0.000045",
          totalMs: 80
        }
      ]
    },
    shows: [/^JOB +CREATED/, /^job_a +2026\S+ +completed +chat +m +9\+12 +0\.000045 +80$/]
  }
]
