/**
 * Fields that chat and text completions share, with OpenAI's bounds. Null means "not said", as the official clients send it.
 * Fields that no schema names are not refused: they travel to the runtime as they are.
 */
import * as Schema from "effect/Schema"

/** Absent or null: the default. */
export const orNull = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

const between = (minimum: number, maximum: number) => Schema.Finite.check(Schema.isBetween({ minimum, maximum }))
export const intBetween = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Any printable name up to 256 characters; whether it exists is asked later. */
export const ModelName = Schema.String.check(
  Schema.isMinLength(1),
  Schema.isMaxLength(256),
  Schema.isPattern(/^[^\p{Cc}]*$/u)
)

/** An identifier of the client's own user, kept as the job's tag. */
export const ClientTag = Schema.String.check(Schema.isMaxLength(256))

const StopText = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(1024))

/** More answers than this to one request are refused. */
export const CHOICES_MAX = 8

export const samplingFields = {
  model: ModelName,
  frequency_penalty: orNull(between(-2, 2)),
  presence_penalty: orNull(between(-2, 2)),
  logit_bias: orNull(Schema.Record(Schema.String, between(-100, 100))),
  max_tokens: orNull(intBetween(1, 1_048_576)),
  n: orNull(intBetween(1, CHOICES_MAX)),
  seed: orNull(intBetween(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)),
  stop: orNull(Schema.Union([StopText, Schema.Array(StopText).check(Schema.isMaxLength(4))])),
  stream: orNull(Schema.Boolean),
  stream_options: orNull(Schema.Struct({ include_usage: orNull(Schema.Boolean) })),
  temperature: orNull(between(0, 2)),
  top_p: orNull(between(0, 1)),
  user: orNull(ClientTag),
  /** Our extension; decoded on its own, because there a field too many is refused. */
  resultity: Schema.optionalKey(Schema.Json)
} as const

/** `stream_options` without `stream` is refused, as OpenAI does. */
export const streamOptionsFit = Schema.makeFilter(
  (body: { readonly stream?: boolean | null; readonly stream_options?: object | null }) =>
    (body.stream_options ?? null) === null ||
    body.stream === true || { path: ["stream_options"], issue: "is only allowed when stream is true" }
)
