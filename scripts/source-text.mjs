import { readdirSync } from 'node:fs'
import { join, relative, sep } from 'node:path'

const SKIPPED = new Set(['node_modules', 'dist', '.git', '.scratch', 'coverage', 'fixtures', '__fixtures__'])

/** Every file under `root` that people write, as paths with forward slashes relative to it, sorted. */
export function filesUnder(root) {
  const found = []
  const walk = folder => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (SKIPPED.has(entry.name)) continue
      const path = join(folder, entry.name)
      if (entry.isDirectory()) walk(path)
      else if (entry.isFile()) found.push(relative(root, path).split(sep).join('/'))
    }
  }
  walk(root)
  return found.sort()
}

export const isSource = path => /\.(ts|tsx|mts|js|mjs)$/.test(path) && !path.endsWith('.d.ts')

/** Files that prove or measure rather than serve: a test, or a room that holds nothing else. */
export const isTest = path => /\.test\.tsx?$/.test(path) || /^(e2e|bench|scripts|examples)\/|^(packages|apps)\/[^/]+\/(?:test|bench|src\/testing)\//.test(path)

const REGEX_BEFORE = /(?:^|[=(,:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|await|yield))\s*$/

/**
 * The text with comments blanked out, and strings too unless `strings` is true; line breaks stay, so that line numbers hold.
 * Not a parser: enough to tell code from words in this code base.
 */
export function codeOf(text, { strings = false } = {}) {
  let out = ''
  const blank = (from, to) => {
    out += text.slice(from, to).replace(/[^\n]/g, ' ')
  }
  const scan = (from, stop) => {
    let at = from
    let depth = 0
    while (at < text.length) {
      const char = text[at]
      const next = text[at + 1]
      let end
      if (char === '/' && next === '/') {
        end = text.indexOf('\n', at)
        if (end < 0) end = text.length
        blank(at, end)
      } else if (char === '/' && next === '*') {
        end = text.indexOf('*/', at + 2) + 2
        if (end < 2) end = text.length
        blank(at, end)
      } else if (char === "'" || char === '"') {
        end = at + 1
        while (end < text.length && text[end] !== char && text[end] !== '\n') end += text[end] === '\\' ? 2 : 1
        end = Math.min(end + 1, text.length)
        if (strings) out += text.slice(at, end)
        else blank(at, end)
      } else if (char === '`') {
        end = template(at)
      } else if (char === '/' && REGEX_BEFORE.test(out.slice(-40))) {
        end = regexEnd(text, at)
        blank(at, end)
      } else {
        if (stop && char === '{') depth++
        if (stop && char === '}' && depth-- === 0) return at
        out += char
        end = at + 1
      }
      at = end
    }
    return at
  }
  const template = start => {
    let at = start + 1
    out += ' '
    while (at < text.length && text[at] !== '`') {
      if (text[at] === '$' && text[at + 1] === '{') {
        out += '  '
        at = scan(at + 2, true) + 1
        out += ' '
      } else {
        const step = text[at] === '\\' ? 2 : 1
        blank(at, at + step)
        at += step
      }
    }
    out += ' '
    return at + 1
  }
  scan(0, false)
  return out
}

function regexEnd(text, start) {
  let inClass = false
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at]
    if (char === '\n') return start + 1
    if (char === '\\') at++
    else if (char === '[') inClass = true
    else if (char === ']') inClass = false
    else if (char === '/' && !inClass) return at + 1
  }
  return start + 1
}

export const lineAt = (text, index) => text.slice(0, index).split('\n').length
