import { PLAIN, penChange, samePen, type Pen } from './pen.ts'

/** Text that is being written for a terminal, and the pen that it holds by then. */
export interface Ink {
  pen: Pen
  put(text: string): void
  use(pen: Pen): void
  text(): string
}

/** Begins at a reset terminal: nothing set. */
export function createInk(): Ink {
  let text = ''
  const ink: Ink = {
    pen: PLAIN,
    put(more) {
      text += more
    },
    use(pen) {
      if (samePen(ink.pen, pen)) return
      text += penChange(ink.pen, pen)
      ink.pen = pen
    },
    text: () => text,
  }
  return ink
}
