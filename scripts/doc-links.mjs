import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { filesUnder } from './source-text.mjs'

const slugOf = heading =>
  heading
    .replace(/`/g, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .trim()
    .replace(/ /g, '-')

const anchorsOf = text => new Set([...text.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.+)$/gm)].map(match => slugOf(match[1])))

/** Links of Markdown files to files or headings that are not there. */
export function linkProblems(root) {
  const problems = []
  for (const path of filesUnder(root).filter(name => name.endsWith('.md'))) {
    const text = readFileSync(join(root, path), 'utf8')
    const prose = text.replace(/^```[\s\S]*?^```/gm, block => block.replace(/[^\n]/g, ' ')).replace(/`[^`\n]*`/g, code => ' '.repeat(code.length))
    for (const match of prose.matchAll(/\[[^\]\n]*\]\(([^)\s]+)\)/g)) {
      const [target, anchor] = match[1].split('#')
      if (/^[a-z]+:/.test(target)) continue
      const file = target === '' ? path : join(dirname(path), target)
      const line = prose.slice(0, match.index).split('\n').length
      if (!existsSync(join(root, file))) problems.push(`${path}:${line}: no such file: ${match[1]}`)
      else if (anchor && file.endsWith('.md') && !anchorsOf(readFileSync(join(root, file), 'utf8')).has(anchor))
        problems.push(`${path}:${line}: no such heading: ${match[1]}`)
    }
  }
  return problems
}
