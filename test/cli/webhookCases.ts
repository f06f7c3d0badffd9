/** What the commands of webhooks ask and show, for `Commands.test.ts`. */
import { AT } from "./samples.ts"

const WEBHOOK = "webhook_01m88edteyvwvs0bke63fcbzcf"
const NOTICE = "notice_0123456789abcdef0123456789abcdef"
const URL = "https://example.com/incidents"
const reason = "so it is"

const webhook = {
  id: WEBHOOK,
  url: URL,
  description: "on call",
  kinds: ["anomaly", "warning"],
  severities: ["high"],
  createdAt: AT,
  since: AT,
  disabledAt: null,
  disabledFor: null,
  failures: 2,
  failingSince: AT,
  deliveredAt: AT
}
const notice = {
  id: NOTICE,
  webhookId: WEBHOOK,
  type: "incident.opened",
  incidentId: "incident_1",
  createdAt: AT,
  state: "pending",
  attempts: 3,
  dueAt: AT + 1,
  doneAt: null,
  lastError: "status 500"
}

const changed = (word: string, answer: unknown, shows: RegExp) => ({
  argv: ["webhooks", word, WEBHOOK, "--reason", reason],
  asks: `POST /control/webhooks/${WEBHOOK}/${word}`,
  body: { reason },
  answer,
  shows: [shows]
})

export const webhookCases = [
  {
    argv: [
      "webhooks",
      "create",
      URL,
      "--kinds",
      "anomaly, warning",
      "--severities",
      "high",
      "--description",
      "on call"
    ],
    asks: "POST /control/webhooks",
    body: {
      url: URL,
      kinds: ["anomaly", "warning"],
      severities: ["high"],
      description: "on call",
      reason: "by resultity CLI"
    },
    answer: { webhook, secret: "whsec_the-secret" },
    shows: [
      /^webhook_\w+ tells https:\S+ of incidents\. Its secret signs them and is shown this once:$/,
      /^whsec_the-sec/
    ]
  },
  {
    argv: ["webhooks", "list"],
    asks: "GET /control/webhooks",
    answer: { data: [{ ...webhook, pending: 7, nextAt: AT }] },
    shows: [/^WEBHOOK +STATE/, /^webhook_\w+ +enabled +7 +2 +2026-11-25T04:11:39\.042Z +anomaly,warning +high +https:/]
  },
  changed("disable", { webhook: { ...webhook, disabledAt: AT } }, /^webhook_\w+ is disabled since 2026-11-25T04:11:39/),
  changed("enable", { webhook }, /^webhook_\w+ is enabled\.$/),
  changed("delete", { webhookId: WEBHOOK, deleted: true }, /^webhook_\w+ is deleted\.$/),
  changed("test", { webhookId: WEBHOOK, noticeId: NOTICE }, /^notice_\w+ is on its way\. .* webhooks notices webhook_/),
  {
    argv: ["webhooks", "notices", WEBHOOK, "--limit", "5"],
    asks: `GET /control/webhooks/${WEBHOOK}/notices?limit=5`,
    answer: { data: [notice] },
    shows: [/^NOTICE +OF/, /^notice_\w+ +incident_1 +pending +3 +2026\S+ +- +2026-11-25T04:11:39\.043Z +status 500$/]
  }
]
