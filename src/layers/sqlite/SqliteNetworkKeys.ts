/** The network's public keys in the embedded database. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { make, NetworkKeys } from "../NetworkKeys.ts"
import { SqliteClient } from "./SqliteClient.ts"

const during = (method: string) => ({ of: "NetworkKeys", method })

const LIST = `SELECT id, public_key, since, (
    SELECT count(*) FROM network_key_use AS used JOIN daemon ON daemon.id = used.daemon_id
    WHERE used.key_id = network_key.id AND daemon.state = 'live'
  ) AS daemons FROM network_key ORDER BY since, id`

export const layer: Layer.Layer<NetworkKeys, never, SqliteClient> = Layer.effect(
  NetworkKeys,
  Effect.map(SqliteClient, ({ read, write }) =>
    make({
      use: (daemonId, { id, publicKey }, at) =>
        write(during("use"), (sql) => {
          sql("INSERT INTO network_key (id, public_key, since) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING").run(
            id,
            publicKey,
            at
          )
          sql("DELETE FROM network_key_use WHERE daemon_id NOT IN (SELECT id FROM daemon WHERE state = 'live')").run()
          sql(`INSERT INTO network_key_use (daemon_id, key_id) VALUES (?, ?)
            ON CONFLICT (daemon_id) DO UPDATE SET key_id = excluded.key_id`).run(daemonId, id)
          return Result.succeed(undefined)
        }),
      list: read(during("list"), (sql) =>
        sql(LIST)
          .all()
          .map((row) => ({
            id: row["id"] as string,
            publicKey: row["public_key"] as string,
            since: row["since"] as number,
            daemons: row["daemons"] as number
          }))
      )
    })
  )
)
