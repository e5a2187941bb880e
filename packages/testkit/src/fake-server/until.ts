/** Waits until `fact` holds, looking again after every few turns of the loop; throws with `reason` after `timeoutMs`. */
export async function until(fact: () => boolean, reason: string, timeoutMs = 10_000): Promise<void> {
  const end = performance.now() + timeoutMs
  while (!fact()) {
    if (performance.now() > end) throw new Error(`waited in vain: ${reason}`)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}
