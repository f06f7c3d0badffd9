/** Notices of the ends of episodes. */
import type { Migration } from "./Migration.ts"

export const closedNotices: Migration = {
  name: "notices of ends",
  statements: [
    `ALTER TABLE notice DROP CONSTRAINT notice_type_check`,
    `ALTER TABLE notice ADD CONSTRAINT notice_type_check
  CHECK (type IN ('incident.opened', 'incident.closed', 'webhook.test'))`
  ]
}
