import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { command } from '../command.ts'
import { UsageError } from '../failure.ts'
import type { Io } from '../io.ts'
import { jsonLine } from '../output.ts'
import { dataFolder } from '../places.ts'
import { createProgress } from '../progress.ts'

export function registerBackup(program: Command, io: Io): void {
  program.addCommand(
    command(
      'backup',
      'copy the data folder, also while the server runs',
      ['holdfast backup /backups/holdfast-$(date +%F)', 'holdfast backup --data-dir /srv/holdfast /mnt/backup/today'],
      'The copy is one moment of the server: everything that was acknowledged before it began is in it.\nIt is a folder of its own; bring it back with "holdfast restore".',
    )
      .argument('<destination>', 'a folder that is not there yet, or is empty')
      .option('--data-dir <dir>', 'what to copy (default: ~/.holdfast)')
      .option('--json', 'print JSON for programs')
      .action(async (destination: string, options: { dataDir?: string; json?: boolean }) => {
        const dataDir = dataFolder(options.dataDir, io.env)
        if (!existsSync(dataDir)) throw new UsageError(`There is no data folder at ${dataDir}; say where it is with --data-dir.`)
        const target = resolve(destination)
        const progress = createProgress('Copying', io)
        const { backupStore } = await import('@holdfast/store-sqlite')
        await backupStore(dataDir, target, ({ doneBytes, totalBytes }) => progress.report(doneBytes, totalBytes)).finally(progress.done)
        io.out(options.json ? jsonLine({ ok: true, data_dir: dataDir, backup: target }) : `Backed up ${dataDir} to ${target}.\n`)
      }),
  )
  program.addCommand(
    command(
      'restore',
      'make a data folder from a backup',
      ['holdfast restore /backups/holdfast-2026-11-21 --data-dir ~/.holdfast'],
      'The server must not run on that folder (exit 3), and what is in it is not overwritten: move it away first.\nThe restored history has a new epoch, so that clients which saw more than the backup has notice it.',
    )
      .argument('<source>', 'a folder that "holdfast backup" made')
      .option('--data-dir <dir>', 'where it goes (default: ~/.holdfast)')
      .option('--json', 'print JSON for programs')
      .action(async (source: string, options: { dataDir?: string; json?: boolean }) => {
        const from = resolve(source)
        if (!existsSync(from)) throw new UsageError(`There is no backup at ${from}.`)
        const dataDir = dataFolder(options.dataDir, io.env)
        const progress = createProgress('Restoring', io)
        const { restoreStore } = await import('@holdfast/store-sqlite')
        const { epoch } = await restoreStore(from, dataDir, ({ doneBytes, totalBytes }) => progress.report(doneBytes, totalBytes)).finally(progress.done)
        io.out(
          options.json
            ? jsonLine({ ok: true, data_dir: dataDir, backup: from, epoch })
            : `Restored ${from} to ${dataDir}, with the new epoch ${epoch}. Start it: holdfast serve${options.dataDir ? ` --data-dir ${options.dataDir}` : ''}\n`,
        )
      }),
  )
}
