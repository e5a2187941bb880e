/** The program wants to be looked at. */
export type Attention = { readonly reason: 'bell' } | { readonly reason: 'notification'; readonly text: string }

/** A notification is shown somewhere: no more of it than fits. */
const MAX_TEXT = 1000
/** Parts of notifications (OSC 99) that wait for their end. */
const MAX_WAITING = 16

const cut = (text: string): string => text.slice(0, MAX_TEXT)

/** OSC 9: text, unless it begins with a number, as other commands do (progress, working folder). */
export const notificationOf9 = (data: string): string | undefined => (data === '' || /^\d+(;|$)/.test(data) ? undefined : cut(data))

/** OSC 777: `notify;title;body`. */
export function notificationOf777(data: string): string | undefined {
  const [command, title = '', ...body] = data.split(';')
  const text = [title, body.join(';')].filter(part => part !== '').join(': ')
  return command === 'notify' && text !== '' ? cut(text) : undefined
}

/** OSC 99: `key=value:…;payload`, in parts that share an id until one is done. */
export function createNotifications99(): (data: string) => string | undefined {
  const waiting = new Map<string, { title: string; body: string }>()
  return data => {
    const end = data.indexOf(';')
    if (end === -1) return undefined
    const keys = new Map(
      data
        .slice(0, end)
        .split(':')
        .map(pair => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)] as const),
    )
    const part = keys.get('p') ?? 'title'
    const id = keys.get('i') ?? ''
    const encoded = data.slice(end + 1)
    const payload = keys.get('e') === '1' ? Buffer.from(encoded, 'base64').toString() : encoded
    const known = waiting.get(id) ?? { title: '', body: '' }
    waiting.delete(id)
    if (part === 'title') known.title = cut(known.title + payload)
    else if (part === 'body') known.body = cut(known.body + payload)
    else if (part === 'close' || part === '?' || part === 'alive') return undefined
    if (keys.get('d') === '0') {
      if (waiting.size >= MAX_WAITING) waiting.clear()
      waiting.set(id, known)
      return undefined
    }
    const text = [known.title, known.body].filter(piece => piece !== '').join(': ')
    return text === '' ? undefined : cut(text)
  }
}
