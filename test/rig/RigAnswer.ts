/**
 * What an honest node of the rig answers: the simulated answer, a function of the prompt and its seed, behind a first piece that repeats the canary
 * of the prompt. So a text that reaches the wrong namespace shows at once, and any node can go on from any beginning.
 */
import { type Answer, expectedAnswer } from "../../src/agent/SimulatedAnswer.ts"
import type * as Schema from "effect/Schema"

export const CANARY = /cnry[0-9a-f]{32}/

/** The canary of a request, if it has one: the test inference of a daemon has none. */
export const canaryIn = (body: object): string | null => CANARY.exec(JSON.stringify(body))?.[0] ?? null

export const rigAnswer = (body: object, choice: number): Answer => {
  const { pieces, finish } = expectedAnswer("chat", body as Schema.JsonObject, choice)
  const canary = canaryIn(body)
  if (canary === null) return { text: pieces.join(""), pieces, finish }
  // It takes the place of the first word, so as many tokens are asked for and made as before.
  const all = pieces.map((piece, at) => (at === 0 ? canary : piece))
  return { text: all.join(""), pieces: all, finish }
}
