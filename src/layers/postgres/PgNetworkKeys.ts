/** The network's public keys, and which daemon signs with which. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { make, NetworkKeys } from "../NetworkKeys.ts"
import { PgClient } from "./PgClient.ts"
import { text, whole } from "./PgValues.ts"

const during = (method: string) => ({ of: "NetworkKeys", method })

interface StoredKey {
  readonly id: string
  readonly public_key: string
  readonly since: bigint
  readonly daemons: number
}

const LIST = `SELECT id, public_key, since, (
    SELECT count(*)::int FROM network_key_use AS used JOIN daemon ON daemon.id = used.daemon_id
    WHERE used.key_id = network_key.id AND daemon.state = 'live'
  ) AS daemons FROM network_key ORDER BY since, id`

export const layer: Layer.Layer<NetworkKeys, never, PgClient> = Layer.effect(
  NetworkKeys,
  Effect.map(PgClient, ({ sql, transaction, query }) =>
    make({
      use: (daemonId, { id, publicKey }, at) =>
        transaction(
          during("use"),
          Effect.gen(function* () {
            yield* sql.unsafe(
              "INSERT INTO network_key (id, public_key, since) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
              [text(id), text(publicKey), whole(at)]
            )
            yield* sql.unsafe(
              "DELETE FROM network_key_use WHERE daemon_id NOT IN (SELECT id FROM daemon WHERE state = 'live')"
            )
            yield* sql.unsafe(
              `INSERT INTO network_key_use (daemon_id, key_id) VALUES ($1, $2)
              ON CONFLICT (daemon_id) DO UPDATE SET key_id = excluded.key_id`,
              [text(daemonId), text(id)]
            )
          })
        ),
      list: Effect.map(query<StoredKey>(during("list"), LIST), (rows) =>
        rows.map(({ id, public_key, since, daemons }) => ({ id, publicKey: public_key, since: Number(since), daemons }))
      )
    })
  )
)
