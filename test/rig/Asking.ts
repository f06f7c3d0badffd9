/** What a client's operation is made of, and what asking once can come to. */
import type { Dice } from "../chaos/support/Dice.ts"
import type { ChatBody } from "../support/Texts.ts"
import { beginReading, type Ended, type Note, type Reading } from "./ClientReading.ts"
import { JOB_ENDS, type Place, type Problem, problemOf } from "./ClientWire.ts"
import type { OpKind } from "./History.ts"

export interface Customer {
  readonly namespaceId: string
  readonly secret: string
  readonly canary: string
}

export interface OpOptions {
  readonly id: string
  readonly kind: OpKind
  readonly body: ChatBody
  readonly key: string | null
  readonly customer: Customer
  readonly stranger: Customer
  readonly anywhere: () => Place
  readonly dice: Dice
  readonly write: (line: Record<string, unknown>) => void
}

/** Bounds of one request: to a stream's next sign of life, and to an answer that is waited for. */
export const SILENCE_MS = 17_000
export const ASK_MS = 45_000

/** `whole`: an answer in one body or a stream that said so itself. */
export interface Outcome {
  readonly jobId: string
  readonly reading: Reading
  readonly whole: boolean
  readonly ended: Ended | null
}

export type Answer =
  | { readonly _tag: "job"; readonly outcome: Outcome }
  | { readonly _tag: "refused"; readonly problem: Problem }
  | { readonly _tag: "unknown" }

export type Way = (options: OpOptions, place: Place, note: Note) => Promise<Answer>

export const headersOf = ({ key }: OpOptions): Readonly<Record<string, string>> =>
  key === null ? {} : { "idempotency-key": key }

export const accepted = ({ write }: OpOptions, place: Place, jobId: string, from: number): void =>
  write({ type: "accepted", daemon: place.name, jobId, tookMs: Date.now() - from })

/** A refusal, or the end of a job told as one. */
export const refusedOr = async (
  options: OpOptions,
  response: Response,
  place: Place,
  from: number
): Promise<Answer> => {
  const problem = await problemOf(response)
  if (!JOB_ENDS.has(problem.code) || problem.jobId === null) return { _tag: "refused", problem }
  accepted(options, place, problem.jobId, from)
  return { _tag: "job", outcome: { jobId: problem.jobId, reading: beginReading(), whole: false, ended: null } }
}

export interface Whole {
  readonly choices: ReadonlyArray<{
    readonly index: number
    readonly message: { readonly content: string | null }
    readonly finish_reason: string
  }>
}

export const readWhole = (answer: Whole): Reading => {
  const reading = { ...beginReading(), firstAt: Date.now() }
  for (const { index, message, finish_reason: finish } of answer.choices) {
    reading.texts[index] = message.content ?? ""
    reading.finishes[index] = finish
  }
  return reading
}
