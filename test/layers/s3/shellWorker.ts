/** The thread behind `S3Shell`: one request at a time, told by a flag when its answer lies ready. */
import type { MessagePort } from "node:worker_threads"
import { workerData } from "node:worker_threads"
import { AwsClient } from "aws4fetch"
import type { ShellOptions } from "./S3Shell.ts"

export type ShellCall =
  | { readonly what: "read" | "remove"; readonly key: string }
  | { readonly what: "write"; readonly key: string; readonly bytes: Uint8Array }
  | { readonly what: "drop" }

export interface ShellAnswer {
  readonly bytes: Uint8Array | null
  readonly error: string | null
}

interface Given {
  readonly options: ShellOptions
  readonly port: MessagePort
  readonly answered: Int32Array
}

const { options, port, answered } = workerData as Given
const client = new AwsClient({
  accessKeyId: options.accessKey,
  secretAccessKey: options.secretKey,
  service: "s3",
  region: "us-east-1",
  retries: 3
})

const ask = async (method: string, path: string, body?: Uint8Array) => {
  const response = await client.fetch(`${options.url}/${options.bucket}${path}`, {
    method,
    ...(body === undefined ? {} : { body: Uint8Array.from(body) })
  })
  if (!response.ok && response.status !== 404) throw new Error(`${method} ${path}: ${response.status}`)
  return response.status === 404 ? null : new Uint8Array(await response.arrayBuffer())
}

const drop = async (): Promise<null> => {
  for (;;) {
    const list = await ask("GET", "?list-type=2")
    if (list === null) return null
    const keys = [
      ...Buffer.from(list)
        .toString()
        .matchAll(/<Key>([^<]+)<\/Key>/g)
    ].map(([, key]) => key)
    if (keys.length === 0) return ask("DELETE", "").then(() => null)
    await Promise.all(keys.map((key) => ask("DELETE", `/${key}`)))
  }
}

const perform = (asked: ShellCall): Promise<Uint8Array | null> => {
  switch (asked.what) {
    case "read":
      return ask("GET", `/${asked.key}`)
    case "write":
      return ask("PUT", `/${asked.key}`, asked.bytes)
    case "remove":
      return ask("DELETE", `/${asked.key}`)
    case "drop":
      return drop()
  }
}

const tell = (answer: ShellAnswer): void => {
  port.postMessage(answer)
  Atomics.store(answered, 0, 1)
  Atomics.notify(answered, 0)
}

port.on("message", (asked: ShellCall) => {
  perform(asked).then(
    (bytes) => tell({ bytes, error: null }),
    (cause: unknown) => tell({ bytes: null, error: String(cause) })
  )
})
