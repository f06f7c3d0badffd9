/**
 * `snapshot`: the whole deciding state at one instant, as a daemon makes it, or with `--from` as it stands in an archive or in a CAR file. A restore
 * and a fork need no daemon and want none: they fill a store before one starts on it.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { S3_FLAGS } from "../archive/Place.ts"
import { gets } from "../Ask.ts"
import { CliFailed, EXIT, usage } from "../CliFailed.ts"
import { argument, type Command, type Flag, type Input, REASON, reasonOf } from "../Command.ts"
import { at, Control } from "../Control.ts"
import { reading } from "../Show.ts"
import { follow, NO_WAIT } from "../snapshot/Follow.ts"
import { diff, exportCar, LIMIT_DEFAULT, limitOf, list, verify, writeCar } from "../snapshot/Offline.ts"
import { fork, FORK_FLAGS, restore, STORE_FLAGS } from "../snapshot/Restore.ts"
import { Check, showCheck, showDiff, showHead, showHeads, showPruned } from "../snapshot/Views.ts"

const FROM: Flag = {
  name: "from",
  value: "PLACE",
  help: "read this archive itself, without a daemon: a folder, s3://[BUCKET/PREFIX], or a file.car"
}
const LIMIT: Flag = {
  name: "limit",
  value: "N",
  help: `so many at most; ${LIMIT_DEFAULT}`,
  check: (text) => (/^[1-9]\d{0,3}$/.test(text) ? null : "is a whole number from 1 to 9999")
}
const TO: Flag = { name: "to", value: "FILE", help: "the new file; needed", needed: "the file to write" }
const SIGNER: Flag = {
  name: "signer",
  value: "KEY",
  help: "who has to have signed it, as `snapshot list --json` shows it; with --from only",
  check: (text) => (/^[0-9a-f]{64}$/.test(text) ? null : "is a public key: 64 hexadecimal digits")
}
const MAYBE = { name: "NUMBER", help: "the snapshot; without it the newest", many: true } as const
const OFFLINE = `With --from no daemon and no database is asked: PLACE is a daemon's data/archive or a copy of it, s3:// with the
daemon's S3 options, or a file that snapshot export wrote.`

const OFFLINE_ONLY: ReadonlySet<string> = new Set([...S3_FLAGS, SIGNER].map(({ name }) => name))

const withoutPlace = ({ flags }: Input): Result.Result<void, CliFailed> => {
  const offline = [...flags.keys()].find((flag) => OFFLINE_ONLY.has(flag))
  if (offline === undefined) return Result.succeed(undefined)
  return Result.fail(usage(`--${offline} needs --from PLACE: a daemon knows its own archive`))
}

const online =
  (run: Command["run"]): Command["run"] =>
  (input) =>
    Effect.andThen(Effect.fromResult(withoutPlace(input)), run(input))

const readCheck = reading(Check)

const create: Command = {
  path: ["snapshot", "create"],
  args: [],
  flags: [
    { name: "full", help: "write every block again, also those that earlier snapshots have" },
    { name: "records", help: "also the SHA-256 of each ended job's record, read from the record store" },
    NO_WAIT,
    REASON
  ],
  summary: "the whole deciding state at this instant, numbered, chained and signed, into cold storage",
  notes: "Jobs go on meanwhile. Prompts, answers and secrets are not in it; API keys only as their digests.",
  examples: ["resultity snapshot create --reason 'before the upgrade'"],
  run: (input) =>
    Effect.gen(function* () {
      const wishes = ["full", "records"].filter((name) => input.flags.has(name)).map((name) => [name, true] as const)
      const order = { reason: reasonOf(input), ...Object.fromEntries(wishes) }
      const made = yield* follow(input, yield* (yield* Control).post(at("snapshots"), order))
      if (made !== null) yield* showHead(input, made)
    })
}

/** One line for each thing that is wrong, and then the exit code. */
const verifyOfDaemon: Command["run"] = (input) =>
  Effect.gen(function* () {
    const path = at("snapshots", argument(input, 0), "verify")
    const made = yield* follow(input, yield* (yield* Control).post(path, { reason: reasonOf(input) }))
    if (made === null) return
    yield* showCheck(input, made)
    const { faults } = yield* readCheck(made)
    if (faults.length === 0) return
    const message = `${faults.length} ${faults.length === 1 ? "thing is" : "things are"} wrong.`
    return yield* new CliFailed({ code: "broken", message, exit: EXIT.failed })
  })

const KEEP: Flag = {
  name: "keep",
  value: "N",
  help: "so many stay, the newest; needed",
  needed: "how many stay",
  check: (text) => (/^[1-9]\d{0,8}$/.test(text) ? null : "is a whole number from 1")
}

const prune: Command = {
  path: ["snapshot", "prune"],
  args: [],
  flags: [KEEP, { name: "dry-run", help: "only say what would go" }, NO_WAIT, REASON],
  summary: "deletes all snapshots but the newest, and the blocks that only they had",
  notes: "Nothing is deleted when one that stays is broken. By itself: the setting snapshotsKept.",
  examples: ["resultity snapshot prune --keep 30 --dry-run --reason 'to see'"],
  run: (input) =>
    Effect.gen(function* () {
      const keep = Number(input.flags.get("keep"))
      const order = { reason: reasonOf(input), keep, ...(input.flags.has("dry-run") ? { dryRun: true } : {}) }
      const pruned = yield* follow(input, yield* (yield* Control).post(at("snapshots", "prune"), order))
      if (pruned !== null) yield* showPruned(input, pruned)
    })
}

const needed = (run: Command["run"]): Command["run"] =>
  online((input) =>
    input.args.length === 1 ? run(input) : Effect.fail(usage("without --from one NUMBER is needed (see --help)"))
  )

const offlineOnly: Command["run"] = () => Effect.fail(usage("this needs --from PLACE (see --help)"))

export const snapshotCommands: ReadonlyArray<Command> = [
  create,
  {
    path: ["snapshot", "list"],
    args: [],
    flags: [LIMIT, FROM, ...S3_FLAGS],
    summary: "snapshots, newest first",
    notes: `NEW BLOCKS and NEW BYTES are what a snapshot added to those before it.\n${OFFLINE}`,
    examples: ["resultity snapshot list", "resultity snapshot list --from data/archive"],
    run: online(
      gets(
        () => at("snapshots"),
        showHeads,
        (input) => ({ limit: String(Math.min(limitOf(input), 1000)) })
      )
    ),
    offline: list
  },
  prune,
  {
    path: ["snapshot", "verify"],
    args: [{ ...MAYBE, help: "the snapshot; with --from also none, for all" }],
    flags: [{ ...REASON, unless: "from" }, NO_WAIT, SIGNER, FROM, ...S3_FLAGS],
    summary: "reads every block of a snapshot back and says which is broken, and in which table",
    notes: `Exit code 1 when anything is wrong.\n${OFFLINE}`,
    examples: [
      "resultity snapshot verify 3 --reason 'monthly check'",
      "resultity snapshot verify --from /backup/archive",
      "resultity snapshot verify --from state.car"
    ],
    run: needed(verifyOfDaemon),
    offline: verify
  },
  {
    path: ["snapshot", "diff"],
    args: [
      { name: "A", help: "the earlier snapshot's number" },
      { name: "B", help: "the later one's" }
    ],
    flags: [LIMIT, FROM, ...S3_FLAGS],
    summary: "rows that were added, removed or changed between two snapshots",
    notes: `Blocks that both have are not read.\n${OFFLINE}`,
    examples: ["resultity snapshot diff 3 4", "resultity snapshot diff 3 4 --json | jq .tables"],
    run: online(
      gets(
        (input) => at("snapshots", argument(input, 0), "diff", argument(input, 1)),
        showDiff,
        (input) => ({ limit: String(limitOf(input)) })
      )
    ),
    offline: diff
  },
  {
    path: ["snapshot", "export"],
    args: [MAYBE],
    flags: [TO, FROM, ...S3_FLAGS],
    summary: "a snapshot as one CAR file, which any program of IPFS reads",
    notes: OFFLINE,
    examples: [
      "resultity snapshot export 3 --to state.car",
      "resultity snapshot export --from data/archive --to state.car"
    ],
    run: needed((input) =>
      Effect.flatMap(Control, ({ bytes }) =>
        writeCar(input, Effect.succeed(bytes(at("snapshots", argument(input, 0), "car"))))
      )
    ),
    offline: exportCar
  },
  {
    path: ["snapshot", "restore"],
    args: [MAYBE],
    flags: [{ ...FROM, needed: "the snapshot to restore" }, ...STORE_FLAGS, ...S3_FLAGS],
    summary: "a snapshot into an empty store, before a daemon starts on it",
    notes: `All of it or nothing; a store that holds rows is refused. Webhooks hold secrets and are not in it.
${OFFLINE}`,
    examples: [
      "resultity snapshot restore --from /backup/archive --data ./data",
      "resultity snapshot restore 3 --from state.car --postgres-url postgres://…"
    ],
    run: offlineOnly,
    offline: restore
  },
  {
    path: ["snapshot", "fork"],
    args: [MAYBE],
    flags: [{ ...FROM, needed: "the snapshot to fork" }, ...FORK_FLAGS, ...STORE_FLAGS, ...S3_FLAGS],
    summary: "the same under another environment, without the keys of the original",
    notes: `A fork is a network of its own: nothing of it goes back.
${OFFLINE}`,
    examples: ["resultity snapshot fork --from /backup/archive --environment testnet --data ./fork"],
    run: offlineOnly,
    offline: fork
  }
]
