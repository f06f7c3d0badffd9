/**
 * Reads a receipt and says, part by part, what holds. Pure and without a network: a file, and the key that the reader trusts, are enough. What is wrong
 * is named, so that an altered byte is found in the part in which it stands.
 */
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { canonicalJson } from "../schemas/CanonicalJson.ts"
import { leafHash, rootFrom } from "../schemas/MerkleTree.ts"
import { type NetworkSignature, PART_NAMES, type PartName, ReceiptFile } from "../schemas/Receipt.ts"
import {
  chainLink,
  chainStart,
  digestOf,
  keyIdOf,
  receiptBytes,
  receiptHash,
  rootBytes,
  saltHash
} from "../schemas/ReceiptHashes.ts"
import { saltedSha256 } from "../schemas/Salted.ts"
import { isSignedBy, recoverAddress, resultBytes } from "./Signatures.ts"

export interface Finding {
  readonly part: PartName | "file" | "format" | "digests" | "hash" | "network" | "inclusion" | "root" | "opening"
  readonly holds: boolean
  readonly said: string
}

export interface Checked {
  /** null: it could not be read. */
  readonly receipt: ReceiptFile | null
  readonly findings: ReadonlyArray<Finding>
}

const ok = (part: Finding["part"], said: string): Finding => ({ part, holds: true, said })
const wrong = (part: Finding["part"], said: string): Finding => ({ part, holds: false, said })

const decode = Schema.decodeUnknownResult(ReceiptFile, { onExcessProperty: "error", errors: "all" })
const format = SchemaIssue.makeFormatterStandardSchemaV1()
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** `trusted`: public keys of the network that the reader has from elsewhere; none: the file's own word is taken, and said to be. */
export const checkReceipt = (bytes: Uint8Array, trusted: ReadonlyArray<string>): Checked => {
  const read = readFile(bytes)
  if (Result.isFailure(read)) return { receipt: null, findings: read.failure }
  const receipt = read.success
  return {
    receipt,
    findings: [
      ok("file", "is as it was written"),
      ...partsOf(receipt),
      hashOf(receipt),
      signedBy("network", receipt.network, receiptBytes(receipt.hash, receipt.network.keyId), trusted),
      ...openingOf(receipt),
      ...inclusionOf(receipt, trusted)
    ]
  }
}

/** What somebody holds against a receipt: a request, or the choices of an answer, as JSON. */
export interface Texts {
  readonly request?: Schema.Json
  readonly output?: Schema.Json
}

/** Whether the receipt is of these. Only who has the salt can tell. */
export const compareTexts = ({ parts, opening }: ReceiptFile, texts: Texts): ReadonlyArray<Finding> =>
  (["request", "output"] as const).flatMap((part): Finding | [] => {
    const value = texts[part]
    if (value === undefined) return []
    if (opening === undefined) return wrong(part, "cannot be compared: the file has no salt (opening)")
    const isSame = saltedSha256(opening.salt, value) === parts[part].sha256
    return isSame ? ok(part, "is what was given") : wrong(part, "is not what was given")
  })

const AS_WRITTEN = "is not in the form in which it was written; `jq -cS .` restores a file that was only laid out anew"

const readFile = (bytes: Uint8Array): Result.Result<ReceiptFile, ReadonlyArray<Finding>> => {
  const text = Result.try(() => utf8.decode(bytes))
  if (Result.isFailure(text)) return Result.fail([wrong("file", "is not UTF-8")])
  const value = Result.try(() => JSON.parse(text.success) as Schema.Json)
  if (Result.isFailure(value)) return Result.fail([wrong("file", "is not JSON")])
  const decoded = decode(value.success)
  if (Result.isFailure(decoded)) {
    const { issues } = format(decoded.failure.issue)
    return Result.fail(issues.map(({ path, message }) => wrong(placeOf(path ?? []), message)))
  }
  if (text.success !== `${canonicalJson(value.success)}\n`) return Result.fail([wrong("file", AS_WRITTEN)])
  return Result.succeed(decoded.success)
}

const TOP: ReadonlySet<unknown> = new Set(["format", "digests", "hash", "network", "inclusion", "opening"])
const isPart = (name: unknown): name is PartName => PART_NAMES.some((known) => known === name)

const placeOf = (path: ReadonlyArray<unknown>): Finding["part"] => {
  const [first, second, third] = path
  if ((first === "parts" || first === "digests") && isPart(second)) return second
  if (first === "inclusion" && second === "root" && third !== undefined) return "root"
  return TOP.has(first) ? (first as Finding["part"]) : "file"
}

const partsOf = (receipt: ReceiptFile): ReadonlyArray<Finding> =>
  PART_NAMES.map((name) => {
    const part = receipt.parts[name]
    if (part === undefined) return ok(name, "was left out; its hash stands")
    if (digestOf(name, part) !== receipt.digests[name])
      return wrong(name, `is not what hashes to ${receipt.digests[name]}`)
    const said = RULES[name]?.(receipt)
    return typeof said === "string" ? ok(name, said) : (said ?? ok(name, "is what was signed"))
  })

/** What must be true of a part beside its hash; a sentence when it is. */
const RULES: Readonly<Partial<Record<PartName, (receipt: ReceiptFile) => Finding | string>>> = {
  usage: ({ parts: { usage, outcome } }) => {
    const { reserved, charged, quote, promptTokens, outputTokens } = usage
    const owed =
      BigInt(quote.perRequest) +
      BigInt(quote.perPromptToken) * BigInt(promptTokens) +
      BigInt(quote.perOutputToken) * BigInt(outputTokens)
    const due = owed < BigInt(reserved) ? owed : BigInt(reserved)
    const figures = `${promptTokens} prompt and ${outputTokens} output tokens, ${charged} micro-credits`
    const isDue = outcome.state === "completed" || charged !== "0"
    return isDue && BigInt(charged) !== due ? wrong("usage", `${figures}; by its quote ${due} are due`) : figures
  },
  events: ({ parts: { job, events, outcome } }) => {
    let previous = chainStart(job.id)
    for (const [index, event] of events.entries()) {
      const link = chainLink(previous, event)
      if (event.seq !== index + 1) return wrong("events", `has no event ${index + 1}`)
      if (event.hash !== link) return wrong("events", `event ${event.seq} is not linked to the one before`)
      previous = link
    }
    const last = events.at(-1)
    return last === undefined || last.to !== outcome.state || last.at !== outcome.finishedAt
      ? wrong("events", "do not end as the job did")
      : `${events.length} in an unbroken chain, ending ${last.to}`
  },
  result: ({ parts: { job, attempts, result } }) => {
    if (result === null) return "no node signed a result"
    const { claim, sessionKey, signature } = result
    if (!isSignedBy(sessionKey, resultBytes(claim), signature))
      return wrong("result", "is not signed by its session's key")
    if (claim.jobId !== job.id || claim.model !== job.model) return wrong("result", "is of another job or model")
    const last = attempts.at(-1)
    return last === undefined || last.attempt !== claim.attempt || last.firstSeq !== claim.firstSeq
      ? wrong("result", "is not of the last attempt")
      : `signed by ${last.node} over request, model, pieces ${claim.firstSeq} to ${claim.lastSeq} and its counts (${claim.promptTokens} prompt, ${claim.outputTokens} output)`
  },
  identity: ({ parts: { job, attempts, result, identity } }) => {
    if (identity === undefined || result === null || identity.session === null) {
      return result === null || identity === undefined
        ? "names the nodes"
        : wrong("identity", "lacks the word of the node for its session")
    }
    const { claim, signature } = identity.session
    const signer = recoverAddress(claim, signature)
    if (signer === null || signer !== claim.nodeId) return wrong("identity", "the node did not sign its session")
    if (claim.sessionKey !== result.sessionKey) return wrong("identity", "the session has another key than the result")
    if (claim.environment !== job.environment) return wrong("identity", "the session is of another environment")
    const alias = Number(attempts.at(-1)?.node.split("-")[1] ?? 0)
    return identity.nodes[alias - 1] === signer
      ? `node-${alias} is ${signer}, and vouched for the session's key`
      : wrong("identity", `${signer} is not the node of the last attempt`)
  }
}

const hashOf = ({ digests, hash }: ReceiptFile): Finding =>
  receiptHash(digests) === hash
    ? ok("hash", `${hash} is over all parts`)
    : wrong("hash", "is not over the parts' hashes")

const signedBy = (
  part: Finding["part"],
  { keyId, publicKey, signature }: NetworkSignature,
  bytes: Uint8Array,
  trusted: ReadonlyArray<string>
): Finding => {
  if (keyIdOf(publicKey) !== keyId) return wrong(part, `the key is not the one that ${keyId} names`)
  if (!isSignedBy(publicKey, bytes, signature)) return wrong(part, `is not signed by ${keyId}`)
  if (trusted.length === 0)
    return ok(part, `signed by ${keyId}, ${publicKey}: compare it with a key that you trust (--key)`)
  return trusted.includes(publicKey)
    ? ok(part, `signed by ${keyId}, which you trust`)
    : wrong(part, `signed by ${keyId}, ${publicKey}, which is none of the keys that you trust`)
}

const openingOf = ({ opening, parts }: ReceiptFile): ReadonlyArray<Finding> => {
  if (opening === undefined) return []
  return [
    saltHash(opening.salt) === parts.job.salt
      ? ok("opening", "is the salt of request and output")
      : wrong("opening", "is not the salt that the receipt names")
  ]
}

const inclusionOf = (
  { inclusion, hash, parts }: ReceiptFile,
  trusted: ReadonlyArray<string>
): ReadonlyArray<Finding> => {
  if (inclusion === null) return [ok("inclusion", "the hour was not closed when the file was written")]
  const { index, path, root } = inclusion
  const { statement, network } = root
  const hour = DateTime.formatIso(DateTime.makeUnsafe(statement.hour)).slice(0, 16)
  const leads = rootFrom(leafHash(hash), index, statement.size, path) === statement.root
  const isLater =
    statement.hour + 3_600_000 > parts.outcome.finishedAt && statement.environment === parts.job.environment
  return [
    leads && isLater
      ? ok("inclusion", `receipt ${index + 1} of ${statement.size} in the hour from ${hour} UTC`)
      : wrong("inclusion", leads ? "is of an hour before the job's end" : "does not lead to the root"),
    signedBy("root", network, rootBytes(statement, network.keyId), trusted)
  ]
}
