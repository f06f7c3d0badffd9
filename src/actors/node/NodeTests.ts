/**
 * The test inference of each model before any customer's job. It looks like every other assignment, so a node cannot tell it; it is checked
 * like every other result: signed, gap-free, matching its hash, and with something to show.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import { piecesHash, requestSha256 } from "../../layers/Signatures.ts"
import type { AgentFrame } from "../../schemas/AgentFrame.ts"
import { freshJobId, leaseTokenOf, type JobId } from "../../schemas/Ids.ts"
import type { Endpoint } from "../../schemas/Job.ts"
import type { ServedModel } from "../../schemas/NodeProfile.ts"
import { isSigned, sendFrame, slotsUsed, type ModelTest, type NodeActorState } from "./NodeActorState.ts"
import { becomeActive, raise } from "./NodeStanding.ts"

type AttemptFrame = Extract<AgentFrame, { _tag: "Accept" | "Reject" | "Pieces" | "Result" | "Fail" }>

const TEST_MAX_MS = 60_000
const RETEST = "1 minute"
const TEST_TOKENS = 8

const bodyOf = (endpoint: Endpoint, model: string): Schema.JsonObject => {
  const seed = 7
  switch (endpoint) {
    case "chat":
      return { model, messages: [{ role: "user", content: "Name a colour." }], max_tokens: TEST_TOKENS, seed }
    case "completions":
      return { model, prompt: "The sky is", max_tokens: TEST_TOKENS, seed }
    case "embeddings":
      return { model, input: "The sky is blue." }
  }
}

/** Starts the tests that are due, as many as there are slots; each end starts the next. */
export const startTests = (state: NodeActorState): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    if (state.session === null || state.lifecycle !== "testing") return
    const running = new Set([...state.tests.values()].map(({ model }) => model))
    const due = state.models.filter(({ name }) => !state.passed.has(name) && !running.has(name))
    if (due.length === 0 && running.size === 0) return yield* becomeActive(state)
    for (const model of due) {
      if (slotsUsed(state) >= state.row.profile.slots) return
      yield* startTest(state, model)
    }
  })

/** A test says nothing that would have to be hidden. */
const TEST_SALT = "0".repeat(64)

const startTest = (state: NodeActorState, { name, endpoints }: ServedModel) =>
  Effect.gen(function* () {
    const endpoint = endpoints[0]
    if (endpoint === undefined) return void state.passed.add(name)
    const jobId = yield* freshJobId
    const body = bodyOf(endpoint, name)
    const asked = requestSha256(TEST_SALT, endpoint, body)
    const fresh = { model: name, requestSha256: asked, hash: piecesHash(TEST_SALT), lastSeq: 0, spoke: false }
    state.tests.set(jobId, fresh)
    yield* state.self.after(`test/${jobId}`, TEST_MAX_MS, { _tag: "TestTimedOut", jobId })
    sendFrame(state, {
      _tag: "Assign",
      jobId,
      attempt: 1,
      epoch: 1,
      lease: leaseTokenOf(jobId, 1),
      endpoint,
      body,
      salt: TEST_SALT,
      firstSeq: 1,
      prefix: [],
      outputTokensMax: TEST_TOKENS,
      deadlineMs: TEST_MAX_MS
    })
  })

export const onTestFrame = (state: NodeActorState, frame: AttemptFrame): Effect.Effect<void> => {
  const test = state.tests.get(frame.jobId)
  if (test === undefined) return Effect.void
  switch (frame._tag) {
    case "Accept":
      return Effect.void
    case "Pieces":
      for (const piece of frame.pieces) {
        if (piece.seq !== test.lastSeq + 1) return failTest(state, frame.jobId, test, "gap")
        test.lastSeq = piece.seq
        test.hash.add(piece)
        test.spoke ||= piece.text !== "" || piece.extra !== undefined
      }
      return Effect.void
    case "Result": {
      const whole =
        frame.lastSeq === test.lastSeq &&
        frame.model === test.model &&
        frame.requestSha256 === test.requestSha256 &&
        frame.piecesSha256 === test.hash.digest() &&
        isSigned(state, frame)
      if (!whole || !test.spoke) return failTest(state, frame.jobId, test, whole ? "empty" : "mismatch")
      return passTest(state, frame.jobId, test)
    }
    case "Reject":
    case "Fail":
      return failTest(state, frame.jobId, test, frame.code)
  }
}

export const testTimedOut = (state: NodeActorState, jobId: JobId): Effect.Effect<void> => {
  const test = state.tests.get(jobId)
  return test === undefined ? Effect.void : failTest(state, jobId, test, "timeout")
}

const passTest = (state: NodeActorState, jobId: JobId, { model }: ModelTest) =>
  Effect.gen(function* () {
    state.tests.delete(jobId)
    state.passed.add(model)
    sendFrame(state, { _tag: "Settled", jobId, attempt: 1, status: "accepted" })
    yield* state.self.cancelAfter(`test/${jobId}`)
    state.self.self.tellUnsafe({ _tag: "TestDue" })
  })

const failTest = (state: NodeActorState, jobId: JobId, { model }: ModelTest, code: string) =>
  Effect.gen(function* () {
    state.tests.delete(jobId)
    sendFrame(state, { _tag: "Cancel", jobId, attempt: 1, code: "test_failed" })
    yield* state.self.cancelAfter(`test/${jobId}`)
    yield* Effect.logWarning("node failed its test", { nodeId: state.nodeId, model, code })
    yield* raise(state, "test_failed", "medium", null, { model, code })
    yield* state.self.after("retest", RETEST, { _tag: "TestDue" })
  })
