/**
 * Objects of a bucket past our own client, at once and without a promise, as the suite of the archive reaches for them. A thread speaks with
 * the server while this one waits.
 */
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads"
import type { ShellAnswer, ShellCall } from "./shellWorker.ts"

/** Patience with one call; a server that hangs fails the test and not the run. */
const PATIENCE_MS = 30_000

export interface S3Shell {
  readonly read: (key: string) => Uint8Array | null
  readonly write: (key: string, bytes: Uint8Array) => void
  readonly remove: (key: string) => void
  /** Empties the bucket and removes it. */
  readonly drop: () => void
  readonly close: () => Promise<unknown>
}

export interface ShellOptions {
  readonly url: string
  readonly bucket: string
  readonly accessKey: string
  readonly secretKey: string
}

export const openShell = (options: ShellOptions): S3Shell => {
  const { port1, port2 } = new MessageChannel()
  const answered = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(new URL("shellWorker.ts", import.meta.url), {
    workerData: { options, port: port2, answered },
    transferList: [port2]
  })
  const call = (asked: ShellCall): Uint8Array | null => {
    Atomics.store(answered, 0, 0)
    port1.postMessage(asked)
    if (Atomics.wait(answered, 0, 0, PATIENCE_MS) === "timed-out") throw new Error(`no answer to ${asked.what}`)
    const { bytes, error } = receiveMessageOnPort(port1)!.message as ShellAnswer
    if (error !== null) throw new Error(error)
    return bytes
  }
  return {
    read: (key) => call({ what: "read", key }),
    write: (key, bytes) => void call({ what: "write", key, bytes }),
    remove: (key) => void call({ what: "remove", key }),
    drop: () => void call({ what: "drop" }),
    close: () => {
      port1.close()
      return worker.terminate()
    }
  }
}
