/**
 * I6: each reader sees pieces in order, without gap or repeat, wherever it reads and however often it comes back; all of them, the trace and the record
 * say the same, and a completed job says what its prompt has to be answered with, billed once.
 */
import { expectedEmbedding } from "../../../src/agent/SimulatedAnswer.ts"
import type { JobId } from "../../../src/schemas/Ids.ts"
import { isTerminal } from "../../../src/schemas/JobState.ts"
import type { TokenEvent } from "../../../src/schemas/TokenEvent.ts"
import type { Checker, ClientLog, ReaderLog, Scene } from "../support/History.ts"

export const I06: Checker = {
  name: "I06",
  atEnd: (scene) => [
    ...scene.history.clients.flatMap((client) => clientProblems(client, scene)),
    ...[...scene.state.jobs.keys()].flatMap((jobId) => recordProblems(jobId, scene))
  ]
}

const clientProblems = (client: ClientLog, scene: Scene): ReadonlyArray<string> => {
  const jobId = client.accepted[0]
  if (jobId === undefined) return []
  const trace = scene.records.traces.get(jobId)?.events ?? []
  const found = client.readers.flatMap((reader) =>
    readerProblems(reader, trace, scene.mayForget()).map((what) => `${jobId}: ${what}`)
  )
  if (scene.state.jobs.get(jobId)?.row.state === "completed" && !isLostAloud(jobId, scene)) {
    found.push(...answerProblems(client, trace).map((what) => `${jobId}: ${what}`))
  }
  return found
}

/** The store was out while the job ended, and then its daemon and its node died with what they kept: its record says that the answer is not whole. */
const isLostAloud = (jobId: JobId, { records, mayForget }: Scene): boolean => {
  const record = records.records.get(jobId)?.record
  return mayForget() && record?.completeness === "truncated" && record.truncatedReason !== null
}

const readerProblems = (
  { from, events, row, faults }: ReaderLog,
  trace: ReadonlyArray<TokenEvent>,
  mayForget: boolean
): ReadonlyArray<string> => {
  const found = [...faults]
  for (const event of events) {
    const stored = trace[event.seq - 1]
    // What was shown while no store took it, and died with its daemon and its node, was said again by another node in its own words.
    if (mayForget && (stored === undefined || wordsOf(stored) !== wordsOf(event))) continue
    if (stored === undefined) found.push(`piece ${event.seq} was shown and is not in the trace`)
    else if (wordsOf(stored) !== wordsOf(event)) found.push(`piece ${event.seq} was shown as another than in the trace`)
  }
  const due = Math.max(0, trace.length - from)
  const isRight = events.length === due || (mayForget && events.length > due)
  if (row !== null && !isRight) found.push(`a reader from ${from} saw ${events.length} of ${due} pieces`)
  return found
}

const answerProblems = ({ request, expected }: ClientLog, trace: ReadonlyArray<TokenEvent>): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (let choice = 0; choice < request.choices; choice++) {
    const pieces = trace.filter((event) => event.choice === choice)
    if (request.endpoint === "embeddings") {
      const vector = JSON.stringify(pieces.map(({ extra }) => extra?.["embedding"]))
      if (vector !== JSON.stringify([expectedEmbedding(request.body, choice)]))
        found.push(`vector ${choice} is not its input's`)
      continue
    }
    const text = pieces.map((event) => event.text).join("")
    if (text !== expected[choice]) found.push(`choice ${choice} is "${text}" and should be "${expected[choice]}"`)
  }
  return found
}

/** What stands in the record is what was streamed, and the row, the record and the trace count the same. */
const recordProblems = (jobId: JobId, { state, records, leavesRecordsOpen }: Scene): ReadonlyArray<string> => {
  const row = state.jobs.get(jobId)?.row
  const record = records.records.get(jobId)?.record
  const trace = records.traces.get(jobId)?.events ?? []
  if (row === undefined || !isTerminal(row.state)) return []
  const found: Array<string> = []
  const say = (what: string) => void found.push(`${jobId} (${row.state}, ${row.errorCode}): ${what}`)
  for (const [at, { seq }] of trace.entries()) if (seq !== at + 1) say(`the trace has ${seq} at ${at + 1}`)
  if (record === undefined) {
    // Of a job that never ran, whose document never came, there is nothing to keep.
    if (row.attempt > 0 && row.errorCode !== "record_missing") say("there is no record")
    return found
  }
  if (record.completeness === "open" && leavesRecordsOpen) return found
  if (record.completeness === "open") say("its record is still open")
  if (record.state !== row.state) say(`its record says ${record.state}`)
  if (row.state === "completed" && record.completeness === "complete") {
    const said = trace.map(({ text }) => text).join("").length
    const kept = record.output?.choices.reduce((sum, { text }) => sum + (text ?? "").length, 0) ?? 0
    if (said !== kept) say(`its record has ${kept} characters, its trace ${said}`)
    if (record.cost !== row.charged) say(`its record says it cost ${record.cost}, it was charged ${row.charged}`)
  }
  if (row.state === "completed" && record.completeness !== "complete" && record.truncatedReason === null)
    say("truncated for no reason")
  return found
}

const wordsOf = ({ choice, text, finish }: TokenEvent): string => JSON.stringify([choice, text, finish ?? null])
