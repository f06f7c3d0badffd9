/** What clients were told: whole texts, in order, one job a key, nothing after a definite refusal, no silent end, no unexpected failure. */
import { createHash } from "node:crypto"
import { canonicalJson } from "../../../src/schemas/CanonicalJson.ts"
import type { History, HistoryRule, Op } from "../History.ts"
import { rigAnswer } from "../RigAnswer.ts"

/** The hash that the record keeps of its output. */
export const outputHash = (texts: ReadonlyArray<string>, finishes: ReadonlyArray<string | null>): string =>
  createHash("sha256")
    .update(canonicalJson(texts.map((text, choice) => ({ choice, text, finish: finishes[choice] ?? null }))))
    .digest("hex")

/** Jobs that a node which lies had in its hands: their text is whatever it said. */
const liedJobs = ({ nodes }: History): ReadonlySet<string> =>
  new Set(nodes.flatMap((line) => (line.type === "said" && line.lied ? [line.jobId] : [])))

export const H06Truncation: HistoryRule = {
  rule: "H06 silent truncation",
  check: function* (history, ops) {
    const lied = liedJobs(history)
    for (const { id, invoke, end } of ops) {
      if (end?.type !== "ok" || end.state !== "completed" || !end.whole) continue
      if (lied.has(end.jobId)) continue
      const choices = invoke.body.n ?? 1
      for (let choice = 0; choice < choices; choice++) {
        const expected = rigAnswer(invoke.body, choice)
        const text = end.texts[choice] ?? ""
        if (text === expected.text) continue
        const how = expected.text.startsWith(text) ? "is cut" : "is another text"
        yield `${end.jobId} (operation ${id}): choice ${choice} ended as ${end.finishes[choice]} and ${how}: ${text.length} of ${expected.text.length} characters`
      }
    }
  }
}

export const H07Streams: HistoryRule = {
  rule: "H07 stream",
  check: function* (history, ops) {
    const lied = liedJobs(history)
    for (const { id, lines, end, invoke } of ops) {
      for (const line of lines)
        if (line.type === "fault" && line.rule === "stream") yield `operation ${id}: ${line.what}`
      if (end?.type !== "ok" || end.whole || lied.has(end.jobId)) continue
      for (const [choice, text] of end.texts.entries()) {
        if (!rigAnswer(invoke.body, choice).text.startsWith(text))
          yield `${end.jobId}: "${text.slice(-60)}" is no beginning of its answer`
      }
    }
  }
}

export const H08Idempotency: HistoryRule = {
  rule: "H08 idempotency",
  check: function* ({ state }, ops) {
    const stored = new Map(state.keys.map(({ namespaceId, key, jobId }) => [`${namespaceId}/${key}`, jobId]))
    const told = new Map<string, string>()
    for (const { id, invoke, accepted } of ops) {
      if (invoke.key === null) {
        if (new Set(accepted).size > 1) yield `operation ${id} without a key was told of ${accepted.join(" and ")}`
        continue
      }
      const key = `${invoke.namespaceId}/${invoke.key}`
      for (const jobId of accepted) {
        const before = told.get(key)
        if (before !== undefined && before !== jobId) yield `key ${key} named ${before}, then ${jobId}`
        told.set(key, jobId)
      }
      const named = told.get(key)
      const kept = stored.get(key)
      if (named !== undefined && kept !== undefined && kept !== named)
        yield `key ${key} named ${named}, the store says ${kept}`
    }
  }
}

export const H09Refusals: HistoryRule = {
  rule: "H09 definite refusal",
  check: function* ({ state }, ops) {
    const stored = new Set(state.keys.map(({ namespaceId, key }) => `${namespaceId}/${key}`))
    // The same key may be used again, rightly, by an operation that was accepted.
    const accepted = new Set(
      ops.flatMap(({ invoke, accepted }) => (accepted.length > 0 ? [`${invoke.namespaceId}/${invoke.key}`] : []))
    )
    for (const { id, invoke, end } of ops) {
      // A mismatch says that the key has a job already: that of the other body.
      if (end?.type !== "fail" || invoke.key === null || end.code === "idempotency_mismatch") continue
      const key = `${invoke.namespaceId}/${invoke.key}`
      if (stored.has(key) && !accepted.has(key))
        yield `operation ${id} was refused (${end.status} ${end.code}) and left a job`
    }
  }
}

/** Failures that a server may tell: each has a code and a status of its own. */
const EXPECTED_5XX = new Set([501, 503, 504])

export const H15Answers: HistoryRule = {
  rule: "H15 unexpected answer",
  check: function* (_, ops) {
    for (const { id, lines } of ops) yield* answerProblems(id, lines)
  }
}

const answerProblems = function* (id: string, lines: Op["lines"]): Iterable<string> {
  for (const line of lines) {
    if (line.type === "fault" && line.rule === "answer") yield `operation ${id}: ${line.what}`
    if (line.type !== "refused" && line.type !== "fail") continue
    if (line.status >= 500 && !EXPECTED_5XX.has(line.status))
      yield `operation ${id} was told ${line.status} ${line.code}`
    if (line.code === "") yield `operation ${id} was told ${line.status} without a code`
  }
}
