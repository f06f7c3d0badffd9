/** What `logs` and `stats` ask and show, for `Commands.test.ts`. */
import { AT, JOB, NODE, NS } from "./samples.ts"

const even = { p50: 12, p95: 99, p99: 101 }

export const recordCases = [
  {
    argv: ["logs", "--namespace", NS, "--type", "anomaly", "--from", "2026-11-25", "--limit", "5"],
    asks: `GET /control/logs?namespace=${NS}&type=anomaly&from=2026-11-25&limit=5`,
    answer: {
      data: [
        {
          at: AT,
          type: "anomaly",
          code: "node_cooldown",
          jobId: JOB,
          nodeId: NODE,
          namespaceId: NS,
          data: { cooldownMs: 30_000 }
        }
      ],
      nextCursor: null
    },
    shows: [
      /^AT +TYPE +CODE/,
      /^2026-11-25T04:11:39\.\d+Z +anomaly +node_cooldown +job_\w+ +0x\w+ +ns_\w+ +\{"cooldownMs":30000\}$/
    ]
  },
  {
    argv: ["stats", "--by", "model,day", "--from", "2026-11-25", "--namespace", NS],
    asks: `GET /control/stats?group_by=model%2Cday&namespace=${NS}&from=2026-11-25`,
    answer: {
      groupBy: ["model", "day"],
      from: 0,
      to: 1,
      data: [
        {
          group: { model: "tiny", day: "2026-11-25" },
          jobs: 5,
          completed: 3,
          failed: 1,
          errorRate: 0.25,
          promptTokens: 6,
          outputTokens: 8,
          cost: "0.5",
          queueMs: even,
          firstTokenMs: null,
          totalMs: even
        }
      ]
    },
    shows: [/^MODEL +DAY +JOBS/, /^tiny +2026-11-25 +5 +3 +1 +25\.0% +6\+8 +0\.5 +12\/99\/101 +- +12\/99\/101$/]
  }
]
