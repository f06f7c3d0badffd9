/** `receipt verify`: what holds in a receipt, a line for each part, by the file alone. */
import * as Effect from "effect/Effect"
import { readFile } from "node:fs/promises"
import { checkReceipt, type Checked } from "../../layers/ReceiptCheck.ts"
import { CliFailed, EXIT } from "../CliFailed.ts"
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
  const checked = checkReceipt(yield* bytesOf(path), trusted)
  const broken = checked.findings.filter(({ holds }) => !holds)
  if (input.json) yield* document(jsonOf(checked, broken.length === 0))
  else yield* (yield* Output).write(textOf(checked))
  if (broken.length > 0) {
    const parts = [...new Set(broken.map(({ part }) => part))].join(", ")
    return yield* failed("broken", `${path} does not hold: ${parts}`, EXIT.failed)
  }
})

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
