/** The facts behind `policies/Explain`: what was decided and, for a job that waits, what the fleet looks like to it right now. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { JobRecords, Scope } from "../../layers/JobRecords.ts"
import type { LiveNodes } from "../../layers/LiveNodes.ts"
import type { Settings } from "../../layers/Settings.ts"
import { exclusionOf } from "../../policies/Eligibility.ts"
import { explain, type WaitingFacts } from "../../policies/Explain.ts"
import type { NodeId } from "../../schemas/Ids.ts"
import { isTerminal, type JobRow } from "../../schemas/JobState.ts"

export interface ExplainHouse {
  readonly records: JobRecords["Service"]
  readonly live: LiveNodes["Service"]
  readonly settings: Settings["Service"]
}

export const explainJob = (house: ExplainHouse, scope: Scope, row: JobRow) =>
  Effect.gen(function* () {
    const record = yield* house.records.get(scope, row.job.id)
    const now = yield* Clock.currentTimeMillis
    const attempts = record?.routing.attempts ?? []
    const busy = attempts.at(-1)?.endedAt === null && attempts.length > 0
    const waiting = isTerminal(row.state) || busy ? null : yield* look(house, row, now)
    return explain(row, {
      now,
      decisions: record?.routing.decisions ?? [],
      attempts,
      waiting,
      audience: scope._tag === "Operator" ? "operator" : "customer"
    })
  })

const look = (house: ExplainHouse, { job }: JobRow, now: number) =>
  Effect.gen(function* () {
    const { settings } = yield* house.settings.current
    const nodes = yield* house.live.list(now)
    const serving = nodes.filter(
      ({ environment, models }) => environment === job.environment && models.some(({ name }) => name === job.model)
    )
    const excluded: Record<string, number> = {}
    const context = {
      now,
      presenceMs: settings.presenceMs,
      tried: new Set<NodeId>(),
      needsContinuation: false,
      digests: null
    }
    for (const node of serving) {
      const reason = exclusionOf(job, node, context)
      if (reason !== null) excluded[reason] = (excluded[reason] ?? 0) + 1
    }
    return { serving: serving.length, looked: serving.length, excluded, ahead: null } satisfies WaitingFacts
  })
