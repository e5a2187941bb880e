import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, isAbsolute, join, resolve } from 'node:path'
import { StartError } from './holder-config.ts'

/** The file that this command is, as execvp(3) would look for it. Throws StartError: a terminal's own fork only prints why it failed. */
export function findCommand(command: string, cwd: string, path: string): string {
  checkFolder(cwd)
  const places = command.includes('/')
    ? [resolve(cwd, command)]
    : path.split(delimiter).map(folder => join(isAbsolute(folder) ? folder : join(cwd, folder), command))
  let found = false
  for (const place of command === '' ? [] : places) {
    if (!statSync(place, { throwIfNoEntry: false })?.isFile()) continue
    found = true
    if (canExecute(place)) return place
  }
  throw found ? new StartError('not_executable', `${command} may not be executed`) : new StartError('command_not_found', `${command} was not found`)
}

function checkFolder(cwd: string): void {
  try {
    if (isAbsolute(cwd) && statSync(cwd).isDirectory() && canExecute(cwd)) return
  } catch {
    // No such folder, or none that may be looked into.
  }
  throw new StartError('bad_cwd', `${cwd} is no folder to work in`)
}

function canExecute(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
