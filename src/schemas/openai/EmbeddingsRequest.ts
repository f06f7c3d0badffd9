/** The body of `POST /v1/embeddings`. Each input is one choice of the job, answered in the order it was sent. */
import * as Schema from "effect/Schema"
import { ClientTag, intBetween, ModelName, orNull } from "./Sampling.ts"

export const INPUTS_MAX = 2048

const Text = Schema.String.check(Schema.isMinLength(1))
const Tokens = Schema.Array(intBetween(0, 4_294_967_295)).check(Schema.isMinLength(1), Schema.isMaxLength(65_536))

export const EmbeddingsRequest = Schema.Struct({
  model: ModelName,
  input: Schema.Union([
    Text,
    Schema.Array(Text).check(Schema.isMinLength(1), Schema.isMaxLength(INPUTS_MAX)),
    Tokens,
    Schema.Array(Tokens).check(Schema.isMinLength(1), Schema.isMaxLength(INPUTS_MAX))
  ]),
  encoding_format: orNull(Schema.Literals(["float", "base64"])),
  dimensions: orNull(intBetween(1, 65_536)),
  user: orNull(ClientTag),
  resultity: Schema.optionalKey(Schema.Json)
}).annotate({ identifier: "EmbeddingsRequest" })
export type EmbeddingsRequest = typeof EmbeddingsRequest.Type

export const inputsOf = (input: EmbeddingsRequest["input"]): number =>
  typeof input === "string" || typeof input[0] === "number" ? 1 : input.length
