import type { Command } from 'commander'
import { apiOf, type ClientOptions, command, withClient } from '../command.ts'
import { UsageError } from '../failure.ts'
import type { Io } from '../io.ts'
import { attachHere, terminalSession } from '../terminal/attached.ts'
import { ctrlKey, DEFAULT_DETACH_KEY } from '../terminal/keys.ts'

interface AttachOptions extends ClientOptions {
  readonly readOnly?: boolean
  readonly take?: boolean
  readonly replay?: boolean
  readonly detachKey: string
}

const DETAILS = `Shows the screen as it is, then what the program prints, and types what you type. Leave with Ctrl-\\: the
program goes on. One window types at a time, and the program has its size; --take moves that here. It reconnects by
itself. When the program ends, its exit code is this command's.`

export function registerAttach(program: Command, io: Io): void {
  program.addCommand(
    withClient(
      command(
        'attach',
        'sit down at a terminal session',
        ['holdfast attach shell', 'holdfast attach shell --take', 'holdfast attach shell --read-only'],
        DETAILS,
      ),
    )
      .argument('<id>')
      .option('--read-only', 'only look: nothing is typed, the size stays')
      .option('--take', 'type here, whoever did before')
      .option('--replay', 'play all that was ever printed first, instead of drawing the screen')
      .option('--detach-key <key>', 'the key to leave with', DEFAULT_DETACH_KEY)
      .action(async (id: string, options: AttachOptions) => {
        if (options.readOnly && options.take) throw new UsageError('--read-only and --take exclude each other.')
        const settings = {
          isReadOnly: options.readOnly === true,
          takes: options.take === true,
          replays: options.replay === true,
          detachKey: ctrlKey(options.detachKey),
        }
        const api = apiOf(options, io)
        await terminalSession(api, id)
        await attachHere(api, id, settings, options, io)
      }),
  )
}
