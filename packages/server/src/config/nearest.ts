/** How many letters must be put in, left out, changed or swapped with their neighbour to get from one word to the other. */
export function distance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let least = Math.min((row[j - 1] ?? 0) + 1, (last[j] ?? 0) + 1, (last[j - 1] ?? 0) + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, (before[j - 2] ?? 0) + 1)
      row.push(least)
    }
    before = last
    last = row
  }
  return last[b.length] ?? a.length
}

/** The known key that was most likely meant: the nearest one, where the same name in another table counts as near. */
export function nearestKey(key: string, known: readonly string[]): string | undefined {
  const name = key.slice(key.lastIndexOf('.') + 1)
  // A key far longer than any known one is no misspelling, and costs nothing.
  if (key.length > 200) return undefined
  const score = (candidate: string) => Math.min(distance(key, candidate), distance(name, candidate.slice(candidate.lastIndexOf('.') + 1)) + 1)
  return known.map(candidate => ({ candidate, score: score(candidate) })).sort((a, b) => a.score - b.score)[0]?.candidate
}
