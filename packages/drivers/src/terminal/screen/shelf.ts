import { createMarkedScreen, type MarkedScreen } from './marked-screen.ts'
import type { Answer, FromWorker, ToWorker } from './messages.ts'

/** Many screens by id: what the worker does with its messages. A screen that fails is dropped, and only that one. */
export function createShelf(post: (message: FromWorker) => void): (message: ToWorker) => void {
  const screens = new Map<string, MarkedScreen>()

  const drop = (id: string): undefined => {
    screens.get(id)?.close()
    screens.delete(id)
    return undefined
  }

  const open = ({ id, size, from }: Extract<ToWorker, { type: 'open' }>): undefined => {
    drop(id)
    const onReply = (text: string): void => post({ type: 'reply', id, text })
    screens.set(id, createMarkedScreen({ ...size, onReply, onAttention: attention => post({ type: 'attention', id, attention }) }, from))
    return undefined
  }

  const serve = (screen: MarkedScreen, message: Exclude<ToWorker, { type: 'open' | 'drop' }>): Answer => {
    switch (message.type) {
      case 'write':
        screen.write(message.mark, message.bytes, message.live)
        return undefined
      case 'resize':
        screen.resize(message.mark, message.size)
        return undefined
      case 'snapshot':
        return screen.snapshot()
      case 'text':
        return screen.text(message.options)
    }
  }

  return message => {
    const { id, request } = message
    try {
      let answer: Answer
      if (message.type === 'open') answer = open(message)
      else if (message.type === 'drop') answer = drop(id)
      else {
        const screen = screens.get(id)
        if (!screen) {
          post({ type: 'refused', request, reason: 'unknown', message: 'There is no such screen.' })
          return
        }
        answer = serve(screen, message)
      }
      post({ type: 'answer', request, answer })
    } catch (error) {
      drop(id)
      post({ type: 'refused', request, reason: 'failed', message: String(error) })
    }
  }
}
