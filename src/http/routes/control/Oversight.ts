/** What happened that should be known, what customers think of answers, and who changed what. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Audit } from "../../../layers/Audit.ts"
import { Incidents } from "../../../layers/Incidents.ts"
import { Signals } from "../../../layers/Signals.ts"
import { IncidentKind } from "../../../schemas/Incident.ts"
import type { Call } from "../../Call.ts"
import { operatorScope } from "../../Operator.ts"
import { plain } from "../../OperatorViews.ts"
import { readInstant, readInt, readOneOf, readQuery, readRange, readText } from "../../Query.ts"
import { open } from "../../Route.ts"

const incidents = open(
  Effect.fnUntraced(function* (call: Call) {
    const query = yield* readQuery(call.query, ["kind", "type", "subject", "open", "from", "to", "limit"])
    const kind = yield* readOneOf("kind", query.kind, IncidentKind.literals)
    const type = yield* readText("type", query.type)
    const subject = yield* readText("subject", query.subject)
    const isOpen = yield* readOneOf("open", query.open, ["true", "false"])
    const from = yield* readInstant("from", query.from)
    const to = yield* readInstant("to", query.to)
    const limit = yield* readInt("limit", query.limit, { least: 1, most: 1000, otherwise: 100 })
    const data = yield* (yield* Incidents).list(operatorScope(call), {
      limit,
      ...(kind === undefined ? {} : { kind }),
      ...(type === undefined ? {} : { type }),
      ...(subject === undefined ? {} : { subject }),
      ...(isOpen === "true" ? { open: true } : {}),
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to })
    })
    return plain({ data })
  })
)

const audit = open(
  Effect.fnUntraced(function* (call: Call) {
    const query = yield* readQuery(call.query, ["after", "limit"])
    const after = yield* readInt("after", query.after, { least: 0, most: Number.MAX_SAFE_INTEGER, otherwise: 0 })
    const limit = yield* readInt("limit", query.limit, { least: 1, most: 1000, otherwise: 100 })
    const data = yield* (yield* Audit).list(after, limit)
    return plain({ data, next: data.length < limit ? null : (data.at(-1)?.seq ?? null) })
  })
)

const verifyAudit = open(() =>
  Effect.flatMap(Audit, ({ verify }) => Effect.map(verify, (broken) => plain({ ok: broken === null, broken })))
)

const WEEK_MS = 7 * 86_400_000

const ratings = open(
  Effect.fnUntraced(function* (call: Call) {
    const query = yield* readQuery(call.query, ["by", "from", "to", "limit"])
    const by = yield* readOneOf("by", query.by, ["node", "model"])
    const { from, to } = yield* readRange(query, yield* Clock.currentTimeMillis, WEEK_MS)
    const limit = yield* readInt("limit", query.limit, { least: 1, most: 1000, otherwise: 100 })
    return plain({ data: yield* (yield* Signals).rated(by ?? "node", from, to, limit) })
  })
)

export const oversightRoutes = { listRatings: ratings, listIncidents: incidents, listAudit: audit, verifyAudit }
