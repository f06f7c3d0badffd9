/** Requests as a listener decodes them, and what their answers are. */
import type { JobRequest } from "../../src/actors/job/Admission.ts"
import { choicesIn, expectedAnswer } from "../../src/agent/SimulatedAnswer.ts"

export { aDaemonId, aKeyId, credits, fundedNamespace } from "./factories.ts"

let asked = 0

const base: Omit<JobRequest, "request" | "body"> = {
  endpoint: "chat",
  mode: "stream",
  model: "sim-small",
  outputTokensMax: 12,
  choices: 1,
  priority: null,
  constraints: {},
  onNodeLoss: null,
  deadlineMs: null,
  clientTag: null,
  workflow: null,
  idempotencyKey: null,
  traceparent: null
}

/** A chat whose answer is 12 words, another one each time. */
export const aRequest = (over: Partial<JobRequest> = {}): JobRequest => {
  const body = over.body ?? {
    model: over.model ?? "sim-small",
    messages: [{ role: "user", content: `question ${++asked}` }],
    max_tokens: over.outputTokensMax ?? 12
  }
  return { ...base, request: body, ...over, body }
}

export const aCompletion = (over: Partial<JobRequest> = {}): JobRequest =>
  aRequest({
    endpoint: "completions",
    body: { model: "sim-small", prompt: `beginning ${++asked}`, max_tokens: 12 },
    ...over
  })

export const anEmbedding = (inputs = 3, over: Partial<JobRequest> = {}): JobRequest =>
  aRequest({
    endpoint: "embeddings",
    model: "sim-embed",
    outputTokensMax: null,
    choices: inputs,
    body: { model: "sim-embed", input: Array.from({ length: inputs }, () => `text ${++asked}`) },
    ...over
  })

/** The whole answer of each choice, whoever gives it. */
export const answersTo = ({ endpoint, body }: Pick<JobRequest, "endpoint" | "body">): ReadonlyArray<string> =>
  Array.from({ length: choicesIn(endpoint, body) }, (_, choice) => expectedAnswer(endpoint, body, choice).text)
