/** From the daemon's options to the addresses and secrets of its back ends. */
import * as Redacted from "effect/Redacted"
import type { Servers } from "./Backends.ts"
import type { DaemonOptions } from "./DaemonOptions.ts"

const secretOf = (value: string | null) => Redacted.make(value ?? "")

/** Options of the profile `cluster`, which are complete: `readOptions` has seen to that. */
export const serversOf = (options: DaemonOptions): Servers => ({
  postgresUrl: secretOf(options.postgresUrl),
  postgresOwnerUrl: options.postgresOwnerUrl === null ? null : Redacted.make(options.postgresOwnerUrl),
  mongodbUrl: secretOf(options.mongodbUrl),
  redisUrl: secretOf(options.redisUrl),
  rabbitmqUrl: secretOf(options.rabbitmqUrl),
  installation: options.installation,
  s3:
    options.s3Url === null
      ? null
      : {
          url: options.s3Url,
          bucket: options.s3Bucket,
          region: options.s3Region,
          accessKey: options.s3AccessKey ?? "",
          secretKey: secretOf(options.s3SecretKey)
        }
})
