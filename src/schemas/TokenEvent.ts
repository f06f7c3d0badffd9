/**
 * One numbered piece of output. `seq` counts from 1 within the job, over all attempts, without a gap:
 * a client resumes by it, a node repeats by it, and two pieces with one number are the same piece.
 */
import * as Schema from "effect/Schema"

export const FinishReason = Schema.Literals(["stop", "length", "tool_calls", "content_filter", "function_call"])
export type FinishReason = typeof FinishReason.Type

export const TokenEvent = Schema.Struct({
  seq: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)),
  /** Which of the `n` answers, or which input of an embeddings job. */
  choice: Schema.Natural,
  /** Text to append; may be empty when `extra` or `finish` carries the news. */
  text: Schema.String,
  /** Other fields of the runtime's delta (tool_calls, reasoning_content, logprobs, embedding), passed through. */
  extra: Schema.optionalKey(Schema.Record(Schema.String, Schema.Json)),
  finish: Schema.optionalKey(FinishReason),
  /** Milliseconds since the attempt was assigned, by the server's clock. */
  offsetMs: Schema.Natural
})
export type TokenEvent = typeof TokenEvent.Type

/** What one choice has said so far. */
export interface ChoiceText {
  readonly choice: number
  readonly text: string
  /** Set when it has said its last piece: whoever goes on says no more of it. */
  readonly finished?: true
}

/** The text of each choice, in the order of their numbers: what another node goes on from. */
export const textByChoice = (
  events: Iterable<Pick<TokenEvent, "choice" | "text" | "finish">>
): ReadonlyArray<ChoiceText> => {
  const parts = new Map<number, Array<string>>()
  const over = new Set<number>()
  for (const { choice, text, finish } of events) {
    const known = parts.get(choice)
    if (known === undefined) parts.set(choice, [text])
    else known.push(text)
    if (finish !== undefined) over.add(choice)
  }
  return [...parts]
    .toSorted(([a], [b]) => a - b)
    .map(([choice, texts]) => ({
      choice,
      text: texts.join(""),
      ...(over.has(choice) ? { finished: true as const } : {})
    }))
}
