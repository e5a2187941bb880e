import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../lib/process.ts'

export interface CodeBlock {
  readonly language: string
  readonly text: string
  /** The file that the line before the block links to, from the root; undefined where there is none. */
  readonly file?: string
}

/** The fenced blocks of a guide, in order. */
export function blocksOf(guide: string): CodeBlock[] {
  const text = readFileSync(join(ROOT, 'docs', 'guides', guide), 'utf8')
  return [...text.matchAll(/(?:\]\(\.\.\/\.\.\/([^)]+)\):\n\n)?^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, file, language = '', code = '']) => ({
    language,
    text: code,
    ...(file === undefined ? {} : { file }),
  }))
}
