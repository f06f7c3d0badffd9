/**
 * Makes what was committed survive a power failure, without standing still for it: the write-ahead log is synced by another thread, and who asked
 * hears when a sync that began after asking is through. One runs at a time; whoever asks meanwhile shares the next.
 *
 * The database itself commits with synchronous=NORMAL, which orders its own syncs around checkpoints; together that is what FULL promises.
 */
import { closeSync, fdatasync, fdatasyncSync, openSync } from "node:fs"

export type Synced = (error: Error | null) => void

export interface WalSync {
  readonly request: (done: Synced) => void
  /** Syncs here and now for everybody who waits. */
  readonly close: () => void
}

/** Of the database at `path`; its log is there once something was written. */
export const make = (path: string): WalSync => {
  let descriptor: number | undefined
  let running: ReadonlyArray<Synced> = []
  let waiting: Array<Synced> = []

  const open = (): number => (descriptor ??= openSync(`${path}-wal`, "r"))
  const tell = (all: ReadonlyArray<Synced>, error: Error | null) => {
    for (const done of all) done(error)
  }

  const start = () => {
    running = waiting
    waiting = []
    try {
      fdatasync(open(), (error) => {
        const told = running
        running = []
        if (waiting.length > 0) start()
        tell(told, error)
      })
    } catch (cause) {
      const told = running
      running = []
      tell(told, cause instanceof Error ? cause : new Error(String(cause)))
    }
  }

  const request = (done: Synced) => {
    waiting.push(done)
    if (running.length === 0) start()
  }

  const close = () => {
    const told = [...running, ...waiting]
    running = []
    waiting = []
    let failed: Error | null = null
    try {
      if (told.length > 0) fdatasyncSync(open())
    } catch (cause) {
      failed = cause instanceof Error ? cause : new Error(String(cause))
    }
    tell(told, failed)
    if (descriptor !== undefined) closeSync(descriptor)
    descriptor = undefined
  }

  return { request, close }
}

/** For a database that lives in memory: there is nothing to survive. */
export const none: WalSync = { request: (done) => done(null), close: () => {} }
