/** An operator has a real daemon tell a real receiver: a test, then what happens, also when the daemon is killed in between. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Webhook } from "../../src/schemas/Webhook.ts"
import { ask, look, order, startDaemon } from "../support/Daemon.ts"
import { temporaryFolder } from "../support/Process.ts"
import { until } from "../support/Until.ts"
import { status, WebhookReceiver } from "../support/WebhookReceiver.ts"

const args = ["--webhook-schemes", "https,http", "--webhook-ranges", "127.0.0.1"]

it.live(
  "an operator hears of a refused request from the daemon that comes after the one that was killed",
  () =>
    Effect.gen(function* () {
      const receiver = yield* WebhookReceiver.start
      yield* Effect.promise(async () => {
        const data = temporaryFolder()
        const daemon = await startDaemon({ data, args })
        const made = await order<{ readonly webhook: Webhook; readonly secret: string }>(daemon, "/control/webhooks", {
          url: receiver.url("/hook"),
          severities: ["info", "low", "medium", "high"]
        })
        receiver.secrets.set("/hook", made.secret)
        await order(daemon, `/control/webhooks/${made.webhook.id}/test`)
        await until("the test", () => receiver.received.length === 1)
        assert.deepInclude(receiver.received[0], { isGenuine: true })
        assert.strictEqual(receiver.received[0]?.body.type, "webhook.test")

        receiver.answers.set("/hook", status(503))
        await ask(daemon, "POST", "/v1/chat/completions", { body: { model: "canary", messages: "canary" } })
        await until("the notice", () => receiver.received.length === 2)
        await daemon.kill("SIGKILL")

        receiver.answers.delete("/hook")
        const next = await startDaemon({ data, args })
        await until("the notice again", () => receiver.received.length === 3)
        const [, before, after] = receiver.received
        assert.deepInclude(before, { isGenuine: true, id: after!.id, text: after!.text })
        assert.deepInclude(after?.body, { type: "incident.opened" })
        assert.deepInclude(after?.body.data, { kind: "rejection", type: "invalid_request" })
        assert.notInclude(after?.text ?? "", "canary")
        const isTaken = async () => {
          const { data } = await look<{ readonly data: ReadonlyArray<{ readonly pending: number }> }>(
            next,
            "/control/webhooks"
          )
          return data[0]?.pending === 0
        }
        await until("that it was taken", isTaken)
        const said = [...daemon.lines, ...next.lines].join("\n")
        assert.notInclude(said, made.secret.slice(6))
        await next.kill("SIGTERM")
      })
    }),
  120_000
)
