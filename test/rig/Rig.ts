/**
 * One run from the first daemon to the verdict: section after section of the timeline, each under load until it is quiet again; the sampler looks all the
 * time, and at the end the whole history is judged.
 */
import { createHash } from "node:crypto"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Dice } from "../chaos/support/Dice.ts"
import { type Clients, startClients } from "./Clients.ts"
import { type Control, controlOver, makeCustomers, sightOf } from "./Control.ts"
import { complaintsIn } from "./DaemonLogs.ts"
import { dumpState } from "./Dump.ts"
import { type Figures, watchFigures } from "./Figures.ts"
import { cannotIn, handOf } from "./Hands.ts"
import { judge } from "./HistoryChecker.ts"
import {
  type ClientLine,
  type DaemonLine,
  type FaultLine,
  type Finding,
  type History,
  type NodeLine,
  opsOf
} from "./History.ts"
import { type Journal, openJournal, readLines } from "./Journal.ts"
import { recordsAfterRepair } from "./LateRepair.ts"
import { waitUntilQuiet } from "./LeftOver.ts"
import { perform } from "./Nemesis.ts"
import { charactersOf, type Fleet, type NodesHandle, startNodes } from "./Nodes.ts"
import type { Outcome } from "./Report.ts"
import { CANARY } from "./RigAnswer.ts"
import { startSampler } from "./Sampler.ts"
import { clockVariables, makeSetting, type Profile, type Setting } from "./Setting.ts"
import { type SectionDone, summarize } from "./Summary.ts"
import type { Criteria } from "./Scenarios.ts"
import { scenarioNamed, type Section, type Timeline } from "./Timeline.ts"
import { until } from "../support/Until.ts"

export interface RigOptions {
  readonly timeline: Timeline
  readonly profile: Profile
  readonly program: string
  /** How long things take is no part of the verdict. */
  readonly untimed: boolean
  readonly folder: string
  readonly command: string
  readonly say: (line: string) => void
  /** Asks the run to end early: resolves with the reason. */
  readonly interrupted: Promise<string>
}

const NODES_A_PROCESS = 12
const SLOTS = 4
const NAMESPACES = 4
/** Within which everything must be over once nothing is done any more. */
const HEAL_MS = 60_000

interface World {
  readonly options: RigOptions
  readonly setting: Setting
  readonly control: Control
  readonly clients: Clients
  readonly figures: Figures
  readonly faults: Journal<FaultLine>
  fleet: { readonly kind: Fleet; readonly processes: ReadonlyArray<NodesHandle> } | null
  cutShort: string | null
}

export const runRig = async (options: RigOptions): Promise<Outcome> => {
  const { timeline, folder, say, profile, program } = options
  writeFileSync(join(folder, "timeline.json"), JSON.stringify(timeline, null, 1))
  const dice = new Dice(timeline.seed).stream("rig")
  const journal = openJournal<DaemonLine>(join(folder, "daemons.jsonl"))
  const name = `rig_${timeline.seed}_${process.pid}`
  const setting = await makeSetting({
    profile,
    program,
    daemons: timeline.daemons,
    name,
    folder,
    dice,
    journal,
    nodeProcesses: timeline.nodeProcesses
  })
  say(`${timeline.daemons} daemons are ready`)
  try {
    return await runIn(options, setting, dice)
  } finally {
    await setting.takeDown()
    journal.close()
  }
}

const runIn = async (options: RigOptions, setting: Setting, dice: Dice): Promise<Outcome> => {
  const { timeline, folder, say } = options
  const control = controlOver(setting.daemons.map(({ controlUrl }) => controlUrl))
  const canaries = Array.from(
    { length: NAMESPACES },
    (_, at) => `cnry${createHash("sha256").update(`${timeline.seed} ${at}`).digest("hex").slice(0, 32)}`
  )
  const customers = await makeCustomers(control, canaries)
  const places = setting.daemons.map(({ name, url }) => ({ name, url }))
  const clients = await startClients(
    { seed: timeline.seed, places, customers, log: join(folder, "clients.jsonl") },
    folder
  )
  const world: World = {
    options,
    setting,
    control,
    clients,
    figures: watchFigures(setting.daemons),
    faults: openJournal<FaultLine>(join(folder, "nemesis.jsonl")),
    fleet: null,
    cutShort: null
  }
  const violations: Array<Finding> = []
  const sampler = startSampler(setting.db, (findings, rows) => {
    if (violations.length > 0) return
    violations.push(...findings)
    world.cutShort = "the sampler saw what must never be seen"
    writeFileSync(join(folder, "violation.json"), spelled({ at: Date.now(), findings, rows }))
  })
  void options.interrupted.then((why) => (world.cutShort ??= why))
  const sections: Array<SectionDone> = []
  try {
    for (const section of timeline.sections) {
      if (world.cutShort !== null) break
      sections.push(await runSection(world, section, dice))
    }
    const sampled = await sampler.stop()
    say("judging")
    const last = await sampler.full().catch((cause: unknown) => [{ rule: "a last look", what: String(cause) }])
    const history = await historyOf(world, customers, sections.at(-1)?.leftOver ?? [])
    const findings = [...violations, ...last, ...judge(history)]
    const ops = opsOf(history.clients)
    const summaries = sections.map((done) =>
      summarize(done, ops, history.faults, history.daemons, criteriaOf(done.scenario, options.untimed))
    )
    return {
      command: options.command,
      folder,
      summaries,
      findings,
      sampled,
      daemons: history.daemons,
      complaints: complaintsIn(
        folder,
        setting.daemons.map(({ name }) => name)
      ),
      cutShort: world.cutShort
    }
  } finally {
    await sampler.stop()
    await world.figures.stop()
    await clients.leave()
    await Promise.all((world.fleet?.processes ?? []).map(({ stop }) => stop()))
    world.faults.close()
  }
}

const criteriaOf = (scenario: string, untimed: boolean): Criteria => {
  const { pass } = scenarioNamed(scenario)
  return untimed ? { ...pass, recoveryMsP95: Infinity, resumeMsP95: Infinity } : pass
}

const runSection = async (world: World, section: Section, dice: Dice): Promise<SectionDone> => {
  const { setting, clients, figures, options } = world
  const { fleet, clients: count, says } = scenarioNamed(section.scenario)
  await bringFleet(world, fleet, dice)
  options.say(
    `${section.scenario}: ${says}; ${section.faults.length} faults in ${Math.round(section.lastsMs / 1000)} s`
  )
  const before = await figures.now()
  const from = Date.now()
  clients.ask(count)
  const cluster = { ...setting, nodes: () => world.fleet?.processes ?? [] }
  const { skipped } = await Promise.race([
    perform(section, {
      hand: handOf(cluster),
      cannot: cannotIn(cluster),
      journal: world.faults,
      stopped: () => world.cutShort !== null
    }),
    clients.died
  ])
  const open = await clients.finish()
  const prefix = `${fleet}-`
  const leftOver = await waitUntilQuiet({
    db: setting.db,
    control: world.control,
    daemons: setting.daemons,
    nodes: { prefix, count: fleet === "reliable" ? nodesOf(options) : Math.floor(nodesOf(options) / 2) },
    patienceMs: HEAL_MS
  })
  const until = Date.now()
  const after = await figures.now()
  const grew = (name: keyof typeof after) => after[name] - before[name]
  options.say(
    `${section.scenario}: over after ${Math.round((until - from) / 1000)} s${leftOver.length === 0 ? "" : `; LEFT OVER: ${leftOver.join("; ")}`}`
  )
  return {
    scenario: section.scenario,
    from,
    until,
    skipped: Object.fromEntries(skipped),
    repairs: grew("resultity_repairs_total"),
    adoptions: grew("resultity_adoptions_total"),
    handovers: grew("resultity_handovers_total"),
    open,
    leftOver
  }
}

const spelled = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? part.toString() : part), 1)

const nodesOf = ({ timeline }: RigOptions): number => timeline.nodeProcesses * NODES_A_PROCESS

/** The nodes that a scenario wants; those of another kind leave first. */
const bringFleet = async (world: World, kind: Fleet, dice: Dice): Promise<void> => {
  const { options, setting, control } = world
  if (world.fleet?.kind === kind) return
  await Promise.all((world.fleet?.processes ?? []).map(({ stop }) => stop()))
  const processes = Array.from({ length: options.timeline.nodeProcesses }, (_, at) =>
    startNodes(
      {
        name: `${kind}-${at}`,
        dice: dice.stream(`${kind} ${at}`),
        characters: charactersOf(kind, NODES_A_PROCESS),
        slots: SLOTS,
        daemons: setting.daemons.map(({ port }) => port),
        env: clockVariables(setting.clocks.get(`nodes/${at}`) ?? "")
      },
      options.folder
    )
  )
  world.fleet = { kind, processes }
  const wanted = kind === "reliable" ? nodesOf(options) : Math.floor(nodesOf(options) / 2)
  await until(`${wanted} nodes to be active`, async () => (await sightOf(control, `${kind}-`)).active >= wanted, 90_000)
}

const historyOf = async (
  { options, setting }: World,
  customers: ReadonlyArray<{ readonly namespaceId: string; readonly canary: string }>,
  leftOver: ReadonlyArray<string>
): Promise<History> => {
  const { folder } = options
  const state = await dumpState(setting.db)
  const records = await recordsAfterRepair(setting, state.jobs, options.say)
  writeFileSync(join(folder, "state.json"), spelled(state))
  writeFileSync(join(folder, "records.json"), spelled([...records]))
  const nodeLogs = readdirSync(folder).filter((file) => /^(reliable|mixed)-\d+\.jsonl$/.test(file))
  return {
    clients: readLines<ClientLine>(join(folder, "clients.jsonl")),
    nodes: nodeLogs.flatMap((file) => readLines<NodeLine>(join(folder, file))),
    faults: readLines<FaultLine>(join(folder, "nemesis.jsonl")),
    daemons: readLines<DaemonLine>(join(folder, "daemons.jsonl")),
    state,
    records,
    canaries: new Map(customers.map(({ namespaceId, canary }) => [namespaceId, canary])),
    leaks: await leaksIn(
      setting,
      folder,
      customers.map(({ canary }) => canary)
    ),
    leftOver
  }
}

/** Texts of customers where none may stand: in the logs of daemons and in the deciding store. */
const leaksIn = async (
  { db, daemons }: Setting,
  folder: string,
  canaries: ReadonlyArray<string>
): Promise<ReadonlyArray<string>> => {
  const found: Array<string> = []
  for (const { name } of daemons) {
    const line = readFileSync(join(folder, `${name}.log`), "utf8")
      .split("\n")
      .find((line) => CANARY.test(line))
    if (line !== undefined) found.push(`the log of ${name}: ${line.slice(0, 300)}`)
  }
  await db.look(async (query) => {
    for (const [table, column] of [
      ["job", "facts"],
      ["outbox", "envelope"]
    ] as const) {
      for (const canary of canaries) {
        const rows = await query(`SELECT count(*) AS count FROM ${table} WHERE ${column} LIKE '%${canary}%'`)
        if (Number(rows[0]?.["count"] ?? 0) > 0)
          found.push(`${table}.${column} of the deciding store holds text of a request`)
      }
    }
  })
  return found
}
