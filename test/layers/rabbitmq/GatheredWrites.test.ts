/** Frames of one turn in one write: on a stream of ours, and that the driver still keeps its socket where we look for it. */
import { Duplex } from "node:stream"
import { connect } from "amqplib"
import { assert, it } from "vitest"
import { gather, gatherWrites } from "../../../src/layers/rabbitmq/GatheredWrites.ts"
import { RABBITMQ_URL, withRabbit } from "./RabbitRig.ts"

class Counting extends Duplex {
  readonly calls: Array<ReadonlyArray<string>> = []

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.calls.push([chunk.toString()])
    done()
  }

  override _writev(chunks: ReadonlyArray<{ readonly chunk: Buffer }>, done: () => void): void {
    this.calls.push(chunks.map(({ chunk }) => chunk.toString()))
    done()
  }
}

it("writes what one turn wrote in one call, in order, and the next turn in the next", async () => {
  const stream = new Counting({ writableHighWaterMark: 4 })
  gather(stream)
  const rooms = ["a", "b", "c", "d"].map((text) => stream.write(text))
  assert.deepStrictEqual(stream.calls, [])
  const drained = new Promise((resolve) => void stream.once("drain", resolve))
  await Promise.resolve()
  assert.deepStrictEqual(stream.calls, [["a", "b", "c", "d"]])
  assert.deepStrictEqual(rooms, [true, true, true, false])
  await drained
  stream.write("e")
  stream.write("f")
  const finished = new Promise((resolve) => void stream.once("finish", resolve))
  stream.end()
  await finished
  assert.deepStrictEqual(stream.calls.slice(1).flat(), ["e", "f"])
})

withRabbit("the driver's socket", () => {
  it("is where we look for it", async () => {
    const model = await connect(RABBITMQ_URL)
    assert.isTrue(gatherWrites(model))
    await (await model.createChannel()).close()
    await model.close()
  })
})
