/** The contract of the transport on RabbitMQ, behind a proxy that can be cut: the broker itself is shared and never stopped. */
import { Effect } from "effect"
import { afterAll, beforeAll } from "vitest"
import { transportContract } from "./contracts/Transport.contract.ts"
import { Proxy } from "./rabbitmq/Proxy.ts"
import { RabbitRig, withRabbit } from "./rabbitmq/RabbitRig.ts"

withRabbit("the contract of the transport on RabbitMQ", () => {
  const rig = new RabbitRig()
  let opened: Awaited<ReturnType<typeof Proxy.open>>
  beforeAll(async () => void (opened = await Proxy.open(rig.url)))
  afterAll(() => opened.proxy.close())

  transportContract(
    "RabbitMQ",
    rig.layer(() => opened.url),
    {
      connect: rig.connect(),
      outage: (on) => Effect.sync(() => (on ? opened.proxy.cut() : opened.proxy.pass())),
      wipe: Effect.promise(() => rig.wipe())
    }
  )
})
