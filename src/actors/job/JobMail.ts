/** What other daemons say about jobs: take this one, it was taken, readers follow it here, cancel it, somebody else has it now. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Registry } from "../../kernel/Registry.ts"
import { DaemonConfig } from "../../layers/DaemonConfig.ts"
import { daemonAt, jobAddress } from "../../schemas/Address.ts"
import type { JobId } from "../../schemas/Ids.ts"
import { Mail } from "../Mail.ts"
import { JobFeeds } from "./JobFeed.ts"
import type { JobMessage } from "./JobMessages.ts"
import { JobRelay } from "./JobRelay.ts"
import { JobSupervisor } from "./JobSupervisor.ts"

export const layer = Layer.effectDiscard(
  Effect.gen(function* () {
    const { daemonId } = yield* DaemonConfig
    const mail = yield* Mail
    const jobs = yield* JobSupervisor
    const registry = yield* Registry
    const feeds = yield* JobFeeds
    const relay = yield* JobRelay
    const tell = (jobId: JobId, message: JobMessage): boolean => {
      const found = registry.find<JobMessage>(jobAddress(jobId))
      return found._tag === "Some" && found.value.tellUnsafe(message)
    }

    yield* mail.on("TakeJob", ({ jobId, namespaceId, epoch, nodeId, lease, decision, past, followers }, envelope) =>
      Effect.gen(function* () {
        const from = daemonAt(envelope.replyTo)
        if (from === null) return
        const grant = { nodeId, lease, decision, epoch, past }
        const arrival = { delivery: null, followers, grant, from }
        // Its actor answers once it has claimed the row; one that is here already wants a slot of its own.
        if (yield* jobs.start(jobId, namespaceId, arrival)) return
        mail.post({ _tag: "Inbox", daemonId: from }, { _tag: "JobTaken", jobId, taken: false })
      })
    )
    yield* mail.on("JobTaken", ({ jobId, taken }) => Effect.sync(() => void tell(jobId, { _tag: "Taken", taken })))
    yield* mail.on("AdoptJob", ({ jobId, namespaceId, from }) =>
      Effect.asVoid(jobs.start(jobId, namespaceId, { delivery: null, followers: [], grant: null, from }))
    )
    yield* mail.on("JobMoved", ({ jobId }) => Effect.sync(() => void tell(jobId, { _tag: "EndedElsewhere" })))
    yield* mail.on("CancelJob", ({ jobId, cause }) => Effect.sync(() => void tell(jobId, { _tag: "Cancel", cause })))
    yield* mail.on("FollowJob", ({ jobId, by }) =>
      Effect.sync(() => {
        const feed = feeds.find(jobId)
        const isHere = registry.find(jobAddress(jobId))._tag === "Some"
        if (feed !== undefined && isHere && by !== daemonId) relay.follow(feed, by)
      })
    )
  })
)
