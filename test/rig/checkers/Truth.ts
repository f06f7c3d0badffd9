/** Records are whole and say what the row says, nodes are told one thing only, and no namespace, log or operator sees what is another's. */
import { isTerminal } from "../../../src/schemas/JobState.ts"
import type { HistoryRule, StoredJob, StoredRecord } from "../History.ts"
import { CANARY } from "../RigAnswer.ts"
import { outputHash } from "./Answers.ts"
import { micro } from "../Amounts.ts"

export const H10Records: HistoryRule = {
  rule: "H10 record",
  check: function* ({ state, records }, ops) {
    const told = new Map(ops.flatMap(({ end }) => (end?.type === "ok" ? [[end.jobId, end] as const] : [])))
    for (const job of state.jobs) {
      if (!isTerminal(job.state)) continue
      const record = records.get(job.id)
      if (record === undefined || record === null) {
        // Of a job whose document never came there is nothing to keep.
        if (job.attempt > 0 && job.errorCode !== "record_missing") yield `${job.id} (${job.state}) has no record`
        continue
      }
      yield* recordProblems(job, record)
      const end = told.get(job.id)
      if (end === undefined || !end.whole || end.state !== "completed" || record.outputSha256 === null) continue
      if (outputHash(end.texts, end.finishes) !== record.outputSha256)
        yield `${job.id}: its client holds another text than its record`
    }
  }
}

const recordProblems = function* (job: StoredJob, record: StoredRecord): Iterable<string> {
  const said = `${job.id} (${job.state}, ${job.errorCode})`
  if (record.completeness === "open") return yield `${said} has a record that is open`
  if (record.state !== job.state) yield `${said}: its record says ${record.state}`
  if (record.completeness === "truncated" && record.truncatedReason === null) yield `${said} is truncated for no reason`
  if (job.state !== "completed" || record.completeness !== "complete") return
  if (record.outputSha256 === null) yield `${said} is complete without an output`
  if (record.cost === null || micro(record.cost) !== job.charged)
    yield `${said}: its record says it cost ${record.cost}, it was charged ${job.charged}`
  if (record.outputTokens !== job.outputTokens)
    yield `${said}: its record has ${record.outputTokens} tokens, its row ${job.outputTokens}`
}

export const H11Isolation: HistoryRule = {
  rule: "H11 isolation",
  check: function* ({ canaries }, ops) {
    const everywhere = new RegExp(CANARY.source, "g")
    for (const { id, invoke, end, lines } of ops) {
      for (const line of lines) {
        if (line.type === "probe" && line.status !== line.expected && line.status < 500)
          yield `operation ${id}: ${line.what} was answered with ${line.status}`
      }
      if (end?.type !== "ok") continue
      for (const text of end.texts) {
        for (const [found] of text.matchAll(everywhere)) {
          if (found !== canaries.get(invoke.namespaceId))
            yield `operation ${id} of ${invoke.namespaceId} was shown ${found}`
        }
      }
    }
  }
}

export const H12Privacy: HistoryRule = {
  rule: "H12 text outside of the records",
  check: ({ leaks }) => leaks
}

export const H13Nodes: HistoryRule = {
  rule: "H13 nodes",
  check: function* ({ nodes, state }) {
    const jobs = new Map(state.jobs.map((job) => [job.id, job]))
    const slots = new Map<string, number>()
    const accepted = new Map<string, number>()
    for (const line of nodes) {
      if (line.type === "born") slots.set(line.node, line.slots)
      if (line.type === "began" && line.running > (slots.get(line.node) ?? 0))
        yield `node ${line.node} runs ${line.running} attempts in ${slots.get(line.node)} slots`
      if (line.type !== "settled" || line.status !== "accepted") continue
      const job = jobs.get(line.jobId)
      // A daemon's test of a node is no job.
      if (job === undefined) continue
      const before = accepted.get(line.jobId)
      if (before !== undefined && before !== line.attempt)
        yield `${line.jobId}: the results of attempts ${before} and ${line.attempt} were both accepted`
      accepted.set(line.jobId, line.attempt)
      if (!isTerminal(job.state)) yield `${line.jobId}: a result was acknowledged, and the job is ${job.state}`
    }
  }
}
