import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { AgentFrame, DaemonFrame, NumberedAgentFrame, Piece } from "../../src/schemas/AgentFrame.ts"
import { DataClass, SegmentId, SegmentManifest } from "../../src/schemas/Archive.ts"
import { BalanceWire, Credits, CreditsFromString, EntryKind } from "../../src/schemas/Credits.ts"
import { Envelope, Message } from "../../src/schemas/Envelope.ts"
import * as Ids from "../../src/schemas/Ids.ts"
import { Incident, IncidentKind, Severity } from "../../src/schemas/Incident.ts"
import * as Job from "../../src/schemas/Job.ts"
import { JobEvent, JobEventKind } from "../../src/schemas/JobEvent.ts"
import { CancelCause, Fault, JobMoment, JobTimer } from "../../src/schemas/JobMoment.ts"
import * as JobRecord from "../../src/schemas/JobRecord.ts"
import { AttemptState, JobState, TerminalState } from "../../src/schemas/JobState.ts"
import { ApiKey, Namespace, NamespaceRules } from "../../src/schemas/Namespace.ts"
import * as NodeProfile from "../../src/schemas/NodeProfile.ts"
import { Refusal, RefusalCode } from "../../src/schemas/Refusal.ts"
import { Price, RuntimeSettings, SettingsVersion } from "../../src/schemas/RuntimeSettings.ts"
import { FinishReason, TokenEvent } from "../../src/schemas/TokenEvent.ts"
import { withPlainKeys } from "../support/PlainKeys.ts"

type Codec = Schema.Codec<unknown, unknown>
const codec = <A, I>(schema: Schema.Codec<A, I>): Codec => schema as unknown as Codec
const all = (group: object): Record<string, Codec> =>
  Object.fromEntries(Object.entries(group).filter(([, value]) => Schema.isSchema(value))) as Record<string, Codec>

/** Those whose encoded form holds a bigint: they stand in columns, and need `toCodecJson` to be JSON. */
const COLUMNS: ReadonlySet<string> = new Set(["Credits", "Quote", "Job"])

const CODECS: Record<string, Codec> = {
  ...all(Ids),
  ...all(Job),
  ...all(JobRecord),
  ...all(NodeProfile),
  ...all({ AgentFrame, DaemonFrame, NumberedAgentFrame, Piece, DataClass, SegmentId, SegmentManifest }),
  ...all({ BalanceWire, Credits, CreditsFromString, EntryKind, Envelope, Message, Incident, IncidentKind, Severity }),
  ...all({ JobEvent, JobEventKind, CancelCause, Fault, JobMoment, JobTimer, AttemptState, JobState, TerminalState }),
  ...all({ ApiKey, Namespace, NamespaceRules, RefusalCode, Price, RuntimeSettings, SettingsVersion, FinishReason }),
  ...all({ TokenEvent, Refusal })
}

/** JSON knows no negative zero, and no number of ours means it. */
const withoutNegativeZero = (value: unknown): unknown => {
  if (Object.is(value, -0)) return 0
  if (Array.isArray(value)) return value.map(withoutNegativeZero)
  if (typeof value !== "object" || value === null || value instanceof Error) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withoutNegativeZero(inner)]))
}
const fieldsOf = (value: unknown): unknown =>
  value instanceof Refusal
    ? withoutNegativeZero({ ...value, message: value.message, is: "Refusal" })
    : withPlainKeys(withoutNegativeZero(value))

describe("codecs", () => {
  it("the table knows every schema", () => {
    assert.isAtLeast(Object.keys(CODECS).length, 65)
    for (const name of ["JobId", "NodeId", "Job", "JobRecord", "Decision", "NodeProfile", "Refusal"])
      assert.property(CODECS, name)
  })

  for (const [name, schema] of Object.entries(CODECS)) {
    const json = codec(Schema.fromJsonString(Schema.toCodecJson(schema)))
    const intoText = Schema.encodeSync(json)
    const fromText = Schema.decodeUnknownSync(json)
    it.prop(
      `${name} comes back from JSON text as it was`,
      { value: schema },
      ({ value }) => {
        assert.deepStrictEqual(fieldsOf(fromText(intoText(value))), fieldsOf(value))
      },
      { arbitrary: { runs: 40 } }
    )

    if (COLUMNS.has(name)) continue
    it.prop(
      `${name} is JSON when encoded, without a further codec`,
      { value: schema },
      ({ value }) => {
        const encoded = Schema.encodeSync(schema)(value)
        const travelled: unknown = JSON.parse(JSON.stringify(encoded))
        assert.deepStrictEqual(fieldsOf(Schema.decodeUnknownSync(schema)(travelled)), fieldsOf(value))
      },
      { arbitrary: { runs: 40 } }
    )
  }

  it.effect("the columns are those that JSON cannot hold as they are, and no others", () =>
    Effect.gen(function* () {
      const unfit = yield* Effect.filter(Object.entries(CODECS), ([, schema]) =>
        Effect.gen(function* () {
          const [value] = yield* Arbitrary.sampleEffect(Arbitrary.schema(schema), { count: 1, seed: 1 })
          return hasBigint(yield* Schema.encodeEffect(schema)(value))
        })
      )
      assert.deepStrictEqual(new Set(unfit.map(([name]) => name)), COLUMNS)
    })
  )
})

const hasBigint = (value: unknown): boolean =>
  typeof value === "bigint" || (typeof value === "object" && value !== null && Object.values(value).some(hasBigint))
