/**
 * Every figure that the runtime reports, as constants: one name, one meaning, each with a row in docs/operations/metrics.md.
 * Attributes stay few and bounded (model, endpoint, state, code): never a job, a key or a namespace.
 */
import * as Metric from "effect/Metric"

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })
const BUCKETS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000]
const histogramMs = (name: string, description: string) =>
  Metric.histogram(name, { description, boundaries: BUCKETS_MS })

export const jobsAdmitted = counter("resultity_jobs_admitted_total", "Jobs accepted, by endpoint")
export const jobsFinished = counter("resultity_jobs_finished_total", "Jobs ended, by state")
export const refusals = counter("resultity_refusals_total", "Requests refused, by code")
export const attemptsFailed = counter(
  "resultity_attempts_failed_total",
  "Attempts that ended without a result, by code"
)
export const handovers = counter("resultity_handovers_total", "Running jobs that went on at another node")
export const adoptions = counter(
  "resultity_adoptions_total",
  "Attempts taken over after the death of their actor or daemon"
)
export const tokens = counter("resultity_output_tokens_total", "Output tokens counted")
export const repairs = counter("resultity_repairs_total", "Messages published again by a repair sweep")
export const slotsRecovered = counter(
  "resultity_slots_recovered_total",
  "Leased slots that nothing used, freed at a heartbeat of their node"
)
export const messagesUnreadable = counter("resultity_messages_unreadable_total", "Messages that are no envelopes")
export const subscribersCut = counter("resultity_subscribers_cut_total", "Readers cut off because they fell behind")
export const notices = counter("resultity_notices_total", "Attempts to deliver a notice to a webhook, by outcome")
export const works = counter("resultity_works_total", "Long works that are over, by kind and state")
export const rollupEntries = counter(
  "resultity_rollup_entries_total",
  "Ledger entries taken into rollups, by definition"
)
export const rollupsClosedUntil = Metric.gauge("resultity_rollups_closed_until_seconds", {
  description: "Epoch seconds up to which every rollup is closed"
})
export const episodes = counter(
  "resultity_episodes_total",
  "Episodes that detectors opened or closed, by type and change"
)
export const receipts = counter("resultity_receipts_total", "Receipts made by the sweeper")
export const rootsClosed = counter("resultity_roots_closed_total", "Hours closed with a signed Merkle root")
export const trials = counter("resultity_trials_total", "Trials of nodes that ended, by kind and outcome")
export const answerFaults = counter("resultity_answer_faults_total", "Checks of answers that did not hold, by check")
export const quarantines = counter("resultity_quarantines_total", "Quarantines of nodes by rule, by change")
export const nodesConnected = Metric.gauge("resultity_nodes_connected", {
  description: "Sessions of nodes in this daemon"
})
export const jobsActive = Metric.gauge("resultity_jobs_active", { description: "Job actors in this daemon" })
export const queueMs = histogramMs("resultity_queue_ms", "Milliseconds from acceptance to the first lease")
export const firstTokenMs = histogramMs("resultity_first_token_ms", "Milliseconds from acceptance to the first token")
export const totalMs = histogramMs("resultity_job_ms", "Milliseconds from acceptance to the end")
