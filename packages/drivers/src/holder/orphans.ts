import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type ConnectOptions, connectHolder, killHolder } from './connect-holder.ts'
import type { HolderRecord } from './holder-record.ts'
import { processesHere } from './processes.ts'
import { remainsOf } from './remains.ts'

/** A holder's folder. `foreign`: of another boot or machine, so its program is gone for sure; `unreachable`: its process runs but does not answer. */
export interface HeldFolder {
  readonly folder: string
  readonly state: 'live' | 'dead' | 'foreign' | 'unreachable'
  /** Undefined where it never came to a program. */
  readonly record: HolderRecord | undefined
}

/** The holders' folders under a root, with what each is now. It only looks: whoever reads a live one goes on reading. */
export async function listHolders(root: string, options: ConnectOptions): Promise<HeldFolder[]> {
  const folders = readdirSync(root, { withFileTypes: true }).filter(entry => entry.isDirectory())
  return Promise.all(folders.map(({ name }) => look(join(root, name), options)))
}

async function look(folder: string, options: ConnectOptions): Promise<HeldFolder> {
  const found = await connectHolder(folder, options)
  switch (found.state) {
    case 'live':
      found.link.close()
      return { folder, state: 'live', record: found.link.hello }
    case 'unreachable':
      return { folder, state: 'unreachable', record: found.record }
    case 'dead': {
      const { record } = found.remains
      const foreign = record !== undefined && record.bootId !== (options.processes ?? processesHere).bootId()
      return { folder, state: foreign ? 'foreign' : 'dead', record }
    }
  }
}

/** Removes a dead or foreign holder's folder, and ends what is left of its program; a live one is told to end first where `kill` is true. False where it still runs. */
export async function reapHolder(folder: string, options: ConnectOptions & { readonly kill?: boolean }): Promise<boolean> {
  const { state } = await look(folder, options)
  if (state === 'live' || state === 'unreachable') {
    if (options.kill) await killHolder(folder, options)
    return false
  }
  await remainsOf(folder, options.processes ?? processesHere).remove()
  return true
}
