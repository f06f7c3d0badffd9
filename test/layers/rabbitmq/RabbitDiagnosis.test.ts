/** What the doctor says of a real RabbitMQ, before the first start, after it, and where something stands in the way; and that it leaves nothing there. */
import { Effect, Redacted } from "effect"
import { assert, describe, it, onTestFinished } from "vitest"
import { diagnose } from "../../../src/layers/rabbitmq/RabbitDiagnosis.ts"
import { complaints, examine, findingOf } from "../../support/Findings.ts"
import { TcpProxy } from "../../support/TcpProxy.ts"
import { RABBITMQ_URL, RabbitRig, withRabbit } from "./RabbitRig.ts"

withRabbit("the diagnosis of RabbitMQ", () => {
  describe("the diagnosis of RabbitMQ", () => {
    const rig = new RabbitRig()
    const here = { url: Redacted.make(rig.url), prefix: rig.prefix }

    it("complains of nothing before the first start, and makes nothing", async () => {
      for (let round = 0; round < 2; round++) {
        const findings = await examine(diagnose(here))
        assert.deepStrictEqual(complaints(findings), [])
        assert.match(findingOf(findings, "topology").said, /nothing yet/)
      }
    })

    it("complains of nothing after it, and tells what is parked", async () => {
      await Effect.runPromise(Effect.scoped(Effect.asVoid(rig.connect())))
      const findings = await examine(diagnose(here))
      assert.deepStrictEqual(complaints(findings), [])
      assert.match(findingOf(findings, "topology").said, /^all \d are as declared/)
      await rig.shell(async (channel) => {
        channel.sendToQueue(rig.topology.parked.name, Buffer.from("{}"))
        // Answered after the message before it was routed.
        await channel.deleteQueue(rig.topology.unreadable.name)
        await channel.deleteExchange(`${rig.prefix}.events`)
        await channel.assertExchange(`${rig.prefix}.events`, "fanout")
      })
      const drifted = await examine(diagnose(here))
      const [bad, parked, ...more] = complaints(drifted)
      assert.isTrue(bad?.startsWith(`bad topology: exchange ${rig.prefix}.events is not what this program declares`))
      assert.strictEqual(parked, `warning parked: 1 in ${rig.topology.parked.name}`)
      assert.deepStrictEqual(more, [])
      const { said, todo } = findingOf(drifted, "topology")
      assert.match(said, /inequivalent arg 'type'/)
      assert.include(todo ?? "", `rabbitmqadmin delete exchange --name ${rig.prefix}.events`)
    })

    it("tells of a queue with other arguments, and changes none", async () => {
      const { name } = rig.topology.unreadable
      await rig.shell(async (channel) => {
        await channel.deleteQueue(name)
        await channel.assertQueue(name, { durable: true, arguments: { "x-queue-type": "classic" } })
      })
      const found = (await examine(diagnose(here))).filter(({ what, level }) => what === "topology" && level === "bad")
      assert.isTrue(found.some(({ said }) => said.startsWith(`queue ${name} is not what`)))
      await rig.shell((channel) =>
        channel.assertQueue(name, { durable: true, arguments: { "x-queue-type": "classic" } })
      )
    })

    it("is one bad finding when the password is wrong, nobody listens, or the broker is frozen", async () => {
      const { hostname, port } = new URL(RABBITMQ_URL)
      const proxy = await TcpProxy.start({ host: hostname, port: Number(port === "" ? 5672 : port) })
      onTestFinished(() => proxy.stop())
      await proxy.hang()
      const wrong = new URL(RABBITMQ_URL)
      wrong.password = "wrong-horse"
      for (const url of [wrong.href, "amqp://u:wrong-horse@127.0.0.1:1", `amqp://u:p@127.0.0.1:${proxy.port}`]) {
        const findings = await examine(diagnose({ ...here, url: Redacted.make(url) }))
        assert.deepStrictEqual(
          findings.map(({ what, level }) => `${level} ${what}`),
          ["bad reachable"]
        )
        assert.notInclude(JSON.stringify(findings), "wrong-horse")
      }
    })
  })
})
