import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createSeededRandom, type SeededRandom } from '@holdfast/testkit/sim'

type Item = Record<string, unknown>

const FIXTURES = join(dirname(fileURLToPath(import.meta.url)), '..', 'fixtures', 'transcripts')
/** Content is between these, as its JSON is; their logarithms are spread like a bell around the middle. */
const SIZE = { leastBytes: 10, middleBytes: 300, mostBytes: 250_000, spread: 1.5 }

interface Corpus {
  /** Every line of the transcripts, as a reporter would tell it. */
  readonly items: readonly Item[]
  /** Pieces of what was said in them, for making items larger. */
  readonly words: readonly string[]
}

/** The n-th event of a reporter, from a seed alone: made of real transcripts, of any size from 10 bytes to 250 KB. */
export function createAmplifier(seed: number): (reporter: number, n: number) => Item {
  const corpus = readCorpus()
  return (reporter, n) => {
    const random = createSeededRandom(seed * 1_000_003 + reporter * 10_007 + n)
    const base = random.pick(corpus.items)
    const { content: _content, ...rest } = base
    const target = sizeFor(random, n)
    const own = JSON.stringify(base.content ?? '')
    // An item that has about the right size stays as it was.
    if (Buffer.byteLength(own) <= target && Buffer.byteLength(own) * 2 >= target) return base
    const text = textOf(corpus, random, target)
    return { ...rest, content: Array.isArray(base.content) ? [{ type: 'text', text }] : text }
  }
}

function sizeFor(random: SeededRandom, n: number): number {
  // Both ends are there in any run.
  if (n % 1000 === 7) return SIZE.leastBytes
  if (n % 1000 === 11) return SIZE.mostBytes
  const bell = Math.sqrt(-2 * Math.log(1 - random.fraction())) * Math.cos(2 * Math.PI * random.fraction())
  return Math.round(Math.min(SIZE.mostBytes, Math.max(SIZE.leastBytes, SIZE.middleBytes * Math.exp(bell * SIZE.spread))))
}

/** Words of the corpus until their JSON has the size. */
function textOf({ words }: Corpus, random: SeededRandom, bytes: number): string {
  const parts: string[] = []
  let left = bytes
  while (left > 0) {
    const word = random.pick(words)
    const size = Buffer.byteLength(JSON.stringify(word)) - 2
    if (size > left) {
      parts.push('.'.repeat(left))
      break
    }
    parts.push(word)
    left -= size
  }
  return parts.join('')
}

function readCorpus(): Corpus {
  const items: Item[] = []
  const words = new Set<string>()
  for (const file of readdirSync(FIXTURES)
    .filter(name => name.endsWith('.jsonl'))
    .sort()) {
    for (const line of readFileSync(join(FIXTURES, file), 'utf8')
      .split('\n')
      .filter(text => text !== '')) {
      const value = JSON.parse(line) as unknown
      items.push(...itemsOf(value))
      for (const word of JSON.stringify(value).match(/(?:\\.|[^\\"]){1,40}/gu) ?? []) words.add(JSON.parse(`"${whole(word)}"`) as string)
    }
  }
  return { items, words: [...words] }
}

/** Without an escape that the cut has left open at its end. */
const whole = (json: string): string => json.replace(/\\u[0-9a-f]{0,3}$/i, '')

/** What a reporter makes of a line: messages, tools, and the odd ones whole. */
function itemsOf(value: unknown): Item[] {
  const line = value as { type?: unknown; timestamp?: unknown; message?: unknown; toolUseResult?: unknown } | null
  const message = line !== null && typeof line === 'object' && line.message !== null && typeof line.message === 'object' ? (line.message as Item) : undefined
  if (!message || (line?.type !== 'user' && line?.type !== 'assistant')) return [{ event_type: 'transcript.line', line: value }]
  const blocks = (Array.isArray(message.content) ? message.content : []).filter(block => block !== null && typeof block === 'object') as Item[]
  return [
    { event_type: 'message', timestamp: line.timestamp, role: line.type, content: message.content ?? null },
    ...blocks
      .filter(block => block.type === 'tool_use')
      .map(block => ({ event_type: 'pre_tool', tool_name: block.name, tool_use_id: block.id, tool_input: block.input })),
    ...blocks
      .filter(block => block.type === 'tool_result')
      .map(block => ({ event_type: 'post_tool', tool_use_id: block.tool_use_id, tool_response: line.toolUseResult ?? block.content })),
  ]
}
