/** What the commands of incidents and ratings ask and show, for `Commands.test.ts`. */
import { AT } from "./samples.ts"

const incident = {
  id: "incident_1",
  kind: "anomaly",
  type: "error_spike",
  severity: "high",
  subject: "model/tiny",
  stage: null,
  jobId: null,
  nodeId: null,
  namespaceId: null,
  observed: { failedPercent: 40 },
  expected: null,
  at: AT
}
const episode = { number: 1, sightings: 3, seenAt: AT + 1, evidence: [], closedAt: null, closedFor: null }

export const incidentCases = [
  {
    argv: ["incidents", "list", "--open", "--type", "error_spike", "--limit", "5"],
    asks: "GET /control/incidents?open=true&type=error_spike&limit=5",
    answer: { data: [{ ...incident, episode }] },
    shows: [/error_spike +model\/tiny +open +3 +\{"failedPercent":40\}/]
  },
  {
    argv: ["incidents", "list"],
    asks: "GET /control/incidents",
    answer: {
      data: [incident, { ...incident, episode: { ...episode, closedAt: AT + 2, closedFor: "recovered" } }]
    },
    shows: [/model\/tiny/, /recovered 20/]
  },
  {
    argv: ["incidents", "list", "--open"],
    asks: "GET /control/incidents?open=true",
    answer: { data: [] },
    shows: [/No/]
  },
  {
    argv: ["ratings", "--by", "model"],
    asks: "GET /control/ratings?by=model",
    answer: { data: [{ group: "tiny", ratings: 3, meanScore: 2.3333, low: 1 }] },
    shows: [/tiny +3 +2\.33 +1/]
  }
]
