/** The file that Docker is given: read by Docker Compose itself where there is one, and held to what it promises about limits, checks and ways in. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseEnv } from "node:util"
import { fill, SECRETS } from "../../scripts/secrets.ts"
import { readOptions } from "../../src/DaemonOptions.ts"
import { ROOT, temporaryFolder } from "../support/Process.ts"

const read = (path: string) => readFileSync(join(ROOT, path), "utf8")
const text = read("docker-compose.yml")
const example = read(".env.example")

interface Service {
  readonly image: string
  readonly restart?: string
  readonly healthcheck?: { readonly test: ReadonlyArray<string> }
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly networks: Readonly<Record<string, unknown>>
  readonly ports?: ReadonlyArray<{ readonly host_ip?: string; readonly target: number }>
  readonly environment?: Readonly<Record<string, string>>
  readonly deploy?: { readonly resources: { readonly limits: { readonly memory: string; readonly pids: number } } }
  readonly security_opt?: ReadonlyArray<string>
  readonly read_only?: boolean
  readonly init?: boolean
  readonly tmpfs?: ReadonlyArray<string>
  readonly volumes?: ReadonlyArray<{ readonly type: string; readonly source: string; readonly target: string }>
  readonly command?: ReadonlyArray<string>
}

interface Composed {
  readonly services: Readonly<Record<string, Service>>
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>
}

/** How Compose is called here, the second one or later; undefined when it is not. */
const compose = [["docker", "compose"], ["docker-compose"]].find(([command = "", ...args]) => {
  const { status, stdout } = spawnSync(command, [...args, "version", "--short"], { encoding: "utf8" })
  return status === 0 && !/^v?1\./.test(stdout)
})

const config = (env: string, ...args: ReadonlyArray<string>) => {
  const envFile = join(temporaryFolder(), "env")
  writeFileSync(envFile, env)
  const [command = "", ...rest] = compose ?? []
  const call = [...rest, "--project-directory", ROOT, "--file", join(ROOT, "docker-compose.yml"), "--env-file", envFile]
  const environment = { PATH: process.env["PATH"], HOME: process.env["HOME"] }
  return spawnSync(command, [...call, ...args], { encoding: "utf8", env: environment })
}

const composed = (): Composed => {
  const { status, stdout, stderr } = config(fill(example), "--profile", "*", "config", "--format", "json")
  assert.strictEqual(status, 0, stderr)
  return JSON.parse(stdout)
}

describe("the compose file, as text", () => {
  it("takes each variable from the example, and each secret only when it is there", () => {
    const known = parseEnv(example)
    const used = [...text.matchAll(/(?<!\$)\$\{([A-Z0-9_]+)(:[?-])/g)]
    assert.isAbove(used.length, 20)
    for (const [, name = "", how] of used) {
      assert.property(known, name)
      assert.strictEqual(how === ":?", (SECRETS as ReadonlyArray<string>).includes(name), name)
    }
    const names = new Set(used.map(([, name]) => name))
    for (const name of Object.keys(known)) if (name !== "COMPOSE_PROFILES") assert.isTrue(names.has(name), name)
  })

  it("mounts only files that are there", () => {
    const mounted = [...text.matchAll(/- \.\/([\w./-]+):/g)].map(([, path]) => path ?? "")
    assert.isAbove(mounted.length, 5)
    for (const path of mounted) assert.isTrue(existsSync(join(ROOT, path)), path)
  })

  it("names images of one known version line each, and no other registry", () => {
    for (const [, image = ""] of text.matchAll(/image: (\S+)/g)) {
      assert.match(image, /^(?:[a-z-]+\/)?[a-z-]+:(?!latest)[\w.-]+$/)
    }
  })

  it("gives the image nothing but sources, and leaves out no file that they need", () => {
    const [, ...kept] = [...read(".dockerignore").matchAll(/^!?([\w.*-]+)$/gm)].map(([, name]) => name)
    const copied = [...read("Dockerfile").matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names]) =>
      names!.split(" ")
    )
    assert.sameMembers([...new Set(copied)], kept)
    for (const name of kept) assert.isTrue(existsSync(join(ROOT, name!)), name)
    assert.notInclude(readdirSync(join(ROOT, "src")).join(" "), ".env")
  })
})

const whenComposed = (name: string, test: () => void) => it.skipIf(compose === undefined)(name, test)
if (compose === undefined)
  console.warn("skipped: what Docker Compose says of docker-compose.yml; install docker compose")

describe("the compose file, as Docker Compose reads it", () => {
  whenComposed("is refused without secrets, by the name of the variable", () => {
    const { status, stderr } = config(example, "config", "--quiet")
    assert.notStrictEqual(status, 0)
    for (const name of SECRETS) assert.include(stderr, name)
  })

  whenComposed("gives every service a health check, a limit, a restart and no more rights", () => {
    for (const [name, service] of Object.entries(composed().services)) {
      assert.isNotEmpty(service.healthcheck?.test ?? [], name)
      assert.strictEqual(service.restart, "unless-stopped", name)
      assert.isAbove(Number(service.deploy?.resources.limits.memory ?? 0), 0, name)
      assert.isAbove(service.deploy?.resources.limits.pids ?? 0, 0, name)
      assert.include(service.security_opt ?? [], "no-new-privileges:true", name)
      for (const { condition } of Object.values(service.depends_on ?? {}))
        assert.strictEqual(condition, "service_healthy")
    }
  })

  whenComposed("publishes no store and nothing beyond this machine, and keeps all but the ways in inside", () => {
    const { services, networks } = composed()
    assert.isTrue(networks["inside"]?.internal)
    for (const [name, { ports = [], networks: joined }] of Object.entries(services)) {
      const isWayIn = name === "gateway" || name === "grafana"
      assert.deepStrictEqual(Object.keys(joined).toSorted(), isWayIn ? ["front", "inside"] : ["inside"], name)
      assert.strictEqual(ports.length > 0, isWayIn, name)
      for (const port of ports) assert.strictEqual(port.host_ip, "127.0.0.1", name)
    }
  })

  whenComposed("runs our own image without a writable disk but its volume and /tmp", () => {
    const ours = Object.entries(composed().services).filter(([, { image }]) => image === "resultity:local")
    assert.lengthOf(ours, 5)
    for (const [name, service] of ours) {
      assert.isTrue(service.read_only && service.init, name)
      assert.deepStrictEqual(
        service.volumes?.map(({ type }) => type),
        ["volume"],
        name
      )
      assert.match(service.tmpfs?.join() ?? "", /^\/tmp:/, name)
    }
  })

  whenComposed("starts daemons with options that they take", () => {
    const { services } = composed()
    for (const name of ["daemon-1", "daemon-2"]) {
      const { command = [], environment = {} } = services[name]!
      const options = readOptions(command.slice(1), environment)
      assert.strictEqual(options._tag, "Success", options._tag === "Failure" ? options.failure : "")
      if (options._tag === "Failure" || options.success === "help") throw new Error("no options")
      const { profile, nodes, s3Url, host } = options.success
      assert.deepStrictEqual(
        { profile, nodes, s3Url, host },
        { profile: "cluster", nodes: [], s3Url: null, host: "0.0.0.0" }
      )
    }
  })
})

const haproxy = spawnSync("haproxy", ["-v"], { stdio: "ignore" }).status === 0
if (!haproxy) console.warn("skipped: what HAProxy says of the gateway's configuration; install haproxy")

it.skipIf(!haproxy)("the gateway's configuration is one that HAProxy takes", () => {
  const { status, stderr } = spawnSync("haproxy", ["-c", "-f", join(ROOT, "deploy/gateway/haproxy.cfg")], {
    encoding: "utf8"
  })
  assert.strictEqual(status, 0, stderr)
})
