/** What the commands of holds and erasures ask and show, for `Commands.test.ts`. */
import { AT } from "./samples.ts"

const JOB = "job_01m88edteyvwvs0bke63fcbzcf"
const NAMESPACE = "ns_01m88edteyvwvs0bke63fcbzcf"
const reason = "so it is"

const erasure = {
  id: "erasure_01m88edteyvwvs0bke63fcbzcf",
  namespaceId: NAMESPACE,
  jobId: JOB,
  clientTag: null,
  by: "operator/control",
  reason,
  askedAt: AT,
  erased: 2,
  refused: 0,
  doneAt: AT + 1
}
const namespace = (held: boolean) => ({
  id: NAMESPACE,
  name: "shop",
  environment: "testnet",
  rules: {
    urgent: true,
    weight: 3,
    openJobsMax: 10_000,
    retentionDays: null,
    retentionTier: "extended",
    persistPayloads: true,
    held
  },
  createdAt: AT
})

export const erasureCases = [
  {
    argv: ["jobs", "hold", JOB, "--reason", reason],
    asks: `POST /control/jobs/${JOB}/hold`,
    body: { held: true, reason },
    answer: { jobId: JOB, held: true },
    shows: [/^job_\w+ is under legal hold\.$/]
  },
  {
    argv: ["jobs", "release", NAMESPACE, "--reason", reason],
    asks: `POST /control/namespaces/${NAMESPACE}/hold`,
    body: { held: false, reason },
    answer: { namespace: namespace(false) },
    shows: [/^ns_\w+ is under no legal hold any more\.$/]
  },
  {
    argv: ["jobs", "erase", JOB, "--reason", reason],
    asks: `POST /control/jobs/${JOB}/erase`,
    body: { reason },
    answer: { erasure, stone: null },
    shows: [/^erasure_\w+: job_\w+ of ns_\w+ is erased; 2 erased, 0 refused\.$/]
  },
  {
    argv: ["jobs", "erase", JOB, "--namespace", NAMESPACE, "--reason", reason],
    asks: `POST /control/jobs/${JOB}/erase`,
    body: { namespaceId: NAMESPACE, reason },
    answer: { erasure, stone: null },
    shows: [/^erasure_\w+: job_\w+ of ns_\w+ is erased; 2 erased, 0 refused\.$/]
  },
  {
    argv: ["jobs", "erase", NAMESPACE, "--user", "customer 7", "--reason", reason],
    asks: "POST /control/erasures",
    body: { namespaceId: NAMESPACE, user: "customer 7", reason },
    answer: { erasure: { ...erasure, jobId: null, clientTag: "customer 7", doneAt: null } },
    shows: [/^erasure_\w+: user customer 7 of ns_\w+ is being erased; 2 erased, 0 refused so far/]
  },
  {
    argv: ["erasures", "list"],
    asks: "GET /control/erasures",
    answer: { data: [erasure] },
    shows: [/^ERASURE +NAMESPACE +OF/, /^erasure_\w+ +ns_\w+ +job_\w+ +2026\S+ +2 +0 +2026/]
  },
  {
    argv: ["namespaces", "amend", NAMESPACE, "--tier", "extended", "--keep-payloads", "--reason", reason],
    asks: `POST /control/namespaces/${NAMESPACE}/rules`,
    body: { rules: { retentionTier: "extended", persistPayloads: true }, reason },
    answer: { namespace: namespace(true) },
    shows: [/^ns_\w+: .*"retentionTier":"extended"/]
  }
]
