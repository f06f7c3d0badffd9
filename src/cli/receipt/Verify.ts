/** `receipt verify`: what holds in a receipt, a line for each part, by the file alone. */
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"
import type * as Schema from "effect/Schema"
import { checkReceipt, type Checked, compareTexts, type Texts } from "../../layers/ReceiptCheck.ts"
import { CliFailed, EXIT, usage } from "../CliFailed.ts"
import { argument, type Flag, type Input } from "../Command.ts"
import { Output } from "../Output.ts"
import { counted } from "../Plain.ts"
import { document } from "../Show.ts"
import { table } from "../Table.ts"

/** Far above what a job's attempts and events can fill. */
const BYTES_MAX = 8 * 1_048_576

export const KEYS: Flag = {
  name: "key",
  value: "HEX[,HEX]",
  help: "public keys of the network that you trust; the receipt has to be signed by one of them",
  check: (text) =>
    /^[0-9a-f]{64}(,[0-9a-f]{64})*$/.test(text) ? null : "is 64 lower-case hexadecimal digits for each key"
}

export const REQUEST: Flag = {
  name: "request",
  value: "FILE",
  help: "JSON of a request: whether the receipt is of this one"
}

export const ANSWER: Flag = {
  name: "answer",
  value: "FILE",
  help: "JSON of an answer in plain text, or of a record's choices: whether the receipt is of this one"
}

const failed = (code: string, message: string, exit: CliFailed["exit"]) => new CliFailed({ code, message, exit })

const bytesOf = (path: string): Effect.Effect<Uint8Array, CliFailed> =>
  Effect.flatMap(
    Effect.tryPromise({
      try: (signal) => readFile(path, { signal }),
      catch: (cause) =>
        failed("not_found", `${path}: ${cause instanceof Error ? cause.message : String(cause)}`, EXIT.notFound)
    }),
    (bytes) =>
      bytes.byteLength > BYTES_MAX
        ? Effect.fail(failed("not_a_receipt", `${path} has more than ${BYTES_MAX} bytes`, EXIT.failed))
        : Effect.succeed(bytes)
  )

export const verify = Effect.fnUntraced(function* (input: Input) {
  const path = argument(input, 0)
  const trusted = input.flags.get("key")?.split(",") ?? []
  const texts = yield* textsOf(input)
  const checked = withTexts(checkReceipt(yield* bytesOf(path), trusted), texts)
  const broken = checked.findings.filter(({ holds }) => !holds)
  if (input.json) yield* document(jsonOf(checked, broken.length === 0))
  else yield* (yield* Output).write(textOf(checked))
  if (broken.length > 0) {
    const parts = [...new Set(broken.map(({ part }) => part))].join(", ")
    return yield* failed("broken", `${path} does not hold: ${parts}`, EXIT.failed)
  }
})

const withTexts = ({ receipt, findings }: Checked, texts: Texts): Checked => ({
  receipt,
  findings: receipt === null ? findings : [...findings, ...compareTexts(receipt, texts)]
})

const textsOf = Effect.fnUntraced(function* ({ flags }: Input) {
  const read = Effect.fnUntraced(function* (name: string) {
    const path = flags.get(name)
    if (path === undefined) return undefined
    const text = Buffer.from(yield* bytesOf(path)).toString("utf8")
    return yield* Effect.try({
      try: () => JSON.parse(text) as Schema.Json,
      catch: () => usage(`--${name} ${path} is not JSON`)
    })
  })
  const [request, answer] = [yield* read("request"), yield* read("answer")]
  const output = answer === undefined ? undefined : choicesOf(answer)
  if (output === null) {
    return yield* usage(
      "--answer is neither a list of choices nor an answer in plain text, which is all that can be compared"
    )
  }
  return { ...(request === undefined ? {} : { request }), ...(output === undefined ? {} : { output }) } satisfies Texts
})

/** What may stand in a message beside its text without saying anything. */
const SILENT: ReadonlySet<string> = new Set(["role", "content"])

/** The choices as a record has them; null for what is no answer in plain text. */
const choicesOf = (answer: Schema.Json): Schema.Json | null => {
  if (isList(answer)) return answer
  const choices = isFields(answer) ? answer["choices"] : undefined
  if (!isList(choices)) return null
  const plain = choices.map((choice) => (isFields(choice) ? plainChoice(choice) : null))
  return plain.every((choice) => choice !== null) ? plain : null
}

const plainChoice = (choice: Schema.JsonObject): Schema.JsonObject | null => {
  const message = choice["message"]
  const isChat = message !== undefined && isFields(message)
  const text = isChat ? message["content"] : choice["text"]
  const others = isChat ? Object.entries(message).filter(([name, value]) => !SILENT.has(name) && value !== null) : []
  const isPlain = typeof text === "string" && others.length === 0 && (choice["logprobs"] ?? null) === null
  return isPlain ? { choice: choice["index"] ?? 0, text, finish: choice["finish_reason"] ?? null } : null
}

const isList = (value: Schema.Json | undefined): value is Schema.JsonArray => Array.isArray(value)
const isFields = (value: Schema.Json): value is Schema.JsonObject =>
  typeof value === "object" && value !== null && !isList(value)

const jsonOf = ({ receipt, findings }: Checked, holds: boolean) => ({
  jobId: receipt?.parts.job.id ?? null,
  holds,
  findings: findings.map(({ part, holds, said }) => ({ part, holds, said }))
})

const textOf = ({ receipt, findings }: Checked): string => {
  const lines = table(
    [
      { title: "PART", of: ({ part }) => part },
      { title: "HOLDS", of: ({ holds }) => (holds ? "yes" : "NO") },
      { title: "SAID", of: ({ said }) => said }
    ],
    findings
  )
  const broken = findings.filter(({ holds }) => !holds).length
  const what = receipt === null ? "This is no receipt" : `The receipt of ${receipt.parts.job.id}`
  const verdict = broken === 0 ? "holds" : `does not hold: ${counted(broken, "finding")}`
  return `${lines}\n${what} ${receipt === null ? "that can be read" : verdict}.\n`
}
