import { z } from 'zod'

const size = z.int().min(1)

/** Events of a terminal (contract section 5). */
export const TERMINAL_EVENTS = {
  'terminal.started': z.looseObject({ pid: z.int(), command: z.string(), cwd: z.string(), cols: size, rows: size, incarnation: z.int() }),
  'terminal.output': z.union([z.looseObject({ text: z.string() }), z.looseObject({ base64: z.string() })]),
  'terminal.resized': z.looseObject({ cols: size, rows: size }),
  'terminal.writer_changed': z.looseObject({ client_id: z.string().nullable() }),
  'terminal.exited': z.looseObject({ exit_code: z.int().nullable(), signal: z.string().nullable() }),
} as const
