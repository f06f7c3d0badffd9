/**
 * What a network says of a job that ended, signed. A receipt has parts; each is hashed for itself, and the signature covers the hash over those
 * hashes. So an altered part is named, and the one part that says which node it was can be left out without breaking the rest.
 *
 * Nodes and daemons have names that hold within one receipt; who they are stands in `identity`. Request and output stand as hashes with the job's
 * salt, so a short text cannot be guessed; the namespace likewise. Amounts are whole micro-credits in decimal.
 */
import * as Schema from "effect/Schema"
import { Hex } from "./Hex.ts"
import { DaemonId, JobId, NodeId } from "./Ids.ts"
import { Endpoint, Environment, Mode, Priority } from "./Job.ts"
import { JobEventKind } from "./JobEvent.ts"
import { AttemptState, JobState } from "./JobState.ts"
import { SignedResult, Vouch } from "./NodeProof.ts"

export const RECEIPT_FORMAT = "resultity/receipt/v1"

const Amount = Schema.String.check(Schema.isPattern(/^(0|[1-9][0-9]{0,18})$/))
const Alias = Schema.String.check(Schema.isPattern(/^(node|daemon)-[1-9][0-9]*$/))
const Text = Schema.NullOr(Schema.String)

export const ReceiptEvent = Schema.Struct({
  seq: Schema.Int,
  kind: JobEventKind,
  from: Schema.NullOr(JobState),
  to: JobState,
  epoch: Schema.Int,
  attempt: Schema.Int,
  daemon: Schema.NullOr(Alias),
  node: Schema.NullOr(Alias),
  code: Text,
  at: Schema.Int,
  /** SHA-256 over the hash of the event before and this event's other fields. */
  hash: Hex(32)
})
export type ReceiptEvent = typeof ReceiptEvent.Type

export const ReceiptAttempt = Schema.Struct({
  attempt: Schema.Int,
  epoch: Schema.Int,
  node: Alias,
  state: AttemptState,
  leasedAt: Schema.Int,
  endedAt: Schema.NullOr(Schema.Int),
  cause: Text,
  firstSeq: Schema.Int,
  pieces: Schema.Int
})
export type ReceiptAttempt = typeof ReceiptAttempt.Type

export const ReceiptParts = Schema.Struct({
  job: Schema.Struct({
    id: JobId,
    environment: Environment,
    endpoint: Endpoint,
    mode: Mode,
    model: Schema.String,
    priority: Priority,
    /** SHA-256 over salt and namespace: whoever was told the salt can show whose job it was, nobody else can tell. */
    namespace: Hex(32),
    /** SHA-256 of the salt. */
    salt: Hex(32)
  }),
  outcome: Schema.Struct({
    state: JobState,
    code: Text,
    acceptedAt: Schema.Int,
    deadlineAt: Schema.Int,
    firstTokenMs: Schema.NullOr(Schema.Int),
    finishedAt: Schema.Int,
    /** Whether request and output were there in full when the receipt was made. */
    record: Schema.Literals(["complete", "truncated", "missing"])
  }),
  /** Of the request as it was accepted; null: it is not kept. */
  request: Schema.Struct({ sha256: Schema.NullOr(Hex(32)) }),
  /** Of the choices; null: nothing was said, or it is not kept. */
  output: Schema.Struct({ sha256: Schema.NullOr(Hex(32)), choices: Schema.Int }),
  usage: Schema.Struct({
    promptTokens: Schema.Int,
    outputTokens: Schema.Int,
    reserved: Amount,
    charged: Amount,
    quote: Schema.Struct({
      version: Schema.Int,
      perPromptToken: Amount,
      perOutputToken: Amount,
      perRequest: Amount
    })
  }),
  attempts: Schema.Array(ReceiptAttempt),
  events: Schema.Array(ReceiptEvent),
  /** The node's word for the output; null: the job did not complete, or the signed result was lost. */
  result: Schema.NullOr(SignedResult),
  /** Who stands behind the names. Left out of what a customer gets. */
  identity: Schema.optionalKey(
    Schema.Struct({
      /** Keeps this part from being guessed from its hash. */
      blind: Hex(32),
      /** `node-1` is the first. */
      nodes: Schema.Array(NodeId),
      daemons: Schema.Array(DaemonId),
      session: Schema.NullOr(Vouch)
    })
  )
})
export type ReceiptParts = typeof ReceiptParts.Type

export const PART_NAMES = [
  "job",
  "outcome",
  "request",
  "output",
  "usage",
  "attempts",
  "events",
  "result",
  "identity"
] as const
export type PartName = (typeof PART_NAMES)[number]

export const Digests = Schema.Struct({
  job: Hex(32),
  outcome: Hex(32),
  request: Hex(32),
  output: Hex(32),
  usage: Hex(32),
  attempts: Hex(32),
  events: Hex(32),
  result: Hex(32),
  identity: Hex(32)
})
export type Digests = typeof Digests.Type

/** Ed25519 by the network's key, and which one: keys change, receipts stay. */
export const NetworkSignature = Schema.Struct({
  keyId: Schema.String,
  publicKey: Hex(32),
  signature: Hex(64)
})
export type NetworkSignature = typeof NetworkSignature.Type

export const Receipt = Schema.Struct({
  format: Schema.Literal(RECEIPT_FORMAT),
  parts: ReceiptParts,
  digests: Digests,
  /** Over the digests; what is signed, and a leaf of its hour's tree. */
  hash: Hex(32),
  network: NetworkSignature
})
export type Receipt = typeof Receipt.Type

/** What the network says of one UTC hour: the Merkle tree (RFC 6962) over the receipts of its jobs, ordered by job id. */
export const RootStatement = Schema.Struct({
  domain: Schema.Literal("resultity/root/v1"),
  environment: Environment,
  /** Counts the roots of this network from 1, without a gap. */
  number: Schema.Int,
  /** When the hour began, epoch ms. */
  hour: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8_000_000_000_000_000 })),
  size: Schema.Natural,
  root: Hex(32),
  /** SHA-256 of the statement before; zeros for the first. */
  previous: Hex(32)
})
export type RootStatement = typeof RootStatement.Type

export const SignedRoot = Schema.Struct({ statement: RootStatement, network: NetworkSignature })
export type SignedRoot = typeof SignedRoot.Type

export const Inclusion = Schema.Struct({
  index: Schema.Int,
  /** Sibling hashes from the leaf up. */
  path: Schema.Array(Hex(32)).check(Schema.isMaxLength(64)),
  root: SignedRoot
})
export type Inclusion = typeof Inclusion.Type

/** The file: a receipt, where it stands in its hour once that is closed, and the customer's own key to the hashes. */
export const ReceiptFile = Schema.Struct({
  ...Receipt.fields,
  inclusion: Schema.NullOr(Inclusion),
  /** Its owner may take it out before he hands the file on: the hashes then say nothing to whoever does not know the texts. */
  opening: Schema.optionalKey(Schema.Struct({ salt: Hex(32) }))
})
export type ReceiptFile = typeof ReceiptFile.Type
