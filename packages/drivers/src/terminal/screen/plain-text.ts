import type { Core } from './xterm-internals.ts'

export interface PlainTextOptions {
  /** History first, its wrapped lines joined. */
  readonly scrollback?: boolean
}

/** The screen as lines without blanks at their ends; lines at the end that are empty are left out. */
export function plainText(core: Core, { scrollback = false }: PlainTextOptions = {}): string {
  const { active, normal } = core.buffers
  const rows: { text: string; joins: boolean }[] = []
  const add = (buffer: typeof active, from: number, to: number): void => {
    for (let index = from; index < to; index++) {
      const line = buffer.lines.get(index)
      const next = buffer.lines.get(index + 1)
      const continues = scrollback && index + 1 < to && next?.isWrapped === true
      rows.push({ text: line?.translateToString(!continues) ?? '', joins: continues })
    }
  }
  if (scrollback && active !== normal) add(normal, 0, normal.ybase)
  add(active, scrollback ? 0 : active.ybase, active.lines.length)
  let text = ''
  for (const { text: row, joins } of rows) text += joins ? row : `${row.trimEnd()}\n`
  return text.replace(/\n+$/, '\n').replace(/^\n$/, '')
}
