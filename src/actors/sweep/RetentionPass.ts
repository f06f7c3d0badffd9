/** What one pass of retention stands on: the stores, and the rules as they were when it began. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Archive } from "../../layers/Archive.ts"
import type { EntryRetention } from "../../layers/EntryRetention.ts"
import type { Incidents } from "../../layers/Incidents.ts"
import type { Namespaces } from "../../layers/Namespaces.ts"
import type { RecordRetention } from "../../layers/RecordRetention.ts"
import type { Settings } from "../../layers/Settings.ts"
import type { ReceiptDesk } from "../ReceiptDesk.ts"
import { fateOf } from "../../policies/Retention.ts"
import type { Namespace } from "../../schemas/Namespace.ts"
import type { RetentionClass, RetentionSettings } from "../../schemas/Retention.ts"

export interface PassHouse {
  readonly namespaces: Namespaces["Service"]
  readonly archive: Archive["Service"]
  readonly incidents: Incidents["Service"]
  readonly settings: Settings["Service"]
}

export interface RetentionHouse extends PassHouse {
  readonly retention: RecordRetention["Service"]
  readonly entries: EntryRetention["Service"]
  readonly desk: Pick<ReceiptDesk["Service"], "completed">
}

/** The rules of one pass, looked up when it begins: a namespace that changes its tier feels it in the next. */
export interface Pass {
  readonly now: number
  readonly settings: RetentionSettings
  readonly namespaces: ReadonlyArray<Namespace>
  readonly hasArchive: boolean
}

export const beginPass = ({ namespaces, settings, archive }: PassHouse) =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const { retention } = (yield* settings.current).settings
    return { now, settings: retention, namespaces: yield* namespaces.list, hasArchive: archive.isThere } satisfies Pass
  })

/** Rules for what belongs to no namespace. */
export const NOBODYS = { retentionDays: null, persistPayloads: true }

/** Whether what is due has to stay because there is nowhere to put it; said in the log each time, for it is the operator's to know. */
export const waits = (pass: Pass, of: RetentionClass, isHeld = false) =>
  Effect.gen(function* () {
    const fate =
      isHeld && !pass.hasArchive ? ({ _tag: "wait", warns: true } as const) : fateOf(of, pass.hasArchive, pass.settings)
    if (fate._tag !== "wait") return false
    const says = { dataClass: of, rule: pass.settings.withoutArchive[of] }
    if (fate.warns) yield* Effect.logWarning("retention waits: there is no cold storage", says)
    else yield* Effect.logInfo("retention holds: there is no cold storage", says)
    return true
  })
