/**
 * The one plain state behind the deciding contracts in memory: what PostgreSQL holds in a cluster, as Maps.
 *
 * `layer` makes a fresh one. A test that lets a daemon die and another come after it makes the state with `make` and provides it to both;
 * that is all that "durable" means here. A transaction is one synchronous step: it computes everything first and then writes.
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { type Balance, zero } from "../../schemas/Credits.ts"
import type {
  DaemonId,
  EnvelopeId,
  ErasureId,
  JobId,
  KeyId,
  NamespaceId,
  NodeId,
  NoticeId,
  WebhookId
} from "../../schemas/Ids.ts"
import type { Erasure } from "../../schemas/Erasure.ts"
import type { JobEvent } from "../../schemas/JobEvent.ts"
import { isTerminal, type JobRow } from "../../schemas/JobState.ts"
import type { ApiKey, Namespace } from "../../schemas/Namespace.ts"
import type { NodeRow, Restriction, RestrictionKind } from "../../schemas/NodeProfile.ts"
import type { SignedRoot } from "../../schemas/Receipt.ts"
import type { SettingsVersion } from "../../schemas/RuntimeSettings.ts"
import type { AccountRollup, CreditRollup, JobRollup, RollupDefinition } from "../../schemas/Rollup.ts"
import type { SegmentId } from "../../schemas/SegmentId.ts"
import type { ErasureStone } from "../../schemas/Tombstone.ts"
import type { Notice, Webhook } from "../../schemas/Webhook.ts"
import type { AuditRow } from "../Audit.ts"
import type { KnownModel } from "../Catalog.ts"
import type { CreditEntry } from "../CreditLedger.ts"
import type { DaemonRow } from "../Daemons.ts"
import type { RestrictionChange } from "../NodeRegistry.ts"
import type { OutboxRow } from "../Outbox.ts"
import type { AwayDay } from "../RollupDays.ts"
import type { Standing } from "../RollupFold.ts"
import type { KnownKey } from "../NetworkKeys.ts"
import type { Block, Leaf } from "../Receipts.ts"
import type { SweeperState } from "../SweeperStates.ts"

/** What belongs to one namespace. */
export interface Account {
  namespace: Namespace
  balance: Balance
  readonly entries: Array<CreditEntry>
  /** Its unfinished jobs. */
  readonly open: Set<JobId>
  readonly remembered: Map<string, RememberedKey>
}

/** An idempotency key and what it stands for. */
export interface RememberedKey {
  readonly jobId: JobId
  readonly bodyHash: string
  readonly expiresAt: number
}

export interface StoredJob {
  /** Who pays. */
  readonly account: Account
  row: JobRow
  readonly events: Array<JobEvent>
}

export interface StoredMessage {
  readonly row: OutboxRow
  readonly dueAt: number
}

export interface StoredNode {
  row: Omit<NodeRow, "restrictions">
  readonly restrictions: Map<RestrictionKind, Restriction>
  readonly history: Array<RestrictionChange>
}

export interface StoredWebhook {
  webhook: Webhook
  readonly secret: Redacted.Redacted
}

export interface StoredNotice {
  notice: Notice
  readonly body: string
}

/** Rows by period and key. */
export interface RollupState {
  readonly places: Map<NamespaceId, { readonly standing: Standing; readonly jobsSeq: number }>
  readonly credits: Map<string, CreditRollup>
  readonly jobs: Map<string, JobRollup>
  readonly accounts: Map<string, AccountRollup>
  readonly closedUntil: Record<RollupDefinition, number>
  readonly away: Map<number, AwayDay>
}

export interface State {
  /** Joining declares every other daemon dead, as in a data folder; false for a simulated cluster. */
  readonly soleOwner: boolean
  readonly accounts: Map<NamespaceId, Account>
  /** Entries ever written, by all namespaces: the number of the last one. */
  entriesSeen: number
  /** By the digest of the secret. */
  readonly keys: Map<string, ApiKey>
  /** Where a key stands in `keys`. */
  readonly digests: Map<KeyId, string>
  readonly jobs: Map<JobId, StoredJob>
  /** Marks of rows that leave. */
  readonly leaving: Map<JobId, SegmentId>
  readonly outbox: Map<EnvelopeId, StoredMessage>
  readonly daemons: Map<DaemonId, DaemonRow>
  readonly nodes: Map<NodeId, StoredNode>
  readonly models: Map<string, KnownModel>
  /** The version n stands at n - 1. */
  readonly versions: Array<SettingsVersion>
  readonly sweepers: Map<string, SweeperState>
  /** The row n stands at n - 1. */
  readonly audit: Array<AuditRow>
  readonly webhooks: Map<WebhookId, StoredWebhook>
  readonly notices: Map<NoticeId, StoredNotice>
  readonly rollups: RollupState
  readonly erasures: Map<ErasureId, Erasure>
  readonly stones: Map<JobId, ErasureStone>
  readonly leaves: Map<JobId, Leaf>
  /** In order of their numbers. */
  readonly roots: Array<{ readonly root: SignedRoot; readonly blocks: ReadonlyArray<Block> }>
  readonly networkKeys: Map<string, Omit<KnownKey, "daemons">>
  readonly networkKeyUses: Map<DaemonId, string>
}

export class MemoryState extends Context.Service<MemoryState, State>()("resultity/layers/memory/MemoryState") {}

export const make = ({ soleOwner = true }: { readonly soleOwner?: boolean } = {}): State => ({
  soleOwner,
  accounts: new Map(),
  entriesSeen: 0,
  keys: new Map(),
  digests: new Map(),
  jobs: new Map(),
  leaving: new Map(),
  outbox: new Map(),
  daemons: new Map(),
  nodes: new Map(),
  models: new Map(),
  versions: [],
  sweepers: new Map(),
  audit: [],
  webhooks: new Map(),
  notices: new Map(),
  rollups: {
    places: new Map(),
    credits: new Map(),
    jobs: new Map(),
    accounts: new Map(),
    closedUntil: { credits: 0, jobs: 0, accounts: 0 },
    away: new Map()
  },
  erasures: new Map(),
  stones: new Map(),
  leaves: new Map(),
  roots: [],
  networkKeys: new Map(),
  networkKeyUses: new Map()
})

export const layer: Layer.Layer<MemoryState> = Layer.sync(MemoryState, () => make())

export const emptyBalance: Balance = { granted: zero, available: zero, reserved: zero, spent: zero }

export const isAlive = (state: State, daemonId: DaemonId): boolean => state.daemons.get(daemonId)?.state === "live"

/** Every unfinished job. */
export const openJobs = (state: State): ReadonlyArray<StoredJob> =>
  [...state.jobs.values()].filter(({ row }) => !isTerminal(row.state))

/** One id twice is one row: the first. */
export const putMessage = (state: State, row: OutboxRow, dueAt: number): void => {
  if (!state.outbox.has(row.id)) state.outbox.set(row.id, { row, dueAt: Math.max(dueAt, row.createdAt) })
}
