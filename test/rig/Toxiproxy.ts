/** Links that can be cut, slowed or left half-open: one listener of a TCP fault proxy for each daemon and server. */
export type LinkFault = "cut" | "slow" | "halfOpen" | "blackHole"

export interface Link {
  readonly name: string
  readonly port: number
  readonly fault: (kind: LinkFault) => Promise<void>
  readonly heal: () => Promise<void>
}

const SLOW_MS = 400
const JITTER_MS = 200

/** @param api its base URL */
export const makeLink = async (api: string, name: string, port: number, upstream: string): Promise<Link> => {
  const say = async (method: string, path: string, body?: object): Promise<Response> => {
    const response = await fetch(`${api}${path}`, {
      method,
      headers: { "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    await response.arrayBuffer()
    return response
  }
  await say("DELETE", `/proxies/${name}`)
  const made = await say("POST", "/proxies", { name, listen: `127.0.0.1:${port}`, upstream, enabled: true })
  if (made.status !== 201) throw new Error(`toxiproxy does not make ${name} on ${port}: ${made.status}`)
  const toxic = (type: string, stream: string, attributes: object) =>
    say("POST", `/proxies/${name}/toxics`, { name: `${type}-${stream}`, type, stream, toxicity: 1, attributes })
  return {
    name,
    port,
    fault: async (kind) => {
      switch (kind) {
        case "cut":
          await say("POST", `/proxies/${name}`, { enabled: false })
          return
        case "slow":
          await toxic("latency", "downstream", { latency: SLOW_MS, jitter: JITTER_MS })
          return
        // Nothing comes back, and nobody says so: what is sent still arrives.
        case "halfOpen":
          await toxic("timeout", "downstream", { timeout: 0 })
          return
        case "blackHole":
          await toxic("timeout", "upstream", { timeout: 0 })
          await toxic("timeout", "downstream", { timeout: 0 })
          return
      }
    },
    heal: async () => {
      const response = await fetch(`${api}/proxies/${name}/toxics`)
      const toxics = (await response.json()) as ReadonlyArray<{ readonly name: string }>
      for (const { name: toxicName } of toxics) await say("DELETE", `/proxies/${name}/toxics/${toxicName}`)
      await say("POST", `/proxies/${name}`, { enabled: true })
    }
  }
}

export const forgetLink = async (api: string, name: string): Promise<void> => {
  await (await fetch(`${api}/proxies/${name}`, { method: "DELETE" })).arrayBuffer()
}
