/**
 * The whole road on the real servers, which share the machine with daemon, node and clients: jobs a second and their time from submit to completed
 * against the raw round trip on the same RabbitMQ, and what is added to the first token. Needs the four servers of a cluster.
 */
import { CONNECTIONS, measureJobs } from "./jobs.ts"
import { linesOf, measureFirstTokens } from "./firstToken.ts"
import { measureRaw } from "./rabbitmq.ts"
import { type Line, median, millis, rate, times } from "./support/Line.ts"
import { missingServers, urlOf } from "../test/support/Installation.ts"

export const run = async (): Promise<Array<Line>> => {
  if (missingServers.length > 0) {
    return [{ what: "jobs on the real servers", value: "not measured", against: `set ${missingServers.join(", ")}` }]
  }
  const raw = await measureRaw(urlOf("RABBITMQ_URL"))
  const { perSecond, best, cpuEach, through, alone } = await measureJobs({ cluster: true })
  const rawAgain = await measureRaw(urlOf("RABBITMQ_URL"))
  const rawRate = (raw + rawAgain) / 2
  return [
    {
      what: `durable jobs on the real servers, ${CONNECTIONS} at a time`,
      value: `${rate(perSecond)} (best round ${rate(best)})`,
      against: `${rate(rawRate)} raw round trips on the same RabbitMQ`,
      ratio: times(perSecond / rawRate)
    },
    {
      what: "processor time of the daemon and its node for such a job",
      value: millis(cpuEach),
      against: "without the servers'"
    },
    ...(["p50", "p95"] as const).map((which) => ({
      what: `submit to completed on the real servers, ${CONNECTIONS} at a time, ${which}`,
      value: millis(median(through.map((measured) => measured[which]))),
      against: `${millis(alone[which])} one at a time`
    })),
    ...linesOf(await measureFirstTokens({ cluster: true }), "on the real servers")
  ]
}

if (import.meta.main) console.table(await run())
