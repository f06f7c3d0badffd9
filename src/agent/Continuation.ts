/**
 * How an answer that another node began is gone on with: the text so far becomes the beginning of the assistant's
 * message, or of the prompt's continuation. Runtimes differ in how they must be told, and some cannot: then the
 * assignment is declined, because a runtime that starts over would say things the client has read already.
 */
import type * as Schema from "effect/Schema"
import { fieldsOf, listOf } from "./JsonFields.ts"
import { type Assignment, bounded, choicesOf, isContinuation, tokensAsked } from "./Runtime.ts"

/** `vllm`: must be told. `trailing`: goes on by itself from a last message of the assistant (llama.cpp, Ollama). */
export type Continuation = "vllm" | "trailing" | "none"

/** Characters in a token, for a prefix of which nothing better is known. */
const CHARACTERS_PER_TOKEN = 4

/** Whether this runtime can go on with this assignment. Several choices cannot share one beginning. */
export const canContinue = (assignment: Assignment, continuation: Continuation): boolean => {
  const { endpoint, body } = assignment
  if (choicesOf(body) > 1 || assignment.prefix.some(({ choice, text }) => choice > 0 && text !== "")) return false
  if (endpoint === "completions") return typeof body["prompt"] === "string" && body["echo"] !== true
  return endpoint === "chat" && continuation !== "none"
}

/** Output tokens that the request still allows for its one choice. 0: the answer is complete as it stands. */
export const tokensLeft = (assignment: Assignment): number => {
  const asked = tokensAsked(bounded(assignment)) ?? Number.POSITIVE_INFINITY
  return Math.max(0, asked - tokensSaid(assignment))
}

// Most runtimes send a token a piece, so the number of pieces is the better count; a piece holds at least one
// character.
const tokensSaid = ({ firstSeq, prefix }: Assignment): number => {
  const characters = prefix.reduce((sum, { text }) => sum + text.length, 0)
  return firstSeq > 1 ? Math.min(firstSeq - 1, characters) : Math.ceil(characters / CHARACTERS_PER_TOKEN)
}

/** The body to send: the assignment's own, streamed with its usage, bounded, and begun where it was left. */
export const runtimeBody = (assignment: Assignment, continuation: Continuation): Schema.JsonObject => {
  if (assignment.endpoint === "embeddings") return assignment.body
  const body = bounded(assignment)
  const streamed = {
    ...body,
    stream: true,
    stream_options: { ...fieldsOf(body["stream_options"]), include_usage: true }
  }
  return isContinuation(assignment) ? begun(streamed, assignment, continuation) : streamed
}

const begun = (body: Schema.JsonObject, assignment: Assignment, continuation: Continuation): Schema.JsonObject => {
  const said = assignment.prefix.map(({ text }) => text).join("")
  const limit = body["max_completion_tokens"] === undefined ? "max_tokens" : "max_completion_tokens"
  const rest = { ...body, [limit]: tokensLeft(assignment) }
  if (assignment.endpoint === "completions") return { ...rest, prompt: `${String(body["prompt"])}${said}` }
  const messages = listOf(body["messages"])
  const last = fieldsOf(messages.at(-1))
  const prefilled = continuation === "trailing" || body["continue_final_message"] === true
  const told = continuation === "vllm" ? { continue_final_message: true, add_generation_prompt: false } : {}
  const content = last?.["content"]
  // The client itself began the answer: what was said since belongs to the same message.
  if (prefilled && last?.["role"] === "assistant" && typeof content === "string") {
    return { ...rest, messages: [...messages.slice(0, -1), { ...last, content: `${content}${said}` }], ...told }
  }
  return { ...rest, messages: [...messages, { role: "assistant", content: said }], ...told }
}
