/** `receipt`: checking one without a daemon; `roots`: the closed hours that receipts are put into. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { SignedRoot } from "../../schemas/Receipt.ts"
import { gets } from "../Ask.ts"
import { CliFailed, EXIT } from "../CliFailed.ts"
import { argument, type Command } from "../Command.ts"
import { at, Control } from "../Control.ts"
import { Output } from "../Output.ts"
import { ANSWER, KEYS, REQUEST, verify } from "../receipt/Verify.ts"
import { reading, show } from "../Show.ts"
import { table } from "../Table.ts"

const Audit = Schema.Struct({
  jobId: Schema.String,
  hash: Schema.String,
  differs: Schema.Array(Schema.String),
  event: Schema.NullOr(Schema.Finite)
})
const readAudit = reading(Audit)
const showAudit = show(Audit, ({ jobId, hash, differs, event }) => {
  if (differs.length === 0) return `${jobId} is stored as its receipt ${hash} says.\n`
  const first = event === null ? "" : `; event ${event} is the first that differs`
  return `${jobId} is not stored as its receipt ${hash} says: ${differs.join(", ")}${first}.\n`
})
const failed = (code: string, message: string) => new CliFailed({ code, message, exit: EXIT.failed })

const Known = Schema.Struct({
  id: Schema.String,
  publicKey: Schema.String,
  since: Schema.Finite,
  daemons: Schema.Finite
})

const showKeys = show(Schema.Struct({ data: Schema.Array(Known) }), ({ data }) =>
  table(
    [
      { title: "KEY", of: ({ id }) => id },
      { title: "PUBLIC KEY", of: ({ publicKey }) => publicKey },
      { title: "SINCE", of: ({ since }) => new Date(since).toISOString() },
      { title: "DAEMONS", of: ({ daemons }) => daemons, right: true }
    ],
    data
  )
)

const showRoots = show(Schema.Struct({ data: Schema.Array(SignedRoot) }), ({ data }) =>
  data.length === 0
    ? "No hour is closed yet.\n"
    : table(
        [
          { title: "NUMBER", of: ({ statement }) => statement.number, right: true },
          { title: "HOUR", of: ({ statement }) => new Date(statement.hour).toISOString().slice(0, 16) },
          { title: "RECEIPTS", of: ({ statement }) => statement.size, right: true },
          { title: "ROOT", of: ({ statement }) => statement.root },
          { title: "KEY", of: ({ network }) => network.keyId }
        ],
        data
      )
)

export const jobReceipt: Command = {
  path: ["jobs", "receipt"],
  args: [{ name: "ID", help: "the job; it has ended" }],
  flags: [],
  summary: "its signed receipt, as a file for receipt verify",
  notes: "The same with and without --json. It names the nodes; the one that a customer gets does not.",
  examples: ["resultity jobs receipt job_01j0example > receipt.json"],
  run: (input) =>
    Effect.gen(function* () {
      const { bytes } = yield* Control
      const { write } = yield* Output
      yield* Stream.runForEach(bytes(at("jobs", argument(input, 0), "receipt")), write)
    })
}

export const receiptCommands: ReadonlyArray<Command> = [
  {
    path: ["receipt", "verify"],
    args: [{ name: "FILE", help: "a receipt" }],
    flags: [KEYS, REQUEST, ANSWER],
    summary: "whether a receipt is what the network and the node signed, without asking anybody",
    notes: `A line for each part. An altered byte is found, and the part that it stands in is named; then the exit code is 1.
Without --key the file's own word is taken for which network it is. --request and --answer need a customer's file,
which brings the salt.`,
    examples: [
      "resultity receipt verify receipt.json",
      "resultity receipt verify receipt.json --request request.json --answer answer.json",
      "resultity receipt verify receipt.json --key $(curl -s localhost:8400/.well-known/resultity-keys.json | jq -r .current.public_key)"
    ],
    isLocal: true,
    run: verify,
    offline: verify
  },
  {
    path: ["receipt", "audit"],
    args: [{ name: "ID", help: "the job; it has ended" }],
    flags: [],
    summary: "whether what is stored of a job today is what its receipt says",
    notes: "Exit code 1 when a part differs: the receipt is signed, so the store is what was changed.",
    examples: ["resultity receipt audit job_01j0example"],
    run: (input) =>
      Effect.gen(function* () {
        const answer = yield* (yield* Control).get(at("jobs", argument(input, 0), "receipt", "audit"))
        yield* showAudit(input, answer)
        const { differs } = yield* readAudit(answer)
        if (differs.length > 0)
          return yield* failed("broken", `the store differs from the receipt in: ${differs.join(", ")}`)
      })
  },
  {
    path: ["receipt", "roots"],
    args: [],
    flags: [
      {
        name: "after",
        value: "N",
        help: "only those with a higher number",
        check: (text) => (/^\d{1,15}$/.test(text) ? null : "is a whole number")
      }
    ],
    summary: "the signed Merkle roots of closed hours, a hundred at a time",
    examples: [
      "resultity receipt roots",
      "resultity receipt roots --after 100 --json | jq -r '.data[].statement.root'"
    ],
    run: gets(
      () => at("roots"),
      showRoots,
      ({ flags }): Record<string, string> => {
        const after = flags.get("after")
        return after === undefined ? {} : { after }
      }
    )
  },
  {
    path: ["receipt", "keys"],
    args: [],
    flags: [],
    summary: "the public keys of the network, and how many living daemons sign with each",
    examples: ["resultity receipt keys", "resultity receipt keys --json | jq -r '.data[].publicKey'"],
    run: gets(() => at("network-keys"), showKeys)
  }
]
