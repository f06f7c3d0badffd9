/**
 * The body of `POST /v1/completions`. Several prompts make one job whose choices are numbered prompt by prompt. What would change the
 * count or the bounds of the answers (`best_of`, `echo`, `suffix`) is refused by name.
 */
import * as Schema from "effect/Schema"
import { intBetween, orNull, samplingFields, streamOptionsFit } from "./Sampling.ts"

export const PROMPTS_MAX = 128
const PROMPT_TOKENS_MAX = 131_072

const Token = intBetween(0, 4_294_967_295)
const Tokens = Schema.Array(Token).check(Schema.isMinLength(1), Schema.isMaxLength(PROMPT_TOKENS_MAX))

const Body = Schema.Struct({
  ...samplingFields,
  prompt: Schema.Union([
    Schema.String,
    Schema.Array(Schema.String).check(Schema.isMinLength(1), Schema.isMaxLength(PROMPTS_MAX)),
    Tokens,
    Schema.Array(Tokens).check(Schema.isMinLength(1), Schema.isMaxLength(PROMPTS_MAX))
  ]),
  logprobs: orNull(intBetween(0, 5)),
  echo: orNull(Schema.Literal(false)),
  suffix: orNull(Schema.Literal("")),
  best_of: orNull(Schema.Literal(1))
})

type Body = typeof Body.Type

/** One for a text or a list of tokens, otherwise one for each member. */
export const promptsOf = (prompt: Body["prompt"]): number =>
  typeof prompt === "string" || typeof prompt[0] === "number" ? 1 : prompt.length

const choicesFit = Schema.makeFilter(
  (body: Body) =>
    promptsOf(body.prompt) * (body.n ?? 1) <= PROMPTS_MAX || {
      path: ["n"],
      issue: `asks for more than ${PROMPTS_MAX} answers over all prompts`
    }
)

export const CompletionRequest = Body.check(streamOptionsFit, choicesFit).annotate({ identifier: "CompletionRequest" })
export type CompletionRequest = typeof CompletionRequest.Type
