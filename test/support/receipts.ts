/** A receipt as whoever gets the file sees it. */
import { checkReceipt, type Finding } from "../../src/layers/ReceiptCheck.ts"
import { canonicalJson } from "../../src/schemas/CanonicalJson.ts"
import type { ReceiptFile } from "../../src/schemas/Receipt.ts"
import { testKey } from "./networkKey.ts"

export const bytesOf = (file: ReceiptFile): Buffer => Buffer.from(`${canonicalJson(file)}\n`)

/** What does not hold, for a reader who trusts the key of the tests. */
export const faultsOf = (bytes: Uint8Array): ReadonlyArray<Finding> =>
  checkReceipt(bytes, [testKey.publicKey]).findings.filter(({ holds }) => !holds)

/** What is said of a part. */
export const saidOf = (file: ReceiptFile, part: Finding["part"]): string | undefined =>
  checkReceipt(bytesOf(file), []).findings.find((finding) => finding.part === part)?.said

/** What a customer gets of it. */
export const withoutNodes = (file: Required<ReceiptFile>): ReceiptFile => {
  const { identity: _identity, ...parts } = file.parts
  return { ...file, parts }
}
