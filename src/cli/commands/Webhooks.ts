/** `webhooks`: where the daemon tells of incidents. A secret is shown once, when its webhook is made, and cannot be had again. */
import * as Schema from "effect/Schema"
import { IncidentKind, Severity } from "../../schemas/Incident.ts"
import { gets, posts } from "../Ask.ts"
import { argument, type Command, type Input, OPTIONAL_REASON, type Positional } from "../Command.ts"
import { at } from "../Control.ts"
import { instant } from "../Plain.ts"
import { show } from "../Show.ts"
import { type Column, table } from "../Table.ts"

const Webhook = Schema.Struct({
  id: Schema.String,
  url: Schema.String,
  description: Schema.String,
  kinds: Schema.Array(Schema.String),
  severities: Schema.Array(Schema.String),
  disabledAt: Schema.NullOr(Schema.Finite),
  disabledFor: Schema.NullOr(Schema.String),
  failures: Schema.Finite,
  deliveredAt: Schema.NullOr(Schema.Finite)
})
const Standing = Webhook.pipe(Schema.fieldsAssign({ pending: Schema.Finite }))

const COLUMNS: ReadonlyArray<Column<typeof Standing.Type>> = [
  { title: "WEBHOOK", of: ({ id }) => id },
  { title: "STATE", of: ({ disabledFor }) => (disabledFor === null ? "enabled" : `disabled: ${disabledFor}`) },
  { title: "PENDING", of: ({ pending }) => pending, right: true },
  { title: "FAILURES", of: ({ failures }) => failures, right: true },
  { title: "LAST TAKEN", of: ({ deliveredAt }) => instant(deliveredAt) },
  { title: "KINDS", of: ({ kinds }) => kinds.join(",") },
  { title: "SEVERITIES", of: ({ severities }) => severities.join(",") },
  { title: "URL", of: ({ url }) => url, max: 60 },
  { title: "DESCRIPTION", of: ({ description }) => description, max: 32 }
]

const Notice = Schema.Struct({
  id: Schema.String,
  type: Schema.String,
  incidentId: Schema.NullOr(Schema.String),
  createdAt: Schema.Finite,
  state: Schema.String,
  attempts: Schema.Finite,
  dueAt: Schema.Finite,
  doneAt: Schema.NullOr(Schema.Finite),
  lastError: Schema.NullOr(Schema.String)
})

const NOTICE_COLUMNS: ReadonlyArray<Column<typeof Notice.Type>> = [
  { title: "NOTICE", of: ({ id }) => id },
  { title: "OF", of: ({ type, incidentId }) => incidentId ?? type },
  { title: "STATE", of: ({ state }) => state },
  { title: "ATTEMPTS", of: ({ attempts }) => attempts, right: true },
  { title: "CREATED", of: ({ createdAt }) => instant(createdAt) },
  { title: "DONE", of: ({ doneAt }) => instant(doneAt) },
  { title: "NEXT", of: ({ state, dueAt }) => (state === "pending" ? instant(dueAt) : null) },
  { title: "LAST ERROR", of: ({ lastError }) => lastError, max: 60 }
]

const showWebhooks = show(Schema.Struct({ data: Schema.Array(Standing) }), ({ data }) =>
  data.length === 0 ? "No webhooks.\n" : table(COLUMNS, data)
)
const showMade = show(
  Schema.Struct({ webhook: Webhook, secret: Schema.String }),
  ({ webhook, secret }) =>
    `${webhook.id} tells ${webhook.url} of incidents. Its secret signs them and is shown this once:\n\n${secret}\n`
)
const showChanged = show(Schema.Struct({ webhook: Webhook }), ({ webhook: { id, disabledAt } }) =>
  disabledAt === null ? `${id} is enabled.\n` : `${id} is disabled since ${instant(disabledAt)}.\n`
)
const showDeleted = show(Schema.Struct({ webhookId: Schema.String }), ({ webhookId }) => `${webhookId} is deleted.\n`)
const showTested = show(
  Schema.Struct({ webhookId: Schema.String, noticeId: Schema.String }),
  ({ webhookId, noticeId }) =>
    `${noticeId} is on its way. What came of it: resultity webhooks notices ${webhookId} --limit 1\n`
)
const showNotices = show(Schema.Struct({ data: Schema.Array(Notice) }), ({ data }) =>
  data.length === 0 ? "No notices.\n" : table(NOTICE_COLUMNS, data)
)

const wordsOf = (text: string): ReadonlyArray<string> => text.split(",").map((word) => word.trim())

const amongst = (known: ReadonlyArray<string>) => (text: string) =>
  wordsOf(text).every((word) => known.includes(word)) ? null : `is some of ${known.join(",")}`

const orderOf = (input: Input): Schema.JsonObject => {
  const [kinds, severities, description] = ["kinds", "severities", "description"].map((name) => input.flags.get(name))
  return {
    url: argument(input, 0),
    ...(kinds === undefined ? {} : { kinds: wordsOf(kinds) }),
    ...(severities === undefined ? {} : { severities: wordsOf(severities) }),
    ...(description === undefined ? {} : { description })
  }
}

const create: Command = {
  path: ["webhooks", "create"],
  args: [{ name: "URL", help: "of the receiver; https unless the daemon allows http" }],
  flags: [
    {
      name: "kinds",
      value: "A,B",
      help: `of incidents, ${IncidentKind.literals.join(",")}; all`,
      check: amongst(IncidentKind.literals)
    },
    {
      name: "severities",
      value: "A,B",
      help: `of incidents, ${Severity.literals.join(",")}; medium,high`,
      check: amongst(Severity.literals)
    },
    { name: "description", value: "TEXT", help: "whose it is" },
    OPTIONAL_REASON
  ],
  summary: "tells a receiver of incidents from now on, and shows the secret that signs, once",
  notes: "With --json the secret stands in the document too. Refused requests are incidents of severity info.",
  examples: [
    "resultity webhooks create https://example.com/incidents --severities high --description 'on call'",
    "resultity webhooks create https://example.com/incidents --json | jq -r .secret > secret.txt"
  ],
  run: posts(() => at("webhooks"), showMade, orderOf)
}

const list: Command = {
  path: ["webhooks", "list"],
  args: [],
  flags: [],
  summary: "webhooks and how they do, without their secrets",
  examples: ["resultity webhooks list"],
  run: gets(() => at("webhooks"), showWebhooks)
}

const WHICH: Positional = { name: "WEBHOOK", help: "its id" }

const changes = (word: string, summary: string, view: typeof showChanged | typeof showDeleted): Command => ({
  path: ["webhooks", word],
  args: [WHICH],
  flags: [OPTIONAL_REASON],
  summary,
  examples: [`resultity webhooks ${word} webhook_01j0example`],
  run: posts((input) => at("webhooks", argument(input, 0), word), view)
})

const notices: Command = {
  path: ["webhooks", "notices"],
  args: [WHICH],
  flags: [{ name: "limit", value: "N", help: "so many; 100" }],
  summary: "what was sent to it or is to be sent, newest first",
  examples: ["resultity webhooks notices webhook_01j0example --limit 10"],
  run: gets(
    (input) => at("webhooks", argument(input, 0), "notices"),
    showNotices,
    ({ flags }) => {
      const limit = flags.get("limit")
      return limit === undefined ? {} : { limit }
    }
  )
}

export const webhookCommands: ReadonlyArray<Command> = [
  create,
  list,
  changes("disable", "sends nothing to it any more; what waits stays", showChanged),
  changes("enable", "sends to it again, first what waits", showChanged),
  changes("delete", "forgets it, its secret and what waits", showDeleted),
  changes("test", "sends it one notice that is no incident", showTested),
  notices
]
