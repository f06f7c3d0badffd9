/**
 * Preloaded into a process (`node --import`): its wall clock is off by what a file says, looked at several times a second. Only `Date` is shifted, which is
 * the only wall clock a daemon or an agent reads; intervals go on as they were, as on a machine whose time somebody sets.
 */
import { readFileSync } from "node:fs"

const path = process.env["RIG_CLOCK_FILE"]
const LOOK_EVERY_MS = 100

if (path !== undefined) {
  let offMs = 0
  const RealDate = Date
  const look = () => {
    try {
      offMs = Number(readFileSync(path, "utf8")) || 0
    } catch {
      offMs = 0
    }
  }
  look()
  setInterval(look, LOOK_EVERY_MS).unref()
  const now = () => RealDate.now() + offMs
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
    apply: () => new RealDate(now()).toString(),
    get: (target, property, receiver) => (property === "now" ? now : Reflect.get(target, property, receiver))
  })
}
