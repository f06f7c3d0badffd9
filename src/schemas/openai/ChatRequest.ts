/**
 * The body of `POST /v1/chat/completions`. It is checked here and sent on as the client wrote it, so this decides what is refused,
 * not what the runtime reads. Pictures must come inline: nobody on the way fetches an address that a client names.
 */
import * as Schema from "effect/Schema"
import { responseFormatProblem } from "./ResponseFormat.ts"
import { intBetween, orNull, samplingFields, streamOptionsFit } from "./Sampling.ts"

export const MESSAGES_MAX = 2048
export const TOOLS_MAX = 128

const FunctionName = Schema.String.check(Schema.isPattern(/^[a-zA-Z0-9_.-]{1,64}$/))

const InlineData = Schema.String.check(
  Schema.makeFilter((url: string) => url.startsWith("data:") || "must be a data: URL; addresses are not fetched")
)

const Part = Schema.Union([
  Schema.Struct({ type: Schema.Literal("text"), text: Schema.String }),
  Schema.Struct({ type: Schema.Literal("refusal"), refusal: Schema.String }),
  Schema.Struct({ type: Schema.Literal("image_url"), image_url: Schema.Struct({ url: InlineData }) }),
  Schema.Struct({ type: Schema.Literal("input_audio"), input_audio: Schema.Struct({ data: Schema.String }) })
])

const Content = Schema.Union([Schema.String, Schema.Array(Part).check(Schema.isMinLength(1), Schema.isMaxLength(256))])

const ToolCall = Schema.Struct({
  id: Schema.String.check(Schema.isMaxLength(256)),
  type: Schema.optionalKey(Schema.Literals(["function", "custom"])),
  function: Schema.optionalKey(Schema.Struct({ name: Schema.String, arguments: Schema.String }))
})

const Message = Schema.Union([
  Schema.Struct({ role: Schema.Literals(["system", "developer", "user"]), content: Content }),
  Schema.Struct({
    role: Schema.Literal("assistant"),
    content: orNull(Content),
    tool_calls: orNull(Schema.Array(ToolCall).check(Schema.isMaxLength(TOOLS_MAX)))
  }),
  Schema.Struct({ role: Schema.Literal("tool"), content: Content, tool_call_id: Schema.String }),
  Schema.Struct({ role: Schema.Literal("function"), content: Schema.NullOr(Content), name: Schema.String })
])

const FunctionTool = Schema.Struct({
  type: Schema.Literal("function"),
  function: Schema.Struct({
    name: FunctionName,
    description: orNull(Schema.String.check(Schema.isMaxLength(16_384))),
    parameters: orNull(Schema.JsonObject),
    strict: orNull(Schema.Boolean)
  })
})

const ToolChoice = Schema.Union([
  Schema.Literals(["none", "auto", "required"]),
  Schema.Struct({ type: Schema.Literal("function"), function: Schema.Struct({ name: FunctionName }) })
])

const ResponseFormat = Schema.Union([
  Schema.Struct({ type: Schema.Literals(["text", "json_object"]) }),
  Schema.Struct({
    type: Schema.Literal("json_schema"),
    json_schema: Schema.Struct({
      name: Schema.String.check(Schema.isPattern(/^[a-zA-Z0-9_-]{1,64}$/)),
      schema: Schema.optionalKey(Schema.JsonObject),
      strict: orNull(Schema.Boolean)
    })
  })
])

const Body = Schema.Struct({
  ...samplingFields,
  messages: Schema.Array(Message).check(Schema.isMinLength(1), Schema.isMaxLength(MESSAGES_MAX)),
  max_completion_tokens: orNull(intBetween(1, 1_048_576)),
  logprobs: orNull(Schema.Boolean),
  top_logprobs: orNull(intBetween(0, 20)),
  tools: orNull(Schema.Array(FunctionTool).check(Schema.isMaxLength(TOOLS_MAX))),
  tool_choice: orNull(ToolChoice),
  parallel_tool_calls: orNull(Schema.Boolean),
  functions: orNull(
    Schema.Array(Schema.Struct({ name: FunctionName })).check(Schema.isMinLength(1), Schema.isMaxLength(TOOLS_MAX))
  ),
  response_format: orNull(ResponseFormat)
})

type Body = typeof Body.Type

const wrong = (path: ReadonlyArray<string>, issue: string) => ({ path, issue })

const fieldsFit = Schema.makeFilter((body: Body) => {
  const { tools, tool_choice: choice, response_format: format } = body
  if ((body.functions ?? null) !== null && (tools ?? null) !== null) {
    return wrong(["functions"], "cannot be combined with tools")
  }
  if ((body.top_logprobs ?? null) !== null && body.logprobs !== true) {
    return wrong(["top_logprobs"], "needs logprobs to be true")
  }
  if (typeof choice === "object" && choice !== null) {
    const known = tools?.some((tool) => tool.function.name === choice.function.name) ?? false
    if (!known) return wrong(["tool_choice"], "names a tool that is not in tools")
  }
  if (format?.type === "json_schema" && format.json_schema.schema !== undefined) {
    const problem = responseFormatProblem(format.json_schema.schema)
    if (problem !== null) return wrong(["response_format", "json_schema", "schema"], problem)
  }
  return true
})

export const ChatRequest = Body.check(streamOptionsFit, fieldsFit).annotate({ identifier: "ChatRequest" })
export type ChatRequest = typeof ChatRequest.Type
