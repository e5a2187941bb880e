import { readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock, Logger } from '@holdfast/core'
import { reapHolder } from '../holder/index.ts'

/** How often a holder that was told to end is looked at, and for how long. */
const LOOK_MS = 200
const LOOKS = 50

/** Where the holders of a data folder live: `<root>/<session>/<incarnation>`. */
export interface Places {
  of(sessionId: string, incarnation: number): string
  all(): readonly { readonly sessionId: string; readonly incarnation: number }[]
  /** Ends what runs there, where `kill` says so, and removes the folder; gives up after some time, and the next start tries again. */
  clear(sessionId: string, incarnation: number, kill: boolean): Promise<void>
  /** Resolves when nobody clears this place any more. */
  settled(sessionId: string, incarnation: number): Promise<void>
}

export function createPlaces(root: string, clock: Clock, logger: Logger): Places {
  const of = (sessionId: string, incarnation: number): string => join(root, sessionId, String(incarnation))
  const clearing = new Map<string, Promise<void>>()

  const clearNow = async (sessionId: string, incarnation: number, kill: boolean): Promise<void> => {
    const folder = of(sessionId, incarnation)
    try {
      for (let look = 0; look < LOOKS; look++) {
        if (await reapHolder(folder, { clock, kill: kill && look === 0 })) {
          removeEmpty(join(root, sessionId))
          return
        }
        await new Promise<void>(resolve => void clock.after(LOOK_MS, resolve))
      }
      logger.warn('a program does not end', { session_id: sessionId, incarnation })
    } catch (error) {
      logger.warn("a program's folder could not be removed", { session_id: sessionId, error: error instanceof Error ? error.message : String(error) })
    }
  }

  return {
    of,
    all: () =>
      namesIn(root).flatMap(sessionId =>
        namesIn(join(root, sessionId))
          .filter(name => /^\d+$/.test(name))
          .map(name => ({ sessionId, incarnation: Number(name) })),
      ),
    async clear(sessionId, incarnation, kill) {
      const folder = of(sessionId, incarnation)
      await clearing.get(folder)
      const done = clearNow(sessionId, incarnation, kill).finally(() => clearing.delete(folder))
      clearing.set(folder, done)
      return done
    },
    settled: async (sessionId, incarnation) => clearing.get(of(sessionId, incarnation)),
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).flatMap(entry => (entry.isDirectory() ? [entry.name] : []))
  } catch {
    return []
  }
}

function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // Another incarnation lives there.
  }
}
