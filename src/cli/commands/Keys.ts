/** `keys`: who may ask for work. A secret is shown once, when its key is made, and cannot be had again. */
import * as Schema from "effect/Schema"
import { gets, posts } from "../Ask.ts"
import { argument, type Command, type Input, OPTIONAL_REASON } from "../Command.ts"
import { at } from "../Control.ts"
import { instant, instantFault, toInstant } from "../Plain.ts"
import { show } from "../Show.ts"
import { type Column, table } from "../Table.ts"

const Key = Schema.Struct({
  id: Schema.String,
  namespaceId: Schema.String,
  label: Schema.String,
  prefix: Schema.String,
  ratePerSecond: Schema.Finite,
  createdAt: Schema.Finite,
  expiresAt: Schema.NullOr(Schema.Finite),
  revokedAt: Schema.NullOr(Schema.Finite)
})

const COLUMNS: ReadonlyArray<Column<typeof Key.Type>> = [
  { title: "KEY", of: ({ id }) => id },
  { title: "NAMESPACE", of: ({ namespaceId }) => namespaceId },
  { title: "LABEL", of: ({ label }) => label, max: 32 },
  { title: "BEGINS", of: ({ prefix }) => `${prefix}…` },
  { title: "PER SECOND", of: ({ ratePerSecond }) => ratePerSecond, right: true },
  { title: "CREATED", of: ({ createdAt }) => instant(createdAt) },
  { title: "EXPIRES", of: ({ expiresAt }) => instant(expiresAt) },
  { title: "REVOKED", of: ({ revokedAt }) => instant(revokedAt) }
]

const showKeys = show(Schema.Struct({ data: Schema.Array(Key) }), ({ data }) =>
  data.length === 0 ? "No keys.\n" : table(COLUMNS, data)
)
const showMade = show(
  Schema.Struct({ key: Key, secret: Schema.String }),
  ({ key, secret }) =>
    `${key.id} asks for ${key.namespaceId}. Its secret is shown this once and stored nowhere:\n\n${secret}\n`
)
const showRevoked = show(
  Schema.Struct({ key: Key }),
  ({ key }) => `${key.id} is revoked since ${instant(key.revokedAt)}.\n`
)

const isRate = (text: string): string | null =>
  /^\d{1,6}$/.test(text) && Number(text) >= 1 && Number(text) <= 100_000 ? null : "is a number from 1 to 100000"
const orderOf = (input: Input): Schema.JsonObject => {
  const [label, rate, expires] = ["label", "rate", "expires"].map((name) => input.flags.get(name))
  const expiresAt = expires === undefined ? null : toInstant(expires)
  return {
    namespaceId: argument(input, 0),
    ...(label === undefined ? {} : { label }),
    ...(rate === undefined ? {} : { ratePerSecond: Number(rate) }),
    ...(expiresAt === null ? {} : { expiresAt })
  }
}

const create: Command = {
  path: ["keys", "create"],
  args: [{ name: "NAMESPACE", help: "id of the namespace it asks for" }],
  flags: [
    { name: "label", value: "TEXT", help: "what it is for" },
    { name: "rate", value: "N", help: "requests a second; 60", check: isRate },
    {
      name: "expires",
      value: "TIME",
      help: "of no use from then on; ISO 8601 or epoch milliseconds",
      check: instantFault
    },
    OPTIONAL_REASON
  ],
  summary: "makes a key and shows its secret, once",
  notes: "With --json the secret stands in the document too.",
  examples: [
    "resultity keys create ns_01j0example --label 'web shop' --rate 20",
    "resultity keys create ns_01j0example --json | jq -r .secret > key.txt"
  ],
  run: posts(() => at("keys"), showMade, orderOf)
}

const revoke: Command = {
  path: ["keys", "revoke"],
  args: [{ name: "KEY", help: "its id, not its secret" }],
  flags: [OPTIONAL_REASON],
  summary: "ends a key for good; jobs it has asked for go on",
  examples: ["resultity keys revoke key_01j0example --reason 'found in a public repository'"],
  run: posts((input) => at("keys", argument(input, 0), "revoke"), showRevoked)
}

const list: Command = {
  path: ["keys", "list"],
  args: [],
  flags: [{ name: "namespace", value: "ID", help: "keys of this namespace" }],
  summary: "keys, newest first, without their secrets",
  examples: ["resultity keys list", "resultity keys list --namespace ns_01j0example"],
  run: gets(
    () => at("keys"),
    showKeys,
    ({ flags }) => {
      const namespace = flags.get("namespace")
      return namespace === undefined ? {} : { namespace }
    }
  )
}

export const keyCommands: ReadonlyArray<Command> = [create, revoke, list]
