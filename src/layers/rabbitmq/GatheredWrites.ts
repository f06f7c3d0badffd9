/**
 * The driver writes each frame to its socket by itself, one system call a frame, which costs more than everything else that it does. Here what is
 * written within one turn leaves in one call. It reaches into the driver; where there is nothing to reach, frames leave one by one as before.
 */
import { Duplex } from "node:stream"
import type { ChannelModel } from "amqplib"

/** The socket under the connection, where the driver keeps it as we know it. */
const streamOf = ({ connection }: ChannelModel): Duplex | null =>
  "stream" in connection && connection.stream instanceof Duplex ? connection.stream : null

/** Whether there was something to reach. */
export const gatherWrites = (model: ChannelModel): boolean => {
  const stream = streamOf(model)
  if (stream !== null) gather(stream)
  return stream !== null
}

/** Holds back what is written until the turn is over. Whether there is room for more is answered as always. */
export const gather = (stream: Duplex): void => {
  const write = stream.write.bind(stream) as (...args: ReadonlyArray<unknown>) => boolean
  let isHeld = false
  const held = (...args: ReadonlyArray<unknown>): boolean => {
    if (!isHeld) {
      isHeld = true
      stream.cork()
      queueMicrotask(() => {
        isHeld = false
        stream.uncork()
      })
    }
    return write(...args)
  }
  stream.write = held as typeof stream.write
}
