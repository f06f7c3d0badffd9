/** The request of one planned job. Its prompt holds a word that stands nowhere else, so that it can be looked for where it must not be. */
import type { JobRequest } from "../../../src/actors/job/Admission.ts"
import type { JobPlan } from "./Plan.ts"

export const makeRequest = (plan: JobPlan, at: number): { readonly request: JobRequest; readonly canary: string } => {
  const canary = `canary-${plan.namespace}-${at}-${plan.tokens}`
  const { kind, tokens, choices } = plan
  const model = kind === "embeddings" ? "sim-embed" : "sim-small"
  const n = choices > 1 && kind !== "embeddings" ? { n: choices } : {}
  const body =
    kind === "chat"
      ? { model, messages: [{ role: "user", content: `say ${canary}` }], max_tokens: tokens, ...n }
      : kind === "completions"
        ? { model, prompt: `begin ${canary}`, max_tokens: tokens, ...n }
        : {
            model,
            input: Array.from({ length: choices }, (_, input) => `text ${input} ${canary}`)
          }
  const request: JobRequest = {
    endpoint: kind,
    mode: plan.mode,
    model,
    request: body,
    body,
    outputTokensMax: kind === "embeddings" ? null : tokens,
    choices,
    priority: plan.priority,
    constraints: plan.region === null ? {} : { region: plan.region },
    onNodeLoss: plan.onNodeLoss,
    deadlineMs: plan.deadlineMs,
    clientTag: null,
    workflow: null,
    idempotencyKey: plan.keyed ? `key-${at}` : null,
    traceparent: null
  }
  return { request, canary }
}
