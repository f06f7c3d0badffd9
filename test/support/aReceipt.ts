/** A receipt of a job that a node answered, made of real signatures, in an hour with four others. */
import { fromPrivateKey } from "../../src/agent/Identity.ts"
import { fresh } from "../../src/agent/SessionKey.ts"
import { partsOf } from "../../src/actors/ReceiptParts.ts"
import { requestSha256 } from "../../src/layers/Signatures.ts"
import type { HandshakeClaim, ResultClaim } from "../../src/schemas/AgentFrame.ts"
import type { JobEvent } from "../../src/schemas/JobEvent.ts"
import type { JobRow } from "../../src/schemas/JobState.ts"
import { leafHash, pathIn, rootOver } from "../../src/schemas/MerkleTree.ts"
import { RECEIPT_FORMAT, type ReceiptFile, type RootStatement } from "../../src/schemas/Receipt.ts"
import { digestsOf, FIRST_ROOT, receiptBytes, receiptHash, rootBytes } from "../../src/schemas/ReceiptHashes.ts"
import { aDaemonId, aJob, credits } from "./factories.ts"
import { testKey } from "./networkKey.ts"
import { aFinishedRecord, anOutput } from "./recordFactories.ts"

const AT = Date.UTC(2026, 10, 30, 10)
export const SALT = "5a".repeat(32)
export const identity = fromPrivateKey(
  Uint8Array.from(Buffer.from("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80", "hex"))
)
const session = fresh()
const daemonId = aDaemonId()

const job = aJob({ acceptedAt: AT, reserved: credits(100), environment: "testnet" })
const { quote } = job
const charged = quote.perRequest + quote.perPromptToken * 9n + quote.perOutputToken * 2n
export const row: JobRow = {
  job,
  state: "completed",
  owner: null,
  epoch: 1,
  attempt: 1,
  failures: 0,
  crashes: 0,
  nodeId: identity.nodeId,
  runAt: AT,
  usage: { promptTokens: 9, outputTokens: 2 },
  charged: charged < 100n ? credits(charged) : credits(100),
  errorCode: null,
  finishedAt: AT + 50
}

const event = (
  seq: number,
  kind: JobEvent["kind"],
  from: JobEvent["from"],
  to: JobEvent["to"],
  at: number
): JobEvent => ({
  jobId: job.id,
  seq,
  kind,
  from,
  to,
  epoch: seq === 1 ? 0 : 1,
  attempt: seq === 1 ? 0 : 1,
  daemonId: seq === 1 ? null : daemonId,
  nodeId: seq === 1 ? null : identity.nodeId,
  code: null,
  at
})
const events = [
  event(1, "admitted", null, "queued", AT),
  event(2, "claimed", "queued", "active", AT + 10),
  event(3, "finished", "active", "completed", AT + 50)
]

const vouchClaim: HandshakeClaim = {
  domain: "resultity/authenticate/v1",
  environment: "testnet",
  nodeId: identity.nodeId,
  serverId: daemonId,
  nonce: "0e".repeat(32),
  timestamp: AT - 1000,
  sessionKey: session.publicHex
}
const claim: ResultClaim = {
  domain: "resultity/result/v2",
  jobId: job.id,
  attempt: 1,
  epoch: 1,
  model: job.model,
  requestSha256: requestSha256(SALT, "chat", { model: job.model }),
  firstSeq: 1,
  lastSeq: 3,
  promptTokens: 9,
  outputTokens: 2,
  piecesSha256: "ab".repeat(32)
}
const proof = {
  result: { claim, sessionKey: session.publicHex, signature: session.signResult(claim) },
  session: { claim: vouchClaim, signature: identity.signHandshake(vouchClaim) }
}

const record = aFinishedRecord(AT + 50, {
  jobId: job.id,
  salt: SALT,
  nodeProof: proof,
  completeness: "complete",
  output: anOutput(9, 2),
  routing: {
    nodeId: identity.nodeId,
    assignedAt: AT + 10,
    fallbacks: [],
    decisions: [],
    attempts: [
      {
        attempt: 1,
        epoch: 1,
        nodeId: identity.nodeId,
        state: "succeeded",
        leasedAt: AT + 9,
        assignedAt: AT + 10,
        firstTokenAt: AT + 20,
        endedAt: AT + 50,
        cause: null,
        firstSeq: 1,
        tokens: 2
      }
    ]
  }
})

interface Hashes {
  readonly request?: string
  readonly output?: string
}

/** @param over what the row says otherwise */
export const fileBy = (key = testKey, over: Partial<JobRow> = {}, hashes: Hashes = {}): Required<ReceiptFile> => {
  const made = partsOf({ row: { ...row, ...over }, events, record }, "b1".repeat(32))
  const parts = {
    ...made,
    request: { sha256: hashes.request ?? made.request.sha256 },
    output: { ...made.output, sha256: hashes.output ?? made.output.sha256 }
  }
  const digests = digestsOf(parts)
  const hash = receiptHash(digests)
  const leaves = ["11", "22", hash, "44", "55"].map(leafHash)
  const statement: RootStatement = {
    domain: "resultity/root/v1",
    environment: "testnet",
    number: 7,
    hour: AT,
    size: 5,
    root: rootOver(leaves),
    previous: FIRST_ROOT
  }
  return {
    format: RECEIPT_FORMAT,
    parts,
    digests,
    hash,
    network: key.sign((keyId) => receiptBytes(hash, keyId)),
    inclusion: {
      index: 2,
      path: pathIn(leaves, 2),
      root: { statement, network: key.sign((keyId) => rootBytes(statement, keyId)) }
    },
    opening: { salt: SALT }
  }
}
