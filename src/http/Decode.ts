/** A body or a part of it as its schema says, or a refusal that names the field. Decoders are built once, at module level. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { type Refusal, refuse } from "../schemas/Refusal.ts"

export type Decoder<A> = (value: unknown) => Effect.Effect<A, Refusal>

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()
const MESSAGE_MAX = 300

/**
 * @param strict refuse fields that the schema does not know (ours) instead of leaving them alone (OpenAI's)
 * @param at where the value stands in the body, for `param`
 */
export const decoder = <A, E>(
  schema: Schema.Codec<A, E>,
  { strict = false, at = "" }: { readonly strict?: boolean; readonly at?: string } = {}
): Decoder<A> => {
  const decode = Schema.decodeUnknownResult(schema, { onExcessProperty: strict ? "error" : "ignore" })
  return (value) => {
    const decoded = decode(value)
    if (Result.isSuccess(decoded)) return Effect.succeed(decoded.success)
    const [issue] = issuesOf(decoded.failure.issue).issues
    const path = (issue?.path ?? []).map((part) => String(typeof part === "object" ? part.key : part))
    const param = [...(at === "" ? [] : [at]), ...path].join(".")
    return Effect.fail(badField(param, issue?.message ?? "is not valid"))
  }
}

export const badField = (param: string, issue: string): Refusal =>
  refuse(
    "invalid_request",
    `${param === "" ? "The body" : param}: ${issue.length > MESSAGE_MAX ? `${issue.slice(0, MESSAGE_MAX)}…` : issue}.`,
    param === "" ? {} : { param }
  )
