import type { SeededRandom } from '@holdfast/testkit/sim'

const PER_GENERATION = 400
let generation = 0

/** Sessions that a round may make, write to and delete; a deleted id is not used again, so there are new ones now and then. The canary is not among them. */
export const sessionsOf = (round: number): string[] => [0, 1, 2, 3].map(n => `f${n}-${Math.floor(round / PER_GENERATION)}`)
export const startsGeneration = (round: number): boolean => round % PER_GENERATION === 0
/** Rounds that are made up from now on, up to the next call, are about the sessions of this one. */
export const beginRound = (round: number): void => {
  generation = round
}
export const someSession = (random: SeededRandom): string => random.pick(sessionsOf(generation))

const IDS = [
  '_feed',
  'never',
  '',
  '-',
  '.',
  '..',
  '%2e%2e',
  '%00',
  '%zz',
  '%ff%fe',
  'a b',
  'é',
  'x'.repeat(128),
  'x'.repeat(129),
  'a%2fb',
  '__proto__',
  'constructor',
  '%F0%9F%98%80',
  'a@b',
  'a,b',
]
const NUMBERS = [
  '0',
  '1',
  '-1',
  '1.5',
  '1e3',
  '0x10',
  '9007199254740991',
  '9007199254740992',
  '99999999999999999999',
  '',
  ' ',
  'NaN',
  'Infinity',
  '+1',
  '１',
  '1000',
  '1001',
  '007',
]
const CURSORS = [...NUMBERS, 'abcd.1', 'ab.1', 'abcd.', '.1', '1.1', 'abcd.-1', `${'a'.repeat(33)}.1`, 'abcd.1.1', "abcd.1'--", 'null']
const WORDS = [
  '',
  'replay',
  'live',
  'snapshot',
  'auto',
  'run',
  'chat',
  'error',
  'new',
  'true',
  'false',
  'keep',
  'delete',
  'admin',
  'null',
  '[]',
  '{}',
  '%00',
  '\ud800',
  "'",
  '"',
  '<script>',
  '../../etc/passwd',
  'x'.repeat(5000),
]

export const someId = (random: SeededRandom): string => (random.chance(0.6) ? someSession(random) : random.pick(IDS))
export const someCursor = (random: SeededRandom): string => (random.chance(0.5) ? String(random.int(50)) : random.pick(CURSORS))
export const someNumber = (random: SeededRandom): string => random.pick(NUMBERS)
export const someWord = (random: SeededRandom): string => random.pick(WORDS)

export function someBytes(random: SeededRandom, max: number): Buffer {
  const bytes = Buffer.alloc(random.int(max))
  for (let at = 0; at < bytes.length; at++) bytes[at] = random.int(256)
  return bytes
}

/** Any JSON, some of it hostile; `depth` bounds it. */
export function someJson(random: SeededRandom, depth = 4): unknown {
  switch (random.int(depth > 0 ? 9 : 6)) {
    case 0:
      return null
    case 1:
      return random.chance(0.5)
    case 2:
      return random.pick([0, -0, 1, -1, 1.5, 2 ** 53, -(2 ** 53), 1e308, 5e-324])
    case 3:
      return random.pick(WORDS)
    case 4:
      return someId(random)
    case 5:
      return someCursor(random)
    case 6:
      return Array.from({ length: random.int(4) }, () => someJson(random, depth - 1))
    default:
      return Object.fromEntries(Array.from({ length: random.int(5) }, () => [someKey(random), someJson(random, depth - 1)]))
  }
}

const KEYS = [
  'type',
  'header',
  'payload',
  'id',
  'session_id',
  'seq',
  'events',
  'event_type',
  'content',
  'session_name',
  'kind',
  'metadata',
  'client_id',
  'scopes',
  'subject',
  'scope',
  'stream',
  'last_seen_seq',
  'epoch',
  'mode',
  'window_bytes',
  'kinds',
  'token',
  'timestamp',
  '__proto__',
  'constructor',
  'toString',
  '',
]
export const someKey = (random: SeededRandom): string => random.pick(KEYS)

/** Spoils a text: bytes flipped, cut, doubled, put in. */
export function spoiled(random: SeededRandom, text: string): Buffer {
  let bytes = Buffer.from(text)
  for (let times = random.int(3); times >= 0; times--) {
    const at = random.int(bytes.length + 1)
    switch (random.int(4)) {
      case 0:
        bytes = bytes.subarray(0, at)
        break
      case 1:
        bytes = Buffer.concat([bytes.subarray(0, at), someBytes(random, 8), bytes.subarray(at)])
        break
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - 20))])
        break
      default:
        if (at < bytes.length) bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([random.int(256)]), bytes.subarray(at + 1)])
    }
  }
  return bytes
}

/** A good thing most of the time, so that the odd one beside it is reached. */
export const mostly = <T>(random: SeededRandom, good: T, odd: () => T): T => (random.chance(0.75) ? good : odd())
