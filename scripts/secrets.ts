/**
 * The secrets of `docker-compose.yml`: made at random where `.env.example` leaves them empty, and looked at before anything starts with them.
 * There is no default that works, so nobody can forget to change it.
 */
import { randomBytes } from "node:crypto"

/** Variables that must hold a secret of one's own. */
export const SECRETS = [
  "POSTGRES_PASSWORD",
  "POSTGRES_DAEMON_PASSWORD",
  "MONGODB_PASSWORD",
  "MONGODB_KEYFILE",
  "REDIS_PASSWORD",
  "RABBITMQ_PASSWORD",
  "RESULTITY_CONTROL_KEY",
  "GRAFANA_PASSWORD"
] as const

const LENGTH_MIN = 32
/** A word repeated, or one key held down, has fewer. */
const DIFFERENT_MIN = 8
const KNOWN =
  /changeme|change-me|guest|password|passw0rd|secret|admin|default|example|letmein|qwerty|12345678|resultity/i

const fresh = (): string => randomBytes(24).toString("hex")

/** The text of `.env`: the example with a fresh secret wherever one is empty. */
export const fill = (example: string, make: () => string = fresh): string => {
  const names: ReadonlySet<string> = new Set(SECRETS)
  return example
    .split("\n")
    .map((line) => {
      const [, name] = /^([A-Z0-9_]+)=\s*$/.exec(line) ?? []
      return name !== undefined && names.has(name) ? `${name}=${make()}` : line
    })
    .join("\n")
}

/** What is wrong with these values: one sentence each, without any value in it. */
export const complaints = (env: Readonly<Record<string, string | undefined>>): ReadonlyArray<string> => {
  const found = SECRETS.flatMap((name) => {
    const why = weakness(env[name] ?? "")
    return why === null ? [] : [`${name} ${why}`]
  })
  const seen = new Map<string, string>()
  for (const name of SECRETS) {
    const value = env[name] ?? ""
    const other = seen.get(value)
    if (value !== "" && other !== undefined) found.push(`${name} is the same as ${other}: choose another`)
    seen.set(value, other ?? name)
  }
  if ((env["S3_URL"] ?? "") !== "") {
    for (const name of ["S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY"]) {
      if ((env[name] ?? "") === "") found.push(`${name} is empty, and S3_URL is not`)
    }
  }
  return found
}

const weakness = (value: string): string | null => {
  if (value === "") return "is empty"
  if (!/^[A-Za-z0-9_-]+$/.test(value)) return "may hold letters, digits, - and _ only: it is written into URLs"
  if (value.length < LENGTH_MIN) return `is shorter than ${LENGTH_MIN} characters`
  if (new Set(value).size < DIFFERENT_MIN) return "repeats itself: choose a random one"
  return KNOWN.test(value) ? "holds a word that is tried first: choose a random one" : null
}
