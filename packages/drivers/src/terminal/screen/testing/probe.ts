import type { Screen } from '../screen.ts'
import { bytesOf, differences } from './twins.ts'

/** Output that brings to light what no cell shows: each line uses another hidden state. */
export const PROBES: readonly string[] = [
  '\u0301',
  '\x1b[3b',
  'text that goes on past the end of the row and over it',
  '\u0308',
  '\x1b[2b',
  '\t|\t|\t|',
  '\x0eq~\x0fq~\x1bnq#\x1boq#\x0f',
  '\x1b7\n\n\n\n\n\n\n\nx\x1b8',
  '\x1bM\x1bM\x1bM\x1bM\x1bM\x1bM\x1bMy',
  '\x1b[1;1Htop\x1b[99;99Hend\x1b[3;3Hin',
  'wide 漢字漢字漢字漢字漢字漢字漢字',
  '\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b\b*',
  '\x1b[2;3Hab\x1b[Kc\x1b[2@d\x1b[P',
  '\x1b[?1049l back',
  '\x1b8saved\x1b[4mu\x1b[24mv',
  '\x1b[23;0t\x1b[23;0t',
  '\n\n\n\x1b[2J\x1b[H',
]

export const QUERIES = `\x1b[c\x1b[>c\x1b[5n\x1b[6n\x1b[?6n${[4, 20].map(mode => `\x1b[${mode}$p`).join('')}${[
  1, 6, 7, 9, 12, 25, 45, 47, 66, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 1047, 1049, 2004, 2026,
]
  .map(mode => `\x1b[?${mode}$p`)
  .join('')}\x1bP$qr\x1b\\\x1bP$q q\x1b\\\x1b]10;?\x07\x1b]11;?\x07\x1b]12;?\x07\x1b]4;1;?;200;?\x07\x1b[18t`

/** Writes the probes to both, one by one; the first differences, headed by the probe that showed them. */
export function differencesLater(one: Screen, other: Screen): string[] {
  for (const probe of PROBES) {
    for (const screen of [one, other]) screen.write(bytesOf(probe))
    const found = differences(one, other)
    if (found.length > 0) return [JSON.stringify(probe), ...found]
  }
  return []
}
