/** The body of a job: what was asked and answered. It may leave its record before the rest does, and a tombstone stands there then. */
import { createHash } from "node:crypto"
import { canonicalJson } from "./CanonicalJson.ts"
import type { JobRecord } from "./JobRecord.ts"
import type { Tombstone } from "./Tombstone.ts"

/** The same before and after nothing but the metadata changed. */
export const bodySha256 = ({ input, output, workflow }: JobRecord): string =>
  createHash("sha256")
    .update(canonicalJson({ request: input.request, choices: (output?.choices ?? []) as never, workflow }))
    .digest("hex")

/** The record without what was asked and answered; figures, codes and ids stay. */
export const withoutBody = (record: JobRecord, tombstone: Tombstone): JobRecord => ({
  ...record,
  clientTag: tombstone.why === "erased" ? null : record.clientTag,
  input: { ...record.input, request: null },
  output: record.output === null ? null : { ...record.output, choices: [] },
  workflow: null,
  tombstone
})
