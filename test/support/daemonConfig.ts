/** What a daemon of the world in memory was started with. */
import type { DaemonConfig } from "../../src/layers/DaemonConfig.ts"

export const daemonConfigOf = (
  daemonId: DaemonConfig["Service"]["daemonId"],
  lanePrefetch: number
): DaemonConfig["Service"] => ({
  daemonId,
  dataFolder: "",
  host: "127.0.0.1",
  port: 0,
  controlHost: "127.0.0.1",
  controlPort: 0,
  controlKey: null,
  trustedProxies: [],
  environment: "testnet",
  drainMs: 1000,
  silenceMaxMs: null,
  lanePrefetch
})
