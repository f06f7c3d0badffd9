/** `Readiness` by asking each store the cheapest question it has. A probe that takes too long counts as down. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Archive } from "../layers/Archive.ts"
import { JobRecords } from "../layers/JobRecords.ts"
import { JobStore } from "../layers/JobStore.ts"
import { LiveNodes } from "../layers/LiveNodes.ts"
import type { Outage } from "../layers/Outage.ts"
import { Readiness, type DependencyHealth } from "../layers/Readiness.ts"
import { Transport } from "../layers/Transport.ts"
import { JobId } from "../schemas/Ids.ts"

const PROBE_MAX = "2 seconds"
const nobody = JobId.make("job_probe")

interface Probe {
  readonly name: string
  readonly required: boolean
  readonly ask: Effect.Effect<unknown, Outage>
}

export const layer = Layer.effect(
  Readiness,
  Effect.gen(function* () {
    const store = yield* JobStore
    const records = yield* JobRecords
    const live = yield* LiveNodes
    const transport = yield* Transport
    const archive = yield* Archive
    const now = Clock.currentTimeMillis
    const probes: ReadonlyArray<Probe> = [
      { name: "jobs", required: true, ask: store.get(nobody) },
      { name: "records", required: true, ask: records.get({ _tag: "Operator", by: "readiness" }, nobody) },
      { name: "live", required: true, ask: Effect.flatMap(now, (at) => live.models("testnet", at)) },
      { name: "transport", required: true, ask: transport.ping },
      { name: "archive", required: false, ask: archive.ping }
    ]
    let draining = false
    return Readiness.of({
      probe: Effect.forEach(probes, probe, { concurrency: probes.length }),
      draining: Effect.sync(() => draining),
      startDrain: Effect.sync(() => void (draining = true))
    })
  })
)

const probe = ({ name, required, ask }: Probe): Effect.Effect<DependencyHealth> =>
  Effect.gen(function* () {
    const from = yield* Clock.currentTimeMillis
    const answered = yield* Effect.timeoutOption(Effect.result(ask), PROBE_MAX)
    const up = Option.isSome(answered) && answered.value._tag === "Success"
    return { name, required, up, latencyMs: (yield* Clock.currentTimeMillis) - from }
  })
