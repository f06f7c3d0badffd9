/** Following a job to its end, over connections that break. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ServerResponse } from "node:http"
import { type Answer, call, callAt, fake, problem } from "./FakeControl.ts"

const JOB = "job_01m88edv52zrbmvhhrps9e5kzy"
const usage = { prompt_tokens: 9, output_tokens: 3, total_tokens: 12 }

interface Piece {
  readonly seq: number
  readonly choice: number
  readonly text: string
  readonly finish?: string
}

const piece = (seq: number, text: string, choice = 0): Piece => ({ seq, choice, text })
const tokens = (...pieces: ReadonlyArray<Piece>) =>
  `event: tokens\nid: ${pieces.at(-1)?.seq}\ndata: ${JSON.stringify(pieces)}\n\n`
const ended = (state = "completed", error: object | null = null) =>
  `event: ended\ndata: ${JSON.stringify({ state, usage, cost: "0.000018", error })}\n\n`

const head = (response: ServerResponse) => {
  response.writeHead(200, { "content-type": "text/event-stream" })
  response.write(": following\n\n")
}
/** These events, and then the connection ends as it should. */
const whole =
  (...events: ReadonlyArray<string>): Answer =>
  (response) => {
    head(response)
    response.end(events.join(""))
  }
/** These events, and then the connection is gone. */
const broken =
  (...events: ReadonlyArray<string>): Answer =>
  (response) => {
    head(response)
    response.write(events.join(""), () => response.destroy())
  }

describe("jobs tail", () => {
  it.live("prints text as it stands and what it cost, when the job completed", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer(
        whole(tokens(piece(1, "Hé"), piece(2, "llo\n")), ": keep-alive\n\n", tokens(piece(3, "you")), ended())
      )
      const { exit, out, err } = yield* callAt(control, "jobs", "tail", JOB)
      assert.deepStrictEqual([exit, out], [0, "Héllo\nyou\n"])
      assert.strictEqual(err, "completed: 9 prompt tokens, 3 output tokens, 0.000018 credits\n")
      assert.strictEqual(control.asked[0]?.path, `/control/jobs/${JOB}/events`)
      assert.strictEqual(control.asked[0]?.headers["last-event-id"], "0")
    })
  )

  it.live("goes on behind the last piece and says nothing twice, when the connection breaks", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer(
        broken(tokens(piece(1, "a"), piece(2, "b"))),
        whole(tokens(piece(2, "b"), piece(3, "c"))),
        problem(503, "draining", "Not now."),
        whole(tokens(piece(4, "d")), 'event: behind\ndata: {"last_seq":4}\n\n'),
        whole(tokens(piece(5, "e")), ended())
      )
      const { exit, out, err } = yield* callAt(control, "jobs", "tail", JOB)
      assert.deepStrictEqual([exit, out], [0, "abcde\n"])
      assert.deepStrictEqual(
        control.asked.map(({ headers }) => headers["last-event-id"]),
        ["0", "2", "3", "3", "4"]
      )
      assert.deepStrictEqual(err.split("\n").length, 3, "one remark about the break, and what it cost")
    })
  )

  it.live("begins where it is told to", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer(whole(tokens(piece(8, "x")), ended()))
      yield* callAt(control, "jobs", "tail", JOB, "--after", "7")
      assert.strictEqual(control.asked[0]?.headers["last-event-id"], "7")
    })
  )

  it.live("tells answers apart by their number, when there are several", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer(
        whole(
          tokens(piece(1, "a"), piece(2, "b"), piece(3, "x", 1)),
          tokens(piece(4, "c\n"), piece(5, "y", 1)),
          ended()
        )
      )
      const { out } = yield* callAt(control, "jobs", "tail", JOB)
      assert.strictEqual(out, "ab\n[1] x\n[0] c\n[1] y\n")
    })
  )

  it.live("writes one line for each piece and one for the end, when programs read it", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const last = { ...piece(2, ""), finish: "stop" }
      control.answer(whole(tokens(piece(1, "a")), tokens(last), ended()))
      const { out } = yield* callAt(control, "jobs", "tail", JOB, "--json")
      const lines = out.trimEnd().split("\n")
      assert.deepStrictEqual(
        lines.map((line) => JSON.parse(line)),
        [
          { event: "tokens", ...piece(1, "a") },
          { event: "tokens", ...last },
          { event: "ended", state: "completed", usage, cost: "0.000018", error: null }
        ]
      )
    })
  )

  it.live("lets a model steer a pipe but no terminal", () =>
    Effect.gen(function* () {
      const control = yield* fake
      const events = whole(tokens(piece(1, "a\u001b[2J\tb\n")), ended())
      control.answer(events, events)
      const argv = ["jobs", "tail", JOB, "--control", control.url]
      assert.strictEqual((yield* call(argv)).out, "a\u001b[2J\tb\n")
      assert.strictEqual((yield* call(argv, {}, true)).out, "a\ufffd[2J\tb\n")
    })
  )

  const OUTCOMES = [
    ["failed", 1],
    ["cancelled", 5],
    ["timed_out", 6],
    ["expired", 6]
  ] as const
  for (const [state, code] of OUTCOMES) {
    it.live(`exits with ${code}, when the job ended as ${state}`, () =>
      Effect.gen(function* () {
        const control = yield* fake
        control.answer(whole(tokens(piece(1, "a")), ended(state, { code: `job_${state}`, message: "It is over." })))
        const { exit, out, err } = yield* callAt(control, "jobs", "tail", JOB)
        assert.deepStrictEqual([exit, out, err], [code, "a\n", `job_${state}: It is over.\n`])
      })
    )
  }

  it.live("gives up at once, when the daemon was never there or does not know the job", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer(problem(503, "unavailable", "Not now."))
      assert.strictEqual((yield* callAt(control, "jobs", "tail", JOB)).exit, 6)
      assert.strictEqual((yield* callAt(control, "jobs", "tail", JOB)).exit, 4)
      const url = (yield* Effect.scoped(fake)).url
      assert.strictEqual((yield* call(["jobs", "tail", JOB, "--control", url])).exit, 3)
      assert.strictEqual(control.asked.length, 2)
    })
  )

  it.live("gives up, when the job is gone after a break", () =>
    Effect.gen(function* () {
      const control = yield* fake
      control.answer(broken(tokens(piece(1, "a"))), problem(410, "archived", "Its record has left."))
      const { exit, err } = yield* callAt(control, "jobs", "tail", JOB)
      assert.strictEqual(exit, 4)
      assert.match(err, /archived: Its record has left\.\n$/)
    })
  )
})
