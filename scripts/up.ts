/**
 * `npm run up`: the whole network of docker-compose.yml. Makes `.env` with random secrets when it is missing, starts nothing with weak ones, waits
 * until every service is healthy, and prints a request that works.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseEnv } from "node:util"
import { complaints, fill } from "./secrets.ts"
import { trialKey } from "./trial.ts"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const envFile = join(root, ".env")

const giveUp = (...lines: ReadonlyArray<string>): never => {
  for (const line of lines) process.stderr.write(`up: ${line}\n`)
  process.exit(1)
}

const compose = (...args: ReadonlyArray<string>): number =>
  spawnSync("docker", ["compose", ...args], { cwd: root, stdio: "inherit" }).status ?? 1

if (spawnSync("docker", ["compose", "version"], { stdio: "ignore" }).status !== 0) {
  giveUp(
    "Docker with its Compose plugin is needed (Engine 25 or newer). Without it: npm start runs everything in one process."
  )
}

if (!existsSync(envFile)) {
  writeFileSync(envFile, fill(readFileSync(join(root, ".env.example"), "utf8")), { mode: 0o600, flag: "wx" })
  process.stdout.write("up: made .env with new secrets; keep it as long as you keep the data\n")
}
const env = parseEnv(readFileSync(envFile, "utf8"))
const wrong = complaints(env)
if (wrong.length > 0) giveUp("will not start with these values in .env:", ...wrong.map((line) => `  ${line}`))

const started = compose("up", "--detach", "--build", "--wait", "--remove-orphans")
if (started !== 0) giveUp("not everything got healthy; docker compose ps and docker compose logs say more")

const url = `http://${env["RESULTITY_BIND"] || "127.0.0.1"}:${env["RESULTITY_PORT"] || "8400"}`.replace(
  "0.0.0.0",
  "127.0.0.1"
)
const controlUrl = `http://127.0.0.1:${env["RESULTITY_CONTROL_PORT_1"] || "8401"}`
process.stdout.write(`\nready: ${url} (control ${controlUrl}, its key is RESULTITY_CONTROL_KEY in .env)\n`)

const simulated = (env["COMPOSE_PROFILES"] ?? "").split(",").includes("simulated")
const secret = simulated
  ? await trialKey({
      controlUrl,
      controlKey: env["RESULTITY_CONTROL_KEY"] ?? "",
      environment: env["RESULTITY_ENVIRONMENT"] || "testnet",
      file: join(root, "data", "cluster.key")
    })
  : null
if (secret !== null) {
  process.stdout.write(`
Try it:

  curl ${url}/v1/chat/completions \\
    -H "Authorization: Bearer ${secret}" \\
    -H "Content-Type: application/json" \\
    -d '{"model": "sim-small", "stream": true, "messages": [{"role": "user", "content": "Hello!"}]}'

`)
}
