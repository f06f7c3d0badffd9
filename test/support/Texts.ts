/** What a simulated node has to answer, worked out beforehand. */
import { expectedAnswer } from "../../src/agent/SimulatedAnswer.ts"

export interface ChatBody {
  readonly model: string
  readonly messages: ReadonlyArray<{ readonly role: "user"; readonly content: string }>
  readonly n?: number
  readonly min_tokens?: number
  readonly max_tokens?: number
}

/** A question whose answer has at least so many words. */
export const chatBody = (question: string, more: Partial<ChatBody> = {}): ChatBody => ({
  model: "sim-small",
  messages: [{ role: "user", content: question }],
  ...more
})

export const answerTo = (body: ChatBody, choice = 0) =>
  expectedAnswer("chat", { ...body, messages: [...body.messages] }, choice)
