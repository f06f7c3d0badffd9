/** Looks at jobs of one namespace in the name of another, now and then. Whatever it is shown is a leak. */
import { Effect, Exit } from "effect"
import { JobStreams } from "../../../src/actors/job/JobStreams.ts"
import { JobRecords } from "../../../src/layers/JobRecords.ts"
import { Traces } from "../../../src/layers/Traces.ts"
import type { Run } from "./Run.ts"

const EVERY_MS = 1700
const LOOKS = 14

export const spyOn = (run: Run): void => {
  for (let look = 1; look <= LOOKS; look++) run.outside.after(look * EVERY_MS, () => lookOnce(run, look))
}

const lookOnce = (run: Run, look: number): void => {
  const known = run.history.clients.flatMap(({ accepted, namespaceId }) =>
    accepted.slice(0, 1).map((jobId) => ({ jobId, namespaceId }))
  )
  const seen = known[look % Math.max(1, known.length)]
  const stranger = run.callers.find(({ namespace }) => namespace.id !== seen?.namespaceId)
  if (seen === undefined || stranger === undefined) return
  const { jobId } = seen
  const scope = { _tag: "Namespace", namespaceId: stranger.namespace.id } as const
  const leaks = (what: string) => run.history.leaks.push(`${what} of ${jobId} was shown to ${scope.namespaceId}`)
  const looks = Effect.gen(function* () {
    const streams = yield* JobStreams
    const row = yield* Effect.exit(streams.row(scope, jobId))
    if (Exit.isSuccess(row)) leaks("the row")
    const subscribed = yield* Effect.exit(Effect.scoped(streams.subscribe(scope, jobId, 0)))
    if (Exit.isSuccess(subscribed)) leaks("the stream")
    const record = yield* Effect.exit((yield* JobRecords).get(scope, jobId))
    if (Exit.isSuccess(record) && record.value !== null) leaks("the record")
    const traces = yield* Effect.exit((yield* Traces).read(scope, jobId, 0, 10))
    if (Exit.isSuccess(traces) && traces.value.length > 0) leaks("the trace")
    if (look % 5 === 0) {
      const cancelled = yield* Effect.exit(streams.cancel(scope, jobId, "client"))
      if (Exit.isSuccess(cancelled)) leaks("the cancelling")
    }
  })
  run.someDaemon()?.serve(looks as never, () => {})
}
