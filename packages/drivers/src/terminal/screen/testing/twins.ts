import { createScreen, type Screen } from '../screen.ts'
import { describeScreen } from './describe-screen.ts'

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

export interface Size {
  readonly cols: number
  readonly rows: number
  readonly scrollback?: number
}

/** A screen that has seen this. */
export function screenOf(text: string | Uint8Array, size: Size = { cols: 20, rows: 6 }): Screen {
  const screen = createScreen(size)
  screen.write(typeof text === 'string' ? bytesOf(text) : text)
  return screen
}

/** The first lines in which two screens differ; empty where they are the same. */
export function differences(one: Screen, other: Screen, options?: { readonly links?: boolean }): string[] {
  const [a, b] = [describeScreen(one.core, options), describeScreen(other.core, options)]
  const out: string[] = []
  for (let index = 0; index < Math.max(a.length, b.length) && out.length < 12; index++)
    if (a[index] !== b[index]) out.push(`- ${a[index] ?? '(nothing)'}`, `+ ${b[index] ?? '(nothing)'}`)
  return out
}
