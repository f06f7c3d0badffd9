/** An operator has real daemons tell a real receiver: a test, then what happens, also when the daemon that sends is killed in between. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Notice, Webhook } from "../../src/schemas/Webhook.ts"
import { missingServers, startCluster, whySkipped } from "../support/Cluster.ts"
import { ask, type Daemon, look, order, startDaemon } from "../support/Daemon.ts"
import { temporaryFolder } from "../support/Process.ts"
import { until } from "../support/Until.ts"
import { status, WebhookReceiver } from "../support/WebhookReceiver.ts"

const args = ["--webhook-schemes", "https,http", "--webhook-ranges", "127.0.0.1"]

interface Made {
  readonly webhook: Webhook
  readonly secret: string
}

/** Of everything, to this receiver. */
const register = async (daemon: Daemon, receiver: WebhookReceiver): Promise<Made> => {
  const url = receiver.url("/hook")
  const made = await order<Made>(daemon, "/control/webhooks", { url, severities: ["info", "low", "medium", "high"] })
  receiver.secrets.set("/hook", made.secret)
  return made
}

const isTaken = async (daemon: Daemon) => {
  const { data } = await look<{ readonly data: ReadonlyArray<{ readonly pending: number }> }>(
    daemon,
    "/control/webhooks"
  )
  return data[0]?.pending === 0
}

/** What came of the last attempt is written down: a daemon that dies before that leaves the notice in its hands for a minute. */
const isNoted = async (daemon: Daemon, { webhook }: Made) => {
  const { data } = await look<{ readonly data: ReadonlyArray<Notice> }>(
    daemon,
    `/control/webhooks/${webhook.id}/notices?limit=1`
  )
  return data[0]?.lastError === "status 503"
}

it.live(
  "an operator hears of a refused request from the daemon that comes after the one that was killed",
  () =>
    Effect.gen(function* () {
      const receiver = yield* WebhookReceiver.start
      yield* Effect.promise(async () => {
        const data = temporaryFolder()
        const daemon = await startDaemon({ data, args })
        const made = await register(daemon, receiver)
        await order(daemon, `/control/webhooks/${made.webhook.id}/test`)
        await until("the test", () => receiver.received.length === 1)
        assert.deepInclude(receiver.received[0], { isGenuine: true })
        assert.strictEqual(receiver.received[0]?.body.type, "webhook.test")

        receiver.answers.set("/hook", status(503))
        await ask(daemon, "POST", "/v1/chat/completions", { body: { model: "canary", messages: "canary" } })
        await until("the notice", () => receiver.received.length === 2)
        await until("what came of it", () => isNoted(daemon, made))
        await daemon.kill("SIGKILL")

        receiver.answers.delete("/hook")
        const next = await startDaemon({ data, args })
        await until("the notice again", () => receiver.received.length === 3)
        const [, before, after] = receiver.received
        assert.deepInclude(before, { isGenuine: true, id: after!.id, text: after!.text })
        assert.deepInclude(after?.body, { type: "incident.opened" })
        assert.deepInclude(after?.body.data, { kind: "rejection", type: "invalid_request" })
        assert.notInclude(after?.text ?? "", "canary")
        await until("that it was taken", () => isTaken(next))
        const said = [...daemon.lines, ...next.lines].join("\n")
        assert.notInclude(said, made.secret.slice(6))
        for (const entry of readdirSync(data, { recursive: true, withFileTypes: true })) {
          if (!entry.isFile()) continue
          const stored = readFileSync(join(entry.parentPath, entry.name), "latin1")
          assert.notInclude(stored, made.secret.slice(6), entry.name)
        }
        await next.kill("SIGTERM")
      })
    }),
  120_000
)

const leads = async (daemon: Daemon) => {
  const { data } = await look<{ readonly data: ReadonlyArray<{ readonly name: string; readonly leads: boolean }> }>(
    daemon,
    "/control/sweepers"
  )
  return data.find(({ name }) => name === "webhook")?.leads === true
}

describe.skipIf(missingServers.length > 0)(`two daemons on the real servers${whySkipped}`, () => {
  it.live(
    "one of them goes on telling when the one that told is killed",
    () =>
      Effect.gen(function* () {
        const receiver = yield* WebhookReceiver.start
        yield* Effect.promise(async () => {
          const { daemons } = await startCluster({ daemons: 2, args })
          const leader = await until("a leader", async () => {
            for (const daemon of daemons) if (await leads(daemon)) return daemon
            return null
          })
          const other = daemons.find((daemon) => daemon !== leader)!
          const made = await register(other, receiver)
          receiver.answers.set("/hook", status(503))
          await ask(other, "POST", "/v1/chat/completions", { body: { model: "canary", messages: "canary" } })
          await until("the notice", () => receiver.received.length === 1)
          await until("what came of it", () => isNoted(other, made))
          await leader.kill("SIGKILL")
          receiver.answers.delete("/hook")
          await until("the notice from the other", () => receiver.received.length === 2)
          const [before, after] = receiver.received
          assert.deepInclude(before, { isGenuine: true, id: after!.id, text: after!.text })
          assert.isTrue(after!.isGenuine)
          await until("that it was taken", () => isTaken(other))
          assert.strictEqual(receiver.received.length, 2)
        })
      }),
    120_000
  )
})
