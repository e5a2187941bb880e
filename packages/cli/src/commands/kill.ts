import { HoldfastError } from '@holdfast/protocol'
import type { Command } from 'commander'
import { sessionPath } from '../api.ts'
import { apiOf, type ClientOptions, command, withClient } from '../command.ts'
import type { Io } from '../io.ts'
import { jsonLine } from '../output.ts'
import { terminalSession } from '../terminal/attached.ts'

export function registerKill(program: Command, io: Io): void {
  program.addCommand(
    withClient(
      command(
        'kill',
        'send a signal to the program of a terminal session',
        ['holdfast kill shell', 'holdfast kill shell --signal INT'],
        'It reaches what runs in the foreground there. The session and all that was printed stay. "holdfast end" ends program and session, "holdfast rm" erases them.',
      ),
    )
      .argument('<id>')
      .option('--signal <name>', 'HUP, INT, QUIT, KILL, TERM, USR1, USR2, CONT, STOP or TSTP', 'TERM')
      .action(async (id: string, options: ClientOptions & { signal: string }) => {
        const api = apiOf(options, io)
        await terminalSession(api, id)
        const signal = `SIG${options.signal.toUpperCase().replace(/^SIG/, '')}`
        const body = { type: 'terminal.signal', payload: { signal }, ...(io.tty ? { client_id: io.tty.clientId } : {}) }
        const answer = await api.request('POST', `${sessionPath(id)}/inputs`, { body }).catch(error => {
          if (error instanceof HoldfastError && error.code === 'forbidden' && error.details['role'] === 'viewer')
            throw new HoldfastError(
              'busy',
              `Another window types in "${id}", or did half a minute ago. Take over with "holdfast attach ${id} --take", or end it with "holdfast end ${id}".`,
            )
          if (error instanceof HoldfastError && error.code === 'session_ended')
            throw new HoldfastError('session_ended', `The program of "${id}" has ended already.`)
          throw error
        })
        io.out(options.json ? jsonLine(answer.body) : `Sent ${signal} to ${id}.\n`)
      }),
  )
}
