/** A daemon whose role of PostgreSQL owns nothing: another role's tables, upgraded by that one at the start, and a history that the daemon cannot take back. */
import { assert, describe, it } from "@effect/vitest"
import { onTestFinished } from "vitest"
import { missingServers, startCluster, whySkipped } from "../support/Cluster.ts"
import { client } from "../support/Daemon.ts"
import { orderPostgres, urlOf } from "../support/Installation.ts"
import { allEnded, findings } from "../support/Invariants.ts"
import { allActive, startNode } from "../support/Nodes.ts"
import { answerTo, chatBody } from "../support/Texts.ts"

const messagesOf = (error: unknown): string =>
  error instanceof Error ? `${error.message} ${messagesOf(error.cause)}` : String(error)

describe.skipIf(missingServers.length > 0)(`a daemon whose role owns nothing${whySkipped}`, () => {
  it("serves jobs, and may not change what happened", async () => {
    const role = `journey_role_${process.pid}`
    await orderPostgres([`CREATE ROLE "${role}" LOGIN PASSWORD 'daemon'`])
    onTestFinished(() => orderPostgres([`DROP OWNED BY "${role}"`, `DROP ROLE "${role}"`]))
    const url = new URL(urlOf("POSTGRES_URL"))
    url.username = role
    url.password = "daemon"
    const args = [`--postgres-url=${url.href}`, `--postgres-owner-url=${urlOf("POSTGRES_URL")}`]
    const { daemons, installation } = await startCluster({ daemons: 1, args })
    const [daemon] = daemons
    if (daemon === undefined) throw new Error("one daemon was asked for")
    startNode(daemon.nodesUrl, { name: "only" })
    await allActive(daemon, ["only"])
    const body = chatBody("two roles")
    const whole = await client(daemon).chat.completions.create(body as never)
    assert.strictEqual(whole.choices[0]?.message.content, answerTo(body).text)
    await allEnded(daemon)
    assert.deepStrictEqual(await findings(daemon), [])
    for (const table of ["credit_entry", "job_event", "audit"]) {
      const refused = await orderPostgres([`DELETE FROM "${installation}".${table}`], url.href).catch(messagesOf)
      assert.match(String(refused), /permission denied/, table)
    }
    const altered = await orderPostgres([`ALTER TABLE "${installation}".job DROP COLUMN state`], url.href).catch(
      messagesOf
    )
    assert.match(String(altered), /must be owner/)
  })
})
