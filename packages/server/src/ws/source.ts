import type { Attachment } from '@holdfast/core'
import type { Source } from '../stream/pump.ts'

/** One attachment on a socket. */
export interface SocketSource extends Source {
  readonly attachment: Attachment
  readonly fromUrl: boolean
  /** Of the message that asked for it; hello answers that one. */
  readonly replyTo: string | undefined
  readonly watch: Watching | undefined
  greeted: boolean
}

/** One `protocol.watch`: answered once the sessions of its list have said hello. */
export interface Watching {
  /** Attached, hello not yet sent. */
  readonly waiting: Set<SocketSource>
  answer: (() => void) | undefined
  stop: () => void
}

/** Who asked for an attachment. */
export interface Asker {
  readonly fromUrl?: boolean
  readonly replyTo?: string | undefined
  readonly watch?: Watching
}

/** Its hello is out, or will never be: the watch that waits for the last of them is answered then. */
export function markGreeted(source: SocketSource): void {
  source.greeted = true
  const { watch } = source
  if (watch?.waiting.delete(source) && watch.waiting.size === 0) watch.answer?.()
}
