/**
 * The hand-written reader against the schema that is the law.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { readDaemonFrame } from "../../src/agent/DaemonFrames.ts"
import { DaemonFrame } from "../../src/schemas/AgentFrame.ts"
import { assignment, jobId } from "../support/FakeDaemon.ts"

const asText = Schema.encodeSync(Schema.fromJsonString(DaemonFrame))

describe("the reader of a daemon's frames", () => {
  it.effect.prop("takes any frame that the schema allows", { frame: DaemonFrame }, ({ frame }) =>
    Effect.sync(() => {
      // Bounds that a daemon keeps and the schema leaves open.
      if (frame._tag === "Assign" && frame.firstSeq < 1) return
      if (frame._tag === "Registered" && frame.heartbeatMs < 1) return
      const text = asText(frame)
      assert.deepStrictEqual(readDaemonFrame(text), JSON.parse(text))
    })
  )

  it("takes an assignment as it is and refuses it with any field gone or spoilt", () => {
    const frame = assignment("a", { prefix: [{ choice: 0, text: "x" }] })
    assert.deepStrictEqual(readDaemonFrame(JSON.stringify(frame)), frame)
    for (const key of Object.keys(frame)) {
      assert.isNull(readDaemonFrame(JSON.stringify({ ...frame, [key]: undefined })), key)
      assert.isNull(readDaemonFrame(JSON.stringify({ ...frame, [key]: true })), key)
    }
    for (const bad of [{ prefix: [{}] }, { prefix: [7] }, { firstSeq: 0 }, { deadlineMs: -1 }, { attempt: 1.5 }]) {
      assert.isNull(readDaemonFrame(JSON.stringify({ ...frame, ...bad })), JSON.stringify(bad))
    }
  })

  it("refuses what is no frame", () => {
    const settled = { _tag: "Settled", jobId: jobId("a"), attempt: 1, status: "lost" }
    for (const bad of [
      "",
      "{",
      "null",
      "[]",
      "7",
      "{}",
      '{"_tag":"toString"}',
      '{"_tag":"Bye"}',
      JSON.stringify(settled)
    ]) {
      assert.isNull(readDaemonFrame(bad), bad)
    }
  })
})
