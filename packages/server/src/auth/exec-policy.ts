import type { ExecPolicy } from '@holdfast/drivers'
import type { Config } from '../config/schema.ts'
import { isReachedByOthers } from './guard.ts'

/** What may be started: beyond loopback nothing, until folders and commands are configured (contract section 9). */
export function execPolicy({ serve, exec }: Pick<Config, 'serve' | 'exec'>): ExecPolicy | undefined {
  const { allow_folders: folders, allow_commands: commands } = exec
  if (isReachedByOthers(serve) && (folders.length === 0 || commands.length === 0)) return undefined
  return { folders, commands }
}
