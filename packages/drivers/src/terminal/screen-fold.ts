import type { Folded } from '@holdfast/core'
import type { Event } from '@holdfast/protocol'
import { bytesFromPayload } from './output-events.ts'
import { advance, isGround, VT_GROUND } from './screen/boundary.ts'
import type { MarkedState } from './screen/messages.ts'
import type { Screens } from './screen/screens.ts'

/** The state of a terminal (contract section 1). */
export interface TerminalState {
  readonly cols: number
  readonly rows: number
  readonly incarnation: number
  readonly screen: string
}

/** A terminal before its first event. */
const BLANK: TerminalState = { cols: 80, rows: 24, incarnation: 0, screen: '' }

export const markedFromFolded = ({ seq, state }: { readonly seq: number; readonly state: unknown }): MarkedState => {
  const { cols, rows, screen } = state as TerminalState
  return { mark: seq, state: { cols, rows, screen } }
}

/** Plays events onto a screen of this id that is open; what one event means to a screen is said here alone. */
export function createPlayer(screens: Screens, id: string, at: { readonly seq: number; readonly incarnation: number }) {
  let vt = VT_GROUND
  let { incarnation } = at
  let cut = at.seq
  const waiting: { seq: number; bytes: Uint8Array }[] = []
  const sizeOf = (payload: unknown) => payload as { readonly cols: number; readonly rows: number; readonly incarnation?: number }

  const flush = async (): Promise<void> => {
    for (const { seq, bytes } of waiting.splice(0)) await screens.write(id, seq, bytes, false)
  }

  return {
    get incarnation() {
      return incarnation
    },
    /** The newest event after which the screen can be cut. */
    get cut() {
      return cut
    },
    async play({ type, header: { seq }, payload }: Event): Promise<void> {
      if (type === 'terminal.output') {
        const bytes = bytesFromPayload(payload)
        vt = advance(vt, bytes)
        waiting.push({ seq, bytes })
        if (!isGround(vt)) return
        await flush()
      } else if (type === 'terminal.resized' || type === 'terminal.started') {
        const size = sizeOf(payload)
        await flush()
        await screens.resize(id, seq, { cols: size.cols, rows: size.rows })
        if (type === 'terminal.started') incarnation = size.incarnation ?? incarnation
        if (!isGround(vt)) return
      } else if (isGround(vt)) await screens.write(id, seq, new Uint8Array(), false)
      else return
      cut = seq
    },
    /** Also what is inside a sequence: for a screen that goes on. */
    async catchUp(): Promise<void> {
      await flush()
    },
  }
}

let folds = 0

/** Folds events onto a screen of its own, up to the last place where it can be cut. */
export async function foldScreen(screens: Screens, sessionId: string, base: Folded | undefined, events: AsyncIterable<Event>): Promise<Folded> {
  const id = `${sessionId} fold ${++folds}`
  const from = (base?.state as TerminalState | undefined) ?? BLANK
  await screens.open(id, from, base && markedFromFolded(base))
  try {
    const player = createPlayer(screens, id, { seq: base?.seq ?? 0, incarnation: from.incarnation })
    for await (const event of events) await player.play(event)
    const marked = player.cut === (base?.seq ?? 0) ? undefined : await screens.snapshot(id)
    if (!marked) return base ?? { seq: 0, state: BLANK }
    return { seq: marked.mark, state: { ...marked.state, incarnation: player.incarnation } }
  } finally {
    await screens.drop(id)
  }
}
